"""How much of a picture a linear map reads from its embedding: what a model that sees nothing else can hope for."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.training.gate import Encoder, embed, held_out
from toyworld import Scene, Thing, World

_RIDGE = 1e-3


def probe(encoder: Encoder, fitted: int, tested: int) -> dict[str, float]:
    """Accuracy of ridge regression onto one-hot values, fitted on some held-out pictures and tested on others.

    Returns:
        "shapes": which shapes there are, all of them right; "place"; and "color", "pattern", "size" of every thing,
        given its shape. Pictures show one to three things.
    """
    world, scenes = World(), held_out(fitted + tested)
    vectors = np.pad(embed(encoder, scenes).astype(np.float64), ((0, 0), (0, 1)), constant_values=1)
    shown = np.array([[_thing(scene, shape) is not None for shape in world.shapes] for scene in scenes])
    weights = _fit(vectors[:fitted], shown[:fitted])
    figures = {"shapes": float(((vectors[fitted:] @ weights > 0.5) == shown[fitted:]).all(1).mean())}
    places = np.array([world.places.index(scene.place) for scene in scenes])
    figures["place"] = _accuracy(vectors, places, len(world.places), fitted)[0]
    for kind, values in (("color", world.colors), ("pattern", world.patterns), ("size", world.sizes)):
        hits = [
            _hits_of_shape(vectors, scenes, shape, _reader(kind, values), len(values), fitted) for shape in world.shapes
        ]
        figures[kind] = sum(right for right, _ in hits) / sum(count for _, count in hits)
    return figures


def _hits_of_shape(
    vectors: NDArray[np.float64],
    scenes: Sequence[Scene],
    shape: str,
    read: Callable[[Thing], int],
    classes: int,
    fitted: int,
) -> tuple[float, int]:
    """How many of the tested things of a shape are read rightly, and how many there are."""
    things = [_thing(scene, shape) for scene in scenes]
    here = np.array([thing is not None for thing in things])
    labels = np.array([read(thing) for thing in things if thing is not None])
    share, count = _accuracy(vectors[here], labels, classes, int(here[:fitted].sum()))
    return share * count, count


def _accuracy(vectors: NDArray[np.float64], labels: NDArray[np.int64], classes: int, fitted: int) -> tuple[float, int]:
    weights = _fit(vectors[:fitted], np.eye(classes)[labels[:fitted]])
    right = (vectors[fitted:] @ weights).argmax(1) == labels[fitted:]
    return float(right.mean()), len(right)


def _fit(vectors: NDArray[np.float64], targets: NDArray[np.generic]) -> NDArray[np.float64]:
    gram = vectors.T @ vectors + _RIDGE * len(vectors) / vectors.shape[1] * np.eye(vectors.shape[1])
    return np.linalg.solve(gram, vectors.T @ targets.astype(np.float64))


def _reader(kind: str, values: Sequence[str]) -> Callable[[Thing], int]:
    return lambda thing: values.index(getattr(thing, kind))


def _thing(scene: Scene, shape: str) -> Thing | None:
    return next((thing for thing in scene.things if thing.shape == shape), None)
