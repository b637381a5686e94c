"""Places: folders and files by local path or by URL of an object store, opened, written and complained of in one way.

Everything goes through fsspec. Listings are never cached, because other processes write where this one reads. Stores
retry by themselves, with back-off, what they were asked too often or what broke off on the way.
"""

import contextlib
import io
import logging
import os
import posixpath
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import fsspec
from fsspec.core import split_protocol, url_to_fs
from fsspec.implementations.local import LocalFileSystem

EXTRAS = {"s3": "aws", "s3a": "aws", "gs": "gcp", "gcs": "gcp"}
"""The extra of facetmine that brings what a protocol needs."""

BLOCK_BYTES = 8 << 20
"""Read ahead in a file of an object store."""

_S3_ATTEMPTS = 8
"""Of a request to S3, in botocore's standard mode: half a minute of back-off before a store is given up."""

_THROTTLED = ("slowdown", "slow down", "503", "service unavailable", "429", "too many requests", "throttl",
              "reduce your request rate")  # fmt: skip

_STORES = ("botocore", "aiobotocore", "s3fs", "gcsfs", "google", "aiohttp", "requests", "urllib3", "fsspec", "asyncio")
"""Packages whose exceptions are a store's."""


class PlaceError(Exception):
    """A store refuses or cannot be reached; the message says where, why and what to do. Never one of a local folder."""


def place(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """File system and path of a local path or URL.

    Raises:
        PlaceError: what its protocol needs is not installed.
        ValueError: no such protocol is known.
    """
    protocol = split_protocol(url)[0] or "file"
    options: dict[str, Any] = {}
    if protocol in EXTRAS:
        options["use_listings_cache"] = False
        for logger in ("gcsfs", "asyncio"):  # they log what is raised, with a traceback, and tasks that end with us
            logging.getLogger(logger).setLevel(logging.CRITICAL)
    if os.environ.get("STORAGE_EMULATOR_HOST"):  # emulators do not speak what gcsfs would ask a bucket first
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    if EXTRAS.get(protocol) == "aws":
        options["default_block_size"] = BLOCK_BYTES
        configured = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        if "retries" not in configured and not os.environ.keys() & {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"}:
            retries = {"mode": "standard", "total_max_attempts": _S3_ATTEMPTS}
            options["config_kwargs"] = {**configured, "retries": retries}
    try:
        return url_to_fs(url, **options)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        advice = f"it needs the {extra} extra: pip install 'facetmine[{extra}]'" if extra else str(error)
        raise PlaceError(f"{url}: {advice}") from None
    except Exception as error:
        if _is_stores(error):
            raise _told(url, error) from None
        raise


def is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    return isinstance(filesystem, LocalFileSystem)


@contextlib.contextmanager
def telling(url: str) -> Iterator[None]:
    """What a store raises within the block becomes a PlaceError; a file that is not there stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        if split_protocol(url)[0] in (None, "file", "local") or not _is_stores(error):
            raise
        raise _told(url, error) from None


def open_to_read(url: str) -> io.BufferedIOBase | io.RawIOBase:
    """The file, seekable.

    Raises:
        OSError: a local file cannot be read, or there is no such file.
        PlaceError: as :func:`telling`, also while the file is read.
    """
    filesystem, path = place(url)
    if is_local(filesystem):
        return cast(io.BufferedIOBase, filesystem.open(path, "rb"))
    with telling(url):
        options = {"block_size": BLOCK_BYTES, "cache_type": "readahead"} if split_protocol(url)[0] in EXTRAS else {}
        return _Remote(url, filesystem.open(path, "rb", **options))


def read_whole(url: str) -> bytes:
    """The content of a file. Raises as :func:`open_to_read`."""
    with telling(url):
        filesystem, path = place(url)
        # One request. (s3fs would ask for the size first, and be refused in fewer words.)
        options = {"max_concurrency": 1} if EXTRAS.get(split_protocol(url)[0] or "") == "aws" else {}
        return bytes(filesystem.cat_file(path, **options))


def write_whole(url: str, content: bytes | memoryview, *, new: bool = False) -> None:
    """Write a file at once: a reader sees what was there before or all of the new, also when this process is killed.

    Local files are written under a temporary name beside their place, and renamed. An object of a store appears when
    its upload is complete.

    Args:
        new: only where there is no file yet. (A store without such a condition is asked beforehand.)

    Raises:
        FileExistsError: there is one, and ``new`` is set.
        OSError: a local file cannot be written; nothing stands under its name that did not before.
        PlaceError: the store refuses or cannot be reached.
    """
    filesystem, path = place(url)
    if not is_local(filesystem):
        try:
            with telling(url):
                filesystem.pipe_file(path, bytes(content), mode="create" if new else "overwrite")
        except FileNotFoundError as error:  # objects need no folder, so it is the bucket that is missing
            raise _told(url, error) from None
        except PlaceError as error:
            if (new and "412" in str(error)) or "PreconditionFailed" in str(error):
                raise FileExistsError(url) from None
            raise
        return
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{posixpath.basename(path)}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if new:
            Path(path).hardlink_to(temporary)
            temporary.unlink()
        else:
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class _Remote(io.RawIOBase):
    """A file of a store whose errors are told as PlaceError."""

    def __init__(self, url: str, file: Any) -> None:
        self._url, self._file = url, file

    def read(self, size: int | None = -1) -> bytes:
        with telling(self._url):
            return bytes(self._file.read(-1 if size is None else size))

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _is_stores(error: BaseException) -> bool:
    return isinstance(error, OSError | TimeoutError) or type(error).__module__.partition(".")[0] in _STORES


def _told(url: str, error: BaseException) -> PlaceError:
    """What a store's exception means. They differ in class from store to store, and agree in their words."""
    detail = " ".join(str(error).split()) or type(error).__name__
    name, low = type(error).__name__, f"{type(error).__name__} {detail}".lower()
    kept = "What is complete is kept: run the same command again"
    if "expired" in low:
        return PlaceError(f"{url}: the credentials have expired ({detail}). {kept} with new ones")
    if "credential" in low:
        return PlaceError(f"{url}: no credentials ({detail}). Log in, or set the variables that the store's tools take")
    if isinstance(error, PermissionError) or any(word in low for word in ("forbidden", "accessdenied", "401", "403")):
        return PlaceError(f"{url}: access is refused ({detail}). Check the credentials and what they may do there")
    if isinstance(error, FileNotFoundError):
        return PlaceError(f"{url}: there is no such bucket ({detail}). Make it, or check the name")
    if any(word in low for word in _THROTTLED):
        return PlaceError(f"{url}: the store has refused for too long to take more requests ({detail}). {kept}")
    return PlaceError(f"{url}: the store failed or cannot be reached ({name}: {detail}). {kept}")
