"""What gold graphs confirm of a triplet, on graphs made by hand."""

from typing import Any

import pytest

from benchmarks.truth import (
    Gold,
    entropy,
    fault,
    head_share,
    image_distractor_fault,
    same_value,
    text_distractor_fault,
    thing,
)

ROLES = ("reference", "target", "text_distractor", "image_distractor")


def triplet(kind: str, subject: str, condition: str, **columns: str) -> dict[str, Any]:
    """A row of the triplets table whose images are called by their roles."""
    told = ("target_attribute", "target_object", "target_second_attribute", "target_second_object", "general")
    row: dict[str, Any] = dict.fromkeys((*told, "text_distractor_subject"))
    return row | {"kind": kind, "subject": subject, "condition": condition} | {f"{r}_id": r for r in ROLES} | columns


def graphs(reference: str, target: str, text: str = "", image: str = "") -> dict[str, Gold]:
    return {role: Gold.read(notation) for role, notation in zip(ROLES, (reference, target, text, image), strict=True)}


def test_a_kind_of_what_is_asked_for_is_it_too():
    near = triplet("relation", "man", "near animal", target_object="puppy", general="animal")
    assert fault(near, graphs("( man , on , sofa )", "( man , near , puppy )", "( cat )")) is None
    assert fault(near, graphs("( man , hold , cat )", "( man , near , puppy )", "( cat )")) == (
        "reference has the fact in gold"
    )
    plain = triplet("relation", "man", "near puppy", target_object="puppy")
    assert fault(plain, graphs("( man , on , sofa )", "( man , near , animal )", "( puppy )")) == (
        "fact not in gold target"
    )


RIDES = triplet("relation", "man", "ride horse", target_object="horse")
BLUE = triplet("change_attribute", "car", "blue", target_attribute="blue", text_distractor_subject="sky")
COLOR = triplet("focus_attribute", "car", "color", target_attribute="blue", text_distractor_subject="sky")
BENCH = triplet("change_object", "park", "bench", target_object="park", text_distractor_subject="bench")
SHARED_BENCH = BENCH | {"kind": "focus_object"}
BOTH = triplet(
    "composite", "dog", "black and on sofa", target_attribute="black", target_second_object="sofa",
    text_distractor_subject="cat",
)  # fmt: skip


@pytest.mark.parametrize(
    "stated", ["( man , ride , horse )", "( horse , carry , men )", "( old man , on , race-horses )"]
)
def test_relation_of_the_two_things_by_any_predicate_direction_and_number_confirms(stated):
    assert fault(RIDES, graphs("( man , walk , dog )", stated, "( horses )")) is None


@pytest.mark.parametrize(
    ("reference", "target", "text", "reason"),
    [
        ("( man )", "( woman , ride , horse )", "( horse )", "subject not in gold target"),
        ("( man )", "( man ) , ( dog , chase , horse )", "( horse )", "fact not in gold target"),
        ("( woman )", "( man , ride , horse )", "( horse )", "subject not in gold reference"),
        ("( man , lead , horse )", "( man , ride , horse )", "( horse )", "reference has the fact in gold"),
        ("( man )", "( man , ride , horse )", "( dog )", "object not in gold text distractor"),
    ],
)
def test_relation_is_false_for_the_first_reason_that_holds(reference, target, text, reason):
    assert fault(RIDES, graphs(reference, target, text)) == reason


def test_text_distractor_of_a_relation_is_a_third_image():
    gold = graphs("( man )", "( man , ride , horse )")
    assert fault(RIDES | {"text_distractor_id": "target"}, gold) == "text distractor is not a third image"


def test_changed_attribute_is_in_the_target_and_not_in_the_reference():
    assert fault(BLUE, graphs("( car , is , red )", "( cars , is , dark blue )")) is None
    assert fault(BLUE, graphs("( car , is , blue )", "( car , is , blue )")) == "reference has the fact in gold"
    assert fault(BLUE, graphs("( car )", "( car ) , ( sky , is , blue )")) == "fact not in gold target"


def test_shared_attribute_is_in_both():
    assert fault(COLOR, graphs("( car , is , blue )", "( car , is , blue )")) is None
    assert fault(COLOR, graphs("( car , is , red )", "( car , is , blue )")) == "fact not in gold reference"


def test_object_kinds_ask_what_the_place_shows():
    with_bench, without = "( woman , sit on , bench ) , ( bench , in , park )", "( dog , in , park )"
    assert fault(BENCH, graphs(without, with_bench)) is None
    assert fault(BENCH, graphs(with_bench, with_bench)) == "reference has the fact in gold"
    assert fault(SHARED_BENCH, graphs(with_bench, with_bench)) is None
    assert fault(SHARED_BENCH, graphs(without, with_bench)) == "fact not in gold reference"


def test_composite_asks_for_both_conditions():
    both, one = "( dog , is , black ) , ( dog , on , couch )", "( dog , is , black )"
    assert fault(BOTH, graphs(one, both)) is None
    assert fault(BOTH, graphs(one, one)) == "fact not in gold target"
    assert fault(BOTH, graphs(both, both)) == "reference has the fact in gold"


def test_image_distractor_has_the_subject_and_not_the_condition():
    assert image_distractor_fault(BLUE, graphs("", "", image="( car , is , red )")) is None
    assert image_distractor_fault(BLUE, graphs("", "", image="( bus )")) == "image distractor lacks the subject"
    assert image_distractor_fault(COLOR, graphs("", "", image="( car , is , blue )")) == "image distractor has the fact"


def test_text_distractor_has_the_condition_and_not_the_subject():
    assert text_distractor_fault(BLUE, graphs("", "", text="( sky , is , blue )")) is None
    assert text_distractor_fault(BLUE, graphs("", "", text="( sky )")) == "text distractor lacks the fact"
    assert text_distractor_fault(RIDES, graphs("", "", text="( horse ) , ( man )")) == "text distractor has the subject"


def test_words_are_compared_by_number_synonym_and_head():
    assert thing("tennis courts") == thing("basketball court")
    assert thing("dog") != thing("animal")
    assert same_value("dark blue", "blue")
    assert same_value("grey", "gray")
    assert not same_value("dark blue", "light blue")
    assert not same_value("crimson", "red")


def test_entropy_and_head_of_names():
    assert entropy(["a", "b", "c", "d"]) == pytest.approx(2.0)
    assert entropy(["a", "a"]) == 0.0
    assert head_share([str(number) for number in range(100)]) == pytest.approx(0.5)
