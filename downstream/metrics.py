"""Metrics of a run as CSV files and for TensorBoard."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from torch.utils.tensorboard import SummaryWriter


class Metrics:
    """``RUN/NAME.csv``, a row at a time, and the same numbers under ``RUN/tensorboard``.

    Args:
        step: where training goes on: what an earlier run wrote of later steps is taken away.
    """

    def __init__(self, run: Path, step: int) -> None:
        self._run = run
        self._board = SummaryWriter(run / "tensorboard", purge_step=step + 1 if step else None)
        for path in run.glob("*.csv"):
            _keep_until(path, step)

    def write(self, name: str, step: int, values: Mapping[str, float | str]) -> None:
        """Add a row to ``NAME.csv``, with the step first."""
        path = self._run / f"{name}.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *values.values()])
        label = "".join(f" {value}" for value in values.values() if isinstance(value, str))
        for key, value in values.items():
            if not isinstance(value, str):
                self._board.add_scalar(f"{name}{label}/{key}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()


def _keep_until(path: Path, step: int) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *(row for row in rows if row[0].isdigit() and int(row[0]) <= step)])
    temporary.replace(path)
