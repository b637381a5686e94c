"""The members of a tar: where each lies, from its header alone.

Python's tarfile is built to unpack archives that one trusts: it reads headers of any length into memory, recurses a
frame for each header that describes another, and (before 2025) goes round in circles on negative sizes. This walks
ustar, GNU and pax archives, takes only name, kind and size, believes neither, and is several times as fast.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

BLOCK = 512
_MOST_HEADER_BYTES = 1 << 20
"""A name or pax header that is longer is damage."""
_ZEROS = bytes(BLOCK)
_KINDS = {
    b"0": "file", b"\0": "file", b"7": "file", b"1": "link", b"2": "link", b"3": "device", b"4": "device",
    b"5": "folder", b"6": "pipe", b"S": "sparse file",
}  # fmt: skip
_DATALESS = frozenset({"link", "device", "folder", "pipe"})

ReadAt = Callable[[int, int], bytes]
"""Bytes of a file: up to ``length`` from ``offset`` on, fewer only at its end."""


class Member(NamedTuple):
    """One member.

    Attributes:
        name: its path as the archive has it; bytes that are not UTF-8 are surrogates.
        kind: "file", "link", "device", "folder", "pipe", "sparse file" or "unknown".
        offset: where its content starts.
        size: bytes of its content.
    """

    name: str
    kind: str
    offset: int
    size: int


class TarError(Exception):
    """The archive cannot be read from some place on.

    Attributes:
        truncated: it ends early; else its bytes are no tar.
        detail: what was wrong, in words.
    """

    def __init__(self, truncated: bool, detail: str) -> None:
        super().__init__(detail)
        self.truncated = truncated
        self.detail = detail


def local_reader(descriptor: int) -> ReadAt:
    """Reads of an open local file that do not move its position."""
    return lambda offset, length: os.pread(descriptor, length, offset)


def walk(read_at: ReadAt, file_bytes: int) -> Iterator[Member]:
    """The members in order, none of them beyond the end of the file.

    Raises:
        TarError: after all members that are whole.
    """
    offset = 0
    name: str | None = None
    size: int | None = None
    sparse = False
    while True:
        header = read_at(offset, BLOCK)
        if len(header) < BLOCK:
            raise TarError(True, f"it ends at byte {file_bytes} without its end mark")
        if header == _ZEROS:
            return
        kind, length, own_name = _parse(header, offset)
        content = offset + BLOCK
        if kind in (b"L", b"K", b"x", b"X", b"g"):
            if length > _MOST_HEADER_BYTES:
                raise TarError(False, f"the header at byte {offset} claims {length:,} bytes")
            _check_end(content, length, file_bytes)
            text = read_at(content, length)
            if kind == b"L":
                name = _text(text)
            elif kind in (b"x", b"X"):
                records = _pax(text, offset)
                name = records.get("path", name)
                name = records.get("GNU.sparse.name", name)
                sparse = sparse or any(key.startswith("GNU.sparse") for key in records)
                if "size" in records:
                    size = _whole(records["size"], offset)
            offset = _after(content, length)
            continue
        what = "sparse file" if sparse else _KINDS.get(kind, "unknown")
        length = length if size is None else size
        own_name = own_name if name is None else name
        if what == "file" and kind != b"7" and own_name.endswith("/"):
            what = "folder"
        if what in _DATALESS:
            length = 0
        _check_end(content, length, file_bytes)
        if kind == b"S":
            content, length = _skip_sparse(read_at, header, content, length)
        yield Member(own_name, what, content, length)
        offset, name, size, sparse = _after(content, length), None, None, False


def _parse(header: bytes, offset: int) -> tuple[bytes, int, str]:
    """Kind, size and name that a header block states."""
    stated = _number(header[148:156], offset)
    # The field itself counts as spaces; some old archivers summed signed bytes.
    total = sum(header) - sum(header[148:156]) + 8 * 32
    if stated != total:
        signed = total - 256 * sum(byte > 127 for byte in header[:148] + header[156:])
        if stated != signed:
            raise TarError(False, f"no tar header at byte {offset}")
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and header[345]:
        name = header[345:500].partition(b"\0")[0] + b"/" + name
    return header[156:157], _number(header[124:136], offset), _text(name)


def _number(text: bytes, offset: int) -> int:
    if text[0] == 0x80:
        return int.from_bytes(text[1:], "big")  # GNU's way to write what has more than eleven octal digits
    digits = text.partition(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise TarError(False, f"no tar header at byte {offset}")
    return int(digits or b"0", 8)


def _whole(text: str, offset: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise TarError(False, f"the header at byte {offset} states the size {text[:40]!r}")
    return int(text)


def _pax(text: bytes, offset: int) -> dict[str, str]:
    """The records "length key=value\\n" of a pax header."""
    records = {}
    at = 0
    while at < len(text) and text[at]:
        digits = text[at : at + 12].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = text[at + len(digits) + 1 : at + length].partition(b"=")
        if not equals or at + length > len(text) or not value.endswith(b"\n"):
            raise TarError(False, f"the pax header at byte {offset} is damaged")
        records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
        at += length
    return records


def _skip_sparse(read_at: ReadAt, header: bytes, content: int, length: int) -> tuple[int, int]:
    """Where the data of an old GNU sparse file starts: behind the blocks that go on with its map."""
    goes_on = header[482]
    while goes_on:
        block = read_at(content, BLOCK)
        if len(block) < BLOCK:
            raise TarError(True, "it ends in the map of a sparse file")
        goes_on = block[504]
        content += BLOCK
    return content, length


def _check_end(content: int, length: int, file_bytes: int) -> None:
    if content + length > file_bytes:
        raise TarError(True, f"a member at byte {content} of {length:,} bytes goes beyond the end, {file_bytes:,}")


def _after(content: int, length: int) -> int:
    return content + -(-length // BLOCK) * BLOCK


def _text(name: bytes) -> str:
    return name.partition(b"\0")[0].decode("utf-8", "surrogateescape")
