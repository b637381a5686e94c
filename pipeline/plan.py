"""``facetmine plan``: what a run over the whole input would make, need and cost, from a sample of it.

Samples of a quarter, a half and the whole of what is asked for go through the real stages (pipeline/sampling.py), each
into a temporary folder as one part, and what they did is carried to the whole input (pipeline/growth.py). Rows, facts,
bytes that are shuffled and core seconds are taken as linear; what can be a target, what is to be had and the bytes of a
row are not. Growth is that of captions which keep saying new things: an input that repeats itself, such as one copied
several times over, has fewer targets than predicted.
"""

import argparse
import dataclasses
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline import growth, readers, sampling
from pipeline.ahead import THREADS
from pipeline.config import MiningConfig
from pipeline.job import share_out
from pipeline.query import quiet_broken_pipe
from pipeline.runner import UsageError
from pipeline.sampling import Measured, Sample, Work
from pipeline.store import ROWS_PER_ROW_GROUP

CAPTIONS_PER_PART = 250_000
LEAST_PARTS = 16
BYTES_PER_BATCH = {"read": 1_400, "mine": 2_900, "write": 1_300}
"""What a batch costs in a shuffle of the stage beside its rows: the schema and framing of an Arrow stream, measured."""

SECONDS_PER_BATCH = 0.0003
SECONDS_PER_PART = {"read": 0.03, "mine": 0.3}
SECONDS_PER_WORKER = 4.0
"""Core seconds that a batch, a part and the start of a worker with the parser's model take whatever they hold."""

SHUFFLES = {"read": 1, "mine": 3, "write": 2}
LEAST_SAMPLE = 400
"""Captions below which a sample says nothing of growth."""


@dataclass
class Problem:
    """What will not fit, and the option that mends it."""

    what: str
    remedy: str


