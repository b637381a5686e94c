"""What a caption states: things, what they are, and how they relate."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that a caption names.

    Attributes:
        head: the thing's name, lower-case lemma, compounds kept: ``"tennis court"``.
        text: the words of the caption that name it: ``"the tennis courts"``.
        attributes: what the caption says it is, in the order of the caption: ``("red", "smiling")``.
        quantity: how many, as digits where the number is plain: ``"2"``; None where the caption does not say.
        confidences: probability that the caption states each attribute, parallel to ``attributes``; None where the
            parser gives none.
        quantity_confidence: likewise for the quantity.
    """

    head: str
    text: str
    attributes: tuple[str, ...] = ()
    quantity: str | None = None
    confidences: tuple[float, ...] | None = None
    quantity_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """How two things relate: ``entities[subject] predicate entities[object]``.

    Attributes:
        subject: index into the graph's entities.
        predicate: verb lemma and prepositions: ``"ride"``, ``"sit on"``, ``"in front of"``.
        object: index into the graph's entities.
        confidence: probability that the caption states it; None where the parser gives none.
    """

    subject: int
    predicate: str
    object: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class SceneGraph:
    """The scene graph of one caption; empty when the caption states nothing."""

    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entities)

    def to_factual(self) -> str:
        """The graph in FACTUAL's notation (Li et al., ACL 2023 Findings).

        ``( man , ride , horse ) , ( horse , is , brown ) , ( dog , is , 2 )``: relations first, then attributes and
        quantities with the predicate ``is``, then each thing that takes part in no fact as ``( thing )``. Repeats are
        written once. An empty graph gives the empty string.
        """
        return " , ".join(f"( {' , '.join(fact)} )" for fact in dict.fromkeys(self._facts()))

    def _facts(self) -> Iterator[tuple[str, ...]]:
        heads = [entity.head for entity in self.entities]
        for relation in self.relations:
            yield heads[relation.subject], relation.predicate, heads[relation.object]
        for entity in self.entities:
            for attribute in entity.attributes:
                yield entity.head, "is", attribute
            if entity.quantity is not None:
                yield entity.head, "is", entity.quantity
        related = {index for relation in self.relations for index in (relation.subject, relation.object)}
        for index, entity in enumerate(self.entities):
            if index not in related and not entity.attributes and entity.quantity is None:
                yield (entity.head,)
