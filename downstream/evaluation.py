"""Evaluating models on tasks: answers, figures with their intervals, comparisons, and files that hold all of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from downstream import genecis
from downstream.features import Encoder, embed
from downstream.page import Figures, page
from downstream.retrieval import Embedded, Features, Ranked, rank
from downstream.retrievers import Retriever
from downstream.statistics import Comparison, Estimate, average, compare, estimate
from downstream.tasks import Missing, Task

MISSING_NAMED = 20
"""Missing pictures named on the terminal; the results name all of them."""


@dataclass(frozen=True)
class Answered:
    """A task and what each model, by name, makes of it."""

    task: Task
    missing: Missing
    ranked: dict[str, Ranked]

    @property
    def evaluated(self) -> int:
        """Queries that lack no picture."""
        return self.missing.asked - self.missing.queries


def answer(
    task: Task, models: Sequence[Retriever], galleries: Mapping[str, Mapping[str, Features]] | None = None
) -> Answered:
    """Have the models answer the task; every picture is encoded once for each encoder.

    Args:
        task: the queries.
        models: what answers them.
        galleries: features of pictures that are known already, by the encoder's fingerprint and by name.
    """
    embedded: dict[str, Embedded] = {}
    ranked = {}
    for model in models:
        key = model.encoder.fingerprint
        if key not in embedded:
            embedded[key] = embed(task, model.encoder, (galleries or {}).get(key))
        ranked[model.name] = rank(task, embedded[key], model.combine)
    return Answered(task, next(iter(embedded.values())).missing, ranked)


def recall(answered: Answered, model: str, k: int) -> Estimate:
    """Recall@k of a model with its interval, as shares."""
    return estimate(answered.ranked[model].hits(k))


def average_recall(tasks: Sequence[Answered], model: str, k: int = 1) -> Estimate:
    """The unweighted average over tasks of a model's Recall@k, as a share."""
    return average([one.ranked[model].hits(k) for one in tasks])


def comparison(tasks: Sequence[Answered], a: str, b: str) -> Comparison:
    """Recall@1 of model A minus that of model B, averaged over the tasks."""
    return compare([one.ranked[a].hits(1) for one in tasks], [one.ranked[b].hits(1) for one in tasks])


def figures(tasks: Sequence[Answered]) -> list[Figures]:
    """The tables that people read: recall of every task and model, and each other model against the first."""
    models = list(tasks[0].ranked)
    tables = []
    for cutoffs in dict.fromkeys(one.task.cutoffs for one in tasks):
        alike = [one for one in tasks if one.task.cutoffs == cutoffs]
        tables.append(_recalls(alike, models, cutoffs))
    if len(models) > 1:
        tables.append(_differences(tasks, models))
    return tables


def published(tasks: Sequence[Answered]) -> Figures:
    """Published averages of GeneCIS beside those of the models."""
    models = list(tasks[0].ranked)
    rows = [(name, f"{figure:.1f}") for name, figure in genecis.PUBLISHED.items()]
    rows += [(name, _percent(average_recall(tasks, name))) for name in models]
    whole = {one.task.name for one in tasks} == set(genecis.TASKS) and all(not one.missing.queries for one in tasks)
    note = f"Differences under {genecis.NOISE} points are noise: so much do published runs differ by their seed."
    if not whole:
        note += " Not comparable: not all templates of the four tasks were evaluated."
    return Figures("GeneCIS: average Recall@1 beside published figures", ("model", "average R@1"), rows, note)


def by_group(answered: Answered) -> Figures:
    """Recall and mean rank of the queries of each group."""
    cutoffs = answered.task.cutoffs
    rows = []
    for model, ranked in answered.ranked.items():
        groups = np.array([query.group for query in ranked.queries])
        for group in dict.fromkeys(groups.tolist()):
            ranks = ranked.ranks[groups == group]
            recalls = [_percent(estimate((ranks <= k).astype(float))) for k in cutoffs]
            rows.append((group, f"{len(ranks):,}", model, *recalls, f"{ranks.mean():.1f}"))
    rows.sort(key=lambda row: row[0])
    header = ("condition", "queries", "model", *(f"R@{k}" for k in cutoffs), "mean rank")
    return Figures(f"{answered.task.name}: by condition", header, rows)


