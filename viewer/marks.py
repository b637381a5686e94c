"""What a person looks for in the captions of a triplet: where its facts stand, and what makes each image what it is.

The facts table has names and not places, so the words are found again: a name is where its words stand in a row, in
any form of the word; of several places the one nearest to the subject counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import product
from typing import Any

from filters.hierarchy import canonical_name, is_a
from parsers.lemmas import Lemmatizer
from parsers.tokens import tokenize

SUBJECT, FACT, AGAINST = "subject", "fact", "against"
"""Marks: the shared subject, what satisfies the condition, what stands against it."""

OBJECT_KINDS = ("change_object", "focus_object")
FOCUS_KINDS = ("focus_attribute", "focus_object")
ROLES = ("reference", "target", "text_distractor", "image_distractor")
MOST_CHARACTERS = 2000
"""Of a caption, in which facts are looked for; longer ones are shown whole, marked so far."""

Row = Mapping[str, Any]
Span = tuple[int, int]
"""Of tokens, from and to."""


def marked(row: Row, role: str) -> list[tuple[str, str | None]]:
    """The caption in that role of a row of the triplets table, in pieces, each with its mark or None.

    The pieces make up the caption, to the character.
    """
    caption = row[f"{role}_caption"] or ""
    tokens, places = tokenize(caption[:MOST_CHARACTERS])
    found: list[str | None] = [None] * len(tokens)
    # The subject last: in "red dog" of a red dog no word is both, but a place may be subject and object.
    for mark, spans in _found(row, role, tokens):
        for start, end in spans:
            found[start:end] = [mark] * (end - start)
    pieces: list[tuple[str, str | None]] = []
    done = 0
    number = 0
    while number < len(tokens):
        said, first = found[number], places[number][0]
        while number + 1 < len(tokens) and found[number + 1] == said:
            number += 1
        last = places[number][1]
        number += 1
        if said is not None:
            pieces += [(caption[done:first], None), (caption[first:last], said)]
            done = last
    pieces.append((caption[done:], None))
    return [piece for piece in pieces if piece[0]]


def told(row: Row, role: str) -> str:
    """Why the image has that role, in a few words; empty where the row does not say."""
    kind, subject, condition = row["kind"], row["subject"], row["condition"]
    if kind in OBJECT_KINDS:
        other = row["text_distractor_subject"] or "the same thing"
        return {
            "reference": f"{subject} with {condition}" if kind == "focus_object" else f"{subject}, no {condition}",
            "target": f"{subject} with {condition}",
            "text_distractor": f"{other}, but no {subject}",
            "image_distractor": f"{subject}, but no {condition}",
        }[role]
    if role == "text_distractor":
        other = row["text_distractor_subject"] or "something else"
        said = _statement(row, "target") if kind == "focus_attribute" else condition
        return f"{other}: {said}, but no {subject}"
    said = _statement(row, role)
    if role == "image_distractor":
        return f"{subject}, but {_contradiction(row, said)}"
    return f"{subject}: {said}" if said else subject


def _contradiction(row: Row, said: str) -> str:
    wanted = f"another {row['axis']}" if row["kind"] == "focus_attribute" else f"not “{row['condition']}”"
    if row["contradiction"] == "exclusive value" and said:
        return f"{said}, so {wanted}"
    if row["contradiction"] == "other object" and said:
        return f"with {said}: {wanted}"
    return f"nothing says {wanted.removeprefix('not ')}"


def _statement(row: Row, role: str) -> str:
    """What the row has of the image's fact, as words."""
    facts = [[row.get(f"{role}_{part}") for part in ("predicate", "object", "attribute")]]
    if role == "target":
        facts.append([row[f"target_second_{part}"] for part in ("predicate", "object", "attribute")])
    return " and ".join(filter(None, (" ".join(filter(None, fact)) for fact in facts)))


