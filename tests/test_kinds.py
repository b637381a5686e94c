"""All kinds of triplets: each row of a mined table says what its kind promises, by the facts of a small world."""

import dataclasses
import random
from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa
import pytest
from factories import Caption, Fact, Image, World, dataset, facts_parts, read_table
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import hierarchy
from filters.exclusive import exclusive
from pipeline import candidates, codes, contrasts
from pipeline.config import KINDS, MiningConfig
from pipeline.job import _shares

ANY = MiningConfig(min_concreteness=0.0, max_prior=1.0, visible_only=False, triplets=10**6, seed=3)
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
    if kind == "relation":
        assert condition == f"{row['target_predicate']} {row['target_object']}"
        assert said[0] in claims.facts[target]
        lacking = [row["target_object"]]
        assert row["contradiction"] == "other object"
    elif kind.endswith("attribute"):
        assert said[1] in claims.values[target]
        lacking = [row["target_attribute"]]
        assert condition == (lacking[0] if kind == "change_attribute" else row["axis"])
        assert row["axis"] in ANY.axes
        for negative in negatives:
            others = [value for thing, value in claims.values[negative] if hierarchy.is_a(thing, subject)]
            assert any(exclusive(row["axis"], lacking[0], value) for value in others)
        assert any(value == lacking[0] for _, value in claims.values[text])
        if kind == "focus_attribute":
            assert any(hierarchy.canonical_name(value) == hierarchy.canonical_name(lacking[0])
                       for _, value in claims.values[reference])  # fmt: skip
        assert row["contradiction"] == "exclusive value"
    elif kind.endswith("object"):
        assert Fact(condition, row["target_predicate"], subject) in claims.facts[target]
        lacking = [condition]
        for other in (reference, contrast):
            assert any(fact.object == subject for fact in claims.facts[other])
        assert any(fact.subject == condition for fact in claims.facts[text])
        if kind == "focus_object":
            assert any(fact.subject == condition and fact.object == subject for fact in claims.facts[reference])
    else:
        second = row["target_second_attribute"] or row["target_second_object"]
        words = row["target_second_attribute"] or f"{row['target_second_predicate']} {second}"
        assert condition == f"{row['target_attribute']} and {words}"
        assert said[1] in claims.values[target]
        lacking = [row["target_attribute"], second]
        assert row["contradiction"] == "silence"
    for name in lacking:
        assert not any(claims.may_have(negative, name) for negative in negatives)
        assert claims.may_have(text, name)
    assert not claims.may_have(text, subject)
    assert claims.may_have(contrast, subject)
    assert claims.may_have(reference, subject)


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
    shares = _shares(capacity, wanted, weight)
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
