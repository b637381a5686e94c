"""What the compact parser states and leaves out, how right it is, and that its confidences mean what they say."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import parsers
from benchmarks.graph_scores import score_by_readings
from parsers import Entity, compact
from parsers.compact import MAX_TOKENS, CompactParser, with_likely_heads, with_second_chance
from parsers.encoding import ARCS, ATTRIBUTE, COMPOUND, COPIED, NONE, RELATION, Pairs, Words, decode
from parsers.lemmas import Lemmatizer
from parsers.negation import negated_tokens
from parsers.tokens import tokenize
from parsers.training.calibrate import expected_calibration_error, judge, precision_of_surest_relations
from parsers.training.data import read_readings
from parsers.typos import Speller

SHARED = Path(__file__).parents[2] / "shared"
WEB_DEV = Path(parsers.__file__).parent / "data" / "web" / "dev.tsv"
WEB_READINGS = WEB_DEV.with_name("dev_readings.tsv")

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

WEB_FLOOR = (0.90, 0.84)
"""Precision and recall on the web dev captions, against all their readings."""
FACTUAL_FLOOR = 0.71
"""Set match on FACTUAL's dev set, exact but for noun number."""
CALIBRATION_CEILING = {"web": 0.1, "factual": 0.04}


def singular(fact: Sequence[str]) -> Fact:
    return tuple(part if part == "is" else " ".join(map(LEMMATIZER.noun, part.split())) for part in fact)


@pytest.mark.parametrize(("caption", "stated"), STATED.items())
def test_states_what_the_caption_states(parser: CompactParser, caption: str, stated: str) -> None:
    assert set(facts_of(parser.parse([caption])[0].to_factual())) == set(facts_of(stated))


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


def test_graphs_do_not_depend_on_their_batch(parser: CompactParser) -> None:
    captions, _ = read(WEB_DEV, "\t")
    graphs = parser.parse(captions)
    shuffled = random.Random(0).sample(range(len(captions)), len(captions))
    assert parser.parse([captions[number] for number in shuffled]) == [graphs[number] for number in shuffled]
    assert [parser.parse([caption])[0] for caption in captions[:40]] == graphs[:40]


