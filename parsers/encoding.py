"""Scene graphs as labelled pairs of a caption's tokens: what the compact parser's network predicts.

An ordered pair ``(head, other)`` of token positions has one of ``ARCS``:

- ``compound``: ``other`` belongs to the name of the thing ``head`` ("tennis" to "court");
- ``attribute``: the thing ``head`` is ``other``;
- ``part``: ``other`` belongs to the attribute ``head`` ("dark" to "blue");
- ``relation``: the thing ``head`` relates to the thing ``other``; at ``(head, head)`` to another of its kind ("boats
  next to each other");
- ``thing``, only at ``(head, head)``: a thing that takes part in no fact.

A relation's predicate is either one of a list of whole predicates, or copied: the lemmas of some tokens, in order.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from parsers.lemmas import Lemmatizer
from parsers.lexicon import GROUP_NOUNS, GROUP_QUANTITIES, NUMBERS, PREPOSITIONS, PRONOUNS
from parsers.negation import negated_tokens
from parsers.scene_graph import Entity, Relation, SceneGraph

ARCS = ("none", "compound", "attribute", "part", "relation", "thing")
NONE, COMPOUND, ATTRIBUTE, PART, RELATION, THING = range(len(ARCS))

COPIED = "copied"
"""The predicate label of relations whose predicate's words are in the caption; the first of every label list."""

_NUMBERS = NUMBERS | GROUP_QUANTITIES
_DETERMINERS = frozenset("a an the this that these those his her its their my your our some".split())
_ARTICLES = frozenset(["a", "an"])
_INSIDE_NAMES = frozenset("and , - & '".split())


@dataclass(slots=True)
class Pairs:
    """The labelled token pairs of one caption.

    Attributes:
        arcs: arc label by pair of token positions, without those labelled ``none``.
        predicates: of each relation pair the label: ``COPIED`` or a whole predicate.
        copied: of each relation pair with a copied predicate the tokens it is made of, in order.
        arc_scores: probability of each pair's arc, where it was predicted.
        predicate_scores: probability of each relation's predicate, where it was predicted.
    """

    arcs: dict[tuple[int, int], int] = field(default_factory=dict)
    predicates: dict[tuple[int, int], str] = field(default_factory=dict)
    copied: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    arc_scores: dict[tuple[int, int], float] = field(default_factory=dict)
    predicate_scores: dict[tuple[int, int], float] = field(default_factory=dict)


Calibration = Callable[[str, float], float]
"""Probability that a fact is true of the caption, by its kind (``relation``, ``attribute``) and the network's own."""


class Words:
    """What a token becomes in a graph, by its role.

    Nouns of names become singular, verbs of predicates infinitives, numbers digits. Where annotators consistently wrote
    something else for a token, ``learned`` has it; it has only what was seen often enough to be trusted.
    """

    def __init__(self, learned: Mapping[str, Mapping[str, str]], lemmatizer: Lemmatizer) -> None:
        self._learned = learned
        self._lemmatizer = lemmatizer

    def name(self, tokens: Sequence[str]) -> str:
        """The name of a thing: its last word in the singular, the words before it as they are."""
        learned, (*describing, last) = self._learned["name"], tokens
        name = " ".join((*describing, learned.get(last) or self._lemmatizer.noun(last)))
        return learned.get(name, name)

    def attribute(self, tokens: Sequence[str]) -> str:
        learned = self._learned["attribute"]
        if len(tokens) == 1:
            return _NUMBERS.get(tokens[0]) or learned.get(tokens[0], tokens[0])
        attribute = " ".join([learned.get(token, token) for token in tokens])
        return learned.get(attribute, attribute)

    def predicate(self, tokens: Sequence[str]) -> str:
        learned = self._learned["predicate"]
        words = [learned.get(t) or w for t, w in zip(tokens, infinitives(tokens, self._lemmatizer), strict=True)]
        # A network unsure which of two equal prepositions it means copies both.
        words = [word for word, _ in itertools.groupby(words)]
        for start in range(len(words) - 1):
            if whole := learned.get(" ".join(words[start:])):
                return " ".join((*words[:start], whole))
        return " ".join(words)


def infinitives(tokens: Sequence[str], lemmatizer: Lemmatizer) -> list[str]:
    """A predicate's words, its verb in the infinitive; the "left" of "to the left of" is none."""
    return [t if t == "left" and place else lemmatizer.verb(t) for place, t in enumerate(tokens)]


