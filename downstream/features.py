"""PictureSource and texts of a task as features: every picture once, in batches, and what cannot be had by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from downstream.progress import track
from downstream.retrieval import Embedded, Features
from downstream.tasks import Missing, PictureSource, Task
from images import ImageError

BATCH = 64
DECODERS = 4
"""Threads that read and preprocess: Pillow and torch let go of Python while they work."""


class Encoder(Protocol):
    """What is asked of an encoder; those of ``encoders`` are such."""

    @property
    def fingerprint(self) -> str:
        """Identity of architecture, weights and preprocessing."""

    def preprocess(self, image: Image.Image, /) -> Any:
        """The picture as a tensor [3, h, w]."""

    def encode_images(self, pixels: Any, /) -> Features:
        """Features [n, d] of pixels [n, 3, h, w]."""

    def encode_texts(self, texts: list[str], /) -> Features:
        """Features [n, d] of n texts."""


def embed(task: Task, encoder: Encoder, known: Mapping[str, Features] | None = None) -> Embedded:
    """Features of all that a task names. A picture that cannot be had is in ``missing``, with the reason.

    Args:
        task: what to embed.
        encoder: makes the features.
        known: features [d] of pictures that were encoded before, by name.
    """
    known = known or {}
    names = task.names()
    had, images, reasons = embed_pictures(task.pictures, [name for name in names if name not in known], encoder)
    found = [name for name in names if name in known]
    if found:
        images = np.concatenate([np.stack([known[name] for name in found]), *([images] if had else [])])
        had = found + had
    rows = {name: row for row, name in enumerate(had)}
    left_out = sum(any(name not in rows for name in query.needs) for query in task.queries)
    conditions = list(dict.fromkeys(query.condition for query in task.queries))
    return Embedded(
        rows=rows,
        images=images,
        texts=embed_texts(conditions, encoder),
        text_rows={condition: row for row, condition in enumerate(conditions)},
        missing=Missing(len(task.queries), reasons, left_out),
    )


def embed_pictures(
    pictures: PictureSource, names: Sequence[str], encoder: Encoder
) -> tuple[list[str], Features, dict[str, str]]:
    """Names of the pictures that can be had, their features [m, d], and for each of the others the reason."""
    had: list[str] = []
    reasons: dict[str, str] = {}
    features: list[Features] = []

    def prepared(name: str) -> tuple[str, Any]:
        try:
            return name, encoder.preprocess(pictures.image(name))
        except ImageError as error:
            return name, error

    with ThreadPoolExecutor(DECODERS) as decoders:
        for batch in track(_ahead(decoders, prepared, names), "encoding pictures", -(-len(names) // BATCH)):
            pixels = [made for _, made in batch if not isinstance(made, ImageError)]
            had += [name for name, made in batch if not isinstance(made, ImageError)]
            reasons |= {name: f"{made.reason}: {made.detail}" for name, made in batch if isinstance(made, ImageError)}
            if pixels:
                features.append(np.asarray(encoder.encode_images(torch.stack(pixels)), np.float32))
    return had, np.concatenate(features) if features else np.zeros((0, 0), np.float32), reasons


def embed_texts(texts: Sequence[str], encoder: Encoder) -> Features:
    """Features [n, d] of texts, in batches."""
    made = [encoder.encode_texts(list(batch)) for batch in _batches(texts)]
    return np.concatenate(made).astype(np.float32) if made else np.zeros((0, 0), np.float32)


def _ahead(
    decoders: ThreadPoolExecutor, prepared: Callable[[str], tuple[str, Any]], names: Sequence[str]
) -> Iterator[list[tuple[str, Any]]]:
    """Batches of prepared pictures; while one is encoded, the next is prepared, and no more wait in memory."""
    waiting: list[Any] = []
    for batch in [*_batches(names), ()]:
        following = [decoders.submit(prepared, name) for name in batch]
        if waiting:
            yield [future.result() for future in waiting]
        waiting = following


def _batches(things: Sequence[str]) -> list[Sequence[str]]:
    return [things[begin : begin + BATCH] for begin in range(0, len(things), BATCH)]
