"""Writes the tables of ``parsers.lemmas`` from those of spaCy's English model, which are WordNet's."""

import gzip
import json
from pathlib import Path

from parsers.spacy_rules import _load_model

_KINDS = ("noun", "verb")
_LISTED = {"noun": "noun", "verb": "verb", "adjective": "adj"}


def write(path: Path) -> None:
    """Rules and exceptions of nouns and verbs, single-word lemmas of both and of adjectives, as compressed JSON."""
    lookups = _load_model().get_pipe("lemmatizer").lookups
    rules, exceptions, index = (lookups.get_table(f"lemma_{name}") for name in ("rules", "exc", "index"))
    tables = {
        "rules": {kind: [list(rule) for rule in rules[kind]] for kind in _KINDS},
        "exceptions": {
            kind: {form: lemmas[0] for form, lemmas in exceptions[kind].items() if form.isalpha() and lemmas}
            for kind in _KINDS
        },
        "known": {
            kind: " ".join(sorted(word for word in index[name] if word.isalpha())) for kind, name in _LISTED.items()
        },
    }
    path.write_bytes(gzip.compress(json.dumps(tables).encode(), mtime=0))
