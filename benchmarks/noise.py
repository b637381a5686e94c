"""What filtering by CLIP does about wrong captions, measured in the toy world, where everything is known.

    python -m benchmarks.noise [--images 10000] [--model toyworld] [--wrong 0.2 0.4]

Captions: thresholds are calibrated without labels, and held against the truth: how many wrong captions are left among
the kept, and how many right ones are lost. Triplets: mined without and with the calibrated filters, and every
statement that a triplet makes of its four pictures is looked up in what they show.
"""

import argparse
import dataclasses
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from filters import fit
from pipeline import config
from pipeline.calibrate import MARGIN_MISSED, Calibration, calibrate
from pipeline.config import FOCUS_KINDS, KINDS, MiningConfig, ScoreConfig
from pipeline.job import Job
from pipeline.runner import Runner, parse_beam_options
from pipeline.wording import Templates
from toyworld import PLACES, World, wordings, write

PARTITIONS = 4
ALLOWED = {0.2: 0.03, 0.4: 0.06}
"""Share of wrong captions that may be left, by their share before."""

_PLACE_OF_WORD = {word: place for place in PLACES for word in wordings(place)}


@dataclass
class Truth:
    """What a picture shows.

    Attributes:
        things: shapes.
        places: words for where it is.
        values: (shape, value).
        relations: (shape, predicate, shape).
    """

    things: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    values: set[tuple[str, str]] = field(default_factory=set)
    relations: set[tuple[str, str, str]] = field(default_factory=set)

    def has(self, name: str) -> bool:
        return name in self.things or name in self.places

    def satisfies(self, subject: str, what: tuple[str | None, str | None, str | None]) -> bool:
        """Whether it is so of the subject: (predicate, object, attribute) of a fact."""
        predicate, object_, attribute = what
        if attribute is not None:
            return (subject, attribute) in self.values
        if object_ in _PLACE_OF_WORD:
            return self.has(subject) and object_ in self.places
        return (subject, str(predicate), str(object_)) in self.relations

    def shows(self, subject: str, what: tuple[str | None, str | None, str | None]) -> bool:
        """Whether it shows what a picture without it must lack: the value of the subject, or the object."""
        return self.satisfies(subject, what) if what[2] is not None else self.has(str(what[1]))


def read_truth(path: Path) -> dict[str, Truth]:
    """The truth of every picture, from ``truth/facts.parquet``."""
    truth: dict[str, Truth] = {}
    for row in pq.read_table(path).to_pylist():
        found = truth.setdefault(row["image_id"], Truth())
        found.things.add(row["subject"])
        if row["attribute"] is not None:
            found.values.add((row["subject"], row["attribute"]))
        elif row["object"] in _PLACE_OF_WORD:
            found.places.add(row["object"])
        else:
            found.relations.add((row["subject"], row["predicate"], row["object"]))
            found.things.add(row["object"])
    return truth


def faults(row: Mapping[str, Any], truth: Mapping[str, Truth]) -> Iterator[str]:
    """Every statement of a triplet that is not true of its pictures."""
    reference, target, text, image = (
        truth[row[f"{role}_id"]] for role in ("reference", "target", "text_distractor", "image_distractor")
    )
    subject, focus = row["subject"], row["kind"] in FOCUS_KINDS
    if row["kind"] in ("change_object", "focus_object"):
        thing = row["condition"]
        yield from _if(not (target.has(subject) and target.has(thing)), "target: not as stated")
        yield from _if(not reference.has(subject), "reference: not the place")
        yield from _if(reference.has(thing) != focus, "reference: thing")
        yield from _if(not text.has(thing), "text_distractor: not the thing")
        yield from _if(text.has(subject), "text_distractor: the place")
        yield from _if(not image.has(subject), "image_distractor: not the place")
        yield from _if(image.has(thing), "image_distractor: the thing")
        return
    stated = [
        (row[f"{role}_predicate"], row[f"{role}_object"], row[f"{role}_attribute"])
        for role in ("target", "target_second")
        if row[f"{role}_object"] or row[f"{role}_attribute"]
    ]
    yield from _if(not all(target.satisfies(subject, what) for what in stated), "target: not as stated")
    for role, picture in (("reference", reference), ("image_distractor", image)):
        yield from _if(not picture.has(subject), f"{role}: not the subject")
        value, object_ = row[f"{role}_attribute"], row[f"{role}_object"]
        own = picture.has(object_) if value is None else (subject, value) in picture.values
        yield from _if((value or object_) is not None and not own, f"{role}: not what it is said to be")
        if role == "reference" and focus:
            yield from _if(not all(picture.satisfies(subject, what) for what in stated), "reference: not as stated")
        else:
            # A composite's image distractor may satisfy one of its two conditions.
            shown = all if (role, row["kind"]) == ("image_distractor", "composite") else any
            yield from _if(shown(picture.shows(subject, what) for what in stated), f"{role}: shows the condition")
    other = row["text_distractor_subject"]
    yield from _if(not all(text.satisfies(other, what) for what in stated), "text_distractor: not the condition")
    yield from _if(text.has(subject), "text_distractor: the subject")


def _if(wrong: bool, what: str) -> list[str]:
    return [what] if wrong else []


