"""The peer: sng_parser (package SceneGraphParser, rules over spaCy), behind the interface of facetmine's parsers."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import sng_parser

from parsers import Entity, Relation, SceneGraph
from parsers.lexicon import NUMBERS
from parsers.spacy_rules import MODELS


class SngParser:
    """Its graphs as facetmine's: lemmas as it gives them, articles left out, number words as digits."""

    name = "sng_parser"

    def __init__(self) -> None:
        self._parser: Any = sng_parser.Parser("spacy", model=next(m for m in MODELS if importlib.util.find_spec(m)))

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        """Scene graphs of the captions, one each and in their order."""
        return [_graph(self._parser.parse(caption)) for caption in captions]


def _graph(parsed: dict[str, Any]) -> SceneGraph:
    entities = []
    for thing in parsed["entities"]:
        said = [
            m["lemma_span"].lower() for m in thing["modifiers"] if m["dep"] not in ("det", "poss") and m["lemma_span"]
        ]
        numbers = [NUMBERS.get(word, word) for word in said if word in NUMBERS or word.isdigit()]
        values = [word for word in said if word not in NUMBERS and not word.isdigit()]
        entities.append(
            Entity(thing["lemma_head"].lower(), thing["span"], tuple(values), numbers[0] if numbers else None)
        )
    relations = tuple(Relation(r["subject"], r["lemma_relation"].lower(), r["object"]) for r in parsed["relations"])
    return SceneGraph(tuple(entities), relations)
