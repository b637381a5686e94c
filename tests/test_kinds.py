"""All kinds of triplets: each row of a mined table says what its kind promises, by the facts of a small world."""

import dataclasses
import random
from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa
import pytest
from factories import (
    Caption,
    Fact,
    Image,
    World,
    dataset,
    draw_in_memory,
    facts_parts,
    index_in_memory,
    read_table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import hierarchy
from filters.axes import axis_of
from filters.exclusive import exclusive
from pipeline import candidates, codes, contrasts
from pipeline.config import KINDS, MiningConfig
from pipeline.job import share_out

ANY = MiningConfig(
    min_concreteness=0.0,
    min_visual_strength=0.0,
    max_ambiguity=99.0,
    max_prior=1.0,
    visible_only=False,
    triplets=10**6,
    seed=3,
)
THINGS = ("car", "bus", "dog", "puppy", "person", "woman")
VALUES = {
    "car": ("red", "blue", "crimson", "old", "new"),
    "bus": ("red", "blue", "old", "new"),
    "dog": ("black", "white", "wet", "dry", "young"),
    "puppy": ("black", "white", "wet", "dry"),
    "person": ("young", "old"),
    "woman": ("young", "old"),
}
PLACES = ("beach", "street", "park")

Row = dict[str, Any]


def town(seed: int, images: int) -> World:
    """Things with values in places; some images have two captions, which may tell different things."""
    chance = random.Random(seed)
    captions = []
    for number in range(images):
        for _ in range(1 + (chance.random() < 0.3)):
            things = chance.sample(THINGS, chance.randint(1, 2))
            place = chance.choice(PLACES)
            facts = [Fact(thing, chance.choice(("on", "in")), place) for thing in things if chance.random() < 0.7]
            if len(things) == 2 and chance.random() < 0.5:
                facts.append(Fact(things[0], "near", things[1]))
            values = [
                (thing, value)
                for thing in things
                for value in chance.sample(VALUES[thing], chance.randint(0, 2))
            ]  # fmt: skip
            captions.append(Caption(("town", f"image{number}"), tuple(facts), tuple(values)))
    return World(tuple(captions))


class Claims:
    """What images claim, by plain sets: names and values with all that they imply, and the words as they are."""

    def __init__(self, world: World) -> None:
        self.facts = world.facts
        self.values: dict[Image, set[tuple[str, str]]] = defaultdict(set)
        for caption in world.captions:
            self.values[caption.image] |= set(caption.attributes)
        self.said = {image: {*world.names[image], *(value for _, value in self.values[image])} for image in world.names}

    def may_have(self, image: Image, name: str) -> bool:
        """Whether a caption names the thing or value, a kind of it, or what it may be a kind of."""
        return any(hierarchy.is_a(said, name) or hierarchy.is_a(name, said) for said in self.said[image])


def image(row: Row, role: str) -> Image:
    return row[f"{role}_source"], row[f"{role}_id"]


def assert_true(row: Row, claims: Claims) -> None:
    reference, target, text, contrast = (
        image(row, role) for role in ("reference", "target", "text_distractor", "image_distractor")
    )
    assert len({reference, target, text, contrast}) == 4
    subject, condition, kind = row["subject"], row["condition"], row["kind"]
    negatives = [contrast] if kind.startswith("focus") else [contrast, reference]
    said = Fact(subject, row["target_predicate"], row["target_object"]), (subject, row["target_attribute"])
    facts, values = claims.facts, claims.values

    def asked(own: str) -> str:
        """The word that the condition uses for a word of the target: the same, or a more general one."""
        if row["general"] is None:
            return own
        assert hierarchy.is_a(own, row["general"])
        assert hierarchy.canonical_name(own) != row["general"]
        return row["general"]

    if kind == "relation":
        lacking = [asked(row["target_object"])]
        assert condition == f"{row['target_predicate']} {lacking[0]}"
        assert said[0] in facts[target]
        assert any(fact.predicate == row["target_predicate"] and hierarchy.is_a(fact.object, lacking[0])
                   for fact in facts[text])  # fmt: skip
        assert row["contradiction"] == "other object"
    elif kind.endswith("attribute"):
        assert said[1] in values[target]
        lacking = [asked(row["target_attribute"])]
        assert condition == (lacking[0] if kind == "change_attribute" else row["axis"])
        assert row["axis"] in ANY.axes
        for negative in negatives:
            others = [value for thing, value in values[negative] if hierarchy.is_a(thing, subject)]
            assert any(exclusive(row["axis"], lacking[0], value) for value in others)
        assert any(hierarchy.is_a(value, lacking[0]) for _, value in values[text])
        if kind == "focus_attribute":
            assert any(hierarchy.is_a(value, lacking[0]) for thing, value in values[reference] if thing == subject)
            # The condition does not say whose axis it asks for, so nothing else in the reference has a value on it.
            on_axis = {thing for thing, value in values[reference] if axis_of(thing, value) == row["axis"]}
            assert on_axis == {subject}
        assert row["contradiction"] == "exclusive value"
    elif kind.endswith("object"):
        assert condition == (row["general"] or condition)
        assert any(hierarchy.is_a(fact.subject, condition) and fact[1:] == (row["target_predicate"], subject)
                   for fact in facts[target])  # fmt: skip
        lacking = [condition]
        for other in (reference, contrast):
            assert any(fact.object == subject for fact in facts[other])
        assert any(hierarchy.is_a(fact.subject, condition) for fact in facts[text])
        if kind == "focus_object":
            assert any(hierarchy.is_a(fact.subject, condition) and fact.object == subject for fact in facts[reference])
        assert row["contradiction"] == "other object"
    else:
        lacking = [row["target_attribute"], asked(row["target_second_attribute"] or row["target_second_object"])]
        words = row["target_second_attribute"] or f"{row['target_second_predicate']} {lacking[1]}"
        assert condition == f"{lacking[0]} and {words}"
        assert said[1] in values[target]
        if row["contradiction"] != "silence":
            negatives = [reference]
            assert_contradicts(row, claims, lacking)
    for name in lacking:
        assert not any(claims.may_have(negative, name) for negative in negatives)
        assert claims.may_have(text, name)
    assert not claims.may_have(text, subject)
    assert claims.may_have(contrast, subject)
    assert claims.may_have(reference, subject)


def assert_contradicts(row: Row, claims: Claims, asked: list[str]) -> None:
    """The image distractor of a composite satisfies one of the two conditions and contradicts the other."""
    contrast, subject = image(row, "image_distractor"), row["subject"]
    stated = {value for thing, value in claims.values[contrast] if thing == subject}
    relates = {(fact.predicate, fact.object) for fact in claims.facts[contrast] if fact.subject == subject}
    holds = [asked[0] in stated]
    if row["target_second_attribute"]:
        holds.append(asked[1] in stated)
    else:
        holds.append((row["target_second_predicate"], asked[1]) in relates)
    lacked = [name for name in asked if not claims.may_have(contrast, name)]
    assert len(lacked) == 1
    assert holds[1 - asked.index(lacked[0])]
    if row["contradiction"] == "exclusive value":
        other = row["image_distractor_attribute"]
        assert other in stated
        assert any(exclusive(axis, lacked[0], other) for axis in ANY.axes)
    else:
        assert row["contradiction"] == "other object"
        assert row["image_distractor_object"] in {object_ for _, object_ in relates}
        assert lacked == asked[1:]


def mined(folder: object, world: World, config: MiningConfig = ANY) -> tuple[pa.Table, Any]:
    job = dataset(folder, facts_parts(world, 3))
    stage = job.mine(config)
    job.write()
    return read_table(job, "triplets"), stage


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, pa.Table, Any]:
    world = town(1, 150)
    return world, *mined(tmp_path_factory.mktemp("kinds") / "out", world)


