"""The triplets of a dataset as numbers: what a loader needs of a million rows in 28 MB that all processes share."""

import functools
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from schemas.manifest import FileEntry, Manifest

ROLES = ("reference", "target", "text_distractor", "image_distractor")
"""The images of a triplet, in the order of all arrays that have an axis of roles."""

COLUMNS = (*ROLES, "condition", "query", "kind")
"""The columns of :attr:`TripletIndex.rows`."""


_FORM = 2
"""Changes when an index made before says something else than one made now."""


class ShardError(Exception):
    """A dataset that cannot be trained on; the message says why and what to do."""


class TripletIndex:
    """The triplets of a dataset as numbers, memory-mapped, so all processes of a machine share one copy.

    ``rows`` is int32 [n, 7]: four images (numbers of ``image_ids``; -1 where a triplet has none), the condition (number
    of ``conditions``), the query (equal where a right answer to one is a right answer to the other: condition and
    subject are the same, and of ``focus_attribute``, whose condition is an axis, the value too), the kind (number of
    ``kinds``). The order is that of the files and their rows. It pickles as the path of its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return TripletIndex, (self.folder,)

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """int32 [n, 7], columns as in :data:`COLUMNS`."""
        return np.load(self.folder / "rows.npy", mmap_mode="r").view(np.ndarray)

    @functools.cached_property
    def image_ids(self) -> pa.StringArray:
        """The distinct images of all roles."""
        return _read_strings(self.folder / "images.arrow")

    @functools.cached_property
    def conditions(self) -> list[str]:
        """The distinct conditions."""
        return _read_strings(self.folder / "conditions.arrow").to_pylist()

    @functools.cached_property
    def kinds(self) -> list[str]:
        """The kinds of triplets."""
        return _read_strings(self.folder / "kinds.arrow").to_pylist()

    @property
    def fingerprint(self) -> str:
        """Stands for the files and the filter that the index was made from."""
        return self.folder.name.rpartition("-")[2]


def open_index(out: str, cache: Path, *, kinds: Sequence[str] | None = None, split: str | None = None) -> TripletIndex:
    """The index of the triplets of the dataset at ``out``, made once and kept in ``cache``.

    Args:
        out: output folder of `facetmine run`, or a URL that fsspec knows; only files of its manifest are read.
        cache: folder for the index.
        kinds: only these kinds of triplets.
        split: only 'train' or only 'val'.

    Raises:
        ManifestError: there is no finished dataset.
        ShardError: it has no such triplets, or a file is damaged.
    """
    manifest = Manifest.read(out)
    files = manifest.files("triplets")
    if not files:
        raise ShardError(f"{out} has no triplets. Mine them: facetmine mine --output {out}")
    wanted = json.dumps([_FORM, [file.sha256 for file in files], sorted(kinds) if kinds else None, split])
    fingerprint = hashlib.blake2b(wanted.encode(), digest_size=8).hexdigest()
    folder = cache / f"triplets-{fingerprint}"
    write_once(folder, lambda temporary: _compile(out, files, kinds, split, temporary))
    return TripletIndex(folder)


def write_once(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have a folder filled under another name and take its name; nothing is done where it is there already.

    Several processes may do so at once; they do the same work, and one of them wins.
    """
    if folder.exists():
        return
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir(parents=True)
    try:
        fill(temporary)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_tables(out: str, files: Sequence[FileEntry], columns: Sequence[str], **options: Any) -> Iterator[pa.Table]:
    """Those columns of the files that a manifest names, a table a file.

    Args:
        options: of ``pyarrow.parquet.read_table``.

    Raises:
        ShardError: a file is missing or damaged.
    """
    filesystem, root = url_to_fs(out)
    for file in files:
        try:
            with filesystem.open(f"{root}/{file.path}") as stream:
                table = pq.read_table(stream, columns=list(columns), **options)
        except (OSError, pa.ArrowException, KeyError) as error:
            raise ShardError(f"{out}/{file.path} cannot be read: {error}. The manifest names it; run again.") from None
        if len(table) != file.rows:
            raise ShardError(f"{out}/{file.path} has {len(table):,} rows, the manifest says {file.rows:,}. Run again.")
        yield table


