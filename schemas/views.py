"""The output dataset as a DuckDB database: a view for every table, and the views and macros of ``views.sql``."""

import glob
from importlib.resources import files

import duckdb
import pyarrow as pa

from schemas import places
from schemas.manifest import Manifest, ManifestError
from schemas.tables import TABLES


def connect(out: str, manifest: Manifest | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB over the dataset at ``out``; it reads the Parquet files where they lie, and copies nothing.

    Args:
        out: the dataset, a folder or a URL.
        manifest: the manifest to believe, instead of the one in ``out``.

    Raises:
        ManifestError: there is no manifest that can be read, or the files that it names cannot be.
    """
    manifest = manifest or Manifest.read(out)
    filesystem, _ = places.place(out)
    connection = duckdb.connect()
    if not places.is_local(filesystem):
        connection.register_filesystem(filesystem)
    for table, schema in TABLES.items():
        paths = paths_of(out, manifest, table)
        try:
            connection.execute(f"CREATE VIEW {table} AS {_select(connection, schema, paths)}")
        except duckdb.Error as error:
            connection.close()
            raise ManifestError(
                f"{out}: table {table} cannot be read; `facetmine inspect` tells which files are damaged. {error}"
            ) from None
        _comment_table(connection, table, schema)
    _make_stages(connection, manifest)
    _make_manifest_files(connection, manifest)
    connection.execute((files("schemas") / "views.sql").read_text(encoding="utf-8"))
    _comment_derived_facts(connection)
    return connection


def paths_of(out: str, manifest: Manifest, table: str) -> list[str]:
    """The files of a table in their order, as DuckDB is to be given them."""
    filesystem, root = places.place(out)
    paths = [f"{root}/{file.path}" for file in manifest.files(table)]
    return paths if places.is_local(filesystem) else [filesystem.unstrip_protocol(path) for path in paths]


def reading(paths: list[str]) -> str:
    """The table function that reads these Parquet files, one after the other."""
    # DuckDB takes a path for a pattern, and a folder called `key=value` for a column; here both stand for themselves.
    return f"read_parquet([{', '.join(_quote(glob.escape(path)) for path in paths)}], hive_partitioning = false)"


def _select(connection: duckdb.DuckDBPyConnection, schema: pa.Schema, paths: list[str]) -> str:
    if not paths:
        # DuckDB knows best what it makes of an Arrow type, so an empty table tells it.
        types = connection.from_arrow(_widened(schema).empty_table()).types
        columns = [f'NULL::{type_} AS "{name}"' for name, type_ in zip(schema.names, types, strict=True)]
        return f"SELECT {', '.join(columns)} WHERE false"
    columns = [f'"{name}"' for name in schema.names]
    return f"SELECT {', '.join(columns)} FROM {reading(paths)}"


def _widened(schema: pa.Schema) -> pa.Schema:
    """The schema with half-precision numbers in single, as which DuckDB reads them."""
    halves, floats = pa.list_(pa.float16()), pa.list_(pa.float32())
    return pa.schema([field.with_type(floats) if field.type == halves else field for field in schema])


def _comment_table(connection: duckdb.DuckDBPyConnection, table: str, schema: pa.Schema) -> None:
    connection.execute(f"COMMENT ON VIEW {table} IS {_quote(schema.metadata[b'doc'].decode())}")
    for field in schema:
        doc = field.metadata[b"doc"].decode()
        connection.execute(f'COMMENT ON COLUMN {table}."{field.name}" IS {_quote(doc)}')


def _comment_derived_facts(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the columns that relations and attributes take from facts the words that facts has for them."""
    for view in ("relations", "attributes"):
        for name in connection.view(view).columns:
            doc = (
                TABLES["facts"].field(name).metadata[b"doc"].decode().removeprefix(f"{view.removesuffix('s')} facts: ")
            )
            connection.execute(f'COMMENT ON COLUMN {view}."{name}" IS {_quote(doc)}')


def _make_stages(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    connection.execute("""
        CREATE TABLE stages (
            stage VARCHAR, rows_in BIGINT, rows_out BIGINT, rejected BIGINT, rejects MAP(VARCHAR, BIGINT),
            seconds DOUBLE, notes VARCHAR[]
        );
        COMMENT ON TABLE stages IS 'what each stage did, from the manifest';
        COMMENT ON COLUMN stages.rejected IS 'number of rows that did not go on';
        COMMENT ON COLUMN stages.rejects IS 'the same by reason';
        COMMENT ON COLUMN stages.seconds IS 'wall time';
        COMMENT ON COLUMN stages.notes IS 'what else the stage has to say';
    """)
    for name, stage in manifest.stages.items():
        connection.execute(
            "INSERT INTO stages VALUES (?, ?, ?, ?, map(?::VARCHAR[], ?::BIGINT[]), ?, ?)",
            [
                name,
                stage.rows_in,
                stage.rows_out,
                sum(stage.rejects.values()),
                list(stage.rejects),
                list(stage.rejects.values()),
                stage.seconds,
                stage.notes,
            ],
        )


def _make_manifest_files(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    connection.execute("""
        CREATE TABLE manifest_files (
            stage VARCHAR, table_name VARCHAR, path VARCHAR, rows BIGINT, bytes BIGINT, sha256 VARCHAR
        );
        COMMENT ON TABLE manifest_files IS 'the files of the dataset, from the manifest';
        COMMENT ON COLUMN manifest_files.stage IS 'the stage that wrote it';
        COMMENT ON COLUMN manifest_files.table_name IS 'the table it belongs to';
        COMMENT ON COLUMN manifest_files.path IS 'where it is, relative to the dataset';
    """)
    rows = [
        [name, file.path.partition("/")[0], file.path, file.rows, file.bytes, file.sha256]
        for name, stage in manifest.stages.items()
        for file in stage.files
    ]
    if rows:
        connection.executemany("INSERT INTO manifest_files VALUES (?, ?, ?, ?, ?, ?)", rows)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
