"""Inputs for whole runs, and what their output folders hold."""

import csv
import functools
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import duckdb
from commands import ROOT

TABLES = ("captions", "scene_graphs", "facts", "rejects", "triplets")


@functools.cache
def web_captions() -> list[str]:
    """Captions of the web, each once."""
    with (ROOT / "parsers/data/web/train.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return list(dict.fromkeys(row["caption"] for row in rows))


def json_lines(captions: Iterable[tuple[str, str]]) -> str:
    """JSON Lines of image ids and captions."""
    return "".join(
        json.dumps({"image_id": image, "caption": text}, ensure_ascii=False) + "\n" for image, text in captions
    )


def manifest(output: Path) -> dict:
    return json.loads((output / "manifest.json").read_text())


def rows(output: Path, table: str) -> list[tuple]:
    """All rows of a table, in an order that does not depend on how they lie in files."""
    return duckdb.sql(f"SELECT * FROM read_parquet('{output}/{table}/*.parquet') ORDER BY ALL").fetchall()


def checksums(output: Path) -> dict[str, str]:
    """The sha256 of every file of the tables, by path, as the manifest has it."""
    return {file["path"]: file["sha256"] for stage in manifest(output)["stages"].values() for file in stage["files"]}


def modification_times(output: Path) -> dict[str, int]:
    """When each file below the folder was last written."""
    return {str(path.relative_to(output)): path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}


def copy(output: Path, to: Path) -> Path:
    """A copy of an output folder, with the times of its files."""
    shutil.copytree(output, to)
    return to


def assert_whole(output: Path) -> None:
    """The folder holds what the manifest says and nothing else, and no row was lost on the way."""
    stages = manifest(output)["stages"]
    assert list(stages) == ["read", "parse", "mine", "write"]
    for name, stage in stages.items():
        assert stage["rows_in"] == stage["rows_out"] + sum(stage["rejects"].values()), name

    files = {path for path in modification_times(output) if path.startswith(tuple(f"{table}/" for table in TABLES))}
    assert files == set(checksums(output))
    for path, sha256 in checksums(output).items():
        assert hashlib.sha256((output / path).read_bytes()).hexdigest() == sha256, path
    assert not list(output.rglob("*.tmp"))

    counts = {
        table: duckdb.sql(f"SELECT count(*) FROM read_parquet('{output}/{table}/*.parquet')").fetchall()[0][0]
        for table in TABLES
    }
    assert counts["captions"] == stages["read"]["rows_out"] == stages["parse"]["rows_in"]
    assert counts["scene_graphs"] == stages["parse"]["rows_out"]
    assert counts["facts"] == stages["mine"]["rows_in"]
    assert counts["triplets"] == stages["write"]["rows_out"]
    rejects = f"SELECT stage, reason, count(*) FROM read_parquet('{output}/rejects/*.parquet') GROUP BY ALL"
    told = {(name, reason): rows for name, stage in stages.items() for reason, rows in stage["rejects"].items()}
    assert {(stage, reason): rows for stage, reason, rows in duckdb.sql(rejects).fetchall()} == told


def assert_same(output: Path, expected: Path) -> None:
    """Both folders are whole, and their files of the tables are the same to the byte."""
    assert_whole(output)
    assert rows(output, "triplets") == rows(expected, "triplets")
    assert checksums(output) == checksums(expected)
