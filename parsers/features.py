"""What the compact parser's network knows of a word before it reads the caption."""

import zlib
from collections.abc import Sequence

HASHED_FEATURES = 4
HASHES = 3000
"""Rows of each hashed feature's table."""
WORD_VECTOR = 128
"""Size of a word's pretrained vector."""


def spelling(token: str) -> tuple[int, int, int, int]:
    """Rows of a token's prefixes and suffixes in one table of ``HASHED_FEATURES * HASHES``.

    Collisions are accepted: the table only has to say what unknown words look like.
    """
    return (
        zlib.crc32(b"p" + token[:3].encode()) % HASHES,
        HASHES + zlib.crc32(b"s" + token[-3:].encode()) % HASHES,
        2 * HASHES + zlib.crc32(b"t" + token[-2:].encode()) % HASHES,
        3 * HASHES + zlib.crc32(b"l" + token[:5].encode()) % HASHES,
    )


def numbers(tokens: Sequence[str], vocabulary: dict[str, int]) -> list[int]:
    """Rows of tokens in a table whose first row is for words that it does not have."""
    return [vocabulary.get(token, 0) for token in tokens]
