"""Which texts fit their pictures: filters on a CLIP model's cosines, and what a threshold lets through.

How many pairs are wrong, and how they score, is estimated without labels. The scores of pairs that were put together by
chance tell how wrong pairs score, up to those that are right by chance; so two mixtures of the same two distributions
are known,

    observed = (1 - wrong) * right + wrong * false,    shuffled = chance * right + (1 - chance) * false,

and both shares follow from the extremes of their ratio: in the lowest scores there are only false pairs, in the highest
only right ones (Scott, Blanchard and Handy, "Classification with asymmetric label noise", COLT 2013). With a chance of
zero this is Storey's estimate of the share of true null hypotheses ("A direct approach to false discovery rates", 2002)
and the share of wrong pairs among the kept is his q-value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BINS = 4000
"""Bins of a histogram of cosines, from -1 to 1."""

EDGES = np.linspace(-1, 1, BINS + 1)

LEAST_TAIL = 0.1
"""A tail that holds a smaller share of the pairs than this is not looked at: too few pairs to estimate from."""

LEAST_PAIRS = 50
"""Nothing is estimated from fewer pairs than this."""

MOST_ALIKE = 0.85
"""Where observed and shuffled pairs bound each other's shares by more than this, what is left of either is noise."""


@dataclass(frozen=True)
class Thresholds:
    """What is kept; None where nothing is asked.

    Attributes:
        caption: least score of a caption with its image.
        caption_of_source: the same for single sources.
        fact: least score of a fact with its image.
    """

    caption: float | None = None
    caption_of_source: Mapping[str, float] = field(default_factory=dict)
    fact: float | None = None


@dataclass(frozen=True)
class Margins:
    """By how much an image that satisfies a statement must score above one that does not; None where nothing is asked.

    Attributes:
        reference: target above reference.
        text_distractor: target above text distractor, and the text distractor's own statement in its image above the
            same in the image distractor.
        image_distractor: target, and the reference where it satisfies the condition too, above the image distractor.
    """

    reference: float | None = None
    text_distractor: float | None = None
    image_distractor: float | None = None


def histogram(scores: pa.Array | pa.ChunkedArray | np.ndarray) -> np.ndarray:
    """Counts of scores, int64 of shape (BINS,); nulls are left out."""
    values = scores if isinstance(scores, np.ndarray) else scores.drop_null().to_numpy()
    return np.histogram(np.clip(values, -1, 1), EDGES)[0]


def first_of_captions(scores: pa.Table) -> np.ndarray:
    """Which facts (schemas.SCORES) are the first of their caption, bool; facts of a caption stand together."""
    image, caption = scores["image_key"].to_numpy(), scores["caption_index"].to_numpy()
    first = np.ones(len(scores), bool)
    first[1:] = (image[1:] != image[:-1]) | (caption[1:] != caption[:-1])
    return first


def top_share(counts: np.ndarray, share: float) -> float:
    """The threshold that keeps the best share of a histogram's scores, as DataComp's filters do (Gadre et al. 2023)."""
    above = np.cumsum(counts[::-1])[::-1]
    kept = np.flatnonzero(above >= share * counts.sum())
    return float(EDGES[kept[-1]]) if len(kept) else -1.0


def unfit(scores: pa.Table, sources: pa.Array | pa.ChunkedArray, thresholds: Thresholds) -> dict[str, np.ndarray]:
    """Facts that their image does not support, as bool arrays by reason; a fact has at most one.

    Args:
        scores: schemas.SCORES.
        sources: source of every fact.
    """
    caption, fact = (scores[name].to_numpy() for name in ("caption_score", "fact_score"))
    none = np.zeros(len(scores), bool)
    if thresholds == Thresholds():
        return {}
    missing = np.isnan(caption)
    least = np.full(len(scores), -np.inf if thresholds.caption is None else thresholds.caption)
    for source, threshold in thresholds.caption_of_source.items():
        least[pc.equal(sources, source).to_numpy(zero_copy_only=False)] = threshold
    wrong = ~missing & (caption < least)
    absent = none if thresholds.fact is None else ~missing & ~wrong & (fact < thresholds.fact)
    return {"no_picture": missing, "does_not_fit_caption": wrong, "not_in_picture": absent}


def contradicted(scores: Mapping[str, np.ndarray], focus: np.ndarray, margins: Margins) -> dict[str, np.ndarray]:
    """Triplets whose pictures do not bear out what their captions promise, as bool arrays by reason, one at most.

    Args:
        scores: cosine of the target's statement with ``target``, ``reference``, ``text_distractor`` and
            ``image_distractor``, of the text distractor's statement with its image (``own``) and with the image
            distractor (``own_elsewhere``); and ``lead``, the target's over the reference, of two statements the lesser.
            NaN, where there is no such image, is not judged.
        focus: whether the reference satisfies the condition too.
    """
    target, reference = scores["target"], scores["reference"]
    satisfied = np.where(focus, np.fmin(target, reference), target)
    leads = {
        "reference_fits_condition": (np.where(focus, np.nan, scores["lead"]), margins.reference),
        "text_distractor_fits_subject": (target - scores["text_distractor"], margins.text_distractor),
        "text_distractor_does_not_fit": (scores["own"] - scores["own_elsewhere"], margins.text_distractor),
        "image_distractor_fits_condition": (satisfied - scores["image_distractor"], margins.image_distractor),
    }
    found, left = {}, np.ones(len(target), bool)
    for reason, (lead, margin) in leads.items():
        with np.errstate(invalid="ignore"):
            fails = left & (lead < (-np.inf if margin is None else margin))
        found[reason] = fails
        left &= ~fails
    return found


