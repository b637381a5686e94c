"""Images by id, from WebDataset tars, folders and Parquet files, without unpacking anything; and decoded safely.

    store = ImageStore.open(["shards/*.tar"], index="shards.index.arrow")
    picture = store.image(image_id)     # PIL, RGB

Image ids are those that stage read gives to the captions of the same sources.
"""

from .decoding import DEFAULT, Limits, decode
from .errors import REASONS, ImageError
from .sources import SourceError
from .store import ImageStore

__all__ = ["DEFAULT", "REASONS", "ImageError", "ImageStore", "Limits", "SourceError", "decode"]
