"""Parsers by name."""

import hashlib
import importlib.metadata
import os
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


def _compact_model() -> str:
    from parsers.compact import ARTEFACT

    content = hashlib.sha256()
    for path in sorted(ARTEFACT.iterdir()):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()


def _spacy_model() -> str:
    from parsers.spacy_rules import MODELS

    for name in MODELS:
        try:
            return f"{name} {importlib.metadata.version(name.replace('_', '-'))}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _factual_t5_model() -> str:
    from parsers.factual_t5 import MODEL, MODEL_VARIABLE

    return os.environ.get(MODEL_VARIABLE) or MODEL


_MODELS: dict[str, Callable[[], str]] = {
    "compact": _compact_model,
    "spacy": _spacy_model,
    "factual-t5": _factual_t5_model,
}


def fingerprint(name: str = "default") -> str:
    """Parser and model as a short text: what was parsed by another one is to be parsed anew.

    The default parser's is a checksum of its weights; of a model that is a package of its own, name and version count.
    """
    name = DEFAULT if name == "default" else name
    return f"{name} {_MODELS[name]()}"


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
