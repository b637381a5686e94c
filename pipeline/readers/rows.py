"""From rows as they were read to Arrow batches of captions, and of rejects with their reasons."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

import schemas
from schemas.image_ids import CAPTION_NAMES, IMAGE_ID_NAMES, URL_NAMES, url_ids

from . import identity

RAW_CAPTIONS = pa.schema(
    [
        pa.field(name, type_, nullable=nullable, metadata={"doc": doc})
        for name, type_, nullable, doc in [
            ("image_id", pa.string(), False, "id of the image, as its source names it or derived from its URL"),
            ("image_key", pa.int64(), False, "hash of image_id where it derives from a URL, else of source and id"),
            ("caption", pa.string(), False, "the caption, cleaned; never empty, at most 10,000 characters"),
            ("source", pa.string(), False, "name of the input"),
            ("url", pa.string(), True, "address of the image, where the input has one"),
            ("file_index", pa.int32(), False, "number of the file in the plan"),
            ("position", pa.int64(), False, "place in the file: byte offset in text formats, row number in others; "
             "increases strictly within a file"),
        ]
    ],
    metadata={"facetmine.table": "raw_captions"},
)  # fmt: skip
"""Schema of the captions that ``read`` yields: (file_index, position) puts all captions of a plan in one order."""

REASONS = {
    "empty_file": "the file holds nothing but white space",
    "not_text": "the file was to be text, but holds binary data",
    "truncated": "the gzip stream or tar archive ends early; rows before its end are read",
    "wrong_columns": "the line does not have the columns that its format asks for",
    "invalid_utf8": "the row is not valid UTF-8",
    "no_caption": "the row has no caption, or an empty one",
    "no_image_id": "the row has neither an image id nor a URL",
    "caption_too_long": "the caption has more than 10,000 characters (the reject keeps the first 1,000), or its line "
    "or tar member more than 64 MiB",
    "bad_json": "the line, tar member or file is not JSON, or not a JSON object",
    "missing_columns": "the file has no column for captions, or none that identifies images",
    "corrupt": "the file, or a row group of it, cannot be decoded; other row groups are read",
    "unreadable": "the file cannot be opened or read",
    "unknown_format": "the format of the file cannot be told from its content",
    "download_failed": "img2dataset could not download the image",
}
"""Every reason for which the stage ``read`` rejects, with its meaning. The codes are stable."""

MAX_CAPTION_CHARACTERS = 10_000
MAX_RECORD_BYTES = 64 << 20
"""A longer line, CSV record or tar member is rejected without being held in memory."""

_Value = TypeVar("_Value")
_REJECT_CHARACTERS = 1_000
_FOLDED = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class Reject:
    """One row of ``schemas.REJECTS`` from the stage ``read``."""

    reason: str
    detail: str
    source: str | None
    position: str | None
    image_id: str | None = None
    caption_index: int | None = None
    caption: str | None = None
    stage: str = "read"

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"{self.reason!r} is not a reason for rejects; REASONS lists them")


class RowBuilder:
    """Turns the rows of one split into Arrow batches.

    Args:
        source: name of the input.
        path: the file, as the positions of rejects name it.
        file_index: number of the file in the plan.
        batch_rows: rows in a batch; only the last may have fewer.
    """

    def __init__(self, source: str, path: str, file_index: int, batch_rows: int) -> None:
        self._source = source
        self._path = path
        self._file_index = file_index
        self._batch_rows = batch_rows
        self._tables: list[pa.Table] = []
        self._rows = 0
        self._rejects: list[Reject] = []

    def add(
        self,
        positions: Sequence[int],
        captions: Sequence[str | None],
        image_ids: Sequence[str | None] | None,
        urls: Sequence[str | None] | None,
        where: Callable[[int], str],
    ) -> None:
        """Adds n rows, given as columns; each becomes a caption or a reject.

        Args:
            positions: place of each in the file, increasing from call to call.
            captions: as they were read.
            image_ids: None, or None or white space in a row, where the id shall derive from the URL.
            urls: address of each image; None where there is none.
            where: words for the place of a row, given its position ("line 12").
        """
        # Nearly all captions are clean already; telling so here is twice as fast as cleaning them.
        cleaned = [
            text if text and text.isascii() and text.isprintable() and "  " not in text and text == text.strip()
            else clean(text or "")
            for text in captions
        ]  # fmt: skip
        nothing: list[str | None] = [None] * len(cleaned)
        ids = nothing if image_ids is None else [text if text and text.strip() else None for text in image_ids]
        links = nothing if urls is None else [text.strip() or None if text else None for text in urls]
        known = links if image_ids is None else [image_id or link for image_id, link in zip(ids, links, strict=True)]
        if not (all(cleaned) and all(known) and max(map(len, cleaned), default=0) <= MAX_CAPTION_CHARACTERS):
            sound = []
            for row, (caption, name) in enumerate(zip(cleaned, known, strict=True)):
                if name and 0 < len(caption) <= MAX_CAPTION_CHARACTERS:
                    sound.append(row)
                else:
                    self._reject_row(caption, ids[row], bool(name), where(positions[row]))
            positions, cleaned = _take(positions, sound), _take(cleaned, sound)
            ids, links = _take(ids, sound), _take(links, sound)
        try:
            self._append(positions, cleaned, ids, links)
        except UnicodeEncodeError:
            # Half a surrogate pair: JSON can escape it, and readers decode bytes that are not UTF-8 to it.
            sound = []
            for row, texts in enumerate(zip(cleaned, ids, links, strict=True)):
                if all(_has_utf8(text) for text in texts):
                    sound.append(row)
                else:
                    detail = "caption, image id or URL holds bytes or an escape that is not valid UTF-8"
                    self.reject("invalid_utf8", detail, where(positions[row]), ids[row], cleaned[row])
            self._append(_take(positions, sound), _take(cleaned, sound), _take(ids, sound), _take(links, sound))

    def reject(
        self,
        reason: str,
        detail: str,
        where: str | None = None,
        image_id: str | None = None,
        caption: str | None = None,
    ) -> None:
        """Adds one reject: a row at ``where``, or the file as a whole where that is None."""
        position = f"{self._path}:{where}" if where else self._path
        kept = None if caption is None else _storable(caption[:_REJECT_CHARACTERS])
        named = None if image_id is None else _storable(image_id[:_REJECT_CHARACTERS])
        self._rejects.append(Reject(reason, _storable(detail), self._source, _storable(position), named, None, kept))

    def batches(self, *, final: bool = False) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Takes out the batches of (captions, rejects) that are full; with ``final`` all that is left."""
        while (
            self._rows >= self._batch_rows
            or len(self._rejects) >= self._batch_rows
            or (final and (self._rows or self._rejects))
        ):
            captions = pa.concat_tables(self._tables or [RAW_CAPTIONS.empty_table()]).combine_chunks()
            rejects, self._rejects = self._rejects[: self._batch_rows], self._rejects[self._batch_rows :]
            yield captions.slice(0, self._batch_rows), rejects_table(rejects)
            self._tables = [captions.slice(self._batch_rows)]
            self._rows = self._tables[0].num_rows

    def _append(
        self, positions: Sequence[int], captions: list[str], ids: list[str | None], links: list[str | None]
    ) -> None:
        if not captions:
            return
        derived = [row for row, image_id in enumerate(ids) if image_id is None]
        derived_ids = url_ids([links[row] or "" for row in derived])
        if len(derived) == len(ids):
            names = derived_ids
            keys = identity.hash64(names)
        else:
            names = [image_id or "" for image_id in ids]
            for row, name in zip(derived, derived_ids, strict=True):
                names[row] = name
            keys = identity.named_keys(self._source, names)
            keys[derived] = identity.hash64(derived_ids)
        self._tables.append(
            pa.table(
                [
                    pa.array(names, pa.string()),
                    pa.array(keys),
                    pa.array(captions, pa.string()),
                    pa.repeat(pa.scalar(self._source, pa.string()), len(captions)),
                    pa.array(links, pa.string()),
                    pa.repeat(pa.scalar(self._file_index, pa.int32()), len(captions)),
                    pa.array(np.asarray(positions, dtype=np.int64)),
                ],
                schema=RAW_CAPTIONS,
            )
        )
        self._rows += len(captions)

    def _reject_row(self, caption: str, image_id: str | None, known: bool, where: str) -> None:
        if not caption:
            self.reject("no_caption", "the caption is missing, empty, or not text", where, image_id)
        elif not known:
            self.reject("no_image_id", "the image id and the URL are missing or empty", where, None, caption)
        else:
            detail = f"the caption has more than {MAX_CAPTION_CHARACTERS:,} characters"
            self.reject("caption_too_long", detail, where, image_id, caption)


