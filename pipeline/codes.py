"""Names as integers: what the mining stages compare, sort and shuffle instead of strings."""

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import pyarrow as pa

from filters import hierarchy
from filters.distinct import by_distinct
from pipeline.numbers import mix
from pipeline.readers.identity import hash64

_CACHED = 1 << 20
"""Names kept: parts of a table say the same things, and threads wait for each other while Python hashes."""


def codes(names: pa.Array) -> np.ndarray:
    """64-bit hashes of an array of strings, or of a dictionary array of them; int64, null is 0."""
    return _by_name(names, code)


def thing_codes(names: pa.Array) -> np.ndarray:
    """The same of the things or values that the names stand for: "couch" and "sofas" are one; int64, null is 0."""
    return _by_name(names, _thing_code)


def condition_codes(predicates: pa.Array, objects: pa.Array) -> np.ndarray:
    """Uint64 hashes of the conditions "predicate object", equal where the words are.

    So "on" and "top shelf" are the same condition as "on top" and "shelf", and "on sofas" the same as "on couch". The
    hash is a polynomial in the words' hashes, which can be joined without joining the strings.
    """
    predicates, objects = predicates.dictionary_encode(), objects.dictionary_encode()
    power = by_distinct(objects, lambda name: _phrase_power(hierarchy.canonical_name(name)), np.uint64)
    words = by_distinct(objects, lambda name: _phrase(hierarchy.canonical_name(name)), np.uint64)
    with np.errstate(over="ignore"):
        return mix(by_distinct(predicates, _phrase, np.uint64) * power + words)


def claims(names: pa.Array) -> pa.ListArray:
    """What a caption claims that uses each of the names, as lists of uint32.

    "puppy" claims a puppy, a dog, an animal and something young (filters/hierarchy.py), and says "puppy". What must not
    be so (:func:`denials`) is looked up among the claims.
    """
    return _lists_by_name(names, _claims_of)


def predicate_claims(predicates: pa.Array) -> pa.ListArray:
    """What a caption claims by each of the predicates alone ("swim toward" claims water), as lists of uint32."""
    return _lists_by_name(predicates, lambda words: map(_is, hierarchy.implied_by_predicate(words)))


def denials(names: pa.Array) -> pa.ListArray:
    """The claims of which an image must make none to be one that lacks the named thing, as lists of uint32.

    An image lacks a girl when no caption claims one ("girl", "schoolgirl") or says what may be one ("person", "child",
    "swimmer"); it lacks a bride when none says what may be one ("woman", or "girl", which is not kept apart from that).
    """
    return _lists_by_name(names, _denials_of)


@lru_cache(_CACHED)
def code(name: str) -> int:
    """The hash of one name."""
    return int(hash64([name])[0])


def _by_name(names: pa.Array, function: Callable[[str], int]) -> np.ndarray:
    encoded = names.dictionary_encode()  # of a dictionary array, itself
    hashes = np.fromiter(map(function, encoded.dictionary.to_pylist()), np.int64, len(encoded.dictionary))
    return np.append(hashes, np.int64(0))[encoded.indices.fill_null(len(hashes)).to_numpy()]


def _lists_by_name(names: pa.Array, function: Callable[[str], Iterable[int]]) -> pa.ListArray:
    encoded = names.dictionary_encode()
    lists = [list(function(name)) for name in encoded.dictionary.to_pylist()]
    return pa.array(lists, pa.list_(pa.uint32())).take(encoded.indices)


@lru_cache(_CACHED)
def _thing_code(name: str) -> int:
    return code(hierarchy.canonical_name(name))


# A claim is the low half of a hash: two names that share it only make a negative stricter than it must be.


@lru_cache(_CACHED)
def _claims_of(name: str) -> tuple[int, ...]:
    name = hierarchy.canonical_name(name)
    kinds = (name, *hierarchy.ancestors_of(name))
    implied = [value for kind in kinds for value in hierarchy.implied_by(kind)]
    anyone = (_ANYONE,) if hierarchy.may_be_anyone(name) else ()
    return (*(_is(kind) for kind in (*kinds, *implied)), _says(name), *anyone)


@lru_cache(_CACHED)
def _denials_of(name: str) -> tuple[int, ...]:
    name = hierarchy.canonical_name(name)
    anyone = (_ANYONE,) if hierarchy.is_plain_person(name) else ()
    kinds = hierarchy.ancestors_of(name)
    alike = {other for kind in (name, *kinds) for other in hierarchy.alike_of(kind)}
    return (_is(name), *map(_says, sorted({*kinds, *alike})), *anyone)


def _is(name: str) -> int:
    return code(name) & 0xFFFFFFFF


def _says(name: str) -> int:
    return code(f"said:{name}") & 0xFFFFFFFF


_ANYONE = _says("anyone")
"""Claimed by who may be a man as well as a woman ("surfer")."""

_BASE = 0x9E3779B97F4A7C15


@lru_cache(_CACHED)
def _phrase(words: str) -> int:
    total = 0
    for word in words.split():
        total = (total * _BASE + code(word)) % 2**64
    return total


@lru_cache(_CACHED)
def _phrase_power(words: str) -> int:
    return pow(_BASE, len(words.split()), 2**64)
