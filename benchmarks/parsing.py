"""How ``facetmine parse`` grows: the same captions drawn again and again, under new image ids.

    python -m benchmarks.parsing [--captions 100000,400000,1000000]

Time is linear when the processor's time a caption stays, memory flat when the largest process stays as large; all cores
are busy when CPU seconds are the seconds times the number of cores, where nothing else runs.
"""

import argparse
import json
import os
import random
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.process import captions, facetmine, measure
from pipeline import readers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", default="100000,400000,1000000", help="how many, by comma (default: %(default)s)")
    given = parser.parse_args()
    table = Table("captions", "seconds", "captions/s", "CPU us a caption", "cores busy", "GiB of the largest process")
    with tempfile.TemporaryDirectory(prefix="facetmine-bench-") as folder:
        texts = real_captions(Path(folder))
        for count in map(int, given.captions.split(",")):
            path = Path(folder) / "drawn.jsonl"
            write_drawn(path, texts, count)
            run = measure(facetmine("parse", "--input", str(path), "--output", f"{folder}/out"))
            measure(["rm", "-r", f"{folder}/out"])
            table.add_row(f"{count:,}", f"{run.seconds:,.0f}", f"{count / run.seconds:,.0f}",
                          f"{run.cpu_seconds / count * 1e6:,.0f}",
                          f"{run.cpu_seconds / run.seconds:.2f} of {os.cpu_count()}",
                          f"{run.gibibytes:.2f}")  # fmt: skip
    console = Console(width=110)
    console.print(f"drawn of {len(texts):,} captions")
    console.print(table)


def real_captions(folder: Path) -> list[str]:
    splits, _, _ = readers.plan([readers.parse_input(path) for path in captions(folder)])
    return [text for split in splits for batch, _ in readers.read(split) for text in batch["caption"].to_pylist()]


def write_drawn(path: Path, texts: list[str], count: int, seed: int = 0) -> None:
    """JSON Lines of so many captions, each of an image of its own."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"image_id": f"image-{number:07d}", "caption": rng.choice(texts)}) + "\n")


if __name__ == "__main__":
    main()
