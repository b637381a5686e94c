"""Captions to tokens, as the compact parser's network reads them."""

import re

_TOKEN = re.compile(r"'s\b|\w+(?:-\w+)*(?:'t\b)?|[^\w\s]")
_APOSTROPHES = str.maketrans("’‘ʼ", "'''")


def tokenize(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Tokens of a text in lower case, and where they stand.

    A hyphenated word and a contracted negation are one token ("close-up", "isn't"), the possessive "'s" is its own,
    every other punctuation mark as well.

    Returns:
        the tokens, and for each the start and end of its characters in ``text``.
    """
    tokens: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(text.translate(_APOSTROPHES)):  # one character for one: positions stay
        tokens.append(match[0].lower())
        spans.append(match.span())
    return tokens, spans
