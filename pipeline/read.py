"""Stage read: caption files to the ``captions`` table, duplicates removed, partitioned by image.

Splits of files are read in parallel; captions are routed to parts by their image id, so that all captions of an image
meet in one part, whichever file or source they come from. There they get their order and duplicates fall.
"""

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline import readers
from pipeline.codes import codes
from pipeline.numbers import expand, mix, runs
from pipeline.parts import PartDoFn
from pipeline.readers.identity import hash64
from pipeline.readers.rows import RAW_CAPTIONS
from pipeline.rejects import count_reasons, rejects_table
from pipeline.routing import Batch, GroupParts, Route, Routed, batches_by_table, join, split
from pipeline.store import Receipt, Store, part_name
from schemas import CAPTIONS, REJECTS


class ReadCaptions(beam.PTransform):
    """The whole stage, from its splits to the numbers of the parts that are done.

    Args:
        splits: what to read.
        unreadable: files among the inputs that cannot be read; they go to the rejects.
    """

    def __init__(
        self,
        splits: Sequence[readers.Split],
        unreadable: Sequence[readers.Reject],
        store: Store,
        step: str,
        partitions: int,
    ) -> None:
        super().__init__()
        self._splits, self._unreadable = splits, unreadable
        self._store, self._step, self._partitions = store, step, partitions

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        store, step, partitions = self._store, self._step, self._partitions
        unreadable = readers.rejects_table(self._unreadable)

        def route(item: tuple[int, readers.Split | None]) -> Iterator[Routed]:
            number, split_ = item
            if split_ is None:
                yield from split(unreadable, np.zeros(len(unreadable), np.int64))
                return
            rows = 0
            for captions, rejects in readers.read(split_):
                rows += len(captions) + len(rejects)
                yield from route_batch(captions, rejects, number, partitions)
            store.write_receipt(splits_step(step), Receipt(number, rows_in=rows))

        return (
            pipeline
            | "Splits" >> beam.Create([(-1, None), *enumerate(self._splits)], reshuffle=False)
            | "SpreadSplits" >> beam.Reshuffle()
            | "ReadSplit" >> Route(route)
            | "ByImage" >> GroupParts(partitions)
            | "WriteCaptions" >> beam.ParDo(_WriteCaptions(self._store, self._step, partitions))
        )


def route_batch(captions: pa.Table, rejects: pa.Table, number: int, partitions: int) -> Iterator[Routed]:
    """Captions of a split go to the part of their image, rejects to the part of the split's number."""
    part = hash64(captions["image_id"].to_pylist()).view(np.uint64) % np.uint64(partitions)
    yield from split(captions, part.astype(np.int64))
    yield from split(rejects, np.full(len(rejects), number % partitions))


def splits_step(step: str) -> str:
    """Where the receipts of the splits are, which say how many rows each holds."""
    return f"{step}.splits"


def deduplicate(raw: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Captions of whole images (schema RAW_CAPTIONS) in the order of the input, repeats rejected.

    A repeat is the same text for the same image id, in whichever source; the first one read stays.

    Returns:
        captions (schemas.CAPTIONS, sorted by image, numbered within it) and rejects (schemas.REJECTS).
    """
    position = np.lexsort((raw["position"].to_numpy(), raw["file_index"].to_numpy()))
    raw = raw.take(pa.array(position))
    _, first = np.unique(mix(codes(_column(raw, "image_id")), codes(_column(raw, "caption"))), return_index=True)
    new = np.zeros(len(raw), bool)
    new[first] = True
    rejects = rejects_table(
        "read", "duplicate", "the same caption of the same image was read before", raw.filter(pa.array(~new))
    )
    kept = raw.filter(pa.array(new))
    order = np.argsort(kept["image_key"].to_numpy(), kind="stable")
    kept = kept.take(pa.array(order))
    _, lengths = runs(kept["image_key"].to_numpy())
    _, ordinal = expand(lengths)
    return kept.append_column("caption_index", pa.array(ordinal.astype(np.int32))), rejects


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()


class _WriteCaptions(PartDoFn):
    def __init__(self, store: Store, step: str, partitions: int) -> None:
        super().__init__(store, step)
        self._partitions = partitions

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        tables = batches_by_table(batches)
        raw = join(tables.get("raw_captions", []), RAW_CAPTIONS)
        unreadable = join(tables.get("rejects", []), REJECTS)
        captions, repeated = deduplicate(raw)
        order = [(name, "ascending") for name in ("source", "position", "reason", "detail")]
        rejects = pa.concat_tables([unreadable.sort_by(order), repeated])
        name = part_name(part, self._partitions)
        return Receipt(
            part,
            rows_in=len(raw) + len(unreadable),
            rows_out=len(captions),
            rejects=count_reasons(rejects),
            files=[
                self.store.write_table(f"captions/{name}.parquet", captions, CAPTIONS),
                self.store.write_table(f"rejects/read-{name}.parquet", rejects, REJECTS),
            ],
        )
