"""WebDataset tars: members with the same key, which is the path up to the name's first dot, make one sample."""

import tarfile
from collections.abc import Iterator
from typing import IO

from .files import Split, StreamError, open_binary
from .rows import MAX_RECORD_BYTES, RowBuilder, record_fields
from .text import parse_object

_SAMPLES = 4096  # between two hand-overs
_BLOCK = tarfile.BLOCKSIZE


def read_webdataset(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds one row a sample (several where its JSON lists several captions); yields after some thousand samples.

    The caption is the member ``.txt``, else it is in the member ``.json``. The id derives from the JSON's URL, so that
    it equals that of the list from which the images were downloaded; else it is the sample's key. Images are skipped,
    not read. A row's position counts the captions of the tar.
    """
    with open_binary(split.path) as file:
        key: str | None = None
        members: dict[str, bytes | None] = {}
        row = samples = 0
        try:
            for name, content in _members(file):
                sample_key, extension = _sample_key(name)
                if sample_key != key:
                    row += _add(builder, key, members, row)
                    key, members = sample_key, {}
                    samples += 1
                    if samples % _SAMPLES == 0:
                        yield
                members.setdefault(extension, content)
        finally:
            # A tar that ends early (StreamError) still has its last sample's caption, or misses it and says so.
            _add(builder, key, members, row)
    yield


def _add(builder: RowBuilder, key: str | None, members: dict[str, bytes | None], row: int) -> int:
    """Adds the sample; returns how many rows it was."""
    if key is None:
        return 0
    where = f"member {key}"
    captions: list[str | None] = [None]
    url = None
    for extension in ("json", "txt"):
        if extension not in members:
            continue
        content = members[extension]
        if content is None:
            detail = f"{key}.{extension} has more than {MAX_RECORD_BYTES:,} bytes"
            builder.reject("caption_too_long", detail, where, key)
            return 1
        # Bytes that are not UTF-8 go through, to be rejected with their row.
        text = content.decode("utf-8-sig", "surrogateescape")
        if extension == "txt":
            captions = [text]
            continue
        try:
            captions, _, url = record_fields(parse_object(text))
        except ValueError as error:
            builder.reject("bad_json", f"{key}.json: {error}", where, key, text[:1000])
            return 1
    count = len(captions)
    image_ids = [None if url and url.strip() else key] * count
    builder.add(range(row, row + count), captions, image_ids, [url] * count, lambda position: where)
    return count


def _members(file: IO[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Name and content of each regular file in the tar; None for the content of images and of oversized files.

    Raises:
        StreamError: ``truncated`` or ``corrupt``, after all members that are whole.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # tarfile remembers every member; a long tar would fill the memory
                if member.isfile():
                    content = None
                    if member.name.lower().endswith((".txt", ".json")) and member.size <= MAX_RECORD_BYTES:
                        stream = tar.extractfile(member)
                        content = b"" if stream is None else stream.read()
                    yield member.name, content
            # tarfile takes a bad or cut header for the end of the archive; the real end is a block of zeros.
            end = tar.offset
            file.seek(end)
            block = file.read(_BLOCK)
    except tarfile.TarError as error:
        if "unexpected end" in str(error) or "truncated" in str(error):
            raise StreamError("truncated", f"the tar ends early: {error}; samples before its end are read") from None
        raise StreamError("corrupt", f"the tar cannot be read: {error}") from None
    if len(block) < _BLOCK:
        raise StreamError("truncated", "the tar ends without its end mark; samples before its end are read")
    if block.strip(b"\0"):
        raise StreamError("corrupt", f"no tar header at byte {end}; samples before it are read")


def _sample_key(name: str) -> tuple[str, str]:
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()
