"""What the planner and the readers share about files: the split, the file's entry in the manifest, and byte streams."""

import contextlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from schemas import places

BLOCK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Split:
    """A part of one file that one call of ``read`` reads. Small, picklable, and JSON-able by ``dataclasses.asdict``.

    Attributes:
        path: the file: a local path, or a URL that fsspec understands.
        format: one of ``FORMATS``.
        source: name of the input that the file belongs to.
        file_index: number of the file in the plan, from 0.
        start: where the split starts. Text: it owns the lines (CSV: records) that start in bytes [start, end) of the
            uncompressed file. Parquet: number of its first row group. Other formats: 0.
        end: where it ends, exclusive, in the same unit; None is the end of the file.
        compression: "gzip" or None.
        first_line: line number, from 1, of the line at ``start``; None where the planner does not know it.
        delimiter: CSV: what separates columns.
        columns: CSV: the names of the header.
    """

    path: str
    format: str
    source: str
    file_index: int
    start: int = 0
    end: int | None = None
    compression: str | None = None
    first_line: int | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileInfo:
    """What the manifest says about one input file.

    Attributes:
        path: local path or URL.
        source: name of its input.
        format: one of ``FORMATS``; None where the file is rejected as a whole.
        bytes: size as stored.
        fingerprint: changes when the file does: the store's etag or checksum where it keeps one, else the time of
            last change; empty where neither is known.
    """

    path: str
    source: str
    format: str | None
    bytes: int
    fingerprint: str


class StreamError(Exception):
    """The bytes of a file end early or cannot be decoded. ``reason`` is a key of ``REASONS``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def open_binary(path: str) -> IO[bytes]:
    """The file of that path or URL, open to read, as stored and seekable.

    Raises:
        OSError: there is no such file, or it may not be read.
        PlaceError: an object store fails, now or while it is read; what is lost so is no fault of the file.
    """
    return cast(IO[bytes], places.open_to_read(path))


def blocks(path: str, start: int = 0, compression: str | None = None) -> Iterator[bytes]:
    """The uncompressed bytes of a file from ``start`` on, in blocks of at most ``BLOCK_BYTES``, none of them empty.

    Raises:
        OSError: the file cannot be opened or read.
        StreamError: ``truncated`` or ``corrupt``, after all blocks that could be decompressed.
    """
    with open_binary(path) as file:
        if compression is None:
            file.seek(start)
            while block := file.read(BLOCK_BYTES):
                yield block
            return
        skip = start
        for block in _gunzip(file):
            if skip >= len(block):
                skip -= len(block)
                continue
            yield block[skip:]
            skip = 0


def blocks_of_start(path: str, size: int, least: int) -> tuple[str | None, Iterator[bytes]]:
    """Compression of a file, and its uncompressed bytes from the start: at least ``least`` of them, if it has so many.

    From an object store, one request gets what is needed of a text file; a gzip file may seem to end early.

    Args:
        size: the file's, as stored.
    """
    filesystem, stripped = places.place(path)
    if places.is_local(filesystem):
        with open_binary(path) as file:
            compression = "gzip" if file.read(2) == GZIP_MAGIC else None
        return compression, blocks(path, 0, compression)
    with places.telling(path):
        stored = filesystem.cat_file(stripped, start=0, end=min(size, least)) if size else b""
    if stored.startswith(GZIP_MAGIC):
        return "gzip", _gunzip(io.BytesIO(stored))
    return None, iter([stored] if stored else [])


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    # gzip.GzipFile would lose what it has buffered when the file ends early; here every decoded byte is handed on.
    decoder = None
    while stored := file.read(BLOCK_BYTES):
        while stored:
            if decoder is None:
                stored = stored.lstrip(b"\0")  # padding between and after members is legal
                if not stored:
                    break
                decoder = zlib.decompressobj(wbits=31)
            before = decoder.copy()
            try:
                block = decoder.decompress(stored, BLOCK_BYTES)
            except zlib.error as error:
                yield from _until_error(before, stored)
                raise StreamError("corrupt", f"the gzip stream cannot be decompressed from here on: {error}") from None
            if block:
                yield block
            if decoder.eof:
                stored, decoder = decoder.unused_data, None
            else:
                stored = decoder.unconsumed_tail
    while decoder is not None and not decoder.eof:
        block = decoder.decompress(b"", BLOCK_BYTES)
        if not block:
            raise StreamError("truncated", "the gzip stream ends early; lines that were whole before its end are read")
        yield block


def _until_error(decoder: "zlib._Decompress", stored: bytes) -> Iterator[bytes]:
    """What can be decompressed of bytes that end in an error; a failing call gives nothing of what it got before."""
    with contextlib.suppress(zlib.error):
        while stored and (block := decoder.decompress(stored, 256)):
            yield block
            stored = decoder.unconsumed_tail
