"""Work on one part of a table, done once: the DoFn that all stages share, and its counters."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline.store import Receipt, Store


class PartDoFn(beam.DoFn):
    """Does a part of a step, unless an earlier run has, and counts it.

    Elements are ``(part, streams)`` pairs, or bare part numbers where the work reads its own input. A subclass says in
    :meth:`work` what the part's work is; it writes the part's files and returns the receipt, which is written last.

    Attributes:
        store: the output folder.
        step: folder of the receipts, below the stages' folder.
    """

    def __init__(self, store: Store, step: str) -> None:
        super().__init__()
        self.store = store
        self.step = step

    @abstractmethod
    def work(self, part: int, streams: Iterable[bytes]) -> Receipt:
        """Do the part; its streams may be read once, and are in no particular order."""

    def process(self, element: tuple[int, Iterable[bytes]] | int) -> Iterator[int]:
        part, streams = element if isinstance(element, tuple) else (element, ())
        receipt = self.store.receipt(self.step, part)
        if receipt is None:
            receipt = self.work(part, streams)
            self.store.write_receipt(self.step, receipt)
        count(self.step, receipt)
        yield part


def count(step: str, receipt: Receipt) -> None:
    """Add a receipt's figures to Beam's counters of its stage."""
    stage = step.partition("-")[0]
    Metrics.counter("facetmine", f"{stage}_rows_in").inc(receipt.rows_in)
    Metrics.counter("facetmine", f"{stage}_rows_out").inc(receipt.rows_out)
    for reason, rows in receipt.rejects.items():
        Metrics.counter("facetmine", f"{stage}_rejects_{reason}").inc(rows)
