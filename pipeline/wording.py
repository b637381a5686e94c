"""Facts as sentences that a CLIP model can compare with a picture."""

import string
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

PLACES = {"relation": ("subject", "predicate", "object"), "attribute": ("subject", "attribute")}
"""What a template of each kind of fact may hold in braces."""


@dataclass(frozen=True)
class Templates:
    """How a fact is put.

    Attributes:
        relation: of relation facts, with ``{subject}``, ``{predicate}`` and ``{object}``.
        attribute: of attribute facts, with ``{subject}`` and ``{attribute}``.
    """

    relation: str = "a photo of {subject} {predicate} {object}"
    attribute: str = "a photo of {attribute} {subject}"

    def __post_init__(self) -> None:
        for kind, places in PLACES.items():
            template = getattr(self, kind)
            try:
                named = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
            except ValueError as error:
                raise ValueError(f"template {template!r}: {error}") from None
            if named != set(places):
                wanted = ", ".join(f"{{{place}}}" for place in places)
                raise ValueError(
                    f"template {template!r} of {kind} facts must hold {wanted}, and nothing else in braces"
                )

    def sentences(self, facts: pa.Table) -> pa.StringArray:
        """The sentence of every fact.

        Args:
            facts: columns subject, predicate, object, attribute of schemas.FACTS.
        """
        said = {name: facts[name].combine_chunks().cast(pa.string()) for name in PLACES["relation"] + ("attribute",)}
        relation, attribute = (_filled(getattr(self, kind), said) for kind in PLACES)
        return pc.coalesce(attribute, relation)  # a template with a null in it is null


def _filled(template: str, said: dict[str, pa.Array]) -> pa.Array:
    pieces: list[pa.Array | str] = []
    for text, name, _, _ in string.Formatter().parse(template):
        pieces += [text] if name is None else [text, said[name]]
    return pc.binary_join_element_wise(*pieces, "")
