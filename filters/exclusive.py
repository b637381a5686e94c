"""Which values of an axis cannot both be true of one thing: red and blue, young and old, open and closed, 2 and 3.

The table ``filters/data/exclusions.tsv`` (facetmine's own) sorts values into groups, such as hue or wetness, and gives
each the *members* of its group that it may mean: "teal" may be called blue or green. Two values exclude each other
where they are in the same group and share no member. What is in no group, or in different groups ("striped" and "red",
"tall" and "wide"), excludes nothing: only what is sure is claimed.

A value is in several groups where it is an opposite in several ways: "frozen" of "hot" and of "melted".
"""

from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.distinct import by_distinct_pair
from filters.hierarchy import ancestors_of, canonical_name
from filters.lexicon import rows

_CACHED = 1 << 18
_HUE = ("color", "hue")


def exclusion_groups(
    axes: pa.Array | pa.ChunkedArray, values: pa.Array | pa.ChunkedArray
) -> tuple[np.ndarray, np.ndarray]:
    """The group of each value and its members there, as int32 columns; a value of several groups gets its first.

    Returns:
        group: number of the group, -1 where the value excludes nothing.
        member: bits of the members that the value may mean. Two values of one group exclude each other where their bits
            have none in common: ``(group == other_group) & (group >= 0) & (member & other_member == 0)``.
    """
    packed = by_distinct_pair(axes, values, _first, np.int64)
    return (packed >> 32).astype(np.int32), (packed & 0x7FFFFFFF).astype(np.int32)


def excludes(
    groups: np.ndarray, members: np.ndarray, other_groups: np.ndarray, other_members: np.ndarray
) -> np.ndarray:
    """Whether values exclude each other, from their groups and members; bool, by numpy's broadcasting."""
    return (groups >= 0) & (groups == other_groups) & ((members & other_members) == 0)


def exclusive_values(
    axes: pa.Array | pa.ChunkedArray, values: pa.Array | pa.ChunkedArray, others: pa.Array | pa.ChunkedArray
) -> np.ndarray:
    """Whether two values of an axis exclude each other by any of their groups; bool, row by row."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(others, pa.ChunkedArray):
        others = others.combine_chunks()
    separator = pa.scalar("\t")
    pairs = pc.binary_join_element_wise(values.cast(pa.string()), others.cast(pa.string()), separator)
    return by_distinct_pair(axes, pairs, lambda axis, pair: "\t" in pair and exclusive(axis, *pair.split("\t")), bool)


def exclusive(axis: str, value: str, other: str) -> bool:
    """Whether two values of an axis cannot both be true of one thing."""
    groups, other_groups = dict(_memberships(axis, value)), dict(_memberships(axis, other))
    return any(members & other_groups[group] == 0 for group, members in groups.items() if group in other_groups)


def _first(axis: str, value: str) -> int:
    memberships = _memberships(axis, value)
    if not memberships:
        return -1 << 32
    group, members = memberships[0]
    return group << 32 | members


@lru_cache(_CACHED)
def _memberships(axis: str, value: str) -> tuple[tuple[int, int], ...]:
    """Groups of a value with the bits of its members there; of a kind that it belongs to where it has none itself."""
    table = _table()
    name = canonical_name(value)
    names = [value.lower(), name, value.lower().replace("-", " "), name.replace(" ", "-")]
    if axis == "color" and " " in name.replace("-", " "):
        found = _several_colors(name)
        if found:
            return found
    if axis == "quantity" and name.isdigit() and int(name) > 20:
        return table.get((axis, "more"), ())
    for known in dict.fromkeys([*names, *ancestors_of(name)]):
        if (axis, known) in table:
            return table[axis, known]
    return ()


def _several_colors(name: str) -> tuple[tuple[int, int], ...]:
    """Hue of a value of several words: "dark blue" is a blue, "black and white" may be called either."""
    hues: dict[int, int] = {}
    for word in name.replace("-", " ").split():
        for group, members in _memberships("color", word):
            if group == _group_numbers()[_HUE]:
                hues[group] = hues.get(group, 0) | members
    return tuple(hues.items())


@cache
def _group_numbers() -> dict[tuple[str, str], int]:
    keys = dict.fromkeys((row["axis"], row["group"]) for row in rows("exclusions"))
    return {key: number for number, key in enumerate(keys)}


@cache
def _table() -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    numbers = _group_numbers()
    bits: dict[int, dict[str, int]] = {}
    table: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
    for row in rows("exclusions"):
        group = numbers[row["axis"], row["group"]]
        known = bits.setdefault(group, {})
        members = 0
        for member in row["members"].split(","):
            members |= known.setdefault(member, 1 << len(known))
        for value in dict.fromkeys([row["value"], canonical_name(row["value"])]):
            entries = dict(table.get((row["axis"], value), ()))
            entries[group] = entries.get(group, 0) | members
            table[row["axis"], value] = tuple(entries.items())
    return table
