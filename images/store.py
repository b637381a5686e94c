"""Random access to images by id."""

import functools
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec.core
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .decoding import DEFAULT, Limits, decode
from .errors import ImageError
from .index import Index, build, load, refusals_path
from .sources import Source, expand, image_column, is_local

if TYPE_CHECKING:
    from PIL import Image

_OPEN_FILES = 128
_MOST_GROUP_BYTES = 64 << 20


class ImageStore:
    """The images of some files, by id.

    Threads share a store, and a process may fork with one: reads from tars and folders move no file position, and a
    Parquet file is opened by every process for itself and read by one thread at a time. A store pickles as the names of
    its sources and its index.
    """

    @classmethod
    def open(cls, sources: Sequence[str], index: str | Path, limits: Limits = DEFAULT) -> "ImageStore":
        """The store of the sources, by the index at that path, which is built where it is missing or out of date.

        Args:
            sources: WebDataset tars, Parquet files with a column of image bytes, folders of images or of either, and
                glob patterns; local or URLs that fsspec understands.
            index: local path of the index; beside it lies a Parquet file of the images that cannot be had.
            limits: what is read and decoded at all.

        Raises:
            SourceError: a source names no images.
            OSError: the index cannot be written.
        """
        expanded = expand(list(sources))
        path = Path(index).absolute()
        loaded = _loaded(path)
        if loaded is None or loaded.sources != expanded:
            build(expanded, path)
            loaded = load(path)
        return cls(list(sources), path, limits, loaded)

    def __init__(self, sources: list[str], path: Path, limits: Limits, index: Index) -> None:
        self._patterns = sources
        self._path = path
        self._limits = limits
        self._index = index
        self._file = functools.lru_cache(maxsize=_OPEN_FILES)(_File)
        self._parquet = functools.lru_cache(maxsize=4)(_Parquet)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._patterns, self._path, self._limits)

    def __len__(self) -> int:
        return len(self._index.ids)

    def __contains__(self, image_id: object) -> bool:
        return isinstance(image_id, str) and self._index.find(image_id) is not None

    def ids(self) -> pa.StringArray:
        """Every image id once, in the order of the sources."""
        ids = self._index.ids
        return ids.cast(pa.string()) if ids.nbytes < 2**31 else ids

    @property
    def duplicates(self) -> int:
        """Images left out because an earlier one has their id."""
        return self._index.duplicates

    def refusals(self) -> pa.Table:
        """What the sources hold that cannot be had: image_id (null where unknown), path, where, reason, detail."""
        return pq.read_table(refusals_path(self._path))

    def read(self, image_id: str) -> bytes:
        """The image as it is stored, encoded.

        Raises:
            ImageError: it cannot be had.
        """
        row = self._index.find(image_id)
        if row is None:
            raise self._missing(image_id)
        source = self._index.sources[self._index.source[row]]
        offset, length = int(self._index.offset[row]), int(self._index.length[row])
        if length > self._limits.bytes:
            raise ImageError("image_too_large", f"{length:,} bytes; at most {self._limits.bytes:,} are read")
        try:
            if source.kind == "parquet":
                return self._parquet(source.path, os.getpid()).read(offset, self._limits)
            if source.kind == "folder":
                path = f"{source.path.rstrip('/')}/{self._index.name[row].as_py()}"
                data = _File(path).read(0, length)
            elif is_local(source.path):
                data = self._file(source.path).read(offset, length)
            else:
                data = _File(source.path).read(offset, length)
        except (OSError, pa.ArrowException) as error:
            raise ImageError("unreadable_image", f"{source.path}: {error}") from None
        if len(data) != length:
            raise ImageError("unreadable_image", f"{source.path} has changed since it was indexed")
        return data

    def image(self, image_id: str) -> "Image.Image":
        """The picture, RGB and upright; see ``decode``.

        Raises:
            ImageError: it cannot be had or decoded.
        """
        return decode(self.read(image_id), self._limits)

    def _missing(self, image_id: str) -> ImageError:
        row = self._refused.get(image_id)
        if row is not None:
            refusal = self.refusals().slice(row, 1).to_pylist()[0]
            return ImageError(refusal["reason"], f"{refusal['path']}:{refusal['where']}: {refusal['detail']}")
        return ImageError("missing_image", f"no image {image_id!r} in {', '.join(self._patterns)}"[:500])

    @functools.cached_property
    def _refused(self) -> dict[str, int]:
        """Row of ``refusals`` of every image id in it; of the same ids the first."""
        ids = self.refusals()["image_id"].to_pylist()
        return {image_id: row for row, image_id in reversed(list(enumerate(ids))) if image_id is not None}


