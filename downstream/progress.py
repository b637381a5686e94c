"""What a person sees while something runs: a live line on a terminal, a sober line now and then in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import track as _track

_SECONDS_BETWEEN_LOG_LINES = 30.0

Item = TypeVar("Item")


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The items, while a terminal shows how many are done."""
    return iter(
        _track(items, what, total, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    )


class Line:
    """Steps done, of how many, at what pace; on stderr.

    Args:
        total: how many there are.
        done: how many an earlier run did.
        shown: False to show nothing.
    """

    def __init__(self, total: int, done: int, *, shown: bool) -> None:
        columns = (
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"),
            TextColumn("{task.fields[told]}"), TimeRemainingColumn(),
        )  # fmt: skip
        self._live = shown and sys.stderr.isatty()
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=not self._live)
        self._task = self._progress.add_task("", total=total, completed=done, told="")
        self._shown, self._total, self._done, self._before = shown, total, done, done
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def advance(self, told: str) -> None:
        """One more step is done."""
        self._done += 1
        self._progress.update(self._task, completed=self._done, told=told)
        now = time.monotonic()
        if self._shown and not self._live and now - self._last > _SECONDS_BETWEEN_LOG_LINES:
            self._last = now
            pace = (self._done - self._before) / (now - self._start)
            left = (self._total - self._done) / pace
            self.say(f"step {self._done:,} of {self._total:,}: {told}, {pace:.1f} steps/s, {left:,.0f} s left")

    def say(self, told: str) -> None:
        """A line that stays."""
        if self._shown:
            self._progress.console.print(told, highlight=False, soft_wrap=True)
