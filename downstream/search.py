"""``facetmine search``: the pictures of a folder that are like a reference in the respect that a condition names."""

import argparse
import json
import sys
from pathlib import Path

from downstream import evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine search``."""
    parser.add_argument(
        "--gallery", required=True, metavar="FOLDER", help="pictures to search in, with all folders in it"
    )
    parser.add_argument("--reference", required=True, metavar="IMAGE", help="file, or path in the gallery")
    parser.add_argument("--condition", required=True, metavar="TEXT", help='such as "in red" or "color"')
    parser.add_argument("--count", type=_count, default=10, metavar="N", help="answers (default %(default)s)")
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="how to print (default %(default)s)"
    )
    parser.add_argument("--exact", action="store_true", help="compare every picture, however large the gallery")
    parser.add_argument(
        "--index", metavar="FOLDER", help="where features of galleries are kept (default: $XDG_CACHE_HOME/facetmine)"
    )
    evaluate.add_model_arguments(parser, several=False)


def run(given: argparse.Namespace) -> int:
    """Run ``facetmine search``; the exit status is 0, or 1 for failure."""
    try:
        import torch

        from downstream.gallery import Files, open_gallery
        from downstream.retrieval import unit
        from downstream.retrievers import RetrieverError
        from downstream.tasks import TaskError
        from images import ImageError
    except ImportError as error:
        return evaluate.fail_without_extra("search", error)
    try:
        (model,) = evaluate.named_models(given)
        gallery = open_gallery(given.gallery, model.encoder, given.index)
        reference = _reference(given.reference, gallery.root)
        pixels = model.encoder.preprocess(Files(gallery.root).image(reference))
        features = model.encoder.encode_images(torch.stack([pixels]))
        query = unit(model.combine(features, model.encoder.encode_texts([given.condition])))[0]
    except (TaskError, RetrieverError, ImageError) as error:
        print(f"facetmine: {error}", file=sys.stderr)
        return 1
    for name, reason in gallery.unreadable.items():
        print(f"left out: {name}  {reason}", file=sys.stderr)
    answers = gallery.search(query, given.count, without=reference, exact=given.exact)
    if given.format == "json":
        for name, similarity in answers:
            print(json.dumps({"image": name, "similarity": round(similarity, 6)}, ensure_ascii=False))
        return 0
    approximate = not given.exact and gallery.library is not None
    print(f"{given.condition!r} of {len(gallery.names):,} pictures{', by an approximate index' if approximate else ''}")
    for place, (name, similarity) in enumerate(answers, 1):
        print(f"{place:3}  {similarity:.3f}  {name}")
    return 0


def _reference(given: str, gallery: Path) -> str:
    """The reference's name: its path in the gallery, or else the whole path of a file."""
    path = Path(given)
    if path.is_file():
        path = path.resolve()
        return path.relative_to(gallery.resolve()).as_posix() if path.is_relative_to(gallery.resolve()) else str(path)
    return given


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 10,000")
    return int(text)
