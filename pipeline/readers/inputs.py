"""What the user names: files, folders and patterns; which files those are, their formats, and how to split them."""

import contextlib
import datetime
import glob
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from schemas import places
from schemas.image_ids import find_names

from . import columnar, text
from .files import FileInfo, Split, StreamError, blocks_of_start
from .rows import Reject, missing_columns

FORMATS = {
    "cc": "lines of caption<TAB>url, as Conceptual Captions has them",
    "flickr": "lines of image.jpg#number<TAB>caption, as Flickr8k and Flickr30k have them",
    "coco": "a COCO captions JSON document",
    "jsonl": "one JSON object a line",
    "csv": "CSV with a header; columns separated by comma, semicolon or tab",
    "parquet": "Parquet with columns for caption and image",
    "img2dataset": "the Parquet metadata that img2dataset writes",
    "webdataset": "a tar of samples as WebDataset has them",
}
"""Every input format with what it is."""

_TEXT_FORMATS = ("cc", "flickr", "coco", "jsonl", "csv")
_TEXT_SUFFIXES = (".tsv", ".txt", ".csv", ".json", ".jsonl", ".ndjson")
_SUFFIXES = (*_TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in _TEXT_SUFFIXES), ".parquet", ".tar")
_SNIFF_BYTES = 64 << 10
_SNIFF_LINES = 200
_NAME = re.compile(r"([A-Za-z0-9_.-]+)=(.*)", re.DOTALL)
_FLICKR_LINE = re.compile(r"[^\t]+?#\d+\s+\S|\S+#\d+\s+\S")
_URL = re.compile(r"\s*(?:https?|ftp|s3|gs|gcs|data|file):", re.IGNORECASE)
_TEXT_CONTROLS = b"\t\n\v\f\r\x1b"
_CONTROLS = bytes(code for code in [*range(32), 127] if code not in _TEXT_CONTROLS)
_CHECKSUMS = ("ETag", "etag", "md5Hash", "content_md5", "generation")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


class InputError(ValueError):
    """What the user named cannot be read at all; the message says what, where, and what to do."""


@dataclass(frozen=True)
class Input:
    """One input as the user named it.

    Attributes:
        pattern: file, folder or glob pattern; a local path or a URL that fsspec understands.
        source: the name given to it; None where it is to be made of the path.
    """

    pattern: str
    source: str | None = None


def parse_input(argument: str) -> Input:
    """The input that an argument ``name=PATTERN`` or ``PATTERN`` names.

    A name has letters, digits, ``_``, ``.`` and ``-``, so the ``=`` of ``s3://bucket/a?version=2`` or ``C:\\a=b`` ends
    none; neither does that of a path that exists.

    Raises:
        InputError: the argument, or what follows the name, is empty.
    """
    named = _NAME.fullmatch(argument)
    source, pattern = (named[1], named[2]) if named and not _exists(argument) else (None, argument)
    if not pattern.strip():
        raise InputError(f"input {argument!r} names no file; give a file, folder or pattern, or NAME=one of these")
    return Input(pattern, source)


def plan(
    inputs: Sequence[Input], input_format: str | None = None, split_bytes: int = 32 << 20
) -> tuple[list[Split], list[FileInfo], list[Reject]]:
    """What to read: every file that the inputs name, once, its format told from its content, cut into splits.

    Files come in the order of the inputs and by path within one; ``file_index`` numbers them. Files beside good ones
    that cannot be read become rejects.

    Args:
        inputs: what the user named.
        input_format: one of ``FORMATS`` that all files have; None tells each file's from its content.
        split_bytes: aim for splits of this size; gzip, COCO and tar files are always one split.

    Raises:
        InputError: an input matches nothing, the format is unknown, or no file at all is readable.
    """
    if input_format is not None and input_format not in FORMATS:
        raise InputError(f"unknown input format {input_format!r}; choose one of {', '.join(FORMATS)}")
    if not inputs:
        raise InputError("no input; give at least one file, folder or pattern")
    sources: dict[str, tuple[str, _Listed]] = {}
    for entry in inputs:
        for path, name, about in _expand(entry):
            sources.setdefault(path, (name, about))
    # Most of the time goes into waiting for remote stores, hence the threads.
    with ThreadPoolExecutor(max_workers=32) as threads:
        tasks = [
            threads.submit(_inspect, path, source, index, input_format, max(split_bytes, 1), about)
            for index, (path, (source, about)) in enumerate(sources.items())
        ]
        results = [task.result() for task in tasks]
    splits = [split for _, part, _ in results for split in part]
    infos = [info for info, _, _ in results]
    rejects = [reject for _, _, reject in results if reject is not None]
    if not splits:
        listed = "\n".join(f"  {reject.position}: {reject.reason}: {reject.detail}" for reject in rejects[:10])
        more = f"\n  and {len(rejects) - 10} more" if len(rejects) > 10 else ""
        raise InputError(
            f"nothing to read: none of the {len(infos)} input file(s) is usable; mend or replace them, or name their "
            f"format, one of {', '.join(FORMATS)}:\n{listed}{more}"
        )
    return splits, infos, rejects


