"""Embeddings that were made elsewhere, in clip-retrieval's layout (``clip-retrieval inference``).

    FOLDER/img_emb/img_emb_0.npy          float16 or float32 [n, d]
    FOLDER/text_emb/text_emb_0.npy        the same of the captions; optional
    FOLDER/metadata/metadata_0.parquet    n rows: image_path, caption, and what else img2dataset knew, such as url

Who an image is, is said as by every other source (schemas.image_ids): by its URL where there is one, else by its key.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.readers.identity import hash64
from schemas.image_ids import url_ids

_KEYS = ("key", "image_id", "image_path")
_NUMBER = re.compile(r"_(\d+)\.(?:npy|parquet)$")


class EmbeddingsError(ValueError):
    """A folder that is not what it should be; the message says how."""


class Precomputed:
    """Embeddings by image id and, where the folder has them, by caption. Pickles as the folder's name.

    Attributes:
        folder: where they lie.
        dimension: their length.

    Raises:
        EmbeddingsError: the folder is not in clip-retrieval's layout, or its files do not fit each other.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._vectors = _arrays(folder, "img_emb")
        self._text_vectors = _arrays(folder, "text_emb") if Path(folder, "text_emb").is_dir() else []
        self._metadata = _numbered(folder, "metadata", "parquet")
        self.dimension = self._vectors[0].shape[1]
        self._check()

    def __reduce__(self) -> tuple[Any, ...]:
        return Precomputed, (self.folder,)

    def __len__(self) -> int:
        return sum(len(vectors) for vectors in self._vectors)

    @property
    def files(self) -> list[dict[str, Any]]:
        """What the embeddings are, for fingerprints: every file with its size and time."""
        paths = [path for path in sorted(Path(self.folder).rglob("*")) if path.is_file()]
        return [{"path": str(path), "bytes": path.stat().st_size, "mtime": path.stat().st_mtime_ns} for path in paths]

    def images(self, ids: Sequence[str]) -> list[np.ndarray | None]:
        """Unit vectors of images, float32 each; None where there is none."""
        return _found(ids, self._image_rows, self._vectors)

    def texts(self, texts: Sequence[str]) -> list[np.ndarray | None]:
        """The same of texts."""
        return _found(texts, self._text_rows, self._text_vectors) if self._text_vectors else [None] * len(texts)

    @cached_property
    def _image_rows(self) -> tuple[np.ndarray, np.ndarray]:
        return _index([hash64(_ids(path)) for path in self._metadata])

    @cached_property
    def _text_rows(self) -> tuple[np.ndarray, np.ndarray]:
        tables = [pq.read_table(path, columns=["caption"])["caption"].to_pylist() for path in self._metadata]
        return _index([hash64([text or "" for text in texts]) for texts in tables])

    def _check(self) -> None:
        if len(self._metadata) != len(self._vectors):
            raise EmbeddingsError(
                f"{self.folder}: {len(self._vectors)} files in img_emb and {len(self._metadata)} in metadata"
            )
        for kind, arrays in (("img_emb", self._vectors), ("text_emb", self._text_vectors)):
            for number, vectors in enumerate(arrays):
                rows = pq.read_metadata(self._metadata[number]).num_rows
                if vectors.ndim != 2 or vectors.shape[1] != self.dimension or len(vectors) != rows:
                    raise EmbeddingsError(
                        f"{self.folder}: file {number} of {kind} is {' x '.join(map(str, vectors.shape))}; "
                        f"{rows:,} x {self.dimension} is what the first one and its metadata say"
                    )


def _numbered(folder: str, kind: str, suffix: str) -> list[Path]:
    found = {int(match[1]): path for path in Path(folder, kind).glob(f"*.{suffix}")
             if (match := _NUMBER.search(path.name))}  # fmt: skip
    if not found:
        raise EmbeddingsError(
            f"{folder} has no {kind}/{kind}_0.{suffix}; it must be as `clip-retrieval inference` writes"
        )
    return [found[number] for number in sorted(found)]


def _arrays(folder: str, kind: str) -> list[np.ndarray]:
    arrays = []
    for path in _numbered(folder, kind, "npy"):
        try:
            arrays.append(np.load(path, mmap_mode="r", allow_pickle=False))
        except ValueError as error:
            raise EmbeddingsError(f"{path}: {error}") from None
    if arrays[0].ndim != 2 or arrays[0].dtype.kind != "f":
        raise EmbeddingsError(f"{folder}: {kind} holds no rows of floating-point numbers")
    return arrays


def _ids(path: Path) -> list[str]:
    names = pq.read_schema(path).names
    key = next((name for name in _KEYS if name in names), None)
    if key is None and "url" not in names:
        raise EmbeddingsError(f"{path} has none of the columns url, {', '.join(_KEYS)}")
    table = pq.read_table(path, columns=[name for name in (key, "url") if name in names])
    keys = table[key].cast(pa.string()).to_pylist() if key else [None] * len(table)
    urls = table["url"].to_pylist() if "url" in names else [None] * len(table)
    return [url_ids([url])[0] if url and url.strip() else key or "" for key, url in zip(keys, urls, strict=True)]


def _index(hashes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sorted hashes and for each its place: file << 32 | row. Of equal ones the first counts."""
    places = np.concatenate([(np.int64(file) << 32) | np.arange(len(found)) for file, found in enumerate(hashes)])
    keys, first = np.unique(np.concatenate(hashes), return_index=True)
    return keys, places[first]


def _found(
    names: Sequence[str], rows: tuple[np.ndarray, np.ndarray], arrays: list[np.ndarray]
) -> list[np.ndarray | None]:
    keys, places = rows
    wanted = hash64(names)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    vectors: list[np.ndarray | None] = []
    for known, place in zip((keys[at] == wanted).tolist(), places[at].tolist(), strict=True):
        if not known:
            vectors.append(None)
            continue
        vector = np.asarray(arrays[place >> 32][place & 0xFFFFFFFF], np.float32)
        length = np.linalg.norm(vector)
        vectors.append(vector / length if length > 0 and np.isfinite(length) else None)
    return vectors
