"""Which names say the same thing, and which thing is a kind of which: "couch" is "sofa", "puppy" a "dog" an "animal".

It serves things and attribute values alike ("grey" is "gray", "crimson" is a "red"). The tables are in
``filters/data``; ``docs/axes.md`` tells where they come from.

- ``synonyms.tsv``: words that captions use for the same thing. Kept to those that hold in either direction.
- ``plurals.tsv``: plurals that no rule finds, and words that only look like plurals.
- ``things.tsv``: the next more general names of a thing, from WordNet's hypernyms, cut down to names that captions use
  and corrected by reading the nouns that captions use most.
- ``alike.tsv``: different things that captions do not keep apart, such as "girl" and "woman".
- ``implied.tsv``: what a name says beside its kind: a "toddler" is young, a "surfer" has a wave, a "beach" the sea; and
  what a verb says ("to swim") beside its subject and object.

What no table has: a compound is a kind of its last word ("tennis court" is a "court"), unless its first word says that
it only looks like one ("toy car").
"""

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa

from filters.distinct import by_distinct, by_distinct_pair
from filters.lexicon import mapping, rows

_CACHED = 1 << 18

LIKENESSES = frozenset(
    "artificial balloon cardboard carved ceramic chocolate costume drawn fake gingerbread imitation inflatable lego "
    "mock model origami painted paper pretend robot robotic sculpted statue stuffed toy".split()
)
"""First words of compounds that look like their last word and are none; facetmine's own list."""

_PLAIN_PEOPLE = frozenset("man woman boy girl child teenager adult male female guy".split())
"""Names that tell sex or age and no role: a "player" may be any of them, while a "bride" is no man."""


