"""``facetmine fetch``: the images of a caption list with URLs, as WebDataset shards.

Whatever is in a shard is done; a run downloads what is in the list and in no shard. So a second run retries what
failed, one after Ctrl-C goes on, and a list that has grown costs its new URLs only.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from images.web import Rules
from pipeline.query import quiet_broken_pipe
from pipeline.readers import FORMATS, InputError, parse_input, plan, read

if TYPE_CHECKING:
    from images.shards import Fetcher

_LIST = pa.schema([("url", pa.string()), ("caption", pa.string()), ("n", pa.int64())])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine fetch``."""
    group = parser.add_argument_group("input and output")
    group.add_argument(
        "-i", "--input", nargs="+", action="extend", required=True, metavar="[NAME=]PATH",
        help="caption files with URLs, folders or globs, in the formats that stage read knows",
    )  # fmt: skip
    group.add_argument("--input-format", choices=sorted(FORMATS), metavar="FORMAT", help="what the inputs are")
    group.add_argument(
        "-o", "--output", "--out", required=True, metavar="OUT",
        help="folder of the shards (OUT/shards) and of what failed (OUT/failures)",
    )  # fmt: skip
    group = parser.add_argument_group("images")
    group.add_argument(
        "--size", type=_positive(int), metavar="PIXELS",
        help="scale larger images down until the shorter side has so many pixels (default: keep images as they are)",
    )  # fmt: skip
    group.add_argument(
        "--max-bytes", type=_positive(int), default=20 << 20, metavar="N", help="of an image (default %(default)s)"
    )
    group.add_argument(
        "--images-per-shard", type=_positive(int), default=10_000, metavar="N", help="most (default %(default)s)"
    )
    group = parser.add_argument_group("network")
    group.add_argument(
        "--timeout", type=_positive(float), default=20.0, metavar="SECONDS",
        help="for an image with all its redirects (default %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--retries", type=_positive(int, 0), default=1, metavar="N",
        help="how often to try again at once what may be gone a moment later (default %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--processes", type=_positive(int), default=min(os.cpu_count() or 1, 16), metavar="N",
        help="shards at a time (default %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--threads", type=_positive(int), default=32, metavar="N", help="downloads at a time, a process (default 32)"
    )
    group.add_argument(
        "--allow-private", action="store_true",
        help="also connect to addresses in private, loopback, link-local and reserved networks",
    )  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Run ``facetmine fetch``; returns the exit status.

    Raises:
        InputError: the input cannot be read, or names no URL, or the extra ``images`` is not installed.
        OSError: the output cannot be written.
    """
    try:
        from images.shards import Fetcher
    except ImportError as error:
        raise InputError(f"fetch needs the images extra ({error}): pip install 'facetmine[images]'") from None
    folders = _Folders(Path(given.output))
    folders.make()
    folders.drop_unfinished()
    for left in folders.work.iterdir():
        left.unlink()
    rules = Rules(given.timeout, given.max_bytes, given.retries, given.allow_private)
    fetcher = Fetcher(
        str(folders.shards), str(folders.failures), rules, given.threads, given.images_per_shard, given.size
    )
    with duckdb.connect(config={"temp_directory": str(folders.work)}) as database:
        rows, rejected = _read_list(given, folders, database)
        urls = _count(database, "wanted")
        before = urls - _count(database, "wanted ANTI JOIN done USING (url)")
        lists = list(_lists(database, folders, given.images_per_shard))
        interrupted = _download(fetcher, lists, given.processes, urls - before)
        summary = _summarise(database, folders, rows, rejected, before)
    if interrupted is not None:
        raise interrupted
    with quiet_broken_pipe():
        _show(summary, folders)
    return 0 if summary["images"] else 1


@dataclass(frozen=True)
class _Folders:
    out: Path

    @property
    def shards(self) -> Path:
        return self.out / "shards"

    @property
    def failures(self) -> Path:
        return self.out / "failures"

    @property
    def work(self) -> Path:
        return self.out / "_work"

    @property
    def rejected(self) -> Path:
        return self.work / "rejected.parquet"

    def make(self) -> None:
        for folder in (self.shards, self.failures, self.work):
            folder.mkdir(parents=True, exist_ok=True)

    def drop_unfinished(self) -> None:
        """Removes what a broken-off run has left: shards without statistics, which img2dataset writes last."""
        for tar in self.shards.glob("*.tar"):
            if not tar.with_name(f"{tar.stem}_stats.json").exists():
                self.drop(tar.stem)
                (self.failures / f"{tar.stem}.parquet").unlink(missing_ok=True)

    def drop(self, shard: str) -> None:
        for name in (f"{shard}.tar", f"{shard}.parquet", f"{shard}_stats.json"):
            (self.shards / name).unlink(missing_ok=True)

    def next_shard(self) -> int:
        known = [path.stem for folder in (self.shards, self.failures) for path in folder.iterdir()]
        return 1 + max((int(name) for name in known if name.isdecimal()), default=-1)


def _read_list(given: argparse.Namespace, folders: _Folders, database: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Rows of the input and how many of them name no image; makes the tables wanted, done and failed."""
    splits, _, rejects = plan([parse_input(argument) for argument in given.input], given.input_format)
    listed = folders.work / "list.parquet"
    rows = 0
    refusals = [{"position": one.position, "caption": one.caption, "reason": one.reason, "detail": one.detail}
            for one in rejects]  # fmt: skip
    lost = len(refusals)
    schema = pa.schema([(name, pa.string()) for name in ("position", "caption", "reason", "detail")])
    with pq.ParquetWriter(listed, _LIST) as good, pq.ParquetWriter(folders.rejected, schema) as bad:
        bad.write_table(pa.Table.from_pylist(refusals, schema))
        for split in splits:
            for captions, refused in read(split):
                numbers = pa.array(range(rows, rows + captions.num_rows), pa.int64())
                good.write_table(pa.table([captions["url"], captions["caption"], numbers], schema=_LIST))
                bad.write_table(refused.select(schema.names).cast(schema))
                rows += captions.num_rows
                lost += refused.num_rows
    database.execute(f"CREATE VIEW list AS SELECT * FROM read_parquet({_quoted(listed)})")
    database.execute(
        "CREATE TABLE wanted AS SELECT url, list(caption ORDER BY n) AS caption, min(n) AS n FROM "
        "(SELECT url, caption, min(n) AS n FROM list WHERE url IS NOT NULL GROUP BY url, caption) GROUP BY url"
    )
    if not _count(database, "wanted"):
        raise InputError(f"the input has no row with a caption and a URL ({rows:,} rows without URL); nothing to fetch")
    stored = sorted(folders.shards.glob("*.parquet"))
    database.execute(f"CREATE TABLE done AS {_select('DISTINCT url', stored, 'NULL::VARCHAR AS url')}")
    return rows + lost, lost


