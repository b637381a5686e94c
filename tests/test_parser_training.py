"""How people's graphs become labelled pairs, and what of them comes back. The networks need torch and are not here."""

import random

import numpy as np
import pytest

from parsers.encoding import Words, decode
from parsers.lemmas import Lemmatizer
from parsers.notation import read_facts
from parsers.tokens import tokenize
from parsers.training.align import Aligner
from parsers.training.altered import Alterer
from parsers.training.calibrate import expected_calibration_error, precision_of_surest_relations
from parsers.training.data import Example

ROUND_TRIPS = {
    "a red car parked on the street": "( car , park on , street ) , ( car , is , red )",
    "a tennis court": "( tennis court )",
    "a dark blue car": "( car , is , dark blue )",
    "two men on a bench": "( man , on , bench ) , ( man , is , 2 )",
    "a black cell phone": "( cellphone , is , black )",
    "a man in a wet suit": "( man , in , wetsuit )",
    "a white t shirt": "( t-shirt , is , white )",
    "two boats next to each other": "( boat , next to , boat ) , ( boat , is , 2 )",
    "in the shop a man buys bread": "( man , buy in , shop ) , ( man , buy , bread )",
    "a man holdng a cup": "( man , hold , cup )",
}


@pytest.mark.parametrize(("caption", "graph"), ROUND_TRIPS.items())
def test_graphs_come_back_from_their_pairs(caption: str, graph: str) -> None:
    lemmatizer = Lemmatizer()
    tokens, _ = tokenize(caption)
    facts = read_facts(graph)
    aligner = Aligner(lemmatizer)
    aligner.learn([(tokens, facts)])
    learned = aligner.learned_words([(tokens, facts)] * 6)
    decoded = decode(tokens, aligner.pairs(tokens, facts), Words(learned, lemmatizer))
    assert set(read_facts(decoded.to_factual())) == set(facts)


def test_words_are_learned_only_where_annotators_agree() -> None:
    aligner = Aligner(Lemmatizer())
    tokens, _ = tokenize("a black cell phone")
    joined, apart = read_facts("( cellphone , is , black )"), read_facts("( cell phone , is , black )")
    assert aligner.learned_words([(tokens, joined)] * 8 + [(tokens, apart)])["name"] == {"cell phone": "cellphone"}
    assert aligner.learned_words([(tokens, joined)] * 5)["name"] == {}
    assert aligner.learned_words([(tokens, joined)] * 8 + [(tokens, apart)] * 8)["name"] == {}


def test_the_words_of_this_project_are_kept() -> None:
    aligner = Aligner(Lemmatizer())
    tokens, _ = tokenize("a tall guy at the top of a hill")
    theirs = read_facts("( person , is , tall ) , ( person , on top of , hill )")
    ours = read_facts("( guy , is , tall ) , ( guy , at the top of , hill )")
    aligner.learn([(tokens, theirs)] * 8)
    learned = aligner.learned_words([(tokens, theirs)] * 8)
    assert learned["name"] == {"guy": "person"}
    assert learned["predicate"]["at top of"] == "on top of"
    kept = aligner.learned_words([(tokens, theirs)] * 20, [(tokens, ours)] * 2)
    assert kept["name"] == {}
    assert kept["predicate"]["at top of"] == "on top of"  # "at the top of" is another predicate


def test_words_are_exchanged_for_words_of_the_same_use() -> None:
    captions = {
        "a man riding a horse": "( man , ride , horse )",
        "a boy walking a dog": "( boy , walk , dog )",
        "two dogs on red sand": "( dog , on , sand ) , ( sand , is , red ) , ( dog , is , 2 )",
    }
    lemmatizer = Lemmatizer()
    aligner = Aligner(lemmatizer)
    rows = [(tokenize(caption)[0], read_facts(graph)) for caption, graph in captions.items()] * 3
    aligner.learn(rows)
    examples = [Example(tokens, aligner.pairs(tokens, facts), facts) for tokens, facts in rows]
    things = ["man", "horse", "boy", "dog", "sand"]
    vectors = {word: np.random.default_rng(n).random(8) for n, word in enumerate([*things, "riding", "walking", "red"])}
    alter = Alterer(examples, vectors, random.Random(0))
    made = [alter(examples[0]) for _ in range(200)]
    assert {tokens[1] for tokens in made} == {tokens[4] for tokens in made} == set(things)  # "dogs" is of another form
    assert {tokens[2] for tokens in made} == {"riding", "walking"}
    assert all((tokens[0], tokens[3]) == ("a", "a") for tokens in made)


def test_what_is_said_in_other_words_is_copied_as_far_as_it_goes() -> None:
    aligner = Aligner(Lemmatizer())
    tokens, _ = tokenize("a laptop sitting on the corner of the desk")
    facts = read_facts("( laptop , sit in corner of , desk )")
    aligner.learn([(tokens, facts)])
    assert aligner.pairs(tokens, facts).copied == {(1, 8): (2, 3, 5, 6)}


def test_calibration_error_and_the_surer_half() -> None:
    judged = [("relation", 0.95, True)] * 9 + [("relation", 0.95, False)] + [("relation", 0.25, False)] * 10
    assert expected_calibration_error(judged) == pytest.approx(0.5 * 0.05 + 0.5 * 0.25)
    assert precision_of_surest_relations(judged) == pytest.approx(0.9)
    assert precision_of_surest_relations([("attribute", 0.9, True)]) == 0.0