@dataclass
class Plan:
    """Predictions for the whole input.

    Attributes:
        sample, captions: captions of the sample and of the whole input.
        partitions: what to choose, or what was asked for.
        rows_in, rows_out: of each stage.
        facts: rows of the facts table.
        to_be_had: triplets that there are of each kind.
        triplets: triplets written, by kind.
        files, bytes: of each table, with the manifest's tables and ``intermediate``, which is there until the end.
        shuffle_bytes: of each stage, with what every batch costs.
        core_seconds: of each stage.
        core_hours: of all stages.
        worker_bytes: peak memory of a worker process that does two parts at a time, of each stage.
        one_process_bytes: peak memory of Beam's DirectRunner, which holds shuffles in memory, of each stage.
        hours: on so many workers of one core.
        problems: what will not fit.
    """

    sample: int
    captions: int
    partitions: int
    workers: int
    rows_in: dict[str, int] = field(default_factory=dict)
    rows_out: dict[str, int] = field(default_factory=dict)
    facts: int = 0
    to_be_had: dict[str, int] = field(default_factory=dict)
    triplets: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    shuffle_bytes: dict[str, int] = field(default_factory=dict)
    core_seconds: dict[str, float] = field(default_factory=dict)
    core_hours: float = 0.0
    worker_bytes: dict[str, int] = field(default_factory=dict)
    one_process_bytes: dict[str, int] = field(default_factory=dict)
    hours: float = 0.0
    problems: list[Problem] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine plan`` beside those of input, parsing and mining."""
    group = parser.add_argument_group("plan")
    group.add_argument(
        "--sample", type=_sample, default=20_000, metavar="N",
        help="captions to run, or their share of all, such as 0.02 (default: %(default)s); whole images are chosen",
    )  # fmt: skip
    group.add_argument("--workers", type=_positive, default=None, metavar="N", help="cores to plan for (default: here)")
    group.add_argument(
        "--memory", type=float, default=None, metavar="GIB", help="memory of a worker (default: of this machine)"
    )
    group.add_argument("-o", "--output", metavar="OUT", help="where the run would write, to see whether there is room")
    group.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(given: argparse.Namespace, config: MiningConfig) -> int:
    """Run ``facetmine plan``; returns the exit status.

    Raises:
        UsageError: the configuration asks for scores.
        InputError: nothing can be read from the inputs.
        StoreError, RunError: the sample cannot be run.
    """
    if config.needs_scores:
        raise UsageError("facetmine plan does not score images: leave [fit] out of the configuration")
    splits, files, _ = readers.plan([readers.parse_input(text) for text in given.input], given.input_format)
    workers = given.workers or os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="facetmine-plan-") as folder:
        told = _tell if sys.stderr.isatty() else lambda _: None
        sample, measured = take(splits, given.sample, given.parser, config, Path(folder), told)
    plan = predict(sample, measured, config, given.partitions, workers, len(splits))
    plan.problems = problems(
        plan, config, memory=int(given.memory * 2**30) if given.memory else machine_memory(),
        machine=machine_memory(), free=_free(given.output), splits=len(splits),
    )  # fmt: skip
    with quiet_broken_pipe():
        if given.json:
            print(json.dumps(asdict(plan), indent=1))
        else:
            show(plan, sum(file.bytes for file in files), Console(soft_wrap=True))
    return 0


def take(
    splits: list[readers.Split],
    size: float,
    parser: str,
    config: MiningConfig,
    folder: Path,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[Sample, list[tuple[Sample, Measured]]]:
    """Draw nested samples and run them.

    Args:
        size: captions, or below 1 their share.
        folder: for the samples and their runs.
        told: called with what is going on.

    Returns:
        The largest sample, and every sample with what its run did, the smallest first.

    Raises:
        InputError: the sample is too small.
    """
    told("drawing a sample")
    estimate = 1.0 if size < 1 else max(_estimated_captions(splits), 1.0)
    whole = sampling.draw(splits, min(size / estimate * (1 if size < 1 else 2), 1.0), folder / "sample.parquet")
    if 1 <= size < whole.captions:
        whole = sampling.part_of(whole, size / whole.captions, folder / "sample.parquet")
    if whole.captions < LEAST_SAMPLE:
        raise readers.InputError(
            f"{whole.captions:,} captions say nothing of growth: give a --sample of {LEAST_SAMPLE:,} or more"
        )
    found = []
    for name, part in (("quarter", 0.25), ("half", 0.5), ("all", 1.0)):
        sample = whole if part == 1 else sampling.part_of(whole, part, folder / f"{name}.parquet")
        told(f"running {name} of the sample, {sample.captions:,} captions")
        asked = config
        if config.triplets is not None:
            every = whole.seen / whole.read_share
            asked = dataclasses.replace(config, triplets=max(1, round(config.triplets * sample.captions / every)))
        work = Work((f"sample={sample.path}",), str(folder / name), parser, asked, 1)
        found.append((sample, sampling.measure(work)))
        shutil.rmtree(folder / name)
    return whole, found


def predict(
    sample: Sample,
    measured: list[tuple[Sample, Measured]],
    config: MiningConfig,
    partitions: int | None,
    workers: int,
    splits: int,
) -> Plan:
    """Carry what samples did to the whole input.

    Args:
        sample: the largest.
        measured: each sample with what its run did, the smallest first.
        partitions: as asked for; None to choose.
        splits: of the whole input.
    """
    seen, rejected = sample.seen / sample.read_share, sample.rejected / sample.read_share
    runs = [run for _, run in measured]
    last = runs[-1]
    factor = seen / last.rows_in["read"]
    if partitions is None:
        partitions = max(LEAST_PARTS, math.ceil(seen / CAPTIONS_PER_PART))
    plan = Plan(last.rows_in["read"], round(seen), partitions, workers)
    captions, facts = ([run.rows_in["read"] for run in runs], [run.facts for run in runs])

    plan.facts = round(last.facts * factor)
    plan.rows_in = {"read": round(seen + rejected), "parse": round(last.rows_in["parse"] * factor), "mine": plan.facts}
    plan.rows_out = {name: round(last.rows_out[name] * factor) for name in ("read", "parse", "mine")}
    plan.to_be_had, plan.triplets = _triplets(runs, captions, seen, config)
    plan.rows_in["write"] = plan.rows_out["write"] = written = sum(plan.triplets.values())

    rows = {table: count * factor for table, count in last.rows.items()} | {"triplets": written}
    rows["rejects"] += rejected
    for table, files in last.files.items():
        plan.files[table] = files * partitions
        of_table = [run.rows[table] for run in runs], [run.bytes[table] for run in runs]
        plan.bytes[table] = round(
            growth.bytes_of_table(*of_table, rows[table], files * partitions, ROWS_PER_ROW_GROUP * files)
        )
    plan.bytes["intermediate"] = round(growth.fading(captions, [run.intermediate_bytes for run in runs], seen, 1.0))

    batches = {
        name: count * (partitions**2 + partitions) if name != "read"
        else partitions * (splits + seen / ROWS_PER_ROW_GROUP)
        for name, count in SHUFFLES.items()
    }  # fmt: skip
    grown = {"read": factor, "mine": factor, "write": written / max(sum(last.triplets.values()), 1)}
    plan.shuffle_bytes = {
        name: round(last.shuffled[name] * grown[name] + batches[name] * BYTES_PER_BATCH[name]) for name in SHUFFLES
    }

    triplets = [sum(run.triplets.values()) for run in runs]
    for name, sizes, size in (
        ("read", captions, seen), ("parse", captions, seen), ("mine", facts, plan.facts), ("write", triplets, written)
    ):  # fmt: skip
        start, rate = growth.affine(sizes, [run.seconds[name] for run in runs])
        fixed = batches.get(name, 0) * SECONDS_PER_BATCH + partitions * SECONDS_PER_PART.get(name, 0)
        plan.core_seconds[name] = start + rate * size + fixed + workers * SECONDS_PER_WORKER * (name == "parse")
        start, rate = growth.affine(sizes, [run.peak_bytes[name] for run in runs])
        # While the groups of one shuffle are worked on, those of the next are gathered.
        held = plan.shuffle_bytes[name] * min(2, SHUFFLES[name]) / SHUFFLES[name] if name in SHUFFLES else 0
        threads = 1 if name == "parse" else THREADS
        plan.worker_bytes[name] = round(start + threads * rate * size / partitions)
        plan.one_process_bytes[name] = plan.worker_bytes[name] + round(held)
    plan.core_seconds["read"] += sample.seconds / sample.read_share
    plan.core_seconds = {name: round(seconds, 1) for name, seconds in plan.core_seconds.items()}
    plan.core_hours = round(sum(plan.core_seconds.values()) / 3600, 4)
    rounds = math.ceil(partitions / workers)  # a part is one worker's
    plan.hours = round(sum(plan.core_seconds.values()) / 3600 * rounds / partitions, 4)
    return plan


def _triplets(
    runs: list[Measured], captions: list[int], size: float, config: MiningConfig
) -> tuple[dict[str, int], dict[str, int]]:
    """What is to be had of each kind, and what is written of each."""
    last, factor = runs[-1], size / captions[-1]
    if not last.uses:  # the genecis preset draws until there are enough
        written = sum(last.triplets.values())
        wanted = config.triplets or round(written * factor)
        return {}, {kind: round(wanted * count / written) for kind, count in last.triplets.items()}
    unused = [1 - run.usable / run.uses for run in runs if run.uses]
    usable = round(last.uses * factor * (1 - growth.falling_share(captions[-len(unused) :], unused, size)))
    to_be_had = {
        kind: round(growth.fading(captions, [run.to_be_had[kind] for run in runs], size, 2.0))
        for kind in last.to_be_had
    }
    weights = dict(zip(config.kinds, config.weights, strict=False))
    wanted = usable if config.triplets is None else config.triplets
    return to_be_had, share_out(to_be_had, wanted, weights)


def problems(
    plan: Plan, config: MiningConfig, *, memory: int, machine: int, free: int | None, splits: int
) -> list[Problem]:
    """What will not fit, the hardest first.

    Args:
        memory: of a worker, in bytes.
        machine: memory of this machine, in bytes.
        free: bytes free where the run would write; None where that is not known.
        splits: of the input.
    """
    found = []
    stage, needed = max(plan.worker_bytes.items(), key=lambda item: item[1])
    if needed > memory:
        parts = math.ceil(plan.partitions * needed / memory * 1.25)
        found.append(Problem(
            f"stage {stage} needs {_size(needed)} a worker, and a worker has {_size(memory)}", f"--partitions {parts}"
        ))  # fmt: skip
    stage, needed = max(plan.one_process_bytes.items(), key=lambda item: item[1])
    if needed > machine:
        found.append(Problem(
            f"Beam's DirectRunner holds shuffles in memory: {_size(needed)} in stage {stage}, and this machine has "
            f"{_size(machine)}", "--engine spark, or --runner DaskRunner, which write shuffles to disk",
        ))  # fmt: skip
    total = sum(plan.bytes.values())
    if free is not None and total > free:
        found.append(Problem(f"{_size(total)} will be written, and {_size(free)} are free", "another --output"))
    wanted = config.triplets
    if wanted is not None and wanted > sum(plan.triplets.values()):
        found.append(Problem(
            f"{wanted:,} triplets are asked for, {sum(plan.triplets.values()):,} are to be had",
            "fewer --triplets, more captions, or a --config with lower thresholds",
        ))  # fmt: skip
    if plan.workers > plan.partitions:
        found.append(Problem(
            f"{plan.workers} workers share {plan.partitions} parts: {plan.workers - plan.partitions} would be idle",
            f"--partitions {2 * plan.workers}",
        ))  # fmt: skip
    if plan.workers > splits:
        found.append(Problem(
            f"the input has {splits:,} splits, so stage read keeps no more workers busy than that",
            "more and smaller files; gzip, COCO JSON and tar files cannot be split",
        ))  # fmt: skip
    overhead = plan.partitions**2 * sum(count * BYTES_PER_BATCH[name] for name, count in SHUFFLES.items())
    fewer = max(LEAST_PARTS, plan.captions // CAPTIONS_PER_PART)
    if overhead > sum(plan.shuffle_bytes.values()) / 2 and fewer < plan.partitions:
        found.append(Problem(
            f"{plan.partitions:,} parts make {sum(SHUFFLES.values()) * plan.partitions**2:,} batches, whose framing is "
            "most of what is shuffled", f"--partitions {fewer}",
        ))  # fmt: skip
    return found


def show(plan: Plan, input_bytes: int, console: Console) -> None:
    """Print a plan in tables."""
    console.print(
        f"{plan.captions:,} captions ({_size(input_bytes)}), predicted from {plan.sample:,} of them; "
        f"{plan.partitions:,} partitions, {plan.workers:,} workers of one core", highlight=False,
    )  # fmt: skip
    stages = Table("stage", pad_edge=False, header_style="bold")
    for name in ("rows in", "rows out", "shuffled", "core hours", "peak a worker", "peak in one process"):
        stages.add_column(name, justify="right")
    for name in plan.core_seconds:
        stages.add_row(
            name, f"{plan.rows_in[name]:,}", f"{plan.rows_out[name]:,}", _size(plan.shuffle_bytes.get(name, 0)),
            f"{plan.core_seconds[name] / 3600:,.3g}", _size(plan.worker_bytes[name]),
            _size(plan.one_process_bytes[name]),
        )  # fmt: skip
    console.print(stages)
    tables = Table("table", pad_edge=False, header_style="bold")
    for name in ("files", "bytes"):
        tables.add_column(name, justify="right")
    for name, size in plan.bytes.items():
        tables.add_row(name, f"{plan.files[name]:,}" if name in plan.files else "until the end", _size(size))
    console.print(tables)
    kinds = Table("kind", pad_edge=False, header_style="bold")
    for name in ("triplets", "to be had"):
        kinds.add_column(name, justify="right")
    for kind, count in plan.triplets.items():
        kinds.add_row(kind, f"{count:,}", f"{plan.to_be_had[kind]:,}" if kind in plan.to_be_had else "")
    console.print(kinds)
    console.print(
        f"{plan.facts:,} facts, {sum(plan.triplets.values()):,} triplets, {plan.core_hours:,.3g} core hours: "
        f"{plan.hours:,.3g} hours on {plan.workers:,} workers", highlight=False,
    )  # fmt: skip
    for problem in plan.problems:
        console.print(f"will not fit: {problem.what}. Give {problem.remedy}", highlight=False)


def machine_memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _estimated_captions(splits: list[readers.Split]) -> float:
    """About how many captions the input has, from its first split."""
    first = sum(len(captions) for captions, _ in readers.read(splits[0]))
    return first * len(splits)


def _free(output: str | None) -> int | None:
    if output is None or "://" in output:
        return None
    place = Path(output).resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _size(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:,.3g} {unit}" if count else "-"


def _tell(what: str) -> None:
    print(f"facetmine: {what}", file=sys.stderr)


def _sample(text: str) -> float:
    try:
        size = float(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of captions nor a share of them") from None
    if not (0 < size < 1 or (size >= LEAST_SAMPLE and size == int(size))):
        raise argparse.ArgumentTypeError(f"{text} is neither a share below 1 nor {LEAST_SAMPLE} captions or more")
    return size


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers")
    return int(text)