def captions_kept(out: Path, truth: Path, threshold: float) -> tuple[float, float, int]:
    """Share of wrong captions among the kept, share of right ones lost, captions; by the truth."""
    right = {(row["image_id"], row["caption_index"]): row["right"] for row in pq.read_table(truth).to_pylist()}
    scores = pa.concat_tables([pq.read_table(path) for path in sorted((out / "scores").glob("*.parquet"))])
    scores = scores.filter(pa.array(fit.first_of_captions(scores)))
    kept = scores["caption_score"].to_numpy() >= threshold
    keys = zip(scores["image_id"].to_pylist(), scores["caption_index"].to_pylist(), strict=True)
    truly = np.array([right[key] for key in keys])
    return float((~truly)[kept].mean()), float((~kept)[truly].mean()), len(truly)


def mine(job: Job, settings: MiningConfig) -> list[dict[str, Any]]:
    """The triplets of a configuration."""
    job.mine(settings)
    return pa.concat_tables(
        [job.store.read_table(file.path) for file in job.write().files if file.path.startswith("triplets/")]
    ).to_pylist()


def with_fit(settings: MiningConfig, found: Calibration) -> MiningConfig:
    """The configuration with the calibrated filters."""
    return dataclasses.replace(
        settings,
        min_caption_score=found.caption,
        min_fact_score=found.fact,
        reference_margin=found.margin,
        text_distractor_margin=found.margin,
        image_distractor_margin=found.margin,
    )


def show_triplets(console: Console, mined: Mapping[str, Sequence[Mapping[str, Any]]], truth: dict[str, Truth]) -> None:
    """Shares of true triplets by kind, and what is false of the others."""
    table = Table("kind", *(f"{name}: triplets, all true %" for name in mined), title="triplets")
    causes: dict[str, Counter[str]] = {name: Counter() for name in mined}
    judged = {name: [(row["kind"], list(faults(row, truth))) for row in rows] for name, rows in mined.items()}
    for name, rows in judged.items():
        causes[name].update(fault for _, found in rows for fault in found)
    for kind in (*KINDS, "all"):
        cells = []
        for rows in judged.values():
            good = [not found for of, found in rows if kind in (of, "all")]
            cells.append(f"{len(good):,}  {100 * np.mean(good):.1f}" if good else "0")
        table.add_row(kind, *cells)
    console.print(table)
    table = Table("false statement", *(f"{name}: % of triplets" for name in mined))
    for cause in sorted({cause for counts in causes.values() for cause in counts}):
        table.add_row(cause, *(f"{100 * causes[name][cause] / max(len(judged[name]), 1):.2f}" for name in mined))
    console.print(table)


def main() -> None:
    given = _parse_arguments()
    logging.disable(logging.WARNING)
    console = Console(width=140)
    told = Templates(**{kind: text for kind in ("relation", "attribute") if (text := getattr(given, kind))})
    with tempfile.TemporaryDirectory(prefix="facetmine-noise-") as temporary:
        folder = given.folder or Path(temporary)
        table = Table(
            "wrong captions", "estimated %", "threshold", "wrong among kept %: expected", "found",
            "right lost %: expected", "found", "captions",
        )  # fmt: skip
        jobs = {}
        for share in given.wrong:
            world, out = folder / f"world-{share:g}", folder / f"out-{share:g}"
            if not (world / "truth").is_dir():
                write(world, given.images, wrong=share, wrong_kind=given.wrong_kind, seed=given.seed, world=World())
            jobs[share] = job = Job(str(out), Runner(parse_beam_options([])))
            shards = str(world / "shards")
            job.read([shards], None, PARTITIONS)
            job.parse("default")
            job.score(
                ScoreConfig((shards,), None, given.model, given.pretrained, None, None, None, None, told.relation,
                            told.attribute)
            )  # fmt: skip
            job.write_manifest()
            found = calibrate(str(out), ALLOWED.get(share, 0.03), given.missed)
            wrong, lost, captions = captions_kept(out, world / "truth" / "captions.parquet", found.caption)
            at = found.captions.at(found.caption)
            table.add_row(
                f"{share:.0%}", f"{100 * found.captions.wrong:.1f}", f"{found.caption:.4f}", f"{100 * at['wrong']:.2f}",
                f"{100 * wrong:.2f}", f"{100 * at['lost']:.1f}", f"{100 * lost:.1f}", f"{captions:,}",
            )  # fmt: skip
        console.print(table)
        for share, job in jobs.items():
            found = calibrate(job.store.root, given.triplet_wrong, given.missed)
            console.print(f"\n{share:.0%} wrong captions\n{found.toml()}", highlight=False, markup=False)
            settings = dataclasses.replace(config.preset("default"), triplets=given.triplets)
            mined = {"unfiltered": mine(job, settings), "filtered": mine(job, with_fit(settings, found))}
            show_triplets(console, mined, read_truth(folder / f"world-{share:g}" / "truth" / "facts.parquet"))


def _parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--images", type=int, default=10_000, help="pictures (default: %(default)s)")
    parser.add_argument("--wrong", type=float, nargs="+", default=[0.2, 0.4], help="shares of wrong captions")
    parser.add_argument("--wrong-kind", default="scene", help="as of `facetmine toyworld` (default: %(default)s)")
    parser.add_argument("--model", default="toyworld", help="as --clip-model (default: %(default)s)")
    parser.add_argument("--pretrained", help="as --clip-pretrained")
    parser.add_argument("--relation", help="template of relation facts")
    parser.add_argument("--attribute", help="template of attribute facts")
    parser.add_argument("--missed", type=float, default=MARGIN_MISSED, help="as of calibrate (default: %(default)s)")
    parser.add_argument(
        "--triplet-wrong", type=float, default=0.01, help="of captions, when triplets are mined (default: %(default)s)"
    )
    parser.add_argument("--triplets", type=int, default=20_000, help="to draw (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep the pictures and outputs there, and go on with them")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