def told_missing(tasks: Sequence[Answered]) -> list[str]:
    """Lines that say how much of each task was evaluated and which pictures are missing; none when all is there."""
    lines = []
    for one in tasks:
        if not one.missing.reasons:
            continue
        lines.append(
            f"{one.task.name}: {one.evaluated:,} of {one.missing.asked:,} queries evaluated; "
            f"{len(one.missing.reasons):,} pictures are missing:"
        )
        named = [f"  {name}  {reason}" for name, reason in one.missing.reasons.items()]
        lines += named[:MISSING_NAMED]
        if len(named) > MISSING_NAMED:
            lines.append(f"  and {len(named) - MISSING_NAMED:,} more; --output FOLDER writes all of them")
    return lines


def write(
    folder: Path,
    title: str,
    tasks: Sequence[Answered],
    tables: Sequence[Figures],
    about: dict[str, Any],
    lead: str = "",
) -> None:
    """Write ``results.json``, ``answers.parquet`` (a row a query and model) and ``page.html`` into the folder.

    Args:
        about: what ``results.json`` says besides.
        lead: what the page says before its figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = {**about, "tasks": [_result(one) for one in tasks], **_averages(tasks)}
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([row for one in tasks for row in _answers(one)]), folder / "answers.parquet")
    shown = [(one.task, one.ranked) for one in tasks if one.evaluated]
    (folder / "page.html").write_text(page(title, tables, shown, lead), encoding="utf-8")


def encoders_of(models: Sequence[Retriever]) -> list[Encoder]:
    """The encoders of the models, each once."""
    return list({model.encoder.fingerprint: model.encoder for model in models}.values())


def _recalls(tasks: Sequence[Answered], models: Sequence[str], cutoffs: tuple[int, ...]) -> Figures:
    rows = []
    for one in tasks:
        for model in models:
            recalls = [_percent(recall(one, model, k)) for k in cutoffs]
            mean = one.ranked[model].ranks.mean() if one.evaluated else float("nan")
            rows.append((one.task.name, f"{one.evaluated:,} of {one.missing.asked:,}", model, *recalls, f"{mean:.1f}"))
    if len(tasks) > 1:
        for model in models:
            recalls = [_percent(average_recall(tasks, model, k)) for k in cutoffs]
            rows.append(("average", "", model, *recalls, ""))
    header = ("task", "queries", "model", *(f"R@{k}" for k in cutoffs), "mean rank")
    return Figures("Recall", header, rows, "Percent, with 95% bootstrap intervals over queries.")


def _differences(tasks: Sequence[Answered], models: Sequence[str]) -> Figures:
    rows = []
    for other in models[1:]:
        for name, some in [(one.task.name, [one]) for one in tasks] + ([("average", tasks)] if len(tasks) > 1 else []):
            compared = comparison(some, models[0], other)
            rows.append(
                (name, f"{models[0]} − {other}", _percent(compared.difference, sign=True), f"{compared.only_a:,}",
                 f"{compared.only_b:,}", f"{compared.p:.2g}")
            )  # fmt: skip
    header = ("task", "models", "difference of R@1", "only first right", "only second right", "p")
    note = "Points, with 95% paired bootstrap intervals; p of the exact McNemar test."
    return Figures("Differences", header, rows, note)


def _percent(figure: Estimate, *, sign: bool = False) -> str:
    form = "+.1f" if sign else ".1f"
    return f"{100 * figure.mean:{form}} [{100 * figure.low:{form}}, {100 * figure.high:{form}}]"


def _result(one: Answered) -> dict[str, Any]:
    models = {}
    for name, ranked in one.ranked.items():
        recalls = {f"recall@{k}": asdict(recall(one, name, k)) for k in one.task.cutoffs}
        models[name] = {**recalls, "mean_rank": float(ranked.ranks.mean()) if one.evaluated else None}
    names = list(one.ranked)
    return {
        "task": one.task.name,
        "queries": one.missing.asked,
        "evaluated": one.evaluated,
        "missing": one.missing.reasons,
        "models": models,
        "differences": {f"{names[0]} - {other}": asdict(comparison([one], names[0], other)) for other in names[1:]},
    }


def _averages(tasks: Sequence[Answered]) -> dict[str, Any]:
    names = list(tasks[0].ranked)
    return {
        "average_recall@1": {name: asdict(average_recall(tasks, name)) for name in names},
        "average_differences": {
            f"{names[0]} - {other}": asdict(comparison(tasks, names[0], other)) for other in names[1:]
        },
    }


def _answers(one: Answered) -> list[dict[str, Any]]:
    return [
        {
            "task": one.task.name,
            "model": model,
            "reference": query.reference,
            "condition": query.condition,
            "group": query.group,
            "right": list(query.right),
            "rank": int(place),
            "answers": answers,
        }
        for model, ranked in one.ranked.items()
        for query, place, answers in zip(ranked.queries, ranked.ranks, ranked.top, strict=True)
    ]
