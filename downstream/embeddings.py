"""Cached features of a frozen encoder: every image and every condition is encoded once, then only looked up."""

import csv
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from downstream.pictures import Pictures
from downstream.progress import track
from downstream.shards import TripletIndex, read_tables, write_once
from encoders import Encoder
from images import ImageError, ImageStore
from schemas.manifest import FileEntry, Manifest

MISSING_NAME = "missing.csv"
"""The file in a folder of embeddings that names the images without one, and says why."""


class Embeddings:
    """Vectors by number, memory-mapped, so all processes of a machine share one copy; pickles as its folder's path.

    ``vectors`` is float16 [n, d] of unit length, ``present`` bool [n]: which there are; the others are zeros.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Embeddings, (self.folder,)

    @functools.cached_property
    def vectors(self) -> np.ndarray:
        """float16 [n, d]."""
        # As a plain array: NumPy's own class for mapped files is slow to pick rows from.
        return np.load(self.folder / "vectors.npy", mmap_mode="r").view(np.ndarray)

    @functools.cached_property
    def present(self) -> np.ndarray:
        """bool [n]."""
        return np.load(self.folder / "present.npy")

    def take(self, numbers: np.ndarray, _: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Vectors float16 [*numbers.shape, d] and which of them are there, bool [*numbers.shape]."""
        present = self.present[numbers] & (numbers >= 0)
        vectors = self.vectors[numbers]
        if not present.all():
            vectors[~present] = 0
        return torch.from_numpy(vectors), torch.from_numpy(present)

    def take_texts(self, numbers: np.ndarray) -> Tensor:
        """Vectors float16 [n, d]."""
        return torch.from_numpy(self.vectors[numbers])


def embed_conditions(index: TripletIndex, encoder: Encoder, cache: Path) -> Embeddings:
    """The embeddings of the index's conditions, encoded once and kept in ``cache``."""

    def fill(folder: Path) -> None:
        _save(folder, encoder.encode_texts(index.conditions), np.ones(len(index.conditions), bool))

    return _kept(cache, "conditions", pa.array(index.conditions, pa.string()), encoder.fingerprint, fill)


def embed_images(
    out: str, index: TripletIndex, encoder: Encoder, store: ImageStore | None, cache: Path, workers: int = 0
) -> Embeddings:
    """The embeddings of the index's images, kept in ``cache``.

    They are those of the dataset's stage score where it used the same encoder, and are encoded from the store
    otherwise. Images that neither has are named in the folder's ``missing.csv``.

    Args:
        out: the dataset.
        store: None to take only what the dataset has.
        workers: processes that decode images.
    """
    scored = scoring(out)
    same = scored is not None and scored["fingerprint"] == encoder.fingerprint
    files = Manifest.read(out).files("image_embeddings") if same else []

    def fill(folder: Path) -> None:
        vectors = np.lib.format.open_memmap(
            folder / "vectors.npy", "w+", np.float16, (len(index.image_ids), encoder.dimension)
        )
        present = np.zeros(len(vectors), bool)
        for numbers, found in _of_dataset(out, files, index.image_ids):
            vectors[numbers], present[numbers] = found, True
        reasons = dict.fromkeys(np.flatnonzero(~present).tolist(), ("missing_image", "it is in none of the sources"))
        if store is not None and reasons:
            reasons = _encode(index, encoder, store, np.fromiter(reasons, np.int64), vectors, present, workers)
        vectors.flush()
        np.save(folder / "present.npy", present)
        _write_missing(folder / MISSING_NAME, index, reasons)

    told = f"{encoder.fingerprint} {[file.sha256 for file in files]} {store is not None and len(store)}"
    return _kept(cache, "images", index.image_ids, told, fill)


def scoring(out: str) -> dict[str, Any] | None:
    """The encoder of the dataset's image embeddings (model, pretrained, fingerprint); None where it has none."""
    manifest = Manifest.read(out)
    scored = manifest.configuration.get("score")
    if not scored or not manifest.files("image_embeddings"):
        return None
    model, _, pretrained = scored["model"].partition(" ")  # as encoders.Encoder.name puts them
    return {"model": model, "pretrained": pretrained or None, "fingerprint": scored["model_fingerprint"]}


def _of_dataset(out: str, files: list[FileEntry], ids: pa.StringArray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for table in read_tables(out, files, ["image_id", "embedding"]):
        numbers = pc.index_in(table["image_id"].combine_chunks(), value_set=ids)
        wanted = np.flatnonzero(numbers.is_valid().to_numpy(zero_copy_only=False))
        if not len(wanted):
            continue
        embeddings = table["embedding"].combine_chunks()
        vectors = embeddings.flatten().to_numpy().reshape(len(embeddings), -1)
        yield numbers.to_numpy(zero_copy_only=False)[wanted].astype(np.int64), vectors[wanted]


class _Undecoded(Dataset[tuple[Tensor, Tensor, np.ndarray]]):
    """Batches of pictures to encode."""

    def __init__(self, pictures: Pictures, numbers: np.ndarray, size: int) -> None:
        self._pictures, self._numbers, self._size = pictures, numbers, size

    def __len__(self) -> int:
        return -(-len(self._numbers) // self._size)

    def __getitem__(self, batch: int) -> tuple[Tensor, Tensor, np.ndarray]:
        numbers = self._numbers[batch * self._size : (batch + 1) * self._size]
        return *self._pictures.take(numbers, np.random.default_rng(0)), numbers


def _encode(
    index: TripletIndex, encoder: Encoder, store: ImageStore, numbers: np.ndarray, vectors: np.ndarray,
    present: np.ndarray, workers: int,
) -> dict[int, tuple[str, str]]:  # fmt: skip
    """Encode those images into ``vectors``; the reasons of those that cannot be had, by number."""
    pictures = Pictures(index, store, encoder.preprocess)
    batches = _Undecoded(pictures, numbers[np.argsort(~pictures.present[numbers], kind="stable")], encoder.find_batch())
    loader = DataLoader(batches, batch_size=None, num_workers=workers, generator=torch.Generator())
    reasons = {}
    for pixels, decoded, batch in track(loader, "encoding images", len(batches)):
        there = decoded.numpy()
        if there.any():
            vectors[batch[there]], present[batch[there]] = encoder.encode_images(pixels[decoded]), True
        for number in batch[~there].tolist():
            try:
                store.image(index.image_ids[number].as_py())
            except ImageError as error:
                reasons[number] = error.reason, error.detail
    return reasons


def _kept(cache: Path, what: str, strings: pa.StringArray, told: str, fill: Any) -> Embeddings:
    hasher = hashlib.blake2b(told.encode(), digest_size=8)
    for buffer in strings.buffers()[1:]:
        hasher.update(buffer)
    folder = cache / f"{what}-{hasher.hexdigest()}"
    write_once(folder, fill)
    return Embeddings(folder)


def _save(folder: Path, vectors: np.ndarray, present: np.ndarray) -> None:
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    np.save(folder / "present.npy", present)


def _write_missing(path: Path, index: TripletIndex, reasons: dict[int, tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "reason", "detail"])
        for number, reason in sorted(reasons.items()):
            writer.writerow([index.image_ids[number].as_py(), *reason])
