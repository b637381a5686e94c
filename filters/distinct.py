"""Functions of a string, applied once a distinct string of a column."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def by_distinct(names: pa.Array | pa.ChunkedArray, function: Callable[[str], Any], dtype: npt.DTypeLike) -> np.ndarray:
    """What a function gives for every string of a column, as an array of that dtype; null counts as "".

    Args:
        names: strings, or a dictionary array of them, whose dictionary is then all that the function sees.
    """
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    encoded = names.dictionary_encode()  # of a dictionary array, itself
    distinct = [*encoded.dictionary.to_pylist(), ""]
    values = np.fromiter(map(function, distinct), dtype, len(distinct))
    return values[encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)]


def by_distinct_pair(
    firsts: pa.Array | pa.ChunkedArray,
    seconds: pa.Array | pa.ChunkedArray,
    function: Callable[[str, str], Any],
    dtype: npt.DTypeLike,
) -> np.ndarray:
    """What a function gives for every pair of strings of two columns, as an array of that dtype; null counts as ""."""
    (names, codes), (other_names, other_codes) = _encoded(firsts), _encoded(seconds)
    pairs = pa.array(codes * len(other_names) + other_codes).dictionary_encode()
    distinct = pairs.dictionary.to_numpy()
    first, second = np.divmod(distinct, len(other_names))
    values = np.fromiter(
        (function(names[a], other_names[b]) for a, b in zip(first.tolist(), second.tolist(), strict=True)),
        dtype,
        len(distinct),
    )
    return values[pairs.indices.to_numpy()]


def _encoded(names: pa.Array | pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Distinct strings, the last of them "" for null, and the number of each row's."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    encoded = names.dictionary_encode()
    distinct = [*encoded.dictionary.to_pylist(), ""]
    codes = encoded.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
    return distinct, codes.astype(np.int64)
