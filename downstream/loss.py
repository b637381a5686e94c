"""InfoNCE over the batch of all processes, with the distractors of the triplets as hard negatives."""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def info_nce(
    queries: Tensor, candidates: Tensor, numbers: Tensor, present: Tensor, groups: Tensor, temperature: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The mean loss of this process's queries (van den Oord et al. 2018), and the share that ranks its target first.

    A query's candidates are the targets of all rows of all processes, and its own distractors. Three kinds of targets
    are no negatives of a query, and are left out: other appearances of its own target, targets of rows of the same
    group, which are right answers as well, and images that could not be read.

    The mean over processes of this loss's gradients is the gradient of the loss of one process that has all rows, if
    all processes have as many rows: what is gathered passes gradients back to where it came from.

    Args:
        queries: [b, d] of unit length.
        candidates: [b, c, d] of unit length: each row's target, then its distractors.
        numbers: int64 [b, c]: which images these are.
        present: bool [b, c]: which of them there are. A row without its target counts for nothing.
        groups: int64 [b]: equal for rows that have the same right answers (``query`` of the index).
        temperature: what cosines are divided by.
    """
    rows = len(queries)
    first = rows * (dist.get_rank() if dist.is_initialized() else 0)
    targets = _gathered(candidates[:, 0].contiguous())
    number, group, there = _gathered(torch.stack([numbers[:, 0], groups, present[:, 0].long()], dim=1)).unbind(1)

    logits = queries @ targets.T
    right = (number == numbers[:, :1]) | (group == groups[:, None]) | (there == 0)
    own = first + torch.arange(rows, device=queries.device)
    right[torch.arange(rows, device=queries.device), own] = False
    logits = logits.masked_fill(right, -torch.inf)
    if candidates.shape[1] > 1:
        distractors = torch.einsum("bd,bcd->bc", queries, candidates[:, 1:])
        logits = torch.cat((logits, distractors.masked_fill(~present[:, 1:], -torch.inf)), dim=1)

    weights = present[:, 0].to(logits.dtype)
    # By the mean number of rows a process, so that the mean over processes is the mean over all rows.
    count = (there.sum() * rows / len(there)).clamp(min=1)
    loss = F.cross_entropy(logits / temperature, own, reduction="none")
    first_ones = (logits.argmax(dim=1) == own).to(logits.dtype)
    return torch.where(present[:, 0], loss, 0).sum() / count, (first_ones * weights).sum() / count


def _gathered(mine: Tensor) -> Tensor:
    """The tensors of all processes one after the other; gradients flow back to where each came from."""
    if not dist.is_initialized():
        return mine
    if mine.requires_grad:
        return torch.cat(dist_nn.all_gather(mine))
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    return torch.cat(parts)
