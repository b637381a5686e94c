"""From the network's own probabilities to the probability that a fact is true of its caption."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from parsers.scene_graph import SceneGraph
from parsers.training.data import Fact
from parsers.training.score import normalised

FACTS_PER_STEP = 50
KINDS = ("relation", "attribute")

IDENTITY = {
    kind: {"from": [n / 2000 for n in range(2000)], "confidence": [n / 2000 for n in range(2000)]} for kind in KINDS
}
"""Leaves the network's probabilities as they are, to the third digit."""

Judged = tuple[str, float, bool]
"""Kind of a fact, its confidence, and whether people state it."""


def judge(graphs: Sequence[SceneGraph], gold: Sequence[Sequence[Fact]], noun: Callable[[str], str]) -> Iterator[Judged]:
    """Every fact of the graphs that has a confidence, against people's facts."""
    for graph, facts in zip(graphs, gold, strict=True):
        truth = normalised(facts, noun)

        def stated(*fact: str, truth: set[Fact] = truth) -> bool:
            return not normalised([fact], noun).isdisjoint(truth)

        for relation in graph.relations:
            if relation.confidence is not None:
                subject, object_ = graph.entities[relation.subject].head, graph.entities[relation.object].head
                yield "relation", relation.confidence, stated(subject, relation.predicate, object_)
        for entity in graph.entities:
            for attribute, confidence in zip(entity.attributes, entity.confidences or (), strict=False):
                yield "attribute", confidence, stated(entity.head, "is", attribute)
            if entity.quantity is not None and entity.quantity_confidence is not None:
                yield "attribute", entity.quantity_confidence, stated(entity.head, "is", entity.quantity)


def fit(judged: Sequence[Judged]) -> dict[str, dict[str, list[float]]]:
    """Isotonic regression (Zadrozny and Elkan 2002) of truth on the network's probability, for each kind of fact.

    Returns:
        by kind the probabilities ``from`` which each ``confidence`` holds, both rising.
    """
    return {
        kind: _isotonic(
            np.array([confidence for kind_, confidence, _ in judged if kind_ == kind]),
            np.array([true for kind_, _, true in judged if kind_ == kind], float),
        )
        for kind in KINDS
    }


def _isotonic(scores: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
    order = scores.argsort(kind="stable")
    # [first score, facts, true facts] of steps, merged while one is not above the one before (pool adjacent violators).
    steps: list[list[float]] = []
    for chosen in np.array_split(order, max(1, len(order) // FACTS_PER_STEP)):
        steps.append([float(scores[chosen[0]]), float(len(chosen)), float(truth[chosen].sum())])
        while len(steps) > 1 and steps[-1][2] * steps[-2][1] <= steps[-2][2] * steps[-1][1]:
            _, facts, true = steps.pop()
            steps[-1][1] += facts
            steps[-1][2] += true
    # Laplace's rule keeps a step of only true facts from claiming certainty.
    return {
        "from": [start for start, _, _ in steps],
        "confidence": [round((true + 1) / (facts + 2), 4) for _, facts, true in steps],
    }


def expected_calibration_error(judged: Sequence[Judged], bins: int = 10) -> float:
    """Mean distance of confidence and truth over equal-width bins, in percentage points (Naeini et al. 2015)."""
    confidence = np.array([value for _, value, _ in judged])
    truth = np.array([true for _, _, true in judged], float)
    bin_ = np.minimum((confidence * bins).astype(int), bins - 1)
    errors = [abs((confidence - truth)[bin_ == number].sum()) for number in range(bins)]
    return float(100 * sum(errors) / max(1, len(judged)))


def top_half_precision(judged: Sequence[Judged]) -> float:
    """Share of true facts among the most confident half of the relation facts, in percent."""
    relations = sorted((fact for fact in judged if fact[0] == "relation"), key=lambda fact: -fact[1])
    half = relations[: max(1, len(relations) // 2)]
    return 100 * sum(true for _, _, true in half) / max(1, len(half))
