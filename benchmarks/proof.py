"""Whether mined triplets beat CLIP by itself, and what of mining and training matters; on toy worlds.

    python -m benchmarks.proof                                  # the default recipe, three seeds
    python -m benchmarks.proof --variants default noise filtered hard relation dropout --folder out/proof

A seed is a world of pictures to mine and learn from, another world to ask about, an order of training and a choice of
galleries. Variants are trained on the same world of a seed, but for the captions that are wrong in two of them:

| variant | what is different |
|---|---|
| default | nothing |
| hard | a triplet's own distractors among its negatives |
| relation | triplets of kind relation only |
| dropout | the published dropout of 0.5 |
| noise | 40% of the captions are of another scene |
| filtered | the same, mined with the thresholds that `facetmine calibrate` proposes |

Everything is kept in --folder, and a run that was interrupted goes on. Figures are Recall@1 in percent, means of the
seeds; intervals are 95% paired bootstrap intervals over all queries of all seeds.
"""

import argparse
import dataclasses
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.noise import with_fit
from downstream import command_train
from downstream.checkpoint import latest
from downstream.combiner import BASELINES
from downstream.genecis import TASKS
from downstream.proof import Unseen, unseen
from downstream.retrievers import BASELINE_NAMES, Backbone, open_retrievers
from downstream.statistics import compare, estimate
from pipeline import config
from pipeline.calibrate import MARGIN_MISSED, calibrate
from pipeline.config import ScoreConfig
from pipeline.job import Job
from pipeline.runner import Runner, parse_beam_options
from pipeline.wording import Templates
from toyworld import World, write

WRONG = 0.4
WRONG_LEFT = 0.06
TRAINING: dict[str, list[str]] = {
    "default": [],
    "hard": ["--hard-negatives"],
    "relation": ["--kinds", "relation"],
    "dropout": ["--dropout", "0.5"],
    "noise": [],
    "filtered": [],
}
"""Options of `facetmine train` by variant."""
COMPARED = [("default", "hard"), ("default", "relation"), ("default", "dropout"), ("filtered", "noise")]
_UNSEEN = 1000
"""What is added to a seed for the world that is asked about."""

Hits = dict[str, list[np.ndarray]]
"""By model, for each task whether the first answer is right, float [queries]."""


def main() -> None:
    given = _parse_arguments()
    logging.disable(logging.WARNING)
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="facetmine-proof-") as temporary:
        folder = given.folder or Path(temporary)
        found: list[Hits] = []
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            found.append(_of_seed(folder / f"seed-{seed}", seed, given, console))
            joined = {
                model: [np.concatenate([hits[model][task] for hits in found]) for task in range(len(TASKS))]
                for model in found[0]
            }
            _show(joined, given, len(found), console)


def _of_seed(folder: Path, seed: int, given: argparse.Namespace, console: Console) -> Hits:
    hits: Hits = {}
    asked: Unseen | None = None
    for variant in given.variants:
        began = time.monotonic()
        mined = _mined(folder, variant, seed, given)
        run = folder / f"run-{variant}"
        _train(mined, run, [*TRAINING[variant], *_recipe(given), "--seed", str(seed)])
        names = [str(run)] if hits else [*BASELINE_NAMES, str(run)]
        models = open_retrievers(names, Backbone(given.model))
        if asked is None:
            other = folder / "unseen"
            if not (other / "truth").is_dir():
                write(other, given.images, wrong=0, wrong_kind="scene", seed=seed + _UNSEEN, world=World())
            asked = unseen(other, models, given.queries, seed, folder / "unseen.index")
        for number, answered in enumerate(asked.answered(models)):
            for model, ranked in answered.ranked.items():
                hits.setdefault(model if model in BASELINES else variant, []).insert(number, ranked.hits(1))
        told = " ".join(f"{100 * hit.mean():.1f}" for hit in hits[variant])
        console.print(f"seed {seed}, {variant}: {told} ({time.monotonic() - began:.0f} s)", highlight=False)
    return hits


