"""The 64-bit keys that tables are partitioned by; `schemas.image_ids` says what an image is called.

Every hash is BLAKE2b. Python's own ``hash`` changes with each process, and the hashes of pyarrow, pandas and DuckDB
may change with their versions, whereas BLAKE2b (RFC 7693) gives the same bytes in every process, library and year. So
workers agree without talking, a second run joins to the first, and other languages can compute the same ids. It is
also fast (well under a microsecond a text) and spreads evenly, so that ``key % partitions`` is balanced.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt


def hash64(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """One signed 64-bit BLAKE2b hash a text: the 8-byte digest of its UTF-8, read as little-endian.

    Args:
        texts: n texts.

    Returns:
        int64 array of shape (n,).

    Raises:
        UnicodeEncodeError: a text holds half a surrogate pair and so has no UTF-8.
    """
    digests = b"".join([blake2b(text.encode(), digest_size=8).digest() for text in texts])
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)


def named_keys(source: str, image_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """The key of each image whose id its source made up: int64 of shape (n,), hashes of source, NUL and id.

    Two sources may both call an image "1"; they are two images. An id that derives from a URL is the same image
    wherever it appears, so its key is ``hash64`` of the id alone.
    """
    return hash64([f"{source}\0{image_id}" for image_id in image_ids])
