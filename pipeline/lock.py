"""One run at a time in one output folder.

In a local folder it is a lock of the operating system, which ends with the process that holds it, however that ends. An
object store has none, so there it is a lease: an object that says who has it, made only where there is none, renewed
every few seconds, and taken over when it has not been renewed for a while. A lease protects from a mistake, not from a
process that sleeps through its lease and wakes again; that one notices within seconds and ends.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.store import STAGES, Store, StoreError
from schemas import places

FILE = f"{STAGES}/lock.json"

RENEWAL_SECONDS = 10.0
_SETTLED_SECONDS = 0.2
"""A store that knows no condition lets two in at once; after that time the later one has it."""

PATIENCE_SECONDS = 45.0
"""A lease that is not renewed for so long is nobody's. Looked at from one clock, because clocks differ."""


@contextlib.contextmanager
def held(store: Store) -> Iterator[None]:
    """While the block runs, no other run works in the folder.

    Raises:
        StoreError: another one does; the message says which process on which machine.
    """
    with _locked(store) if store.is_local else _leased(store):
        yield


@contextlib.contextmanager
def _locked(store: Store) -> Iterator[None]:
    import fcntl

    path = Path(store.path(FILE))
    there = path.parent.parent.exists()
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a+")
        except FileNotFoundError:  # the one who had it has just removed the folder
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise _taken(store, _decoded(file.read())) from None
            # The one who had it may have removed the file between opening and locking it here.
            if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
                continue
            file.truncate(0)
            file.write(json.dumps(_holder()))
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # a run that has done nothing leaves nothing
                    path.parent.rmdir()
                    if not there:
                        path.parent.parent.rmdir()
            return


@contextlib.contextmanager
def _leased(store: Store) -> Iterator[None]:
    holder = _holder()
    _take(store, holder)
    over = threading.Event()
    renewal = threading.Thread(target=_renew, args=(store, holder, over), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        over.set()
        renewal.join()
        with contextlib.suppress(places.PlaceError):
            if _token(store.read_json(FILE)) == holder["token"]:
                store.remove(FILE)


def _take(store: Store, holder: dict[str, Any]) -> None:
    seen: Any = None
    since = time.monotonic()
    while True:
        there = store.read_json(FILE)
        if there is None:
            try:
                places.write_whole(store.url(FILE), json.dumps(holder).encode(), new=True)
            except FileExistsError:
                there = store.read_json(FILE) or {}
            else:
                time.sleep(_SETTLED_SECONDS)
                there = store.read_json(FILE)
        if _token(there) == holder["token"]:
            return
        if _is_gone(there) or (there == seen and time.monotonic() - since > PATIENCE_SECONDS):
            store.remove(FILE)
            continue
        if there != seen:
            if seen is not None and there is not None:
                raise _taken(store, there)
            seen, since = there, time.monotonic()
        time.sleep(RENEWAL_SECONDS / 4)


def _renew(store: Store, holder: dict[str, Any], over: threading.Event) -> None:
    while not over.wait(RENEWAL_SECONDS):
        with contextlib.suppress(places.PlaceError):  # the next renewal may get through
            there = store.read_json(FILE)
            if there is not None and _token(there) != holder["token"]:
                message = f"facetmine: {_taken(store, there)}; this one has slept too long and ends\n"
                os.write(2, message.encode())
                os._exit(1)
            if not over.is_set():
                store.write_json(FILE, {**holder, "renewed": time.time()})


def _holder() -> dict[str, Any]:
    return {"token": uuid.uuid4().hex, "host": _host(), "pid": os.getpid(), "started": time.time()}


def _host() -> str:
    """The machine, and which of its containers: process numbers mean nothing outside."""
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def _is_gone(holder: Any) -> bool:
    """Whether it is known at once that the holder is no more, as it ran on this machine."""
    if not isinstance(holder, dict) or holder.get("host") != _host():
        return False
    pid = int(holder["pid"])
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _taken(store: Store, holder: Any) -> StoreError:
    who = "another run"
    if isinstance(holder, dict) and "pid" in holder:
        who = f"another run (process {holder['pid']} on {str(holder.get('host')).split(' ')[0]})"
    return StoreError(f"{who} is at work in {store.root}. Wait until it has ended, or choose another output folder")


def _decoded(text: str) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return None


def _token(holder: Any) -> Any:
    return holder.get("token") if isinstance(holder, dict) else None
