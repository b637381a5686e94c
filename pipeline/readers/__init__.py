"""Readers: from files, folders and patterns of captions to Arrow batches, and a reject for every row that cannot go on.

    splits, files, rejects = plan([parse_input("web=data/cc3m/*.tsv")])
    for split in splits:
        for captions, rejects in read(split):
            ...

Pure functions over fsspec: paths may be local, or ``s3://``, ``gs://`` and others where their packages are installed.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa

from .columnar import read_img2dataset, read_parquet
from .documents import read_coco
from .files import FileInfo, Split, StreamError
from .identity import hash64
from .inputs import FORMATS, Input, InputError, parse_input, plan
from .rows import RAW_CAPTIONS, REASONS, Reject, RowBuilder, rejects_table
from .text import read_cc, read_csv, read_flickr, read_jsonl
from .webdataset import read_webdataset

__all__ = [
    "FORMATS",
    "RAW_CAPTIONS",
    "REASONS",
    "FileInfo",
    "Input",
    "InputError",
    "Reject",
    "Split",
    "hash64",
    "parse_input",
    "plan",
    "read",
    "rejects_table",
]

_READERS: dict[str, Callable[[Split, RowBuilder], Iterator[None]]] = {
    "cc": read_cc,
    "flickr": read_flickr,
    "coco": read_coco,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "img2dataset": read_img2dataset,
    "webdataset": read_webdataset,
}


def read(split: Split, batch_rows: int = 65536) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Reads a split, in batches of at most ``batch_rows`` captions and as many rejects; bad data never raises.

    Every row of the input that is not blank comes out once, as a caption or as a reject; what concerns the whole file
    is one more reject, whose position is the path alone.

    Returns:
        Pairs of a table of schema ``RAW_CAPTIONS``, ordered by position, and one of ``schemas.REJECTS``, not in
        order, whose position is path and place, as in "a.tsv:line 12", "a.tsv:byte 5000" (where a split does not know
        its line numbers), "a.json:annotation 3", "a.parquet:row 7" (annotations and rows count from 0) or
        "a.tar:member 00012".
    """
    builder = RowBuilder(split.source, split.path, split.file_index, batch_rows)
    try:
        for _ in _READERS[split.format](split, builder):
            yield from builder.batches()
    except StreamError as error:
        builder.reject(error.reason, error.detail)
    except OSError as error:
        builder.reject("unreadable", f"cannot be opened or read: {error}")
    yield from builder.batches(final=True)
