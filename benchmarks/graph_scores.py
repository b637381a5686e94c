"""How right the facts of a parser are, against graphs written by people."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import spacy

from parsers import SceneGraph
from parsers.notation import read_facts
from parsers.spacy_rules import MODELS
from parsers.training.calibrate import (
    Judged,
    agrees,
    expected_calibration_error,
    precision_of_surest_relations,
    relates,
)
from parsers.training.data import Readings

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
class Scores:
    """Facts of a parser against people's.

    Attributes:
        precision: share of the stated facts that are right.
        recall: share of people's facts that are stated.
        silent: share of the captions for which people have a relation or attribute and the parser has neither.
        judged: kind, confidence and truth of every relation and attribute that has a confidence.
    """

    precision: float
    recall: float
    silent: float
    judged: list[Judged]

    def calibration_error(self) -> float | None:
        """Expected calibration error; None where the parser gives no confidence."""
        return expected_calibration_error(self.judged) if self.judged else None

    def precision_of_surest_relations(self) -> float | None:
        """Precision of the more confident half of the relations; None where the parser gives no confidence."""
        return precision_of_surest_relations(self.judged) if self.judged else None


def score_by_readings(graphs: Sequence[SceneGraph], readings: Sequence[Readings], lemma: Lemma) -> Scores:
    """Facts of graphs against all readings, compared with things in the singular and hyphens as spaces.

    A lone thing is right where any reading names it.
    """
    right = stated = satisfied = wanted = stating = silent = 0
    judged: list[Judged] = []

    def plain(fact: Fact) -> Fact:
        return _singular(tuple(" ".join(part.replace("-", " ").split()) for part in fact), lemma)

    for graph, read in zip(graphs, readings, strict=True):
        required = [{plain(fact) for fact in facts} for facts in read.required]
        allowed = {plain(fact) for fact in read.acceptable}.union(*required)
        names = {name for fact in allowed for name in ((fact[0], fact[2]) if relates(fact) else (fact[0],))}
        ours = {plain(fact) for fact in read_facts(graph.to_factual())}
        right += sum(fact in allowed or (len(fact) == 1 and fact[0] in names) for fact in ours)
        stated += len(ours)
        satisfied += sum(not facts.isdisjoint(ours) for facts in required)
        wanted += len(required)
        states = any(all(len(fact) == 3 for fact in facts) for facts in required)  # to name a thing is not enough
        stating += states
        silent += states and not any(len(fact) == 3 for fact in ours)
        judged += [(_kind(fact), sure, plain(fact) in allowed) for fact, sure in _sure(graph)]
    return Scores(right / max(stated, 1), satisfied / max(wanted, 1), silent / max(stating, 1), judged)


def score(graphs: Sequence[SceneGraph], labels: Sequence[str], lemma: Lemma, *, lenient: bool = False) -> Scores:
    """Facts of graphs against one reading a caption, in FACTUAL's notation, with things in the singular.

    Args:
        lenient: facts count that agree in substance (``agrees``), not only those that are equal.
    """
    right = stated = recalled = labelled = stating = silent = 0
    judged: list[Judged] = []

    def found(fact: Fact, facts: set[Fact]) -> bool:
        return agrees(fact, facts) if lenient else fact in facts

    for graph, label in zip(graphs, labels, strict=True):
        gold = {_singular(fact, lemma) for fact in read_facts(label)}
        ours = {_singular(fact, lemma) for fact in read_facts(graph.to_factual())}
        right += sum(found(fact, gold) for fact in ours)
        stated += len(ours)
        recalled += sum(found(fact, ours) for fact in gold)
        labelled += len(gold)
        states = any(len(fact) == 3 for fact in gold)
        stating += states
        silent += states and not any(len(fact) == 3 for fact in ours)
        judged += [(_kind(fact), sure, found(_singular(fact, lemma), gold)) for fact, sure in _sure(graph)]
    return Scores(right / max(stated, 1), recalled / max(labelled, 1), silent / max(stating, 1), judged)


def _singular(fact: Fact, lemma: Lemma) -> Fact:
    return tuple(
        part if position == 1 else " ".join(lemma(word) for word in part.split()) for position, part in enumerate(fact)
    )


def _kind(fact: Fact) -> str:
    return "relation" if relates(fact) else "attribute"


def _sure(graph: SceneGraph) -> Iterator[tuple[Fact, float]]:
    """Every relation and attribute that has a confidence, with it."""
    heads = [entity.head for entity in graph.entities]
    for relation in graph.relations:
        if relation.confidence is not None:
            yield (heads[relation.subject], relation.predicate, heads[relation.object]), relation.confidence
    for entity in graph.entities:
        for value, confidence in zip(entity.attributes, entity.confidences or (), strict=False):
            yield (entity.head, "is", value), confidence
        if entity.quantity is not None and entity.quantity_confidence is not None:
            yield (entity.head, "is", entity.quantity), entity.quantity_confidence
