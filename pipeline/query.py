"""``facetmine query``: SQL over an output dataset, from the command line, from standard input, or at a prompt."""

import argparse
import csv
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.manifest import ManifestError
from schemas.views import connect

try:
    import readline
except ImportError:  # Windows has none; the prompt then works without history and completion
    readline = None  # type: ignore[assignment]

ROWS_SHOWN = 40
"""Rows of a result that are shown to people; csv and json, made for programs, have them all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine query``."""
    parser.add_argument("out", metavar="OUT", help="output dataset to query: the folder that holds manifest.json")
    parser.add_argument(
        "sql",
        metavar="SQL",
        nargs="?",
        help="statements to run, separated by ';'; without any, they are read from standard input, or asked for at a "
        "prompt where that is a terminal",
    )
    parser.add_argument(
        "--format",
        choices=list(_WRITERS),
        default="table",
        help=f"how to print results; table and markdown show the first {ROWS_SHOWN} rows (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine query``; returns the exit status."""
    try:
        connection = connect(args.out)
    except ManifestError as error:
        print(error, file=sys.stderr)
        return 1
    show = _WRITERS[args.format]
    with quiet_broken_pipe():
        if args.sql is None and sys.stdin.isatty():
            return _Prompt(connection, show).run()
        return _run_script(connection, sys.stdin.read() if args.sql is None else args.sql, show)
    return 0


@contextmanager
def quiet_broken_pipe() -> Iterator[None]:
    """End the block in silence when the reader of standard output has gone, as `| head` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more when it ends, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run_script(connection: duckdb.DuckDBPyConnection, sql: str, show: "_Writer") -> int:
    try:
        _execute(connection, sql, show)
    except duckdb.Error as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _execute(connection: duckdb.DuckDBPyConnection, sql: str, show: "_Writer") -> None:
    """Run the statements and show what those that give rows give; Ctrl-C ends them as a KeyboardInterrupt."""
    # In a thread of its own: Python hears Ctrl-C only between its own steps, and one step of DuckDB may be the query.
    stopped = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as executor:
        future = executor.submit(_execute_until, stopped, connection, sql, show)
        try:
            future.result()
        except KeyboardInterrupt:
            stopped.set()
            while not future.done():
                connection.interrupt()
                wait([future], timeout=0.1)
            raise


def _execute_until(stopped: threading.Event, connection: duckdb.DuckDBPyConnection, sql: str, show: "_Writer") -> None:
    for statement in connection.extract_statements(sql):
        if stopped.is_set():
            return
        connection.execute(statement)
        names = [column[0] for column in connection.description or []]
        if _gives_rows(statement, names):
            show(names, _rows(connection, stopped))


def _gives_rows(statement: duckdb.Statement, names: list[str]) -> bool:
    kinds = statement.expected_result_type
    if duckdb.ExpectedResultType.QUERY_RESULT not in kinds:
        return False
    # INSERT and its like give the rows they were asked to return, or else a count that nobody asked for.
    return len(kinds) == 1 or names not in (["Count"], ["Success"])


def _rows(connection: duckdb.DuckDBPyConnection, stopped: threading.Event) -> Iterator[tuple[Any, ...]]:
    while not stopped.is_set() and (rows := connection.fetchmany(10_000)):
        yield from rows


# Results as text. A writer gets the names of the columns and the rows, which it reads as they come.

_Writer = Callable[[list[str], Iterator[tuple[Any, ...]]], None]


def _write_table(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    shown, note = _cut(rows)
    if sys.stdout.isatty():
        _write_rich_table(names, shown)
    else:
        _write_aligned_table(names, shown)
    if note:
        print(note)


def _write_rich_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    console = Console()
    # Text objects throughout: a caption with square brackets in it is not markup.
    if len(names) * 10 > console.width:  # columns would be too narrow to read, so one line a value
        for number, row in enumerate(rows, 1):
            console.rule(Text(f"row {number}"), align="left")
            record = Table.grid(padding=(0, 2))
            record.add_column(style="bold", no_wrap=True)
            for name, value in zip(names, row, strict=True):
                record.add_row(Text(name), _styled(value))
            console.print(record)
        return
    table = Table()
    for index, name in enumerate(names):
        numeric = any(_is_number(row[index]) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_styled, row))
    console.print(table)


def _styled(value: Any) -> Text:
    return Text("NULL", style="dim") if value is None else Text(_as_text(value))


def _write_aligned_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    columns = [
        [_one_line(name), *("NULL" if row[index] is None else _one_line(_as_text(row[index])) for row in rows)]
        for index, name in enumerate(names)
    ]
    numeric = [any(_is_number(row[index]) for row in rows) for index in range(len(names))]
    widths = [max(map(len, column)) for column in columns]
    lines = list(zip(*columns, strict=True))
    lines.insert(1, tuple("-" * width for width in widths))
    for line in lines:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _write_markdown(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    shown, note = _cut(rows)
    rules = ["--:" if any(_is_number(row[index]) for row in shown) else "---" for index in range(len(names))]
    for line in (names, rules, *shown):
        print("|", " | ".join(_one_line(_as_text(cell)).replace("|", "\\|") for cell in line), "|")
    if note:
        print(f"\n{note}")


def _write_csv(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell if type(cell) in _PLAIN else _as_text(cell) for cell in row] for row in rows)


def _write_json(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    names = _distinct(names)
    separator = "[\n"
    for row in rows:
        values = [cell if type(cell) in _PLAIN else _as_json(cell) for cell in row]
        sys.stdout.write(separator + _encode(dict(zip(names, values, strict=True))))
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


_WRITERS: dict[str, _Writer] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "markdown": _write_markdown,
}


# Types that csv and json write as they should be; most cells are of these, and a result may have millions.
_PLAIN = frozenset((str, int, type(None)))
_encode = json.JSONEncoder(ensure_ascii=False).encode


def _cut(rows: Iterator[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], str]:
    """The rows to show, and a note when there are more."""
    shown = list(islice(rows, ROWS_SHOWN))
    more = sum(1 for _ in rows)
    if not more:
        return shown, ""
    return shown, f"({len(shown)} of {len(shown) + more:,} rows; --format csv or json prints all)"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (bool, list, tuple, dict)):
        return _encode(_as_json(value))
    return str(value)


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _as_json(value: Any) -> Any:
    """The value in the terms of JSON, which has no dates, no decimals, no bytes and no infinity."""
    if type(value) in _PLAIN or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _distinct(names: list[str]) -> list[str]:
    """The names, with a number after those that occur before: a join has columns of one name, an object cannot."""
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct or (number > 1 and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        distinct.append(candidate)
    return distinct


class _Prompt:
    """The interactive prompt: statements that end with ';', and commands that begin with a dot."""

    HELP = """\
Statements end with ';' and may span lines. Tab completes names; Ctrl-C clears the line, Ctrl-D leaves.
  .tables          tables, views and macros
  .schema [TABLE]  columns, of all tables or of one
  .help            this text
  .quit            leave"""

    def __init__(self, connection: duckdb.DuckDBPyConnection, show: _Writer) -> None:
        self.connection = connection
        self.show = show

    def run(self) -> int:
        print("Statements end with ';'. Try .tables, .help, or FROM sample_triplets(3);")
        with self._line_editing():
            lines: list[str] = []
            while True:
                try:
                    line = input("      ...> " if lines else "facetmine> ")
                except KeyboardInterrupt:
                    print()
                    lines.clear()
                    continue
                except EOFError:
                    print()
                    return 0
                if not lines and line.strip() in (".quit", ".exit"):
                    return 0
                if not lines and line.lstrip().startswith("."):
                    with self._going_on():
                        self._command(*line.split())
                elif lines or line.strip():
                    lines.append(line)
                    sql = "\n".join(lines)
                    if _is_complete(sql):
                        lines.clear()
                        with self._going_on():
                            _execute(self.connection, sql, self.show)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """What goes wrong in the block is said, and the prompt goes on."""
        try:
            yield
            sys.stdout.flush()
        except duckdb.Error as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)

    def _command(self, name: str, *arguments: str) -> None:
        if name == ".help":
            print(self.HELP)
        elif name == ".tables":
            rows = [*_tables(self.connection).items(), *_macros(self.connection).items()]
            _write_table(["name", "holds"], iter(rows))
        elif name == ".schema":
            self._schema(*(argument.rstrip(";") for argument in arguments))
        else:
            print(f"{name} is no command; .help lists them", file=sys.stderr)

    def _schema(self, *wanted: str) -> None:
        known = _tables(self.connection)
        for table in wanted or known:
            if table not in known:
                print(f"there is no table {table}; .tables lists them", file=sys.stderr)
                continue
            print(f"{table}: {known[table]}")
            columns = self.connection.execute(
                "SELECT column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
                "WHERE NOT internal AND table_name = ? ORDER BY column_index",
                [table],
            ).fetchall()
            _write_table(["column", "type", "holds"], iter(columns))

    @contextmanager
    def _line_editing(self) -> Iterator[None]:
        """History that outlives the session, and completion; both as readline does them."""
        if readline is None:
            yield
            return
        state = os.environ.get("XDG_STATE_HOME")
        history = (Path(state) if state else Path.home() / ".local" / "state") / "facetmine" / "query_history"
        libedit = "libedit" in (readline.__doc__ or "")  # what macOS has for readline
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t\n,;()=<>+-*/|'\"")
        with suppress(OSError):  # there is none yet
            readline.read_history_file(history)
        try:
            yield
        finally:
            readline.set_completer(None)
            with suppress(OSError):  # a home that cannot be written to is no reason to fail
                history.parent.mkdir(parents=True, exist_ok=True)
                readline.set_history_length(1000)
                readline.write_history_file(history)

    def _complete(self, text: str, number: int) -> str | None:
        if number == 0:
            self.candidates = self._candidates(text)
        return self.candidates[number] if number < len(self.candidates) else None

    def _candidates(self, text: str) -> list[str]:
        if text.startswith("."):
            return [command for command in (".help", ".quit", ".schema", ".tables") if command.startswith(text)]
        columns = self.connection.execute("SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal")
        names = {name for (name,) in columns.fetchall()}
        qualifier, dot, start = text.rpartition(".")
        if not dot:
            names |= {*_tables(self.connection), *(macro.partition("(")[0] + "(" for macro in _macros(self.connection))}
        return sorted(qualifier + dot + name for name in names if name.startswith(start))


def _is_complete(sql: str) -> bool:
    """Whether the last thing in it, comments apart, is a ';' that ends a statement, not one in a string."""
    tokens = [offset for offset, kind in duckdb.tokenize(sql) if kind != duckdb.token_type.comment]
    # Offsets count the bytes of UTF-8.
    return bool(tokens) and sql.encode()[tokens[-1] :].startswith(b";")


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What can be read FROM by name, with what it holds."""
    return dict(
        connection.execute("""
            SELECT view_name AS name, coalesce(comment, '') FROM duckdb_views() WHERE NOT internal
            UNION ALL
            SELECT table_name, coalesce(comment, '') FROM duckdb_tables() WHERE NOT internal
            ORDER BY name
        """).fetchall()
    )


def _macros(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(
        connection.execute("""
            SELECT function_name || '(' || array_to_string(parameters, ', ') || ')' AS name, coalesce(comment, '')
            FROM duckdb_functions() WHERE NOT internal AND function_type = 'table_macro' ORDER BY name
        """).fetchall()
    )