class _File:
    """An open file, read from any place; closed when nobody holds it."""

    def __init__(self, path: str) -> None:
        self._descriptor = None
        if not is_local(path):
            self._filesystem, self._stripped = fsspec.core.url_to_fs(path)
            return
        # A pipe in place of the file would make a plain open wait forever.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise OSError("is no regular file")

    def read(self, offset: int, length: int) -> bytes:
        if self._descriptor is None:
            return bytes(self._filesystem.cat_file(self._stripped, start=offset, end=offset + length))
        return os.pread(self._descriptor, length, offset)

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


class _Parquet:
    """A Parquet file with images, read row by row; the last row group stays decoded where it is small.

    Args:
        process: whose it is. Another one must not use it: the two would share the file's position, and a lock that a
            thread held at the fork would stay closed forever.
    """

    def __init__(self, path: str, process: int) -> None:
        self._lock = threading.Lock()
        filesystem, stripped = fsspec.core.url_to_fs(path)
        self._parquet = pq.ParquetFile(filesystem.open(stripped, "rb"), pre_buffer=False)
        self._column = image_column(self._parquet.schema_arrow)
        metadata = self._parquet.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        self._ends = np.cumsum([group.num_rows for group in groups])
        self._bytes = [_column_bytes(group, self._column) for group in groups]
        self._held: tuple[int, pa.Array] | None = None

    def read(self, row: int, limits: Limits) -> bytes:
        group = int(np.searchsorted(self._ends, row, side="right"))
        if group >= len(self._ends) or self._column is None:
            raise OSError("the file has changed since it was indexed")
        row -= int(self._ends[group - 1]) if group else 0
        with self._lock:
            value = self._value(group, row)
        if not value.is_valid:
            raise ImageError("missing_image", f"row {row} of row group {group} holds no image")
        size = value.as_buffer().size
        if size > limits.bytes:
            raise ImageError("image_too_large", f"{size:,} bytes; at most {limits.bytes:,} are read")
        return bytes(value.as_py())

    def _value(self, group: int, row: int) -> pa.Scalar:
        if self._bytes[group] > _MOST_GROUP_BYTES:
            return self._streamed(group, row)
        if self._held is None or self._held[0] != group:
            table = self._parquet.read_row_group(group, [self._column], use_threads=False)
            self._held = (group, _flat(table.column(0).combine_chunks()))
        return self._held[1][row]

    def _streamed(self, group: int, row: int) -> pa.Scalar:
        for batch in self._parquet.iter_batches(16, [group], [self._column], use_threads=False):
            if row < batch.num_rows:
                return _flat(batch.column(0))[row]
            row -= batch.num_rows
        raise OSError("the file has changed since it was indexed")


def _column_bytes(group: Any, column: str | None) -> int:
    columns = (group.column(number) for number in range(group.num_columns))
    return sum(one.total_uncompressed_size for one in columns if one.path_in_schema == column)


def _flat(values: pa.Array) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values


def _loaded(path: Path) -> Index | None:
    try:
        return load(path)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _reopen(sources: list[str], path: Path, limits: Limits) -> ImageStore:
    # The process that made the store has compared the index with the files; the others need not list them again.
    index = _loaded(path)
    return ImageStore.open(sources, path, limits) if index is None else ImageStore(sources, path, limits, index)


__all__ = ["ImageStore", "Source"]
