"""Mining and parsing on native Spark against Beam's DirectRunner, in the same run.

    python -m benchmarks.spark [--executors 1 2 4] [--facts 4000000] [--repeats 1]

Executors are processes of this machine with a core each (local-cluster). Both are timed by their stages, so that the
start of Spark, of its Java processes and Python workers in a stage before, does not count.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bootstrap import real_facts, write_facts
from benchmarks.process import captions, facetmine, measure
from schemas.manifest import Manifest

FACTS_PER_PARTITION = 62_500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--facts", type=int, default=4_000_000)
    parser.add_argument("--triplets", type=int, default=1_600_000)
    parser.add_argument("--repeats", type=int, default=1, help="runs of each, of which the median counts")
    given = parser.parse_args()
    console = Console(width=110)
    engines: dict[str, list[str]] = {"DirectRunner": []} | {
        f"Spark, {count} executors": ["--engine=spark", f"--spark-master=local-cluster[{count},1,2048]"]
        for count in given.executors
    }
    with tempfile.TemporaryDirectory(prefix="facetmine-bench-") as folder:
        source = captions(Path(folder))
        mining: dict[str, list[float]] = {name: [] for name in engines}
        parsing: dict[str, list[float]] = {name: [] for name in engines}
        for repeat in range(given.repeats):
            for number, (name, options) in enumerate(engines.items()):
                output = f"{folder}/parsed{repeat}-{number}"
                # Spark's session lives as long as the command: reading is the stage in which it warms up.
                measure(facetmine("parse", "--input", *source, "--output", output, *options))
                parsing[name].append(_seconds(output, "parse"))
        facts = f"{folder}/facts"
        write_facts(facts, real_facts(f"{folder}/parsed0-0"), given.facts, max(16, given.facts // FACTS_PER_PARTITION))
        digests = set()
        for _ in range(given.repeats):
            for name, options in engines.items():
                measure(facetmine("mine", "--output", facts, "--triplets", str(given.triplets), "--force", *options))
                mining[name].append(_seconds(facts, "mine", "write"))
                stages = Manifest.read(facts).stages
                digests.add(json.dumps([file.sha256 for file in stages["write"].files]))
        for title, times in (("parsing", parsing), (f"mining {given.facts:,} facts", mining)):
            table = Table(title, "seconds, median", "times DirectRunner")
            base = statistics.median(times["DirectRunner"])
            for name, runs in times.items():
                table.add_row(name, f"{statistics.median(runs):.1f}", f"{statistics.median(runs) / base:.2f}")
            console.print(table)
        console.print("triplets: the same bytes on all" if len(digests) == 1 else "triplets DIFFER")
        subprocess.run(["rm", "-r", facts], check=True)


def _seconds(output: str, *stages: str) -> float:
    return sum(Manifest.read(output).stages[name].seconds for name in stages)


if __name__ == "__main__":
    main()
