"""How right the facts of a parser are, against graphs written by people."""

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
import spacy

from parsers import SceneGraph
from parsers.notation import read_facts
from parsers.spacy_rules import MODELS
from parsers.training.calibrate import expected_calibration_error, precision_of_surest_relations

Fact = tuple[str, ...]
Lemma = Callable[[str], str]


class EvaluatorError(RuntimeError):
    """The evaluator of the FACTUAL benchmark is not installed."""


def spice_and_set_match(notations: Sequence[str], gold: Sequence[str], lemma: Lemma) -> tuple[float, float]:
    """Mean SPICE and set match in percent, by FACTUAL's own evaluator (package FactualSceneGraph).

    Its class ``Evaluator`` needs torch and sentence-transformers to be imported; what it does for these two scores is
    to lemmatise every word but "is" as a noun and to call the two functions that are called here.

    Raises:
        EvaluatorError: it is not installed.
    """
    try:
        from factual_scene_graph.evaluation.set_match_evaluation import eval_set_match
        from factual_scene_graph.evaluation.spice_evaluation import eval_spice
        from factual_scene_graph.utils import space_out_symbols_in_graph
    except ImportError as error:
        raise EvaluatorError(
            f"FACTUAL's evaluator is not installed ({error}): pip install --no-deps FactualSceneGraph"
        ) from None

    def prepared(notation: str) -> str:
        kept = {"is", ",", "(", ")"}
        words = [word if word in kept else lemma(word) for word in notation.split(" ")]
        return space_out_symbols_in_graph(" ".join(words))

    pairs = [(prepared(ours), [prepared(theirs)]) for ours, theirs in zip(notations, gold, strict=True)]
    spice = mean(eval_spice(ours, theirs, False, True) for ours, theirs in pairs)
    match = mean(float(eval_set_match(ours, theirs)) for ours, theirs in pairs)
    return 100 * spice, 100 * match


def noun_lemma() -> tuple[Lemma, str]:
    """The lemmatiser that FACTUAL's evaluator uses, and where its tables are from.

    That is NLTK's WordNetLemmatizer for nouns. Its data is a download; where that is not there, the same rules run over
    WordNet's tables as they come with spaCy's English model.
    """
    try:
        from nltk.corpus import wordnet
        from nltk.stem import WordNetLemmatizer

        wordnet.ensure_loaded()
        return WordNetLemmatizer().lemmatize, "NLTK's WordNet"
    except (ImportError, LookupError):
        pass
    package = next(name for name in MODELS if importlib.util.find_spec(name))
    lemmatizer: Any = spacy.load(package, enable=["lemmatizer"]).get_pipe("lemmatizer")  # spaCy types it as a function
    lookups = lemmatizer.lookups
    rules, exceptions = lookups.get_table("lemma_rules")["noun"], lookups.get_table("lemma_exc")["noun"]
    known = frozenset(lookups.get_table("lemma_index")["noun"])

    def lemma(word: str) -> str:
        """WordNet's morphy, and of its answers the shortest, as NLTK takes it."""
        if word in exceptions:
            forms = [word, *exceptions[word]]
            found = [form for form in forms if form in known]
            return min(found, key=len) if found else word
        forms = [word, *(word[: -len(old)] + new for old, new in rules if word.endswith(old))]
        found = [form for form in forms if form in known]
        return min(found, key=len) if found else word

    return lemma, "WordNet's tables in spaCy's model"


@dataclass(frozen=True)
class Judged:
    """A fact of a parser: how sure it was, and whether the labels agree."""

    kind: str
    confidence: float | None
    strict: bool
    lenient: bool


@dataclass(frozen=True)
class Scores:
    """Facts against labels.

    Attributes:
        strict: precision and recall of facts that are equal word for word, things in the singular.
        lenient: the same of facts that agree in substance; see ``agrees``.
        silent: share of the captions with a labelled relation or attribute for which the parser has neither.
        judged: every relation and attribute of the parser.
    """

    strict: tuple[float, float]
    lenient: tuple[float, float]
    silent: float
    judged: list[Judged]

    def calibration_error(self, *, lenient: bool) -> float | None:
        """Expected calibration error; None where the parser gives no confidence."""
        sure = self._sure(lenient=lenient)
        return expected_calibration_error(sure) if sure else None

    def precision_of_surest_relations(self, *, lenient: bool) -> float | None:
        """Precision of the more confident half of the relations; None where the parser gives no confidence."""
        sure = self._sure(lenient=lenient)
        return precision_of_surest_relations(sure) if sure else None

    def _sure(self, *, lenient: bool) -> list[tuple[str, float, bool]]:
        return [
            (fact.kind, fact.confidence, fact.lenient if lenient else fact.strict)
            for fact in self.judged
            if fact.confidence is not None
        ]


