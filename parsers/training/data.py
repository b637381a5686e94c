"""Captions with scene graphs, as read from files and as the networks learn from them."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parsers.encoding import Pairs
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
        soft_arcs: probability of each arc label for each pair by a teacher, float16 [tokens, tokens, arcs]; None where
            the labels are people's.
    """

    tokens: list[str]
    pairs: Pairs
    facts: list[Fact]
    weight: float = 1.0
    soft_arcs: np.ndarray | None = None


def read_factual(path: Path) -> list[tuple[list[str], list[Fact]]]:
    """Captions of a FACTUAL file (comma-separated, columns ``caption`` and ``scene_graph``)."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(tokenize(row["caption"])[0], parse_facts(row["scene_graph"])) for row in csv.DictReader(file)]


def read_web(path: Path) -> list[tuple[list[str], list[Fact]]]:
    """Captions of this project's labels (tab-separated, never quoted, same columns)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(tokenize(row["caption"])[0], parse_facts(row["scene_graph"])) for row in rows]


def read_captions(path: Path) -> list[str]:
    """Captions without labels: Conceptual Captions' ``caption<TAB>url`` or Flickr8k's ``image#k<TAB>caption``."""
    column = 1 if path.name.endswith(".token.txt") else 0
    with path.open(encoding="utf-8", newline="\n") as file:  # other line ends are part of captions
        return [line.split("\t")[column].strip() for line in file if "\t" in line]


def parse_facts(graph: str) -> list[Fact]:
    """The facts of a graph in FACTUAL's notation, ``( man , ride , horse ) , ( horse , is , brown )``."""
    facts = []
    for text in graph.strip().removeprefix("(").removesuffix(")").split(") , ("):
        parts = [part.strip() for part in text.strip(" ()").split(" , ")]
        parts = [part for part in parts if part]
        if len(parts) > 3:
            parts = [parts[0], " ".join(parts[1:-1]), parts[-1]]
        if len(parts) == 2:
            parts.insert(1, "is")
        if parts:
            facts.append(tuple(parts))
    return list(dict.fromkeys(facts))


def usable(examples: Iterable[Example]) -> list[Example]:
    return [example for example in examples if 0 < len(example.tokens) <= MAX_TOKENS]
