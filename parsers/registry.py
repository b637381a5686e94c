"""Parsers by name."""

from collections.abc import Callable, Sequence
from typing import Protocol

from parsers.scene_graph import SceneGraph


class SceneGraphParser(Protocol):
    """Turns captions into scene graphs."""

    name: str

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        """Scene graphs of the captions, one each and in their order.

        A caption that cannot be parsed gives an empty graph; a caption never raises.
        """
        ...


def _compact() -> SceneGraphParser:
    from parsers.compact import CompactParser

    return CompactParser()


def _spacy() -> SceneGraphParser:
    from parsers.spacy_rules import SpacyParser  # spaCy takes a second to import: only who parses pays

    return SpacyParser()


def _factual_t5() -> SceneGraphParser:
    from parsers.factual_t5 import FactualT5Parser

    return FactualT5Parser()


PARSERS: dict[str, Callable[[], SceneGraphParser]] = {
    "compact": _compact,
    "spacy": _spacy,
    "factual-t5": _factual_t5,
}
DEFAULT = "compact"


def load(name: str = "default") -> SceneGraphParser:
    """The parser of that name, loaded and ready.

    Raises:
        ValueError: no parser has that name.
        RuntimeError: the parser's model is not installed; the message says how to install it.
    """
    try:
        factory = PARSERS[DEFAULT if name == "default" else name]
    except KeyError:
        raise ValueError(f"no parser {name!r}; known: default, {', '.join(sorted(PARSERS))}") from None
    return factory()
