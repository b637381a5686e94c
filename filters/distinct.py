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
    values = np.array([function(name) for name in [*encoded.dictionary.to_pylist(), ""]], dtype)
    return values[encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)]
