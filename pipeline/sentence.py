"""``facetmine parse --text``: what the parser states about a sentence, as a tree in the terminal and as a picture."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import islice

from rich.console import Console

import parsers
from parsers.drawing import draw
from parsers.tree import graph_tree
from pipeline.query import quiet_broken_pipe
from pipeline.runner import UsageError

CAPTIONS_PER_BATCH = 256


def run(given: argparse.Namespace) -> int:
    """Run ``facetmine parse --text``; returns the exit status.

    Raises:
        UsageError: ``--image`` with other than one caption.
    """
    try:
        parser = parsers.load(given.parser)
        if given.image is not None:
            captions = list(_captions(given.text))
            if len(captions) != 1:
                raise UsageError(f"argument --image draws one caption, but standard input has {len(captions)}")
            draw(parser.parse(captions)[0], captions[0], given.image)
    except RuntimeError as error:  # a model or an extra is not installed; the message says how to get it
        print(f"facetmine: {error}", file=sys.stderr)
        return 1
    console = Console()
    with quiet_broken_pipe():
        for batch in _batches(captions if given.image is not None else _captions(given.text)):
            for caption, graph in zip(batch, parser.parse(batch), strict=True):
                with console.capture() as capture:
                    console.print(graph_tree(graph, caption))
                print("\n".join(line.rstrip() for line in capture.get().split("\n")), end="")
    return 0


def _captions(text: str) -> Iterator[str]:
    if text != "-":
        yield text
        return
    for line in sys.stdin:
        if line.strip():
            yield line.strip()


def _batches(captions: Iterable[str]) -> Iterator[list[str]]:
    captions = iter(captions)
    size = 1 if sys.stdin.isatty() else CAPTIONS_PER_BATCH  # who types wants the answer before the next line
    while batch := list(islice(captions, size)):
        yield batch
