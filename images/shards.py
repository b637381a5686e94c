"""Downloads of whole shards by img2dataset, with its download and its decoding replaced by safe ones.

img2dataset downloads through whatever opener is installed in urllib, without limits of bytes or total time, to any
address and scheme. So each of its processes gets an opener that knows no more than ``web.download``. Its resizer
decodes before it looks at the size, and loses the rotation that EXIF states; so images are decoded and resized here.
What stays img2dataset's is the rest: threads, order and limits of waiting work, keys, statistics, and the layout.
"""

import io
import json
import os
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple
from urllib.response import addinfourl

import pyarrow as pa
import pyarrow.parquet as pq

from .decoding import Limits, decode
from .errors import FETCH_REASONS, REASONS, ImageError
from .web import Rules, download

# Both are imported by img2dataset whether used or not; the one asks PyPI for newer versions of itself, the other
# reports crashes to its makers.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["WANDB_MODE"] = "disabled"
os.environ["WANDB_ERROR_REPORTING"] = "false"

from img2dataset.downloader import Downloader
from img2dataset.writer import WebDatasetSampleWriter

LIST = pa.schema([("url", pa.string()), ("caption", pa.list_(pa.string()))])
"""Schema of the list of a shard: every URL once, with all its captions."""

FAILURES = pa.schema(
    [("url", pa.string()), ("caption", pa.list_(pa.string())), ("key", pa.string()), ("status", pa.string()),
     ("error_message", pa.string()), ("reason", pa.string()), ("detail", pa.string()), ("attempts", pa.int32())]
)  # fmt: skip
"""Schema of the table of failures. Its first columns are those of img2dataset's, so that stage read knows it."""

_SHARD_DIGITS = 5
_QUALITY = 95


class Fetcher(NamedTuple):
    """How shards are downloaded; picklable, for worker processes.

    Attributes:
        shards: folder of the shards.
        failures: folder of the failures, a Parquet file a shard.
        rules: what is downloaded.
        threads: downloads at a time.
        images_per_shard: most images of a shard.
        size: pixels of the shorter side that larger images are scaled down to; None keeps images as they are.
    """

    shards: str
    failures: str
    rules: Rules
    threads: int
    images_per_shard: int
    size: int | None

    def __call__(self, shard: int, listed: str) -> None:
        """Downloads the images of a list, an Arrow file of schema ``LIST``, which is removed at the end.

        Raises:
            OSError: the shard cannot be written.
        """
        urllib.request.install_opener(_Opener(self.rules))
        writer = _writer_to(self.failures)
        Downloader(
            writer, _Resizer(Limits(bytes=self.rules.bytes), self.size), self.threads, True, False, self.shards,
            ["url", "caption"], self.rules.seconds, self.images_per_shard, _SHARD_DIGITS, None, None, "jpg", 0,
            "facetmine", ["noai", "noimageai", "noindex", "noimageindex"],
        ).download_shard((shard, listed))  # fmt: skip


def shard_name(shard: int) -> str:
    """The name of a shard's files without suffix."""
    return f"{shard:0{_SHARD_DIGITS}d}"


class _Opener(urllib.request.OpenerDirector):
    """What ``urllib.request.urlopen`` uses in this process once it is installed."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = rules

    def open(self, fullurl: str | urllib.request.Request, data: Any = None, timeout: Any = None) -> addinfourl:
        request = fullurl if isinstance(fullurl, urllib.request.Request) else urllib.request.Request(fullurl)
        body, headers = download(request.full_url, dict(request.header_items()), self._rules)
        return addinfourl(io.BytesIO(body), headers, request.full_url, 200)


class _Resizer:
    """Checks that an image can be decoded, and scales it down where that is asked for."""

    def __init__(self, limits: Limits, size: int | None) -> None:
        self._limits = limits
        self._size = size

    def __call__(self, stream: io.BytesIO, _boxes: Any = None) -> tuple[Any, ...]:
        """Bytes, width, height, original width and height, and None; or Nones and why not."""
        data = stream.getvalue()
        try:
            picture = decode(data, self._limits)
        except ImageError as error:
            return None, None, None, None, None, str(error)
        width, height = picture.size
        shorter = min(width, height)
        if self._size is not None and shorter > self._size:
            picture = picture.resize(
                (max(1, round(width * self._size / shorter)), max(1, round(height * self._size / shorter))),
                reducing_gap=3,
            )
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=_QUALITY)
            data = encoded.getvalue()
        return data, *picture.size, width, height, None


class _Writer(WebDatasetSampleWriter):
    """Images go to the shard, failures to a table of their own; an image may have several captions."""

    failures: str

    def __init__(self, shard_id: int, output_folder: str, save_caption: bool, *layout: Any) -> None:
        super().__init__(shard_id, output_folder, save_caption, *layout)
        self._failed: list[dict[str, Any]] = []

    def write(self, image: bytes | None, key: str, captions: list[str], meta: dict[str, Any]) -> None:
        if image is None:
            reason, detail = _reason(meta["error_message"] or "")
            shown = {name: meta[name] for name in ("url", "caption", "key", "status", "error_message")}
            self._failed.append({**shown, "reason": reason, "detail": detail, "attempts": 1})
            return
        sample = {"__key__": key, _suffix(image): image}
        said: str | list[str] = captions
        if len(captions) == 1:
            sample["txt"] = said = captions[0]
        sample["json"] = json.dumps({**meta, "caption": said}, indent=4)
        self.tarwriter.write(sample)
        self.buffered_parquet_writer.write(meta)

    def close(self) -> None:
        super().close()
        path = Path(self.failures) / f"{shard_name(self.shard_id)}.parquet"
        pq.write_table(pa.Table.from_pylist(self._failed, FAILURES), path)


def _writer_to(folder: str) -> type[_Writer]:
    """The writer with its folder of failures; img2dataset makes one for each shard, and has no place for more."""
    return type("_WriterTo", (_Writer,), {"failures": folder})


def _reason(message: str) -> tuple[str, str]:
    """Reason and detail of what img2dataset has left of an error, its text."""
    reason, _, detail = message.partition(": ")
    if reason in FETCH_REASONS or reason in REASONS:
        return reason, detail
    if "X-Robots-Tag" in message:
        return "disallowed", message
    return "not_attempted", message


def _suffix(image: bytes) -> str:
    if image.startswith(b"\x89PNG"):
        return "png"
    if image.startswith(b"GIF8"):
        return "gif"
    if image.startswith(b"BM"):
        return "bmp"
    if image[:4] in (b"II*\0", b"MM\0*"):
        return "tif"
    if image[8:12] == b"WEBP":
        return "webp"
    return "avif" if image[4:8] == b"ftyp" else "jpg"