_Listed = dict[str, Any] | None
"""What a store's listing says of a file, so that it need not be asked for each; of local files it is not kept."""


def _expand(entry: Input) -> Iterator[tuple[str, str, _Listed]]:
    """Path and source of each file that the input names, sorted by path, and what a store says of it."""
    with places.telling(entry.pattern):
        yield from _expanded(entry)


def _expanded(entry: Input) -> Iterator[tuple[str, str, _Listed]]:
    found: dict[str, Any] = {}
    try:
        filesystem, root = places.place(entry.pattern)
        local = places.is_local(filesystem)
        if not local:
            with contextlib.suppress(FileNotFoundError):  # no such bucket
                found = filesystem.find(root, detail=True)
        if filesystem.isdir(root) if local else set(found) - {root}:
            paths = _as_list(filesystem.find(root)) if local else list(found)
            source, paths = entry.source or _folder_name(root), _known_files(paths, root)
            if not paths:
                raise InputError(
                    f"folder {entry.pattern!r} ({root}) holds no file with a known suffix ({', '.join(_SUFFIXES)}); "
                    "name other files one by one or with a pattern"
                )
        elif found or (local and (filesystem.exists(root) or _is_link(root))):
            source, paths = entry.source or _stem(root), [root]
        elif glob.has_magic(root):
            folder = _fixed_folder(root)
            source = entry.source or _folder_name(folder)
            paths = []
            found = filesystem.glob(root, detail=True)
            for path, about in list(found.items()):
                if _is_hidden(path, folder) and not _is_hidden(root, folder):
                    continue  # as in a shell, where * finds no hidden files
                below = []
                if filesystem.isdir(path) if local else about["type"] == "directory":
                    inside = filesystem.find(path, detail=True)
                    found |= inside
                    below = _known_files(list(inside), path)
                paths += below or [path]  # an empty folder is a file that cannot be read
            paths = _without_img2dataset_copies(sorted(set(paths)))
            if not paths:
                raise InputError(f"pattern {entry.pattern!r} ({root}) matches no file; check folder and spelling")
        else:
            raise InputError(f"input {entry.pattern!r} ({root}) does not exist; check folder and spelling")
    except ImportError as error:
        raise InputError(f"input {entry.pattern!r}: {error}") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:
        if fsspec.core.split_protocol(entry.pattern)[0] in places.EXTRAS:
            raise
        raise InputError(f"input {entry.pattern!r} cannot be listed: {error}; check address and permissions") from None
    for path in paths:
        yield (path, source, None) if local else (filesystem.unstrip_protocol(path), source, found.get(path))


def _known_files(files: list[str], folder: str) -> list[str]:
    """Those of known suffix among the files of a folder, sorted; hidden files and those like _SUCCESS left out."""
    paths = [path for path in files if path.lower().endswith(_SUFFIXES) and not _is_hidden(path, folder, (".", "_"))]
    return _without_img2dataset_copies(sorted(paths))


def _without_img2dataset_copies(paths: list[str]) -> list[str]:
    """The paths without what img2dataset stores a second time: beside 00000.parquet its statistics, and the samples of
    00000.tar or of the folder 00000."""
    known = set(paths)
    shards = {
        path.removesuffix(".parquet")
        for path in paths
        if path.endswith(".parquet") and re.fullmatch(r"\d+", PurePosixPath(path).stem)
    }
    copies = {f"{shard}{suffix}" for shard in shards for suffix in (".tar", "_stats.json")} & known
    return [path for path in paths if path not in copies and _parent(path) not in shards]


