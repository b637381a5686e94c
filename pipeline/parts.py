"""Work on one part of a table, done once: the DoFn that all stages share, and its counters."""

import os
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline.store import Receipt, Store


class PartDoFn(beam.DoFn):
    """Does a part of a step, unless an earlier run has, and counts it.

    Elements are ``(part, streams)`` pairs, or bare part numbers where the work reads its own input. A subclass says in
    :meth:`work` what the part's work is; it writes the part's files and returns the receipt, which is written last.

    Parts are worked on in threads behind Beam's back, so that sorting, encoding and writing, which all leave the
    interpreter's lock, overlap with each other and with the runner's own copying. A bundle ends when its parts are
    done; nothing is counted or emitted for a part that failed.

    Attributes:
        store: the output folder.
        step: folder of the receipts, below the stages' folder.
        threads: parts worked on at a time in one process.
    """

    threads = min(2, os.cpu_count() or 1)

    def __init__(self, store: Store, step: str) -> None:
        super().__init__()
        self.store = store
        self.step = step

    @abstractmethod
    def work(self, part: int, streams: Iterable[bytes]) -> Receipt:
        """Do the part; its streams may be read once, and are in no particular order."""

    def start_bundle(self) -> None:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix=self.step)
        self._working: deque[Future[Receipt]] = deque()

    def process(self, element: tuple[int, Iterable[bytes]] | int) -> Iterator[int]:
        part, streams = element if isinstance(element, tuple) else (element, ())
        while len(self._working) >= self.threads:  # each holds a part in memory
            self._finish_oldest()
        self._working.append(self._pool.submit(self._do, part, list(streams)))
        yield part

    def finish_bundle(self) -> None:
        try:
            while self._working:
                self._finish_oldest()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _do(self, part: int, streams: list[bytes]) -> Receipt:
        receipt = self.store.receipt(self.step, part)
        if receipt is None:
            receipt = self.work(part, streams)
            self.store.write_receipt(self.step, receipt)
        return receipt

    def _finish_oldest(self) -> None:
        count(self.step, self._working.popleft().result())  # Beam counts only in the thread of the bundle


def count(step: str, receipt: Receipt) -> None:
    """Add a receipt's figures to Beam's counters of its stage."""
    stage = step.partition("-")[0]
    Metrics.counter("facetmine", f"{stage}_rows_in").inc(receipt.rows_in)
    Metrics.counter("facetmine", f"{stage}_rows_out").inc(receipt.rows_out)
    for reason, rows in receipt.rejects.items():
        Metrics.counter("facetmine", f"{stage}_rejects_{reason}").inc(rows)
