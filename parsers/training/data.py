"""Captions with scene graphs, as read from files and as the networks learn from them."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from parsers.encoding import Pairs
from parsers.notation import read_facts
from parsers.tokens import tokenize

MAX_TOKENS = 45
"""Longer captions are left out of training."""

Fact = tuple[str, ...]
"""``(subject, predicate, object)``, ``(subject, "is", attribute)`` or ``(thing,)``."""


@dataclass
class Example:
    """A caption to learn from.

    Attributes:
        tokens: the caption's tokens.
        pairs: its graph as labelled token pairs.
        facts: the graph itself; empty for captions labelled by a teacher.
        weight: how much it counts in the loss.
        soft_arcs: probability of each arc label for each pair, float16 [tokens, tokens, arcs], where a teacher has
            read the caption; None where it has not.
        soft_predicates: likewise of each predicate label for each relation pair, float32 [labels].
        soft_copies: likewise that each token is copied into the predicate, float32 [tokens].
    """

    tokens: list[str]
    pairs: Pairs
    facts: list[Fact]
    weight: float = 1.0
    soft_arcs: np.ndarray | None = None
    soft_predicates: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    soft_copies: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)


def read_factual(path: Path) -> list[tuple[list[str], list[Fact]]]:
    """Captions of a FACTUAL file (comma-separated, columns ``caption`` and ``scene_graph``)."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(tokenize(row["caption"])[0], read_facts(row["scene_graph"])) for row in csv.DictReader(file)]


def read_web(path: Path) -> list[tuple[list[str], list[Fact]]]:
    """Captions of this project's labels (tab-separated, never quoted, same columns)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(tokenize(row["caption"])[0], read_facts(row["scene_graph"])) for row in rows]


@dataclass(frozen=True)
class Readings:
    """Everything that may be said of a caption, all its readings together.

    Attributes:
        required: what has to be said, each as the facts that say it: one of them is enough.
        acceptable: what may be said besides.
    """

    required: list[set[Fact]]
    acceptable: set[Fact]


def read_readings(path: Path) -> list[Readings]:
    """Readings by row of the labels (see ``parsers/data/web/README.md``)."""
    readings: dict[int, Readings] = {}
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            row, kind, alternatives = line.rstrip("\n").split("\t")
            read = readings.setdefault(int(row), Readings([], set()))
            facts = {fact for alternative in alternatives.split(" | ") for fact in read_facts(alternative)}
            if kind == "required":
                read.required.append(facts)
            elif kind == "acceptable":
                read.acceptable.update(facts)
    return [readings[row] for row in range(len(readings))]


def read_captions(path: Path) -> list[str]:
    """Captions without labels: Conceptual Captions' ``caption<TAB>url`` or Flickr8k's ``image#k<TAB>caption``."""
    column = 1 if path.name.endswith(".token.txt") else 0
    with path.open(encoding="utf-8", newline="\n") as file:  # other line ends are part of captions
        return [line.split("\t")[column].strip() for line in file if "\t" in line]


def usable(examples: Iterable[Example]) -> list[Example]:
    return [example for example in examples if 0 < len(example.tokens) <= MAX_TOKENS]
