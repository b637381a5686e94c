"""What the toy world's CLIP must know before anything is shown with it, measured on held-out pictures.

Held-out are the pictures of seed ``HELD_OUT``, which training never renders.
"""

import random
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from toyworld import KINDS, PLACE_PHRASES, Scene, World, describe, render, swap_word, wrong_caption

HELD_OUT = "held out"


class Encoder(Protocol):
    """What ``encoders.load`` gives."""

    def preprocess(self, image: Image.Image, /) -> torch.Tensor: ...
    def encode_images(self, pixels: torch.Tensor, /) -> NDArray[np.float32]: ...
    def encode_texts(self, texts: list[str], /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Figures:
    """Shares between 0 and 1.

    Attributes:
        pictures: how many were looked at.
        zero_shot: share of things whose shape, color, pattern and size, and of pictures whose place, is the one whose
            prompt is nearest to the picture. Shape: pictures of one thing, "a ball". Color, pattern, size: every thing,
            also beside others, "a red ball". Place: "a ball on grass".
        zero_shot_alone: the same on pictures of one thing.
        swapped: by the kind of the word, share of captions that are nearer to their picture than with one word swapped.
        auc: ROC-AUC of right captions against captions of other scenes, one of each a picture.
        auc_word: of right captions against captions with one word swapped.
    """

    pictures: int
    zero_shot: dict[str, float]
    zero_shot_alone: dict[str, float]
    swapped: dict[str, float]
    auc: float
    auc_word: float

    def passes(self) -> bool:
        """Whether the gate is passed."""
        return (
            all(share >= 0.9 for share in self.zero_shot.values())
            and self.swapped["thing"] >= 0.9
            and self.swapped["color"] >= 0.9
            and self.auc >= 0.97
        )

    def __str__(self) -> str:
        def told(shares: dict[str, float]) -> str:
            return " ".join(f"{name} {share:.3f}" for name, share in shares.items())

        lines = [
            f"zero-shot: {told(self.zero_shot)}",
            f"zero-shot, one thing: {told(self.zero_shot_alone)}",
            f"right rather than swapped: {told(self.swapped)}",
            f"ROC-AUC: other scenes {self.auc:.4f} one word {self.auc_word:.4f}",
            "the gate is passed" if self.passes() else "the gate is not passed",
        ]
        return "\n".join(lines)


def held_out(pictures: int, world: World | None = None) -> list[Scene]:
    """The first held-out scenes."""
    world = world or World()
    return [world.scene(random.Random(f"{HELD_OUT}/{number}")) for number in range(pictures)]


def embed(encoder: Encoder, scenes: list[Scene]) -> NDArray[np.float32]:
    """Embeddings of rendered scenes, (n, dimension)."""
    pixels = torch.stack([encoder.preprocess(Image.fromarray(render(scene))) for scene in scenes])
    return np.concatenate([encoder.encode_images(part) for part in pixels.split(128)])


def measure(encoder: Encoder, pictures: int) -> Figures:
    """The gate's figures on so many held-out pictures."""
    world, scenes = World(), held_out(pictures)
    images = embed(encoder, scenes)
    rng = random.Random("gate")
    captions = [describe(scene, rng) for scene in scenes]
    right = _cosines(encoder, images, [caption.text for caption in captions])
    wrong = _cosines(encoder, images, [wrong_caption(scene, world, rng).text for scene in scenes])
    swapped, all_swapped, all_right = {}, [], []
    for kind in KINDS:
        pairs = [swap_word(caption, kind, scene, world, rng) for caption, scene in zip(captions, scenes, strict=True)]
        has = [number for number, caption in enumerate(pairs) if caption is not None]
        texts = [caption.text for caption in pairs if caption is not None]
        cosines = _cosines(encoder, images[has], texts)
        swapped[kind] = float((right[has] > cosines).mean())
        all_swapped.append(cosines)
        all_right.append(right[has])
    alone = [number for number, scene in enumerate(scenes) if len(scene.things) == 1]
    return Figures(
        pictures,
        _zero_shot(encoder, images, scenes, world),
        _zero_shot(encoder, images[alone], [scenes[number] for number in alone], world),
        swapped,
        roc_auc(right, wrong),
        roc_auc(np.concatenate(all_right), np.concatenate(all_swapped)),
    )


def roc_auc(positives: NDArray[np.float32], negatives: NDArray[np.float32]) -> float:
    """Chance that a positive scores above a negative, ties counted as half."""
    below = np.searchsorted(np.sort(negatives), positives, "left")
    up_to = np.searchsorted(np.sort(negatives), positives, "right")
    return float((below + up_to).mean() / 2 / len(negatives))


def _zero_shot(encoder: Encoder, images: NDArray[np.float32], scenes: list[Scene], world: World) -> dict[str, float]:
    values = {"color": world.colors, "pattern": world.patterns, "size": world.sizes}
    right: dict[str, list[bool]] = {"shape": [], **{kind: [] for kind in values}, "place": []}
    prompts = {
        f"a {value} {shape}" for kind in values for value in values[kind] for shape in world.shapes
    }  # fmt: skip
    prompts |= {f"a {shape}" for shape in world.shapes}
    prompts |= {f"a {shape} {PLACE_PHRASES[place][0]}" for shape in world.shapes for place in world.places}
    listed = sorted(prompts)
    vectors = dict(zip(listed, encoder.encode_texts(listed), strict=True))

    def nearest(image: NDArray[np.float32], texts: list[str]) -> int:
        return int(np.argmax(np.stack([vectors[text] for text in texts]) @ image))

    for image, scene in zip(images, scenes, strict=True):
        if len(scene.things) == 1:
            found = nearest(image, [f"a {shape}" for shape in world.shapes])
            right["shape"].append(world.shapes[found] == scene.things[0].shape)
        for thing in scene.things:
            for kind, all_values in values.items():
                found = nearest(image, [f"a {value} {thing.shape}" for value in all_values])
                right[kind].append(all_values[found] == getattr(thing, kind))
        shape = scene.things[0].shape
        found = nearest(image, [f"a {shape} {PLACE_PHRASES[place][0]}" for place in world.places])
        right["place"].append(world.places[found] == scene.place)
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}


def _cosines(encoder: Encoder, images: NDArray[np.float32], texts: list[str]) -> NDArray[np.float32]:
    return (images * encoder.encode_texts(texts)).sum(1)
