"""The axis of an attribute, judged by what it is said of: a silver car has a color, a silver spoon a material.

An attribute fact ``(subject, is, value)`` lies on one of ``AXES``. Tables in ``filters/data`` decide, rules only where
they are silent; ``docs/axes.md`` tells where the tables come from and how often they are right.

- ``axis_contexts.tsv``: value, subject, axis. The subject is a thing or a kind of things (``filters.hierarchy``); the
  nearest kind decides.
- ``axis_values.tsv``: value, axis, source, for every other subject.
- ``axis_endings.tsv``: last words of compounds and last letters of words that those two do not have.
- ``verbs.tsv``: what the participles of a verb tell: ``action`` or ``state``.
"""

from functools import cache, lru_cache

import numpy as np
import pyarrow as pa

from filters.distinct import by_distinct, by_distinct_pair
from filters.hierarchy import ancestors_of, canonical_name
from filters.lexicon import mapping, rows

AXES = (
    "color",
    "material",
    "pattern",
    "shape",
    "size",
    "age",
    "state",
    "action",
    "emotion",
    "quantity",
    "type",
    "origin",
    "appearance",
    "position",
    "time",
    "weather",
    "other",
)
"""All axes; a value's number among them is the code that the columnar functions use."""

_CODES = {axis: code for code, axis in enumerate(AXES)}
_CACHED = 1 << 18

_NUMBERS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million dozen".split()
)
_DEGREES = frozenset(
    "very quite rather really pretty extremely slightly somewhat fairly too so super ultra partially partly fully half "
    "semi more most less least almost nearly mostly all well newly freshly neatly highly brightly not never".split()
)
_PREPOSITIONS = frozenset(
    "in on at to by near behind under underneath below above over beneath beside between inside outside across along "
    "around against from off onto upon within next towards toward through".split()
)
_KINDS = (
    ("material", frozenset("metal wood stone fabric leather plastic".split())),
    ("color", frozenset(["color"])),
    ("time", frozenset(["time"])),
    ("shape", frozenset(["shape"])),
    ("pattern", frozenset(["pattern"])),
    ("emotion", frozenset(["emotion"])),
)
"""What a noun says of another, by its kind; other nouns tell its type."""

_ANIMATE = frozenset(["person", "animal"])
_PURPOSED = frozenset(
    "clothing furniture building room container tableware cookware tool appliance eyewear bag event "
    "shot class lesson session station era sign helmet glove footwear headwear gear equipment console kit set "
    "dock".split()
) | {"sports equipment"}
"""Things before which a participle tells what they are for: a batting helmet does not bat."""


