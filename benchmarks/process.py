"""Running a command and measuring it from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.demo import write_captions


@dataclass(frozen=True)
class Measured:
    """A finished command.

    Attributes:
        seconds: wall-clock.
        cpu_seconds: of all its processes together.
        gibibytes: peak resident memory of its largest process.
    """

    seconds: float
    cpu_seconds: float
    gibibytes: float


def measure(command: Sequence[str]) -> Measured:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message holds what it printed.
    """
    began = time.monotonic()
    process = subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    printed = process.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{printed}")
    return Measured(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def facetmine(*arguments: str) -> list[str]:
    """The command line of facetmine in this Python."""
    return [sys.executable, str(Path(__file__).parent.parent / "beam_runner.py"), *arguments]


def captions(folder: Path) -> list[str]:
    """Caption files to measure on: those of the folder beside the repository, else the embedded ones, written there."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "captions"
    return sorted(map(str, beside.iterdir())) if beside.is_dir() else [str(write_captions(folder))]