@dataclass(frozen=True)
class Mixture:
    """Right and wrong pairs as their scores tell them apart.

    Attributes:
        pairs: observed pairs.
        wrong: estimated share of them that is wrong.
        chance: estimated share of right ones among pairs put together by chance.
        observed: share of the observed pairs that score at or above each of ``EDGES``.
        right, false: the same of the right and of the wrong ones.
        doubt: standard error of :meth:`wrong_above` by the number of shuffled pairs.
    """

    pairs: int
    wrong: float
    chance: float
    observed: np.ndarray
    right: np.ndarray
    false: np.ndarray
    doubt: np.ndarray

    @classmethod
    def estimate(cls, observed: np.ndarray, shuffled: np.ndarray) -> "Mixture":
        """From two histograms (:func:`histogram`), of pairs as they are and of pairs put together by chance.

        Raises:
            ValueError: there are too few pairs to tell, or own and other pictures score alike.
        """
        pairs = int(observed.sum())
        if min(pairs, shuffled.sum()) < 4 * LEAST_PAIRS:
            raise ValueError(f"{pairs:,} scored pairs are too few; {4 * LEAST_PAIRS} is the least")
        above, above_shuffled = _above(observed), _above(shuffled)
        chosen = int(shuffled.sum())
        low, error = _least_ratio(1 - above, 1 - above_shuffled, pairs, chosen)
        high, _ = _least_ratio(above_shuffled, above, chosen, pairs)
        low, high = min(low + error, 0.999), min(high, 0.999)  # the least of many ratios is too low
        if low * high > MOST_ALIKE:
            raise ValueError("their scores are like those of pairs put together by chance, so they cannot tell")
        wrong = low * (1 - high) / (1 - low * high)
        right = _decreasing((above - low * above_shuffled) / (1 - low))
        false = _decreasing((above_shuffled - high * above) / (1 - high))
        doubt = wrong * np.sqrt((false + 1 / chosen) / chosen) / np.maximum(above, 1e-12)
        return cls(pairs, wrong, high * (1 - wrong), above, right, false, doubt)

    def wrong_above(self) -> np.ndarray:
        """Share of wrong pairs among those that score at or above each of ``EDGES``."""
        return np.clip(self.wrong * self.false / np.maximum(self.observed, 1e-12), 0, 1)

    def threshold(self, wrong: float) -> float:
        """The least threshold above which at most that share of pairs is wrong, by two standard errors.

        It is -1 where no threshold is needed.

        Raises:
            ValueError: none is known to do; says what the best one gives.
        """
        enough = self.observed * self.pairs >= LEAST_PAIRS
        shares = np.where(enough, self.wrong_above() + 2 * self.doubt, 1.0)
        good = np.flatnonzero(shares <= wrong)
        if not len(good):
            raise ValueError(f"no threshold leaves at most {wrong:.1%} wrong; the best leaves {shares.min():.1%}")
        return float(EDGES[good[0]])

    def at(self, threshold: float) -> dict[str, float]:
        """What a threshold does: shares ``kept`` of all pairs, ``wrong`` of the kept, ``lost`` of the right ones."""
        place = min(int(np.searchsorted(EDGES, threshold - 1e-9)), BINS)
        return {
            "kept": float(self.observed[place]),
            "wrong": float(self.wrong_above()[place]),
            "lost": float(1 - self.right[place]),
        }


def _above(counts: np.ndarray) -> np.ndarray:
    return np.append(np.cumsum(counts[::-1])[::-1], 0) / counts.sum()


def _least_ratio(part: np.ndarray, whole: np.ndarray, part_pairs: int, whole_pairs: int) -> tuple[float, float]:
    """The least ratio of two tails that are shares of so many pairs, with its standard error.

    The place is chosen by the upper end of the ratio's interval of confidence, or it would be where the tails are thin
    and the ratio is noisiest.
    """
    thick = np.flatnonzero(whole >= max(LEAST_TAIL, LEAST_PAIRS / whole_pairs))
    part, whole = part[thick], whole[thick]
    smoothed = part + 1 / part_pairs
    error = np.sqrt(smoothed / part_pairs + smoothed**2 / (whole * whole_pairs)) / whole
    place = np.argmin(part / whole + 2 * error)
    return float(part[place] / whole[place]), float(error[place])


def _decreasing(shares: np.ndarray) -> np.ndarray:
    """Shares that must not increase nor leave 0..1, made so: the mean of what bounds them from both sides."""
    upper, lower = np.minimum.accumulate(shares), np.maximum.accumulate(shares[::-1])[::-1]
    return np.clip((upper + lower) / 2, 0, 1)
