"""Your own axes of search: queries over a folder of pictures, with the right answers known.

A file of queries is JSON Lines, a query a line:

    {"reference": "chairs/12.jpg", "condition": "in red", "right": ["chairs/40.jpg", "chairs/41.jpg"], "group": "color"}

Pictures are named by their path in the gallery; a reference may also be a file elsewhere. ``group`` is what the query
is reported under, by default its condition.
"""

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from downstream.features import embed_texts
from downstream.gallery import Files, Gallery
from downstream.retrieval import unit
from downstream.retrievers import Retriever
from downstream.tasks import Query, Task, TaskError

CUTOFFS = (1, 5, 10)
TIMED = 50
"""Queries of which the time is taken."""


def read_queries(path: str | Path, gallery: Gallery) -> Task:
    """The queries of a file, over a gallery.

    Raises:
        TaskError: the file cannot be read, or a line is no query; names the line and says why.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from None
    queries = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            queries.append(_query(json.loads(line), gallery.root, Path(path).parent))
        except ValueError as error:
            raise TaskError(f"{path}, line {number}: {error}") from None
    if not queries:
        raise TaskError(f"{path} holds no query")
    return Task(Path(path).stem, queries, Files(gallery.root), CUTOFFS, gallery=tuple(gallery.names))


def seconds_a_query(task: Task, gallery: Gallery, model: Retriever) -> float:
    """Median time from a picture's file and a text to the ten best answers, one query at a time, of 50 queries."""
    taken = []
    pictures = Files(gallery.root)
    step = max(1, len(task.queries) // TIMED)
    for query in task.queries[::step][:TIMED]:
        began = time.perf_counter()
        pixels = torch.stack([model.encoder.preprocess(pictures.image(query.reference))])
        asked = model.combine(model.encoder.encode_images(pixels), embed_texts([query.condition], model.encoder))
        gallery.search(unit(asked)[0], 10, without=query.reference)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) if taken else float("nan")


def mean_rank(ranks: Sequence[int]) -> float:
    """Mean place of the first right answer, from 1."""
    return float(np.mean(ranks)) if len(ranks) else float("nan")


def _query(record: Any, gallery: Path, beside: Path) -> Query:
    if not isinstance(record, dict):
        raise ValueError("is not an object")
    for key in ("reference", "condition", "right"):
        if key not in record:
            raise ValueError(f"has no {key!r}")
    reference, condition, right = record["reference"], record["condition"], record["right"]
    right = [right] if isinstance(right, str) else right
    if not isinstance(reference, str) or not reference or not isinstance(condition, str):
        raise ValueError("reference and condition must be text")
    if not isinstance(right, list) or not right or not all(isinstance(name, str) for name in right):
        raise ValueError("right must be a list of names of pictures, of one at least")
    if reference in right:
        raise ValueError(f"the reference {reference} is among its own right answers")
    for name in right:
        if not (gallery / name).is_file():
            raise ValueError(f"right answer {name} is not in the gallery {gallery}")
    group = record.get("group", condition)
    if not isinstance(group, str):
        raise ValueError("group must be text")
    return Query(_found(reference, gallery, beside), condition, tuple(dict.fromkeys(right)), group=group)


def _found(reference: str, gallery: Path, beside: Path) -> str:
    """The reference's name: its path in the gallery, or else the whole path of a file."""
    if (gallery / reference).is_file() or not (beside / reference).is_file():
        return reference
    return str((beside / reference).resolve())
