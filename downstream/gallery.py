"""A folder of pictures, embedded once: what ``facetmine search`` looks in.

Features are kept in one Arrow file in the cache, for each folder and encoder. A file is known by name, size and time of
change; when a gallery is opened again, only new and changed pictures are encoded, and pictures that are gone are
dropped. A picture that cannot be read is kept as such and tried again when it changes.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from downstream.features import Encoder, embed_pictures
from downstream.retrieval import Features, best_first, unit
from downstream.tasks import TaskError
from images import ImageError, decode

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
LIBRARY_FROM = 250_000
"""Pictures from which on an approximate index is used, where faiss is installed: exact search takes some 50 ms."""

_FILES = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("changed", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Files:
    """Pictures of a folder by their path in it, with / between folders."""

    root: Path

    def image(self, name: str, /) -> Image.Image:
        """The picture, upright, in RGB. An absolute name is a file anywhere."""
        try:
            data = (self.root / name).read_bytes()
        except FileNotFoundError:
            raise ImageError("missing_image", f"{self.root / name} is not there") from None
        except OSError as error:
            raise ImageError("unreadable_image", str(error)) from None
        return decode(data)


@dataclass(frozen=True)
class Gallery:
    """Pictures to search in.

    Attributes:
        root: the folder.
        names: of the pictures that can be read.
        features: [n, d], unit length, in the order of names.
        unreadable: why each of the other pictures cannot be read, by name.
        encoded: how many pictures had to be encoded to open the gallery.
        cache: the file that holds all this.
    """

    root: Path
    names: list[str]
    features: Features
    unreadable: dict[str, str]
    encoded: int
    cache: Path

    def by_name(self) -> dict[str, Features]:
        """Features [d] of each picture by name."""
        return dict(zip(self.names, self.features, strict=True))

    def search(
        self, query: npt.NDArray[np.float32], count: int, without: str | None = None, *, exact: bool = False
    ) -> list[tuple[str, float]]:
        """The pictures most similar to a query, the most similar first, with their cosines.

        Args:
            query: [d], unit length.
            count: how many, at most.
            without: name of a picture that is no answer, such as the reference.
            exact: compare all pictures, however many there are.
        """
        if not exact and self.library is not None:
            similarities, rows = self.library.search(query[None], count + 1)
            found = [(int(row), float(value)) for row, value in zip(rows[0], similarities[0], strict=True) if row >= 0]
        else:
            compared = self.features @ query
            found = [(int(row), float(compared[row])) for row in best_first(compared, count + 1)]
        return [(self.names[row], value) for row, value in found if self.names[row] != without][:count]

    @cached_property
    def library(self):  # type: ignore[no-untyped-def]  # faiss has no types
        """The approximate index; None where exact search will do, or faiss is not installed."""
        if len(self.names) < LIBRARY_FROM:
            return None
        try:
            import faiss
        except ImportError:
            return None
        path = self.cache.with_suffix(".faiss")
        if path.exists() and path.stat().st_mtime_ns >= self.cache.stat().st_mtime_ns:
            return _probing(faiss, faiss.read_index(str(path)))
        lists = int(4 * len(self.names) ** 0.5)
        index = faiss.index_factory(self.features.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        sample = np.random.default_rng(0).choice(len(self.names), min(len(self.names), 64 * lists), replace=False)
        index.train(self.features[np.sort(sample)])
        index.add(self.features)
        temporary = path.with_name(path.name + ".new")
        faiss.write_index(index, str(temporary))
        temporary.replace(path)
        return _probing(faiss, index)


def open_gallery(folder: str | Path, encoder: Encoder, cache: str | Path | None = None) -> Gallery:
    """The gallery of a folder of pictures and all folders in it, brought up to date.

    Args:
        folder: of pictures.
        encoder: makes their features.
        cache: folder to keep features in; by default ``$XDG_CACHE_HOME/facetmine``.

    Raises:
        TaskError: there is no such folder, or no picture that can be read is in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise TaskError(f"{root} is not a folder")
    path = _cache_folder(cache) / f"{_key(root, encoder)}.arrow"
    before = _load(path)
    found = _list(root)
    new = [name for name, state in found.items() if before is None or before.states.get(name) != state]
    if before is not None and not new and len(found) == len(before.states):
        return _gallery(root, before, 0, path)
    had, features, reasons = embed_pictures(Files(root), new, encoder)
    kept = [name for name in (before.states if before else ()) if name in found and name not in set(new)]
    states = {name: found[name] for name in [*kept, *new]}
    readable = [name for name in kept if before is not None and name in before.rows]
    parts = [before.features[[before.rows[name] for name in readable]]] if before is not None and readable else []
    parts += [unit(features)] if had else []
    if not parts:
        raise TaskError(f"{root} holds no picture that can be read ({', '.join(SUFFIXES)})")
    reasons |= {name: before.reasons[name] for name in kept if before is not None and name in before.reasons}
    now = _Cached(states, reasons, {name: row for row, name in enumerate([*readable, *had])}, np.concatenate(parts))
    _save(path, now)
    return _gallery(root, now, len(new), path)


