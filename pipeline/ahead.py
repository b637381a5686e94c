"""A few calls ahead in threads, so that sorting, encoding and writing, which leave the interpreter's lock, overlap."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy.ma  # noqa: F401  pyarrow asks NumPy for it, which imports it on demand: two threads at once do so for ever

Result = TypeVar("Result")

THREADS = min(2, os.cpu_count() or 1)
"""Calls at a time in one process. Each holds a part of a table in memory; runners add processes for more."""


class Ahead(Generic[Result]):
    """Makes calls in threads and gives their results in the order of the calls.

    Args:
        threads: calls under way at a time; the next one waits until the oldest is done.
    """

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._working: deque[Future[Result]] = deque()

    def call(self, function: Callable[..., Result], *arguments: Any) -> Iterator[Result]:
        """Start a call; gives the results of those that had to end first. Raises what they raised."""
        ended = []
        while len(self._working) >= self._threads:
            ended.append(self._working.popleft().result())
        self._working.append(self._pool.submit(function, *arguments))
        return iter(ended)

    def finish(self) -> Iterator[Result]:
        """The results of all calls that are left. Raises what one of them raised; calls not started are given up."""
        try:
            while self._working:
                yield self._working.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)
