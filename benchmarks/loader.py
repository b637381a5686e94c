"""How fast the loader streams triplets with cached embeddings, and what memory an epoch takes.

    python -m benchmarks.loader --rows 1000000

A data set's triplets are made up: random images, conditions and vectors, in the files that the loader maps. The peer is
torch's DataLoader over a map-style data set that holds the same arrays in memory and is asked for whole batches.
Both give reference, target and two distractors (float16), the condition's vector and the numbers.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from downstream.embeddings import Embeddings
from downstream.loader import TripletDataset, TripletLoader
from downstream.shards import COLUMNS, ROLES, TripletIndex, write_strings


class InMemory(Dataset[dict[str, Tensor]]):
    """The peer: everything as tensors, a batch at once by its rows' numbers."""

    def __init__(self, index: TripletIndex, images: Embeddings, texts: Embeddings) -> None:
        self._rows = torch.from_numpy(np.array(index.rows, np.int64))
        self._images, self._texts = (torch.from_numpy(np.array(part.vectors)) for part in (images, texts))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: list[int]) -> dict[str, Tensor]:
        picked = self._rows[rows]
        image = picked[:, : len(ROLES)]
        return {
            "row": torch.tensor(rows), "image": image, "query": picked[:, 5], "kind": picked[:, 6],
            "images": self._images[image], "present": image >= 0, "text": self._texts[picked[:, 4]],
        }  # fmt: skip


def main() -> None:
    given = _parse_arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="facetmine-loader-") as temporary:
        index, images, texts = _made_up(Path(temporary), given.rows, given.images, given.dimension)
        table = Table("", "triplets/s", "PyTorch's DataLoader", "ratio", "memory after a tenth", "at the end, MiB")
        for workers in given.workers:
            ours: Iterable[dict[str, Tensor]] = TripletLoader(
                TripletDataset(index, images, texts, batch_size=given.batch_size), workers
            )
            peer = _peer(InMemory(index, images, texts), given.batch_size, workers)
            # By turns, the faster of two: what else the machine does hits both alike.
            speeds: list[list[float]] = [[], []]
            memory = []
            for _ in range(2):
                for number, loader in enumerate((ours, peer)):
                    speed, used = _epoch(loader, given.rows, len(index) // given.batch_size)
                    speeds[number].append(speed)
                    memory.append(used)
            a, b = max(speeds[0]), max(speeds[1])
            early, late = memory[0]
            table.add_row(
                f"{workers} workers", f"{a:,.0f}", f"{b:,.0f}", f"{a / b:.2f}", f"{early:,.0f}", f"{late:,.0f}"
            )
        Console(width=120).print(table)


def _epoch(loader: Iterable[dict[str, Tensor]], rows: int, batches: int) -> tuple[float, tuple[float, float]]:
    """Rows a second of an epoch, and memory in MiB after a tenth of it and at its end."""
    began, early, late = time.perf_counter(), 0.0, 0.0
    for number, _ in enumerate(loader):
        if number == batches // 10:
            early = _held()
        elif number == batches - 10:  # while the workers are there
            late = _held()
    return rows / (time.perf_counter() - began), (early, late)


def _held() -> float:
    """MiB of this process and its workers that are no mapped files; what a fork shares counts for each."""
    processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    told = [line for pid in processes for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()]
    return sum(int(line.split()[1]) for line in told if line.startswith(("RssAnon", "RssShmem"))) / 1024


def _peer(data: InMemory, batch_size: int, workers: int) -> DataLoader[dict[str, Tensor]]:
    batches = BatchSampler(RandomSampler(data), batch_size, drop_last=False)
    return DataLoader(
        data, sampler=batches, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None
    )


def _made_up(folder: Path, rows: int, images: int, dimension: int) -> tuple[TripletIndex, Embeddings, Embeddings]:
    random = np.random.default_rng(0)
    conditions = max(rows // 100, 1)
    most = [*[images] * len(ROLES), conditions, max(rows // 4, 1), 6]
    index = folder / "triplets-0"
    index.mkdir()
    columns = np.stack([random.integers(0, limit, rows, dtype=np.int32) for limit in most], axis=1)
    assert columns.shape[1] == len(COLUMNS)
    np.save(index / "rows.npy", columns)
    for name, count in (("images", images), ("conditions", conditions), ("kinds", 6)):
        write_strings(index / f"{name}.arrow", pa.array([str(number) for number in range(count)]))
    made = []
    for name, count in (("images", images), ("texts", conditions)):
        kept = folder / name
        kept.mkdir()
        np.save(kept / "vectors.npy", random.standard_normal((count, dimension), np.float32).astype(np.float16))
        np.save(kept / "present.npy", np.ones(count, bool))
        made.append(Embeddings(kept))
    return TripletIndex(index), made[0], made[1]


def _parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rows", type=int, default=1_000_000, help="triplets of an epoch (default: %(default)s)")
    parser.add_argument("--images", type=int, default=100_000, help="images (default: %(default)s)")
    parser.add_argument("--dimension", type=int, default=512, help="of the embeddings (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=512, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
