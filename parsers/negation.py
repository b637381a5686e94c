"""Which tokens of a caption stand under a negation, told by the tokens alone.

A safety net behind a learned parser: it errs towards leaving a fact out, since a negated fact stated as true misleads
whoever uses it.
"""

from collections.abc import Sequence

from parsers.lexicon import NEGATIONS, NEGATIVE_PREPOSITIONS, PREPOSITIONS

_CUES = NEGATIONS | NEGATIVE_PREPOSITIONS
_NOUN_CUES = NEGATIVE_PREPOSITIONS | {"no", "neither", "nor", "none", "nobody", "nothing"}
"""Cues that deny a thing; the others deny a verb or an adjective, and a verb's object."""

_MOST_WORDS = 3
"""Content words that one cue denies, at most: a noun with its adjectives, or a verb with its object."""

_ARTICLES = frozenset(["a", "an", "the"])
_AUXILIARIES = frozenset("is are was were be been being has have had do does did can will 's".split())
_IGNORED = frozenset("any of his her its their my your our single one longer yet even very much really quite".split())
_ENDS = frozenset(". ; : ! ? ( ) but and while which who that whose because although though where when".split())
_PREPOSITIONS = PREPOSITIONS - {"of"}
"""They end what is denied; "no pair of shoes" goes on."""


def negated_tokens(tokens: Sequence[str]) -> frozenset[int]:
    """Positions of the tokens that a negation denies, and of the negations themselves.

    "not", "never", "n't" deny the verb or adjective behind them and its object; "no", "without", "instead of" and their
    like the noun phrase behind them. "or" and "nor" carry a negation on.
    """
    negated: set[int] = set()
    for position, token in enumerate(tokens):
        if (token in _CUES or token.endswith("n't")) and tokens[position + 1 : position + 2] not in (
            ["only"],
            ["just"],
        ):
            negated.update(range(position, _end(tokens, position)))
    return frozenset(negated)


def _end(tokens: Sequence[str], cue: int) -> int:
    """The first position behind what a cue denies."""
    of_thing = tokens[cue] in _NOUN_CUES
    words = 0
    for position in range(cue + 1, len(tokens)):
        token = tokens[position]
        if token in ("or", "nor"):
            words = 0  # a further alternative, denied like the first
        elif token in _IGNORED or not (token[0].isalnum() or token in _ENDS or token == ","):
            continue
        elif token in _ARTICLES or token in _AUXILIARIES:
            if words and of_thing:
                return position
        elif token == ",":
            if not words or not _alternative_follows(tokens, position):
                return position
            words = 0
        elif token in _ENDS or (words and (token in _PREPOSITIONS or (of_thing and token.endswith("ing")))):
            return position
        else:
            words += 1
            if words > _MOST_WORDS:
                return position
    return len(tokens)


def _alternative_follows(tokens: Sequence[str], comma: int) -> bool:
    return not {"or", "nor"}.isdisjoint(tokens[comma + 1 : comma + 4])
