"""Captions to triplets against a plain loop over sng_parser (package SceneGraphParser, spaCy backend), in one run.

    python -m benchmarks.captions [--repeats 3]

``facetmine run`` is timed as a whole process: start, reading, parsing, mining, writing. The peer only parses, in one
process that is warm, on as many captions as half a minute allows.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import sng_parser
from rich.console import Console
from rich.table import Table

from benchmarks.process import captions, facetmine, measure
from parsers.spacy_rules import MODELS
from pipeline import readers

SECONDS_OF_PEER = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the median counts")
    given = parser.parse_args()
    model = next(name for name in MODELS if importlib.util.find_spec(name))
    peer = sng_parser.Parser("spacy", model=model)
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = captions(Path(folder))[0]
        splits, _, _ = readers.plan([readers.parse_input(path)])
        texts = [text for split in splits for batch, _ in readers.read(split) for text in batch["caption"].to_pylist()]
        for repeat in range(given.repeats):
            run = measure(facetmine("run", "--input", path, "--output", f"{folder}/out{repeat}"))
            ours.append(len(texts) / run.seconds)
            theirs.append(_peer_speed(peer, texts, SECONDS_OF_PEER / given.repeats))
    table = Table("what", "captions/s, median", "runs")
    for name, speeds in (("facetmine run, captions to triplets", ours), ("loop over sng_parser, parsing only", theirs)):
        table.add_row(name, f"{statistics.median(speeds):,.0f}", ", ".join(f"{speed:,.0f}" for speed in speeds))
    console = Console(width=110)
    console.print(f"{len(texts):,} captions of {Path(path).name}")
    console.print(table)
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    console.print(f"facetmine run is {statistics.median(ratios):.1f} times as fast")


def _peer_speed(peer: sng_parser.Parser, texts: list[str], seconds: float) -> float:
    began = time.monotonic()
    for parsed, text in enumerate(texts):
        if time.monotonic() - began > seconds:
            return parsed / (time.monotonic() - began)
        peer.parse(text)
    return len(texts) / (time.monotonic() - began)


if __name__ == "__main__":
    main()
