"""Embeddings as Arrow columns: list<halffloat>, vectors of one length."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

_ROWS_AT_A_TIME = 1 << 14


def embedding_column(vectors: Sequence[np.ndarray | None]) -> pa.Array:
    """Vectors of one length as list<halffloat>, null for None."""
    known = [vector for vector in vectors if vector is not None]
    values = np.stack(known).astype(np.float16).ravel() if known else np.zeros(0, np.float16)
    lengths = np.array([0 if vector is None else len(vector) for vector in vectors], np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    missing = pa.array([vector is None for vector in vectors], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.float16()), mask=missing)


def vectors_of(embeddings: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Embeddings, list<halffloat> without nulls, as a float16 array of shape (n, d)."""
    embeddings = embeddings.combine_chunks() if isinstance(embeddings, pa.ChunkedArray) else embeddings
    values = embeddings.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(embeddings), -1) if len(embeddings) else np.zeros((0, 0), np.float16)


def cosines(left: np.ndarray, left_rows: np.ndarray, right: np.ndarray, right_rows: np.ndarray) -> np.ndarray:
    """Products of rows of two arrays of unit vectors, float32 of shape (n,); NaN where a row number is -1."""
    products = np.full(len(left_rows), np.nan, np.float32)
    known = np.flatnonzero((left_rows >= 0) & (right_rows >= 0))
    for start in range(0, len(known), _ROWS_AT_A_TIME):
        rows = known[start : start + _ROWS_AT_A_TIME]
        one, other = left[left_rows[rows]].astype(np.float32), right[right_rows[rows]].astype(np.float32)
        products[rows] = np.einsum("nd,nd->n", one, other)
    return products
