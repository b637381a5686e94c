"""An index of texts in memory, in which a word is found in a tenth of a second among the captions of millions of rows.

Each distinct text is kept once, in lower case, so a caption that is in many triplets is looked at once.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class Texts:
    """The texts of some columns of some rows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[str]) -> None:
        """Read them.

        Args:
            source: a table function or view; its rows keep their order.
        """
        dictionaries, codes = [], []
        for column in columns:  # one at a time, since all texts at once are ten times what is kept
            table = connection.sql(f"SELECT {column} FROM {source}").to_arrow_table()
            encoded = pa.chunked_array(table[column].chunks, pa.string()).dictionary_encode().combine_chunks()
            encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
            dictionaries.append(encoded.dictionary)
            codes.append(encoded.indices.fill_null(len(encoded.dictionary)).to_numpy())
        shared = pa.chunked_array(dictionaries, pa.string()).dictionary_encode().combine_chunks()
        shared = shared.chunk(0) if isinstance(shared, pa.ChunkedArray) else shared
        null = len(shared.dictionary)
        places = np.split(shared.indices.to_numpy(), np.cumsum([len(one) for one in dictionaries])[:-1])
        self._texts = pc.utf8_lower(shared.dictionary.cast(pa.large_string()))
        self._codes: list[npt.NDArray[np.int32]] = [
            np.append(place, null).astype(np.int32)[own] for place, own in zip(places, codes, strict=True)
        ]

    def rows_with(self, term: str) -> npt.NDArray[np.bool_]:
        """Which rows have the term in any of their texts, in any case; bool of shape (rows,)."""
        (folded,) = pc.utf8_lower(pa.array([term])).to_pylist()
        found = pc.match_substring(self._texts, folded).to_numpy(zero_copy_only=False)
        found = np.append(found, False)  # that of null
        mask = np.zeros(len(self._codes[0]), bool)
        for column in self._codes:
            mask |= found[column]
        return mask
