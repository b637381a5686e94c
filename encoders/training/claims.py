"""Claims as columns: what a picture fulfils and what a text says; one matrix product tells which texts are true.

Besides the claims of ``toyworld.scenes`` there are weaker ones, for texts that name no thing: ``("some color", "red")``
says that something is red, ``("some relation", "above", "box")`` that something is above a box.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from toyworld import RELATIONS, Claim, Scene, World

PROPERTIES = ("color", "pattern", "size")


class ClaimColumns:
    """The numbers of all claims of a world.

    Attributes:
        count: how many there are.
    """

    def __init__(self, world: World) -> None:
        values = {"color": world.colors, "pattern": world.patterns, "size": world.sizes}
        claims: list[Claim] = [("place", place) for place in world.places]
        claims += [("thing", shape) for shape in world.shapes]
        for kind in PROPERTIES:
            claims += [(f"some {kind}", value) for value in values[kind]]
            claims += [(kind, shape, value) for shape in world.shapes for value in values[kind]]
        for relation in RELATIONS:
            claims += [("some relation", relation, shape) for shape in world.shapes]
            claims += [("relation", a, relation, b) for a in world.shapes for b in world.shapes if a != b]
        self._columns = {claim: number for number, claim in enumerate(claims)}
        self.count = len(claims)

    def of_scene(self, scene: Scene) -> NDArray[np.float32]:
        """1 for every claim that is true of the scene, float32 of shape (count,)."""
        return self._row(claim for one in scene.claims for claim in _implied(one))

    def of_text(self, claims: Iterable[Claim]) -> NDArray[np.float32]:
        """1 for every claim of a text, float32 of shape (count,)."""
        return self._row(claims)

    def _row(self, claims: Iterable[Claim]) -> NDArray[np.float32]:
        row = np.zeros(self.count, np.float32)
        row[[self._columns[claim] for claim in claims]] = 1
        return row


def matches(said: NDArray[np.float32], fulfilled: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether text t is true of picture i, bool (t, i), of claims said (t, count) and fulfilled (i, count)."""
    return said @ fulfilled.T >= said.sum(1, keepdims=True) - 0.5


def _implied(claim: Claim) -> Iterable[Claim]:
    yield claim
    if claim[0] in PROPERTIES:
        yield (f"some {claim[0]}", claim[2])
    elif claim[0] == "relation":
        yield ("some relation", claim[2], claim[3])