@dataclass(frozen=True)
class _Cached:
    states: dict[str, tuple[int, int]]
    reasons: dict[str, str]
    rows: dict[str, int]
    features: Features


def _gallery(root: Path, cached: _Cached, encoded: int, path: Path) -> Gallery:
    return Gallery(root, list(cached.rows), cached.features, cached.reasons, encoded, path)


def _list(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every picture by name, in order of names; hidden files and folders are left out."""
    found = {}
    for folder, folders, files in os.walk(root, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                continue
            path = Path(folder, name)
            state = path.stat()
            found[path.relative_to(root).as_posix()] = (state.st_size, state.st_mtime_ns)
    return dict(sorted(found.items()))


def _cache_folder(cache: str | Path | None) -> Path:
    if cache is not None:
        return Path(cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facetmine" / "galleries"


def _key(root: Path, encoder: Encoder) -> str:
    return hashlib.blake2b(f"{root.resolve()}\0{encoder.fingerprint}".encode(), digest_size=16).hexdigest()


def _load(path: Path) -> _Cached | None:
    """What the cache holds; None where it holds nothing that can be read."""
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        states = dict(
            zip(
                table["name"].to_pylist(),
                zip(table["size"].to_pylist(), table["changed"].to_pylist(), strict=True),
                strict=True,
            )
        )
        reasons = {
            name: reason for name, reason in zip(states, table["reason"].to_pylist(), strict=True) if reason is not None
        }
        vectors = table["features"].combine_chunks()
        width = vectors.type.list_size
        features = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None
    readable = [row for row, name in enumerate(states) if name not in reasons]
    if len(readable) < len(states):
        features = features[readable]
    return _Cached(
        states, reasons, {name: row for row, name in enumerate(n for n in states if n not in reasons)}, features
    )


def _save(path: Path, cached: _Cached) -> None:
    width = cached.features.shape[1]
    features = np.zeros((len(cached.states), width), np.float32)
    order = [(place, cached.rows[name]) for place, name in enumerate(cached.states) if name in cached.rows]
    features[[place for place, _ in order]] = cached.features[[row for _, row in order]]
    columns = [
        pa.array(list(cached.states), pa.string()),
        pa.array([size for size, _ in cached.states.values()], pa.int64()),
        pa.array([changed for _, changed in cached.states.values()], pa.int64()),
        pa.array([cached.reasons.get(name) for name in cached.states], pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), width),
    ]
    schema = _FILES.append(pa.field("features", columns[-1].type, nullable=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary,
        pa.ipc.new_file(temporary, schema) as writer,
    ):
        writer.write_table(pa.table(columns, schema=schema))
    Path(temporary.name).replace(path)


def _probing(faiss, index):  # type: ignore[no-untyped-def]  # faiss has no types
    faiss.extract_index_ivf(index).nprobe = max(16, index.nlist // 32)
    return index
