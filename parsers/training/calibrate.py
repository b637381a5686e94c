"""From the network's own probabilities to the probability that a fact is true of its caption."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from parsers.compact import CompactParser, caption_length
from parsers.scene_graph import SceneGraph
from parsers.training.data import Fact

FACTS_PER_STEP = 50
KINDS = ("relation", "attribute")

Steps = dict[str, dict[str, dict[str, list[float]]]]
"""What ``parsers.compact.Calibration`` reads: by length of caption and kind of fact the probabilities ``from`` which
each ``confidence`` holds, both rising."""

_AS_IT_IS = [n / 2000 for n in range(2000)]
IDENTITY: Steps = {
    length: {kind: {"from": _AS_IT_IS, "confidence": _AS_IT_IS} for kind in KINDS} for length in ("short", "long")
}
"""Leaves the network's probabilities as they are, to the third digit."""

Judged = tuple[str, float, bool]
"""Kind of a fact, its confidence, and whether it is true."""


def judge(graphs: Sequence[SceneGraph], gold: Sequence[Sequence[Fact]], noun: Callable[[str], str]) -> Iterator[Judged]:
    """Every fact of the graphs that has a confidence, and whether people's facts agree with it in substance."""
    for graph, facts in zip(graphs, gold, strict=True):
        truth = {_singular(fact, noun) for fact in facts}

        def stated(*fact: str, truth: set[Fact] = truth) -> bool:
            return agrees(_singular(fact, noun), truth)

        for relation in graph.relations:
            if relation.confidence is not None:
                subject, object_ = graph.entities[relation.subject].head, graph.entities[relation.object].head
                yield "relation", relation.confidence, stated(subject, relation.predicate, object_)
        for entity in graph.entities:
            for attribute, confidence in zip(entity.attributes, entity.confidences or (), strict=False):
                yield "attribute", confidence, stated(entity.head, "is", attribute)
            if entity.quantity is not None and entity.quantity_confidence is not None:
                yield "attribute", entity.quantity_confidence, stated(entity.head, "is", entity.quantity)


def fit(parser: CompactParser, rows: Sequence[tuple[list[str], list[Fact]]], noun: Callable[[str], str]) -> Steps:
    """Isotonic regression (Zadrozny and Elkan 2002) of truth on the network's probability.

    Args:
        parser: gives the network's own probabilities (``IDENTITY``).
        rows: captions' tokens and people's facts, none of them trained on.
        noun: singular of a noun.
    """
    steps: Steps = {}
    for length in IDENTITY:
        chosen = [row for row in rows if caption_length(len(row[0])) == length]
        graphs = parser.parse([" ".join(tokens) for tokens, _ in chosen])
        judged = list(judge(graphs, [facts for _, facts in chosen], noun))
        steps[length] = {
            kind: _isotonic(
                np.array([confidence for kind_, confidence, _ in judged if kind_ == kind]),
                np.array([true for kind_, _, true in judged if kind_ == kind], float),
            )
            for kind in KINDS
        }
    return steps


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


def agrees(fact: Fact, facts: Iterable[Fact]) -> bool:
    """Whether facts say in substance what a fact says: labels give one reading of a caption where several are right.

    Things are compared by the last word of their names. A relation agrees with any relation of the two things, whatever
    its predicate and direction. An attribute agrees with one of the same thing with which it shares a word, and with a
    name of the thing that has the word in it ("brick building"). A thing alone agrees with any fact that names it.
    """
    facts = list(facts)
    if fact in facts:
        return True
    names = {name for other in facts for name in ((other[0], other[-1]) if relates(other) else (other[0],))}
    if len(fact) == 1:
        return any(_last(fact[0]) == _last(name) for name in names)
    if relates(fact):
        pair = {_last(fact[0]), _last(fact[2])}
        return any(relates(other) and {_last(other[0]), _last(other[2])} == pair for other in facts)
    words = set(fact[2].replace("-", " ").split())
    said = [other for other in facts if len(other) == 3 and not relates(other) and _last(other[0]) == _last(fact[0])]
    if any(words & set(other[2].replace("-", " ").split()) for other in said):
        return True
    return any(_last(name) == _last(fact[0]) and words & set(name.split()[:-1]) for name in names)


def relates(fact: Fact) -> bool:
    """Whether it is about two things."""
    return len(fact) == 3 and fact[1] != "is"


def _last(name: str) -> str:
    return name.rpartition(" ")[2]


def expected_calibration_error(judged: Sequence[Judged], bins: int = 10) -> float:
    """Mean distance of confidence and truth over bins of equal width, between 0 and 1 (Naeini et al. 2015)."""
    confidence = np.array([value for _, value, _ in judged])
    truth = np.array([true for _, _, true in judged], float)
    bin_ = np.minimum((confidence * bins).astype(int), bins - 1)
    errors = [abs((confidence - truth)[bin_ == number].sum()) for number in range(bins)]
    return float(sum(errors) / max(1, len(judged)))


def precision_of_surest_relations(judged: Sequence[Judged]) -> float:
    """Share of true facts among the more confident half of the relations."""
    relations = sorted((fact for fact in judged if fact[0] == "relation"), key=lambda fact: -fact[1])
    half = relations[: (len(relations) + 1) // 2]
    return sum(true for _, _, true in half) / max(1, len(half))


def _singular(fact: Sequence[str], noun: Callable[[str], str]) -> Fact:
    """The fact with every word but ``is`` in the singular, for labels keep the caption's number."""
    return tuple(part if part == "is" else " ".join(map(noun, part.split())) for part in fact)
