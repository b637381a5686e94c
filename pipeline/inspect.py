"""``facetmine inspect``: what an output dataset holds, how it came about, and a few of its triplets, to be read."""

import argparse
import sys
from dataclasses import replace

import duckdb
from rich import box
from rich.console import Console, Group
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


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine inspect``; returns the exit status."""
    console = Console()
    # Text is gathered and written at once, so that `| head` ends this command as quietly as any other.
    with console.capture() as capture:
        try:
            _inspect(console, args.out, args.triplets, args.seed)
            error = ""
        except (ManifestError, duckdb.Error) as reason:
            error = str(reason)
    with quiet_broken_pipe():
        # Rich pads what it prints to the width of its block; without that, text is easier to copy and to search.
        print("\n".join(line.rstrip() for line in capture.get().split("\n")), end="")
    if error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _inspect(console: Console, out: str, triplets: int, seed: int) -> None:
    manifest = Manifest.read(out)
    damage = manifest.damage(out)
    console.print(_origin(out, manifest))
    console.print(_inputs(manifest))
    console.print(_stages(manifest))
    console.print(_tables(manifest))
    if damage:
        console.print(_warnings(damage))
        stages = {
            name: replace(stage, files=[file for file in stage.files if file.path not in damage])
            for name, stage in manifest.stages.items()
        }
        manifest = replace(manifest, stages=stages)
    with connect(out, manifest) as connection:
        if manifest.files("facts"):
            console.print(_subjects(connection))
        if manifest.files("triplets"):
            console.print(_conditions(connection))
            console.print(_kinds(connection))
            if triplets:
                console.print(_samples(connection, triplets, seed))


def _origin(out: str, manifest: Manifest) -> Table:
    filesystem, root = place(out)
    rows = {
        "dataset": filesystem.unstrip_protocol(root).removeprefix("file://"),
        "created": manifest.created,
        "schema version": manifest.schema_version,
        "facetmine": manifest.facetmine_version,
        "seed": str(manifest.seed),
        "libraries": ", ".join(f"{name} {version}" for name, version in manifest.libraries.items()),
    }
    return _labelled(rows)


def _inputs(manifest: Manifest) -> Table:
    table = _table("Inputs", "source", "format", "bytes", "path", numbers=("bytes",))
    for entry in manifest.inputs:
        table.add_row(*map(Text, (entry.source, entry.format, decimal(entry.bytes), entry.path)))
    return table


def _stages(manifest: Manifest) -> Table:
    columns = ("stage", "rows in", "rows out", "rejects", "seconds", "notes")
    table = _table("Stages", *columns, numbers=("rows in", "rows out", "seconds"))
    for name, stage in manifest.stages.items():
        by_number = sorted(stage.rejects.items(), key=lambda reject: (-reject[1], reject[0]))
        rejects = "\n".join(f"{number:,} {reason}" for reason, number in by_number)
        cells = (
            name,
            f"{stage.rows_in:,}",
            f"{stage.rows_out:,}",
            rejects,
            f"{stage.seconds:,.1f}",
            "\n".join(stage.notes),
        )
        table.add_row(*map(Text, cells))
    return table


def _tables(manifest: Manifest) -> Table:
    columns = ("table", "files", "rows", "bytes")
    table = _table("Tables", *columns, numbers=columns[1:])
    for name in TABLES:
        files = manifest.files(name)
        rows, size = sum(file.rows for file in files), sum(file.bytes for file in files)
        table.add_row(name, f"{len(files):,}", f"{rows:,}", decimal(size))
    return table


def _warnings(damage: dict[str, str]) -> Group:
    lines = [Text(f"  {path}: {problem}", style="red") for path, problem in damage.items()]
    advice = Text("  What follows leaves these files out. Run `facetmine mine` again with --force to make them anew.")
    return Group(Text(f"\nWarning: {len(damage)} files are not as the manifest says", style="bold red"), *lines, advice)


def _subjects(connection: duckdb.DuckDBPyConnection) -> Table:
    columns = ("subject", "triplets", "facts", "images")
    return _query_table(
        connection,
        "Most frequent subjects",
        columns,
        f"SELECT {', '.join(columns)} FROM subjects ORDER BY triplets DESC, facts DESC, subject LIMIT {MOST_FREQUENT}",
    )


def _conditions(connection: duckdb.DuckDBPyConnection) -> Table:
    columns = ("condition", "kind", "triplets", "subjects")
    return _query_table(
        connection,
        "Most frequent conditions",
        columns,
        f"SELECT {', '.join(columns)} FROM conditions ORDER BY triplets DESC, condition, kind LIMIT {MOST_FREQUENT}",
    )


def _kinds(connection: duckdb.DuckDBPyConnection) -> Table:
    columns = ("kind", "split", "triplets")
    return _query_table(
        connection,
        "Kinds and splits",
        columns,
        "SELECT kind, split, count(*) AS triplets FROM triplets GROUP BY kind, split ORDER BY kind, split",
    )


def _samples(connection: duckdb.DuckDBPyConnection, number: int, seed: int) -> Group:
    rows = connection.execute(
        """
        SELECT triplet_id, kind, split, subject, condition, reference_caption, target_caption,
               text_distractor_caption, image_distractor_caption
        FROM sample_triplets(?, seed := ?)
        """,
        [number, seed],
    ).fetchall()
    blocks: list[Text | Padding] = [Text(f"\nSample triplets (seed {seed})", style="bold")]
    labels = ("subject", "condition", "reference", "target", "text distractor", "image distractor")
    for triplet, kind, split, *values in rows:
        blocks.append(Text(f"\n{triplet}  {kind}, {split}", style="cyan"))
        shown = {label: "(none)" if value is None else value for label, value in zip(labels, values, strict=True)}
        blocks.append(Padding(_labelled(shown), (0, 0, 0, 2)))
    return Group(*blocks)


def _labelled(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows.items():
        table.add_row(label, Text(value))
    return table


def _query_table(connection: duckdb.DuckDBPyConnection, title: str, columns: tuple[str, ...], sql: str) -> Table:
    rows = connection.execute(sql).fetchall()
    table = _table(title, *columns, numbers=("triplets", "facts", "images", "subjects"))
    for row in rows:
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else value) for value in row))
    return table


def _table(title: str, *columns: str, numbers: tuple[str, ...]) -> Table:
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
    return table


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be negative: {text}")
    return number
