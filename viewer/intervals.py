"""Shares of yes among yes and no, with 95% intervals, and how many more answers a narrower interval needs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Z = 1.959963984540054
"""The 97.5% point of the normal distribution: intervals are of 95%."""


@dataclass(frozen=True)
class Share:
    """A share and its interval; ``share`` is None where nothing has been counted, and the interval is all there is."""

    share: float | None
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


def wilson(yes: float, number: float) -> Share:
    """The share of yes with Wilson's score interval (Wilson 1927).

    Brown, Cai and DasGupta (2001) recommend it for small numbers: unlike the textbook's interval it is not empty where
    all answers are the same, and it stays between 0 and 1.
    """
    if number == 0:
        return Share(None, 0.0, 1.0)
    share = yes / number
    centre = (share + Z * Z / (2 * number)) / (1 + Z * Z / number)
    half = Z / (1 + Z * Z / number) * math.sqrt(share * (1 - share) / number + Z * Z / (4 * number * number))
    # At the ends the interval touches them; rounding must not say otherwise.
    low = 0.0 if yes == 0 else min(max(centre - half, 0.0), share)
    high = 1.0 if yes == number else max(min(centre + half, 1.0), share)
    return Share(share, low, high)


def combined(shares: Sequence[Share], weights: Sequence[float]) -> Share:
    """The weighted mean of the shares of several strata, of which each has been counted.

    Its interval recovers the variances at the limits from the strata's own intervals and adds them up (MOVER: Zou and
    Donner 2008; Newcombe 1998 for differences), so it is Wilson's where there is one stratum.
    """
    total = sum(weights)
    counted = [(share, one.low, one.high, weight / total)
               for one, weight in zip(shares, weights, strict=True) if (share := one.share) is not None]  # fmt: skip
    if not counted or len(counted) < len(shares):
        return Share(None, 0.0, 1.0)
    mean = sum(weight * share for share, _, _, weight in counted)
    below = math.sqrt(sum((weight * (share - low)) ** 2 for share, low, _, weight in counted))
    above = math.sqrt(sum((weight * (high - share)) ** 2 for share, _, high, weight in counted))
    return Share(mean, max(mean - below, 0.0), min(mean + above, 1.0))


def needed(width: Callable[[int], float], wanted: float, most: int) -> int:
    """The least number of more answers, at most ``most``, at which the width is no more than is wanted.

    Args:
        width: of the interval after so many more answers, if they come out as those so far; falls.
    """
    if width(0) <= wanted:
        return 0
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if width(middle) <= wanted:
            high = middle
        else:
            low = middle + 1
    return low
