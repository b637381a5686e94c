"""Axes of attributes: against labels made by hand, and the cases that a subject decides."""

import csv
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from filters import visual
from filters.axes import AXES, axes, axis_ambiguity, axis_of
from filters.exclusive import excludes, exclusion_groups, exclusive, exclusive_values
from filters.lexicon import rows

LABELS = Path(__file__).parent / "data" / "axis_labels.tsv"


def labels(name: str, draw: str = "") -> list[tuple[str, str, list[str]]]:
    with LABELS.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            (row["subject"], row["value"], row["axes"].split(","))
            for row in table
            if row["list"] == name and draw in ("", row["draw"])
        ]


@pytest.mark.parametrize(("draw", "floor"), [("frequency", 0.95), ("rare", 0.93)])
def test_axes_of_facts_labelled_by_hand(draw: str, floor: float) -> None:
    facts = labels("test", draw)
    assert len(facts) == 150
    right = [axis_of(subject, value) in accepted for subject, value, accepted in facts]
    assert np.mean(right) >= floor


def test_other_is_said_only_where_no_axis_fits() -> None:
    facts = labels("test")
    needless = [axis_of(subject, value) == "other" and "other" not in accepted for subject, value, accepted in facts]
    assert np.mean(needless) <= 0.03


@pytest.mark.parametrize(
    ("subject", "value", "axis"),
    [
        ("car", "silver", "color"), ("spoon", "silver", "material"), ("rings", "gold", "material"),
        ("hair", "golden", "color"), ("juice", "orange", "type"), ("shirt", "orange", "color"),
        ("day", "hot", "weather"), ("coffee", "hot", "state"), ("sky", "bright", "weather"),
        ("dress", "bright", "color"), ("man", "old", "age"), ("floor", "light wood", "material"),
        ("shirt", "polka dot", "pattern"), ("coat", "navy blue", "color"), ("cat", "black and white", "color"),
        ("shirt", "long-sleeved", "shape"), ("shirt", "bright red", "color"), ("sign", "heart-shaped", "shape"),
        ("dogs", "2", "quantity"), ("dogs", "several", "quantity"), ("player", "female", "appearance"),
        ("elephant", "baby", "age"), ("racket", "tennis", "type"), ("dress", "wedding", "type"),
        ("row", "first", "position"), ("hand", "left", "position"), ("sky", "night", "time"),
        ("man", "walking", "action"), ("car", "parked", "state"), ("helmet", "batting", "type"),
        ("woman", "smiling", "action"), ("man", "happy", "emotion"), ("house", "victorian", "origin"),
        ("wave", "same", "other"), ("dog", "", "other"), ("man", "zorbing", "action"),
        ("bread", "overtoasted", "state"), ("cat", "plum-colored", "color"),
        ("vase", "egg-shaped", "shape"), ("phone", "Dark - Blue", "color"),
    ],
)  # fmt: skip
def test_axis_is_judged_by_subject_and_head(subject: str, value: str, axis: str) -> None:
    assert axis_of(subject, value) == axis


def test_axes_of_columns_are_those_of_their_rows_and_null_where_there_is_no_attribute() -> None:
    subjects = pa.chunked_array([["car", "spoon"], ["dog", None]])
    values = pa.chunked_array([["silver", "silver"], [None, "red"]])
    assert axes(subjects, values).to_pylist() == ["color", "material", None, "color"]
    assert axes(pa.array([], pa.string()), pa.array([], pa.string())).to_pylist() == []
    assert axes(pa.array(["car"]).dictionary_encode(), pa.array(["red"]).dictionary_encode()).to_pylist() == ["color"]


def test_tables_name_their_source_and_known_axes_only() -> None:
    for table in ("axis_values", "axis_contexts", "axis_endings", "verbs", "exclusions"):
        found = rows(table)
        assert {row["axis"] for row in found} <= set(AXES)
        assert all(row["source"] for row in found)


def test_ambiguity_counts_the_axes_that_subjects_give_a_value() -> None:
    red, light, unheard, missing = axis_ambiguity(pa.array(["red", "light", "zyx", None]))
    assert red == unheard == missing == 0
    assert light > 1


@pytest.mark.parametrize(
    ("axis", "value", "other"),
    [
        ("color", "red", "blue"), ("color", "dark blue", "red"), ("color", "crimson", "blue"),
        ("color", "black and white", "green"), ("color", "light", "dark"), ("age", "young", "old"),
        ("size", "big", "small"), ("size", "short", "tall"), ("size", "short", "long"),
        ("material", "wooden", "metal"), ("state", "open", "closed"), ("state", "wet", "dry"),
        ("action", "sitting", "standing"), ("quantity", "2", "3"), ("quantity", "25", "3"),
        ("quantity", "single", "several"), ("shape", "round", "square"), ("weather", "sunny", "cloudy"),
        ("pattern", "striped", "plaid"), ("position", "left", "right"), ("time", "summer", "winter"),
    ],
)  # fmt: skip
def test_opposites_exclude_each_other_both_ways(axis: str, value: str, other: str) -> None:
    assert exclusive(axis, value, other)
    assert exclusive(axis, other, value)
    assert exclusive_values(pa.array([axis]), pa.array([value]), pa.array([other])).tolist() == [True]


@pytest.mark.parametrize(
    ("axis", "value", "other"),
    [
        ("color", "red", "red"), ("color", "dark blue", "blue"), ("color", "grey", "gray"), ("color", "crimson", "red"),
        ("color", "black and white", "black"), ("color", "teal", "blue"), ("color", "colorful", "red"),
        ("color", "red", "dark"), ("size", "tall", "wide"), ("size", "large", "giant"),
        ("action", "walking", "holding"), ("quantity", "several", "3"),
        ("quantity", "couple of", "2"), ("material", "steel", "metal"),
        ("weather", "rainy", "cloudy"), ("pattern", "striped", "red"), ("age", "baby", "young"),
        ("state", "wet", "red"), ("color", "zyx", "red"),
    ],
)  # fmt: skip
def test_what_may_both_be_true_is_not_exclusive(axis: str, value: str, other: str) -> None:
    assert not exclusive(axis, value, other)
    assert not exclusive(axis, other, value)


def test_groups_and_members_tell_in_columns_what_excludes_what() -> None:
    groups, members = exclusion_groups(
        pa.array(["color", "color", "color", "size", None]), pa.array(["red", "dark blue", "blue", "tall", None])
    )
    assert groups.dtype == members.dtype == np.int32
    assert groups.tolist()[-1] == -1
    found = excludes(groups[:, None], members[:, None], groups, members)
    assert np.argwhere(found).tolist() == [[0, 1], [0, 2], [1, 0], [2, 0]]


def test_members_of_a_group_fit_the_bits_of_int32() -> None:
    members: dict[tuple[str, str], set[str]] = {}
    for row in rows("exclusions"):
        members.setdefault((row["axis"], row["group"]), set()).update(row["members"].split(","))
    assert max(map(len, members.values())) <= 31


def test_visual_strength_is_that_of_the_lancaster_norms() -> None:
    found = visual.visual_strength(pa.array(["aardvark", "abacus", "pale abacus", "zzyzx", None])).tolist()
    assert found[:3] == [4.12, 3.94, 3.94]
    assert all(map(math.isnan, found[3:]))
    ratings = visual.ratings().values()
    assert len(ratings) > 39_000
    assert 0 <= min(ratings) <= max(ratings) <= 5
