"""How what a run does grows with its input: from a few nested samples to the whole.

Most figures grow with the captions in proportion, after a fixed start (:func:`affine`): rows, facts, bytes that are
shuffled, core seconds. Three do not:

- **What can be a target.** A condition that nobody else states has no text distractor, and such rare conditions are new
  words and pairs of words, of which a text of twice the size has fewer than twice as many (Heaps' law). So the share of
  uses that cannot be a target falls as a power of the captions (:func:`falling_share`).
- **What is to be had.** A triplet pairs a target with an image to contrast it with, so their number grows with the
  square of the captions; in small samples faster, because things come to be said often enough to be paired at all,
  which fades (:func:`fading`). Where subjects are salted, groups are paired within themselves: from there on it is an
  upper bound. Intermediate files come to grow in proportion in the same way.
- **Bytes of a row.** Zstandard finds more to refer back to in a larger row group; a file's bytes a row fall as a power
  of its rows, up to the rows of a row group (:func:`bytes_of_table`).

All fits are of relative errors, so the smallest sample counts as much as the largest.
"""

from collections.abc import Sequence

import numpy as np

FADES = 0.55
"""What is left, after each doubling of the captions, of an exponent's excess over the one that it settles at."""


def affine(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Start and rate, neither below 0, of ``value = start + rate * size``."""
    x, y = np.asarray(sizes, float), np.asarray(values, float)
    if not y.any():
        return 0.0, 0.0
    weight = 1 / np.maximum(y, y.max() * 1e-9)
    matrix = np.stack([weight, x * weight], axis=1)
    start, rate = np.linalg.lstsq(matrix, y * weight, rcond=None)[0] if len(np.unique(x)) > 1 else (-1.0, 0.0)
    if start < 0:  # in proportion
        return 0.0, float((x * weight).sum() / ((x * weight) ** 2).sum())
    if rate < 0:  # does not grow
        return float(weight.sum() / (weight**2).sum()), 0.0
    return float(start), float(rate)


def power(sizes: Sequence[float], values: Sequence[float], most: float) -> float:
    """Exponent of ``value = scale * size ** exponent`` between the two largest sizes, from 0 to ``most``; 0 of zeros.

    Between the largest, because exponents settle as samples grow.
    """
    (x0, y0), (x1, y1) = sorted(zip(sizes, values, strict=True))[-2:]
    if min(x0, y0, y1) <= 0 or x0 == x1:
        return 0.0
    return float(np.clip(np.log(y1 / y0) / np.log(x1 / x0), 0.0, most))


def fading(sizes: Sequence[float], values: Sequence[float], size: float, exponent: float) -> float:
    """The value at another size, of what grows with that exponent once its excess between small samples has faded."""
    excess = power(sizes, values, exponent + 2) - exponent
    doublings = float(np.log2(size / max(sizes)))
    if excess > 0:
        excess *= FADES / (1 - FADES) * (1 - FADES**doublings) / max(doublings, 1e-9)
    return float(max(values) * 2 ** ((exponent + excess) * doublings))


def falling_share(sizes: Sequence[float], shares: Sequence[float], size: float) -> float:
    """A share that falls as a power of the size, at another size. All shares are in [0, 1]."""
    order = np.argsort(sizes)
    x, y = np.asarray(sizes, float)[order], np.asarray(shares, float)[order]
    if not y[-1] or not (y > 0).all() or len(np.unique(x)) < 2:
        return float(y[-1])
    slope = np.polyfit(np.log(x), np.log(y), 1)[0]
    return float(np.clip(y[-1] * (size / x[-1]) ** min(slope, 0.0), 0.0, 1.0))


def bytes_of_table(rows: Sequence[float], sizes: Sequence[float], total: float, files: int, group: int) -> float:
    """Bytes of a table of ``total`` rows in so many files, from samples of one file each.

    Args:
        rows: of each sample's file.
        sizes: bytes of each sample's file.
        group: rows of a row group.
    """
    if not total or not any(rows):
        return 0.0
    known = [(count, size / count) for count, size in zip(rows, sizes, strict=True) if count]
    exponent = -power([count for count, _ in known], [1 / each for _, each in known], 1.0) if len(known) > 1 else 0.0
    count, each = max(known)
    grown = min(max(total / files, 1.0), group) / min(count, group)
    return total * each * grown**exponent
