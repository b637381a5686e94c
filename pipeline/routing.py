"""Arrow tables through Beam's shuffles: an element is a batch of rows, never a row.

A table is split by partition number into Arrow IPC streams; Beam groups the streams of a partition; the partition's
table is put together again. Keys are ints and values are bytes, so every runner groups them the same way.
"""

from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.numbers import runs


def encode(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream. Only the rows that a slice shows are written, not the buffers behind it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def decode(streams: Iterable[bytes], schema: pa.Schema) -> pa.Table:
    """The rows of several streams as one table; of none, an empty table of that schema."""
    tables = [pa.ipc.open_stream(stream).read_all() for stream in streams if stream]
    if not tables:
        return schema.empty_table()
    return pa.concat_tables(tables).combine_chunks()


def streams_by_table(streams: Iterable[bytes]) -> dict[str, list[bytes]]:
    """Streams of different tables sorted by table, as the schema of each names it."""
    tables: dict[str, list[bytes]] = {}
    for stream in streams:
        if stream:
            metadata = pa.ipc.open_stream(stream).schema.metadata or {}
            tables.setdefault(metadata.get(b"facetmine.table", b"").decode(), []).append(stream)
    return tables


def split(table: pa.Table, partition: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """The table's rows by partition number (int array, one a row), order within a partition kept."""
    order = np.argsort(partition, kind="stable")
    yield from split_sorted(table.take(pa.array(order)), partition[order])


def split_sorted(table: pa.Table, partition: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """The same for rows that are in order of their partition already: nothing is copied but into the streams."""
    table = table.combine_chunks()
    for start, length in zip(*(values.tolist() for values in runs(partition)), strict=True):
        yield int(partition[start]), encode(table.slice(start, length))


class GroupParts(beam.PTransform):
    """(partition, stream) pairs to (partition, streams), with every partition present, also the empty ones.

    A partition without rows still gets its (empty) output file, so that the number of files is configuration and
    never depends on the data.
    """

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        every = pairs.pipeline | "EveryPartition" >> beam.Create(
            [(number, b"") for number in range(self._partitions)]
        ).with_output_types(tuple[int, bytes])
        return (pairs, every) | beam.Flatten() | beam.GroupByKey()


class Route(beam.PTransform):
    """Elements to (partition, stream) pairs by a pure function ``element -> iterable of (partition, stream)``."""

    def __init__(self, function: Callable[..., Iterable[tuple[int, bytes]]]) -> None:
        super().__init__()
        self._function = function

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        return elements | beam.FlatMap(self._function).with_output_types(tuple[int, bytes])
