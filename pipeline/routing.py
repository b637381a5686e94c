"""Arrow tables through Beam's shuffles: an element is a batch of rows, never a row.

A table is split by partition number into batches; Beam groups the batches of a partition; the partition's table is put
together again. Between processes a batch travels as an Arrow IPC stream. A runner that keeps to this process is handed
a ticket instead (:func:`by_reference`), so that its many copies of every element are copies of a few bytes.
"""

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows, WindowedValue

from pipeline.ahead import Ahead
from pipeline.numbers import runs


class Batch:
    """Some rows of a table on their way to a partition.

    Attributes:
        table: the rows, as likely as not a slice of a larger table.
    """

    __slots__ = ("table",)

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __reduce__(self) -> tuple[Callable[[bytes], "Batch"], tuple[bytes]]:
        # A pickled slice would take along the whole buffers behind it; a stream holds the rows that the slice shows.
        return Batch.from_stream, (self.to_stream(),)

    def to_stream(self) -> bytes:
        """The rows as an Arrow IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return sink.getvalue().to_pybytes()

    @classmethod
    def from_stream(cls, stream: bytes | pa.Buffer) -> "Batch":
        return cls(pa.ipc.open_stream(stream).read_all())


Routed = tuple[int, Batch]

SHUFFLES = "facetmine.shuffles"
"""Namespace of Beam's counters of what is sent into shuffles: ``bytes``, of Arrow's buffers, and ``batches``."""

_NOTHING = pa.table({})


def join(batches: Iterable[Batch], schema: pa.Schema) -> pa.Table:
    """The rows of several batches as one table; of none, an empty table of that schema."""
    tables = [batch.table for batch in batches if batch.table.num_columns]
    if not tables:
        return schema.empty_table()
    return pa.concat_tables(tables).combine_chunks()


def batches_by_table(batches: Iterable[Batch]) -> dict[str, list[Batch]]:
    """Batches of different tables sorted by table, as the schema of each names it."""
    tables: dict[str, list[Batch]] = {}
    for batch in batches:
        if batch.table.num_columns:
            metadata = batch.table.schema.metadata or {}
            tables.setdefault(metadata.get(b"facetmine.table", b"").decode(), []).append(batch)
    return tables


def split(table: pa.Table, partition: np.ndarray) -> Iterator[Routed]:
    """The table's rows by partition number (int array, one a row), order within a partition kept."""
    # Numpy sorts 16-bit integers by radix, ten times as fast as longer ones.
    order = np.argsort(partition.astype(np.uint16) if partition.max(initial=0) < 2**16 else partition, kind="stable")
    yield from split_sorted(table.take(pa.array(order)), partition[order])


def split_sorted(table: pa.Table, partition: np.ndarray) -> Iterator[Routed]:
    """The same for rows that are in order of their partition already: nothing is copied."""
    table = table.combine_chunks()
    for start, length in zip(*(values.tolist() for values in runs(partition)), strict=True):
        yield int(partition[start]), Batch(table.slice(start, length))


class GroupParts(beam.PTransform):
    """(partition, batch) pairs to (partition, batches), with every partition present, also the empty ones.

    A partition without rows still gets its (empty) output file, so that the number of files is configuration and
    never depends on the data.
    """

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self.partitions = partitions

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        every = (
            pairs.pipeline
            | "EveryPartition" >> beam.Create(range(self.partitions), reshuffle=False)
            | "NoRows" >> Route(lambda number: [(number, Batch(_NOTHING))])
        )
        return (pairs, every) | beam.Flatten() | beam.GroupByKey()


class Route(beam.PTransform):
    """Elements to (partition, batch) pairs by a pure function ``element -> iterable of (partition, batch)``.

    Args:
        function: called in threads behind Beam's back where batches are passed by reference.
        counted: called in the bundle's own thread with each element's number, once its batches are there. Elements are
            numbers or begin with one.
    """

    def __init__(
        self, function: Callable[[Any], Iterable[Routed]], counted: Callable[[int], None] = lambda _: None
    ) -> None:
        super().__init__()
        self.work, self.counted = _Route(function, counted), counted

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        return elements | beam.ParDo(self.work).with_output_types(Routed)


class _Route(beam.DoFn):
    def __init__(self, function: Callable[[Any], Iterable[Routed]], counted: Callable[[int], None]) -> None:
        super().__init__()
        self._function, self._counted = function, counted

    def start_bundle(self) -> None:
        # Results that are left when a bundle ends must be emitted there, and DaskRunner loses what is emitted there.
        self._ahead: Ahead[tuple[int, list[Routed]]] | None = Ahead() if _waiting is not None else None

    def process(self, element: Any) -> Iterator[Routed]:
        done = [self._do(element)] if self._ahead is None else self._ahead.call(self._do, element)
        for number, batches in done:
            self._count(number, batches)
            yield from batches

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for number, batches in self._ahead.finish() if self._ahead else ():
            self._count(number, batches)
            yield from map(GlobalWindows.windowed_value, batches)

    def _count(self, number: int, batches: list[Routed]) -> None:
        self._counted(number)
        Metrics.counter(SHUFFLES, "batches").inc(len(batches))
        Metrics.counter(SHUFFLES, "bytes").inc(sum(batch.table.nbytes for _, batch in batches))

    def _do(self, element: Any) -> tuple[int, list[Routed]]:
        return element[0] if isinstance(element, tuple) else element, list(self._function(element))


@contextlib.contextmanager
def by_reference() -> Iterator[None]:
    """Batches stay where they are while the block runs, and Beam is given tickets for them.

    Sound only with a runner that does all its work in this process and decodes every batch once, as Beam's embedded
    runner with one worker does. Where that does not hold, taking a batch a second time raises KeyError: nothing is
    lost in silence.
    """
    global _waiting
    _waiting, interval = {}, sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        _waiting = None
        sys.setswitchinterval(interval)


_SWITCH_SECONDS = 0.0005
"""Routing is many short calls that leave the interpreter's lock; at Python's 5 ms they wait long to get it back."""

_waiting: dict[int, Batch] | None = None
_tickets = itertools.count()


class _BatchCoder(coders.Coder):
    """A batch to bytes: an IPC stream, or its ticket where batches are passed by reference."""

    def encode(self, batch: Batch) -> bytes:
        if _waiting is None:
            return b"s" + batch.to_stream()
        ticket = next(_tickets)
        _waiting[ticket] = batch
        return b"t%d" % ticket

    def decode(self, encoded: bytes) -> Batch:
        if encoded[:1] == b"s":
            return Batch.from_stream(pa.py_buffer(encoded).slice(1))
        assert _waiting is not None, "a ticket outside the process or the run that it was made for"
        return _waiting.pop(int(encoded[1:]))

    def estimate_size(self, batch: Batch) -> int:
        # Beam samples sizes for its metrics. Its own way is to encode the batch once more, and the true size of a slice
        # takes a walk over its buffers.
        return 8 * batch.table.num_rows * batch.table.num_columns

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type[Batch]:
        return Batch


coders.registry.register_coder(Batch, _BatchCoder)
