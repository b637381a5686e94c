"""WebDataset tars: members with the same key, which is the path up to the name's first dot, make one sample."""

from collections.abc import Iterator
from typing import IO

from images.tars import TarError, walk
from schemas.image_ids import parse_object, record_fields, sample_key

from .files import Split, StreamError, open_binary
from .rows import MAX_RECORD_BYTES, RowBuilder

_SAMPLES = 4096


def read_webdataset(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds one row a sample (several where its JSON lists several captions); yields after some thousand samples.

    The caption is the member ``.txt``, else it is in the member ``.json``. The id derives from the JSON's URL, so that
    it equals that of the list from which the images were downloaded; else it is the sample's key. Images are skipped,
    not read. A row's position counts the captions of the tar.
    """
    samples = _Samples(builder)
    key: str | None = None
    members: dict[str, bytes | None] = {}
    with open_binary(split.path) as file:
        try:
            for name, content in _members(file):
                if sample_key(name) != key:
                    samples.add(key, members)
                    key, members = sample_key(name), {}
                    if samples.waiting >= _SAMPLES:
                        samples.hand_over()
                        yield
                members[name[len(key) + 1 :].lower()] = content
        finally:
            # Also when the tar ends early: the caption of its last sample may be whole.
            samples.add(key, members)
            samples.hand_over()
    yield


class _Samples:
    """Collects the rows of samples, and hands them to the builder many at a time.

    Attributes:
        waiting: how many rows have been collected since the last time.
    """

    def __init__(self, builder: RowBuilder) -> None:
        self._builder = builder
        self._next = 0
        self._keys: list[str] = []
        self._captions: list[str | None] = []
        self._image_ids: list[str | None] = []
        self._urls: list[str | None] = []

    @property
    def waiting(self) -> int:
        return len(self._keys)

    def add(self, key: str | None, members: dict[str, bytes | None]) -> None:
        if key is None:
            return
        captions: list[str | None] = [None]
        url = None
        for extension in ("json", "txt"):
            if extension not in members:
                continue
            content = members[extension]
            if content is None:
                detail = f"{key}.{extension} has more than {MAX_RECORD_BYTES:,} bytes"
                self._builder.reject("caption_too_long", detail, f"member {key}", key)
                return
            # Bytes that are not UTF-8 go through, to be rejected with their row.
            text = content.decode("utf-8-sig", "surrogateescape")
            if extension == "txt":
                captions = [text]
                continue
            try:
                captions, _, url = record_fields(parse_object(text))
            except ValueError as error:
                self._builder.reject("bad_json", f"{key}.json: {error}", f"member {key}", key, text[:1000])
                return
        self._keys += [key] * len(captions)
        self._captions += captions
        self._image_ids += [None if url and url.strip() else key] * len(captions)
        self._urls += [url] * len(captions)

    def hand_over(self) -> None:
        first, keys = self._next, self._keys
        positions = range(first, first + len(keys))
        self._builder.add(
            positions, self._captions, self._image_ids, self._urls, lambda position: f"member {keys[position - first]}"
        )
        self._next += len(keys)
        self._keys, self._captions, self._image_ids, self._urls = [], [], [], []


def _members(file: IO[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Name and content of each regular file in the tar; None for the content of images and of oversized files.

    Raises:
        StreamError: ``truncated`` or ``corrupt``, after all members that are whole.
    """

    def read_at(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    try:
        for member in walk(read_at, file.seek(0, 2)):
            if member.kind == "file":
                content = None
                if member.name.lower().endswith((".txt", ".json")) and member.size <= MAX_RECORD_BYTES:
                    content = read_at(member.offset, member.size)
                yield member.name.removeprefix("./"), content
    except TarError as error:
        reason = "truncated" if error.truncated else "corrupt"
        raise StreamError(reason, f"{error.detail}; samples before that are read") from None