def _inspect(
    path: str, source: str, index: int, input_format: str | None, split_bytes: int, listed: _Listed
) -> tuple[FileInfo, list[Split], Reject | None]:
    size, fingerprint, format_ = 0, "", None
    try:
        filesystem, stripped = places.place(path)
        with places.telling(path):
            entry = listed or filesystem.info(stripped)
        size, fingerprint = int(entry.get("size") or 0), _fingerprint(entry)
        if entry["type"] == "directory":
            raise StreamError("unreadable", "is a folder without files of a known suffix")
        head, compression = _head(path, size)
        format_ = input_format or _detect(head, path)
        _check(head, format_)
        if compression and format_ not in _TEXT_FORMATS:
            raise StreamError("unknown_format", f"{format_} inside gzip is not supported; decompress it")
        splits = _split(Split(path, format_, source, index, 0, None, compression), head, size, split_bytes)
    except StreamError as error:
        return FileInfo(path, source, None, size, fingerprint), [], Reject(error.reason, error.detail, source, path)
    except OSError as error:
        detail = f"cannot be opened or read: {error}"
        return FileInfo(path, source, None, size, fingerprint), [], Reject("unreadable", detail, source, path)
    if format_ == "parquet":
        format_ = splits[0].format
    return FileInfo(path, source, format_, size, fingerprint), splits, None


def _head(path: str, size: int) -> tuple[bytes, str | None]:
    """The first bytes of the file, uncompressed, and its compression."""
    compression, content = blocks_of_start(path, size, _SNIFF_BYTES)
    head = b""
    try:
        for block in content:
            head += block
            if len(head) >= _SNIFF_BYTES:
                break
    except StreamError:
        if not head:
            raise
    return head[:_SNIFF_BYTES], compression


def _check(head: bytes, format_: str) -> None:
    if not head.removeprefix(b"\xef\xbb\xbf").strip() and len(head) < _SNIFF_BYTES:
        raise StreamError("empty_file", "the file is empty")
    if format_ in _TEXT_FORMATS and (what := _binary(head)):
        raise StreamError("not_text", what)


def _split(split: Split, head: bytes, size: int, split_bytes: int) -> list[Split]:
    """The file cut into splits, given as one."""

    def part(**changes: Any) -> Split:
        return Split(**{**vars(split), **changes})

    if split.format in ("parquet", "img2dataset"):
        downloads, sizes = columnar.describe(split.path)
        if split.format == "img2dataset" and not downloads:
            raise StreamError("missing_columns", "not written by img2dataset: it has key, url, status, error_message")
        format_ = "img2dataset" if downloads else "parquet"
        cuts, filled = [0], 0
        for group, group_bytes in enumerate(sizes):
            if filled >= split_bytes:
                cuts.append(group)
                filled = 0
            filled += group_bytes
        ends = [*cuts[1:], len(sizes)]
        return [part(format=format_, start=start, end=end) for start, end in zip(cuts, ends, strict=True)]
    if split.format == "csv":
        header = text.csv_header(head)
        if header is None:
            raise StreamError("missing_columns", missing_columns([]))
        delimiter, columns, length = header
        captions, image_ids, urls = find_names(columns)
        if not captions or not (image_ids or urls):
            raise StreamError("missing_columns", missing_columns(columns))
        line = 1 + head.count(b"\n", 0, length)
        starts = [(length, line)]
        if split.compression is None and size - length > split_bytes:
            starts = text.csv_starts(split.path, length, line, delimiter, split_bytes)
            starts = [starts[0], *(start for start in starts[1:] if start[0] < size)]
        return [
            part(start=start, end=end, first_line=first_line, delimiter=delimiter, columns=columns)
            for (start, first_line), (end, _) in itertools.zip_longest(starts, starts[1:], fillvalue=(None, None))
        ]
    if split.format in _TEXT_FORMATS:
        split = part(first_line=1)
        if split.format != "coco" and split.compression is None and size > split_bytes:
            cuts = list(range(0, size, split_bytes))
            return [
                part(start=start, end=end, first_line=None if start else 1)
                for start, end in itertools.zip_longest(cuts, cuts[1:])
            ]
    return [split]


