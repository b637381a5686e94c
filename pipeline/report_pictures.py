"""Small pictures for the page of a report, out of the images of a dataset."""

import base64
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from images import ImageError, ImageStore, SourceError
from pipeline.job import IMAGE_INDEX
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.report import Report

WIDEST = 224
"""Pixels of the longer side; what is smaller stays as it is."""

QUALITY = 72
FEW = 96


class Pictures:
    """Pictures as ``data:`` URLs by image id.

    Attributes:
        problem: why there are none at all although there should be, or None.
        shown: how many have been given out.
    """

    def __init__(self, store: ImageStore | None, problem: str | None = None) -> None:
        self._store = store
        self.problem = problem
        self.shown = 0

    def __bool__(self) -> bool:
        return self._store is not None

    def url(self, image_id: str) -> str | None:
        """The picture, or None where it cannot be had."""
        if self._store is None:
            return None
        try:
            picture = self._store.image(image_id)
        except ImageError:
            return None
        self.shown += 1
        picture.thumbnail((WIDEST, WIDEST))
        content = io.BytesIO()
        # Few pixels cost little without loss, and show it.
        picture.save(content, "WEBP", quality=QUALITY, lossless=max(picture.size) <= FEW)
        return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


@contextmanager
def of(report: "Report", images: Sequence[str] | None) -> Iterator[Pictures]:
    """The pictures of a dataset.

    Args:
        images: where they are; None for where stage score found them, if it did.
    """
    sources = images or report.manifest.configuration.get("score", {}).get("images")
    if not sources:
        yield Pictures(None)
        return
    with tempfile.TemporaryDirectory(prefix="facetmine-report-") as folder:
        try:
            import PIL  # noqa: F401

            index = None if images else _index_of_scores(report.out)
            pictures = Pictures(ImageStore.open(sources, index or Path(folder, "images.arrow")))
        except ImportError:
            pictures = Pictures(None, "that needs Pillow: pip install 'facetmine[images]'")
        except (SourceError, OSError) as error:
            pictures = Pictures(None, f"{error}; --images tells where they are")
        yield pictures


def _index_of_scores(out: str) -> Path | None:
    """The index that stage score has made of the images, where it can be used."""
    store = Store(out)
    return Path(store.path(IMAGE_INDEX)) if store.is_local and store.exists(IMAGE_INDEX) else None
