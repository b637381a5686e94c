"""What the compact parser states and leaves out, how right it is, and that its confidences mean what they say."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parsers
from parsers import Entity, SceneGraph
from parsers.compact import MAX_TOKENS, CompactParser
from parsers.encoding import ATTRIBUTE, COMPOUND, COPIED, RELATION, Pairs, Words, decode
from parsers.lemmas import Lemmatizer
from parsers.negation import negated_tokens
from parsers.tokens import tokenize

SHARED = Path(__file__).parents[2] / "shared"
WEB_DEV = Path(parsers.__file__).parent / "data" / "web" / "dev.tsv"

STATED = {
    "a red car": "( car , is , red )",
    "he is wearing a red hat": "( hat , is , red )",
    "two dogs": "( dog , is , 2 )",
    "a couple of dogs on a beach": "( dog , on , beach ) , ( dog , is , 2 )",
    "lots of flowers in a vase": "( flower , in , vase )",
    "a cat on a mat": "( cat , on , mat )",
    "man riding a horse": "( man , ride , horse )",
    "a woman is sitting on a bench": "( woman , sit on , bench )",
    "boy and girl on a bench": "( boy , on , bench ) , ( girl , on , bench )",
    "actor attends the premiere": "( actor , attend , premiere )",
    "football player holding a white shirt": "( football player , hold , shirt ) , ( shirt , is , white )",
    "person in a white dress": "( person , in , dress ) , ( dress , is , white )",
    "a dog on the grass . a cat on a sofa .": "( dog , on , grass ) , ( cat , on , sofa )",
    "A RED CAR PARKED IN THE STREET": "( car , park in , street ) , ( car , is , red )",
    "stock photo of a red car": "( car , is , red )",
    "stock photo": "",
}

NEGATED = {
    "a man without a hat": {"hat"},
    "a girl with no shoes": {"shoe", "shoes"},
    "no people on the beach": {"people"},
    "a street with no cars": {"car", "cars"},
    "a man not wearing a hat": {"hat", "wear"},
    "the man isn't riding a horse": {"horse", "ride"},
    "the man isn’t riding a horse": {"horse", "ride"},
    "a woman never wears a hat": {"hat", "wear"},
    "a man who no longer wears glasses": {"glasses", "wear"},
    "the sky is not blue": {"blue"},
    "a cat that is not black or brown": {"black", "brown"},
    "a beach with neither trees nor people": {"tree", "people"},
    "there is no dog in the house": {"dog"},
    "a room with a table but no chairs": {"chair"},
    "street without any cars or buses": {"car", "bus"},
    "a house lacking a roof": {"roof"},
    "a dog instead of a cat": {"cat"},
    "a dog , not a cat , on a sofa": {"cat"},
    "a man without a red hat on his head": {"hat", "red"},
}

WORDS = st.sampled_from(
    "a the two no not without man dogs woman's red dark blue tennis court and or , . - of in on next to front that "
    "who by n't 's wearing held is are smiling group STOCK photo 🐶 שלום \u202e \0 İstanbul café ’s".split(" ")
)
CAPTION = st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=90).map(" ".join))

Fact = tuple[str, ...]


@pytest.fixture(scope="module")
def parser() -> CompactParser:
    return CompactParser()


def facts_of(factual: str) -> list[Fact]:
    found = factual.removeprefix("( ").removesuffix(" )").split(" ) , ( ")
    return [tuple(fact.split(" , ")) for fact in found if fact]


def read(path: Path, separator: str) -> tuple[list[str], list[set[Fact]]]:
    """Captions and their facts, words but for ``is`` in the singular, since labels keep the caption's own forms."""
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=separator, quoting=quoting))
    return [row["caption"] for row in rows], [{singular(fact) for fact in facts_of(row["scene_graph"])} for row in rows]


LEMMATIZER = Lemmatizer()

WEB_FLOOR = (0.64, 0.61)
"""Precision and recall on the web dev captions, against their single reading and exact but for noun number."""
FACTUAL_FLOOR = 0.68
"""Set match on FACTUAL's dev set, likewise."""
CALIBRATION_CEILING = 0.05


def singular(fact: Sequence[str]) -> Fact:
    return tuple(part if part == "is" else " ".join(map(LEMMATIZER.noun, part.split())) for part in fact)