def test_every_kind_is_mined_and_every_row_is_true(everything: tuple) -> None:
    world, table, _ = everything
    claims = Claims(world)
    rows = table.to_pylist()
    assert set(table["kind"].to_pylist()) == set(KINDS)
    for row in rows:
        assert_true(row, claims)


def test_composites_have_negatives_that_satisfy_one_of_the_two(everything: tuple) -> None:
    _, table, _ = everything
    found = Counter(row["contradiction"] for row in table.to_pylist() if row["kind"] == "composite")
    assert set(found) >= {"exclusive value", "other object"}
    assert found["silence"] < 0.1 * found.total()


def test_a_general_word_is_used_where_the_own_word_is_thin(everything: tuple) -> None:
    """Thin is what fewer targets of the subject than configured say in their own words, by plain sets."""
    world, table, _ = everything
    claims = Claims(world)

    def targets(subject: str, word: str, place: bool) -> int:
        """Images that say so of the subject and for which another image can be the text distractor."""
        count = 0
        for facts in world.facts.values():
            for fact in facts:
                own, of = (fact.subject, fact.object) if place else (fact.object, fact.subject)
                if of != subject or own != word:
                    continue
                if place:
                    alike = {other for other, others in world.facts.items() if any(f.subject == own for f in others)}
                else:
                    alike = {other for other, others in world.facts.items()
                             if any(f[1:] == fact[1:] for f in others)}  # fmt: skip
                count += any(not claims.may_have(other, subject) for other in alike)
        return count

    general = [row for row in table.to_pylist() if row["general"]]
    assert {"relation", "change_attribute", "composite"} <= {row["kind"] for row in general}
    for row in general:
        if row["kind"] == "relation":
            assert targets(row["subject"], row["target_object"], False) < ANY.generalise_below
        elif row["kind"] == "change_object":
            said = {fact.subject for fact in world.facts[image(row, "target")] if fact.object == row["subject"]}
            own = [word for word in said if word != row["general"] and hierarchy.is_a(word, row["general"])]
            assert min(targets(row["subject"], word, True) for word in own) < ANY.generalise_below


