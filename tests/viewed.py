"""Datasets of triplets that are written down row by row, for tests of what shows them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.store import Store
from schemas import TRIPLETS
from schemas.manifest import Manifest, Stage
from viewer.judgements import Sitting
from viewer.pictures import Pictures
from viewer.queries import Catalogue
from viewer.server import Server, Viewed

ROLES = ("reference", "target", "text_distractor", "image_distractor")


def triplet(number: int, **columns: Any) -> dict[str, Any]:
    """A row of the triplets table: a dog that is brown in the target, and what the columns say instead."""
    row = {
        "triplet_id": f"{number:032x}", "kind": "change_attribute", "condition": "brown", "subject": "dog",
        "axis": "color", "split": "train", "reference_attribute": "black", "target_attribute": "brown",
        "text_distractor_subject": "horse", "image_distractor_attribute": "white", "contradiction": "exclusive value",
        "reference_caption": "a black dog on a beach", "target_caption": "two brown dogs in snow",
        "text_distractor_caption": "a brown horse", "image_distractor_caption": "a white dog asleep",
    }  # fmt: skip
    for role in ROLES:
        row[f"{role}_id"] = f"{role}-{number}"
        row[f"{role}_source"] = "made up"
    return row | columns


def write_dataset(folder: Path, rows: Sequence[dict[str, Any]], files: int = 1) -> Path:
    """A dataset that holds these triplets and no facts, in some files."""
    store = Store(str(folder))
    written = []
    for number in range(files):
        own = [{name: row.get(name) for name in TRIPLETS.names} for row in rows[number::files]]
        table = pa.Table.from_pylist(own, schema=TRIPLETS)
        written.append(store.write_table(f"triplets/part-{number:05}.parquet", table, TRIPLETS))
    stage = Stage(fingerprint="none", rows_in=len(rows), rows_out=len(rows), files=written)
    Manifest(facetmine_version="0", configuration={}, seed=0, stages={"write": stage}).write(str(folder))
    return folder


@contextmanager
def served(out: Path, images: Sequence[Path] = (), of_each: int = 50, judge: str = "ann") -> Iterator[Server]:
    """The page's server over a dataset, running."""
    catalogue = Catalogue(str(out), Manifest.read(str(out)))
    pictures = Pictures([str(path) for path in images]) if images else None
    server = Server(Viewed(str(out), catalogue, pictures, Sitting(str(out), judge, 0), of_each))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        catalogue.close()
        thread.join()
