"""Mining speed, growth and skew on millions of facts bootstrapped from real parsed captions.

    python -m benchmarks.mining            all figures, about 15 minutes on two cores
    python -m benchmarks.mining --quick    a tenth of the facts

The peer is the published sampler's rule, one draw at a time, on the facts of the captions themselves.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from benchmarks.bootstrap import real_facts, write_facts
from benchmarks.process import Measured, captions, facetmine, measure

TRIPLETS_PER_FACT = 0.4
FACTS_PER_PARTITION = 62_500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the facts")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the main figure, of which the median counts")
    given = parser.parse_args()
    million = 100_000 if given.quick else 1_000_000
    console = Console(width=110)
    with tempfile.TemporaryDirectory(prefix="facetmine-bench-") as folder:
        base = f"{folder}/base"
        measure(facetmine("parse", "--input", *captions(Path(folder)), "--output", base))
        every = real_facts(base)
        real = every.filter(pc.equal(every["kind"], "relation")).combine_chunks()
        peer = published_speed(real)
        console.print(f"{len(real):,} relation facts of real captions; the published rule, one draw at a time, makes "
                      f"{peer:,.0f} triplets/s of them")  # fmt: skip

        table = Table("facts", "triplets", "seconds", "triplets/s", "times the peer", "us a fact", "peak GiB")
        times: dict[str, list[float]] = {}

        def run(
            label: str, facts: int, repeats: int = 1, hot_share: float = 0.0, of: pa.Table = real, *options: str
        ) -> None:
            output = Path(folder) / "facts"
            write_facts(str(output), of, facts, max(16, facts // FACTS_PER_PARTITION), hot_share=hot_share)
            triplets = int(facts * TRIPLETS_PER_FACT)
            runs = [_mine(output, triplets, *(options or ("--kinds", "relation"))) for _ in range(repeats)]
            seconds = statistics.median(run.seconds for run in runs)
            times[label] = [seconds / facts, seconds]
            rate = triplets / seconds
            table.add_row(label, f"{triplets:,}", f"{seconds:.1f}", f"{rate:,.0f}", f"{rate / peer:,.0f}",
                          f"{seconds / facts * 1e6:.1f}", f"{max(run.gibibytes for run in runs):.2f}")  # fmt: skip
            measure(["rm", "-r", str(output)])

        for share in (0.5, 1, 2, 4, 8):
            run(f"{share:g} M", int(share * million), repeats=given.repeats if share == 4 else 1)
        run("4 M, half of one subject", 4 * million, repeats=given.repeats, hot_share=0.5)
        run("4 M of all sorts, all kinds", 4 * million, given.repeats, 0.0, every, "--preset", "default")
        console.print(table)
        console.print(f"growth: time a fact at 8 M is {times['8 M'][0] / times['1 M'][0]:.2f} times that at 1 M")
        console.print(f"skew: {times['4 M, half of one subject'][1] / times['4 M'][1]:.2f} times the unskewed run")


def _mine(output: Path, triplets: int, *options: str) -> Measured:
    return measure(facetmine("mine", "--output", str(output), "--triplets", str(triplets), "--force", *options))


def published_speed(facts: pa.Table, draws: int = 300) -> float:
    """Triplets a second of the published rule on these facts, drawn one at a time with numpy.random.choice."""
    generator = np.random.RandomState(0)
    by_subject: dict[str, list[int]] = {}
    by_pair: dict[str, dict[str, list[int]]] = {}
    by_object: dict[str, list[int]] = {}
    subjects, objects, images = (facts[name].to_pylist() for name in ("subject", "object", "image_key"))
    for row, (subject, object_) in enumerate(zip(subjects, objects, strict=True)):
        by_subject.setdefault(subject, []).append(row)
        by_pair.setdefault(subject, {}).setdefault(object_, []).append(row)
        by_object.setdefault(object_, []).append(row)
    count = {subject: len({images[row] for row in rows}) for subject, rows in by_subject.items()}
    candidates = [subject for subject in by_subject if count[subject] >= 5 and len(by_pair[subject]) >= 2]
    weight = np.array([count[subject] for subject in candidates], float)
    weight /= weight.sum()
    began = time.monotonic()
    for _ in range(draws):
        subject = generator.choice(candidates, p=weight)
        reference = generator.choice(by_subject[subject])
        for _ in range(101):
            object_ = generator.choice(list(by_pair[subject]))
            target = generator.choice(by_pair[subject][object_])
            if objects[target] != objects[reference] and images[target] != images[reference]:
                break
        generator.choice(by_object[objects[target]])
    return draws / (time.monotonic() - began)


if __name__ == "__main__":
    main()
