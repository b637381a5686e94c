"""What a person sees while a stage runs: a live line on a terminal, a sober line now and then in a log."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_LOG = logging.getLogger("facetmine")
SECONDS_BETWEEN_LOG_LINES = 30.0
_SECONDS_BETWEEN_LOOKS = 0.5
_shown: list[tuple[threading.Event, threading.Thread]] = []


@contextlib.contextmanager
def watch(stage: str, parts: int, rows_done: Callable[[], tuple[int, int]], unit: str) -> Iterator[None]:
    """Show how far a stage is until the block ends.

    Args:
        stage: its name.
        parts: how many parts it has.
        rows_done: gives parts and rows done so far; called twice a second from a thread of its own.
        unit: what the rows are.
    """
    over = threading.Event()
    show = _show_live if sys.stderr.isatty() else _show_log
    thread = threading.Thread(target=show, args=(stage, parts, rows_done, unit, over), daemon=True)
    thread.start()
    _shown.append((over, thread))
    try:
        yield
    finally:
        over.set()
        thread.join()
        _shown.clear()


def stop() -> None:
    """Take the live line off the terminal, before the process ends within a block of :func:`watch`."""
    for event, thread in _shown:
        event.set()
        thread.join(timeout=1)


def _show_live(
    stage: str, parts: int, rows_done: Callable[[], tuple[int, int]], unit: str, over: threading.Event
) -> None:
    columns = (
        TextColumn("{task.description:<6}"), BarColumn(), MofNCompleteColumn(), TextColumn("parts"),
        TextColumn("{task.fields[told]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(stage, total=parts, told="")
        pace = _Pace(parts, unit)
        while True:
            done, rows = rows_done()
            bar.update(task, completed=done, told=pace.told(done, rows))
            if over.wait(_SECONDS_BETWEEN_LOOKS):
                return


def _show_log(
    stage: str, parts: int, rows_done: Callable[[], tuple[int, int]], unit: str, over: threading.Event
) -> None:
    pace = _Pace(parts, unit)
    while not over.wait(SECONDS_BETWEEN_LOG_LINES):
        done, rows = rows_done()
        _LOG.info("%s: %d of %d parts %s", stage, done, parts, pace.told(done, rows))


class _Pace:
    """Rate and time left, counted from what this run does: parts of an earlier run are not its speed."""

    def __init__(self, parts: int, unit: str) -> None:
        self._parts, self._unit = parts, unit
        self._start: tuple[float, int, int] | None = None

    def told(self, done: int, rows: int) -> str:
        now = time.monotonic()
        if self._start is None:
            self._start = now, done, rows
        began, done_before, rows_before = self._start
        told = f"{rows:,} {self._unit}"
        if done > done_before and now > began:
            told += f", {(rows - rows_before) / (now - began):,.0f}/s"
            told += f", {(self._parts - done) * (now - began) / (done - done_before):,.0f} s left"
        elif done < self._parts:
            told += ", working"
        return told
