"""FACTUAL's notation of scene graphs (Li et al., ACL 2023 Findings), read: the way back from ``to_factual``."""

import re
from dataclasses import replace

from parsers.scene_graph import Entity, Relation, SceneGraph

_BETWEEN_FACTS = re.compile(r"\)\s*,?\s*\(")
_NUMBER = re.compile(r"\d[\d.,]*")
_FACTUAL_MARKS = re.compile(r"\bp?v:(?=\s*\w)|:\d+\b")
"""Marks of FACTUAL's MR notation: verbs ("v:", passive "pv:") and numbers that tell things of one name apart."""


def read_facts(notation: str) -> list[tuple[str, ...]]:
    """The facts of a graph: ``(subject, predicate, object)``, ``(subject, "is", attribute)``, ``(thing,)``.

    What is no fact is left out: a model that writes the notation may break off in the middle of one. A fact of more
    than three parts has commas in its predicate, as FACTUAL's own evaluation reads it.
    """
    text = " ".join(_FACTUAL_MARKS.sub("", notation).split())
    complete = text[: text.rfind(")") + 1]
    facts = []
    for fact in _BETWEEN_FACTS.split(complete):
        parts = [part.strip() for part in fact.strip().strip("()").split(",")]
        if not all(parts) or len(parts) == 2:
            continue
        facts.append((parts[0], " ".join(parts[1:-1]), parts[-1]) if len(parts) > 3 else tuple(parts))
    return list(dict.fromkeys(facts))


def read_graph(notation: str, caption: str = "") -> SceneGraph:
    """The graph that the notation states.

    Things of one name are one entity, for the notation cannot tell them apart; only where one is related to another of
    its name ("tree next to tree") there are two.

    Args:
        caption: where the things' names are looked up, for the entities' text; a name that it lacks is its own text.
    """
    entities: list[Entity] = []
    positions: dict[tuple[str, bool], int] = {}

    def position(head: str, *, other: bool = False) -> int:
        if (head, other) not in positions:
            positions[head, other] = len(entities)
            entities.append(Entity(head, _words(head, caption)))
        return positions[head, other]

    relations: list[Relation] = []
    for head, *rest in read_facts(notation.lower()):
        subject = position(head)
        if not rest:
            continue
        predicate, value = rest
        if predicate != "is":
            relations.append(Relation(subject, predicate, position(value, other=value == head)))
        elif _NUMBER.fullmatch(value) and entities[subject].quantity is None:
            entities[subject] = replace(entities[subject], quantity=value)
        else:
            entities[subject] = replace(entities[subject], attributes=(*entities[subject].attributes, value))
    return SceneGraph(tuple(entities), tuple(relations))


def _words(head: str, caption: str) -> str:
    found = re.search(rf"\b{re.escape(head)}(?:s|es)?\b", caption, re.IGNORECASE)
    return found[0] if found else head
