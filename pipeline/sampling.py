"""A sample of the input, whole images of it, put through the real stages and measured.

    sample = draw(splits, share, path)
    half = part_of(sample, 0.5, other)
    measured = measure(Work((f"sample={half.path}",), output, parser, config, partitions))

Samples are nested: an image is in the smaller one when a hash of its key is below a smaller share, so all captions of
an image are in or out together. Every run is measured in a process of its own, whose peak of memory is its own.
"""

import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import parse, readers
from pipeline.config import MiningConfig
from pipeline.job import Job
from pipeline.numbers import uniform
from pipeline.readers.identity import hash64
from pipeline.runner import Runner, parse_beam_options
from pipeline.store import STAGES, part_name

_SAMPLE = 0x5A3
LEAST_SPLITS = 64
"""Where the input has more splits, a sample reads at least so many, and ten times as many as its share asks for."""


@dataclass(frozen=True)
class Sample:
    """A sample that was drawn, as a Parquet file, and what reading the input cost.

    Attributes:
        path: the file, with the columns that reader ``parquet`` looks for.
        captions: captions in it.
        seen: captions of the splits that were read.
        rejected: rows of the splits that were read that are no captions.
        read_share: share of the input's bytes that was read.
        seconds: core seconds of reading.
    """

    path: Path
    captions: int
    seen: int
    rejected: int
    read_share: float
    seconds: float


@dataclass(frozen=True)
class Work:
    """A run to measure: what ``facetmine run`` would be given."""

    inputs: tuple[str, ...]
    output: str
    parser: str
    config: MiningConfig
    partitions: int
    beam_options: tuple[str, ...] = ("--direct_num_workers=1",)


@dataclass
class Measured:
    """What a run did. Figures of a stage are by its name: read, parse, mine, write.

    Attributes:
        rows_in, rows_out, rejects: as in the manifest.
        facts: rows of the facts table.
        uses: facts times the kinds that each can be used for; 0 with the genecis preset.
        usable: of these, how many can be a target.
        to_be_had: triplets that there are of each kind, with no limit.
        triplets: triplets written, by kind.
        rows, bytes, files: of each table.
        shuffled: bytes sent into shuffles, and batches.
        seconds: core seconds.
        intermediate_bytes: of the index and the draws, which are there until the triplets are written.
        idle_bytes: resident memory before the first stage, with the parser's model.
        peak_bytes: highest resident memory of the largest process.
    """

    rows_in: dict[str, int] = field(default_factory=dict)
    rows_out: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    facts: int = 0
    uses: int = 0
    usable: int = 0
    to_be_had: dict[str, int] = field(default_factory=dict)
    triplets: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    shuffled: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    intermediate_bytes: int = 0
    idle_bytes: int = 0
    peak_bytes: dict[str, int] = field(default_factory=dict)


def draw(splits: Sequence[readers.Split], share: float, path: Path) -> Sample:
    """Read the input, all of it or, where it has very many splits, some, and keep a share of its images.

    Where splits are left out, an image whose captions lie in several splits may be in the sample in part.

    Args:
        splits: of the whole input.
        share: of all captions, above 0 and at most 1.
        path: where the sample is written.
    """
    reading = min(len(splits), max(LEAST_SPLITS, int(np.ceil(10 * share * len(splits)))))
    order = np.argsort(uniform(_SAMPLE, np.arange(len(splits))), kind="stable")
    chosen = [splits[number] for number in sorted(order[:reading])]
    read_share = reading / len(splits)
    seen = rejected = 0
    kept = [_COLUMNS.empty_table()]
    began = time.process_time()
    for split in chosen:
        for captions, rejects in readers.read(split):
            seen, rejected = seen + len(captions), rejected + len(rejects)
            kept.append(_kept(captions, min(share / read_share, 1.0)))
    seconds = time.process_time() - began
    sample = pa.concat_tables(kept)
    pq.write_table(sample, path)
    return Sample(path, len(sample), seen, rejected, read_share, seconds)


