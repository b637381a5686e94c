"""``facetmine pack``: one archive with facetmine, its models and all that it depends on.

It is for workers that have only Python, of the same version, system and processor, as it holds what is installed here.
Spark unpacks it beside each executor (``--spark-archive``); elsewhere it is unpacked by hand, and its ``bin/python``
started.
"""

import argparse
import gzip
import importlib.metadata
import io
import posixpath
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline import shipping

DISTRIBUTION = "facetmine"

_LAUNCHER = """\
#!/bin/sh
# The machine's own Python, with the packages of this archive. What PYTHONPATH names already goes before them.
here=$(cd "$(dirname "$0")/.." && pwd)
PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}$here/lib"
export PYTHONPATH
exec "${{FACETMINE_PYTHON:-python{version}}}" "$@"
"""


class PackError(Exception):
    """The archive cannot be made; the message says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine pack``."""
    parser.add_argument(
        "-o", "--output", default="facetmine.tar.gz", metavar="FILE.tar.gz", help="the archive (default: %(default)s)"
    )
    parser.add_argument(
        "--extras", default="", metavar="NAME,NAME",
        help="extras of facetmine to pack as well, such as aws,clip; they must be installed here",
    )  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Run ``facetmine pack``; returns the exit status."""
    try:
        extras = [name.strip() for name in given.extras.split(",") if name.strip()]
        told = pack(Path(given.output), extras)
    except (PackError, OSError) as error:
        print(f"facetmine: {error}", file=sys.stderr)
        return 1
    print(told)
    return 0


def pack(archive: Path, extras: Sequence[str] = ()) -> str:
    """Write the archive, whole or not at all.

    Args:
        extras: of facetmine, whose dependencies go in too.

    Returns:
        What is in it, in a line.

    Raises:
        PackError: a dependency is not installed here, or there is no such extra.
        OSError: the archive cannot be written.
    """
    distributions = dependencies(extras)
    archive.parent.mkdir(parents=True, exist_ok=True)
    temporary = archive.with_name(f".{archive.name}.tmp")
    try:
        files = 0
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            _add(tar, "bin/python", _LAUNCHER.format(version=version).encode(), 0o755)
            name, told = shipping.metadata()
            _add(tar, f"lib/{name}", told, 0o644)
            for name, path in _files(distributions):
                _add(tar, f"lib/{name}", path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
                files += 1
        temporary.replace(archive)
    finally:
        temporary.unlink(missing_ok=True)
    size = archive.stat().st_size / 1e6
    return f"{archive}: facetmine and {len(distributions)} packages, {files:,} files, {size:,.0f} MB, Python {version}"


def dependencies(extras: Sequence[str] = ()) -> list[importlib.metadata.Distribution]:
    """The installed distributions that facetmine needs, and what those need; facetmine itself is not among them.

    Raises:
        PackError: one is missing, or there is no such extra.
    """
    ours = _distribution(DISTRIBUTION)
    known = set(ours.metadata.get_all("Provides-Extra") or [])
    if unknown := [name for name in extras if name not in known]:
        raise PackError(f"facetmine has no extra {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(ours, extra) for extra in ("", *extras)]
    while waiting:
        distribution, extra = waiting.pop()
        for line in distribution.requires or ():
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            for inner in ("", *requirement.extras):
                if (name, inner) in seen:
                    continue
                seen.add((name, inner))
                needed = ours if name == DISTRIBUTION else _distribution(name)
                if name != DISTRIBUTION:
                    found[name] = needed
                waiting.append((needed, inner))
    return [found[name] for name in sorted(found)]


def _distribution(name: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise PackError(f"the package {name} is needed and not installed here: pip install {name}") from None


def _files(distributions: Sequence[importlib.metadata.Distribution]) -> Iterator[tuple[str, Path]]:
    """Path within the archive's lib, and file; each once."""
    seen: set[str] = set()
    for name, path in shipping.sources():
        seen.add(name)
        yield name, path
    for distribution in distributions:
        if distribution.files is None:
            raise PackError(
                f"what belongs to the package {distribution.name} is not recorded; install it with pip into this "
                "environment"
            )
        for file in distribution.files:
            name = posixpath.normpath(file.as_posix())
            path = Path(str(file.locate()))
            if name.startswith(("../", "/")) or "__pycache__" in file.parts or name in seen or not path.is_file():
                continue  # scripts of other folders, compiled files
            if file.parts[0].removesuffix(".py") in sys.stdlib_module_names:
                continue  # a backport ("dataclasses"), which on PYTHONPATH would go before Python's own
            seen.add(name)
            yield name, path


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)  # without owner and time: the same packages make the same archive
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
