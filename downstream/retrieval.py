"""Ranking: where the first right answer stands among a query's gallery, by cosine similarity.

The published evaluator (Vaze et al., CVPR 2023) puts the target first in the gallery and sorts similarities, so what it
gives to ties hangs on the sort. Here a tie counts against the answer: a model that maps all pictures to one point has
Recall@1 of nought, not of 100. A copy of the right picture in its gallery is the right picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from downstream.tasks import Missing, Query, Task

CHUNK = 1024
"""Queries ranked at once against a gallery of the whole task."""

Features = npt.NDArray[np.float32]
Combine = Callable[[Features, Features], Features]
"""Query features of reference features and text features: [n, d], [n, d] to [n, d]."""


@dataclass(frozen=True)
class Embedded:
    """A task's pictures and texts as features, whatever model combines them.

    Attributes:
        rows: row of each picture's features by name; a picture that cannot be had has none.
        images: [m, d], as the encoder gives them.
        texts: [t, d].
        text_rows: row of each condition.
        missing: what could not be had.
    """

    rows: dict[str, int]
    images: Features
    texts: Features
    text_rows: dict[str, int]
    missing: Missing


@dataclass(frozen=True)
class Ranked:
    """What a model makes of a task.

    Attributes:
        queries: the queries that could be asked, in the task's order.
        ranks: [n], place of the first right answer of each, from 1.
        top: for each, names of the best answers, best first.
    """

    queries: list[Query]
    ranks: npt.NDArray[np.int64]
    top: list[list[str]]

    def hits(self, k: int) -> npt.NDArray[np.float64]:
        """1 where a right answer is among the first k, else 0; its mean is Recall@k."""
        return (self.ranks <= k).astype(np.float64)


def rank(task: Task, embedded: Embedded, combine: Combine, top: int = 10) -> Ranked:
    """Rank the gallery of every query that lacks no picture."""
    queries = [query for query in task.queries if all(name in embedded.rows for name in query.needs)]
    references = np.array([embedded.rows[query.reference] for query in queries], np.int64)
    texts = np.array([embedded.text_rows[query.condition] for query in queries], np.int64)
    gallery = unit(embedded.images)
    whole = _whole_gallery(task, embedded)
    ranks = np.zeros(len(queries), np.int64)
    best: list[list[str]] = [[]] * len(queries)
    names = list(embedded.rows)
    for begin in range(0, len(queries), CHUNK):
        part = slice(begin, begin + CHUNK)
        asked = unit(combine(embedded.images[references[part]], embedded.texts[texts[part]]))
        common = asked @ gallery[whole].T if len(whole) else None
        for row, query in enumerate(queries[part]):
            right = np.array([embedded.rows[name] for name in query.right], np.int64)
            if query.gallery is None:
                assert common is not None
                rows, similarities = whole, common[row].copy()
                if query.reference not in query.right:
                    similarities[whole == embedded.rows[query.reference]] = -np.inf
            else:
                rows = np.array([embedded.rows[name] for name in (*query.right, *query.gallery)], np.int64)
                similarities = gallery[rows] @ asked[row]
            is_right = np.isin(rows, right)
            ranks[begin + row] = rank_of_first_right(similarities, is_right)
            best[begin + row] = [names[rows[index]] for index in best_first(similarities, top)]
    return Ranked(queries, ranks, best)


def rank_of_first_right(similarities: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> int:
    """Place, from 1, of the first right answer when sorted by falling similarity; wrong answers win ties.

    Args:
        similarities: [m]; what is not a number comes last.
        right: [m], at least one is true.
    """
    known = np.where(np.isnan(similarities), -np.inf, similarities)
    return 1 + int((known[~right] >= known[right].max()).sum())


def best_first(similarities: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.int64]:
    """Positions of the highest similarities, highest first, ties by position; those at minus infinity never come."""
    count = min(count, len(similarities))
    found = np.argpartition(-similarities, count - 1)[:count] if count < len(similarities) else np.arange(count)
    found = found[np.lexsort((found, -similarities[found]))]
    return found[similarities[found] > -np.inf]


def unit(features: Features) -> Features:
    """Features at length one; a row of zeros stays."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), np.float32)


def _whole_gallery(task: Task, embedded: Embedded) -> npt.NDArray[np.int64]:
    return np.unique(np.array([embedded.rows[name] for name in task.gallery if name in embedded.rows], np.int64))
