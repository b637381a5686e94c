"""Files of an output folder, local or in an object store: whole or absent.

Nothing partial ever stands under a final name (schemas.places). A part of a stage counts only once its receipt does: a
small JSON file, written after the part's files, that names them with rows, bytes and checksum. A second run takes every
part whose receipt it finds. Whatever else lies in the folder, such as what a killed worker had written before its
receipt, counts for nothing.

A store answers a request in tens of milliseconds, so what concerns many files goes by one listing, or by many requests
at a time.
"""

import contextlib
import hashlib
import io
import json
import posixpath
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import conform, places
from schemas.manifest import FileEntry

ROWS_PER_ROW_GROUP = 1 << 16

COMPRESSION_LEVEL = 1
"""Of zstd: triplets are 3% larger than at its default level and written in five sixths of the time."""

STAGES = "_stages"
"""Folder of the stages' receipts and intermediate files; its name hides it from DuckDB's and Spark's globs."""

_REQUESTS = 32
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class StoreError(Exception):
    """The output folder cannot be used as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Receipt:
    """What one part of a stage did.

    Attributes:
        part: number of the part.
        rows_in, rows_out: rows taken and passed on.
        rejects: rejected rows by reason.
        files: the files of the part, paths relative to the output folder.
        totals: further figures of the stage, to be added up over the parts; a list of numbers each.
    """

    part: int
    rows_in: int = 0
    rows_out: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    files: list[FileEntry] = field(default_factory=list)
    totals: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """An output folder, local path or fsspec URL. Its methods raise PlaceError where an object store fails."""

    root: str

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        return places.place(self.root)

    def path(self, relative: str) -> str:
        return posixpath.join(self._place[1], relative)

    def url(self, relative: str) -> str:
        return posixpath.join(self.root, relative)

    @property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        return self._place[0]

    @property
    def is_local(self) -> bool:
        return places.is_local(self.filesystem)

    def exists(self, relative: str = "") -> bool:
        with places.telling(self.root):
            return bool(self.filesystem.exists(self.path(relative)))

    def names(self, folder: str = "") -> list[str]:
        """Names of what a folder holds, sorted; of a missing folder none."""
        with contextlib.suppress(FileNotFoundError), places.telling(self.url(folder)):
            place = self.path(folder).rstrip("/")
            found = (path.rstrip("/") for path in self.filesystem.ls(place, False))
            return sorted(posixpath.basename(path) for path in found if path != place)  # some list an empty folder so
        return []

    def write_bytes(self, relative: str, content: bytes | memoryview) -> None:
        """Write a file as a whole, replacing one of that name.

        Raises:
            OSError: it cannot be written; nothing stands under its name that did not before.
        """
        places.write_whole(self.url(relative), content)

    def write_table(self, relative: str, table: pa.Table, schema: pa.Schema) -> FileEntry:
        """Write a Parquet file of that schema (see :func:`schemas.conform`) and say what was written."""
        sink = pa.BufferOutputStream()
        pq.write_table(
            conform(table, schema),
            sink,
            row_group_size=ROWS_PER_ROW_GROUP,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
        )
        content = memoryview(sink.getvalue())
        self.write_bytes(relative, content)
        return FileEntry(relative, len(table), len(content), hashlib.sha256(content).hexdigest())

    def read_table(
        self, relative: str, columns: Sequence[str] | None = None, dictionary: Sequence[str] = ()
    ) -> pa.Table:
        """Read a Parquet file.

        Args:
            columns: those wanted; None for all.
            dictionary: columns to give as dictionary arrays (``entities.list.element`` names a list's values), which
                is several times faster where values repeat and the reader works on distinct values.
        """
        with self._open(relative) as file:
            return pq.read_table(file, columns=columns and list(columns), read_dictionary=list(dictionary))

    def write_arrays(self, relative: str, arrays: dict[str, np.ndarray]) -> None:
        """Write named arrays as one .npz file."""
        sink = io.BytesIO()
        np.savez(sink, **arrays)  # type: ignore[arg-type]
        self.write_bytes(relative, sink.getbuffer())

    def read_arrays(self, relative: str) -> dict[str, np.ndarray]:
        with self._open(relative) as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)

    def _open(self, relative: str) -> IO[bytes]:
        # From a store a part is had whole, in pieces at a time, sooner than column after column.
        if self.is_local:
            return Path(self.path(relative)).open("rb")
        return io.BytesIO(places.read_whole(self.url(relative)))

    def write_json(self, relative: str, value: Any) -> None:
        self.write_bytes(relative, json.dumps(value, indent=1).encode())

    def read_json(self, relative: str) -> Any:
        """The JSON value of a file; None where there is no such file or it is not JSON."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return json.loads(places.read_whole(self.url(relative)))
        return None

    def write_receipt(self, stage: str, receipt: Receipt) -> None:
        self.write_json(_receipt_path(stage, receipt.part), asdict(receipt))

    def receipt(self, stage: str, part: int) -> Receipt | None:
        """The receipt of a part that is done and whose files are all there; else None."""
        receipt = self._receipt(stage, part)
        return receipt if receipt and all(self.has(entry) for entry in receipt.files) else None

    def receipts(self, stage: str, parts: int) -> list[Receipt | None]:
        """The same of parts 0 to ``parts - 1``, in few requests."""
        written = set(self.receipts_written(stage))
        there = [part for part in range(parts) if posixpath.basename(_receipt_path(stage, part)) in written]
        found = dict(zip(there, self._together(lambda part: self._receipt(stage, part), there), strict=True))
        lost = set(self.lost(entry for receipt in found.values() if receipt for entry in receipt.files))
        whole = (found.get(part) for part in range(parts))
        return [receipt if receipt and lost.isdisjoint(receipt.files) else None for receipt in whole]

    def _receipt(self, stage: str, part: int) -> Receipt | None:
        value = self.read_json(_receipt_path(stage, part))
        if value is None:
            return None
        value["files"] = [FileEntry(**entry) for entry in value["files"]]
        return Receipt(**value)

    def receipts_written(self, stage: str) -> list[str]:
        """Names of the receipts of a stage, whether or not their files are still there."""
        return [name for name in self.names(posixpath.join(STAGES, stage)) if name.startswith("part-")]

    def has(self, entry: FileEntry) -> bool:
        """Whether a file is there with the bytes it should have."""
        with contextlib.suppress(FileNotFoundError), places.telling(self.url(entry.path)):
            return bool(self.filesystem.size(self.path(entry.path)) == entry.bytes)
        return False

    def lost(self, entries: Iterable[FileEntry]) -> list[FileEntry]:
        """Those of the files that are gone or have not the bytes they should have."""
        if self.is_local:
            return [entry for entry in entries if not self.has(entry)]
        entries = list(entries)
        sizes: dict[str, int] = {}
        for folder in {posixpath.dirname(entry.path) for entry in entries}:
            with contextlib.suppress(FileNotFoundError), places.telling(self.url(folder)):
                for found in self.filesystem.ls(self.path(folder), True):
                    sizes[found["name"].rstrip("/")] = found["size"]
        return [entry for entry in entries if sizes.get(self.path(entry.path)) != entry.bytes]

    def remove(self, *relatives: str) -> None:
        """Remove files or folders; nothing happens where there is none."""
        if self.is_local:
            for relative in relatives:
                with contextlib.suppress(FileNotFoundError):
                    self.filesystem.rm(self.path(relative), recursive=True)
            return
        with places.telling(self.root):
            for relative in relatives:
                with contextlib.suppress(FileNotFoundError):
                    if found := self.filesystem.find(self.path(relative)):
                        self.filesystem.rm(found)

    def remove_files(self, folder: str, names: Sequence[str]) -> None:
        """Remove files of a folder that are there, in few requests."""
        paths = [self.path(posixpath.join(folder, name)) for name in names]
        if paths:
            with contextlib.suppress(FileNotFoundError), places.telling(self.url(folder)):
                self.filesystem.rm(paths)

    def remove_temporaries(self) -> None:
        """Remove what a killed run left half-written."""
        if self.is_local:
            for path in Path(self.path("")).rglob(".*.tmp"):
                path.unlink(missing_ok=True)

    def _together(self, call: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """The call's result for each item, with many requests under way at a time."""
        if self.is_local or len(items) < 2:
            return [call(item) for item in items]
        with ThreadPoolExecutor(_REQUESTS) as threads:
            return list(threads.map(call, items))


def part_name(part: int, partitions: int) -> str:
    return f"part-{part:05d}-of-{partitions:05d}"


def _receipt_path(stage: str, part: int) -> str:
    return f"{STAGES}/{stage}/part-{part:05d}.json"