def judged(graphs: Sequence[SceneGraph], gold: Sequence[set[Fact]]) -> list[tuple[str, float, bool]]:
    """Kind, confidence and truth of every fact of the graphs."""
    found = []
    for graph, facts in zip(graphs, gold, strict=True):
        for relation in graph.relations:
            fact = (graph.entities[relation.subject].head, relation.predicate, graph.entities[relation.object].head)
            assert relation.confidence is not None
            found.append(("relation", relation.confidence, singular(fact) in facts))
        for entity in graph.entities:
            for value, confidence in zip(entity.attributes, entity.confidences or (), strict=True):
                found.append(("attribute", confidence, singular((entity.head, "is", value)) in facts))
    return found


@pytest.mark.parametrize(("caption", "stated"), STATED.items())
def test_states_what_the_caption_states(parser: CompactParser, caption: str, stated: str) -> None:
    assert set(facts_of(parser.parse([caption])[0].to_factual())) == set(facts_of(stated))


@pytest.mark.parametrize(("caption", "absent"), NEGATED.items())
def test_negated_things_give_no_fact(parser: CompactParser, caption: str, absent: set[str]) -> None:
    assert not set(parser.parse([caption])[0].to_factual().split()) & absent


@pytest.mark.parametrize(
    ("caption", "negated"),
    [
        ("a man without a hat is fishing from a boat", "without a hat"),
        ("not only a dog but a cat", ""),
        ("a dog , not a cat , on a sofa", "not a cat"),
        ("no cars , buses or trucks on the road", "no cars , buses or trucks"),
        ("woman with no hat wearing glasses", "no hat"),
        ("a man without a hat and a woman", "without a hat"),
        ("a quiet street", ""),
    ],
)
def test_what_a_negation_reaches(caption: str, negated: str) -> None:
    tokens, _ = tokenize(caption)
    assert " ".join(tokens[position] for position in sorted(negated_tokens(tokens))) == negated


def test_facts_of_negated_tokens_are_dropped_whatever_the_network_says() -> None:
    tokens, _ = tokenize("a man without a red hat")
    pairs = Pairs(
        arcs={(1, 5): RELATION, (5, 4): ATTRIBUTE, (1, 1): 5}, predicates={(1, 5): COPIED}, copied={(1, 5): (2,)}
    )
    words = Words({"name": {}, "attribute": {}, "predicate": {}}, LEMMATIZER)
    assert decode(tokens, pairs, words).to_factual() == "( man )"


def test_decodes_names_quantities_and_surface_text() -> None:
    text = "Two girls play on the empty tennis courts"
    tokens, spans = tokenize(text)
    pairs = Pairs(
        arcs={(1, 0): ATTRIBUTE, (7, 5): ATTRIBUTE, (7, 6): COMPOUND, (1, 7): RELATION},
        predicates={(1, 7): COPIED},
        copied={(1, 7): (2, 3)},
    )
    words = Words({"name": {}, "attribute": {}, "predicate": {}}, LEMMATIZER)
    graph = decode(tokens, pairs, words, text=text, spans=spans)
    assert graph.entities == (
        Entity("girl", "Two girls", (), "2"),
        Entity("tennis court", "the empty tennis courts", ("empty",)),
    )
    assert graph.to_factual() == "( girl , play on , tennis court ) , ( girl , is , 2 ) , ( tennis court , is , empty )"


@pytest.mark.parametrize(
    ("word", "lemma"),
    [("riding", "ride"), ("lying", "lie"), ("sits", "sit"), ("held", "hold"), ("running", "run"), ("on", "on")],
)
def test_verbs_are_infinitives(word: str, lemma: str) -> None:
    assert LEMMATIZER.verb(word) == lemma


@pytest.mark.parametrize(
    ("word", "lemma"),
    [
        *[("dogs", "dog"), ("children", "child"), ("men", "man"), ("knives", "knife"), ("cities", "city")],
        *[("glasses", "glasses"), ("grass", "grass"), ("snowy", "snowy"), ("bus", "bus"), ("people", "people")],
    ],
)
def test_nouns_are_singular(word: str, lemma: str) -> None:
    assert LEMMATIZER.noun(word) == lemma


def test_tokens_know_where_they_stand() -> None:
    text = "The dog’s T-shirt isn’t all - denim, é!"
    tokens, spans = tokenize(text)
    assert tokens == ["the", "dog", "'s", "t-shirt", "isn't", "all", "-", "denim", ",", "é", "!"]
    assert [text[start:end].lower().replace("’", "'") for start, end in spans] == tokens


