"""What ``facetmine plan`` predicts of a large input from 2% of it, against what the run then does.

    python -m benchmarks.plan [--captions 1000000] [--sample 0.02] [--fresh 0.2]
    python -m benchmarks.plan --carry 12_400_000 413_000_000 1_400_000_000

The second form carries what all real captions do to inputs of other sizes, for docs/scale.md.

The captions are real ones, drawn with replacement under new ids, a share of their things swapped (see
benchmarks.bootstrap): with ``--fresh 0`` every caption is there many times over, nothing new is said after the first of
each, and fewer targets are found than predicted. A million captions take a quarter of an hour on two idle cores.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bootstrap import write_captions
from benchmarks.process import captions, facetmine, measure
from pipeline import plan, readers, sampling
from pipeline.config import MiningConfig, preset

WANTED = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=1_000_000, help="0: the real ones as they are, 28,000")
    parser.add_argument("--sample", type=float, default=0.02, help="share of the captions")
    parser.add_argument("--fresh", type=float, default=0.2, help="share of the things that are swapped")
    parser.add_argument("--carry", type=int, nargs="+", metavar="CAPTIONS", help="print plans for such sizes instead")
    given = parser.parse_args()
    config, console = preset("default"), Console(width=110)
    if given.carry:
        carry(given.carry, config, console)
        return
    with tempfile.TemporaryDirectory(prefix="facetmine-bench-") as folder:
        sources = captions(Path(folder))
        if given.captions:
            measure(facetmine("parse", "--input", *sources, "--output", f"{folder}/base"))
            sources = [f"{folder}/captions.parquet"]
            write_captions(sources[0], f"{folder}/base", given.captions, fresh=given.fresh)
        splits, _, _ = readers.plan([readers.parse_input(source) for source in sources])
        sample, samples = plan.take(splits, given.sample, "default", config, Path(folder))
        predicted = plan.predict(sample, samples, config, None, 2, len(splits))
        work = sampling.Work(tuple(sources), f"{folder}/run", "default", config, predicted.partitions, ())
        run = sampling.measure(work)

    table = Table("figure", "predicted", "measured", "predicted / measured")
    missed = []

    def row(name: str, said: float, was: float) -> None:
        table.add_row(name, f"{said:,.4g}", f"{was:,.4g}", f"{said / was:.2f}" if was else "-")
        if was and not 1 - WANTED <= said / was <= 1 + WANTED:
            missed.append(name)

    for stage in run.rows_in:
        row(f"{stage}: rows in", predicted.rows_in[stage], run.rows_in[stage])
        row(f"{stage}: rows out", predicted.rows_out[stage], run.rows_out[stage])
    row("facts", predicted.facts, run.facts)
    for kind, count in run.triplets.items():
        row(f"triplets: {kind}", predicted.triplets[kind], count)
    for kind, count in run.to_be_had.items():
        row(f"to be had: {kind}", predicted.to_be_had[kind], count)
    for name, count in run.files.items():
        row(f"files: {name}", predicted.files[name], count)
        row(f"bytes: {name}", predicted.bytes[name], run.bytes[name])
    row("bytes: intermediate", predicted.bytes["intermediate"], run.intermediate_bytes)
    for stage in predicted.shuffle_bytes:
        sent = run.shuffled[stage] + run.batches[stage] * plan.BYTES_PER_BATCH[stage]
        row(f"shuffled: {stage}", predicted.shuffle_bytes[stage], sent)
    for stage, seconds in run.seconds.items():
        row(f"core seconds: {stage}", predicted.core_seconds[stage], seconds)
    row("core hours", predicted.core_hours, sum(run.seconds.values()) / 3600)
    for stage, peak in run.peak_bytes.items():
        row(f"peak MB: {stage}", predicted.one_process_bytes[stage] / 1e6, peak / 1e6)
    console.print(f"{predicted.captions:,} captions, predicted from {sample.captions:,}; {predicted.partitions} parts")
    console.print(table)
    console.print(f"beyond {WANTED:.0%}: {', '.join(missed) or 'none'}")


def carry(sizes: list[int], config: MiningConfig, console: Console) -> None:
    """Print a plan for each size, from all real captions."""
    with tempfile.TemporaryDirectory(prefix="facetmine-bench-") as folder:
        splits, _, _ = readers.plan([readers.parse_input(path) for path in captions(Path(folder))])
        sample, samples = plan.take(splits, 0.999999, "default", config, Path(folder))
    for size in sizes:
        seconds = sample.seconds * size / sample.seen
        whole = dataclasses.replace(sample, seen=size, rejected=0, read_share=1.0, seconds=seconds)
        predicted = plan.predict(whole, samples, config, None, 64, size // plan.CAPTIONS_PER_PART)
        plan.show(predicted, 0, console)


if __name__ == "__main__":
    main()
