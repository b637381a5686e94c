"""Batches of rendered pictures and texts, with the truth about every pair; a function of world, seed and step."""

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from encoders.training.claims import ClaimColumns, matches
from encoders.training.texts import Text, short_text
from filters.axes import AXES
from toyworld import (
    COLORS,
    PATTERNS,
    PLACE_PHRASES,
    PLACES,
    RELATIONS,
    SHAPES,
    SIDE,
    SIZES,
    Caption,
    Scene,
    World,
    describe,
    render,
    swap_word,
    wordings,
)

MEAN = STD = 0.5
_GRID = 4  # positions are learnt as cells of a grid of this many rows and columns
ABSENT = -1
_SWAPS = {"thing": 1, "color": 1, "pattern": 1, "size": 1, "place": 0.3, "relation": 4}  # how often, if it is said

FUNCTION_WORDS = "a an the of with in on at and or is are that there this it photo picture image colored colour"
"""Words of captions, conditions and prompts besides the toy world's values."""


@dataclass(frozen=True)
class Batch:
    """Pictures and texts to learn from. The first n texts are the captions of the n pictures, in order.

    Attributes:
        pixels: float32 (n, 3, SIDE, SIDE), normalised.
        tokens: int64 (t, length), rows of the vocabulary, padded with 0; every text ends with its last row.
        true: bool (t, n), whether a text is true of a picture.
        said: float32 (t, claims), what a text claims.
        fulfilled: float32 (n, claims), the claims that are true of a picture.
        things: int64 (n, shapes, 5), color, pattern, size, column and row of the picture's thing of a shape, ABSENT
            where there is none.
        place: int64 (n,).
    """

    pixels: torch.Tensor
    tokens: torch.Tensor
    true: torch.Tensor
    said: torch.Tensor
    fulfilled: torch.Tensor
    things: torch.Tensor
    place: torch.Tensor


class Batches(Dataset[Batch]):
    """The batches of a training run, by step; most pictures of the first ``easy`` ones show one thing."""

    def __init__(self, seed: int, size: int, *, easy: int, steps: int) -> None:
        self._seed, self._size, self._easy, self._steps = seed, size, easy, steps
        self._columns = ClaimColumns(World())

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        world = World(counts=(0.8, 0.2)) if step < self._easy else World()
        return batch(world, self._columns, f"train/{self._seed}/{step}", self._size)


def batch(world: World, columns: ClaimColumns, seed: str, size: int) -> Batch:
    """Pictures with a caption and another text each: the caption with one word swapped, or a short text."""
    rng = random.Random(seed)
    scenes = [world.scene(rng) for _ in range(size)]
    captions = [describe(scene, rng) for scene in scenes]
    texts = [Text(caption.text, caption.claims) for caption in captions]
    for scene, caption in zip(scenes, captions, strict=True):
        swapped = _swapped(caption, scene, world, rng) if rng.random() < 0.5 else None
        texts.append(short_text(scene, rng) if swapped is None else Text(swapped.text, swapped.claims))
    said = np.stack([columns.of_text(text.claims) for text in texts])
    fulfilled = np.stack([columns.of_scene(scene) for scene in scenes])
    return Batch(
        pixels=normalized(np.stack([render(scene) for scene in scenes])),
        tokens=tokens([text.text for text in texts]),
        true=torch.from_numpy(matches(said, fulfilled)),
        said=torch.from_numpy(said),
        fulfilled=torch.from_numpy(fulfilled),
        things=torch.from_numpy(np.stack([_things(scene, world) for scene in scenes])),
        place=torch.tensor([world.places.index(scene.place) for scene in scenes]),
    )


def _swapped(caption: Caption, scene: Scene, world: World, rng: random.Random) -> Caption | None:
    said = [part.kind for part in caption.parts if part.kind]
    kind = rng.choices(said, [_SWAPS[kind] for kind in said])[0]
    return swap_word(caption, kind, scene, world, rng)


def normalized(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """Pictures (n, SIDE, SIDE, 3) as a model takes them, float32 (n, 3, SIDE, SIDE), channels last in memory."""
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


@lru_cache(maxsize=1)
def vocabulary() -> tuple[int, ...]:
    """open_clip's numbers of the tokens that are learnt, in order; the last one ends a text."""
    values = [*SHAPES, *COLORS, *PATTERNS, *SIZES, *PLACES, *RELATIONS]
    texts = [*values, *(word for value in values for word in wordings(value)), *FUNCTION_WORDS.split(), *AXES]
    texts += [phrase for phrases in PLACE_PHRASES.values() for phrase in phrases]
    known = {token for text in texts for word in text.split() for token in _word(word)}
    return (*sorted(known), _tokenizer().sot_token_id, _tokenizer().eot_token_id)


def tokens(texts: list[str]) -> torch.Tensor:
    """Plain lower-case texts without punctuation as rows of the vocabulary, only as long as the longest text."""
    start, end = len(vocabulary()) - 2, len(vocabulary()) - 1
    rows = [[start, *(token for word in text.split() for token in _rows(word)), end] for text in texts]
    length = max(map(len, rows))
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


def _things(scene: Scene, world: World) -> NDArray[np.int64]:
    rows = np.full((len(world.shapes), 5), ABSENT, np.int64)
    for thing in scene.things:
        rows[world.shapes.index(thing.shape)] = (
            world.colors.index(thing.color),
            world.patterns.index(thing.pattern),
            world.sizes.index(thing.size),
            thing.x * _GRID // SIDE,
            thing.y * _GRID // SIDE,
        )
    return rows


@lru_cache(maxsize=1)
def _tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()


@lru_cache(maxsize=10_000)
def _word(word: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(word))


@lru_cache(maxsize=10_000)
def _rows(word: str) -> tuple[int, ...]:
    return tuple(vocabulary().index(token) for token in _word(word))
