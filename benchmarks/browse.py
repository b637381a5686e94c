"""How quickly `facetmine browse` answers on a million triplets: `python -m benchmarks.browse [DATASET]`.

The triplets are those of a real run again and again, each time under new ids and with a word more in its captions, so
that a caption occurs as often as in the real run. Times are from request to answer over HTTP, each request another one;
the wanted median is a second. Processor time is told beside, for machines that are busy with something else.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.process import captions, facetmine, measure
from schemas.manifest import FileEntry, Manifest
from schemas.views import paths_of, reading
from viewer.judgements import Sitting
from viewer.queries import Catalogue
from viewer.server import Server, Viewed

WANTED = 1.0
ROWS_PER_FILE = 1 << 15

WORDS = ("man", "red", "dress", "beach", "horse", "umbrella", "bicycle", "kitchen", "snow", "guitar", '"in the"',
         "zebra", "red car", "woman hat", '"black dog"', "xylophone", "qqq", "soccer player", "lighthouse",
         "wooden table")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the dataset, ask, print a table; 1 where a median is above the wanted figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", help="of a run that has been; without, one is made of real captions")
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = given.dataset
        if dataset is None:
            dataset = str(folder / "real")
            measure(facetmine("run", "--input", *captions(folder / "captions"), "--output", dataset))
        replicate(dataset, folder / "many", given.rows)
        began = time.monotonic()
        catalogue = Catalogue(str(folder / "many"), Manifest.read(str(folder / "many")))
        seconds = time.monotonic() - began
        print(f"{catalogue.rows:,} triplets opened in {seconds:.2f} s")
        print(f"{'seconds':<24}{'median':>8}{'slowest':>9}{'processor':>11}   n")
        began = time.monotonic()
        catalogue.index_texts()
        print(f"texts indexed in {time.monotonic() - began:.2f} s, which the page does not wait for")
        server = Server(Viewed(str(folder / "many"), catalogue, None, Sitting(str(folder), "nobody", 0), 50))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        slow = _ask_all(server.address)
        server.shutdown()
        server.server_close()
        catalogue.close()
    return int(slow)


def replicate(dataset: str, out: Path, rows: int) -> None:
    """Write a dataset of that many triplets, made of another's, with no other table."""
    manifest = Manifest.read(dataset)
    (out / "triplets").mkdir(parents=True)
    replaced = [f"{role}_id || '-' || copy AS {role}_id, {role}_caption || ' no ' || copy AS {role}_caption"
                for role in ("reference", "target", "text_distractor", "image_distractor")]  # fmt: skip
    files: list[FileEntry] = []
    with duckdb.connect() as connection:
        source = reading(paths_of(dataset, manifest, "triplets"))
        connection.execute(f"CREATE TABLE real AS SELECT *, row_number() OVER () - 1 AS place FROM {source}")
        (size,) = connection.execute("SELECT count(*) FROM real").fetchone() or (0,)
        for start in range(0, rows, ROWS_PER_FILE):
            stop = min(start + ROWS_PER_FILE, rows)
            path = f"triplets/part-{len(files):05}.parquet"
            connection.execute(f"""
                COPY (
                    SELECT * EXCLUDE (place, number, copy)
                        REPLACE (md5(number::VARCHAR) AS triplet_id, {", ".join(replaced)})
                    FROM (SELECT range AS number, range % {size} AS place, range // {size} AS copy
                          FROM range({start}, {stop})) JOIN real USING (place)
                    ORDER BY triplet_id
                ) TO '{out / path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
            """)
            files.append(FileEntry(path, stop - start, (out / path).stat().st_size, ""))
    stages = {name: replace(stage, files=files if name == "write" else []) for name, stage in manifest.stages.items()}
    replace(manifest, stages=stages).write(str(out))


def _ask_all(address: str) -> bool:
    about = _ask(address, "about")
    subjects = [name for name, _ in _ask(address, "names", column="subject")][:10]
    conditions = [name for name, _ in _ask(address, "names", column="condition")][:10]
    asked: dict[str, list[dict[str, Any]]] = {
        "first page": [{"number": number} for number in range(20, 30)],
        "page in the middle": [{"first": about["rows"] // 2 + 24 * number} for number in range(10)],
        "kind": [{"kind": kind} for kind in about["kinds"]],
        "subject": [{"subject": name} for name in subjects],
        "condition": [{"condition": name} for name in conditions],
        "measures": [{"least_concreteness": 4 + step / 10, "most_prior": 0.2} for step in range(8)],
        "full text": [{"text": text} for text in WORDS],
        "full text, second page": [{"text": text, "first": 24} for text in WORDS[:10]],
        "full text and kind": [{"text": text, "kind": "relation"} for text in WORDS],
        "random sample": [{"seed": seed} for seed in range(1, 11)],
    }
    slow = False
    for what, queries in asked.items():
        seconds, busy = [], []
        for query in queries:
            began, used = time.monotonic(), time.process_time()
            _ask(address, "triplets", **query)
            seconds.append(time.monotonic() - began)
            busy.append(time.process_time() - used)
        median = statistics.median(seconds)
        slow |= median > WANTED
        print(f"{what:<24}{median:8.3f}{max(seconds):9.3f}{statistics.median(busy):11.3f}{len(seconds):4}", flush=True)
    began = time.monotonic()
    _ask(address, "sample")
    print(f"{'sample to judge':<24}{time.monotonic() - began:8.3f}")
    return slow


def _ask(address: str, path: str, **query: Any) -> Any:
    with urllib.request.urlopen(f"{address}api/{path}?{urllib.parse.urlencode(query)}") as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
