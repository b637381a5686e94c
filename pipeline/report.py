"""``facetmine report``: what an output dataset holds and leaves out, as Parquet tables and as pages to be read.

The tables are the views of ``report.sql``; their rows stay in DuckDB, and the pages show the first of them: one in
Markdown, always (``report_markdown.py``), and one in HTML that draws them where it is asked for (``report_page.py``).
Words for people are sorted by gender and age group in ``filters/data/person_terms.tsv``, facetmine's own list. It goes
by what the word says: "girl" is a child there, although captions call grown women girls too, and what does not say
("person", "player") is "unstated". So it tells how captions put it, not who the people are.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from filters import lexicon
from pipeline import report_markdown, report_page, report_pictures
from pipeline.query import quiet_broken_pipe
from pipeline.runner import UsageError
from pipeline.store import Store
from schemas.manifest import Manifest, ManifestError
from schemas.places import write_whole
from schemas.views import connect

FOLDER = "report"
PAGE = f"{FOLDER}/report.md"
TABLES = tuple(section.table for section in report_markdown.SECTIONS)
ROWS_AS_JSON = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine report``."""
    parser.add_argument(
        "out", metavar="OUT", nargs="+",
        help="output dataset to report on: the folder that holds manifest.json; two of them are compared with --html",
    )  # fmt: skip
    parser.add_argument(
        "--html", metavar="FILE", help="write a page for a browser too: one file, which needs nothing but itself"
    )
    parser.add_argument(
        "--images", nargs="+", action="extend", metavar="PATH",
        help="with --html: tars, folders or Parquet files with the images (default: those that were scored, if any)",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true",
        help=f"print what was written and the first {ROWS_AS_JSON:,} rows of every table as JSON, not a summary",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine report``; returns the exit status.

    Raises:
        UsageError: the arguments do not go together.
        OSError: the report cannot be written.
    """
    _check(args)
    try:
        with contextlib.ExitStack() as stack:
            reports = [stack.enter_context(computed(out)) for out in args.out]
            for report in reports:
                report.write()
            page = _write_page(args.html, reports, args.images) if args.html else None
            told = _as_json(reports, args.html) if args.json else _as_text(reports, page)
    except (ManifestError, duckdb.Error) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    with quiet_broken_pipe():
        print(told)
    return 0


class Report:
    """What has been computed of a dataset.

    Attributes:
        out: the dataset as it was named.
    """

    def __init__(self, out: str, manifest: Manifest, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        """Compute it.

        Args:
            connection: to the dataset (schemas.views.connect); schema ``report`` is made in it.
            folder: for the tables' files, until they are written.
        """
        self.out, self.manifest = out, manifest
        self._connection, self._folder = connection, folder
        _make_views(connection)
        # What does not fit memory goes there, not into the folder that the user happens to be in.
        connection.execute(f"SET temp_directory = '{_escaped(str(folder / 'spilled'))}'")
        for table in TABLES:
            connection.execute(
                f"COPY (FROM report.{table}) TO '{_escaped(str(self._path(table)))}' (FORMAT parquet, COMPRESSION zstd)"
            )

    def write(self) -> None:
        """Write the tables and the Markdown page into folder ``report`` of the dataset.

        Raises:
            OSError: they cannot be written.
        """
        store = Store(self.out)
        for table in TABLES:
            store.write_bytes(f"{FOLDER}/{table}.parquet", self._path(table).read_bytes())
        store.write_bytes(PAGE, report_markdown.render(self).encode())

    def select(
        self, table: str, first: int | None = None, per: Sequence[str] = (), shown: str = "FROM part"
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names of columns, and rows.

        Args:
            first: how many rows, None for all.
            per: columns of which each combination of values gives that many rows.
            shown: SQL over ``part``, which is these rows in order, numbered in its column ``rank``.
        """
        chosen = ""
        if first is not None:
            chosen = f"QUALIFY row_number() OVER (PARTITION BY {', '.join(per) or '1'} ORDER BY place) <= {first}"
        renamed = ", file_row_number AS rank" if "rank" not in self._columns(table) else ""
        self._connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE part AS
            SELECT * EXCLUDE (file_row_number){renamed} FROM (
                SELECT *, file_row_number AS place
                FROM read_parquet('{_escaped(str(self._path(table)))}', file_row_number = true)
            ) {chosen} ORDER BY place
        """)
        self._connection.execute("ALTER TABLE part DROP COLUMN place")
        found = self._connection.execute(shown)
        return [column[0] for column in found.description or []], found.fetchall()

    def rows(self, table: str, first: int | None = None, per: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Rows of a table by the names of its columns; see ``select``."""
        columns = ", ".join(f'"{name}"' for name in self._columns(table))
        names, rows = self.select(table, first, per, f"SELECT {columns} FROM part")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        (number,) = self._one(f"SELECT count(*) FROM read_parquet('{_escaped(str(self._path(table)))}')")
        return int(number)

    def about(self, table: str) -> str:
        """What a table tells, in words."""
        (comment,) = self._one(
            "SELECT comment FROM duckdb_views() WHERE schema_name = 'report' AND view_name = ?", table
        )
        return str(comment)

    def _columns(self, table: str) -> list[str]:
        path = _escaped(str(self._path(table)))
        return [row[0] for row in self._connection.execute(f"DESCRIBE FROM read_parquet('{path}')").fetchall()]

    def _path(self, table: str) -> Path:
        return self._folder / f"{table}.parquet"

    def _one(self, sql: str, *values: object) -> tuple[Any, ...]:
        row = self._connection.execute(sql, list(values)).fetchone()
        assert row is not None
        return row


@contextlib.contextmanager
def computed(out: str) -> Iterator[Report]:
    """The report of a dataset.

    Raises:
        ManifestError: there is no dataset, or its files cannot be read.
    """
    manifest = Manifest.read(out)
    with connect(out, manifest) as connection, tempfile.TemporaryDirectory(prefix="facetmine-report-") as folder:
        yield Report(out, manifest, connection, Path(folder))


def _make_views(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE person_terms (term VARCHAR, gender VARCHAR, age VARCHAR)")
    terms = [[row["term"], row["gender"], row["age"]] for row in lexicon.rows("person_terms")]
    connection.executemany("INSERT INTO person_terms VALUES (?, ?, ?)", terms)
    connection.execute((files("pipeline") / "report.sql").read_text(encoding="utf-8"))


def _check(args: argparse.Namespace) -> None:
    """
    Raises:
        UsageError: the arguments do not go together, or FILE cannot be one.
    """
    told = "(facetmine report --help lists the options)"
    if len(args.out) > 2:
        raise UsageError(f"{len(args.out)} datasets were given; report compares at most two {told}")
    if len({str(Path(out)) for out in args.out}) < len(args.out):
        raise UsageError(f"{args.out[0]} was given twice {told}")
    if args.images and not args.html:
        raise UsageError(f"argument --images is for the page: it needs --html {told}")
    if args.html and Path(args.html).is_dir():
        raise UsageError(f"argument --html: {args.html} is a folder; name a file, such as {args.html}/page.html")


def _write_page(html: str, reports: Sequence[Report], images: Sequence[str] | None) -> str:
    """Write the page; gives the line that tells of it."""
    with contextlib.ExitStack() as stack:
        pictures = [stack.enter_context(report_pictures.of(report, images)) for report in reports]
        content = report_page.render(reports, pictures).encode()
        problems = list(dict.fromkeys(taken.problem for taken in pictures if taken.problem))
        shown = sum(taken.shown for taken in pictures)
    write_whole(html, content)
    for problem in problems:
        print(f"facetmine: the page goes without pictures: {problem}", file=sys.stderr)
    holds = f"captions and {shown} pictures" if shown else "captions"
    return f"{html}: {len(content) / 1e6:.1f} MB, one page to open in a browser; it holds {holds} of the dataset"


def _as_text(reports: Sequence[Report], page: str | None) -> str:
    lines = [page] if page else []
    for report in reports:
        lines.append(f"{Store(report.out).root}/{PAGE}: the page; {len(TABLES)} tables beside it")
        lines += [f"  {row['number']:>12,} {row['step']}" for row in report.rows("funnel") if row["number"]]
        kinds: dict[str, int] = {}
        for row in report.rows("kinds"):
            kinds[row["kind"]] = kinds.get(row["kind"], 0) + row["triplets"]
        lines += [f"  {triplets:>12,} of kind {kind}" for kind, triplets in kinds.items()]
    return "\n".join(lines)


def _as_json(reports: Sequence[Report], html: str | None) -> str:
    told = [
        {
            "dataset": report.out,
            "created": report.manifest.created,
            "markdown": f"{report.out}/{PAGE}",
            "html": html,
            "tables": {
                table: {
                    "path": f"{report.out}/{FOLDER}/{table}.parquet",
                    "about": report.about(table),
                    "rows": report.count(table),
                    "first": report.rows(table, ROWS_AS_JSON),
                }
                for table in TABLES
            },
        }
        for report in reports
    ]
    return json.dumps({"reports": told}, ensure_ascii=False, indent=1)


def _escaped(text: str) -> str:
    return text.replace("'", "''")