def _mined(folder: Path, variant: str, seed: int, given: argparse.Namespace) -> Path:
    """The folder of the triplets of a variant, mined if they are not there."""
    wrong = WRONG if variant in ("noise", "filtered") else 0.0
    world = folder / f"world-{wrong:g}"
    out = folder / (f"mined-{wrong:g}" + ("-filtered" if variant == "filtered" else ""))
    if not (world / "truth").is_dir():
        write(world, given.images, wrong=wrong, wrong_kind="scene", seed=seed, world=World())
    shards, told = str(world / "shards"), Templates()
    job = Job(str(out), Runner(parse_beam_options([])))
    job.read([shards], None, 4)
    job.parse("default")
    job.score(
        ScoreConfig((shards,), None, given.model, None, None, None, None, None, told.relation, told.attribute)
    )  # fmt: skip
    weights = tuple(given.focus if kind == "focus_attribute" else 1.0 for kind in config.KINDS)
    settings = dataclasses.replace(config.preset("default"), weights=weights, triplets=given.triplets, split=0.05)
    if variant == "filtered":
        job.write_manifest()
        settings = with_fit(settings, calibrate(str(out), WRONG_LEFT, MARGIN_MISSED))
    job.mine(settings)
    job.write()
    job.write_manifest()
    return out


def _train(mined: Path, run: Path, options: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    command_train.add_arguments(parser)
    resume = ["--resume", "latest"] if latest(run) else []
    status = command_train.run(parser.parse_args([str(mined), "--output", str(run), *options, *resume]))
    if status:
        raise SystemExit(status)


def _recipe(given: argparse.Namespace) -> list[str]:
    epochs = max(1, round(given.rows / given.triplets))
    return ["--projection", str(given.projection), "--lr", str(given.lr), "--epochs", str(epochs)]


def _show(hits: Hits, given: argparse.Namespace, seeds: int, console: Console) -> None:
    table = Table("", *TASKS, "average", title=f"Recall@1, {seeds} seeds of {given.queries:,} queries a task")
    for model, tasks in hits.items():
        cells = [f"{100 * (of := estimate(task)).mean:.1f} ±{50 * (of.high - of.low):.1f}" for task in tasks]
        table.add_row(model, *cells, f"{100 * np.mean([task.mean() for task in tasks]):.1f}")
    console.print(table)
    # The best baseline of each task, which nobody who has to choose one for all tasks can have.
    best = [max((hits[name][task] for name in BASELINES), key=np.mean) for task in range(len(TASKS))]
    table = Table("difference", *TASKS, "average", title="points of Recall@1, with 95% paired intervals")
    pairs = [(variant, "best baseline", hits[variant], best) for variant in given.variants]
    pairs += [(a, b, hits[a], hits[b]) for a, b in COMPARED if a in hits and b in hits]
    for a, b, ours, theirs in pairs:
        differences = [compare([x], [y]).difference for x, y in zip(ours, theirs, strict=True)]
        differences.append(compare(ours, theirs).difference)
        table.add_row(
            f"{a} - {b}", *(f"{100 * d.mean:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]" for d in differences)
        )
    console.print(table)


def _parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--variants", nargs="+", choices=list(TRAINING), default=["default"])
    parser.add_argument("--images", type=int, default=3000, help="pictures of a world (default: %(default)s)")
    parser.add_argument("--triplets", type=int, default=90_000, help="to draw (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=600_000, help="to learn from (default: %(default)s)")
    parser.add_argument(
        "--focus",
        type=float,
        default=4.0,
        help="focus_attribute triplets for one of another kind (default: %(default)s)",
    )
    parser.add_argument("--model", default="toyworld", help="CLIP model (default: %(default)s)")
    parser.add_argument("--projection", type=int, default=384, help="of the Combiner (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=1000, help="of a task and seed (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep worlds, triplets and runs there, and go on with them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
