"""What is true of a toy picture, as rows of facts in every wording that a caption may use."""

from collections.abc import Iterator
from typing import NamedTuple

from toyworld.captions import WORDINGS
from toyworld.scenes import Scene

_AXES = ("color", "pattern", "size")
_WITHIN = ("on", "in", "at")


class Fact(NamedTuple):
    """One true statement in the columns of facetmine's table ``facts``.

    Attributes:
        subject: shape or place.
        predicate: of a relation, else None.
        object: of a relation, else None.
        attribute: value of a property, else None.
        axis: the property: "color", "pattern" or "size"; None for relations.
    """

    subject: str
    predicate: str | None
    object: str | None
    attribute: str | None
    axis: str | None


def facts(scene: Scene) -> list[Fact]:
    """Everything that is true of the picture and can be said in captions, synonyms as rows of their own."""
    return list(dict.fromkeys(_facts(scene)))


def _facts(scene: Scene) -> Iterator[Fact]:
    for thing in scene.things:
        for axis in _AXES:
            for word in wordings(getattr(thing, axis)):
                yield Fact(thing.shape, None, None, word, axis)
        for place in wordings(scene.place):
            for predicate in _WITHIN:
                yield Fact(thing.shape, predicate, place, None, None)
    for subject, relation, other in scene.relations:
        for predicate in wordings(relation):
            yield Fact(subject, predicate, other, None, None)


def wordings(value: str) -> tuple[str, ...]:
    """The words for a value, each once, the plainest first."""
    return tuple(dict.fromkeys((value, *WORDINGS.get(value, ()))))
