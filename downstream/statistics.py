"""How sure a figure is: bootstrap intervals of means, of their average over tasks, and paired comparisons.

Queries are resampled with replacement (Efron 1979, percentile intervals). A mean over n queries depends on the resample
only by how often each distinct value was drawn, and these counts are multinomial, so the counts are drawn instead of
the queries: the same distribution at the cost of the distinct values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 0

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval at 95%."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A minus B over the same queries.

    Attributes:
        difference: of the means, with its paired bootstrap interval.
        only_a: queries that A answers rightly and B does not.
        only_b: the reverse.
        p: exact McNemar test, two-sided: how likely so uneven a split is where both are equally good.
    """

    difference: Estimate
    only_a: int
    only_b: int
    p: float


def estimate(values: npt.ArrayLike) -> Estimate:
    """The mean of n values and its interval."""
    return average([values])


def average(tasks: Sequence[npt.ArrayLike]) -> Estimate:
    """The unweighted average of the means of several tasks; each task's queries are resampled on their own."""
    arrays = [np.asarray(values, np.float64) for values in tasks]
    if not arrays or any(array.size == 0 for array in arrays):
        return Estimate(float("nan"), float("nan"), float("nan"))
    generator = np.random.default_rng(SEED)
    resampled = np.mean([_resampled_means(array, generator) for array in arrays], axis=0)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(float(np.mean([array.mean() for array in arrays])), float(low), float(high))


def compare(a: Sequence[npt.ArrayLike], b: Sequence[npt.ArrayLike]) -> Comparison:
    """Two models on the same queries of one or several tasks.

    Args:
        a: for each task, whether model A is right: n booleans.
        b: the same of model B, in the same order.
    """
    from scipy.stats import binomtest

    pairs = [(np.asarray(left, np.float64), np.asarray(right, np.float64)) for left, right in zip(a, b, strict=True)]
    differences = [left - right for left, right in pairs]
    only_a = sum(int((difference > 0).sum()) for difference in differences)
    only_b = sum(int((difference < 0).sum()) for difference in differences)
    p = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return Comparison(average(differences), only_a, only_b, float(p))


def _resampled_means(values: Values, generator: np.random.Generator) -> Values:
    distinct, counts = np.unique(values, return_counts=True)
    drawn = generator.multinomial(len(values), counts / len(values), size=RESAMPLES)
    return np.asarray(drawn @ distinct / len(values))
