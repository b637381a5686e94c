"""Writes the tables of ``parsers.lemmas`` from those of spaCy's English model, which are WordNet's."""

import gzip
import json
from pathlib import Path

from parsers.spacy_rules import _load_model

_KINDS = ("noun", "verb")


def write(path: Path) -> None:
    """Rules, exceptions and single-word lemmas of nouns and verbs, as compressed JSON.

    Nouns that no plural rule can lead to by doubt are left out: a lemma is only looked up to choose between stems, or
    to see that a word in -s is singular.
    """
    lookups = _load_model().get_pipe("lemmatizer").lookups
    rules, exceptions, index = (lookups.get_table(f"lemma_{name}") for name in ("rules", "exc", "index"))
    tables = {
        "rules": {kind: [list(rule) for rule in rules[kind]] for kind in _KINDS},
        "exceptions": {
            kind: {form: lemmas[0] for form, lemmas in exceptions[kind].items() if form.isalpha() and lemmas}
            for kind in _KINDS
        },
        "known": {kind: " ".join(sorted(word for word in index[kind] if word.isalpha())) for kind in _KINDS},
    }
    path.write_bytes(gzip.compress(json.dumps(tables).encode(), mtime=0))
