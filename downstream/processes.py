"""One process of training, or one of several that torchrun started."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """Which process this is, of how many, and where it computes."""

    rank: int
    ranks: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    @contextlib.contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """A block that the first process is through with before the others start it."""
        if not self.is_first:
            dist.barrier()
        yield
        if self.is_first and self.ranks > 1:
            dist.barrier()

    def mean(self, *values: Tensor) -> list[float]:
        """The means over all processes of numbers that each has."""
        stacked = torch.stack([value.detach().float() for value in values])
        if self.ranks > 1:
            dist.all_reduce(stacked)
        return (stacked / self.ranks).tolist()


@contextlib.contextmanager
def join_processes(device: str | None = None) -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun this is the only one.

    Args:
        device: by default this process's GPU, else the CPU.
    """
    local = int(os.environ.get("LOCAL_RANK", 0))
    chosen = torch.device(device or (f"cuda:{local}" if torch.cuda.is_available() else "cpu"))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    if ranks == 1:
        yield Processes(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), ranks, chosen)
    finally:
        dist.destroy_process_group()
