"""Misspelt words of captions, read as what they mean."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from string import ascii_lowercase

from parsers.lemmas import Lemmatizer

_SHORTEST = 5
_CACHED = 1 << 15


class Speller:
    """Corrects words that are one letter, or one exchange of two, away from a common word.

    Careful, for a rare word is not a wrong one: only words in small letters that no list has, whose first letter stays,
    and of the words that they may be the commonest.

    Args:
        words: known words, the commonest first.
        common: how many of them a wrong word may be.
        lemmatizer: knows further words.
    """

    def __init__(self, words: Sequence[str], common: int, lemmatizer: Lemmatizer) -> None:
        self._known = frozenset(words)
        self._rank = {word: rank for rank, word in enumerate(words[:common]) if len(word) >= _SHORTEST - 1}
        self._lemmatizer = lemmatizer
        self._corrected = lru_cache(_CACHED)(self._correct)

    def __call__(self, tokens: list[str], text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
        """The tokens with the wrong ones replaced; ``spans`` says where they stand in ``text``."""
        if self._known.issuperset(tokens):
            return tokens
        return [
            token if token in self._known or token != text[start:end] else self._corrected(token)
            for token, (start, end) in zip(tokens, spans, strict=True)
        ]

    def _correct(self, word: str) -> str:
        if len(word) < _SHORTEST or not (word.isascii() and word.isalpha()) or self._lemmatizer.knows(word):
            return word
        return min(
            (other for other in _one_step_from(word) if other in self._rank), key=self._rank.__getitem__, default=word
        )


def _one_step_from(word: str) -> Iterator[str]:
    """All words made by leaving out, exchanging, replacing or adding a letter behind the first (Damerau 1964)."""
    for place in range(1, len(word) + 1):
        head, tail = word[:place], word[place:]
        yield head + tail[1:]
        yield head + tail[1:2] + tail[:1] + tail[2:]
        for letter in ascii_lowercase:
            yield head + letter + tail
            yield head + letter + tail[1:]
