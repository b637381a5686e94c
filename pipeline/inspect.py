"""``facetmine inspect``: what an output dataset holds, how it came about, and a few of its triplets."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

import duckdb
from rich import box
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.query import quiet_broken_pipe
from schemas.manifest import Manifest, ManifestError
from schemas.places import place
from schemas.tables import TABLES
from schemas.views import connect

MOST_FREQUENT = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine inspect``."""
    parser.add_argument("out", metavar="OUT", help="output dataset to inspect: the folder that holds manifest.json")
    parser.add_argument(
        "--triplets", type=_count, default=5, metavar="N", help="sample triplets to show (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the sample: the same seed shows the same (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the same as JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine inspect``; returns the exit status."""
    try:
        told = inspect(args.out, args.triplets, args.seed)
    except ManifestError as error:
        print(error, file=sys.stderr)
        return 1
    text = json.dumps(told, ensure_ascii=False, indent=1) if args.json else _text(told)
    with quiet_broken_pipe():
        print(text)
    if told["error"]:
        print(told["error"], file=sys.stderr)
        return 1
    return 0


def inspect(out: str, triplets: int = 5, seed: int = 0) -> dict[str, Any]:
    """What there is to tell of the dataset at ``out``, in the types of JSON.

    Tables that are not in the dataset have no key, and neither has what comes after an ``error`` in reading one.

    Args:
        triplets: how many of them to sample.
        seed: of the sample.

    Raises:
        ManifestError: there is no dataset.
    """
    manifest = Manifest.read(out)
    damage = manifest.damage(out)
    told: dict[str, Any] = {
        "dataset": _address(out),
        "created": manifest.created,
        "schema_version": manifest.schema_version,
        "facetmine_version": manifest.facetmine_version,
        "seed": manifest.seed,
        "libraries": manifest.libraries,
        "configuration": manifest.configuration,
        "inputs": [asdict(entry) for entry in manifest.inputs],
        "stages": {
            name: {
                "rows_in": stage.rows_in, "rows_out": stage.rows_out, "rejects": stage.rejects,
                "seconds": stage.seconds, "notes": stage.notes,
            }
            for name, stage in manifest.stages.items()
        },
        "tables": {
            name: {
                "files": len(manifest.files(name)),
                "rows": sum(file.rows for file in manifest.files(name)),
                "bytes": sum(file.bytes for file in manifest.files(name)),
            }
            for name in TABLES
        },
        "damage": damage,
        "error": None,
    }  # fmt: skip
    if damage:
        stages = {
            name: replace(stage, files=[file for file in stage.files if file.path not in damage])
            for name, stage in manifest.stages.items()
        }
        manifest = replace(manifest, stages=stages)
    try:
        with connect(out, manifest) as connection:
            if manifest.files("facts"):
                told["subjects"] = _rows(connection, _SUBJECTS)
            if manifest.files("triplets"):
                told["conditions"] = _rows(connection, _CONDITIONS)
                told["kinds"] = _rows(connection, _KINDS)
                told["triplets"] = {"seed": seed, "sample": _rows(connection, _SAMPLE, triplets, seed)}
    except (ManifestError, duckdb.Error) as error:
        told["error"] = str(error)
    return told


_SUBJECTS = f"""
SELECT subject, triplets, facts, images FROM subjects ORDER BY triplets DESC, facts DESC, subject LIMIT {MOST_FREQUENT}
"""
_CONDITIONS = f"""
SELECT condition, kind, triplets, subjects FROM conditions ORDER BY triplets DESC, condition, kind LIMIT {MOST_FREQUENT}
"""
_KINDS = "SELECT kind, split, count(*) AS triplets FROM triplets GROUP BY kind, split ORDER BY kind, split"
_SAMPLE = """
SELECT triplet_id, kind, split, subject, condition, reference_caption, target_caption,
       text_distractor_caption, image_distractor_caption
FROM sample_triplets(?, seed := ?)
"""


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> list[dict[str, Any]]:
    found = connection.execute(sql, list(values))
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _address(out: str) -> str:
    filesystem, root = place(out)
    return str(filesystem.unstrip_protocol(root)).removeprefix("file://")


# The same for people: rich's tables, as wide as the terminal allows.


def _text(told: dict[str, Any]) -> str:
    console = Console()
    # Text is gathered and written at once, so that `| head` ends this command as quietly as any other.
    with console.capture() as capture:
        for part in _parts(told):
            console.print(part)
    # Rich pads what it prints to the width of its block; without that, text is easier to copy and to search.
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _parts(told: dict[str, Any]) -> Iterator[RenderableType]:
    yield _origin(told)
    yield _table(
        "Inputs", "source", "format", "bytes", "path", numbers=("bytes",),
        rows=[(entry["source"], entry["format"], decimal(entry["bytes"]), entry["path"]) for entry in told["inputs"]],
    )  # fmt: skip
    yield _stages(told["stages"])
    yield _table(
        "Tables", "table", "files", "rows", "bytes", numbers=("files", "rows", "bytes"),
        rows=[(name, table["files"], table["rows"], decimal(table["bytes"])) for name, table in told["tables"].items()],
    )  # fmt: skip
    if told["damage"]:
        yield _warnings(told["damage"])
    for key, title, columns in (
        ("subjects", "Most frequent subjects", ("subject", "triplets", "facts", "images")),
        ("conditions", "Most frequent conditions", ("condition", "kind", "triplets", "subjects")),
        ("kinds", "Kinds and splits", ("kind", "split", "triplets")),
    ):
        if key in told:
            rows = [tuple(row[column] for column in columns) for row in told[key]]
            yield _table(title, *columns, numbers=("triplets", "facts", "images", "subjects"), rows=rows)
    if "triplets" in told and told["triplets"]["sample"]:
        yield _samples(told["triplets"]["sample"], told["triplets"]["seed"])


def _origin(told: dict[str, Any]) -> Table:
    rows = {
        "dataset": told["dataset"],
        "created": told["created"],
        "schema version": told["schema_version"],
        "facetmine": told["facetmine_version"],
        "seed": str(told["seed"]),
        "libraries": ", ".join(f"{name} {version}" for name, version in told["libraries"].items()),
    }
    return _labelled(rows)


def _stages(stages: dict[str, Any]) -> Group:
    rows = []
    for name, stage in stages.items():
        by_number = sorted(stage["rejects"].items(), key=lambda reject: (-reject[1], reject[0]))
        rejects = "\n".join(f"{number:,} {reason}" for reason, number in by_number)
        rows.append((name, stage["rows_in"], stage["rows_out"], rejects, f"{stage['seconds']:,.1f}"))
    columns = ("stage", "rows in", "rows out", "rejects", "seconds")
    table = _table("Stages", *columns, numbers=("rows in", "rows out", "seconds"), rows=rows)
    # In a column they would be too narrow to read.
    return Group(table, *(Text(f"{name}: {note}") for name, stage in stages.items() for note in stage["notes"]))


def _warnings(damage: dict[str, str]) -> Group:
    lines = [Text(f"  {path}: {problem}", style="red") for path, problem in damage.items()]
    advice = Text("  What follows leaves these files out. Run `facetmine mine` again with --force to make them anew.")
    return Group(Text(f"\nWarning: {len(damage)} files are not as the manifest says", style="bold red"), *lines, advice)


def _samples(rows: list[dict[str, Any]], seed: int) -> Group:
    blocks: list[Text | Padding] = [Text(f"\nSample triplets (seed {seed})", style="bold")]
    for row in rows:
        blocks.append(Text(f"\n{row['triplet_id']}  {row['kind']}, {row['split']}", style="cyan"))
        shown = {
            name.removesuffix("_caption").replace("_", " "): "(none)" if value is None else value
            for name, value in row.items()
            if name not in ("triplet_id", "kind", "split")
        }
        blocks.append(Padding(_labelled(shown), (0, 0, 0, 2)))
    return Group(*blocks)


def _labelled(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows.items():
        table.add_row(label, Text(value))
    return table


def _table(title: str, *columns: str, numbers: tuple[str, ...], rows: Iterable[tuple[str | int, ...]]) -> Table:
    table = Table(
        title=f"\n{title}",
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for column in columns:
        number = column in numbers
        table.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else value) for value in row))
    return table


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be negative: {text}")
    return number
