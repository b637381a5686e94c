"""Captions with some of their words exchanged for others of the same use, for a teacher to label.

A small network learns what a teacher knows best from many captions that the teacher has read, and people write few; it
need not matter that nobody would say these (Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple
Neural Networks"; the choice of near words is that of TinyBERT, Jiao et al. 2020).
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from parsers.encoding import ATTRIBUTE, COMPOUND, PART, RELATION
from parsers.lexicon import PREPOSITIONS
from parsers.training.data import Example

EXCHANGED = 0.4
"""Chance of a word that has a use to be exchanged."""
SEEN_AT_LEAST = 3
"""Occurrences in a use from which a word may stand for others in it."""
NEAREST = 12
"""Words from which one is drawn: those with the nearest vectors."""
_ENDINGS = ("ing", "ed", "s")

Use = tuple[str, str]
"""What a token does in its caption's graph, and its ending."""


class Alterer:
    """Exchanges words.

    Args:
        examples: people's, from which the uses of words are learned.
        vectors: of words, float32 [size]; words without one are never exchanged.
        rng: draws.
    """

    def __init__(self, examples: Sequence[Example], vectors: Mapping[str, np.ndarray], rng: random.Random) -> None:
        self._rng = rng
        seen: defaultdict[Use, Counter[str]] = defaultdict(Counter)
        for example in examples:
            for position, use in uses(example).items():
                seen[use][example.tokens[position]] += 1
        self._near: dict[Use, dict[str, list[str]]] = {}
        for use, counts in seen.items():
            words = [word for word, count in counts.items() if count >= SEEN_AT_LEAST and word in vectors]
            if len(words) > 1:
                self._near[use] = _nearest(words, vectors)

    def __call__(self, example: Example) -> list[str]:
        """The caption's tokens with some exchanged."""
        tokens = list(example.tokens)
        for position, use in uses(example).items():
            near = self._near.get(use, {}).get(tokens[position])
            if near and self._rng.random() < EXCHANGED:
                tokens[position] = self._rng.choice(near)
        return tokens


def uses(example: Example) -> dict[int, Use]:
    """The use of each token of a caption that has one: thing, describing word, attribute, or word of a predicate."""
    found: dict[int, str] = {}
    for (head, other), arc in example.pairs.arcs.items():
        if arc in (COMPOUND, PART):
            found[other] = "describing"
        elif arc == ATTRIBUTE:
            found.setdefault(other, "attribute")
        if arc != PART:
            found[head] = "thing"
        if arc == RELATION:
            found[other] = "thing"
            for position in example.pairs.copied.get((head, other), ()):
                if example.tokens[position] not in PREPOSITIONS:
                    found.setdefault(position, "predicate")
    return {position: (use, _ending(example.tokens[position])) for position, use in found.items()}


def _ending(word: str) -> str:
    return next((ending for ending in _ENDINGS if word.endswith(ending)), "")


def _nearest(words: Sequence[str], vectors: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    rows = np.stack([vectors[word] for word in words])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9
    near = {}
    for word, similarity in zip(words, rows @ rows.T, strict=True):
        order = similarity.argsort()[::-1][: NEAREST + 1]
        near[word] = [words[index] for index in order if words[index] != word]
    return near
