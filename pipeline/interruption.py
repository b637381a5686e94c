"""Ctrl-C and SIGTERM: one line on stderr, and the process ends within seconds.

An exception raised in the main thread is not enough. Beam takes it for the failure of a bundle, logs its traceback, and
waits for its worker processes to finish what they are at. Leaving at once does no harm: what stands under a final name
is whole, and the same command goes on with it.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from pipeline import progress

_MESSAGE = b"facetmine: interrupted; run the same command again to go on where it was\n"


@contextlib.contextmanager
def ends_process(grace: float) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM end the process, with status 130 and 143.

    A signal that the process was started to ignore, as by nohup, stays ignored. A second signal ends it at once.

    Args:
        grace: seconds for the block to wind up what it has started, such as a cluster; with 0 it has started nothing
            that outlives the process.

    Raises:
        SystemExit: a signal came, and the block was wound up in time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> NoReturn:
        if received:
            os._exit(128 + received[0])
        received.append(number)
        progress.stop()
        os.write(2, _MESSAGE)  # print may be what was interrupted
        if not grace:
            os._exit(128 + number)
        logging.disable(logging.CRITICAL)
        threading.excepthook = lambda _: None
        deadline = threading.Timer(grace, os._exit, [128 + number])
        deadline.daemon = True
        deadline.start()
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, stop)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    except BaseException:
        if not received:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise SystemExit(128 + received[0])
