"""Work on one part of a table, done once: the DoFn that all stages share, and its counters."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline.ahead import THREADS, Ahead
from pipeline.routing import Batch
from pipeline.store import Receipt, Store


class PartDoFn(beam.DoFn):
    """Does a part of a step, unless an earlier run has, and counts it.

    Elements are ``(part, batches)`` pairs, or bare part numbers where the work reads its own input. A subclass says in
    :meth:`work` what the part's work is; it writes the part's files and returns the receipt, which is written last.

    Parts are worked on in threads behind Beam's back. A bundle ends when its parts are done; nothing is counted for a
    part that failed.

    Attributes:
        store: the output folder.
        step: folder of the receipts, below the stages' folder.
        threads: parts worked on at a time in one process.
    """

    threads = THREADS

    def __init__(self, store: Store, step: str) -> None:
        super().__init__()
        self.store = store
        self.step = step

    @abstractmethod
    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        """Do the part; its batches may be read once, and are in no particular order."""

    def start_bundle(self) -> None:
        self._ahead: Ahead[Receipt] = Ahead(self.threads)

    def process(self, element: tuple[int, Iterable[Batch]] | int) -> Iterator[int]:
        part, batches = element if isinstance(element, tuple) else (element, ())
        for receipt in self._ahead.call(self._do, part, list(batches)):
            count(self.step, receipt)
        yield part

    def finish_bundle(self) -> None:
        for receipt in self._ahead.finish():
            count(self.step, receipt)

    def _do(self, part: int, batches: list[Batch]) -> Receipt:
        receipt = self.store.receipt(self.step, part)
        if receipt is None:
            receipt = self.work(part, batches)
            self.store.write_receipt(self.step, receipt)
        return receipt


def count(step: str, receipt: Receipt) -> None:
    """Add a receipt's figures to Beam's counters of its stage; Beam counts only in the thread of the bundle."""
    stage = step.partition("-")[0]
    Metrics.counter("facetmine", f"{stage}_rows_in").inc(receipt.rows_in)
    Metrics.counter("facetmine", f"{stage}_rows_out").inc(receipt.rows_out)
    for reason, rows in receipt.rejects.items():
        Metrics.counter("facetmine", f"{stage}_rejects_{reason}").inc(rows)