def _lists(database: duckdb.DuckDBPyConnection, folders: _Folders, most: int) -> Iterator[tuple[int, str]]:
    """Number and list of each shard that is to be downloaded, in the order of the input."""
    from images.shards import LIST

    number = folders.next_shard()
    query = "SELECT url, caption FROM wanted ANTI JOIN done USING (url) ORDER BY n"
    waiting = LIST.empty_table()
    batches = pa.RecordBatchReader.from_stream(database.sql(query))
    for batch in itertools.chain(batches, [None]):
        if batch is not None:
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(LIST)])
        while waiting.num_rows >= most or (batch is None and waiting.num_rows):
            path = folders.work / f"{number}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, LIST) as writer:
                writer.write_table(waiting.slice(0, most))
            yield number, str(path)
            number += 1
            waiting = waiting.slice(most)


def _download(fetcher: "Fetcher", lists: list[tuple[int, str]], processes: int, images: int) -> BaseException | None:
    """Downloads the shards; returns the error or the interruption by which it ended early."""
    if not lists:
        return None
    ours = set(multiprocessing.active_children())
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pool = ProcessPoolExecutor(
        min(processes, len(lists)), multiprocessing.get_context("spawn"), _end_on_interrupt, max_tasks_per_child=5
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"fetching {images:,} images, shards", total=len(lists))
        try:
            futures: list[Future[None]] = [pool.submit(fetcher.__call__, number, listed) for number, listed in lists]
            for finished in as_completed(futures):
                finished.result()
                progress.advance(task)
        except BrokenProcessPool:
            return OSError("a download process was killed, perhaps for want of memory; run the same command to go on")
        except (KeyboardInterrupt, Exception) as error:
            return error
        finally:
            for process in set(multiprocessing.active_children()) - ours:
                process.terminate()
            pool.shutdown(cancel_futures=True)
    return None