def axes(subjects: pa.Array | pa.ChunkedArray, attributes: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The axis of every attribute fact, as strings; null where the attribute is null."""
    codes = by_distinct_pair(subjects, attributes, lambda subject, value: _CODES[axis_of(subject, value)], np.int8)
    if isinstance(attributes, pa.ChunkedArray):
        attributes = attributes.combine_chunks()
    missing = attributes.is_null().to_numpy(zero_copy_only=False)
    return pa.array(AXES, pa.string()).take(pa.array(codes, mask=missing))


def axis_ambiguity(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """How open the axis of a value is without its subject, in bits, float64: 0 for "red", more than 1 for "light".

    Entropy of the axes that the tables give a value, where each context counts as much as the value's own axis.
    """
    return by_distinct(values, _ambiguity, np.float64)


@lru_cache(_CACHED)
def axis_of(subject: str, value: str) -> str:
    """The axis of a value said of a subject, one of ``AXES``."""
    value = _normal(value)
    if not value:
        return "other"
    for spelling in _spellings(value):
        found = _contexts().get(spelling)
        if found is not None:
            for name in _names(subject):
                if name in found:
                    return found[name]
        axis = _values().get(spelling)
        if axis is not None:  # what tells a thing's purpose tells what a living being does: "racing car", "man racing"
            acts = axis == "type" and value.endswith("ing") and not _ANIMATE.isdisjoint(_names(subject))
            return "action" if acts else axis
    return _composed(subject, value) or _by_word(subject, value) or "other"


def _composed(subject: str, value: str) -> str | None:
    """The axis of a value of several words."""
    words = value.replace("-", " ").split()
    if len(words) == 1:
        return None
    if words[0] in ("un", "non"):
        return axis_of(subject, " ".join(words[1:]))
    ending = _endings("word").get(words[-1])
    if ending is not None and words[0] not in _DEGREES:  # "modern looking" tells what "modern" does
        return axis_of(subject, words[0]) if words[-1] == "looking" and len(words) == 2 else ending
    if words[0] in _DEGREES or (words[0].endswith("ly") and words[0] not in ("family", "early", "only", "fly")):
        return axis_of(subject, " ".join(words[1:]))
    if words[0] in ("like", "as"):
        return "appearance"
    if "of" in words[1:3]:
        return "quantity" if words[-1] == "of" else axis_of(subject, words[0])
    if words[0] in _PREPOSITIONS:
        return "position"
    if "and" in words[1:-1]:
        first = axis_of(subject, " ".join(words[: words.index("and")]))
        return first if first != "other" else axis_of(subject, " ".join(words[words.index("and") + 1 :]))
    if words[0].isdigit() or words[0] in _NUMBERS:
        return "age" if "century" in words or words[-1] == "old" else "quantity"
    if "person" in ancestors_of(words[-1]):  # "baby boy", "lead singer"
        return "type"
    if _participle(words[0], "ing"):  # "looking down", "holding hands"; "swimming pool" is in the tables
        return "position" if words[0] == "facing" else axis_of(subject, words[0])
    if words[1] in _PARTICLES:
        return axis_of(subject, words[0])
    if _participle(words[-1], "ing") and _ANIMATE.isdisjoint(_names(subject)):  # "gold mining", "paddle boarding"
        return "type"
    head = axis_of(subject, words[-1])
    return axis_of(subject, words[0]) if head == "other" else head


_PARTICLES = frozenset("up down out off over away back together apart open in on around through by again".split())


def _by_word(subject: str, value: str) -> str | None:
    """The axis of a word that no table has, by its form."""
    if value[0].isdigit():
        return "position" if value.endswith(("st", "nd", "rd", "th")) else "age" if value.endswith("s") else "quantity"
    for ending in ("est", "er", "ier", "iest", "ish"):
        if value.endswith(ending):
            for stem in _stems(value, ending):
                if _values().get(stem, "other") not in ("other", "type", "material", "state"):  # "rubber", "litter"
                    return axis_of(subject, stem)
    if value.endswith("ing") and not _PURPOSED.isdisjoint(_names(subject)):
        return "type"
    axis = _participle(value, "ing") or _participle(value, "ed")
    if value.endswith("ing") and not _ANIMATE.isdisjoint(_names(subject)):
        return "action"
    if axis is not None:
        return axis
    axis = _finite(value, not _ANIMATE.isdisjoint(_names(subject)))
    if axis is not None:
        return axis
    for ending, axis in _endings("letters").items():
        if value.endswith(ending):
            return axis
    if value.endswith("ed") and len(value) > 4:  # not "bed"
        return "state"
    kinds = {canonical_name(value), *ancestors_of(value)}
    for axis, known in _KINDS:
        if not known.isdisjoint(kinds):
            return axis
    return "type" if value.replace("-", "").replace("'", "").isalpha() else None


def _participle(word: str, ending: str) -> str | None:
    """What a verb's participle tells, by the verb; none where the word is no participle of a known verb."""
    if not word.endswith(ending) or len(word) < len(ending) + 3:
        return None
    verbs = mapping("verbs", "verb", "axis")
    for stem in _stems(word, ending):
        if stem in verbs:
            axis = verbs[stem]
            if axis == "emotion":  # "terrifying" is how a thing looks, "terrified" is a feeling
                return "appearance" if ending == "ing" else axis
            return axis if ending == "ing" else "state"
    return None


def _finite(word: str, animate: bool) -> str | None:
    """What a verb in the present tells: "soars", "gather"; none where the word is mostly a noun."""
    verbs, mostly = mapping("verbs", "verb", "axis"), mapping("verbs", "verb", "mostly")
    stem = word[:-3] + "y" if word.endswith("ies") else word[:-2] if word.endswith(("shes", "ches", "oes")) else word
    stem = stem.removesuffix("s")
    if stem not in verbs or not (animate or stem != word) or mostly[stem] != "verb":
        return None
    return "action" if animate else verbs[stem]


def _stems(word: str, ending: str) -> tuple[str, ...]:
    stem = word[: -len(ending)]
    found = [stem, stem + "e"]
    if len(stem) > 2 and stem[-1] == stem[-2]:
        found.append(stem[:-1])
    if stem.endswith("i"):
        found.append(stem[:-1] + "y")
    if ending.startswith("i") and ending != "ing":
        found.append(stem + "y")
    return tuple(found)


@lru_cache(_CACHED)
def _names(subject: str) -> tuple[str, ...]:
    """Names under which a subject may stand in a context, nearest first; a kind of its last word even where none."""
    name = canonical_name(subject)
    last = name.rpartition(" ")[2]
    return tuple(dict.fromkeys([name, last, *ancestors_of(name), *(() if last == name else ancestors_of(last))]))


def _normal(value: str) -> str:
    return " ".join(value.lower().replace(" - ", "-").replace(" '", "'").replace("colour", "color").split())


def _spellings(value: str) -> tuple[str, ...]:
    """A value as it stands, with spaces for hyphens and the other way, under its synonym and in the singular."""
    forms = [value]
    if "-" in value:
        forms.append(value.replace("-", " "))
    elif " " in value:
        forms.append(value.replace(" ", "-"))
    return tuple(dict.fromkeys([*forms, canonical_name(value)]))


@lru_cache(_CACHED)
def _ambiguity(value: str) -> float:
    value = _normal(value)
    found = [axis for form in _spellings(value) for axis in _contexts().get(form, {}).values()]
    if not found:
        return 0.0
    _, counts = np.unique([*found, axis_of("", value)], return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


@cache
def _values() -> dict[str, str]:
    return {row["value"]: row["axis"] for row in rows("axis_values")}


@cache
def _contexts() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = {}
    for row in rows("axis_contexts"):
        table.setdefault(row["value"], {}).setdefault(canonical_name(row["subject"]), row["axis"])
    return table


@cache
def _endings(scope: str) -> dict[str, str]:
    return {row["ending"]: row["axis"] for row in rows("axis_endings") if row["scope"] == scope}
