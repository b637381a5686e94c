"""Hooks of MkDocs: pages that are made of the code, and files of the repository that the pages link to.

The command line comes from facetmine's own argument parser, tables from ``schemas.tables`` and from the comments of the
DuckDB views, the configuration from the default preset. None of it is
committed, so none can be out of date.
"""

import argparse
import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from filters.axes import AXES
from pipeline import options
from pipeline.reasons import MEANINGS
from schemas.manifest import Manifest
from schemas.tables import TABLES, VERSION
from schemas.views import connect

ROOT = Path(__file__).parents[1]

BROUGHT = {
    "encoders/data/toyworld/README.md": "cards/toy-clip.md",
    "parsers/data/compact/README.md": "cards/compact-parser.md",
    "parsers/data/web/README.md": "cards/web-captions.md",
    "parsers/data/web/GUIDE.md": "cards/GUIDE.md",
    **{f"notebooks/{path.name}": f"notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))},
}
"""Files of the repository that the site has too, and where. Pages link to them as they do on GitHub."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and what is brought from the repository."""
    made = {
        "reference/command-line.md": command_line(),
        "reference/tables.md": tables(),
        "reference/configuration.md": configuration(),
    }
    for place, source in made.items():
        files.append(File.generated(config, place, content=source))
    for path, place in BROUGHT.items():
        shown = InclusionLevel.NOT_IN_NAV if place == "cards/GUIDE.md" else InclusionLevel.UNDEFINED
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path), inclusion=shown))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links out of ``docs/``, and links of cards into it, to where the site has what they name."""
    if page.file.src_uri.startswith("cards/"):
        return re.sub(r"\]\((\.\./)+docs/", "](../", markdown)
    return re.sub(r"\]\(\.\./([^)#]+)", lambda link: f"]({BROUGHT.get(link[1], '../' + link[1])}", markdown)


def command_line() -> str:
    """A page with every command and every option, as ``--help`` has them."""
    commands = _commands()
    lines = [
        "# Command line",
        "",
        "Made of the option parser itself: `facetmine COMMAND --help` says the same. `python beam_runner.py` "
        "is the same program. Exit status: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C, 143 by SIGTERM.",
        "",
        "| command | what it does |",
        "|---|---|",
    ]
    lines += [f"| [`{name}`](#facetmine-{name}) | {_cell(told)} |" for name, (told, _) in commands.items()]
    for name, (_, parser) in commands.items():
        lines += ["", f"## facetmine {name}", ""]
        lines += _prose(parser.description)
        for group in parser._action_groups:
            rows = [_option(action, parser) for action in group._group_actions if action.dest != "help"]
            if rows:
                title = "arguments" if group.title == "positional arguments" else group.title
                lines += [f"**{title}**", "", "| option | what it says |", "|---|---|", *rows, ""]
        lines += _prose(parser.epilog)
    return "\n".join(lines)


def tables() -> str:
    """A page with every table, column, view and macro of an output folder."""
    lines = [
        "# Tables",
        "",
        f"What an output folder holds, version {VERSION} of the contracts. Each table is a folder of Parquet files; "
        "`manifest.json` names those that count. The same words are in the files' own metadata and in "
        "`.schema` at the prompt of `facetmine query OUT`.",
    ]
    for name, schema in TABLES.items():
        lines += ["", f"## {name}", "", _sentence(schema.metadata[b"doc"].decode()), "", *_HEADER]
        lines += [row for field in schema for row in _column(field)]
    lines += ["", "### Reasons of rejects", "", "| reason | meaning |", "|---|---|"]
    lines += [f"| `{reason}` | {_cell(told)} |" for reason, told in MEANINGS.items()]
    lines += [""]
    lines += ["### Axes", "", "Values of column `axis`: " + ", ".join(f"`{axis}`" for axis in AXES) + ".", ""]
    return "\n".join([*lines, *_views()])


def configuration() -> str:
    """A page with the default preset, which explains itself."""
    preset = (ROOT / "pipeline/presets/default.toml").read_text(encoding="utf-8")
    return (
        "# Configuration\n\nWhat `--config FILE.toml` takes. This is the default preset; what a file leaves out "
        f"is as it is here.\n\n```toml\n{preset}```\n"
    )


_HEADER = ["| column | type | holds |", "|---|---|---|"]


def _commands() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """Parsers of the subcommands by name, with the line that says what each does."""
    (chosen,) = (action for action in options._parser()._actions if isinstance(action, argparse._SubParsersAction))
    told = {choice.dest: choice.help or "" for choice in chosen._choices_actions}
    return {name: (told[name], parser) for name, parser in chosen.choices.items()}


def _prose(text: str | None) -> list[str]:
    """A line as a paragraph; more, which the terminal shows as they stand, as they stand."""
    text = (text or "").strip()
    return ["```text", text, "```", ""] if "\n" in text else [_cell(text), ""] if text else []


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    formatter = parser._get_formatter()
    told = formatter._expand_help(action) if action.help else ""
    if not action.option_strings:
        return f"| `{formatter._format_args(action, str(action.metavar or action.dest))}` | {_cell(told)} |"
    value = "" if action.nargs == 0 else " " + formatter._format_args(action, action.dest.upper())
    names = ", ".join(action.option_strings)
    return f"| {_code(names + value)} | {_cell(told)} |"


def _column(field: pa.Field, above: str = "") -> Iterator[str]:
    name = above + field.name
    doc = (field.metadata or {}).get(b"doc", b"").decode()
    nested = field.type.value_type if pa.types.is_list(field.type) else field.type
    if not pa.types.is_struct(nested):
        yield f"| `{name}` | {field.type}{', or null' if field.nullable else ''} | {_cell(doc)} |".replace("item: ", "")
        return
    many = pa.types.is_list(field.type)
    yield f"| `{name}` | {'list of structs' if many else 'struct'} | {_cell(doc)} |"
    for inner in nested:
        yield from _column(inner, f"{name}[]." if many else f"{name}.")


def _views() -> list[str]:
    """Views and macros, as DuckDB itself describes them over a dataset without rows."""
    connection = connect(str(ROOT), Manifest(facetmine_version="", configuration={}, seed=0))
    lines = ["## Views and macros", "", "What `facetmine query`, and `schemas.views.connect(OUT)` in Python, have "
             "beside the tables.", ""]  # fmt: skip
    views = connection.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND view_name NOT IN "
        "(SELECT unnest(?)) UNION ALL SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal ORDER BY ALL",
        [list(TABLES)],
    ).fetchall()
    for view, told in views:
        columns = connection.execute(
            "SELECT column_name, data_type, coalesce(comment, '') FROM duckdb_columns() WHERE NOT internal AND "
            "table_name = ? ORDER BY column_index",
            [view],
        ).fetchall()
        lines += [f"### {view}", "", _sentence(told or ""), "", *_HEADER]
        lines += [f"| `{name}` | {_cell(type_)} | {_cell(doc)} |" for name, type_, doc in columns] + [""]
    macros = connection.execute(
        "SELECT function_name || '(' || array_to_string(parameters, ', ') || ')', coalesce(comment, '') "
        "FROM duckdb_functions() WHERE NOT internal AND function_type = 'table_macro' ORDER BY ALL"
    ).fetchall()
    lines += ["### Macros", "", *_table(("macro", "rows"), ((_code(macro), _cell(told)) for macro, told in macros)), ""]
    return lines


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *rows)]


def _cell(text: str) -> str:
    """Plain text in a cell of a table: nothing in it is markup, but for what stands in backticks."""
    parts = " ".join(text.split()).split("`")
    kept = [html.escape(part, quote=False).replace("*", "\\*").replace("_", "\\_") for part in parts]
    kept[1::2] = [f"`{part}`" for part in parts[1::2]] if len(parts) % 2 else kept[1::2]
    return "".join(kept).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _sentence(text: str) -> str:
    return _cell(text[:1].upper() + text[1:]) + ("" if text.endswith(".") else ".")
