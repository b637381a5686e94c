"""Validation on held-out triplets: the target found among all images of them, and preferred to its distractors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from downstream.shards import COLUMNS, ROLES, TripletIndex

AT = (1, 5, 10)
_REFERENCE, _TARGET, _CONDITION, _QUERY = (
    COLUMNS.index(name) for name in ("reference", "target", "condition", "query")
)
_QUERIES_AT_A_TIME = 1024

Query = Callable[[Tensor, Tensor], Tensor]
"""Features of pictures [n, d] and of texts [n, d] to queries [n, d] of unit length."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out triplets as queries over a pool of images: all that these triplets name and that can be had.

    ``rows`` is int64 [n, 7] as in the index, but that images and conditions are numbers of ``pool`` and ``texts``,
    which hold their numbers in the index.
    """

    rows: np.ndarray
    pool: np.ndarray
    texts: np.ndarray

    @classmethod
    def of(cls, index: TripletIndex, present: np.ndarray, most: int, seed: int) -> "HeldOut":
        """The index's triplets whose reference and target are there, or ``most`` of them, chosen by the seed."""
        there = np.append(present, False)
        rows = np.flatnonzero(there[index.rows[:, [_REFERENCE, _TARGET]]].all(axis=1))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
        chosen = np.array(index.rows[rows], dtype=np.int64)
        images = chosen[:, : len(ROLES)]
        images[~there[images]] = -1
        pool, numbers = np.unique(images, return_inverse=True)
        absent = int(len(pool) > 0 and pool[0] < 0)
        chosen[:, : len(ROLES)] = numbers.reshape(images.shape) - absent
        texts, chosen[:, _CONDITION] = np.unique(chosen[:, _CONDITION], return_inverse=True)
        return cls(chosen, pool[absent:], texts)

    @torch.no_grad()
    def score(self, query: Query, images: Tensor, texts: Tensor, temperature: float) -> dict[str, float]:
        """Recall@1, 5 and 10 in the pool, the share of targets above their distractors, and the loss.

        A query's right answers are its target and the targets of equal queries (``query`` of the index); its reference
        is not in its pool.

        Args:
            images, texts: features of ``pool`` and ``texts``, [m, d] of unit length, on one device.

        Returns:
            ``recall@1``, ``recall@5``, ``recall@10``, ``above_distractors`` (percent) and ``loss``: the cross-entropy
            of the target in the pool.
        """
        rows = torch.from_numpy(self.rows).to(images.device)
        # Sorted by query, equal queries are neighbours, and their targets a slice.
        rows = rows[torch.argsort(rows[:, _QUERY], stable=True)]
        sums = torch.zeros(len(AT) + 3, dtype=torch.float64)
        for part in rows.split(_QUERIES_AT_A_TIME):
            similar = query(images[part[:, _REFERENCE]], texts[part[:, _CONDITION]]) @ images.T
            similar.scatter_(1, part[:, _REFERENCE, None], -torch.inf)
            own = similar.gather(1, part[:, _TARGET, None])
            others = rows[torch.isin(rows[:, _QUERY], part[:, _QUERY])]
            same = part[:, _QUERY, None] == others[:, _QUERY]
            best = similar[:, others[:, _TARGET]].masked_fill(~same, -torch.inf).max(dim=1, keepdim=True).values
            rank = (similar > best).sum(dim=1)
            hits = [(rank < at).sum().item() for at in AT]
            distractors = part[:, len(ROLES) - 2 : len(ROLES)]
            against = similar.gather(1, distractors.clamp(min=0)).masked_fill(distractors < 0, -torch.inf)
            above = (own > against).all(dim=1).sum().item()
            loss = (torch.logsumexp(similar / temperature, dim=1) - own[:, 0] / temperature).sum().item()
            sums += torch.tensor([*hits, above, loss, len(part)], dtype=torch.float64)
        *hit, above, loss, count = sums.tolist()
        told = {f"recall@{at}": 100 * found / count for at, found in zip(AT, hit, strict=True)}
        return {**told, "above_distractors": 100 * above / count, "loss": loss / count}