def part_of(sample: Sample, share: float, path: Path) -> Sample:
    """A share of the images of a sample, as a sample of its own."""
    table = pq.read_table(sample.path)
    table = table.filter(pa.array(_place(table["image_key"].to_numpy()) < share * _highest(table)))
    pq.write_table(table, path)
    return Sample(path, len(table), sample.seen, sample.rejected, sample.read_share, sample.seconds)


def measure(work: Work) -> Measured:
    """Do a run in a fresh process and say what it did.

    Raises:
        RunError, StoreError: the run failed.
    """
    # Spawned, not forked: a forked process begins with this one's memory.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_measure, work).result()


_COLUMNS = pa.schema(
    [("image_id", pa.string()), ("caption", pa.string()), ("url", pa.string()), ("image_key", pa.int64())]
)


def _kept(captions: pa.Table, share: float) -> pa.Table:
    """The captions of that share of the images, in the columns of a sample.

    An id that derives from a URL is left out: the reader derives it again.
    """
    captions = captions.filter(pa.array(_place(captions["image_key"].to_numpy()) < share))
    keys, names = captions["image_key"].to_numpy(), captions["image_id"].to_pylist()
    derived = (hash64(names) == keys) & captions["url"].is_valid().to_numpy()
    # A sample is one source, and two sources may both call an image "1".
    called = pc.binary_join_element_wise(captions["source"], captions["image_id"], "/")
    named = pc.if_else(pa.array(derived), pa.scalar(None, pa.string()), called)
    return pa.table([named, captions["caption"], captions["url"], captions["image_key"]], schema=_COLUMNS)


def _place(keys: np.ndarray) -> np.ndarray:
    return uniform(_SAMPLE, keys)


def _highest(table: pa.Table) -> float:
    return float(_place(table["image_key"].to_numpy()).max(initial=0.0))


def _measure(work: Work) -> Measured:
    logging.disable(logging.CRITICAL)  # this process has nothing to tell but what it measures
    runner = Runner(parse_beam_options(list(work.beam_options)))
    job, found = Job(work.output, runner), Measured()
    with contextlib.suppress(RuntimeError):  # a parser that is not installed: the stage says so
        parse.warm_up(work.parser)
    found.idle_bytes = _peak()
    with runner.session():
        for name, stage in (
            ("read", lambda: job.read(work.inputs, None, work.partitions)),
            ("parse", lambda: job.parse(work.parser)),
            ("mine", lambda: job.mine(work.config)),
            ("write", job.write),
        ):
            runner.shuffled.clear()
            _forget_peak()
            seconds = _core_seconds()
            done = stage()
            found.seconds[name], found.peak_bytes[name] = _core_seconds() - seconds, _peak()
            found.rows_in[name], found.rows_out[name] = done.rows_in, done.rows_out
            found.rejects |= done.rejects
            if name == "mine":
                found.intermediate_bytes = sum(file.stat().st_size for file in Path(job.store.path(STAGES)).rglob("*"))
            found.shuffled[name], found.batches[name] = runner.shuffled["bytes"], runner.shuffled["batches"]
            for file in done.files:
                table = file.path.partition("/")[0]
                for figure, value in ((found.rows, file.rows), (found.bytes, file.bytes), (found.files, 1)):
                    figure[table] = figure.get(table, 0) + value
    memory = job.memory("mine")
    found.facts, found.uses, found.usable = found.rows["facts"], memory.get("uses", 0), memory.get("usable", 0)
    found.to_be_had = memory.get("to_be_had", {})
    for number in range(work.partitions):
        kinds = job.store.read_table(f"triplets/{part_name(number, work.partitions)}.parquet", ["kind"])["kind"]
        for count in kinds.value_counts().to_pylist():
            found.triplets[count["values"]] = found.triplets.get(count["values"], 0) + count["counts"]
    return found


def _core_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark starts anew


def _peak() -> int:
    """Highest resident memory in bytes, since :func:`_forget_peak` where the system allows."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return max(int(line.split()[1]) * 1024, children)
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, children)
