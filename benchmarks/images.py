"""``python -m benchmarks.images``: random reads by id from tars against the same bytes from single files, in one run.

Also decides whether memory stays the same over all reads. Both sides read the same images in the same random orders, in
turns, from files that the operating system holds in memory, so that what is measured is the way and not the disk.
"""

import argparse
import os
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from images import ImageStore

_PER_TAR = 5_000
_ROUNDS = 5


def main() -> None:
    """Write the images, read them in turns, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000, help="how many images (default %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), given.images)


def _measure(folder: Path, images: int) -> None:
    ids = _write(folder, images)
    began = time.perf_counter()
    store = ImageStore.open([str(folder / "tars")], folder / "index")
    built = time.perf_counter() - began
    began = time.perf_counter()
    store = ImageStore.open([str(folder / "tars")], folder / "index")
    opened = time.perf_counter() - began
    random = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {"single files": [], "tars": []}
    memory = []
    for number in range(_ROUNDS + 1):
        order = [ids[place] for place in random.permutation(images)]
        began = time.perf_counter()
        for name in order:
            (folder / "files" / f"{name}.jpg").read_bytes()
        between = time.perf_counter()
        for name in order:
            store.read(name)
        if number:  # the first round warms up
            seconds["single files"].append(between - began)
            seconds["tars"].append(time.perf_counter() - between)
        memory.append(_resident())
    names = order[:1000]
    assert all(store.read(name) == (folder / "files" / f"{name}.jpg").read_bytes() for name in names)
    table = Table("reads", "images/s, median", "least", "most", header_style="bold")
    for side, found in seconds.items():
        rates = sorted(images / one for one in found)
        table.add_row(side, *(f"{rate:,.0f}" for rate in (rates[len(rates) // 2], rates[0], rates[-1])))
    console = Console()
    console.print(table)
    ratios = sorted(a / b for a, b in zip(seconds["single files"], seconds["tars"], strict=True))
    console.print(f"tars against single files: {ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    console.print(f"index of {images:,} images built in {built:.2f} s, opened in {opened * 1000:.0f} ms")
    console.print(f"resident after the first round {memory[0]:.1f} MiB, after the last {memory[-1]:.1f} MiB")


def _write(folder: Path, images: int) -> list[str]:
    """The same bytes as members of tars and as files; sizes as those of web images at 256 pixels, 5 to 40 KB."""
    random = np.random.default_rng(1)
    (folder / "tars").mkdir()
    (folder / "files").mkdir()
    ids = [f"{number:09d}" for number in range(images)]
    for start in range(0, images, _PER_TAR):
        with tarfile.open(folder / "tars" / f"{start // _PER_TAR:05d}.tar", "w") as tar:
            for name in ids[start : start + _PER_TAR]:
                content = random.bytes(int(random.integers(5_000, 40_000)))
                (folder / "files" / f"{name}.jpg").write_bytes(content)
                for suffix, data in (("jpg", content), ("txt", b"a dog"), ("json", b'{"key": "%s"}' % name.encode())):
                    info = tarfile.TarInfo(f"{name}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, BytesIO(data))
    return ids


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
