"""Which files hold images, which images those are, and where in the file each lies."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import fsspec
import fsspec.core
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.image_ids import find_names, parse_object, record_fields, sample_key, url_ids

from .tars import Member, ReadAt, TarError, local_reader, walk

IMAGE_SUFFIXES = (
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif",
    # Not decoded, but known to be images, so that they are told of.
    "svg", "heic", "heif", "jp2", "jxl", "ico", "ppm", "pgm", "psd",
)  # fmt: skip
_IMAGE_COLUMNS = ("image", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes", "img", "data")
_MOST_JSON_BYTES = 4 << 20
_WINDOW = 4096


@dataclass(frozen=True)
class Source:
    """A file, or a folder of image files.

    Attributes:
        kind: "tar", "parquet", "folder" or "file".
        path: local path, or URL that fsspec understands.
        fingerprint: changes when the content does: of size and time of last change, or what a remote store has for it.
    """

    kind: str
    path: str
    fingerprint: str


@dataclass(frozen=True)
class Entry:
    """Where one image lies.

    Attributes:
        image_id: its id, as stage read names it.
        offset: Parquet: number of its row; else of its first byte in the file.
        length: bytes; 0 in Parquet, where that is not known without reading.
        name: folder: its path below the folder; else "".
    """

    image_id: str
    offset: int
    length: int
    name: str = ""


@dataclass(frozen=True)
class Refusal:
    """An image, or the rest of a file, that cannot be had; ``where`` is the member or row, ``image_id`` None unless
    it is known."""

    image_id: str | None
    where: str
    reason: str
    detail: str


class SourceError(ValueError):
    """What the user named holds no images; the message says what, where, and what to do."""


def expand(patterns: Sequence[str]) -> list[Source]:
    """The sources that files, folders and glob patterns name: each once, in the order of the patterns, by path within.

    A folder stands for the tars, the Parquet files with images, and the image files in it and below.

    Raises:
        SourceError: a pattern names nothing that can hold images.
    """
    found: dict[str, Source] = {}
    for pattern in patterns:
        try:
            filesystem, root = fsspec.core.url_to_fs(pattern)
            sources = _expand(filesystem, root)
        except (OSError, ValueError, ImportError) as error:
            raise SourceError(f"image source {pattern!r} cannot be listed: {error}") from None
        if not sources:
            raise SourceError(
                f"image source {pattern!r} ({root}) names no images; give WebDataset tars (.tar), Parquet files with a "
                f"column of image bytes ({', '.join(_IMAGE_COLUMNS)}), or a folder of images"
            )
        for source in sources:
            found.setdefault(source.path, source)
    if not found:
        raise SourceError("no image source; give at least one tar, Parquet file, folder or pattern")
    return list(found.values())


def entries(source: Source) -> Iterator[Entry | Refusal]:
    """Every image of the source with its place, and what is wrong with the others; nothing is decoded."""
    try:
        if source.kind == "tar":
            yield from _tar_entries(source.path)
        elif source.kind == "parquet":
            yield from _parquet_entries(source.path)
        elif source.kind == "folder":
            yield from _folder_entries(source.path)
        else:
            filesystem, path = fsspec.core.url_to_fs(source.path)
            yield Entry(PurePosixPath(path).name, 0, int(filesystem.info(path)["size"]))
    except (OSError, pa.ArrowException) as error:
        yield Refusal(None, "", "damaged_archive", f"cannot be read: {str(error).partition(chr(10))[0]}")


def image_column(schema: pa.Schema) -> str | None:
    """The column, or the field of a struct column as "column.bytes", that holds encoded images."""
    folded = {name.lower(): name for name in reversed(schema.names)}
    for known in _IMAGE_COLUMNS:
        if known not in folded:
            continue
        type_ = schema.field(folded[known]).type
        if _is_bytes(type_):
            return folded[known]
        if pa.types.is_struct(type_) and any(type_.field(i).name == "bytes" and _is_bytes(type_.field(i).type)
                                             for i in range(type_.num_fields)):  # fmt: skip
            return f"{folded[known]}.bytes"
    return None


def is_local(path: str) -> bool:
    """Whether the path is one of this machine's, not a URL."""
    return "://" not in path


