"""Parquet with captions, and the Parquet metadata that img2dataset writes beside its images."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.image_ids import find_names

from .files import Split, StreamError, open_binary
from .rows import RowBuilder, missing_columns

_BATCH_ROWS = 8192  # small, so that long captions do not add up


def read_parquet(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds the rows of a range of row groups; yields after each batch."""
    yield from _read(split, builder, downloads=False)


def read_img2dataset(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds the rows of img2dataset metadata whose image was downloaded; yields after each batch.

    An id derives from the URL, as it did in the list that img2dataset was given; it is the key where there is no URL.
    """
    yield from _read(split, builder, downloads=True)


def describe(path: str) -> tuple[bool, list[int]]:
    """Whether the Parquet file is img2dataset metadata, and the compressed bytes of each row group.

    Raises:
        OSError: the file cannot be opened.
        StreamError: ``corrupt`` or ``missing_columns``.
    """
    with open_binary(path) as file:
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise StreamError("corrupt", f"the footer cannot be read: {_first_line(error)}") from None
        schema, metadata = parquet.schema_arrow, parquet.metadata
        if _columns(schema) is None:
            raise StreamError("missing_columns", missing_columns([f"{field.name} {field.type}" for field in schema]))
        sizes = []
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            sizes.append(sum(row_group.column(index).total_compressed_size for index in range(row_group.num_columns)))
        return {"key", "url", "status", "error_message"} <= set(schema.names), sizes


def _read(split: Split, builder: RowBuilder, downloads: bool) -> Iterator[None]:
    with open_binary(split.path) as file:
        try:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise StreamError("corrupt", f"the footer cannot be read: {_first_line(error)}") from None
        columns = _columns(parquet.schema_arrow)
        if columns is None:
            raise StreamError("missing_columns", missing_columns(parquet.schema_arrow.names))
        caption, image_id, url = columns
        wanted = [caption, *filter(None, [image_id, url])]
        if downloads:
            wanted += [name for name in ("key", "status", "error_message") if name not in wanted]
        metadata = parquet.metadata
        row = sum(metadata.row_group(group).num_rows for group in range(split.start))
        end = metadata.num_row_groups if split.end is None else split.end
        for group in range(split.start, end):
            rows = metadata.row_group(group).num_rows
            done = 0
            try:
                for batch in parquet.iter_batches(_BATCH_ROWS, [group], wanted, use_threads=False):
                    _add(builder, batch, row + done, columns, downloads)
                    done += batch.num_rows
                    yield
            except (pa.ArrowException, OSError) as error:
                detail = f"row group {group}: rows {row + done} to {row + rows - 1} are lost: {_first_line(error)}"
                builder.reject("corrupt", detail, f"row {row + done}")
            row += rows


def _columns(schema: pa.Schema) -> tuple[str, str | None, str | None] | None:
    """Columns of caption, image id and URL, of types that can be such; None where the file lacks one that it needs."""

    def first(names: list[str], *allowed: Callable[[pa.DataType], bool]) -> str | None:
        return next((name for name in names if any(test(schema.field(name).type) for test in allowed)), None)

    captions, image_ids, urls = find_names(schema.names)
    caption = first(captions, _is_text, _is_texts)
    image_id = first(image_ids, _is_text, pa.types.is_integer)
    url = first(urls, _is_text)
    return None if caption is None or (image_id is None and url is None) else (caption, image_id, url)


def _add(
    builder: RowBuilder, batch: pa.RecordBatch, row: int, columns: tuple[str, str | None, str | None], downloads: bool
) -> None:
    caption, image_id, url = columns
    rows = np.arange(row, row + batch.num_rows)
    if downloads:
        good = np.array([status == "success" for status in _texts(batch.column("status"))], dtype=bool)
        _reject_downloads(builder, batch.filter(pa.array(~good)), rows[~good], caption)
        batch, rows = batch.filter(pa.array(good)), rows[good]
    image_ids = None if image_id is None else _texts(batch.column(image_id))
    urls = None if url is None else _texts(batch.column(url))
    if downloads and urls is not None:
        keys = _texts(batch.column("key"))
        image_ids = [None if link and link.strip() else key for key, link in zip(keys, urls, strict=True)]
    if _is_texts(batch.column(caption).type):
        _add_lists(builder, batch.column(caption), rows, image_ids, urls)
    else:
        captions = _texts(batch.column(caption))
        builder.add(rows.tolist(), captions, image_ids, urls, lambda position: f"row {position}")


def _reject_downloads(builder: RowBuilder, batch: pa.RecordBatch, rows: np.ndarray, caption: str) -> None:
    fields = [_texts(batch.column(name)) for name in ("status", "error_message", "key")]
    shown = batch.column(caption)
    captions = _texts(shown) if _is_text(shown.type) else [None] * len(rows)
    for row, status, message, key, text in zip(rows, *fields, captions, strict=True):
        builder.reject("download_failed", f"{status}: {message}" if message else f"{status}", f"row {row}", key, text)


def _add_lists(
    builder: RowBuilder,
    column: pa.Array,
    rows: np.ndarray,
    image_ids: list[str | None] | None,
    urls: list[str | None] | None,
) -> None:
    # The rows before this split hold an unknown number of captions; so a position is the row's number in the high half
    # and the caption's in the low one.
    lengths = np.maximum(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False), 1)
    texts = iter(_texts(pc.list_flatten(column)))
    empty = pc.fill_null(pc.equal(pc.list_value_length(column), 0), True).to_pylist()
    parents = np.repeat(np.arange(len(lengths)), lengths).tolist()
    captions = [None if empty[parent] else next(texts) for parent in parents]
    numbers = np.arange(len(parents)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    builder.add(
        ((rows[parents] << 32) + numbers).tolist(),
        captions,
        None if image_ids is None else [image_ids[parent] for parent in parents],
        None if urls is None else [urls[parent] for parent in parents],
        lambda position: f"row {position >> 32}",
    )


def _texts(column: pa.Array) -> list[str | None]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        return [None if value is None else str(value) for value in column.to_pylist()]
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
    # Parquet does not check that strings are UTF-8; bytes that are not go through, to be rejected with their row.
    return [value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value for value in values]


def _value_type(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _is_text(type_: pa.DataType) -> bool:
    type_ = _value_type(type_)
    return any(
        test(type_)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _is_texts(type_: pa.DataType) -> bool:
    return (pa.types.is_list(type_) or pa.types.is_large_list(type_)) and _is_text(type_.value_type)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