def _end_on_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _summarise(
    database: duckdb.DuckDBPyConnection, folders: _Folders, rows: int, rejected: int, before: int
) -> dict[str, Any]:
    """Gathers what failed in one table, drops shards that hold nothing, and writes the summary, fetch.json."""
    from images.shards import FAILURES

    folders.drop_unfinished()
    stored = []
    for path in sorted(folders.shards.glob("*.parquet")):
        if pq.read_metadata(path).num_rows:
            stored.append(path)
        else:
            folders.drop(path.stem)
    failed = sorted(folders.failures.glob("*.parquet"))
    database.execute(f"CREATE OR REPLACE TABLE done AS {_select('DISTINCT url', stored, 'NULL::VARCHAR AS url')}")
    types = {"caption": "VARCHAR[]", "attempts": "INT"}
    empty = ", ".join(f"NULL::{types.get(name, 'VARCHAR')} AS {name}" for name in FAILURES.names)
    database.execute(f"CREATE TABLE attempts AS {_select(', '.join(FAILURES.names), failed, empty)}")
    # The newest attempt has the highest key. The part of the list that names no image is told of with the rest.
    table = database.sql(
        """
        SELECT url, wanted.caption, key, coalesce(status, 'not_attempted') AS status,
            coalesce(error_message, 'not_attempted: the run ended before it') AS error_message,
            coalesce(reason, 'not_attempted') AS reason, coalesce(detail, 'the run ended before it') AS detail,
            coalesce(attempts, 0)::INT AS attempts
        FROM wanted ANTI JOIN done USING (url) LEFT JOIN (
            SELECT url, arg_max(key, key) AS key, arg_max(status, key) AS status,
                arg_max(error_message, key) AS error_message, arg_max(reason, key) AS reason,
                arg_max(detail, key) AS detail, sum(attempts) AS attempts
            FROM attempts WHERE url IS NOT NULL GROUP BY url
        ) AS tried USING (url) ORDER BY wanted.n
        """
    ).to_arrow_table()
    unnamed = database.sql(
        f"""
        SELECT NULL::VARCHAR AS url, [caption] AS caption, position AS key, 'not_read' AS status,
            reason || ': ' || detail AS error_message, reason, detail, 0 AS attempts
        FROM read_parquet({_quoted(folders.rejected)})
        UNION ALL SELECT NULL, [caption], NULL, 'not_read', 'no_url: the row has no URL', 'no_url',
            'the row has no URL', 0 FROM list WHERE url IS NULL
        """
    ).to_arrow_table()
    table = pa.concat_tables([table.cast(FAILURES), unnamed.cast(FAILURES)])
    new = folders.work / "failures.parquet"
    pq.write_table(table, new)
    new.replace(folders.failures / "failures.parquet")
    for path in failed:
        if path.stem.isdecimal():
            path.unlink()
    reasons = Counter(table["reason"].to_pylist())
    images = _count(database, "wanted SEMI JOIN done USING (url)")
    summary = {
        "rows": rows, "urls": _count(database, "wanted"), "images": images, "images_before": before,
        "failed": table.num_rows, "reasons": dict(reasons.most_common()), "rows_rejected": rejected,
    }  # fmt: skip
    written = folders.work / "fetch.json"
    written.write_text(json.dumps(summary, indent=2) + "\n")
    written.replace(folders.out / "fetch.json")
    for left in folders.work.iterdir():
        left.unlink()
    return summary


def _show(summary: dict[str, Any], folders: _Folders) -> None:
    console = Console()
    fresh = summary["images"] - summary["images_before"]
    console.print(
        f"{summary['rows']:,} rows, {summary['urls']:,} URLs: {summary['images']:,} images "
        f"({fresh:,} new), {summary['failed']:,} failures", highlight=False,
    )  # fmt: skip
    if summary["reasons"]:
        table = Table("reason", "rows", header_style="bold", pad_edge=False)
        for reason, count in summary["reasons"].items():
            table.add_row(reason, f"{count:,}")
        console.print(table)
        console.print(f"why each failed: {folders.failures / 'failures.parquet'}", soft_wrap=True, highlight=False)
        console.print("run the same command again to try the failures once more", highlight=False)
    console.print(f"facetmine run --input {folders.shards} --output OUT", soft_wrap=True, highlight=False)


def _select(columns: str, paths: list[Path], empty: str) -> str:
    """A query over Parquet files, of which there may be none."""
    if not paths:
        return f"SELECT {empty} WHERE false"
    return f"SELECT {columns} FROM read_parquet([{', '.join(map(_quoted, paths))}])"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _count(database: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


def _positive(kind: type, least: float | None = None) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if number < least if least is not None else not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is too small" if number <= 0 else f"{text} is too large")
        return number

    return parse