def test_words_are_general_only_where_that_is_asked_for(tmp_path: object, everything: tuple) -> None:
    world, table, _ = everything
    own, _ = mined(f"{tmp_path}/out", world, dataclasses.replace(ANY, generalise_below=0))
    assert own["general"].null_count == len(own)
    kept = set(own["triplet_id"].to_pylist())
    assert kept <= set(table["triplet_id"].to_pylist())
    always, _ = mined(f"{tmp_path}/always", world, dataclasses.replace(ANY, generalise_below=10**6))
    assert {row["kind"] for row in always.to_pylist() if row["general"]} == set(KINDS)
    claims = Claims(world)
    for row in always.to_pylist():
        assert_true(row, claims)


@pytest.mark.parametrize("arrival", range(3))
def test_no_kind_depends_on_the_order_in_which_rows_arrive(arrival: int) -> None:
    parts = facts_parts(town(2, 150), 3)
    in_order, shuffled = (
        draw_in_memory(index_in_memory(parts, ANY, order), ANY, 1.0) for order in (None, arrival)
    )  # fmt: skip
    assert set(in_order["kind"].to_pylist()) == set(range(len(KINDS)))
    assert shuffled.equals(in_order)


def test_no_triplet_comes_twice(everything: tuple) -> None:
    _, table, _ = everything
    assert len(set(table["triplet_id"].to_pylist())) == len(table)
    rows = table.select(["kind", "condition", "reference_id", "target_id"]).to_pylist()
    assert len({tuple(row.values()) for row in rows}) == len(rows)


def test_facts_that_make_no_row_are_rejected_with_a_reason(everything: tuple) -> None:
    _, _, stage = everything
    assert stage.rows_in == stage.rows_out + sum(stage.rejects.values())


def test_the_prior_is_the_share_of_the_images_that_satisfy_the_condition(everything: tuple) -> None:
    world, table, _ = everything
    on_beach = {image for image, facts in world.facts.items() if any(fact.object == "beach" for fact in facts)}
    with_bus = {
        image for image in on_beach if any(f.subject == "bus" and f.object == "beach" for f in world.facts[image])
    }
    wanted = {"kind": "change_object", "condition": "bus", "subject": "beach"}
    priors = {row["prior"] for row in table.to_pylist() if wanted.items() <= row.items()}
    assert list(priors) == [pytest.approx(len(with_bus) / len(on_beach))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_can_be_mined_by_itself(tmp_path: object, kind: str, everything: tuple) -> None:
    world, table, _ = everything
    alone, _ = mined(f"{tmp_path}/out", world, dataclasses.replace(ANY, kinds=(kind,)))
    assert set(alone["kind"].to_pylist()) == {kind}
    assert len(alone) == table["kind"].to_pylist().count(kind)


def test_kinds_come_in_equal_shares_where_all_can_be_had(tmp_path: object) -> None:
    table, _ = mined(f"{tmp_path}/out", town(5, 300), dataclasses.replace(ANY, triplets=600))
    counts = Counter(table["kind"].to_pylist())
    assert sum(counts.values()) == 600
    assert max(counts.values()) < 1.5 * min(counts.values())


@given(
    st.dictionaries(st.sampled_from(KINDS), st.integers(0, 1000), min_size=1),
    st.integers(0, 5000),
    st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=len(KINDS), max_size=len(KINDS)),
)
def test_shares_give_all_that_is_asked_for_or_all_there_is(
    capacity: dict[str, int], wanted: int, weights: list[float]
) -> None:
    weight = dict(zip(KINDS, weights, strict=True))
    shares = share_out(capacity, wanted, weight)
    assert all(0 <= shares[kind] <= capacity[kind] for kind in capacity)
    total = sum(shares.values())
    assert min(wanted, sum(capacity.values())) <= total < wanted + len(capacity)
    # No kind gets more for its weight than another that could have given more.
    for a in capacity:
        for b in capacity:
            if shares[b] < capacity[b]:
                assert shares[a] / weight[a] <= shares[b] / weight[b] + 2 / min(weight[a], weight[b])


