"""Pictures for the page: by image id, decoded, made small, and encoded anew, so that no byte of a stranger's file is
served."""

import functools
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from images import ImageError, ImageStore

SIDE = 640
"""Longest side of a served picture, pixels."""

_KEPT = 256


class Pictures:
    """The pictures of some sources (``images.ImageStore``). Threads share it."""

    def __init__(self, sources: Sequence[str]) -> None:
        """Raises ``ValueError``: a source names no images; OSError: the index cannot be written."""
        named = [source if "://" in source else os.path.abspath(source) for source in sources]  # noqa: PTH100, globs
        digest = hashlib.sha256("\n".join(named).encode(errors="surrogateescape")).hexdigest()[:16]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facetmine" / "browse"
        cache.mkdir(parents=True, exist_ok=True)
        self.store = ImageStore.open(named, cache / f"{digest}.index")
        self.jpeg = functools.lru_cache(_KEPT)(self._jpeg)

    def _jpeg(self, image_id: str) -> bytes:
        """The picture as a JPEG file, at most SIDE pixels high and wide.

        Raises:
            ImageError: it cannot be had or decoded.
        """
        picture = self.store.image(image_id)
        picture.thumbnail((SIDE, SIDE))
        sink = io.BytesIO()
        picture.save(sink, "JPEG", quality=88)
        return sink.getvalue()


__all__ = ["ImageError", "Pictures"]
