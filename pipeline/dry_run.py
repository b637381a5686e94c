"""``facetmine run --dry-run``: the pipelines of a run, built for its runner and printed, not run.

Options are validated as for a run, Beam's too. Nothing is written, nothing is asked of a store or a cloud, and no
credentials are needed: inputs at URLs are taken to be there, and those on this machine are looked at.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2
from rich.console import Console
from rich.table import Table

import parsers
from filters.fit import Thresholds
from pipeline import mine, readers
from pipeline import spark as native
from pipeline.config import MiningConfig, ScoreConfig
from pipeline.job import IMAGE_INDEX
from pipeline.parse import ParseCaptions
from pipeline.query import quiet_broken_pipe
from pipeline.read import ReadCaptions
from pipeline.runner import Build, Runner, UsageError
from pipeline.store import Store
from pipeline.write import WriteTriplets

GROUP_BY_KEY = "beam:transform:group_by_key:v1"
HINTS = {"beam:resources:min_ram_bytes:v1": "min RAM", "beam:resources:accelerator:v1": "accelerator"}


@dataclass(frozen=True)
class Step:
    """A step of a pipeline as its runner sees it.

    Attributes:
        label: its name.
        transforms: primitive transforms that it consists of.
        shuffles: of these, how many group by key.
        hints: resource hints, as "min RAM 2147483648".
    """

    label: str
    transforms: int
    shuffles: int
    hints: tuple[str, ...]


def run(given: argparse.Namespace, runner: Runner, config: MiningConfig, scoring: ScoreConfig | None) -> int:
    """Print what ``facetmine run`` would run; returns the exit status.

    Raises:
        UsageError, InputError: an option or an input cannot be used.
    """
    console = Console(soft_wrap=True, highlight=False)
    table = Table("stage", "step", pad_edge=False, header_style="bold")
    for name in ("transforms", "shuffles"):
        table.add_column(name, justify="right")
    table.add_column("hints")
    pipelines = transforms = shuffles = 0
    for stage, build in _pipelines(given, runner, config, scoring):
        pipelines += 1
        for number, step in enumerate(steps(runner, build)):
            transforms, shuffles = transforms + step.transforms, shuffles + step.shuffles
            table.add_row(
                "" if number else stage, step.label, str(step.transforms), str(step.shuffles or ""),
                ", ".join(step.hints), end_section=False,
            )  # fmt: skip
        table.add_section()
    with quiet_broken_pipe():
        console.print(table)
        console.print(
            f"{runner.name}: {pipelines} pipelines, one after the other, {transforms} transforms, {shuffles} shuffles, "
            f"{given.partitions:,} partitions. Nothing was run"
        )
    return 0


def steps(runner: Runner, build: Build) -> list[Step]:
    """The steps of a pipeline, built for that runner.

    Raises:
        UsageError: the runner's options do not do.
        UntranslatableError: native Spark is to run it, and does not know one of its steps.
    """
    pipeline = runner.pipeline()
    build(pipeline)
    if runner.spark is not None:
        native.read_off(pipeline)
    proto = pipeline.to_runner_api()
    every = proto.components.transforms
    found = []
    for root in proto.root_transform_ids:
        for stage in every[root].subtransforms:
            for step in every[stage].subtransforms or [stage]:
                found.append(_step(proto.components, step))
    return found


def _pipelines(
    given: argparse.Namespace, runner: Runner, config: MiningConfig, scoring: ScoreConfig | None
) -> Iterator[tuple[str, Build]]:
    """Name and pipeline of everything that a run does."""
    store, partitions = Store(given.output), given.partitions
    config = MiningConfig(**{**vars(config), "partitions": partitions})
    _check_parser(given.parser)
    splits, unreadable = _splits(given)
    yield "read", lambda pipeline: pipeline | "Read" >> ReadCaptions(splits, unreadable, store, "read", partitions)
    yield "parse", lambda pipeline: pipeline | "Parse" >> ParseCaptions(store, "parse", given.parser, partitions)
    templates = None
    if scoring is not None:
        from pipeline import score  # needs an extra

        templates = score.templates_of(scoring)
        index = Path(store.path(IMAGE_INDEX)) if store.is_local else None
        handler, _ = score.prepare(scoring, index, shared=True)
        for name, transform in (
            ("texts", score.CollectTexts(store, "score", templates, partitions)),
            ("encode", score.Encode(store, "score", handler, partitions)),
            ("facts", score.ScoreFacts(store, "score", templates, partitions)),
        ):
            yield f"score: {name}", lambda pipeline, t=transform: pipeline | t  # type: ignore[misc]
    draw: beam.PTransform
    if config.sampler == "genecis":
        draw = mine.DrawGenecis(store, "mine", "draw", config, [0] * partitions, 0)
    else:
        draw = mine.DrawTriplets(store, "mine", "draw", config, {})
    yield "mine: index", lambda pipeline: pipeline | "Index" >> mine.IndexFacts(store, "mine", config, Thresholds())
    yield "mine: draw", lambda pipeline: pipeline | "Draw" >> draw
    write = WriteTriplets(store, ["draw"], "write", config, [0] * partitions, templates)
    yield "write", lambda pipeline: pipeline | "Write" >> write


def _check_parser(name: str) -> None:
    try:
        parsers.fingerprint(name)
    except RuntimeError as error:
        raise UsageError(str(error)) from None


def _splits(given: argparse.Namespace) -> tuple[list[readers.Split], list[readers.Reject]]:
    """Splits of inputs on this machine, and one that stands for all of each input at a URL."""
    inputs = [readers.parse_input(text) for text in given.input]
    here = [entry for entry in inputs if "://" not in entry.pattern]
    there = [entry for entry in inputs if "://" in entry.pattern]
    splits, _, unreadable = readers.plan(here, given.input_format) if here else ([], [], [])
    splits += [
        readers.Split(entry.pattern, given.input_format or "parquet", entry.source or entry.pattern, number)
        for number, entry in enumerate(there)
    ]
    return splits, unreadable


def _step(components: beam_runner_api_pb2.Components, name: str) -> Step:
    leaves = list(_leaves(components, name))
    hints: dict[str, None] = {}
    for leaf in leaves:
        environment = components.environments.get(leaf.environment_id)
        for urn, value in environment.resource_hints.items() if environment is not None else ():
            hints[f"{HINTS.get(urn, urn)} {value.decode()}"] = None
    return Step(
        components.transforms[name].unique_name.rpartition("/")[2], len(leaves),
        sum(leaf.spec.urn == GROUP_BY_KEY for leaf in leaves), tuple(hints),
    )  # fmt: skip


def _leaves(components: beam_runner_api_pb2.Components, name: str) -> Iterator[beam_runner_api_pb2.PTransform]:
    transform = components.transforms[name]
    if transform.spec.urn == GROUP_BY_KEY or not transform.subtransforms:
        yield transform
        return
    for below in transform.subtransforms:
        yield from _leaves(components, below)
