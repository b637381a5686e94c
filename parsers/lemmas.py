"""Lemmas of English nouns and verbs, by suffix rules, exceptions and lists of known words."""

import gzip
import json
from functools import lru_cache
from pathlib import Path

from parsers.lexicon import PLURAL_ONLY, VERB_LEMMAS

_FILE = Path(__file__).parent / "data" / "compact" / "lemmas.json.gz"
_CACHED = 1 << 16


class Lemmatizer:
    """WordNet's morphology (Fellbaum 1998) without WordNet's wrong verbs.

    A stem counts where it is a known lemma; of several the first in the order of the rules. So "riding" is "ride" and
    not "rid", which WordNet's own order prefers. ``parsers/training/lemma_data.py`` writes the tables.
    """

    def __init__(self, path: Path = _FILE) -> None:
        tables = json.loads(gzip.decompress(path.read_bytes()))
        self._rules: dict[str, list[tuple[str, str]]] = tables["rules"]
        self._exceptions: dict[str, dict[str, str]] = tables["exceptions"]
        self._known = {kind: frozenset(words.split()) for kind, words in tables["known"].items()}
        self.noun = lru_cache(_CACHED)(self._noun)
        self.verb = lru_cache(_CACHED)(self._verb)

    def knows(self, word: str) -> bool:
        """Whether a word is a form of a known noun, verb or adjective."""
        return word in self._known["adjective"] or any(
            stem in self._known[kind] for kind in ("noun", "verb") for stem in (word, self._stem(word, kind))
        )

    def _noun(self, word: str) -> str:
        """Singular of a noun; the word itself where it is none."""
        if word in PLURAL_ONLY or word.endswith(("ss", "us", "is", "'s")) or len(word) < 3:
            return word
        return self._stem(word, "noun")

    def _verb(self, word: str) -> str:
        """Infinitive of a verb; the word itself where it is none, a preposition for instance."""
        return VERB_LEMMAS.get(word) or self._stem(word, "verb")

    def _stem(self, word: str, kind: str) -> str:
        exception = self._exceptions[kind].get(word)
        if exception is not None:
            return exception
        known = self._known[kind]
        stems = [
            word[: -len(old)] + new for old, new in self._rules[kind] if word.endswith(old) and len(word) > len(old)
        ]
        for stem in stems:
            if stem in known:
                return stem
        return word if word in known or not stems or kind == "verb" else stems[0]