def check_graph(graph: SceneGraph) -> None:
    for entity in graph.entities:
        assert entity.head.strip()
        assert entity.head == entity.head.lower()
        assert entity.text.strip()
        assert all(value.strip() for value in entity.attributes)
        assert entity.confidences is not None
        assert len(entity.confidences) == len(entity.attributes)
        assert (entity.quantity is None) == (entity.quantity_confidence is None)
        assert all(0 <= confidence <= 1 for confidence in entity.confidences)
    for relation in graph.relations:
        assert 0 <= relation.subject < len(graph.entities)
        assert 0 <= relation.object < len(graph.entities)
        assert relation.subject != relation.object
        assert relation.predicate.strip()
        assert relation.confidence is not None
        assert 0 <= relation.confidence <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(CAPTION, max_size=6))
def test_no_text_breaks_the_parser(parser: CompactParser, captions: list[str]) -> None:
    graphs = parser.parse(captions)
    assert len(graphs) == len(captions)
    for graph in graphs:
        check_graph(graph)


@settings(max_examples=40, deadline=None)
@given(st.lists(CAPTION, max_size=5), st.lists(CAPTION, max_size=5))
def test_neighbours_do_not_change_a_graph(parser: CompactParser, first: list[str], second: list[str]) -> None:
    assert parser.parse(first + second) == parser.parse(first) + parser.parse(second)


def test_graphs_do_not_depend_on_their_batch(parser: CompactParser) -> None:
    captions, _ = read(WEB_DEV, "\t")
    graphs = parser.parse(captions)
    shuffled = random.Random(0).sample(range(len(captions)), len(captions))
    assert parser.parse([captions[number] for number in shuffled]) == [graphs[number] for number in shuffled]
    assert [parser.parse([caption])[0] for caption in captions[:40]] == graphs[:40]


def test_values_that_are_no_text_give_empty_graphs(parser: CompactParser) -> None:
    captions: list = [None, 3, float("nan"), b"a dog", "", "   ", "\n\t", "a dog"]
    assert [bool(graph) for graph in parser.parse(captions)] == [False] * 7 + [True]


def test_long_captions_are_read_to_their_end(parser: CompactParser) -> None:
    sentences = ["a red car is parked in the street ."] * (MAX_TOKENS // 9 + 1)
    (graph,) = parser.parse([" ".join([*sentences, "a cat on a sofa ."])])
    assert "( cat , on , sofa )" in graph.to_factual()
    check_graph(graph)


def test_precision_and_recall_on_web_captions(parser: CompactParser) -> None:
    captions, gold = read(WEB_DEV, "\t")
    found = [{singular(fact) for fact in facts_of(graph.to_factual())} for graph in parser.parse(captions)]
    correct = sum(len(ours & facts) for ours, facts in zip(found, gold, strict=True))
    assert correct / sum(map(len, found)) > WEB_FLOOR[0]
    assert correct / sum(map(len, gold)) > WEB_FLOOR[1]


factual = pytest.mark.skipif(not (SHARED / "data" / "factual").is_dir(), reason="FACTUAL is not beside this repository")


@factual
def test_set_match_on_factual(parser: CompactParser) -> None:
    captions, gold = read(SHARED / "data" / "factual" / "dev.csv", ",")
    found = [{singular(fact) for fact in facts_of(graph.to_factual())} for graph in parser.parse(captions)]
    assert np.mean([ours == facts for ours, facts in zip(found, gold, strict=True)]) > FACTUAL_FLOOR


@pytest.mark.parametrize(
    ("path", "separator"),
    [(WEB_DEV, "\t"), pytest.param(SHARED / "data" / "factual" / "dev.csv", ",", marks=factual)],
    ids=["web", "factual"],
)
def test_confidence_is_the_share_of_true_facts(parser: CompactParser, path: Path, separator: str) -> None:
    captions, gold = read(path, separator)
    facts = judged(parser.parse(captions), gold)
    confidence = np.array([value for _, value, _ in facts])
    truth = np.array([true for _, _, true in facts], float)
    bins = np.minimum((confidence * 10).astype(int), 9)
    error = sum(abs((confidence - truth)[bins == number].sum()) for number in range(10)) / len(facts)
    assert error < CALIBRATION_CEILING
    order = np.argsort(-confidence)
    assert truth[order[: len(facts) // 2]].mean() > truth.mean() + 0.05  # so that a threshold buys truth