def decode(
    tokens: Sequence[str],
    pairs: Pairs,
    words: Words,
    *,
    text: str = "",
    spans: Sequence[tuple[int, int]] = (),
    calibration: Calibration | None = None,
) -> SceneGraph:
    """The scene graph that labelled pairs stand for; facts under a negation or of a pronoun are left out.

    Args:
        tokens: the caption's tokens.
        pairs: positions must be below ``len(tokens)``.
        words: turns tokens into words of the graph.
        text: the caption, from which entities take their surface text; without it they take their tokens.
        spans: where the tokens stand in ``text``.
        calibration: gives facts their confidence; without it they have none.
    """
    if not pairs.arcs:
        return SceneGraph()
    pairs = _without_groups(tokens, pairs)
    compounds: dict[int, list[int]] = {}
    parts: dict[int, list[int]] = {}
    for (head, other), arc in pairs.arcs.items():
        if arc == COMPOUND:
            compounds.setdefault(head, []).append(other)
        elif arc == PART:
            parts.setdefault(head, []).append(other)
    negated = negated_tokens(tokens)
    unnamed = {position for pair in pairs.arcs for position in pair if tokens[position] in PRONOUNS}

    attributes: dict[int, list[int]] = {}
    relations: list[tuple[int, int, str]] = []
    things: set[int] = set()
    for pair in sorted(pairs.arcs):
        arc = pairs.arcs[pair]
        head, other = pair
        if arc in (COMPOUND, PART) or head in negated or other in negated or head in unnamed:
            continue
        if arc == RELATION and other in unnamed:
            continue
        if arc == THING:
            things.add(head)
        elif arc == ATTRIBUTE:
            if tokens[other] in _NUMBERS and not _ARTICLES.isdisjoint(tokens[other + 1 : head]):
                continue  # of "two men and a dog" the dog is not two
            attributes.setdefault(head, []).append(other)
            things.add(head)
        elif predicate := _predicate(pairs, pair, tokens, words, negated):
            relations.append((head, other, predicate))
            things.update(pair)
    if not things:
        return SceneGraph()

    heads = sorted(things)
    entities = []
    for head in heads:
        name = sorted({head, *compounds.get(head, ())})
        values: list[str] = []
        confidences: list[float] = []
        quantity = quantity_confidence = None
        own = set(name)
        for position in attributes.get(head, ()):
            value_tokens = sorted({position, *parts.get(position, ())})
            own.update(value_tokens)
            value = words.attribute([tokens[token] for token in value_tokens])
            confidence = calibration("attribute", pairs.arc_scores[head, position]) if calibration else None
            if quantity is None and value.isdecimal():
                quantity, quantity_confidence = value, confidence
            elif value not in values:
                values.append(value)
                if confidence is not None:
                    confidences.append(confidence)
        if quantity is None and (counted := _counted_by_group(tokens, min(own))):
            quantity, quantity_confidence = counted, calibration("attribute", 1.0) if calibration else None
        start, end = _surface(tokens, head, own)
        entities.append(
            Entity(
                head=words.name([tokens[token] for token in name]),
                text=text[spans[start][0] : spans[end][1]] if spans else " ".join(tokens[start : end + 1]),
                attributes=tuple(values),
                quantity=quantity,
                confidences=tuple(confidences) if calibration else None,
                quantity_confidence=quantity_confidence,
            )
        )
    index = {head: number for number, head in enumerate(heads)}
    twins = {}
    for head, other, _ in relations:
        if head == other and head not in twins:
            twins[head] = len(entities)
            entities.append(Entity(entities[index[head]].head, entities[index[head]].text))
    return SceneGraph(
        tuple(entities),
        tuple(
            Relation(
                index[head],
                predicate,
                index[other] if other != head else twins[head],
                calibration("relation", pairs.arc_scores[head, other] * pairs.predicate_scores[head, other])
                if calibration
                else None,
            )
            for head, other, predicate in relations
        ),
    )


def _counted_by_group(tokens: Sequence[str], first: int) -> str | None:
    """How many a thing is whose words begin at ``first``, by the words before it: 2 for "a couple of (dogs)"."""
    return GROUP_QUANTITIES.get(tokens[first - 2]) if first >= 2 and tokens[first - 1] == "of" else None


def _without_groups(tokens: Sequence[str], pairs: Pairs) -> Pairs:
    """The pairs with words of quantity replaced by what they count: of "a couple of dogs", the dogs, and how many."""
    groups = {
        head: other
        for (head, other), copied in pairs.copied.items()
        if tokens[head] in GROUP_NOUNS and copied == (head + 1,) and tokens[head + 1] == "of"
    }
    if not groups:
        return pairs

    def renamed(pair: tuple[int, int]) -> tuple[int, int]:
        return groups.get(pair[0], pair[0]), groups.get(pair[1], pair[1])

    arcs: dict[tuple[int, int], int] = {}
    scores: dict[tuple[int, int], float] = {}
    for pair, arc in pairs.arcs.items():
        target = renamed(pair)
        if groups.get(pair[0]) == pair[1]:
            if tokens[pair[0]] not in GROUP_QUANTITIES:
                continue
            target, arc = (pair[1], pair[0]), ATTRIBUTE
        if target[0] != target[1] or arc == THING:
            arcs.setdefault(target, arc)
            scores.setdefault(target, pairs.arc_scores.get(pair, 0.0))
    return Pairs(
        arcs,
        {renamed(pair): label for pair, label in pairs.predicates.items()},
        {renamed(pair): copied for pair, copied in pairs.copied.items()},
        scores,
        {renamed(pair): score for pair, score in pairs.predicate_scores.items()},
    )


def predicate_order(
    tokens: Sequence[str], copied: Sequence[int], pair: tuple[int | None, int | None]
) -> tuple[int, ...]:
    """The order in which a predicate's tokens are read: a preposition that was moved to the front goes to the end.

    "a shop in which a man buys bread" is (man, buy in, shop).
    """
    for place, (before, after) in enumerate(itertools.pairwise(copied), 1):
        if tokens[before] not in PREPOSITIONS:
            break
        if any(position is not None and before < position < after for position in pair):
            return (*copied[place:], *copied[:place])
    return tuple(copied)


def _predicate(
    pairs: Pairs, pair: tuple[int, int], tokens: Sequence[str], words: Words, negated: frozenset[int]
) -> str | None:
    label = pairs.predicates[pair]
    if label != COPIED:
        return label
    copied = pairs.copied[pair]
    if not negated.isdisjoint(copied):
        return None
    return words.predicate([tokens[token] for token in predicate_order(tokens, copied, pair)])


def _surface(tokens: Sequence[str], head: int, own: set[int]) -> tuple[int, int]:
    """First and last token of the words in front of ``head`` that are about it, article included, and of its name."""
    start = position = head
    while position > 0 and (position - 1 in own or tokens[position - 1] in _INSIDE_NAMES):
        position -= 1
        if position in own:
            start = position
    if start > 0 and tokens[start - 1] in _DETERMINERS:
        start -= 1
    return start, head
