"""Concreteness of names by the norms of Brysbaert, Warriner and Kuperman (2014)."""

import math

import numpy as np
import pyarrow as pa
import pytest

from filters import concreteness


@pytest.mark.parametrize(
    ("name", "rating"),
    [("dog", 4.85), ("cat", 4.86), ("idea", 1.61), ("essentialness", 1.04), ("ice cream", 5.0), ("baseball bat", 5.0)],
)
def test_rated_words_and_expressions_have_their_published_rating(name: str, rating: float) -> None:
    assert concreteness.ratings()[name] == pytest.approx(rating)
    assert concreteness.rate(pa.array([name])).tolist() == [pytest.approx(rating)]
    assert concreteness.rate_exact(pa.array([name])).tolist() == [pytest.approx(rating)]


def test_all_ratings_are_between_1_and_5_and_their_words_in_lower_case() -> None:
    ratings = concreteness.ratings()
    assert len(ratings) > 39_000
    assert min(ratings.values()) >= 1
    assert max(ratings.values()) <= 5
    assert all(name == name.lower() for name in ratings)


def test_words_that_readers_of_tables_take_for_missing_values_are_rated() -> None:
    assert {"null", "nan", "na"} & concreteness.ratings().keys() >= {"null"}


@pytest.mark.parametrize(
    ("compound", "last"), [("guard dog", "dog"), ("small hairy cat", "cat"), ("zzyzx idea", "idea")]
)
def test_an_unrated_compound_is_as_concrete_as_its_last_word(compound: str, last: str) -> None:
    assert compound not in concreteness.ratings()
    assert concreteness.rate(pa.array([compound, last])).tolist() == [concreteness.ratings()[last]] * 2


def test_a_rated_compound_has_its_own_rating() -> None:
    ratings = concreteness.ratings()
    assert ratings["hot dog"] != ratings["dog"]
    assert concreteness.rate(pa.array(["hot dog"])).tolist() == [ratings["hot dog"]]


@pytest.mark.parametrize("name", ["zzyzx", "guard zzyzx", "dog zzyzx", "", " ", "Dog"])
def test_what_is_not_rated_is_nan_and_minus_1_by_the_published_rule(name: str) -> None:
    assert math.isnan(concreteness.rate(pa.array([name]))[0])
    assert concreteness.rate_exact(pa.array([name])).tolist() == [-1.0]


def test_by_the_published_rule_a_compound_that_is_not_rated_whole_is_unknown() -> None:
    assert concreteness.rate_exact(pa.array(["guard dog", "ice cream", "dog"])).tolist() == [-1.0, 5.0, 4.85]


@pytest.mark.parametrize("rate", [concreteness.rate, concreteness.rate_exact])
@pytest.mark.parametrize(
    "names",
    [pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.chunked_array([pa.array([], pa.string())])],
    ids=["array", "no chunks", "an empty chunk"],
)
def test_no_names_have_no_ratings(rate, names) -> None:
    rated = rate(names)
    assert rated.dtype == np.float64
    assert rated.shape == (0,)


@pytest.mark.parametrize("rate", [concreteness.rate, concreteness.rate_exact])
def test_every_row_is_rated_in_its_place_however_the_column_is_chunked(rate) -> None:
    names = ["dog", "idea", "zzyzx", "dog", "guard dog", "cat", "idea", "dog"]
    whole = rate(pa.array(names))
    for chunks in ([names], [names[:3], [], names[3:]], [[name] for name in names]):
        assert np.array_equal(rate(pa.chunked_array(chunks, pa.string())), whole, equal_nan=True)
    assert np.array_equal(rate(pa.array(names).slice(2, 4)), whole[2:6], equal_nan=True)
    assert np.array_equal(rate(pa.array(names).dictionary_encode()), whole, equal_nan=True)
    one_by_one = np.concatenate([rate(pa.array([name])) for name in names])
    assert np.array_equal(one_by_one, whole, equal_nan=True)
