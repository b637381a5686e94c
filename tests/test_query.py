"""The dataset as a database: manifest, views and macros, and the commands query and inspect."""

import argparse
import csv
import hashlib
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import inspect, query
from schemas import TABLES, conform
from schemas.manifest import FileEntry, InputEntry, Manifest, ManifestError, Stage
from schemas.views import connect

ROOT = Path(__file__).parents[1]
TEXTS = {
    "red-dog": ("dog", "red", "a red dog sits on grass"),
    "blue-dog": ("dog", "blue", "a [bold]blue[/bold] dog sits on a sofa"),
    "red-car": ("car", "red", "a red car's door"),
}


def caption_rows() -> list[dict[str, Any]]:
    return [
        {"image_id": name, "image_key": key, "caption_index": 0, "caption": text, "source": "toy"}
        for key, (name, (_, _, text)) in enumerate(TEXTS.items())
    ]


def fact_rows() -> list[dict[str, Any]]:
    rows = []
    for caption, (subject, colour, _) in zip(caption_rows(), TEXTS.values(), strict=True):
        fact = caption | {"subject": subject, "entities": [subject]}
        rows.append(fact | {"kind": "attribute", "attribute": colour, "axis": "color"})
        rows.append(fact | {"kind": "relation", "predicate": "be on", "object": "grass"})
    return rows


def triplet_rows(number: int) -> list[dict[str, Any]]:
    rows = []
    for index in range(number):
        row = {
            "triplet_id": f"{index:032x}",
            "kind": "change_attribute",
            "condition": "red",
            "subject": "dog",
            "axis": "color",
            "split": "train" if index else "val",
        }
        chosen = {"reference": "blue-dog", "target": "red-dog"}
        if index == 0:  # distractors are nullable: most triplets here have none
            chosen |= {"text_distractor": "red-car", "image_distractor": "blue-dog"}
        for role, image in chosen.items():
            row |= {f"{role}_id": image, f"{role}_source": "toy", f"{role}_caption": TEXTS[image][2]}
        rows.append(row)
    return rows


