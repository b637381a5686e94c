"""``facetmine browse``: a page on this machine that shows the triplets of a dataset, and takes judgements of them."""

import argparse
import getpass
import os
import sys
import threading
import webbrowser

import duckdb

from pipeline.runner import UsageError
from schemas.manifest import Manifest, ManifestError
from viewer.judgements import Sitting
from viewer.pictures import Pictures
from viewer.queries import Catalogue
from viewer.server import HOST, Server, Viewed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine browse``."""
    parser.add_argument("out", metavar="OUT", help="output dataset: the folder that holds manifest.json")
    parser.add_argument(
        "--images", nargs="+", action="extend", metavar="PATH",
        help="WebDataset tars, folders or Parquet files that hold the images, or globs of them; captions alone without",
    )  # fmt: skip
    parser.add_argument("--port", type=_port, default=0, help="of the page (default: one that is free)")
    parser.add_argument("--no-open", action="store_true", help="print the address and open no browser")
    group = parser.add_argument_group("judging")
    group.add_argument("--judge", metavar="NAME", help="who judges (default: your name on this machine)")
    group.add_argument(
        "--sample", type=_count, default=50, metavar="N", help="triplets to judge of each kind (default: %(default)s)"
    )
    group.add_argument(
        "--seed", type=int, default=0, help="of the sample: the same seed draws the same (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine browse`` until Ctrl-C; returns the exit status.

    Raises:
        UsageError: the images cannot be had.
    """
    try:
        manifest = Manifest.read(args.out)
        if not manifest.files("triplets"):
            print(f"{args.out} holds no triplets to show; `facetmine mine --output {args.out}` makes them",
                  file=sys.stderr)  # fmt: skip
            return 1
        catalogue = Catalogue(args.out, manifest)
    except (ManifestError, duckdb.Error) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    viewed = Viewed(
        args.out, catalogue, _pictures(args.images), Sitting(args.out, args.judge or _name(), args.seed), args.sample
    )
    try:
        server = Server(viewed, args.port)
    except OSError as error:
        print(f"port {args.port} of {HOST} cannot be had: {error.strerror}; --port takes another", file=sys.stderr)
        return 1
    print(f"{args.out}: {catalogue.rows:,} triplets at\n\n    {server.address}\n")
    if viewed.pictures is not None:
        print(f"Pictures: {len(viewed.pictures.store):,}.", end=" ")
    print("Whoever has this address can read the dataset, on this machine only. Ctrl-C ends it.", flush=True)
    threading.Thread(target=catalogue.index_texts, daemon=True).start()
    if not args.no_open and _has_display():
        threading.Thread(target=webbrowser.open, args=[server.address], daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
        catalogue.close()
    return 0


def _pictures(sources: list[str] | None) -> Pictures | None:
    if not sources:
        return None
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise UsageError("--images needs the images extra: pip install 'facetmine[images]'") from None
    try:
        return Pictures(sources)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        return "somebody"


def _has_display() -> bool:
    """Whether a browser has somewhere to open; without, webbrowser would start one in this terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, a number up to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100,000")
    return int(text)
