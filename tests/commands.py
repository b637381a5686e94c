"""facetmine run as users run it, and the processes that are left of it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FACETMINE = Path(sys.executable).with_name("facetmine")


def facetmine(*arguments: object, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a user does."""
    command = [FACETMINE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=os.environ | environment)


def processes_of_group(group: int) -> list[int]:
    """Processes of a process group that have not ended."""
    return [pid for pid, fields in _processes() if int(fields[2]) == group and fields[0] != "Z"]


def processes_with(variable: str) -> list[str]:
    """Command lines of the processes that have that NAME=VALUE in their environment, whoever their parent is now."""
    found = []
    for pid, fields in _processes():
        with contextlib.suppress(OSError):
            if fields[0] != "Z" and variable.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
    return found


def _processes() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(folder.name), (folder / "stat").read_text().rpartition(")")[2].split()


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: it does not within the time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