def _found(row: Row, role: str, tokens: Sequence[str]) -> Iterator[tuple[str, list[Span]]]:
    """Marks with the spans of tokens that bear them; later ones win."""
    kind = row["kind"]
    objects = kind in OBJECT_KINDS
    about = row["subject"]
    if role == "text_distractor":
        about = row["text_distractor_subject"] or row["subject"]
    satisfies = role in ("target", "text_distractor") or (role == "reference" and kind in FOCUS_KINDS)
    mark = FACT if satisfies else AGAINST

    if objects:
        if satisfies:
            thing = row["text_distractor_subject"] if role == "text_distractor" else row["condition"]
            yield mark, _occurrences(thing, tokens, kinds=True)[:1]
        if role != "text_distractor":
            yield SUBJECT, _occurrences(about, tokens)[:1]
        return

    of = "target" if role == "text_distractor" else role
    facts = [tuple(row.get(f"{of}_{part}") for part in ("predicate", "object", "attribute"))]
    if of == "target":
        facts.append(tuple(row[f"target_second_{part}"] for part in ("predicate", "object", "attribute")))
    subject: Span | None = None
    for predicate, object_, attribute in facts:
        name = object_ or attribute
        if name is None:
            continue
        general = row["general"] if role == "text_distractor" else None
        said = _occurrences(name, tokens) or (_occurrences(general, tokens, kinds=True) if general else [])
        subjects = [subject] if subject else _occurrences(about, tokens)
        pair = _nearest(subjects, said, before=attribute is not None)
        if pair is None:
            yield mark, said[:1]
            continue
        subject, statement = pair
        spans = [statement]
        if predicate:
            spans += _between(predicate, tokens, subject, statement)
        yield mark, spans
    subject = subject or next(iter(_occurrences(about, tokens)), None)
    if subject is not None:
        yield (AGAINST if role == "text_distractor" else SUBJECT), [subject]


def _occurrences(name: str, tokens: Sequence[str], *, kinds: bool = False) -> list[Span]:
    """Where a name stands among the tokens, whole, in any form; or else what means the same, or is a kind of it."""
    words = tokenize(name)[0]
    length = len(words)
    if not length:
        return []
    forms = [_forms(token) for token in tokens]
    wanted = [_forms(word) for word in words]
    windows = range(len(tokens) - length + 1)
    found = [
        (start, start + length)
        for start in windows
        if all(not forms[start + offset].isdisjoint(wanted[offset]) for offset in range(length))
    ]
    if found:
        return found
    # A whole name that is not there as it is: "sofa" for "couch", "person" for "people", "dog" for "puppy".
    same = canonical_name(name)
    for length in (1, 2, 3):  # the shortest: "an old bus" is a vehicle, but "bus" says so
        for start in range(len(tokens) - length + 1):
            said = " ".join(tokens[start : start + length])
            if said[:1].isalpha() and (canonical_name(said) == same or (kinds and is_a(said, name))):
                found.append((start, start + length))
        if found:
            return found
    # Or only its last word, which is the head: "tennis court" where the caption says "court".
    return _occurrences(words[-1], tokens) if len(words) > 1 else []


def _nearest(subjects: Sequence[Span], said: Sequence[Span], *, before: bool) -> tuple[Span, Span] | None:
    """The subject and statement with the fewest tokens between, the earlier ones of several.

    Args:
        before: whether what is said rather stands before the subject, as attributes do: "red dog" but "dog on beach".
    """

    def distance(pair: tuple[Span, Span]) -> int:
        subject, statement = pair
        follows = statement[0] >= subject[1]
        between = statement[0] - subject[1] if follows else subject[0] - statement[1]
        return between + 2 * (follows == before)

    pairs = [pair for pair in product(subjects[:20], said[:20]) if pair[0] != pair[1]]
    return min(pairs, key=distance, default=None)


def _between(predicate: str, tokens: Sequence[str], subject: Span, object_: Span) -> list[Span]:
    """The words of a predicate between subject and object, or of a verb elsewhere in reach."""
    low, high = min(subject[1], object_[1]), max(subject[0], object_[0])
    forms = [_forms(token) for token in tokens]
    spans = []
    for word in predicate.split():
        wanted = _forms(word)
        here = [number for number in range(low, high) if not forms[number].isdisjoint(wanted)]
        if here:
            spans.append((here[-1], here[-1] + 1))
    return spans


@lru_cache(1 << 14)
def _forms(token: str) -> frozenset[str]:
    lemmatizer = _lemmatizer()
    token = token.lower()
    return frozenset((token, lemmatizer.noun(token), lemmatizer.verb(token)))


@cache
def _lemmatizer() -> Lemmatizer:
    return Lemmatizer()