def write_strings(path: Path, strings: pa.StringArray) -> None:
    """Write strings so that :func:`open_index` and the like can map them into memory."""
    table = pa.table({"string": strings})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read_strings(path: Path) -> pa.StringArray:
    with pa.memory_map(str(path)) as source:
        column = pa.ipc.open_file(source).read_all()["string"]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _compile(
    out: str, files: Sequence[FileEntry], kinds: Sequence[str] | None, split: str | None, folder: Path
) -> None:
    ids = [f"{role}_id" for role in ROLES]
    coded = [*ids, "condition", "subject", "kind", "target_attribute"]
    tables, seen = [], []
    for table in read_tables(out, files, [*coded, "split"], read_dictionary=[*coded, "split"]):
        keep = pa.scalar(True)
        if kinds is not None:
            keep = pc.and_(keep, pc.is_in(table["kind"], pa.array(kinds)))
        if split is not None:
            keep = pc.and_(keep, pc.equal(table["split"].cast(pa.string()), split))
        seen.append(table.group_by(["kind", "split"]).aggregate([([], "count_all")]))
        tables.append(table if isinstance(keep, pa.Scalar) else table.filter(keep))
    table = pa.concat_tables(tables)
    if not len(table):
        raise ShardError(_nothing_left(out, seen, kinds, split))

    # One dictionary for the four columns: an image has one number, whatever its role.
    images = pa.chunked_array([chunk for name in ids for chunk in table[name].chunks], table[ids[0]].type)
    image_numbers, image_ids = _numbered(images)
    conditions, condition_texts = _numbered(table["condition"])
    subjects, _ = _numbered(table["subject"])
    kind_numbers, kind_names = _numbered(table["kind"])
    values, _ = _numbered(table["target_attribute"])
    of_axis = np.isin(kind_numbers, [n for n, name in enumerate(kind_names.to_pylist()) if name == "focus_attribute"])
    asked = np.stack([conditions, subjects, np.where(of_axis, values, -1)])
    queries = np.unique(asked, axis=1, return_inverse=True)[1].ravel()
    columns = [*image_numbers.reshape(len(ROLES), -1), conditions, queries, kind_numbers]
    np.save(folder / "rows.npy", np.stack(columns, axis=1).astype(np.int32))
    for name, strings in (("images", image_ids), ("conditions", condition_texts), ("kinds", kind_names)):
        write_strings(folder / f"{name}.arrow", strings)


def _numbered(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.StringArray]:
    """The distinct strings of a dictionary column, and each row's number among them, -1 for null."""
    column = column.unify_dictionaries()
    values = column.chunk(0).dictionary
    numbers = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in column.chunks])
    # A filter leaves strings in the dictionary that no row has; they are no images to encode.
    used = np.zeros(len(values), bool)
    used[numbers[numbers >= 0]] = True
    renumbered = np.append(np.cumsum(used) - 1, -1)
    return renumbered[numbers], values.filter(pa.array(used)).cast(pa.string())


def _nothing_left(out: str, seen: list[pa.Table], kinds: Sequence[str] | None, split: str | None) -> str:
    counts: dict[tuple[str, str], int] = {}
    for table in seen:
        for row in table.to_pylist():
            key = row["kind"], row["split"]
            counts[key] = counts.get(key, 0) + row["count_all"]
    has = ", ".join(f"{count:,} {kind} ({part})" for (kind, part), count in sorted(counts.items())) or "none at all"
    asked = " ".join(
        filter(None, [f"of kind {' or '.join(kinds)}" if kinds else "", f"in split {split}" * bool(split)])
    )
    return f"{out} has no triplets {asked}; it has {has}."
