"""``facetmine toyworld``: a data set of rendered pictures with captions, of which everything is known."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from pipeline.runner import UsageError
from toyworld.scenes import World
from toyworld.shards import WRONG_KINDS, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", "--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--images", type=_count, default=2000, metavar="N", help="pictures (default %(default)s)")
    parser.add_argument(
        "--wrong", type=_share, default=0.0, metavar="SHARE", help="share of pictures with a wrong caption (default 0)"
    )
    parser.add_argument(
        "--wrong-kind", choices=WRONG_KINDS, default="scene",
        help="what is wrong: a caption of another scene, a caption with one wrong word, or by halves (default scene)",
    )  # fmt: skip
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of every random choice (default 0)")
    parser.add_argument("--force", action="store_true", help="replace the data set that DIR holds")


def run(given: argparse.Namespace) -> int:
    """Writes shards and truth; 0.

    Raises:
        UsageError: DIR holds something already, or there is no Pillow.
    """
    if find_spec("PIL") is None:
        raise UsageError("toyworld needs the images extra: pip install 'facetmine[images]'")
    folder = Path(given.output)
    shards = folder / "shards"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; --output names a folder")
    if folder.exists() and any(folder.iterdir()):
        if not given.force:
            raise UsageError(f"{folder} is not empty; --force replaces the data set in it")
        for path in sorted(shards.glob("*.tar")):
            path.unlink()
    write(folder, given.images, wrong=given.wrong, wrong_kind=given.wrong_kind, seed=given.seed, world=World())
    print(f"{given.images:,} pictures in {shards}, the truth in {folder / 'truth'}")
    return 0


def _count(text: str) -> int:
    return _whole(text, 1, 10_000_000)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{number} is not between {least} and {most}")
    return number


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return share
