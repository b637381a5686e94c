"""What holds of every parser that ships with facetmine: which facts must come, and which must never."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parsers
from parsers import SceneGraph, SceneGraphParser
from parsers.notation import read_facts
from parsers.registry import PARSERS

NAMES = sorted(PARSERS.keys() - {"factual-t5"})  # that one is not in the package: see test_factual_t5.py


@pytest.fixture(scope="module", params=NAMES)
def parser(request: pytest.FixtureRequest) -> SceneGraphParser:
    return parsers.load(request.param)


def facts(graph: SceneGraph) -> set[tuple[str, ...]]:
    return set(read_facts(graph.to_factual()))


def words(graph: SceneGraph) -> set[str]:
    return {word for fact in facts(graph) for part in fact for word in part.split()}


STATED = {
    "quantities": {
        "two dogs": {("dog", "is", "2")},
        "two black dogs on a beach": {("dog", "is", "2"), ("dog", "is", "black"), ("dog", "on", "beach")},
        "three men riding horses": {("man", "is", "3"), ("man", "ride", "horse")},
        "12 cups on a shelf": {("cup", "is", "12"), ("cup", "on", "shelf")},
        "a couple of dogs on a beach": {("dog", "is", "2")},
    },
    "several sentences": {
        "A man rides a horse. A dog sits on the grass.": {("man", "ride", "horse"), ("dog", "sit on", "grass")},
        "a red car . the sky is blue .": {("car", "is", "red"), ("sky", "is", "blue")},
        "a cat on a mat; a dog in a basket": {("cat", "on", "mat"), ("dog", "in", "basket")},
    },
    "boilerplate": {
        "stock photo of a red car": {("car", "is", "red")},
        "a cat on a sofa , royalty-free image": {("cat", "on", "sofa")},
        "a cat on a sofa -- stock photo #": {("cat", "on", "sofa")},
        "a cat on a sofa | Getty Images": {("cat", "on", "sofa")},
        "a cat on a sofa , click to enlarge": {("cat", "on", "sofa")},
        "a cat on a sofa . photo by person": {("cat", "on", "sofa")},
        "image may contain : red car": {("car", "is", "red")},
    },
    "placeholders": {
        "person riding a horse": {("person", "ride", "horse")},
        "actor in a white dress": {("actor", "in", "dress"), ("dress", "is", "white")},
        "politician on a stage": {("politician", "on", "stage")},
        "biological species on a branch": {("biological species", "on", "branch")},
    },
    "all caps": {
        "A RED CAR": {("car", "is", "red")},
        "MAN RIDING A HORSE": {("man", "ride", "horse")},
        "Man Riding A Horse": {("man", "ride", "horse")},
    },
    "hashtags": {
        "a man riding a horse #horse #riding": {("man", "ride", "horse")},
        "#tbt a man riding a horse": {("man", "ride", "horse")},
        "white # bike by the water": {("bike", "is", "white"), ("bike", "by", "water")},
    },
    "addresses": {
        "a man riding a horse https://example.com/x?y=z": {("man", "ride", "horse")},
        "www.example.com a man riding a horse": {("man", "ride", "horse")},
    },
    "file names": {
        "IMG_1234.jpg a man riding a horse": {("man", "ride", "horse")},
        "DSC-0012 a red car": {("car", "is", "red")},
        "a red car car1.png": {("car", "is", "red")},
    },
    "markup": {
        "<b>a red car</b> &amp; a dog": {("car", "is", "red")},
        "a red car 🚗🚗": {("car", "is", "red")},
        "a red\n\tcar": {("car", "is", "red")},
    },
}

DEBRIS = {
    "stock", "photo", "royalty-free", "image", "getty", "enlarge", "click", "contain", "#", "tbt", "horse#", "https",
    "img", "dsc-0012", "jpg", "png", "b", "amp", "www.example.com", "example",
}  # fmt: skip

NEGATED = {
    "a man without a hat": {"hat"},
    "a man without a hat is riding a horse": {"hat"},
    "a girl with no shoes": {"shoe", "shoes"},
    "no people": {"people"},
    "no people on the beach": {"people"},
    "a beach with no people": {"people"},
    "a man not wearing a hat": {"hat", "wear"},
    "a man is not riding a horse": {"horse", "ride"},
    "the man isn't riding a horse": {"horse", "ride"},
    "the man isn’t riding a horse": {"horse", "ride"},
    "the man is n't riding a horse": {"horse", "ride"},
    "a woman never wears a hat": {"hat", "wear"},
    "a man who no longer wears glasses": {"glasses", "wear"},
    "the sky is not blue": {"blue"},
    "the car is not red but blue": {"red"},
    "a cat that is not black or brown": {"black", "brown"},
    "a beach with neither trees nor people": {"tree", "trees", "people"},
    "neither a dog nor a cat on the sofa": {"dog", "cat"},
    "there is no dog in the house": {"dog"},
    "there are no cars on the street": {"car", "cars"},
    "a room with a table but no chairs": {"chair", "chairs"},
    "a street without any cars or buses": {"car", "cars", "bus", "buses"},
    "street without any cars or buses": {"car", "cars", "bus", "buses"},
    "a house lacking a roof": {"roof"},
    "a dog instead of a cat": {"cat"},
    "people eat rice instead of bread": {"bread"},
    "a dog , not a cat , on a sofa": {"cat"},
    "a man without a red hat on his head": {"hat", "red"},
    "a plate without food": {"food"},
    "nobody on the beach": {"nobody"},
    "none of the dogs wear a collar": {"collar", "wear"},
    "no dog wears a collar": {"dog", "collar", "wear"},
    "no man is riding a horse": {"man", "horse", "ride"},
    "a kitchen minus the sink": {"sink"},
    "a man riding a bike without wearing a helmet": {"helmet", "wear"},
    "an empty street devoid of people": {"people"},
    "A MAN WITHOUT A HAT": {"hat"},
}

NOTHING = [
    "", " ", "\n\t", "\0", "?!", "...", "🐶🐶", "12345", "stock photo", "royalty-free", "IMG_1234.jpg", "#", "###",
    "https://example.com/a-red-car", "click to enlarge", "#dog #cat", "no photo description available.",
    "ein Hund auf dem Strand", "un perro en la playa", "un chien sur la plage avec une femme", "собака на пляже",
    "白い犬", "כלב לבן", "강아지", "سيارة حمراء",
]  # fmt: skip


@pytest.mark.parametrize(
    ("caption", "stated"),
    [pytest.param(caption, stated, id=f"{kind}: {caption!a}") for kind, of_kind in STATED.items()
     for caption, stated in of_kind.items()],
)  # fmt: skip
def test_states_what_is_plain_and_no_debris(
    parser: SceneGraphParser, caption: str, stated: set[tuple[str, ...]]
) -> None:
    (graph,) = parser.parse([caption])
    assert stated <= facts(graph)
    assert not words(graph) & DEBRIS


@pytest.mark.parametrize(
    ("caption", "absent"), [pytest.param(caption, absent, id=ascii(caption)) for caption, absent in NEGATED.items()]
)
def test_what_is_negated_is_no_fact(parser: SceneGraphParser, caption: str, absent: set[str]) -> None:
    (graph,) = parser.parse([caption])
    assert not words(graph) & absent


@pytest.mark.parametrize(
    ("caption", "stated"),
    [
        ("a man without a hat is riding a brown horse", {("man", "ride", "horse"), ("horse", "is", "brown")}),
        ("a man without a hat is riding a horse", {("man", "ride", "horse")}),
        ("a dog , not a cat , on a sofa", {("dog", "on", "sofa")}),
    ],
)
def test_what_is_beside_a_negation_stays(parser: SceneGraphParser, caption: str, stated: set[tuple[str, ...]]) -> None:
    (graph,) = parser.parse([caption])
    assert stated <= facts(graph)


@pytest.mark.parametrize("caption", NOTHING, ids=ascii)
def test_what_states_nothing_gives_nothing(parser: SceneGraphParser, caption: str) -> None:
    assert parser.parse([caption]) == [SceneGraph()]


def test_values_that_are_no_text_give_nothing(parser: SceneGraphParser) -> None:
    captions: list = [None, 3, float("nan"), b"a dog", ["a dog"], "", "   ", "\n\t", "a dog"]
    assert list(map(bool, parser.parse(captions))) == [False] * 8 + [True]
    assert parser.parse([]) == []


@pytest.mark.parametrize(
    "caption",
    ["a man riding a horse " * 50, "a man riding a horse . " * 50_000, "x" * 10**7, "no " * 3_300_000, "\n" * 10**7,
     "a-" * 10**6, "," * 10**6, "a dog and a cat " * 625_000, "🐶" * 2_500_000],
    ids=["50 times", "a million characters", "one word", "negations", "line ends", "hyphens", "commas", "captions",
         "emoji"],
)  # fmt: skip
def test_very_long_captions_are_quick(parser: SceneGraphParser, caption: str) -> None:
    parser.parse(["a dog"])
    start = time.process_time()
    (graph,) = parser.parse([caption])
    assert time.process_time() - start < 5
    check(graph, sure=parser.name == "compact")


def check(graph: SceneGraph, *, sure: bool) -> None:
    """Whether a graph is well formed; ``sure``: with confidences, else without."""
    for entity in graph.entities:
        assert entity.head == entity.head.strip().lower() != ""
        assert entity.text.strip()
        assert all(value.strip() for value in entity.attributes)
        assert entity.quantity is None or entity.quantity.strip()
        assert (entity.confidences is not None) == sure
        assert (entity.quantity_confidence is not None) == (sure and entity.quantity is not None)
        given = [*(entity.confidences or ()), entity.quantity_confidence or 0.0]
        assert entity.confidences is None or len(entity.confidences) == len(entity.attributes)
        assert all(0 <= confidence <= 1 for confidence in given)
    for relation in graph.relations:
        assert {relation.subject, relation.object} <= set(range(len(graph.entities)))
        assert relation.subject != relation.object
        assert relation.predicate.strip()
        assert (relation.confidence is not None) == sure
        assert 0 <= (relation.confidence or 0.0) <= 1


PIECES = st.sampled_from(
    "a the two no not without man dogs woman's red dark blue tennis court and or , . - of in on next to front that who "
    "by n't 's ’s # wearing held is are smiling group STOCK photo 🐶 שלום \u202e \0 \ud800 12 ( ) ! ? http://x.y &lt; "
    "café İ İstanbul ²".split(" ")
)
CAPTIONS = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=90).map(" ".join))


@settings(max_examples=60, deadline=None)
@given(st.lists(CAPTIONS, max_size=6))
def test_no_text_breaks_a_parser(parser: SceneGraphParser, captions: list[str]) -> None:
    graphs = parser.parse(captions)
    assert len(graphs) == len(captions)
    for graph in graphs:
        check(graph, sure=parser.name == "compact")


@settings(max_examples=25, deadline=None)
@given(st.lists(CAPTIONS, min_size=2, max_size=12))
def test_a_graph_does_not_depend_on_its_batch(parser: SceneGraphParser, captions: list[str]) -> None:
    alone = [parser.parse([caption])[0] for caption in captions]
    assert parser.parse(captions) == alone
    assert parser.parse(captions[::-1]) == alone[::-1]
    assert parser.parse(captions[:1]) + parser.parse(captions[1:]) == alone
