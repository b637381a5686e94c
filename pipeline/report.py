"""``facetmine report``: what an output dataset holds and leaves out, as Parquet tables and a page to be read.

The tables are the views of ``report.sql``; their rows stay in DuckDB, and the page shows the first of them. Words for
people are sorted by gender and age group in ``filters/data/person_terms.tsv``, facetmine's own list. It goes by what
the word says: "girl" is a child there, although captions call grown women girls too, and what does not say ("person",
"player") is "unstated". So it tells how captions put it, not who the people are.
"""

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from filters import lexicon
from pipeline.query import quiet_broken_pipe
from pipeline.store import Store
from schemas.manifest import Manifest, ManifestError
from schemas.views import connect

FOLDER = "report"
PAGE = f"{FOLDER}/report.md"
LONGEST_CELL = 300


@dataclass(frozen=True)
class Section:
    """A part of the page: the first rows of a table.

    Attributes:
        table: the view of ``report.sql``; its comment is the text of the section.
        title: heading.
        rows: how many rows to show, None for all.
        per: columns of which each combination of values shows that many rows.
        shown: what to show instead of the table's columns: SQL over ``part``, the chosen rows in order.
    """

    table: str
    title: str
    rows: int | None = None
    per: tuple[str, ...] = ()
    shown: str = "FROM part"


_GROUPS = """
SELECT gender, age, {} FROM part GROUP BY gender, age ORDER BY gender, age
""".format(
    ", ".join(
        f"string_agg(words || ' (' || images || ', ' || round(lift, 1) || ')', '; ' ORDER BY rank) "
        f"FILTER (what = '{what}' AND lift > 1) AS {what}s"
        for what in ("attribute", "predicate", "object")
    )
)
_HISTOGRAMS = """
PIVOT (
    SELECT measure, coalesce("from" || ' to ' || "to", 'unknown') AS bin, kind, share_of_kind,
           min(rank) OVER (PARTITION BY measure, "from") AS place
    FROM part
) ON kind USING first(share_of_kind) GROUP BY measure, bin, place ORDER BY place
"""

