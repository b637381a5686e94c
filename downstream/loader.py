"""The loader: batches of triplets, in an order that is a pure function of the seed and the epoch.

    from downstream.loader import open_triplets, TripletLoader
    dataset = open_triplets("OUT", images=["shards/*.tar"], batch_size=256, kinds=["relation"])
    for batch in TripletLoader(dataset, workers=8): ...

Batch number b of an epoch is the same rows whatever the number of processes and workers: a process (rank) takes its
slice of every batch, and its workers take batches in turn. So readers never overlap and leave no gap, several processes
train on what one would, and "where am I" is two numbers, epoch and batch, which hold for any number of workers.
"""

import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from downstream.pictures import Pictures, square
from downstream.shards import COLUMNS, ROLES, ShardError, TripletIndex, open_index
from images import ImageStore

Batch = dict[str, Any]
"""Tensors by name; :class:`TripletDataset` says which."""

_CONDITION, _QUERY, _KIND = (COLUMNS.index(name) for name in ("condition", "query", "kind"))
_ROWS_PER_BLOCK = 1 << 10
_BLOCKS_PER_WINDOW = 1 << 8


class ImageSource(Protocol):
    """Where a loader gets images from, by their numbers in the index: cached embeddings or pictures."""

    @property
    def present(self) -> np.ndarray:
        """bool [images]: which of the index's images can be had."""

    def take(self, numbers: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Images [*numbers.shape, ...] and bool [*numbers.shape]: which of them are there; the others are zeros."""


class TextSource(Protocol):
    """Where a loader gets texts from, by the numbers of their conditions."""

    def take_texts(self, numbers: np.ndarray) -> Tensor:
        """Embeddings [n, d] or tokens [n, t]."""


class TripletDataset(IterableDataset[Batch]):
    """One epoch of triplets for one process, in batches; for ``DataLoader(dataset, batch_size=None)`` or by itself.

    A batch holds, for b rows and the dataset's r roles:

    - ``row`` int64 [b]: numbers of the index's rows
    - ``image`` int64 [b, r]: numbers of ``index.image_ids``, -1 where a triplet has none
    - ``query``, ``kind`` int64 [b]: equal where right answers are (see the index); number of ``index.kinds``
    - ``images`` [b, r, ...] and ``present`` bool [b, r]: what the image source gives
    - ``text`` [b, ...]: what the text source gives; without one ``condition``: the b texts

    Args:
        index: the triplets.
        images: cached embeddings or pictures; None for numbers only. Rows whose reference or target cannot be had are
            left out (:attr:`left_out`).
        texts: what becomes of the conditions.
        batch_size: rows of a batch, all processes together.
        roles: the images wanted, of :data:`downstream.shards.ROLES`.
        rank, ranks: which process of how many this is.
        seed: of the order and of whatever the image source does at random.
        shuffle: False for the order of the files.
        drop_last: leave out what does not fill the last batch (other rows in each epoch).

    Raises:
        ShardError: nothing is left to load, or there are too few rows for that many processes.
    """

    def __init__(
        self, index: TripletIndex, images: ImageSource | None = None, texts: TextSource | None = None, *,
        batch_size: int = 256, roles: Sequence[str] = ROLES, rank: int = 0, ranks: int = 1, seed: int = 0,
        shuffle: bool = True, drop_last: bool = False,
    ) -> None:  # fmt: skip
        if batch_size % ranks:
            raise ShardError(f"a batch of {batch_size} rows cannot be shared evenly by {ranks} processes")
        self.index, self.images, self.texts, self.seed = index, images, texts, seed
        self.batch_size, self.rank, self.ranks, self.shuffle = batch_size, rank, ranks, shuffle
        self.roles = [ROLES.index(role) for role in roles]
        self.epoch, self.first_batch = 0, 0
        self._usable = None if images is None else _usable(index, images.present)
        self.rows = len(index) if self._usable is None else len(self._usable)
        self.left_out = len(index) - self.rows
        least = batch_size if drop_last else ranks
        if self.rows < least:
            raise ShardError(
                f"{self.rows:,} triplets are too few for a batch of {batch_size:,} over {ranks} processes"
                + (f"; {self.left_out:,} more were left out, as their images are missing" if self.left_out else "")
            )
        whole, rest = divmod(self.rows, batch_size)
        self.batches = whole if drop_last or rest < ranks else whole + 1
        """Batches of an epoch. A last one with fewer rows than processes is left out."""

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        order = _Order(self.rows, self.seed, self.epoch) if self.shuffle else None
        for batch in range(self.first_batch + number, self.batches, workers):
            yield self._load(batch, order)

    def _load(self, batch: int, order: "_Order | None") -> Batch:
        start, stop = batch * self.batch_size, min((batch + 1) * self.batch_size, self.rows)
        # The last batch may be short: all processes get shares of it that differ by one row at most.
        first, last = (start + (stop - start) * part // self.ranks for part in (self.rank, self.rank + 1))
        places = order.rows(first, last) if order else np.arange(first, last)
        rows = places if self._usable is None else self._usable[places]
        columns = np.ascontiguousarray(self.index.rows[rows].T).astype(np.int64)
        image = np.ascontiguousarray(columns[self.roles].T)
        loaded: Batch = {
            "row": torch.from_numpy(rows),
            "image": torch.from_numpy(image),
            "query": torch.from_numpy(columns[_QUERY]),
            "kind": torch.from_numpy(columns[_KIND]),
        }
        if self.images is not None:
            generator = np.random.default_rng((self.seed, self.epoch, batch, self.rank))
            loaded["images"], loaded["present"] = self.images.take(image, generator)
        if self.texts is not None:
            loaded["text"] = self.texts.take_texts(columns[_CONDITION])
        else:
            loaded["condition"] = [self.index.conditions[number] for number in columns[_CONDITION]]
        return loaded


class TripletLoader:
    """Batches of a dataset, epoch after epoch, loaded by worker processes, and resumable at any batch.

    ``iter()`` gives the rest of the current epoch; when that is over, the next ``iter()`` gives the next epoch. The
    state is that of the consumer: batches that workers have loaded ahead do not count until they are taken.

    Args:
        workers: processes that load; 0 loads in this one.
        pin_memory: put batches where a GPU copies them from fastest.
        ahead: batches that each worker loads ahead.
    """

    def __init__(self, dataset: TripletDataset, workers: int = 0, *, pin_memory: bool = False, ahead: int = 4) -> None:
        self.dataset, self.epoch, self.batch = dataset, 0, 0
        self._options: dict[str, Any] = {"num_workers": workers, "pin_memory": pin_memory}
        if workers:
            self._options |= {"prefetch_factor": ahead, "worker_init_fn": _leave_ctrl_c_to_the_parent}

    def __len__(self) -> int:
        return self.dataset.batches

    def __iter__(self) -> Iterator[Batch]:
        self.dataset.epoch, self.dataset.first_batch = self.epoch, self.batch
        # A generator of its own, so that loading leaves the caller's random numbers alone.
        loader = DataLoader(self.dataset, batch_size=None, generator=torch.Generator(), **self._options)
        for batch in loader:
            self.batch += 1
            yield batch
        self.epoch, self.batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Where the consumer is: the batch that it takes next."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "batch_size": self.dataset.batch_size,
            "rows": self.dataset.rows,
            "seed": self.dataset.seed,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there, with any number of workers and processes.

        Raises:
            ShardError: the state is of other rows, another seed or another batch size, so it says nothing here.
        """
        for name, here in self.state_dict().items():
            if name not in ("epoch", "batch") and state[name] != here:
                raise ShardError(f"cannot go on from there: {name} was {state[name]:,} and is {here:,} now")
        self.epoch, self.batch = state["epoch"], state["batch"]


def open_triplets(
    out: str, images: Sequence[str] | None = None, *, kinds: Sequence[str] | None = None, split: str | None = "train",
    transform: Callable[..., Tensor] | None = None, cache: Path | None = None, **options: Any,
) -> TripletDataset:  # fmt: skip
    """The triplets of the dataset at ``out`` with their pictures, for a training loop of one's own.

    Args:
        images: WebDataset shards, folders or Parquet files with the images; None for numbers and texts only.
        kinds, split: only these.
        transform: PIL image to tensor; by default uint8 [3, 224, 224], cut to a square.
        cache: folder for the index; by default a temporary one.
        options: of :class:`TripletDataset`.

    Raises:
        ManifestError, ShardError, ImageError: what is wrong with the dataset or the images.
    """
    kept = cache or Path(_temporary().name)
    index = open_index(out, kept, kinds=kinds, split=split)
    pictures = Pictures(index, ImageStore.open(images, kept / "images.index"), transform or square) if images else None
    return TripletDataset(index, pictures, **options)


class _Order:
    """A random order of n rows for an epoch, in memory that does not grow with n.

    Blocks of neighbouring rows are put in random order, and the rows within windows of 256 blocks (262,144 rows) are.
    Triplets lie in their files in the order of a hash, so neighbours have nothing in common.
    """

    def __init__(self, rows: int, seed: int, epoch: int) -> None:
        self._seed = seed, epoch
        blocks = -(-rows // _ROWS_PER_BLOCK)
        order = np.random.default_rng((*self._seed, 0)).permutation(blocks)
        self._windows = [order[start : start + _BLOCKS_PER_WINDOW] for start in range(0, blocks, _BLOCKS_PER_WINDOW)]
        missing = blocks * _ROWS_PER_BLOCK - rows  # of the last block, which is in one of the windows
        sizes = [len(w) * _ROWS_PER_BLOCK - (missing if blocks - 1 in w else 0) for w in self._windows]
        self._ends = np.cumsum(sizes)
        self._rows = rows
        self._current: tuple[int, np.ndarray] = -1, np.empty(0, np.int64)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """int64: the rows at those places of the order."""
        found = []
        while start < stop:
            window = int(np.searchsorted(self._ends, start, side="right"))
            end = int(self._ends[window])
            rows = self._of_window(window)
            until = min(stop, end)
            found.append(rows[start - end + len(rows) : until - end + len(rows)])
            start = until
        return np.concatenate(found)

    def _of_window(self, window: int) -> np.ndarray:
        if self._current[0] != window:
            rows = (self._windows[window][:, None] * _ROWS_PER_BLOCK + np.arange(_ROWS_PER_BLOCK)).ravel()
            rows = rows[rows < self._rows]
            self._current = window, np.random.default_rng((*self._seed, 1, window)).permutation(rows)
        return self._current[1]


def _usable(index: TripletIndex, present: np.ndarray) -> np.ndarray | None:
    if present.all():
        return None
    with_none = np.append(present, False)
    needed = index.rows[:, [ROLES.index("reference"), ROLES.index("target")]]
    return np.flatnonzero(with_none[needed].all(axis=1))


def _leave_ctrl_c_to_the_parent(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder that is gone when the process ends."""
    if not _kept:
        _kept.append(tempfile.TemporaryDirectory(prefix="facetmine-"))
    return _kept[0]
