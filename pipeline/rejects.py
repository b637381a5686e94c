"""Rows for the ``rejects`` table."""

import pyarrow as pa
import pyarrow.compute as pc

from schemas import REJECTS

CAPTION_CHARACTERS = 1000
"""A reject keeps this much of its caption."""


def rejects_table(stage: str, reason: str, detail: str | pa.Array, rows: pa.Table) -> pa.Table:
    """Reject rows for captions or facts.

    Args:
        detail: what was wrong, for all rows or a string a row.
        rows: the rejected rows; those of their columns that the rejects table has are kept.
    """
    columns = {name: rows[name] for name in REJECTS.names if name in rows.column_names and name != "position"}
    if "caption" in columns:
        columns["caption"] = pc.utf8_slice_codeunits(columns["caption"], 0, CAPTION_CHARACTERS)
    columns["stage"] = pa.array([stage] * len(rows), pa.string())
    columns["reason"] = pa.array([reason] * len(rows), pa.string())
    columns["detail"] = pa.array([detail] * len(rows), pa.string()) if isinstance(detail, str) else detail
    return pa.table(
        [
            columns[field.name].cast(field.type) if field.name in columns else pa.nulls(len(rows), field.type)
            for field in REJECTS
        ],
        schema=REJECTS,
    )


def count_reasons(rejects: pa.Table) -> dict[str, int]:
    """Rows by reason, in order of the reason."""
    counts = pc.value_counts(rejects["reason"].combine_chunks()).to_pylist()
    return dict(sorted((entry["values"], entry["counts"]) for entry in counts))