def score(graphs: Sequence[SceneGraph], labels: Sequence[str], lemma: Lemma) -> Scores:
    """Facts of graphs against labels in FACTUAL's notation, with all things in the singular."""
    judged: list[Judged] = []
    counts = np.zeros(6)
    stating = silent = 0
    for graph, label in zip(graphs, labels, strict=True):
        gold = {_singular(fact, lemma) for fact in read_facts(label)}
        ours = {_singular(fact, lemma) for fact in read_facts(graph.to_factual())}
        close = {fact: agrees(fact, gold) for fact in ours}
        counts += [len(ours), len(gold), len(ours & gold), len(gold & ours), sum(close.values()),
                   sum(agrees(fact, ours) for fact in gold)]  # fmt: skip
        stated = any(len(fact) == 3 for fact in gold)
        stating += stated
        silent += stated and not any(len(fact) == 3 for fact in ours)
        for fact, confidence in _sure(graph):
            fact = _singular(fact, lemma)
            kind = "attribute" if fact[1] == "is" else "relation"
            judged.append(Judged(kind, confidence, fact in gold, close.get(fact, False)))
    found, labelled, right, recalled, closely, closely_recalled = counts
    return Scores(
        strict=(right / max(found, 1), recalled / max(labelled, 1)),
        lenient=(closely / max(found, 1), closely_recalled / max(labelled, 1)),
        silent=silent / max(stating, 1),
        judged=judged,
    )


def agrees(fact: Fact, facts: Iterable[Fact]) -> bool:
    """Whether facts say in substance what a fact says: labels give one reading of a caption where several are right.

    Things are compared by the last word of their names. A relation agrees with any relation of the two things, whatever
    its predicate and direction. An attribute agrees with one of the same thing with which it shares a word, and with a
    name of the thing that has the word in it ("brick building"). A thing alone agrees with any fact that names it.
    """
    facts = list(facts)
    if fact in facts:
        return True
    names = {name for other in facts for name in ((other[0], other[-1]) if _relates(other) else (other[0],))}
    if len(fact) == 1:
        return any(_last(fact[0]) == _last(name) for name in names)
    if _relates(fact):
        pair = {_last(fact[0]), _last(fact[2])}
        return any(_relates(other) and {_last(other[0]), _last(other[2])} == pair for other in facts)
    words = set(fact[2].replace("-", " ").split())
    said = [other for other in facts if len(other) == 3 and not _relates(other) and _last(other[0]) == _last(fact[0])]
    if any(words & set(other[2].replace("-", " ").split()) for other in said):
        return True
    return any(_last(name) == _last(fact[0]) and words & set(name.split()[:-1]) for name in names)


def _relates(fact: Fact) -> bool:
    return len(fact) == 3 and fact[1] != "is"


def _last(name: str) -> str:
    return name.rpartition(" ")[2]


def _singular(fact: Fact, lemma: Lemma) -> Fact:
    return tuple(
        part if position == 1 else " ".join(lemma(word) for word in part.split()) for position, part in enumerate(fact)
    )


def _sure(graph: SceneGraph) -> Iterable[tuple[Fact, float | None]]:
    heads = [entity.head for entity in graph.entities]
    for relation in graph.relations:
        yield (heads[relation.subject], relation.predicate, heads[relation.object]), relation.confidence
    for entity in graph.entities:
        for value, confidence in zip(
            entity.attributes, entity.confidences or [None] * len(entity.attributes), strict=True
        ):
            yield (entity.head, "is", value), confidence
        if entity.quantity is not None:
            yield (entity.head, "is", entity.quantity), entity.quantity_confidence