def _expand(filesystem: fsspec.AbstractFileSystem, root: str) -> list[Source]:
    local = "file" in (filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,))
    if filesystem.isdir(root):
        paths, from_folder = sorted(filesystem.find(root)), True
    elif filesystem.exists(root):
        paths, from_folder = [root], False
    else:
        paths, from_folder = sorted(filesystem.glob(root)), False
        folders = [path for path in paths if filesystem.isdir(path)]
        if folders:
            return [source for path in paths for source in _expand(filesystem, path)]
    sources = []
    loose = []
    for path in paths:
        if from_folder and any(part.startswith((".", "_")) for part in path[len(root.rstrip("/")) + 1 :].split("/")):
            continue
        suffix = PurePosixPath(path).suffix.lower().lstrip(".")
        if suffix in ("tar", "parquet"):
            if suffix == "parquet" and not _has_images(filesystem, path):
                continue
            sources.append(Source(suffix, _named(filesystem, path, local), _fingerprint(filesystem, path, local)))
        elif suffix in IMAGE_SUFFIXES and from_folder:
            loose.append(path)
        elif suffix in IMAGE_SUFFIXES:
            sources.append(Source("file", _named(filesystem, path, local), _fingerprint(filesystem, path, local)))
    if loose:
        digest = hashlib.blake2b(digest_size=16)
        for path in loose:
            digest.update(f"{path}\0{_fingerprint(filesystem, path, local)}\0".encode(errors="surrogateescape"))
        sources.append(Source("folder", _named(filesystem, root, local), digest.hexdigest()))
    return sources


def _named(filesystem: fsspec.AbstractFileSystem, path: str, local: bool) -> str:
    return str(Path(path).absolute()) if local else filesystem.unstrip_protocol(path)


def _fingerprint(filesystem: fsspec.AbstractFileSystem, path: str, local: bool) -> str:
    if not local:
        return str(filesystem.ukey(path))
    try:
        status = Path(path).stat()
    except OSError as error:  # a link that leads nowhere
        return type(error).__name__
    return f"{status.st_size}:{status.st_mtime_ns}"


def _has_images(filesystem: fsspec.AbstractFileSystem, path: str) -> bool:
    try:
        with filesystem.open(path, "rb") as file:
            return image_column(pq.read_schema(file)) is not None
    except (pa.ArrowException, OSError):
        return True  # to be told of


