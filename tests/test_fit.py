"""Filters on scores, and the mixture that tells without labels what a threshold lets through."""

import numpy as np
import pyarrow as pa
import pytest

from filters import fit
from filters.fit import Margins, Mixture, Thresholds

RIGHT, FALSE = (0.35, 0.06), (0.12, 0.07)


def scores_table(caption: list[float | None], fact: list[float | None]) -> pa.Table:
    return pa.table({"caption_score": pa.array(caption, pa.float32()), "fact_score": pa.array(fact, pa.float32())})


def test_every_score_is_in_one_bin_and_nulls_in_none() -> None:
    counts = fit.histogram(pa.array([-1.0, 1.0, 1.0000001, 0.25, 0.25, None], pa.float32()))
    assert counts.sum() == 5
    assert counts[0] == 1
    assert counts[-1] == 2
    assert counts[np.searchsorted(fit.EDGES, 0.25, side="right") - 1] == 2


@pytest.mark.parametrize("share", [0.1, 0.3, 0.75, 1.0])
def test_the_top_share_is_what_is_asked_for_up_to_a_bin(share: float) -> None:
    scores = np.random.default_rng(0).normal(0.25, 0.05, 20_000)
    threshold = fit.top_share(fit.histogram(scores), share)
    kept = (scores >= threshold).mean()
    assert share <= kept <= share + 0.01


def test_no_threshold_rejects_nothing() -> None:
    assert fit.unfit(scores_table([0.1, None], [0.1, None]), pa.array(["a", "a"]), Thresholds()) == {}


def test_a_fact_falls_for_the_first_reason_that_holds() -> None:
    table = scores_table([0.30, 0.10, 0.30, None, 0.20, 0.20], [0.30, 0.05, 0.05, None, 0.30, 0.30])
    sources = pa.chunked_array([["a", "a", "a", "a"], ["a", "strict"]])
    found = fit.unfit(table, sources, Thresholds(0.15, {"strict": 0.25}, 0.1))
    assert {reason: np.flatnonzero(mask).tolist() for reason, mask in found.items()} == {
        "no_picture": [3],
        "does_not_fit_caption": [1, 5],
        "not_in_picture": [2],
    }


def test_a_source_of_its_own_threshold_is_not_held_to_the_common_one() -> None:
    table = scores_table([0.20, 0.20], [0.3, 0.3])
    found = fit.unfit(table, pa.array(["a", "lenient"]), Thresholds(0.25, {"lenient": 0.1}))
    assert np.flatnonzero(found["does_not_fit_caption"]).tolist() == [0]


def test_pictures_that_contradict_a_triplet_are_told_by_their_margin() -> None:
    nan = np.nan
    scores = {
        "target": np.array([0.4, 0.4, 0.4, 0.4, 0.4, nan, 0.4, 0.4]),
        "reference": np.array([0.2, 0.35, 0.2, 0.2, 0.38, 0.2, 0.2, 0.2]),
        "text_distractor": np.array([0.2, 0.5, 0.36, 0.2, 0.2, 0.2, 0.2, 0.2]),
        "image_distractor": np.array([0.2, 0.2, 0.2, 0.32, 0.32, 0.2, nan, 0.2]),
        "own": np.array([0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.2]),
        "own_elsewhere": np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.2, nan, 0.15]),
    }
    scores["lead"] = scores["target"] - scores["reference"]
    focus = np.array([False, False, False, False, True, False, False, False])
    found = fit.contradicted(scores, focus, Margins(0.1, 0.1, 0.1))
    assert {reason: np.flatnonzero(mask).tolist() for reason, mask in found.items()} == {
        "reference_fits_condition": [1],
        "text_distractor_fits_subject": [2],
        "text_distractor_does_not_fit": [7],
        "image_distractor_fits_condition": [3, 4],
    }
    assert not any(mask.any() for mask in fit.contradicted(scores, focus, Margins()).values())


def test_a_focus_reference_must_lead_the_image_distractor_as_the_target_does() -> None:
    scores = {name: np.array([value]) for name, value in
              {"target": 0.4, "reference": 0.3, "text_distractor": 0.0, "image_distractor": 0.25, "own": 0.4,
               "own_elsewhere": 0.1, "lead": 0.1}.items()}  # fmt: skip
    for focus, rejected in ((True, True), (False, False)):
        found = fit.contradicted(scores, np.array([focus]), Margins(image_distractor=0.1))
        assert bool(found["image_distractor_fits_condition"][0]) is rejected


def mixed(seed: int, pairs: int, wrong: float, chance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed scores, which of them are of right pairs, and shuffled scores."""
    random = np.random.default_rng(seed)

    def drawn(right: np.ndarray) -> np.ndarray:
        return np.where(right, random.normal(*RIGHT, len(right)), random.normal(*FALSE, len(right)))

    right, lucky = random.random(pairs) >= wrong, random.random(pairs) < chance
    return drawn(right), right, drawn(lucky)


@pytest.mark.parametrize("wrong", [0.0, 0.05, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("chance", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_shares_of_wrong_pairs_and_of_lucky_ones_are_found_without_labels(
    wrong: float, chance: float, seed: int
) -> None:
    observed, right, shuffled = mixed(seed, 20_000, wrong, chance)
    found = Mixture.estimate(fit.histogram(observed), fit.histogram(shuffled))
    assert found.wrong == pytest.approx((~right).mean(), abs=0.03)
    assert found.chance == pytest.approx(chance, abs=0.04)


@pytest.mark.parametrize(("wrong", "allowed"), [(0.2, 0.03), (0.4, 0.06), (0.4, 0.01)])
@pytest.mark.parametrize(("pairs", "within"), [(2_000, 0.06), (50_000, 0.02)])
def test_a_threshold_does_what_it_promises(wrong: float, allowed: float, pairs: int, within: float) -> None:
    observed, right, shuffled = mixed(2, pairs, wrong, 0.05)
    found = Mixture.estimate(fit.histogram(observed), fit.histogram(shuffled))
    threshold = found.threshold(allowed)
    kept = observed >= threshold
    told = found.at(threshold)
    assert told["wrong"] <= allowed
    assert (~right)[kept].mean() <= allowed
    assert (~right)[kept].mean() == pytest.approx(told["wrong"], abs=within / 2)
    assert (~kept)[right].mean() == pytest.approx(told["lost"], abs=within)
    assert kept.mean() == pytest.approx(told["kept"], abs=0.005)


def test_where_nothing_is_wrong_no_threshold_is_needed() -> None:
    observed, _, shuffled = mixed(3, 20_000, 0.0, 0.0)
    assert Mixture.estimate(fit.histogram(observed), fit.histogram(shuffled)).threshold(0.03) == -1.0


def test_what_cannot_be_told_apart_is_said() -> None:
    random = np.random.default_rng(4)
    same = [fit.histogram(random.normal(0.2, 0.05, 5000)) for _ in range(2)]
    with pytest.raises(ValueError, match="their scores are like those of pairs put together by chance"):
        Mixture.estimate(*same)
    observed, _, shuffled = mixed(5, 5000, 0.9, 0.0)
    with pytest.raises(ValueError, match=r"no threshold leaves at most 0\.1% wrong; the best leaves \d\.\d%"):
        Mixture.estimate(fit.histogram(observed), fit.histogram(shuffled)).threshold(0.001)
    few = fit.histogram(random.normal(0.2, 0.05, 20))
    with pytest.raises(ValueError, match="20 scored pairs are too few"):
        Mixture.estimate(few, few)
