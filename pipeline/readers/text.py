"""Text files with one record a line: Conceptual Captions, Flickr8k, JSON Lines, and CSV with its quoted newlines.

A block of whole records is decoded at once and goes on as columns. The records of a split are those that start in it,
so the splits of a file hold each record exactly once, whoever reads them and in what order.
"""

import contextlib
import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from schemas.image_ids import find_names, parse_object, record_fields

from .files import Split, blocks
from .rows import MAX_RECORD_BYTES, RowBuilder

TAB = "\t"
DELIMITERS = (",", ";", TAB)

Ends = npt.NDArray[np.int64]


def read_cc(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds the rows of a split of ``caption<TAB>url`` lines; yields after each block."""
    for chunk in _chunks(split, builder):
        positions, lines = chunk.records(builder)
        sound = [row for row, line in enumerate(lines) if line.count(TAB) == 1 and not line.isspace()]
        if len(sound) < len(lines):
            for row in sorted(set(range(len(lines))).difference(sound)):
                if lines[row] and not lines[row].isspace():
                    detail = f"expected 2 tab-separated columns, found {lines[row].count(TAB) + 1}"
                    builder.reject("wrong_columns", detail, chunk.where(positions[row]), None, lines[row])
            positions, lines = [positions[row] for row in sound], [lines[row] for row in sound]
        # One join and one split for all lines are faster than a split for each.
        columns = TAB.join(lines).split(TAB) if lines else []
        captions, urls = columns[::2], columns[1::2]
        if positions and positions[0] == 0 and is_cc_header(captions[0], urls[0]):
            del positions[0], captions[0], urls[0]
        builder.add(positions, captions, None, urls, chunk.where)
        yield


def read_flickr(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds the rows of a split of ``image.jpg#number<white space>caption`` lines; yields after each block.

    The published Flickr8k file has a tab before most captions and a space before some.
    """
    for chunk in _chunks(split, builder):
        positions, captions, image_ids = [], [], []
        for position, line in zip(*chunk.records(builder), strict=True):
            head, _, caption = line.partition(TAB)
            image_id, _, number = head.rpartition("#")
            if not (image_id and number.isdecimal()):
                parts = line.split(None, 1)
                if not parts:
                    continue
                image_id, _, number = parts[0].rpartition("#")
                caption = parts[1] if len(parts) == 2 else ""
            if image_id and number.isdecimal():
                positions.append(position)
                captions.append(caption)
                image_ids.append(image_id)
            else:
                detail = "expected 'image#number', white space and a caption"
                builder.reject("wrong_columns", detail, chunk.where(position), None, line)
        builder.add(positions, captions, image_ids, None, chunk.where)
        yield


def read_jsonl(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds the rows of a split of JSON objects, one a line; yields after each block."""
    for chunk in _chunks(split, builder):
        positions: list[int] = []
        captions: list[str | None] = []
        image_ids: list[str | None] = []
        urls: list[str | None] = []
        for position, line in zip(*chunk.records(builder), strict=True):
            if not line or line.isspace():
                continue
            try:
                record = parse_object(line)
            except ValueError as error:
                builder.reject("bad_json", str(error), chunk.where(position), None, line)
                continue
            texts, image_id, url = record_fields(record)
            # Every caption of a list takes more than one byte of the line, so the next line's position is larger.
            positions.extend(range(position, position + len(texts)))
            captions.extend(texts)
            image_ids.extend([image_id] * len(texts))
            urls.extend([url] * len(texts))
        builder.add(positions, captions, image_ids, urls, chunk.where)
        yield


def read_csv(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds the rows of a split of CSV with header; yields after each block."""
    caption_names, image_id_names, url_names = find_names(split.columns)
    width = len(split.columns)
    caption_column = split.columns.index(caption_names[0])
    image_id_column = split.columns.index(image_id_names[0]) if image_id_names else None
    url_column = split.columns.index(url_names[0]) if url_names else None
    for chunk in _chunks(split, builder):
        positions, rows = [], []
        starts, records = chunk.records(builder)
        for position, record, row in zip(starts, records, parse_csv(records, split.delimiter or ","), strict=True):
            if not record or record.isspace():
                continue
            if len(row) == width:
                positions.append(position)
                rows.append(row)
            else:
                detail = f"expected {width} columns as in the header, found {len(row)}"
                builder.reject("wrong_columns", detail, chunk.where(position), None, record)
        builder.add(
            positions,
            [row[caption_column] for row in rows],
            None if image_id_column is None else [row[image_id_column] for row in rows],
            None if url_column is None else [row[url_column] for row in rows],
            chunk.where,
        )
        yield


def is_cc_header(caption: str, url: str) -> bool:
    """Whether a line of two columns is a header and not a row."""
    return caption.strip().lower() == "caption" and url.strip().lower() == "url"


def parse_csv(records: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    """The columns of each record; one list a record, each record whole and without its line end."""
    csv.field_size_limit(MAX_RECORD_BYTES)  # the module's default refuses fields over 128 KiB
    # The module takes a bare carriage return for a line end and gives up; captions fold it to a space anyway.
    return csv.reader((record.rstrip("\r").replace("\r", " ") for record in records), delimiter=delimiter)


def csv_header(head: bytes) -> tuple[str, tuple[str, ...], int] | None:
    """The delimiter, the column names and the length in bytes of the header that a CSV file begins with.

    The delimiter is the one that makes a known caption column appear, and of those the one with most columns.

    Args:
        head: the first bytes of the file.

    Returns:
        None where the head holds no whole record.
    """
    best: tuple[bool, int, str, tuple[str, ...], int] | None = None
    body = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    mark = len(head) - len(body)
    for delimiter in DELIMITERS:
        ends = _RecordEnds(delimiter).feed(body)
        length = mark + int(ends[0]) if len(ends) else len(head)
        record = head[mark:length].decode("utf-8", "replace").rstrip("\r\n")
        if not record:
            continue
        columns = tuple(name.strip() for name in next(parse_csv([record], delimiter)))
        found = (bool(find_names(columns)[0]), len(columns), delimiter, columns, length)
        if best is None or found[:2] > best[:2]:
            best = found
    return None if best is None else best[2:]


def csv_starts(path: str, start: int, first_line: int, delimiter: str, split_bytes: int) -> list[tuple[int, int]]:
    """Where to split a CSV file: byte offset and line number of records at least ``split_bytes`` apart.

    Whether a line break ends a record or is part of a caption depends on all quotes before it, so this reads the file
    once from ``start`` on. The first split is the one at ``start`` itself.

    Raises:
        OSError: the file cannot be read.
    """
    starts = [(start, first_line)]
    record_ends = _RecordEnds(delimiter)
    offset, line = start, first_line
    for block in _whole_quote_runs(blocks(path, start)):
        ends = record_ends.feed(block)
        counted = 0
        while (index := int(np.searchsorted(ends, starts[-1][0] + split_bytes - offset))) < len(ends):
            end = int(ends[index])
            line += block.count(b"\n", counted, end)
            counted = end
            starts.append((offset + end, line))
        line += block.count(b"\n", counted)
        offset += len(block)
    return starts


@dataclass
class _Chunk:
    """A run of whole records.

    Attributes:
        offset: byte offset of the run in the file.
        data: the records with their line ends.
        starts: int64, offset of each record in data.
        first_line: line number of the first record, where it is known.
    """

    offset: int
    data: bytes
    starts: Ends
    first_line: int | None
    _newlines: Ends | None = field(default=None, init=False)

    def records(self, builder: RowBuilder) -> tuple[list[int], list[str]]:
        """Positions and texts of the records that are valid UTF-8; the others go to the builder as rejects."""
        text = None
        with contextlib.suppress(UnicodeDecodeError):
            text = self.data.decode()
        positions: list[int] = (self.starts + self.offset).tolist()
        if text is not None and text.count("\n") <= len(positions):
            if self.offset == 0:
                text = text.removeprefix("\ufeff")
            records = text.split("\n")
            if not records[-1]:
                records.pop()
            if len(records) == len(positions):
                return positions, records
        # A byte somewhere is not UTF-8, or a line break is quoted: one record at a time.
        positions, records = [], []
        for start, end in zip(self.starts, [*self.starts[1:], len(self.data)], strict=True):
            record = self.data[start:end].removesuffix(b"\n")
            position = self.offset + int(start)
            try:
                records.append(record.decode("utf-8-sig" if position == 0 else "utf-8"))
                positions.append(position)
            except UnicodeDecodeError as error:
                detail = f"byte {error.start} of the record: {error.reason}"
                shown = record[:4000].decode("utf-8", "replace")
                builder.reject("invalid_utf8", detail, self.where(position), None, shown)
        return positions, records

    def where(self, position: int) -> str:
        """Words for a place in the file: its line where that is known, else its byte."""
        if self.first_line is None:
            return f"byte {position}"
        if self._newlines is None:
            self._newlines = _newlines(self.data)
        return f"line {self.first_line + int(np.searchsorted(self._newlines, position - self.offset))}"


def _chunks(split: Split, builder: RowBuilder) -> Iterator[_Chunk]:
    """The records that start in the split, a run at a time. One that is too long to hold becomes a reject."""
    record_ends = _RecordEnds(split.delimiter if split.format == "csv" else None)
    offset, stream = split.start, blocks(split.path, split.start, split.compression)
    if split.format == "csv":
        stream = _whole_quote_runs(stream)  # the planner has put the start on a record
    elif split.start > 0:
        offset, stream = _from_next_line(blocks(split.path, split.start - 1), split.start - 1)
    line = split.first_line
    held: list[bytes] = []  # the begin of a record whose end is still to come
    held_bytes = held_lines = 0  # what there is of it; beyond the limit only the first block stays in held
    for block in stream:
        if split.end is not None and offset >= split.end:
            return
        ends = record_ends.feed(block)
        if len(ends) and held_bytes + int(ends[0]) > MAX_RECORD_BYTES:
            _reject_long(builder, _Chunk(offset, held[0], ends[:0], line))
            first = int(ends[0])
            offset += held_bytes + first
            line = None if line is None else line + held_lines + block.count(b"\n", 0, first)
            held, held_bytes, held_lines = [], 0, 0
            block, ends = block[first:], ends[1:] - first
        if len(ends):
            cut = int(ends[-1])
            data = b"".join([*held, block[:cut]])
            starts = np.concatenate([[0], ends[:-1] + held_bytes])
            yield _before(_Chunk(offset, data, starts, line), split.end)
            offset += cut + held_bytes
            line = None if line is None else line + data.count(b"\n")
            held, held_bytes, held_lines = [], 0, 0
            block = block[cut:]
        if block:
            held.append(block)
            held_bytes += len(block)
            held_lines += block.count(b"\n")
            if held_bytes > MAX_RECORD_BYTES:
                del held[1:]
    if held and (split.end is None or offset < split.end):
        last = _Chunk(offset, b"".join(held), np.zeros(1, np.int64), line)
        if held_bytes > MAX_RECORD_BYTES:
            _reject_long(builder, last)
        else:
            yield last


def _before(chunk: _Chunk, end: int | None) -> _Chunk:
    """The records of the chunk that start before byte ``end`` of the file."""
    if end is None or chunk.offset + int(chunk.starts[-1]) < end:
        return chunk
    count = int(np.searchsorted(chunk.starts, end - chunk.offset))
    return _Chunk(chunk.offset, chunk.data[: chunk.starts[count]], chunk.starts[:count], chunk.first_line)


def _from_next_line(stream: Iterator[bytes], offset: int) -> tuple[int, Iterator[bytes]]:
    """The stream without what is before its first line break, and the byte offset at which it then begins."""
    for block in stream:
        cut = block.find(b"\n") + 1
        if cut:
            return offset + cut, _chain(block[cut:], stream)
        offset += len(block)
    return offset, iter(())


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _reject_long(builder: RowBuilder, begin: _Chunk) -> None:
    shown = begin.data[:4000].decode("utf-8", "replace")
    detail = f"a line of more than {MAX_RECORD_BYTES:,} bytes"
    builder.reject("caption_too_long", detail, begin.where(begin.offset), None, shown)


class _RecordEnds:
    """Finds where records end in a stream of blocks.

    Without a delimiter that is at every line break. With one the text is CSV, and a line break inside quotes is part
    of a column. A quote opens a column only as its first character, and inside quotes two stand for one; so with a run
    of quotes taken together, a run of even length changes nothing (it is quotes in quotes, or an empty column), and
    one of odd length closes an open column, and opens one where a column begins. This is what Python's csv module does
    as it reads, hence both agree on every input, well-formed or not.
    """

    def __init__(self, delimiter: str | None) -> None:
        self._openers = None if delimiter is None else np.frombuffer(delimiter.encode() + b"\n", np.uint8)
        self._quoted = False
        self._previous = b"\n"

    def feed(self, block: bytes) -> Ends:
        """Offsets in the next block just behind each record that ends in it. A block must not end with a quote that
        the next block goes on with; ``_whole_quote_runs`` sees to that."""
        newlines = _newlines(block)
        if self._openers is None or not block:
            return newlines + 1
        codes = np.frombuffer(self._previous + block, np.uint8)
        self._previous = block[-1:]
        quotes = np.flatnonzero(codes[1:] == ord('"'))
        if not len(quotes):
            return newlines[:0] if self._quoted else newlines + 1
        first = np.flatnonzero(np.diff(quotes, prepend=-2) != 1)  # index in quotes of the first of each run
        lengths = np.diff(first, append=len(quotes))
        places = quotes[first][lengths % 2 == 1]
        opening = np.isin(codes[places], self._openers)  # codes is one longer in front: the byte before the run
        # A run that cannot open leaves the text unquoted whatever it was, one that can turns it over: so the state is
        # the parity of the runs that can open since the last that cannot.
        turns = np.concatenate([[int(self._quoted)], opening]).cumsum()
        resets = np.concatenate([[0], np.where(opening, 0, np.arange(1, len(places) + 1))])
        base = turns.copy()
        base[0] = 0
        states = (turns - base[np.maximum.accumulate(resets)]) % 2 == 1
        self._quoted = bool(states[-1])
        return newlines[~states[np.searchsorted(places, newlines)]] + 1


def _whole_quote_runs(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The stream in other blocks, of which only the last may end with a quote."""
    held = b""
    for block in stream:
        block = held + block
        cut = len(block.rstrip(b'"'))
        held = block[cut:]
        if cut:
            yield block[:cut]
    if held:
        yield held


def _newlines(block: bytes) -> Ends:
    return np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")).astype(np.int64)
