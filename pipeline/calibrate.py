"""``facetmine calibrate``: how many captions are wrong, and thresholds that leave few of them, without a label.

Captions first; then the facts of the captions that are kept; then the margins between images. How it is estimated is
told in filters/fit.py and docs/scores.md.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from filters import fit
from filters.fit import Mixture, Thresholds
from pipeline.numbers import mix
from pipeline.query import quiet_broken_pipe
from pipeline.readers.identity import hash64
from pipeline.store import Store
from pipeline.wording import Templates
from schemas.manifest import Manifest, ManifestError

TARGETS = (0.01, 0.02, 0.03, 0.05, 0.1)
"""Shares of wrong pairs among the kept that the table shows."""

WRONG = 0.03
SURE = 0.005
"""Share of wrong captions among those that margins are learnt from: one wrong image in fifty pairs would set them."""

MARGIN_MISSED = 0.02
"""Share of images that satisfy a statement and yet stay below the margin's reach, so that they pass for negatives."""


class CalibrationError(Exception):
    """Nothing can be estimated; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine calibrate``."""
    parser.add_argument("out", metavar="OUT", help="output dataset whose images are scored")
    parser.add_argument(
        "--wrong", type=_share, default=WRONG, metavar="SHARE",
        help="share of wrong captions that may be left among the kept, and of wrong facts (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--missed", type=_share, default=MARGIN_MISSED, metavar="SHARE",
        help="share of images that satisfy a condition and may pass for ones that do not (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--by-source", action="store_true", help="a threshold for every source")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--toml", action="store_true", help="print the [fit] section of a --config file, and nothing else"
    )
    form.add_argument("--json", action="store_true", help="print all figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine calibrate``; returns the exit status."""
    try:
        found = calibrate(args.out, args.wrong, args.missed, by_source=args.by_source)
    except (ManifestError, CalibrationError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    with quiet_broken_pipe():
        if args.toml:
            print(found.toml())
        elif args.json:
            print(json.dumps(found.to_json(), indent=1))
        else:
            found.show(Console())
    return 0


@dataclass(frozen=True)
class Calibration:
    """What was estimated, and what is proposed.

    Attributes:
        captions, facts: the mixtures; facts are those of the captions that are kept.
        wrong: share of wrong ones that was asked for.
        caption, fact: thresholds.
        by_source: caption thresholds of single sources.
        margin: least lead of an image that satisfies a statement over one that does not.
        missed: share of the satisfying images that the margin lets pass for negatives.
        negatives_lost: share of random images that the margin does not let pass.
        notes: what could not be had.
    """

    captions: Mixture
    facts: Mixture | None
    wrong: float
    caption: float
    fact: float | None
    by_source: dict[str, float]
    margin: float | None
    missed: float
    negatives_lost: float
    notes: list[str] = field(default_factory=list)

    def toml(self) -> str:
        """The ``[fit]`` section of a mining configuration."""
        at = self.captions.at(self.caption)
        lines = [
            "[fit]",
            f"min_caption_score = {self.caption:.4f}  # {self.captions.wrong:.1%} of the captions are wrong; of those "
            f"kept {at['wrong']:.1%}, and {at['lost']:.1%} of the right ones are lost",
        ]
        if self.fact is not None and self.facts is not None:
            at = self.facts.at(self.fact)
            lines.append(
                f"min_fact_score = {self.fact:.4f}  # of the facts kept {at['wrong']:.1%} are wrong, and "
                f"{at['lost']:.1%} of the right ones are lost"
            )
        if self.margin is not None:
            names = ("reference_margin", "text_distractor_margin", "image_distractor_margin")
            lines += [f"{name} = {self.margin:.4f}" for name in names]
        lines += [f"# {note}" for note in self.notes]
        if self.by_source:
            lines += ["", "[fit.caption_score_of_source]"]
            lines += [f"{json.dumps(name)} = {score:.4f}" for name, score in self.by_source.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        told: dict[str, Any] = {"asked": {"wrong": self.wrong, "missed": self.missed}, "notes": self.notes}
        for name, mixture, threshold in (("captions", self.captions, self.caption), ("facts", self.facts, self.fact)):
            if mixture is not None and threshold is not None:
                told[name] = {
                    "pairs": mixture.pairs, "wrong": mixture.wrong, "right_by_chance": mixture.chance,
                    "threshold": threshold, "at_threshold": mixture.at(threshold),
                }  # fmt: skip
        told["margin"] = {"least": self.margin, "negatives_lost": self.negatives_lost}
        told["caption_score_of_source"] = self.by_source
        return told

    def show(self, console: Console) -> None:
        """The figures as a table."""
        console.print(
            f"{self.captions.pairs:,} captions with images; about {self.captions.wrong:.1%} of them are wrong, and "
            f"{self.captions.chance:.1%} of captions fit a random image."
        )
        table = Table("wrong among the kept", "threshold", "kept", "right ones lost", title="captions")
        for target in sorted({*TARGETS, self.wrong}):
            try:
                threshold = self.captions.threshold(target)
            except ValueError:
                table.add_row(f"{target:.1%}", "none does", "", "")
                continue
            at = self.captions.at(threshold)
            table.add_row(f"{target:.1%}", f"{threshold:.4f}", f"{at['kept']:.1%}", f"{at['lost']:.1%}")
        console.print(table)
        if self.facts is not None and self.fact is not None:
            at = self.facts.at(self.fact)
            console.print(
                f"facts of the kept captions: {self.facts.wrong:.1%} wrong; at {self.fact:.4f} {at['wrong']:.1%} of "
                f"the kept are, and {at['lost']:.1%} of the right ones are lost"
            )
        if self.margin is not None:
            console.print(
                f"a margin of {self.margin:.4f} turns away {1 - self.missed:.0%} of the images that satisfy a "
                f"statement, and {self.negatives_lost:.0%} of random ones"
            )
        for note in self.notes:
            console.print(note)
        console.print("\n--toml prints the configuration.", highlight=False)


def calibrate(out: str, wrong: float = WRONG, missed: float = MARGIN_MISSED, *, by_source: bool = False) -> Calibration:
    """Thresholds for a dataset whose images are scored.

    Args:
        wrong: share of wrong captions, and of wrong facts, that may be left among the kept.
        missed: share of images that satisfy a condition and may pass for ones that do not.
        by_source: estimate a caption threshold for every source as well.

    Raises:
        ManifestError: there is no dataset.
        CalibrationError: its images are not scored, or there are too few.
    """
    manifest = Manifest.read(out)
    if "score" not in manifest.stages:
        raise CalibrationError(f"{out} has no scores: run `facetmine score --output {out} --images IMAGES` first")
    store = Store(out)
    notes: list[str] = []
    counted = _Counts.of(_captions(store, manifest))
    try:
        captions = counted.mixture()
        caption = captions.threshold(wrong)
    except ValueError as error:
        raise CalibrationError(f"captions: {error}") from None
    sources = {}
    for source in _sources(store, manifest) if by_source else ():
        try:
            sources[source] = _Counts.of(_captions(store, manifest, source)).mixture().threshold(wrong)
        except ValueError as error:
            notes.append(f"source {source}: {error}")
    facts, fact = None, None
    kept = Thresholds(caption, sources)
    try:
        facts = _Counts.of(_facts(store, manifest, kept)).mixture()
        fact = facts.threshold(wrong)
    except ValueError as error:
        notes.append(f"facts: {error}")
    try:
        sure = captions.threshold(min(wrong, SURE))
    except ValueError:
        sure = caption
    margin, lost = _margin(store, manifest, Thresholds(max(sure, caption), sources, fact), missed)
    if margin is None:
        notes.append("margins: too few facts are stated of two images")
    return Calibration(captions, facts, wrong, caption, fact, sources, margin, missed, lost, notes)


Scores = tuple[np.ndarray, np.ndarray]
"""Scores of pairs as they are, and of pairs put together by chance."""


@dataclass
class _Counts:
    observed: np.ndarray
    shuffled: np.ndarray

    @classmethod
    def of(cls, parts: Iterator[Scores]) -> "_Counts":
        counts = cls(np.zeros(fit.BINS, np.int64), np.zeros(fit.BINS, np.int64))
        for observed, shuffled in parts:
            counts.observed += fit.histogram(observed[~np.isnan(observed)])
            counts.shuffled += fit.histogram(shuffled[~np.isnan(shuffled)])
        return counts

    def mixture(self) -> Mixture:
        return Mixture.estimate(self.observed, self.shuffled)


def _parts(store: Store, manifest: Manifest) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Scores and facts, part by part, in the same rows."""
    for file in manifest.files("scores"):
        columns = ["source", "subject", "predicate", "object", "attribute"]
        yield store.read_table(file.path), store.read_table(file.path.replace("scores/", "facts/", 1), columns)


def _captions(store: Store, manifest: Manifest, source: str | None = None) -> Iterator[Scores]:
    for scores, facts in _parts(store, manifest):
        chosen = fit.first_of_captions(scores)
        if source is not None:
            chosen &= pc.equal(facts["source"], source).to_numpy()
        yield scores["caption_score"].to_numpy()[chosen], scores["shuffled_caption_score"].to_numpy()[chosen]


def _sources(store: Store, manifest: Manifest) -> list[str]:
    return sorted({source for _, facts in _parts(store, manifest) for source in pc.unique(facts["source"]).to_pylist()})


def _facts(store: Store, manifest: Manifest, kept: Thresholds) -> Iterator[Scores]:
    for scores, facts in _parts(store, manifest):
        fits = ~np.logical_or.reduce(list(fit.unfit(scores, facts["source"], kept).values()))
        yield scores["fact_score"].to_numpy()[fits], scores["shuffled_fact_score"].to_numpy()[fits]


def _margin(store: Store, manifest: Manifest, kept: Thresholds, missed: float) -> tuple[float | None, float]:
    """The lead that only a share ``missed`` of satisfying images has over another, and how many random ones lack it.

    Two images whose kept captions state the same fact both satisfy it. What one leads the other by is how far apart
    satisfying images are by chance.
    """
    leads, random_leads = [], []
    templates = Templates(**manifest.configuration["score"]["templates"])
    for scores, facts in _parts(store, manifest):
        fits = ~np.logical_or.reduce(list(fit.unfit(scores, facts["source"], kept).values()))
        rows = np.flatnonzero(fits & ~np.isnan(scores["shuffled_fact_score"].to_numpy()))
        sentence = hash64(templates.sentences(facts).take(pa.array(rows)).to_pylist())
        own, image = scores["fact_score"].to_numpy()[rows], scores["image_key"].to_numpy()[rows]
        random_leads.append(own - scores["shuffled_fact_score"].to_numpy()[rows])
        order = np.lexsort((mix(image, sentence), sentence))  # by chance within a sentence
        one, other = order[:-1], order[1:]
        same = (sentence[one] == sentence[other]) & (image[one] != image[other])
        leads.append((own[one] - own[other])[same])
    lead = np.concatenate(leads) if leads else np.zeros(0)
    lead = np.concatenate([lead, -lead])  # either may be the target
    if len(lead) < 2 * fit.LEAST_PAIRS:
        return None, 0.0
    margin = float(np.quantile(lead, 1 - missed))
    return margin, float(np.mean(np.concatenate(random_leads) < margin))


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return share