def _tar_entries(path: str) -> Iterator[Entry | Refusal]:
    if is_local(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(f"{path} is no regular file")
            yield from _samples(_windowed(local_reader(descriptor), _WINDOW), status.st_size)
        finally:
            os.close(descriptor)
        return
    filesystem, stripped = fsspec.core.url_to_fs(path)
    size = int(filesystem.info(stripped)["size"])
    with filesystem.open(stripped, "rb") as file:

        def read_at(offset: int, length: int) -> bytes:
            file.seek(offset)
            return bytes(file.read(length))

        yield from _samples(read_at, size)


def _windowed(read_at: ReadAt, window: int) -> ReadAt:
    """The same reads, of which those near each other cost one."""
    start, held = 0, b""

    def read(offset: int, length: int) -> bytes:
        nonlocal start, held
        if not start <= offset <= offset + length <= start + len(held):
            if length > window:
                return read_at(offset, length)
            start, held = offset, read_at(offset, window)
        return held[offset - start : offset - start + length]

    return read


def _samples(read_at: ReadAt, file_bytes: int) -> Iterator[Entry | Refusal]:
    key: str | None = None
    members: list[Member] = []
    try:
        for member in walk(read_at, file_bytes):
            if member.kind == "folder":
                continue
            member = member._replace(name=member.name.removeprefix("./"))
            if (own := sample_key(member.name)) != key:
                yield from _sample(key, members, read_at)
                key, members = own, []
            members.append(member)
            if len(members) > 1000:
                raise TarError(False, f"over 1,000 members have the key {_shown(own)}")
    except TarError as damage:
        yield from _sample(key, members, read_at)
        yield Refusal(None, "", "damaged_archive", f"{damage.detail}; what is before that is read")
        return
    yield from _sample(key, members, read_at)


def _sample(key: str | None, members: list[Member], read_at: ReadAt) -> Iterator[Entry | Refusal]:
    """The image of a sample. A sample without an image is one of captions only."""
    if key is None:
        return
    suffixes = [member.name[len(key) + 1 :].lower() for member in members]
    pictures = [
        (("." in suffix, order), member)
        for order, (suffix, member) in enumerate(zip(suffixes, members, strict=True))
        if suffix.rpartition(".")[2] in IMAGE_SUFFIXES
    ]
    if not pictures:
        return
    picture = min(pictures)[1]
    url = None
    for suffix, member in zip(suffixes, members, strict=True):
        if suffix == "json" and member.kind == "file" and member.size <= _MOST_JSON_BYTES:
            try:
                url = record_fields(parse_object(read_at(member.offset, member.size).decode("utf-8-sig")))[2]
            except ValueError:
                url = None  # stage read rejects the sample's caption
    try:
        image_id = url_ids([url])[0] if url and url.strip() else key
        image_id.encode()
    except UnicodeEncodeError:
        yield Refusal(None, _shown(picture.name), "unsafe_member", "the name is not UTF-8")
        return
    if picture.kind != "file":
        yield Refusal(image_id, picture.name, "unsafe_member", f"the member is a {picture.kind}; it is not followed")
    elif picture.name.startswith("/") or ".." in picture.name.replace("\\", "/").split("/"):
        yield Refusal(image_id, picture.name, "unsafe_member", "the path leads out of the archive")
    elif picture.size == 0:
        yield Refusal(image_id, picture.name, "empty_image", "0 bytes")
    else:
        yield Entry(image_id, picture.offset, picture.size)


def _parquet_entries(path: str) -> Iterator[Entry | Refusal]:
    filesystem, stripped = fsspec.core.url_to_fs(path)
    with filesystem.open(stripped, "rb") as file:
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        column = image_column(schema)
        _, id_names, url_names = find_names([name for name in schema.names if name != (column or "").partition(".")[0]])
        image_id = next((name for name in id_names if _is_id(schema.field(name).type)), None)
        url = next((name for name in url_names if _is_id(schema.field(name).type)), None)
        downloads = {"key", "url", "status", "error_message"} <= set(schema.names)
        if column is None or (image_id is None and url is None):
            yield Refusal(None, "", "damaged_archive", "has no column of image bytes, or none of image ids or URLs")
            return
        row = 0
        wanted = [name for name in (image_id, url) if name is not None]
        if downloads and "key" not in wanted:
            wanted.append("key")
        for batch in parquet.iter_batches(65536, columns=wanted, use_threads=False):
            names: list[str | None] = [None] * batch.num_rows
            links = names if url is None else [_id_text(value) for value in batch.column(url).to_pylist()]
            if image_id is not None:
                names = [_id_text(value) for value in batch.column(image_id).to_pylist()]
            if downloads:
                keys = batch.column("key").to_pylist()
                names = [None if link and link.strip() else key for link, key in zip(links, keys, strict=True)]
            for name, link in zip(names, links, strict=True):
                known = name if name and name.strip() else url_ids([link])[0] if link and link.strip() else None
                if known is None:
                    yield Refusal(None, f"row {row}", "missing_image", "the row has neither an image id nor a URL")
                else:
                    yield Entry(known, row, 0)
                row += 1


def _folder_entries(root: str) -> Iterator[Entry | Refusal]:
    """Images by their paths below the folder; by URL where img2dataset has laid the JSON of one beside it."""
    filesystem, stripped = fsspec.core.url_to_fs(root)
    details = filesystem.find(stripped, detail=True)
    begin = len(stripped.rstrip("/")) + 1
    for path in sorted(details):
        name = path[begin:]
        if any(part.startswith((".", "_")) for part in name.split("/")):
            continue
        stem, dot, suffix = path.rpartition(".")
        if not dot or suffix.lower() not in IMAGE_SUFFIXES:
            continue
        image_id = name
        beside = details.get(f"{stem}.json")
        if beside and (beside.get("size") or 0) <= _MOST_JSON_BYTES:
            try:
                url = record_fields(parse_object(filesystem.cat_file(f"{stem}.json").decode("utf-8-sig")))[2]
                image_id = url_ids([url])[0] if url and url.strip() else name
            except (ValueError, OSError):
                pass
        try:
            name.encode()
        except UnicodeEncodeError:
            yield Refusal(None, _shown(name), "unsafe_member", "the name is not UTF-8")
            continue
        entry = details[path]
        size = int(entry.get("size") or 0)
        if entry.get("type") not in ("file", "link") and not entry.get("islink"):
            yield Refusal(image_id, name, "unsafe_member", f"is no regular file ({entry.get('type')})")
        elif size == 0:
            yield Refusal(image_id, name, "empty_image", "0 bytes")
        else:
            yield Entry(image_id, 0, size, name)


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _is_id(type_: pa.DataType) -> bool:
    type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer)
    return any(test(type_) for test in tests)


def _id_text(value: object) -> str | None:
    return None if value is None else str(value)


def _shown(name: str) -> str:
    return name.encode(errors="replace").decode()
