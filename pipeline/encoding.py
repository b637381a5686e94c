"""Beam RunInference over open_clip: batches of image ids and of texts to batches of embeddings."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler

from images import ImageError, ImageStore
from pipeline.embeddings import Precomputed
from pipeline.routing import Batch
from pipeline.vectors import embedding_column

if TYPE_CHECKING:
    from encoders import Encoder

Chunk = tuple[str, int, Batch]
"""Where the chunk's embeddings are to be written, the part it belongs to, and its rows."""

MEMORY_PER_WEIGHT_BYTE = 4
"""Main memory to ask for: the weights, their copy while they load, and activations."""


@cache
def encoder(model: str, pretrained: str | None, device: str | None, precision: str | None) -> "Encoder":
    """The encoder of that model; one copy a process.

    Raises:
        ImportError: the clip extra is not installed.
        EncoderError: the model cannot be had.
    """
    import encoders

    return encoders.load(model, pretrained, device, precision)  # type: ignore[arg-type]


class OpenClipHandler(ModelHandler[Chunk, Chunk, Any]):
    """Embeds chunks, prebatched: a chunk of images has a column ``image_id``, one of texts a column ``text``.

    A chunk is encoded in batches whose rows follow from the chunk alone, each in a thread of its own that does no
    parallel arithmetic; so the embeddings are the same bits however many threads and processes there are.

    Args:
        model: arguments of :func:`encoder`.
        images: where images or their embeddings come from.
        preprocess: the encoder's; a picture to a tensor.
        batch: images encoded at a time; None for what the device has memory for.
        shared: whether several processes of a machine share one copy of the model.
        hints: Beam's resource hints for the machines that encode.
    """

    def __init__(
        self,
        model: tuple[str, str | None, str | None, str | None],
        images: ImageStore | Precomputed,
        preprocess: Callable[[Any], Any],
        batch: int | None,
        *,
        shared: bool,
        hints: dict[str, str],
    ) -> None:
        super().__init__(large_model=shared)
        self._model, self._images, self._preprocess, self._batch = model, images, preprocess, batch
        self._shared, self._hints = shared, hints

    def load_model(self) -> "Encoder":
        return encoder(*self._model)

    def run_inference(
        self, batch: Sequence[Chunk], model: "Encoder", inference_args: dict[str, Any] | None = None
    ) -> list[Chunk]:
        """The chunks' rows with columns ``embedding`` (float16, null where there is none), ``reason``, ``detail``."""
        found = []
        with _Workers(1 if self._shared else os.cpu_count() or 1) as workers:
            size = self._batch or model.find_batch()
            for path, number, rows in batch:
                embed = self._embed_texts if "text" in rows.table.column_names else self._embed_images
                found.append((path, number, Batch(embed(rows.table, model, size, workers))))
        return found

    def get_resource_hints(self) -> dict[str, str]:
        return self._hints

    def should_skip_batching(self) -> bool:
        return True  # Beam's own batches depend on timing, and DaskRunner loses the last one

    def get_num_bytes(self, batch: Sequence[Chunk]) -> int:
        return sum(rows.table.nbytes for _, _, rows in batch)

    def _embed_texts(self, rows: pa.Table, model: "Encoder", size: int, workers: "_Workers") -> pa.Table:
        texts = rows["text"].to_pylist()
        known = self._images.texts(texts) if isinstance(self._images, Precomputed) else [None] * len(texts)
        missing = [number for number, vector in enumerate(known) if vector is None]
        size = 4 * size  # texts are so much smaller
        batches = [missing[start : start + size] for start in range(0, len(missing), size)]
        encoded = workers.map(lambda batch: model.encode_texts([texts[row] for row in batch], size), batches)
        vectors: list[np.ndarray | None] = list(known)
        for batch, found in zip(batches, encoded, strict=True):
            for row, vector in zip(batch, found, strict=True):
                vectors[row] = vector
        Metrics.counter("facetmine", "score_texts_encoded").inc(len(missing))
        return rows.append_column("embedding", embedding_column(vectors))

    def _embed_images(self, rows: pa.Table, model: "Encoder", size: int, workers: "_Workers") -> pa.Table:
        ids = rows["image_id"].to_pylist()
        vectors: list[np.ndarray | None] = []
        faults: list[tuple[str, str] | None] = []
        if isinstance(self._images, Precomputed):
            vectors = self._images.images(ids)
            missing = ("missing_image", f"no embedding of that image id in {self._images.folder}")
            faults = [missing if vector is None else None for vector in vectors]
        else:
            batches = [ids[start : start + size] for start in range(0, len(ids), size)]
            for found, wrong in workers.map(lambda batch: self._encode(batch, model), batches):
                vectors += found
                faults += wrong
            Metrics.counter("facetmine", "score_images_encoded").inc(sum(fault is None for fault in faults))
        rows = rows.append_column("embedding", embedding_column(vectors))
        for number, name in enumerate(("reason", "detail")):
            rows = rows.append_column(name, pa.array([fault and fault[number] for fault in faults], pa.string()))
        return rows

    def _encode(
        self, ids: Sequence[str], model: "Encoder"
    ) -> tuple[list[np.ndarray | None], list[tuple[str, str] | None]]:
        pixels: list[np.ndarray] = []
        faults: list[tuple[str, str] | None] = []
        for image_id in ids:
            try:
                pixels.append(self._preprocess(self._images.image(image_id)).numpy())  # type: ignore[union-attr]
                faults.append(None)
            except ImageError as error:
                faults.append((error.reason, error.detail))
        encoded = iter(model.encode_images(np.stack(pixels)) if pixels else ())
        return [None if fault else next(encoded) for fault in faults], faults


class _Workers:
    """Threads whose arithmetic runs in themselves alone: sums in another order would be other embeddings."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __enter__(self) -> "_Workers":
        import torch

        self._before = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._before)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        return self._pool.map(function, items)
