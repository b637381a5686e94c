"""Deterministic pseudo-random numbers from keys, and the r-th member that is not excluded: what the samplers draw with.

Every random choice is a function of (seed, key of the row), never of a worker, a bundle or the order of arrival.
"""

from typing import Any

import numpy as np
import pyarrow as pa


def mix(*parts: np.ndarray | int) -> np.ndarray:
    """One well-spread uint64 a row out of integer columns and constants.

    Each part is folded in with the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), so that the result
    depends on every bit and on the order of the parts. Constants cost nothing where they come first.
    """
    with np.errstate(over="ignore"):
        state: Any = np.uint64(0x9E3779B97F4A7C15)
        for part in parts:
            value = np.asarray(part)
            value = value.view(np.uint64) if value.dtype == np.int64 else value.astype(np.uint64)
            state = (state ^ value) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state


def uniform(*parts: np.ndarray | int) -> np.ndarray:
    """Float64 in [0, 1) out of the same parts as :func:`mix`."""
    return (mix(*parts) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(limit: np.ndarray, *parts: np.ndarray | int) -> np.ndarray:
    """Int64 in [0, limit) a row; limit is at least 1. The bias is under limit / 2**53."""
    return (uniform(*parts) * limit).astype(np.int64)


def hexadecimal(*words: np.ndarray) -> pa.StringArray:
    """Uint64 columns as strings of 16 hexadecimal digits a word."""
    digits = np.array([f"{byte:02x}" for byte in range(256)], "S2")
    octets = np.stack(words, axis=1).astype(">u8").view(np.uint8)  # after stacking, which makes bytes native
    text = np.ascontiguousarray(digits[octets]).view(np.uint8).ravel()
    offsets = np.arange(len(octets) + 1, dtype=np.int32) * (16 * len(words))
    return pa.StringArray.from_buffers(len(octets), pa.py_buffer(offsets), pa.py_buffer(text))


def runs(sorted_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of every run of equal values in a sorted array, int64 each."""
    if not len(sorted_keys):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]]))
    return starts, np.diff(np.append(starts, len(sorted_keys)))


def expand(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts [2, 0, 3]: owners [0, 0, 2, 2, 2] and ordinals [0, 1, 0, 1, 2]."""
    owners = np.repeat(np.arange(len(counts)), counts)
    firsts = np.cumsum(counts) - counts
    return owners, np.arange(len(owners)) - firsts[owners]


class Absent:
    """Members 0..size-1 of many lists, each without its excluded ones, addressable by rank.

    Args:
        sizes: length of every list, int64.
        owners: list number of every exclusion, int64.
        members: excluded member number within its list, int64. Repeats do no harm.

    Attributes:
        counts: how many members each list has left.
        owners, members: the exclusions, sorted and without repeats.
    """

    def __init__(self, sizes: np.ndarray, owners: np.ndarray, members: np.ndarray) -> None:
        self._stride = int(sizes.max(initial=0)) + 1
        keys = np.sort(owners * self._stride + members)  # np.unique would hash, which is many times slower
        if len(keys):
            keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
        self.owners, self.members = owner, member = np.divmod(keys, self._stride)
        excluded = np.bincount(owner, minlength=len(sizes)).astype(np.int64)
        self._firsts = np.cumsum(excluded) - excluded
        # The excluded e_0 < e_1 < ... push rank r up by the number of i with e_i - i <= r.
        self._pushes = owner * self._stride + member - (np.arange(len(keys)) - self._firsts[owner])
        self.counts = sizes - excluded

    def pick(self, lists: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """Member number of the ranks-th member left in each of the lists; ranks are below their counts."""
        pushed = np.searchsorted(self._pushes, lists * self._stride + ranks, side="right")
        return ranks + pushed - self._firsts[lists]