def _detect(head: bytes, path: str) -> str:
    """The format of a file by its first bytes, and by its suffix where those do not tell.

    Raises:
        StreamError: ``unknown_format``, ``not_text`` or ``empty_file``.
    """
    _check(head, "")
    name = path.lower().removesuffix(".gz")
    if head.startswith(b"PAR1"):
        return "parquet"
    if name.endswith(".parquet"):
        raise StreamError("corrupt", "not a Parquet file: it does not begin with PAR1")
    if head[257:262] == b"ustar" or name.endswith(".tar"):
        return "webdataset"
    _check(head, "cc")
    whole = len(head) < _SNIFF_BYTES
    complete = head if whole else head[: head.rfind(b"\n") + 1]
    lines = [line for line in complete.decode("utf-8-sig", "replace").split("\n") if line.strip()][:_SNIFF_LINES]
    by_suffix = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(PurePosixPath(name).suffix)
    if by_suffix:
        return by_suffix
    first = head.decode("utf-8-sig", "replace").lstrip()[:1]
    if first in ("{", "[") or name.endswith(".json"):
        return _detect_json(head, lines, whole, first)
    if not lines and name.endswith(".tsv"):
        return "cc"  # its first line is longer than what was read

    def most(test: Callable[[str], object]) -> bool:
        return bool(lines) and sum(map(bool, map(test, lines))) * 2 > len(lines)

    if most(_FLICKR_LINE.match):
        return "flickr"
    if lines and lines[0].count("\t") == 1 and text.is_cc_header(*lines[0].split("\t")):
        return "cc"
    header = text.csv_header(head)
    if header and len(header[1]) > 1 and find_names(header[1])[0]:
        return "csv"
    if most(lambda line: line.count("\t") == 1 and _URL.match(line.partition("\t")[2])):
        return "cc"
    raise StreamError("unknown_format", f"the content is of no known format; name it, one of {', '.join(FORMATS)}")


def _detect_json(head: bytes, lines: list[str], whole: bool, first: str) -> str:
    if first == "[":
        detail = "a JSON array; make it JSON Lines, one object a line (for example with: jq -c '.[]')"
        raise StreamError("unknown_format", detail)
    for candidate in [*lines[:1], *([head.decode("utf-8-sig", "replace")] if whole else [])]:
        try:
            document = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and "annotations" in document:
            return "coco"
        if isinstance(document, dict) and find_names(list(document))[0]:
            return "jsonl"
        detail = "JSON, but neither COCO captions (no 'annotations') nor JSON Lines with captions"
        raise StreamError("unknown_format", detail)
    if re.search(rb'"(annotations|images)"', head) or not whole:
        return "coco"
    raise StreamError("bad_json", "the file begins like JSON, but neither it nor its first line is a JSON document")


def _binary(head: bytes) -> str | None:
    """Words for why the bytes are not text; None where they are."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text; convert it to UTF-8"
    controls = len(head) - len(head.translate(None, _CONTROLS))
    # Text has next to none, random bytes one in nine. A few in a short file are for its lines to deal with.
    if controls >= 8 and controls * 20 > len(head):
        return f"binary data: {controls} control characters in the first {len(head)} bytes"
    return None


def _fingerprint(entry: dict[str, Any]) -> str:
    for name in _CHECKSUMS:
        if entry.get(name):
            return str(entry[name]).strip('"')
    for name in _TIMES:
        if entry.get(name):
            value = entry[name]
            if isinstance(value, float | int):
                value = datetime.datetime.fromtimestamp(value, datetime.UTC)
            return value.isoformat() if isinstance(value, datetime.datetime) else str(value)
    return ""


def _stem(path: str) -> str:
    name = PurePosixPath(path).name
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def _folder_name(folder: str) -> str:
    return PurePosixPath(folder.rstrip("/")).name or "input"


def _fixed_folder(pattern: str) -> str:
    """The deepest folder of a pattern that has no wildcard in it."""
    folder = _parent(pattern)
    while glob.has_magic(folder):
        folder = _parent(folder)
    return folder


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _is_hidden(path: str, folder: str, begins: tuple[str, ...] = (".",)) -> bool:
    """Whether the path has a part below the folder that begins so."""
    return any(part.startswith(begins) for part in path[len(folder.rstrip("/")) + 1 :].split("/"))


def _as_list(paths: Any) -> list[str]:
    return list(paths)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _is_link(path: str) -> bool:
    try:
        return Path(path).is_symlink()  # one that leads nowhere does not exist, but is there to be reported
    except (OSError, ValueError):
        return False