def canonical(names: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The one name for each of the names: singular, one spelling, one of several synonyms; null stays null."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    encoded = names.dictionary_encode()
    distinct = encoded.dictionary
    table = pa.array([canonical_name(name) for name in distinct.to_pylist()], pa.string())
    return table.take(encoded.indices)


def ancestors(names: pa.Array | pa.ChunkedArray) -> pa.ListArray:
    """For every name all more general names, nearest first, without the name itself; null gives the empty list."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    encoded = names.dictionary_encode()
    lists = [list(ancestors_of(name)) for name in encoded.dictionary.to_pylist()]
    table = pa.array([*lists, []], pa.list_(pa.string()))
    return table.take(encoded.indices.fill_null(len(lists)))


def related(names: pa.Array | pa.ChunkedArray, others: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Whether one of two names may stand for the other; bool, row by row.

    They may where they are the same, where one is a kind of the other, or where captions do not keep them apart.

    A picture whose caption says "puppy" shows a dog, and one whose caption says "animal" may.
    """
    return by_distinct_pair(names, others, _may_be_same, bool)


def depths(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """How many more general names each has, int32: 0 for the most general and for what the tables do not know."""
    return by_distinct(names, lambda name: len(ancestors_of(name)), np.int32)


@lru_cache(_CACHED)
def canonical_name(name: str) -> str:
    """The one name of a thing or value: "red sofas" and "red couch" are both "red sofa"."""
    name = " ".join(name.lower().replace(" - ", "-").split())
    synonyms = mapping("synonyms", "name", "canonical")
    for known in (name, name.replace("-", " ")):
        if known in synonyms:
            return synonyms[known]
    first, _, last = name.rpartition(" ")
    singular = _singular(last)
    whole = f"{first} {singular}".strip()
    if whole in synonyms:
        return synonyms[whole]
    if first and whole not in _parents():  # "mountain bike" is known and stays, "old bike" is an "old bicycle"
        return f"{first} {synonyms.get(singular, singular)}"
    return whole


@lru_cache(_CACHED)
def parents(name: str) -> tuple[str, ...]:
    """The next more general names of a thing or value, in canonical form; none where nothing is known."""
    name = canonical_name(name)
    known = _parents().get(name)
    if known is not None:
        return known
    first, _, last = name.rpartition(" ")
    if not first or first.partition(" ")[0] in LIKENESSES or " and " in name or len(last) < 3:
        return ()
    return (last,)


@lru_cache(_CACHED)
def ancestors_of(name: str) -> tuple[str, ...]:
    """All more general names, nearest first, without the name itself."""
    found: dict[str, None] = {}
    level: Sequence[str] = parents(name)
    while level:
        found |= dict.fromkeys(level)
        level = [parent for child in level for parent in parents(child) if parent not in found]
    return tuple(found)


def is_a(name: str, kind: str) -> bool:
    """Whether a name is that of a kind or of one of its kinds: ``is_a("puppies", "dog")``."""
    name, kind = canonical_name(name), canonical_name(kind)
    return name == kind or kind in ancestors_of(name)


def _may_be_same(name: str, other: str) -> bool:
    name, other = canonical_name(name), canonical_name(other)
    if name == other:
        return True
    above, others_above = ancestors_of(name), ancestors_of(other)
    if name in others_above or other in above:
        return True
    if "person" in above and "person" in others_above and (name in _PLAIN_PEOPLE) != (other in _PLAIN_PEOPLE):
        role_above = others_above if name in _PLAIN_PEOPLE else above
        if _PLAIN_PEOPLE.isdisjoint(role_above):
            return True
    return any(near in _alike().get(kind, ()) for kind in (name, *above) for near in (other, *others_above))


def may_be_anyone(name: str) -> bool:
    """Whether a name is that of people by what they do or are to each other: a "player" may be a man or a woman."""
    kinds = {canonical_name(name), *ancestors_of(name)}
    return not kinds.isdisjoint({"person", "people"}) and kinds.isdisjoint(_PLAIN_PEOPLE)


def is_plain_person(name: str) -> bool:
    """Whether a name tells sex or age of a person and no role."""
    return canonical_name(name) in _PLAIN_PEOPLE


def alike_of(name: str) -> frozenset[str]:
    """Other things that captions do not keep apart from it: a "child" may be a girl."""
    return _alike().get(canonical_name(name), frozenset())


def implied_by(name: str) -> tuple[str, ...]:
    """What a picture shows of which a caption uses that name, beside the thing and its kinds: a "surfer" the sea."""
    return _implied().get(canonical_name(name), ())


@lru_cache(_CACHED)
def implied_by_predicate(predicate: str) -> tuple[str, ...]:
    """What a picture shows of what does so, beside subject and object: who "swims toward" something is in water."""
    return _implied().get(f"to {predicate.partition(' ')[0]}", ())


@cache
def _implied() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for row in rows("implied"):
        name = canonical_name(row["name"])
        found = (*table.get(name, ()), *map(canonical_name, row["implies"].split(",")))
        table[name] = tuple(dict.fromkeys(found))
    return table


@cache
def _alike() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for row in rows("alike"):
        name, other = canonical_name(row["name"]), canonical_name(row["other"])
        table.setdefault(name, set()).add(other)
        table.setdefault(other, set()).add(name)
    return {name: frozenset(others) for name, others in table.items()}


@cache
def _parents() -> dict[str, tuple[str, ...]]:
    synonyms = mapping("synonyms", "name", "canonical")
    table: dict[str, tuple[str, ...]] = {}
    for row in sorted(rows("things"), key=lambda row: row["name"] in synonyms):  # a name's own row before its synonyms'
        name = synonyms.get(row["name"], row["name"])
        found = [synonyms.get(parent, parent) for parent in row["parents"].split(",") if parent]
        table.setdefault(name, tuple(dict.fromkeys(parent for parent in found if parent != name)))
    return table


def _singular(word: str) -> str:
    exception = mapping("plurals", "plural", "singular").get(word)
    if exception is not None:
        return exception
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is", "'s")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return word[:-2]
    return word[:-1]