SECTIONS = (
    Section("funnel", "From captions to triplets"),
    Section("kinds", "Kinds and splits"),
    Section("coverage", "Images used"),
    Section("axes", "Axes"),
    Section("subjects", "Subjects", 25),
    Section("conditions", "Conditions", 8, ("kind",)),
    Section("head_and_tail", "Head and tail"),
    Section("contradictions", "How image distractors fail the condition"),
    Section("sources", "Sources", 50),
    Section("people", "People by gender and age"),
    Section("person_words", "Words for people", 25),
    Section("person_genders", "What is said of women and girls, and of men and boys", 8, ("what", "leans")),
    Section("person_groups", "What is said of each group", 8, ("gender", "age", "what"), _GROUPS),
    Section("rejects", "What was removed"),
    Section("reject_examples", "Examples of what was removed", 3, ("stage", "reason")),
    Section("histograms", "Measures", None, (), _HISTOGRAMS),
    Section("fit_histograms", "How pictures fit"),
)
"""The tables of a report, in the order of the page."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine report``."""
    parser.add_argument("out", metavar="OUT", help="output dataset to report on: the folder that holds manifest.json")


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine report``; returns the exit status.

    Raises:
        OSError: the report cannot be written.
    """
    try:
        manifest = Manifest.read(args.out)
        with connect(args.out, manifest) as connection:
            summary = write_report(connection, manifest, Store(args.out))
    except (ManifestError, duckdb.Error) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    with quiet_broken_pipe():
        print(summary)
    return 0


def write_report(connection: duckdb.DuckDBPyConnection, manifest: Manifest, store: Store) -> str:
    """Write the tables and the page into folder ``report`` of the dataset.

    Args:
        connection: to the dataset (schemas.views.connect); schema ``report`` is made in it.

    Returns:
        A few lines for the terminal: where the report is, and what it says first.
    """
    _make_views(connection)
    page = [_head(manifest)]
    with tempfile.TemporaryDirectory() as folder:
        # What does not fit memory goes there, not into the folder that the user happens to be in.
        connection.execute(f"SET temp_directory = '{_escaped(str(Path(folder, 'spilled')))}'")
        for section in SECTIONS:
            path = Path(folder, f"{section.table}.parquet")
            connection.execute(
                f"COPY (FROM report.{section.table}) TO '{_escaped(str(path))}' (FORMAT parquet, COMPRESSION zstd)"
            )
            page.append(_section(connection, section, path))
            store.write_bytes(f"{FOLDER}/{path.name}", path.read_bytes())
        summary = _summary(connection, Path(folder))
    store.write_bytes(PAGE, "\n".join([*page, ""]).encode())
    return "\n".join([f"{store.root}/{PAGE}: the page; {len(SECTIONS)} tables beside it", *summary])


def _make_views(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE person_terms (term VARCHAR, gender VARCHAR, age VARCHAR)")
    terms = [[row["term"], row["gender"], row["age"]] for row in lexicon.rows("person_terms")]
    connection.executemany("INSERT INTO person_terms VALUES (?, ?, ?)", terms)
    connection.execute((files("pipeline") / "report.sql").read_text(encoding="utf-8"))


def _head(manifest: Manifest) -> str:
    mined = manifest.configuration.get("mine", {})
    sampler = f", sampler {mined['sampler']}, seed {manifest.seed}" if "sampler" in mined else ""
    stages = ", ".join(manifest.stages) or "none"
    return (
        f"# Report\n\nOf a dataset made by facetmine {manifest.facetmine_version} on {manifest.created}{sampler}; "
        f"stages done: {stages}.\nEach section shows a table, or its first rows; all rows are in the Parquet file "
        "beside this page that it names.\nShares are from 0 to 1."
    )


def _section(connection: duckdb.DuckDBPyConnection, section: Section, path: Path) -> str:
    """The section in Markdown, from the table's file."""
    chosen = ""
    if section.rows is not None:
        per = ", ".join(section.per) or "1"
        chosen = f"QUALIFY row_number() OVER (PARTITION BY {per} ORDER BY rank) <= {section.rows}"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE part AS
        SELECT *, file_row_number AS rank FROM read_parquet('{_escaped(str(path))}', file_row_number = true)
        {chosen} ORDER BY rank
    """)
    connection.execute("ALTER TABLE part DROP COLUMN file_row_number")
    (all_rows,) = _one(connection, f"SELECT count(*) FROM read_parquet('{_escaped(str(path))}')")
    (shown_rows,) = _one(connection, "SELECT count(*) FROM part")
    about, = _one(connection, "SELECT comment FROM duckdb_views() WHERE schema_name = 'report' AND view_name = ?",
                  section.table)  # fmt: skip
    lines = [f"\n## {section.title}\n", f"{about} (`{section.table}.parquet`, {all_rows:,} rows)\n"]
    if not all_rows:
        return "\n".join([*lines, "Nothing to show: the stage that makes it has not run, or made none."])
    connection.execute(section.shown)
    names = [column[0] for column in connection.description or []]
    lines += _markdown(names, connection.fetchall(), hidden=("rank", "place"))
    if shown_rows < all_rows and not section.per:
        lines.append(f"\nThe first {shown_rows:,} of {all_rows:,} rows.")
    return "\n".join(lines)


def _markdown(names: list[str], rows: list[tuple[Any, ...]], hidden: tuple[str, ...]) -> list[str]:
    """Lines of a table; numbers to the right, columns without any value left out."""
    kept = [
        number
        for number, name in enumerate(names)
        if name not in hidden and any(row[number] is not None for row in rows)
    ]
    numeric = [all(isinstance(row[number], int | float | None) for row in rows) for number in kept]
    table = [
        "| " + " | ".join(names[number].replace("_", " ") for number in kept) + " |",
        "|" + "|".join("--:" if right else "---" for right in numeric) + "|",
    ]
    table += ["| " + " | ".join(_cell(row[number]) for number in kept) + " |" for row in rows]
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    # What captions say may look like Markdown or HTML, and is neither.
    text = " ".join(str(value).split())
    text = text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
    return re.sub(r"([\\`|*<>\[\]]|\b_|_\b)", r"\\\1", text)


def _summary(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    steps = connection.execute(
        "SELECT step, number FROM read_parquet(?) WHERE number > 0", [str(folder / "funnel.parquet")]
    ).fetchall()
    kinds = connection.execute(
        "SELECT kind, sum(triplets) FROM read_parquet(?) GROUP BY kind ORDER BY kind", [str(folder / "kinds.parquet")]
    ).fetchall()
    lines = [f"  {number:>12,} {step}" for step, number in steps]
    return lines + ["  " + ", ".join(f"{kind} {triplets:,}" for kind, triplets in kinds)] * bool(kinds)


def _one(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> tuple[Any, ...]:
    row = connection.execute(sql, list(values)).fetchone()
    assert row is not None
    return row


def _escaped(text: str) -> str:
    return text.replace("'", "''")