def clean(caption: str) -> str:
    """The caption in Unicode NFC, with control characters and runs of white space folded to single spaces.

    A caption that is far too long is cut somewhere behind ``MAX_CAPTION_CHARACTERS``: enough to see that it is.
    """
    if len(caption) > 10 * MAX_CAPTION_CHARACTERS:
        caption = _fold_long(caption)
    text = " ".join(caption.split())
    if text.isascii() and text.isprintable():
        return text
    # str.split knows white space but no other control characters; those are rare, so only they pay for the pattern.
    # U+FEFF is the byte order mark of a file that was pasted into another one.
    return unicodedata.normalize("NFC", _FOLDED.sub(" ", text.replace("\ufeff", "")).strip())


def rejects_table(rejects: Sequence[Reject]) -> pa.Table:
    """The rejects as a table of schema ``schemas.REJECTS``."""
    columns = [[getattr(reject, name) for reject in rejects] for name in schemas.REJECTS.names]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schemas.REJECTS, strict=True)],
                    schema=schemas.REJECTS)  # fmt: skip


def missing_columns(columns: Sequence[str]) -> str:
    """Words for a file whose columns do not do."""
    return (
        f"needs a column for captions ({', '.join(CAPTION_NAMES)}) and one for the image ({', '.join(IMAGE_ID_NAMES)}, "
        f"{', '.join(URL_NAMES)}); found {', '.join(columns) or 'none'}"
    )


def _fold_long(caption: str) -> str:
    # Splitting tens of megabytes into words takes gigabytes; a piece at a time until it is too long takes none.
    kept = ""
    step = 10 * MAX_CAPTION_CHARACTERS
    for start in range(0, len(caption), step):
        kept = _FOLDED.sub(" ", kept + caption[start : start + step].replace("\ufeff", ""))
        if len(kept) > step:  # NFC makes one character of four at most
            break
    return kept


def _take(column: Sequence[_Value], rows: Sequence[int]) -> list[_Value]:
    return [column[row] for row in rows]


def _has_utf8(text: str | None) -> bool:
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(text: str) -> str:
    return text if _has_utf8(text) else text.encode(errors="replace").decode()