def test_a_condition_that_most_images_of_the_subject_satisfy_is_not_mined(tmp_path: object) -> None:
    table, _ = mined(f"{tmp_path}/out", town(1, 150), dataclasses.replace(ANY, max_prior=0.2))
    assert 0.1 < max(table["prior"].to_pylist()) <= 0.2


def test_a_name_may_imply_a_value() -> None:
    """A picture of a toddler shows someone young, although no caption says "young"."""
    denied = set(codes.denials(pa.array(["young"])).to_pylist()[0])
    toddler, man = (set(claims) for claims in codes.claims(pa.array(["toddler", "man"])).to_pylist())
    assert denied & toddler
    assert not denied & man


def test_what_a_predicate_implies_is_claimed_by_its_image() -> None:
    """Where a dog swims toward a ball there is water, although no caption names it."""
    denied = set(codes.denials(pa.array(["water"])).to_pylist()[0])
    for predicate, claimed in (("swim toward", True), ("run after", False)):
        (facts,) = facts_parts(World((Caption(("town", "one"), (Fact("dog", predicate, "ball"),)),)), 1)
        rows, _ = candidates.mineable(facts, 0, ANY)
        assert len(rows)
        assert all(bool(denied & set(claims)) == claimed for claims in rows["claims"].to_pylist())


def test_what_is_alike_of_a_kind_is_no_contrast() -> None:
    """A bride is a woman, and captions do not keep women and girls apart."""
    denied = set(codes.denials(pa.array(["bride"])).to_pylist()[0])
    girl, man = (set(claims) for claims in codes.claims(pa.array(["girl", "man"])).to_pylist())
    assert denied & girl
    assert not denied & man


def test_what_a_caption_says_to_be_none_makes_no_condition() -> None:
    """The lion of a sculpture is no lion on the street, and the sculpture is one of a lion."""
    said = (Fact("sculpture", "of", "lion"), Fact("lion", "on", "street"), Fact("dog", "on", "street"))
    (facts,) = facts_parts(World((Caption(("town", "one"), said),)), 1)
    _, rejects = candidates.mineable(facts, 0, dataclasses.replace(ANY, visible_only=True))
    assert facts.take(rejects["lookalike"]).select(["subject", "object"]).to_pylist() == [
        {"subject": "lion", "object": "street"}
    ]


def test_a_child_may_be_a_girl() -> None:
    """Captions do not keep some things apart, so neither is a contrast to the other."""
    denied = set(codes.denials(pa.array(["girl"])).to_pylist()[0])
    child, boy = (set(claims) for claims in codes.claims(pa.array(["child", "boy"])).to_pylist())
    assert denied & child
    assert not denied & boy


def test_a_cap_on_a_target_holds(tmp_path: object) -> None:
    table, _ = mined(f"{tmp_path}/out", town(1, 150), dataclasses.replace(ANY, max_per_target=2))
    rows = table.select(
        ["kind", "condition", "subject", "target_id", "target_attribute", "target_predicate"]
    ).to_pylist()
    assert set(Counter(row["kind"] for row in rows)) == set(KINDS)
    assert max(Counter(tuple(row.values()) for row in rows).values()) == 2