def write_part(out: Path, table: str, rows: list[dict[str, Any]], part: int = 0) -> FileEntry:
    columns = {name: [row.get(name) for row in rows] for name in TABLES[table].names}
    file = out / table / f"part-{part:05d}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(conform(pa.table(columns), TABLES[table]), file)
    data = file.read_bytes()
    name = file.relative_to(out).as_posix()
    return FileEntry(path=name, rows=len(rows), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def write_dataset(out: Path, triplets: int = 60) -> Manifest:
    facts = fact_rows()
    manifest = Manifest(
        facetmine_version="0.1.0",
        configuration={"preset": "default"},
        seed=7,
        inputs=[InputEntry(path="toy.jsonl", source="toy", format="jsonl", bytes=2048, fingerprint="f")],
        libraries={"pyarrow": pa.__version__},
        stages={
            "read": Stage(
                fingerprint="r",
                rows_in=5,
                rows_out=3,
                rejects={"empty_caption": 1, "duplicate": 1},
                seconds=0.5,
                files=[write_part(out, "captions", caption_rows())],
            ),
            "parse": Stage(
                fingerprint="p",
                rows_in=3,
                rows_out=3,
                files=[write_part(out, "facts", facts[:3]), write_part(out, "facts", facts[3:], part=1)],
            ),
            "mine": Stage(
                fingerprint="m",
                rows_in=6,
                rows_out=triplets,
                notes=["one hot subject"],
                files=[write_part(out, "triplets", triplet_rows(triplets))],
            ),
        },
    )
    manifest.write(str(out))
    return manifest


@pytest.fixture
def out(tmp_path: Path) -> str:
    # Every character here means something to SQL or to a path pattern.
    folder = tmp_path / "it's [a] data*set? v=1"
    write_dataset(folder)
    return str(folder)


@pytest.fixture
def connection(out: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(out) as connection:
        yield connection


# The manifest

counts = st.integers(min_value=0, max_value=2**70)
paths = st.text(min_size=1).filter(lambda path: not path.startswith("/") and ".." not in path)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)
input_entries = st.builds(
    InputEntry, path=st.text(), source=st.text(), format=st.text(), bytes=counts, fingerprint=st.text()
)
file_entries = st.builds(FileEntry, path=paths, rows=counts, bytes=counts, sha256=st.text())
stages = st.builds(
    Stage,
    fingerprint=st.text(),
    rows_in=counts,
    rows_out=counts,
    rejects=st.dictionaries(st.text(), counts, max_size=3),
    seconds=st.floats(min_value=0, allow_infinity=False),
    notes=st.lists(st.text(), max_size=3),
    files=st.lists(file_entries, max_size=3),
)
manifests = st.builds(
    Manifest,
    facetmine_version=st.text(),
    created=st.text(),
    configuration=st.dictionaries(st.text(), json_values, max_size=3),
    seed=st.integers(),
    inputs=st.lists(input_entries, max_size=3),
    libraries=st.dictionaries(st.text(), st.text(), max_size=3),
    stages=st.dictionaries(st.text(), stages, max_size=3),
)


@given(manifests)
def test_manifest_survives_json(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_manifest_survives_paths_that_are_not_utf8(tmp_path: Path) -> None:
    path = os.fsdecode(b"caf\xe9.parquet")
    entry = FileEntry(path=path, rows=1, bytes=1, sha256="")
    stage = Stage(fingerprint="", rows_in=1, rows_out=1, files=[entry])
    manifest = Manifest(facetmine_version="0.1.0", configuration={}, seed=0, stages={"read": stage})
    manifest.write(str(tmp_path))
    assert Manifest.read(str(tmp_path)) == manifest


def test_manifest_is_written_at_once_and_leaves_nothing_else(tmp_path: Path) -> None:
    manifest = Manifest(facetmine_version="0.1.0", configuration={}, seed=0)
    manifest.write(str(tmp_path / "new"))
    replace(manifest, seed=1).write(str(tmp_path / "new"))
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["manifest.json"]
    with pytest.raises(TypeError):
        replace(manifest, configuration={"bad": object()}).write(str(tmp_path / "new"))
    assert Manifest.read(str(tmp_path / "new")).seed == 1


def test_manifest_and_views_through_a_url(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    manifest = write_dataset(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.put(f"{tmp_path}/", "/facetmine-test/", recursive=True)
    try:
        assert Manifest.read("memory://facetmine-test") == manifest
        manifest.write("memory://facetmine-test")
        assert manifest.damage("memory://facetmine-test") == {}
        with connect("memory://facetmine-test") as connection:
            assert connection.execute("SELECT count(*) FROM facts").fetchone() == (6,)
    finally:
        memory.rm("/facetmine-test", recursive=True)


def test_files_of_a_table(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path)
    assert [file.path for file in manifest.files("facts")] == ["facts/part-00000.parquet", "facts/part-00001.parquet"]
    assert manifest.files("rejects") == []


VALID = Manifest(facetmine_version="9.9", configuration={}, seed=0).to_json()
FILE = '{"path": "../x", "rows": 1, "bytes": 1, "sha256": ""}'
STAGE = (
    f'{{"fingerprint": "", "rows_in": 1, "rows_out": 1, "rejects": {{}}, "seconds": 1, "notes": [], "files": [{FILE}]}}'
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a manifest of facetmine"),
        ("{", "is not a manifest of facetmine"),
        ("[]", "expected an object, found a list"),
        ("{}", "schema_version is missing"),
        (VALID.replace('"seed": 0', '"seed": true'), "seed: expected a whole number, found true or false"),
        (VALID.replace('"stages": {}', '"stages": {"read": []}'), r"stages\.read: expected an object, found a list"),
        (VALID.replace('"stages": {}', f'"stages": {{"read": {STAGE}}}'), "'../x' is not inside the dataset"),
        (VALID.replace('"schema_version": "1"', '"schema_version": "0"'), "schema version '0'.*Mine it again.*9.9"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.read(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"does not exist\. Give the output folder"):
        Manifest.read(str(tmp_path / "absent"))
    with pytest.raises(ManifestError, match=r"holds no manifest\.json.*Run `facetmine mine`"):
        Manifest.read(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match="is a file"):
        Manifest.read(str(tmp_path / "file"))
    with pytest.raises(ManifestError, match="Protocol not known"):
        Manifest.read("nonsense://bucket/out")
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="is not a manifest"):
        Manifest.read(str(tmp_path))


# Views and macros


def test_views_have_the_columns_of_the_tables(connection: duckdb.DuckDBPyConnection) -> None:
    for table, schema in TABLES.items():
        assert connection.view(table).columns == schema.names
    empty = {"scene_graphs", "image_embeddings", "text_embeddings", "scores", "rejects"}
    counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    assert {table for table, count in counts.items() if count == 0} == empty


def test_empty_views_have_the_types_of_full_ones(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    Manifest(facetmine_version="0.1.0", configuration={}, seed=0).write(str(tmp_path))
    with connect(str(tmp_path)) as nothing:
        for table in ("captions", "facts", "triplets"):
            assert list(map(str, nothing.view(table).types)) == list(map(str, connection.view(table).types))


def test_every_view_column_of_a_table_and_every_macro_is_explained(connection: duckdb.DuckDBPyConnection) -> None:
    unexplained = connection.execute("""
        SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL
        UNION ALL
        SELECT table_name || '.' || column_name FROM duckdb_columns()
        WHERE NOT internal AND comment IS NULL AND table_name NOT IN ('stages', 'manifest_files')
        UNION ALL
        SELECT function_name FROM duckdb_functions() WHERE NOT internal AND comment IS NULL
    """).fetchall()
    assert unexplained == []


def test_files_that_the_manifest_does_not_name_are_not_read(out: str) -> None:
    write_part(Path(out), "facts", fact_rows(), part=2)
    write_part(Path(out), "rejects", [{"stage": "read", "reason": "r", "detail": "d"}])
    with connect(out) as connection:
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (6,)
        assert connection.execute("SELECT count(*) FROM rejects").fetchone() == (0,)


def test_a_missing_file_is_an_error_not_a_smaller_table(out: str) -> None:
    (Path(out) / "facts" / "part-00001.parquet").unlink()
    with pytest.raises(ManifestError, match=r"table facts cannot be read; `facetmine inspect`"):
        connect(out)


def test_a_relative_path_stays_valid_in_another_folder(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(out).parent)
    with connect(Path(out).name) as connection:
        monkeypatch.chdir("/")
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (6,)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        (
            "SELECT image_id, captions, facts, subjects, sources FROM images ORDER BY image_key LIMIT 1",
            [("red-dog", ["a red dog sits on grass"], 2, ["dog"], ["toy"])],
        ),
        ("SELECT count(*), count(object) FROM relations", [(3, 3)]),
        ("SELECT count(*), count(attribute) FROM attributes", [(3, 3)]),
        ("FROM conditions", [("red", "change_attribute", 60, 1)]),
        ("FROM subjects ORDER BY ALL", [("car", 2, 1, 0), ("dog", 4, 2, 60)]),
        ("SELECT caption FROM captions_of('red-car')", [("a red car's door",)]),
        ("SELECT kind, coalesce(object, attribute) FROM facts_of('red-car')",
         [("relation", "grass"), ("attribute", "red")]),
        ("SELECT count(*) FROM triplets_of('dog')", [(60,)]),
        ("SELECT count(*) FROM triplets_of('cat')", [(0,)]),
        ("SELECT stage, rows_in, rows_out, rejected, rejects['duplicate'] FROM stages LIMIT 1",
         [("read", 5, 3, 2, 1)]),
        ('SELECT table_name, sum("rows")::INT FROM manifest_files GROUP BY ALL ORDER BY ALL',
         [("captions", 3), ("facts", 6), ("triplets", 60)]),
    ],
)  # fmt: skip
def test_views_and_macros(connection: duckdb.DuckDBPyConnection, sql: str, rows: list[tuple[Any, ...]]) -> None:
    assert connection.execute(sql).fetchall() == rows


def test_images_without_facts_are_images(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path)
    del manifest.stages["parse"]
    with connect(str(tmp_path), manifest) as connection:
        assert connection.execute("SELECT facts, subjects FROM images").fetchall() == [(0, [])] * 3


def test_why_puts_the_facts_of_a_triplet_beside_each_other(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute(f"FROM why('{0:032x}')").fetchall()
    assert rows == [
        ("image", "toy: blue-dog", "toy: red-dog", "toy: red-car", "toy: blue-dog"),
        ("caption", *(TEXTS[image][2] for image in ("blue-dog", "red-dog", "red-car", "blue-dog"))),
        ("fact", "dog be on grass", "dog be on grass", "car be on grass", "dog be on grass"),
        ("fact", "dog: blue (color)", "dog: red (color)", "car: red (color)", "dog: blue (color)"),
    ]
    assert {row[3:] for row in connection.execute(f"FROM why('{1:032x}')").fetchall()} == {(None, None)}
    assert connection.execute("FROM why('unknown')").fetchall() == []


def test_samples_depend_on_the_seed_alone(connection: duckdb.DuckDBPyConnection) -> None:
    def sample(arguments: str) -> list[Any]:
        return connection.execute(f"SELECT triplet_id FROM sample_triplets({arguments})").fetchall()

    assert sample("5") == sample("5, seed := 0") == sample("10")[:5]
    assert sample("5") != sample("5, seed := 1")
    assert len(set(sample("1000"))) == 60


# facetmine query


def run_command(command: Any, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


QUERY = [
    sys.executable,
    "-c",
    "import argparse, sys; from pipeline import query; parser = argparse.ArgumentParser(); "
    "query.add_arguments(parser); sys.exit(query.run(parser.parse_args()))",
]


def test_table_is_aligned_text_when_piped(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(query, out, "SELECT subject, facts, NULL AS nothing FROM subjects ORDER BY ALL") == 0
    assert capsys.readouterr().out.splitlines() == [
        "subject  facts  nothing",
        "-------  -----  -------",
        "car          2  NULL",
        "dog          4  NULL",
    ]


@pytest.mark.parametrize("format_", ["table", "markdown"])
def test_long_results_are_cut_with_a_note(out: str, format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(query, out, "FROM range(40)", "--format", format_) == 0
    assert "rows" not in capsys.readouterr().out
    assert run_command(query, out, "FROM range(25_000)", "--format", format_) == 0
    text = capsys.readouterr().out
    assert text.rstrip().endswith("(40 of 25,000 rows; --format csv or json prints all)")
    assert "39" in text
    assert "41" not in text.replace("(40 of", "")


VALUES = """
    SELECT 'a, "b"' AS words, NULL AS nothing, [1, 2] AS list, {'x': DATE '2020-01-02'} AS struct,
           1.50::DECIMAL(4, 2) AS decimal, 2::HUGEINT AS huge, 'nan'::DOUBLE AS nan, true AS yes, '\\xAA'::BLOB AS blob
"""


def test_csv(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(query, out, VALUES, "--format", "csv") == 0
    names, values = csv.reader(io.StringIO(capsys.readouterr().out))
    assert names == ["words", "nothing", "list", "struct", "decimal", "huge", "nan", "yes", "blob"]
    assert values == ['a, "b"', "", "[1, 2]", '{"x": "2020-01-02"}', "1.50", "2", "nan", "true", "aa"]


def test_json(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(query, out, VALUES, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {"words": 'a, "b"', "nothing": None, "list": [1, 2], "struct": {"x": "2020-01-02"}, "decimal": 1.5, "huge": 2,
         "nan": None, "yes": True, "blob": "aa"}
    ]  # fmt: skip
    assert run_command(query, out, "SELECT 1 AS a, 2 AS a, 3 AS a_2", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"a": 1, "a_3": 2, "a_2": 3}]
    assert run_command(query, out, "FROM rejects", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run_command(query, out, "FROM range(100)", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 100


def test_markdown(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(query, out, "SELECT 'a|b' AS words, 1 AS number", "--format", "markdown") == 0
    assert capsys.readouterr().out.splitlines() == ["| words | number |", "| --- | --: |", "| a\\|b | 1 |"]


def test_only_statements_that_give_rows_print(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "CREATE TABLE t (a INT); SET threads = 1; INSERT INTO t VALUES (5) RETURNING a; INSERT INTO t VALUES (6)"
    assert run_command(query, out, sql + "; SELECT max(a) AS Count FROM t; -- the end", "--format", "csv") == 0
    assert capsys.readouterr().out == "a\n5\nCount\n6\n"


@pytest.mark.parametrize("sql", ["SELECT no_such FROM facts", "SELEC 1", "SELECT 'a'::INT"])
def test_wrong_sql_is_one_message(out: str, sql: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(query, out, sql) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.match(r"(Binder|Parser|Conversion) Error: ", captured.err)


@pytest.mark.parametrize("command", [query, inspect])
def test_no_dataset_is_one_message(tmp_path: Path, command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(command, str(tmp_path)) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path} holds no manifest.json")


def test_sql_from_standard_input(out: str) -> None:
    sql = "SELECT count(*) AS facts\nFROM facts;\nSELECT 'é' AS letter"
    done = subprocess.run([*QUERY, out, "--format", "csv"], input=sql, text=True, capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "facts\n6\nletter\né\n", "")


def test_a_reader_that_leaves_is_no_error(out: str) -> None:
    process = subprocess.Popen(
        [*QUERY, out, "FROM range(1_000_000)", "--format", "csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"range\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


class Terminal:
    """A program on a terminal of its own: what is sent is typed, what it shows can be waited for."""

    def __init__(self, command: list[str], state: Path) -> None:
        self.shown = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            environment = {"TERM": "xterm", "COLUMNS": "100", "LINES": "40", "XDG_STATE_HOME": str(state)}
            os.execve(command[0], command, os.environ | environment)

    def send(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def expect(self, text: str, seconds: float = 20) -> str:
        """Wait until that is shown, and take everything up to it."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            ready, _, _ = select.select([self.descriptor], [], [], max(0, end - time.monotonic()))
            assert ready, f"waited for {text!r}, saw {self.shown!r}"
            try:
                data = os.read(self.descriptor, 65536)
            except OSError:  # how Linux says that the other side has gone
                data = b""
            assert data, f"waited for {text!r}, saw {self.shown!r} and the end"
            self.shown = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", self.shown + data.decode(errors="replace"))
        before, _, self.shown = self.shown.partition(text)
        return before

    def wait(self) -> int:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if select.select([self.descriptor], [], [], 0.05)[0]:
                try:
                    os.read(self.descriptor, 65536)
                except OSError:
                    time.sleep(0.05)
        raise AssertionError("the program does not end")

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.descriptor)


@pytest.fixture
def terminal(out: str, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal([*QUERY, out], tmp_path / "state")
    terminal.expect("facetmine> ")
    yield terminal
    terminal.close()


def test_prompt(terminal: Terminal, tmp_path: Path) -> None:
    terminal.send("SELECT ';' AS mark, -- not yet;\n")
    terminal.expect("...> ")
    terminal.send("caption FROM captions ORDER BY image_id LIMIT 1;\n")
    assert "a [bold]blue[/bold] dog" in terminal.expect("facetmine> ")

    terminal.send("SELECT no_such FROM facts;\n")
    assert "Binder Error" in terminal.expect("facetmine> ")

    terminal.send("SELECT 1 AS\n")
    terminal.expect("...> ")
    time.sleep(0.5)  # in the instant between showing the prompt and waiting for keys, Python's input() misses a signal
    terminal.send("\x03")  # Ctrl-C
    terminal.expect("facetmine> ")

    terminal.send("SELECT 'a' || 'b' AS joined;\n")
    assert "ab" in terminal.expect("facetmine> ")

    terminal.send("SELECT * FROM triplets LIMIT 1;\n")  # too wide for columns
    assert re.search(r"text_distractor_caption +a red car's door", terminal.expect("facetmine> "))

    terminal.send("\x04")  # Ctrl-D
    assert terminal.wait() == 0
    assert "SELECT no_such FROM facts;" in (tmp_path / "state" / "facetmine" / "query_history").read_text()


def test_prompt_commands(terminal: Terminal) -> None:
    terminal.send(".tables\n")
    shown = terminal.expect("facetmine> ")
    assert all(name in shown for name in (*TABLES, "images", "stages", "sample_triplets(n, seed)"))
    terminal.send(".schema conditions\n")
    assert "number of triplets" in terminal.expect("facetmine> ")
    terminal.send(".schema\n")
    assert "image_distractor_caption" in terminal.expect("facetmine> ")
    terminal.send(".schema nothing\n")
    assert "there is no table nothing" in terminal.expect("facetmine> ")
    terminal.send(".help\n")
    assert "Ctrl-D leaves" in terminal.expect("facetmine> ")
    terminal.send(".what\n")
    assert "is no command" in terminal.expect("facetmine> ")
    terminal.send(".quit\n")
    assert terminal.wait() == 0


def test_prompt_completes_names(terminal: Terminal) -> None:
    terminal.send("SELECT count(image_distractor_cap\t) AS n FROM scene_g\t;\n")
    assert "image_distractor_caption" in terminal.expect("scene_graphs")
    terminal.expect("Binder Error")
    terminal.expect("facetmine> ")
    terminal.send("SELECT t.conc\t FROM manifest_f\t")
    terminal.expect("t.concreteness")
    terminal.expect("manifest_files")


@pytest.mark.parametrize(
    "sql", ["SELECT count(*) FROM range(1_000_000_000_000) WHERE sin(range) > 2;", "FROM range(1_000_000_000_000);"]
)
def test_prompt_survives_an_interrupted_query(terminal: Terminal, sql: str) -> None:
    terminal.send(f"{sql}\n")
    terminal.expect("\n")
    time.sleep(0.5)
    terminal.send("\x03")
    terminal.expect("interrupted")
    terminal.expect("facetmine> ")
    terminal.send("SELECT 'a' || 'b' AS joined;\n")
    assert "ab" in terminal.expect("facetmine> ")


# facetmine inspect


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_command(inspect, *arguments) == 0
    return capsys.readouterr().out


def test_inspect(out: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = inspected(capsys, out, "--triplets", "60")
    for pattern in (
        r"schema version +1\n",
        r"seed +7\n",
        r"toy +jsonl +2\.0 kB +toy\.jsonl",
        r"read +5 +3 +1 duplicate +0\.5\s",
        r"1 empty_caption",
        r"mine +6 +60 +0\.0\s",
        r"\nmine: one hot subject\n",
        r"facts +2 +6 ",
        r"rejects +0 +0 +0 bytes",
        r"dog +60 +4 +2\n",
        r"red +change_attribute +60 +1\n",
        r"change_attribute +train +59\n",
        r"reference +a \[bold\]blue\[/bold\] dog sits on a sofa\n",
        r"target +a red dog sits on grass\n",
        r"text distractor +a red car's door\n",
        r"image distractor +\(none\)\n",
    ):
        assert re.search(pattern, text), pattern
    assert "Warning" not in text


def test_inspect_samples(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = inspected(capsys, out)
    assert text.count("image distractor") == 5
    assert inspected(capsys, out) == text
    assert inspected(capsys, out, "--seed", "1") != text
    assert "Sample" not in inspected(capsys, out, "--triplets", "0")
    with pytest.raises(SystemExit):
        run_command(inspect, out, "--triplets", "-1")
    assert "must not be negative" in capsys.readouterr().err


def test_inspect_warns_of_damage_and_shows_the_rest(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(out) / "facts" / "part-00000.parquet").unlink()
    with (Path(out) / "triplets" / "part-00000.parquet").open("ab") as stream:
        stream.write(b"more")
    text = inspected(capsys, out)
    assert "Warning: 2 files are not as the manifest says" in text
    assert "facts/part-00000.parquet: missing" in text
    assert re.search(r"triplets/part-00000.parquet: [\d,]+ bytes, the manifest says", text)
    assert re.search(r"dog +0 +1 +1\n", text)
    assert "Sample" not in text


def test_inspect_of_a_dataset_that_has_only_been_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_dataset(tmp_path)
    replace(manifest, stages={"read": manifest.stages["read"]}).write(str(tmp_path))
    text = inspected(capsys, str(tmp_path))
    assert re.search(r"captions +1 +3 ", text)
    assert "Most frequent" not in text