def test_long_captions_are_read_to_their_end(parser: CompactParser) -> None:
    sentences = ["a red car is parked in the street ."] * (MAX_TOKENS // 9 + 1)
    (graph,) = parser.parse([" ".join([*sentences, "a cat on a sofa ."])])
    assert "( cat , on , sofa )" in graph.to_factual()


def test_precision_and_recall_on_web_captions(parser: CompactParser) -> None:
    captions, _ = read(WEB_DEV, "\t")
    scores = score_by_readings(parser.parse(captions), read_readings(WEB_READINGS), LEMMATIZER.noun)
    assert scores.precision > WEB_FLOOR[0]
    assert scores.recall > WEB_FLOOR[1]
    assert scores.silent <= 0.015
    assert scores.calibration_error() < CALIBRATION_CEILING["web"]
    assert scores.precision_of_surest_relations() > scores.precision  # so that a threshold buys truth


factual = pytest.mark.skipif(not (SHARED / "data" / "factual").is_dir(), reason="FACTUAL is not beside this repository")


@factual
def test_set_match_on_factual(parser: CompactParser) -> None:
    captions, gold = read(SHARED / "data" / "factual" / "dev.csv", ",")
    found = [{singular(fact) for fact in facts_of(graph.to_factual())} for graph in parser.parse(captions)]
    assert np.mean([ours == facts for ours, facts in zip(found, gold, strict=True)]) > FACTUAL_FLOOR


@factual
def test_confidence_is_the_share_of_true_facts(parser: CompactParser) -> None:
    captions, gold = read(SHARED / "data" / "factual" / "dev.csv", ",")
    facts = list(judge(parser.parse(captions), [list(each) for each in gold], LEMMATIZER.noun))
    assert expected_calibration_error(facts) < CALIBRATION_CEILING["factual"]
    assert precision_of_surest_relations(facts) > np.mean([true for _, _, true in facts]) + 0.05


def no_words_learned() -> Words:
    return Words({"name": {}, "attribute": {}, "predicate": {}}, LEMMATIZER)


def test_a_preposition_in_front_goes_behind_its_verb() -> None:
    tokens, _ = tokenize("a shop in which a man buys bread")
    pairs = Pairs(arcs={(5, 1): RELATION}, predicates={(5, 1): COPIED}, copied={(5, 1): (2, 6)})
    assert decode(tokens, pairs, no_words_learned()).to_factual() == "( man , buy in , shop )"
    tokens, _ = tokenize("in a shop a man buys bread")
    pairs = Pairs(arcs={(4, 2): RELATION}, predicates={(4, 2): COPIED}, copied={(4, 2): (0, 5)})
    assert decode(tokens, pairs, no_words_learned()).to_factual() == "( man , buy in , shop )"


def test_things_related_to_their_like_are_two() -> None:
    tokens, _ = tokenize("two boats next to each other")
    pairs = Pairs(arcs={(1, 0): ATTRIBUTE, (1, 1): RELATION}, predicates={(1, 1): COPIED}, copied={(1, 1): (2, 3)})
    graph = decode(tokens, pairs, no_words_learned())
    assert graph.to_factual() == "( boat , next to , boat ) , ( boat , is , 2 )"
    assert [entity.quantity for entity in graph.entities] == ["2", None]


def test_words_take_the_form_that_annotators_write() -> None:
    predicates = {"at top of": "on top of", "seated": "sit"}
    learned = {"name": {"cell phone": "cellphone", "guy": "person"}, "attribute": {"wood": "wooden"}}
    words = Words({**learned, "predicate": predicates}, LEMMATIZER)
    assert words.predicate(["at", "top", "of"]) == "on top of"
    assert words.predicate(["seated", "at", "top", "of"]) == "sit on top of"
    assert words.predicate(["standing", "to", "the", "left", "of"]) == "stand to the left of"
    assert words.name(["cell", "phones"]) == "cellphone"
    assert words.name(["guy"]) == "person"
    assert words.name(["hot", "dogs"]) == "hot dog"
    assert words.attribute(["wood"]) == "wooden"
    assert words.attribute(["two"]) == "2"
    assert words.attribute(["two", "lane"]) == "two lane"


@pytest.mark.parametrize(
    ("caption", "read"),
    [
        ("a mna on a chiar", "a mna on a chair"),  # short words have too many neighbours
        ("windshiled of a trian", "windshield of a train"),
        ("a Chiar in a cahir", "a chiar in a chair"),  # a name
        ("a seamless plaid and a chain", "a seamless plaid and a chain"),
        ("chairs and a chair", "chairs and a chair"),
    ],
)
def test_misspelt_words_are_read_as_what_they_mean(caption: str, read: str) -> None:
    speller = Speller(["chair", "train", "windshield", "chain", "small", "man"], 6, LEMMATIZER)
    tokens, spans = tokenize(caption)
    assert " ".join(speller(tokens, caption, spans)) == read


def test_the_caption_keeps_its_spelling(parser: CompactParser) -> None:
    (graph,) = parser.parse(["a cat sitting on a red chiar"])
    assert [(entity.head, entity.text) for entity in graph.entities] == [("cat", "a cat"), ("chair", "a red chiar")]


def test_a_caption_that_states_nothing_for_sure_states_what_is_likely() -> None:
    none, attribute, relation = np.log([0.6, 0.3, 0.1]), np.log([0.1, 0.8, 0.1]), np.log([0.6, 0.1, 0.3])
    logits = np.full((4, len(ARCS)), -np.inf, np.float32)
    logits[:, [NONE, ATTRIBUTE, RELATION]] = [none, relation, attribute, none]
    arcs = with_second_chance(logits, logits.argmax(-1), np.array([0, 0, 1, 1]), 2)
    assert arcs.tolist() == [ATTRIBUTE, RELATION, ATTRIBUTE, NONE]


def test_a_word_that_belongs_to_one_of_several_belongs_to_the_likeliest() -> None:
    unsure, less_sure, sure = ([0.6, 0.05, 0.35], [0.7, 0.0, 0.3], [0.1, 0.1, 0.8])
    logits = np.full((5, len(ARCS)), -np.inf, np.float32)
    with np.errstate(divide="ignore"):
        logits[:, [NONE, ATTRIBUTE, RELATION]] = np.log([less_sure, unsure, unsure, sure, unsure])
    # Word 7 is in doubt between two words, word 8 has one and needs no second, of word 9 no word is likely enough.
    arcs = with_likely_heads(logits, logits.argmax(-1), np.array([7, 7, 8, 8, 9]))
    assert arcs.tolist() == [NONE, RELATION, NONE, RELATION, NONE]


def test_a_full_memory_of_words_changes_no_graph(parser: CompactParser, monkeypatch: pytest.MonkeyPatch) -> None:
    captions, _ = read(WEB_DEV, "\t")
    monkeypatch.setattr(compact, "WORDS_KEPT", 40)
    small = CompactParser()
    monkeypatch.setattr(compact, "CAPTIONS_PER_CHUNK", 7)
    assert small.parse(captions) == parser.parse(captions)
