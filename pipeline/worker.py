"""A worker process of the embedded runner: Beam's, but deaf to Ctrl-C, and gone as soon as its parent is.

A terminal sends Ctrl-C to workers too; what it means for the job, the parent decides. Beam's own worker finishes its
bundle after the parent has ended, which can take minutes; and Beam waits forever for the answer of a worker that was
killed, as Linux does when memory runs out.
"""

import contextlib
import os
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator

import grpc

from pipeline import progress

_SECONDS_BETWEEN_LOOKS = 0.25


def command() -> str:
    """The shell command that starts a worker of this process."""
    return f"exec {shlex.quote(sys.executable)} -m pipeline.worker {os.getpid()}"


@contextlib.contextmanager
def watched(label: str) -> Iterator[None]:
    """While the block runs, the death of a worker ends this process with one line and status 1.

    Args:
        label: what the workers do, for the message.
    """
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        thread = failure.thread.name if failure.thread else ""
        if isinstance(failure.exc_value, grpc.RpcError):
            return  # the connection to a worker is lost; whether that is a failure, the end of its process tells
        ended = re.search(r"exited with return code (-?\d+)", str(failure.exc_value))
        if thread != "run_worker" or ended is None:
            before(failure)
            return
        progress.stop()
        status = int(ended[1])
        how = f"ended with status {status}" if status > 0 else f"was killed (signal {-status}), as when memory runs out"
        os.write(2, (
            f"facetmine: {label} failed: a worker process {how}. What is complete is kept: run the same command again, "
            "with fewer processes (--direct_num_workers) or more memory\n"
        ).encode())  # fmt: skip
        os._exit(1)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def main() -> None:
    parent = int(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()

    from apache_beam.runners.worker import sdk_worker_main  # takes seconds

    sdk_worker_main.main(sys.argv)


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


if __name__ == "__main__":
    main()
