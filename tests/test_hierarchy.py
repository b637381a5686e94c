"""Synonyms, plurals and kinds of things and values."""

import numpy as np
import pyarrow as pa
import pytest

from filters.hierarchy import (
    ancestors,
    ancestors_of,
    canonical,
    canonical_name,
    implied_by,
    implied_by_predicate,
    is_a,
    parents,
    related,
)
from filters.lexicon import rows


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("couch", "sofa"), ("bikes", "bicycle"), ("tv", "television"), ("grey", "gray"), ("puppies", "puppy"),
        ("leaves", "leaf"), ("women", "woman"), ("buses", "bus"), ("bus", "bus"), ("glasses", "glasses"),
        ("jeans", "jeans"), ("dress", "dress"), ("dresses", "dress"), ("shoes", "shoe"), ("tennis", "tennis"),
        ("old bikes", "old bicycle"), ("mountain bike", "mountain bike"), ("wooden", "wood"), ("people", "person"),
        ("multi - colored", "multicolored"), ("hot dogs", "hot dog"), ("christmas", "christmas"), ("", ""),
    ],
)  # fmt: skip
def test_synonyms_plurals_and_spellings_have_one_name(name: str, one: str) -> None:
    assert canonical_name(name) == one
    assert canonical_name(one) == one


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("dog", ["animal"]), ("puppies", ["dog", "animal"]), ("crimson", ["red"]), ("dark blue", ["blue"]),
        ("man", ["person"]), ("oak", ["tree", "plant"]), ("tennis court", ["court"]), ("couch", ["furniture"]),
        ("golden retriever", ["dog"]), ("fire truck", ["truck", "vehicle"]), ("polar bear", ["bear", "animal"]),
        ("pond", ["body of water", "water"]), ("cupcake", ["cake", "food"]), ("sedan", ["car"]),
        ("tulip", ["flower", "plant"]), ("rose", ["flower"]), ("orange", ["fruit"]), ("guitar", ["musical instrument"]),
    ],
)  # fmt: skip
def test_kinds(name: str, kinds: list[str]) -> None:
    assert set(kinds) <= set(ancestors_of(name))
    assert all(is_a(name, kind) for kind in kinds)


@pytest.mark.parametrize(
    ("name", "not_kind"),
    [
        ("hot dog", "dog"), ("teddy bear", "bear"), ("teddy bear", "animal"), ("toy car", "car"), ("snowman", "man"),
        ("license plate", "plate"), ("crane", "bird"), ("bat", "animal"), ("fish tank", "vehicle"), ("animal", "dog"),
        ("black and white", "white"), ("dog", "cat"), ("stuffed monkey", "monkey"), ("sea horse", "horse"),
    ],
)  # fmt: skip
def test_what_only_sounds_like_a_kind_is_none(name: str, not_kind: str) -> None:
    assert not is_a(name, not_kind)


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("puppy", "dog", True), ("animal", "puppies", True), ("people", "man", True), ("player", "woman", True),
        ("girl", "woman", True), ("ocean", "water", True), ("sofa", "couch", True), ("man", "woman", False),
        ("dog", "cat", False), ("bride", "man", False), ("hot dog", "dog", False), ("red", "crimson", True),
        ("red", "blue", False), ("player", "politician", False), (None, "dog", False),
    ],
)  # fmt: skip
def test_related_names_may_stand_for_each_other(name: str | None, other: str, expected: bool) -> None:
    names, others = pa.array([name], pa.string()), pa.array([other])
    assert related(names, others).tolist() == [expected]
    assert related(others, names).tolist() == [expected]


def test_columns_keep_their_rows_and_nulls() -> None:
    names = pa.chunked_array([["couch", None], ["puppies"]])
    assert canonical(names).to_pylist() == ["sofa", None, "puppy"]
    assert ancestors(names).to_pylist() == [["seat", "furniture"], [], ["dog", "animal"]]
    assert canonical(pa.array(["couch", "couch"]).dictionary_encode()).to_pylist() == ["sofa", "sofa"]
    assert related(pa.array([], pa.string()), pa.array([], pa.string())).dtype == np.bool_


def test_no_name_is_its_own_kind() -> None:
    for row in rows("things"):
        assert canonical_name(row["name"]) not in ancestors_of(row["name"])
        assert all(parents(parent) is not None for parent in parents(row["name"]))


def test_names_and_verbs_imply_what_they_show_beside_themselves() -> None:
    assert "sea" in implied_by("surfers")
    assert "flower" in implied_by("floral")
    assert "water" in implied_by_predicate("swim toward")
    assert implied_by("swim") == implied_by_predicate("near water") == ()
    assert all(row["source"] and row["implies"] for row in rows("implied"))
