"""The manifest of an output dataset: what was made, from what, how, and which files belong to it.

``manifest.json`` is written last and at once, so a dataset with a manifest is whole. Readers believe only the files
that it names: whatever else lies in the folders is left over from a run that did not finish.
"""

import json
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Self

from schemas import places
from schemas.tables import VERSION

MANIFEST_NAME = "manifest.json"


class ManifestError(ValueError):
    """A dataset without a manifest that can be read; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class FileEntry:
    """One file of the dataset; ``path`` is relative to the dataset, with forward slashes."""

    path: str
    rows: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        # A manifest may come from somebody else; it must not make a reader open files outside its dataset.
        if not self.path or self.path.startswith("/") or ".." in PurePosixPath(self.path).parts:
            raise ValueError(f"path {self.path!r} is not inside the dataset")


@dataclass(frozen=True)
class InputEntry:
    """One input that was read."""

    path: str
    source: str
    format: str
    bytes: int
    fingerprint: str


@dataclass(kw_only=True)
class Stage:
    """What one stage did; ``rejects`` counts by reason, ``fingerprint`` stands for its inputs and configuration."""

    fingerprint: str
    rows_in: int
    rows_out: int
    rejects: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    files: list[FileEntry] = field(default_factory=list)


@dataclass(kw_only=True)
class Manifest:
    """The content of ``manifest.json``; ``stages`` by name ('read', 'parse', 'mine', 'write'), those that have run."""

    schema_version: str = VERSION
    facetmine_version: str
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    configuration: dict[str, Any]
    seed: int
    inputs: list[InputEntry] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)

    @classmethod
    def read(cls, out: str) -> Self:
        """The manifest of the dataset at ``out``, a folder or any URL that fsspec knows.

        Raises:
            ManifestError: there is no dataset, it has no manifest, or one that this version cannot read.
        """
        try:
            filesystem, root = places.place(out)
            text = places.read_whole(f"{out.rstrip('/')}/{MANIFEST_NAME}").decode()
        except FileNotFoundError:
            if not filesystem.exists(root):
                raise ManifestError(
                    f"{out} does not exist. Give the output folder of a `facetmine mine` run."
                ) from None
            raise ManifestError(
                f"{out} holds no {MANIFEST_NAME}, so no run has finished there. "
                "Run `facetmine mine` with it as output, or give the folder of a run that has finished."
            ) from None
        except NotADirectoryError:
            raise ManifestError(f"{out} is a file. Give the folder that holds {MANIFEST_NAME}.") from None
        except UnicodeDecodeError as error:
            raise _not_a_manifest(out, error) from None
        except places.PlaceError as error:
            raise ManifestError(str(error)) from None
        except (OSError, ImportError, ValueError) as error:  # no permission, no network, unknown or absent protocol
            raise ManifestError(f"{out} cannot be read: {error}. Check the path and your access to it.") from None
        try:
            return cls.from_json(text)
        except ManifestError as error:
            raise ManifestError(f"{out}/{MANIFEST_NAME}: {error}") from None
        except ValueError as error:
            raise _not_a_manifest(out, error) from None

    def write(self, out: str) -> None:
        """Write the manifest into ``out`` at once: a reader sees the old one or the new one, never a part."""
        places.write_whole(f"{out.rstrip('/')}/{MANIFEST_NAME}", self.to_json().encode())

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        # Escaped to ASCII: a path that is not valid UTF-8 is a Python string that only escapes can carry.
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The manifest in a JSON text. Keys that this version does not know are left out.

        Raises:
            ManifestError: the manifest is of another schema version.
            ValueError: the text is not JSON, or not a manifest; names the place.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError(f"expected an object, found {_json_name(data)}")
        # The version first: in another version any other key may differ, and that is not the key's fault.
        version = data.get("schema_version")
        if isinstance(version, str) and version != VERSION:
            writer = data.get("facetmine_version", "unknown")
            raise ManifestError(
                f"the dataset has schema version {version!r}, this facetmine reads {VERSION!r}. Mine it again with "
                f"this facetmine, or read it with the one that wrote it (version {writer})."
            )
        return typing.cast(Self, _decode(cls, data, ""))

    def files(self, table: str) -> list[FileEntry]:
        """The files of that table, in the order in which the stages wrote them."""
        return [file for stage in self.stages.values() for file in stage.files if file.path.startswith(f"{table}/")]

    def damage(self, out: str) -> dict[str, str]:
        """What is wrong with the files at ``out``, by path: those that are missing or have another size."""
        filesystem, root = places.place(out)
        sizes = {
            name.removeprefix(f"{root}/"): information["size"]
            for name, information in filesystem.find(root, detail=True).items()
        }
        return dict(_damage((file for stage in self.stages.values() for file in stage.files), sizes))


def _damage(files: Iterable[FileEntry], sizes: dict[str, int]) -> Iterator[tuple[str, str]]:
    for file in files:
        if file.path not in sizes:
            yield file.path, "missing"
        elif sizes[file.path] != file.bytes:
            yield file.path, f"{sizes[file.path]:,} bytes, the manifest says {file.bytes:,}"


def _not_a_manifest(out: str, why: Exception) -> ManifestError:
    return ManifestError(
        f"{out}/{MANIFEST_NAME} is not a manifest of facetmine: {why}. Give the output folder of a `facetmine mine` "
        "run, or run it again if the file was edited or cut short."
    )


def _decode(type_: Any, value: Any, place: str) -> Any:
    """The JSON value as that type: a dataclass, ``list[...]``, ``dict[str, ...]``, a plain type or ``Any``."""
    if type_ is Any:
        return value
    if isinstance(type_, types.GenericAlias):
        container, item_type = typing.cast(type, type_.__origin__), type_.__args__[-1]
        _check(container, value, place)
        if container is list:
            return [_decode(item_type, item, f"{place}[{index}]") for index, item in enumerate(value)]
        return {key: _decode(item_type, item, f"{place}.{key}") for key, item in value.items()}
    if is_dataclass(type_):
        _check(dict, value, place)
        hints = typing.get_type_hints(type_)
        arguments = {}
        for name in (field.name for field in fields(type_)):
            if name not in value:
                raise ValueError(f"{f'{place}.{name}'.lstrip('.')} is missing")
            arguments[name] = _decode(hints[name], value[name], f"{place}.{name}".lstrip("."))
        return typing.cast(type, type_)(**arguments)
    if type_ is float and type(value) is int:
        return float(value)
    _check(type_, value, place)
    return value


def _check(type_: type, value: Any, place: str) -> None:
    # By exact type: JSON's true is not a number, although Python's bool is an int.
    if type(value) is not type_:
        raise ValueError(f"{place}: expected {_JSON_NAMES[type_]}, found {_json_name(value)}")


_JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _json_name(value: Any) -> str:
    return _JSON_NAMES[type(value)]