@pytest.mark.parametrize("salted", [False, True])
@pytest.mark.parametrize(
    ("cap", "columns"),
    [
        ("max_per_image", ["kind", "target_source", "target_id"]),
        ("max_per_subject", ["kind", "subject"]),
        ("max_per_condition", ["kind", "subject", "condition"]),
    ],
)
def test_a_cap_holds_for_salted_subjects_too(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, cap: str, columns: list[str], salted: bool
) -> None:
    if salted:
        monkeypatch.setattr(candidates, "ROWS_PER_SUBJECT_GROUP", 1 << 5)
        monkeypatch.setattr(candidates, "ROWS_PER_COMPOSITE_GROUP", 1 << 6)
    world = town(1, 150)
    table, stage = mined(f"{tmp_path}/out", world, dataclasses.replace(ANY, **{cap: 5}))
    assert set(table["kind"].to_pylist()) == set(KINDS)
    rows = table.to_pylist()
    counts = Counter(tuple(row[name] for name in columns) for row in rows)
    by_axis = cap == "max_per_condition"
    of_axis = {names: count for names, count in counts.items() if by_axis and names[0] == "focus_attribute"}
    assert max(counts[names] for names in counts if names not in of_axis) == 5
    assert all(count <= 5 * len(VALUES[names[1]]) for names, count in of_axis.items())  # 5 of each value
    assert "within the caps" in " ".join(stage.notes)
    claims = Claims(world)
    for row in rows:
        assert_true(row, claims)


def test_caps_give_as_many_triplets_as_asked_for_where_they_can_be_had(tmp_path: object) -> None:
    table, _ = mined(f"{tmp_path}/out", town(1, 150), dataclasses.replace(ANY, max_per_image=5, triplets=500))
    assert len(table) == 500


@pytest.mark.parametrize(
    ("limit", "reason", "value"),
    [({"max_ambiguity": 1.0}, "ambiguous_axis", "new"), ({"min_visual_strength": 3.2}, "hardly_visual", "wet")],
)
def test_values_that_tell_little_are_rejected(limit: dict[str, float], reason: str, value: str) -> None:
    (facts,) = facts_parts(town(1, 60), 1)
    _, rejects = candidates.mineable(facts, 0, dataclasses.replace(ANY, **limit))
    found = facts.take(rejects[reason])["attribute"].to_pylist()
    assert value in found
    assert "blue" not in found


def test_facts_below_the_confidence_are_rejected() -> None:
    (facts,) = facts_parts(town(1, 20), 1)
    unsure = pa.array([None, 0.4, 0.9] * len(facts), pa.float32())[: len(facts)]
    facts = facts.set_column(facts.schema.get_field_index("confidence"), "confidence", unsure)
    _, rejects = candidates.mineable(facts, 0, dataclasses.replace(ANY, min_confidence=0.5))
    assert set(unsure.take(rejects["not_confident"]).to_pylist()) == {pa.scalar(0.4, pa.float32()).as_py()}


@settings(deadline=None)
@given(st.lists(st.sampled_from(["dog", "puppy", "animal", "dogs", "cat", "hot dog", "sofa", "couch"]), min_size=1))
def test_an_image_makes_a_denied_claim_exactly_when_it_may_show_the_thing(names: list[str]) -> None:
    claimed = [set(found) for found in codes.claims(pa.array(names)).to_pylist()]
    denied = [set(found) for found in codes.denials(pa.array(names)).to_pylist()]
    for name, denials in zip(names, denied, strict=True):
        for other, claims in zip(names, claimed, strict=True):
            assert bool(claims & denials) == (hierarchy.is_a(other, name) or hierarchy.is_a(name, other))


def test_levels_are_counted_for_each_kind() -> None:
    (facts,) = facts_parts(town(2, 60), 1)
    rows, _ = candidates.mineable(facts, 0, ANY)
    index = contrasts.index_subjects(contrasts.with_text_distractors(rows, ANY), ANY)
    yields = contrasts.yields(index, ANY)
    assert set(yields) == set(KINDS)
    for place, level in [(100, float(contrasts.LEVELS[100])), (-1, float("inf"))]:
        drawn = contrasts.draw(index, dict.fromkeys(KINDS, level), ANY)
        counts = Counter(drawn["kind"].tolist())
        assert [counts[number] for number in range(len(KINDS))] == [yields[kind][place] for kind in KINDS]
