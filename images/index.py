"""The index: for every image id the file and the place in it, in one Arrow file that processes map and share."""

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import Progress

from .sources import Entry, Refusal, Source, entries

VERSION = 1
REFUSALS = pa.schema([(name, pa.string()) for name in ("image_id", "path", "where", "reason", "detail")])
_LOG = logging.getLogger("facetmine.images")


@dataclass(frozen=True)
class Index:
    """Every image of some sources, in their order. The columns lie in a mapped file, so processes share the memory.

    Attributes:
        sources: the files.
        ids: string array of shape (n,), each id once; the first image of an id counts.
        source: int32 (n,), position in ``sources``.
        offset: int64 (n,), see ``sources.Entry``.
        length: int64 (n,), bytes; 0 where that is not known.
        name: string array (n,), path below the folder for images of folders.
        hashes: uint64 (n,), hashes of all ids, ascending.
        rows: int64 (n,), the row of each of ``hashes``.
        duplicates: images left out because an earlier one has their id.
    """

    sources: list[Source]
    ids: pa.Array
    source: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    name: pa.Array
    hashes: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]
    duplicates: int

    def find(self, image_id: str) -> int | None:
        """The row of an image."""
        try:
            wanted = _hash(image_id)
        except UnicodeEncodeError:
            return None
        place = int(np.searchsorted(self.hashes, wanted))
        while place < len(self.hashes) and self.hashes[place] == wanted:
            row = int(self.rows[place])
            if self.ids[row].as_py() == image_id:
                return row
            place += 1
        return None


def build(sources: Sequence[Source], path: Path) -> None:
    """Writes the index of the sources to ``path``, and beside it what could not be had (``refusals_path``).

    Raises:
        OSError: the files cannot be written.
    """
    columns: dict[str, list[pa.Array]] = {name: [] for name in ("image_id", "source", "offset", "length", "name")}
    hashes: list[npt.NDArray[np.uint64]] = []
    refusals: list[dict[str, str | None]] = []
    for number, found in _walked(sources):
        kept = [entry for entry in found if isinstance(entry, Entry)]
        columns["image_id"].append(pa.array([entry.image_id for entry in kept], pa.large_string()))
        columns["source"].append(pa.array(np.full(len(kept), number, np.int32)))
        columns["offset"].append(pa.array([entry.offset for entry in kept], pa.int64()))
        columns["length"].append(pa.array([entry.length for entry in kept], pa.int64()))
        columns["name"].append(pa.array([entry.name for entry in kept], pa.large_string()))
        hashes.append(np.array([_hash(entry.image_id) for entry in kept], np.uint64))
        refusals += [{**asdict(one), "path": sources[number].path} for one in found if isinstance(one, Refusal)]
    table = pa.table({name: pa.chunked_array(chunks) for name, chunks in columns.items()})
    hash_of = np.concatenate(hashes)
    first = _first_of_each(hash_of, table["image_id"])
    duplicates = table.num_rows - len(first)
    if duplicates:
        table, hash_of = table.take(pa.array(first)), hash_of[first]
    order = np.argsort(hash_of, kind="stable")
    table = table.append_column("hash", pa.array(hash_of[order])).append_column("row", pa.array(order))
    told = {"version": VERSION, "sources": [asdict(source) for source in sources], "duplicates": duplicates}
    table = table.replace_schema_metadata({"facetmine.images": json.dumps(told)}).combine_chunks()
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(refusals_path(path), lambda name: pq.write_table(pa.Table.from_pylist(refusals, REFUSALS), name))
    _replace(path, lambda name: _write(table, name))
    _LOG.info("%s images of %s files indexed, %s refused", f"{table.num_rows:,}", f"{len(sources):,}", len(refusals))


def load(path: Path) -> Index:
    """The index at ``path``, mapped.

    Raises:
        ValueError: it is no such index, or one of another version.
        OSError: it cannot be read.
    """
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    told = json.loads((table.schema.metadata or {}).get(b"facetmine.images", b"{}"))
    if told.get("version") != VERSION:
        raise ValueError(f"{path} is no index of images of this version")

    def column(name: str) -> pa.Array:
        chunks = table[name].chunks
        return chunks[0] if len(chunks) == 1 else table[name].combine_chunks()

    numbers = {name: column(name).to_numpy() for name in ("source", "offset", "length", "hash", "row")}
    return Index(
        [Source(**source) for source in told["sources"]], column("image_id"), numbers["source"], numbers["offset"],
        numbers["length"], column("name"), numbers["hash"], numbers["row"], told["duplicates"],
    )  # fmt: skip


def refusals_path(path: Path) -> Path:
    """Where the images that could not be had are listed, a Parquet file of schema ``REFUSALS``."""
    return path.with_name(f"{path.name}.refused.parquet")


def _walked(sources: Sequence[Source]) -> Iterator[tuple[int, list[Entry | Refusal]]]:
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("indexing images", total=len(sources))
        for number, source in enumerate(sources):
            yield number, list(entries(source))
            progress.advance(task)


def _hash(image_id: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(image_id.encode(), digest_size=8).digest(), "little"))


def _first_of_each(hashes: npt.NDArray[np.uint64], ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Rows of the first image of every id, ascending."""
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    dropped = set()
    seen: dict[int, set[str]] = {}
    for place in same.tolist():
        for row in (int(order[place]), int(order[place + 1])):
            known = seen.setdefault(int(hashes[row]), set())
            image_id = ids[row].as_py()
            if row not in dropped and image_id in known and place + 1 < len(order) and row == order[place + 1]:
                dropped.add(row)
            known.add(image_id)
    return np.setdiff1d(np.arange(len(hashes)), np.array(sorted(dropped), np.int64), assume_unique=True)


def _write(table: pa.Table, name: str) -> None:
    with pa.OSFile(name, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _replace(path: Path, write) -> None:  # type: ignore[no-untyped-def]
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        write(name)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
