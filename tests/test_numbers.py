"""Random numbers from keys, runs and ranks, against plain Python; the numbers are pinned: samples hang on them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.numbers import Absent, below, expand, hexadecimal, mix, runs, uniform

examples = settings(deadline=None, derandomize=True)
signed = st.integers(-(2**63), 2**63 - 1)
keys = st.lists(signed, min_size=1, max_size=20).map(lambda values: np.array(values, np.int64))


# mix


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((0,), 6649321510745838866),
        ((1, 2), 10368310971364927627),
        ((2, 1), 10205000774720603121),
        ((np.array([0, 1, -1]),), [6649321510745838866, 12167429649343560939, 8209028575381523478]),
        ((np.array([0, 1, -1]), 7), [10635681340485569974, 10910412320548338565, 3197836820816854081]),
        ((np.array([3], np.uint32), 2**63 - 1), [3919309204907211928]),
    ],
)
def test_mix_gives_the_numbers_it_has_always_given(parts: tuple, expected: object) -> None:
    assert mix(*parts).tolist() == expected
    assert mix(*parts).dtype == np.uint64


@examples
@given(keys, signed)
def test_mix_treats_each_row_alone(column: np.ndarray, constant: int) -> None:
    mixed = mix(column, constant)
    one_by_one = [int(mix(np.array([value]), np.array([constant]))[0]) for value in column.tolist()]
    assert mixed.tolist() == one_by_one
    assert mix(column[::-1], constant).tolist() == one_by_one[::-1]


@examples
@given(st.lists(signed, unique=True, max_size=50), signed)
def test_mix_never_confuses_two_values_of_one_part(values: list[int], other: int) -> None:
    column = np.array(values, np.int64)
    for mixed in (mix(column), mix(other, column), mix(column, other)):
        assert len(set(mixed.tolist())) == len(values)


@examples
@given(st.integers(-128, 127))
def test_mix_depends_on_the_value_and_not_on_the_integer_type(value: int) -> None:
    mixed = {int(mix(np.array([value], type_))[0]) for type_ in (np.int8, np.int16, np.int32, np.int64)}
    if value >= 0:
        mixed |= {int(mix(np.array([value], type_))[0]) for type_ in (np.uint8, np.uint32, np.uint64)}
    assert len(mixed) == 1


def test_mix_depends_on_the_order_of_its_parts() -> None:
    first, second = np.arange(1000), np.arange(1000) + 5000
    assert not (mix(first, second) == mix(second, first)).any()


def test_every_bit_of_a_key_flips_every_bit_of_the_mix_half_of_the_time() -> None:
    numbers = np.arange(4000)
    for bit in (0, 1, 31, 62):
        flipped = mix(numbers) ^ mix(numbers ^ (1 << bit))
        bits = (flipped[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        assert abs(bits.mean(axis=0) - 0.5).max() < 0.05


# uniform and below


def test_uniform_and_below_give_the_numbers_they_have_always_given() -> None:
    column = np.array([0, 1, -1])
    assert uniform(column, 7).tolist() == [0.5765614407608998, 0.5914546370325561, 0.17335508141918854]
    assert below(np.array([10, 1, 1000]), column, 7).tolist() == [5, 0, 173]


@examples
@given(keys, signed)
def test_uniform_is_at_least_0_and_below_1_and_always_the_same(column: np.ndarray, seed: int) -> None:
    numbers = uniform(column, seed)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert np.array_equal(numbers, uniform(column.copy(), seed))


@examples
@given(st.lists(st.tuples(st.integers(1, 2**53), signed), min_size=1, max_size=20), signed)
def test_below_is_at_least_0_and_below_its_limit_and_always_the_same(rows: list[tuple[int, int]], seed: int) -> None:
    limits, column = (np.array(values, np.int64) for values in zip(*rows, strict=True))
    numbers = below(limits, column, seed)
    assert numbers.dtype == np.int64
    assert ((numbers >= 0) & (numbers < limits)).all()
    assert np.array_equal(numbers, below(limits, column, seed))


def test_uniform_of_running_numbers_is_uniform_for_every_seed() -> None:
    numbers = np.arange(20_000)
    p_values = [stats.kstest(uniform(numbers, seed), "uniform").pvalue for seed in range(20)]
    assert min(p_values) > 0.001
    independent = np.corrcoef([uniform(numbers, seed) for seed in range(10)]) - np.eye(10)
    assert abs(independent).max() < 0.04


def test_below_gives_every_number_equally_often() -> None:
    for limit in (2, 3, 7, 100):
        counts = np.bincount(below(np.full(20_000, limit), np.arange(20_000), 1), minlength=limit)
        assert stats.chisquare(counts).pvalue > 0.001


# runs and expand


@examples
@given(st.lists(st.integers(-3, 3), max_size=30).map(sorted))
def test_runs_are_the_groups_of_equal_neighbours(values: list[int]) -> None:
    starts, lengths = runs(np.array(values, np.int64))
    groups = [list(group) for _, group in itertools.groupby(values)]
    assert lengths.tolist() == [len(group) for group in groups]
    assert starts.tolist() == [values.index(group[0]) for group in groups]
    assert starts.dtype == lengths.dtype == np.int64


@examples
@given(st.lists(st.integers(0, 4), max_size=20))
def test_expand_numbers_owners_and_ordinals_as_nested_loops_do(counts: list[int]) -> None:
    owners, ordinals = expand(np.array(counts, np.int64))
    loops = [(owner, ordinal) for owner, count in enumerate(counts) for ordinal in range(count)]
    assert list(zip(owners.tolist(), ordinals.tolist(), strict=True)) == loops


# Absent


@st.composite
def lists_and_exclusions(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    sizes = draw(st.lists(st.integers(0, 8), max_size=8))
    possible = [(owner, member) for owner, size in enumerate(sizes) for member in range(size)]
    exclusions = draw(st.lists(st.sampled_from(possible), max_size=30)) if possible else []
    return sizes, exclusions


@examples
@given(lists_and_exclusions())
def test_absent_counts_and_picks_what_a_set_difference_leaves(
    world: tuple[list[int], list[tuple[int, int]]],
) -> None:
    sizes, exclusions = world
    absent = Absent(
        np.array(sizes, np.int64),
        np.array([owner for owner, _ in exclusions], np.int64),
        np.array([member for _, member in exclusions], np.int64),
    )
    left = [sorted(set(range(size)) - {m for o, m in exclusions if o == owner}) for owner, size in enumerate(sizes)]
    assert absent.counts.tolist() == [len(members) for members in left]
    assert list(zip(absent.owners.tolist(), absent.members.tolist(), strict=True)) == sorted(set(exclusions))
    lists, ranks = expand(absent.counts)
    assert absent.pick(lists, ranks).tolist() == [member for members in left for member in members]
    assert absent.pick(lists[::-1], ranks[::-1]).tolist() == [m for members in left[::-1] for m in members[::-1]]


def test_absent_copes_with_many_members() -> None:
    sizes = np.array([10**9, 3, 10**9])
    absent = Absent(sizes, np.array([0, 2, 2, 1, 1, 1]), np.array([0, 10**9 - 1, 5, 0, 1, 2]))
    assert absent.counts.tolist() == [10**9 - 1, 0, 10**9 - 2]
    picked = absent.pick(np.array([0, 0, 2, 2, 2]), np.array([0, 10**9 - 2, 4, 5, 10**9 - 3]))
    assert picked.tolist() == [1, 10**9 - 1, 4, 6, 10**9 - 2]


# hexadecimal


@examples
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=10))
def test_hexadecimal_is_the_words_in_base_16_beside_each_other(words: list[tuple[int, int]]) -> None:
    columns = [np.array([pair[place] for pair in words], np.uint64) for place in (0, 1)]
    assert hexadecimal(*columns).to_pylist() == [f"{high:016x}{low:016x}" for high, low in words]
    assert hexadecimal(columns[0]).to_pylist() == [f"{high:016x}" for high, _ in words]
