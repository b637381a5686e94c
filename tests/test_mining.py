"""The default preset: every triplet is true, none repeats, and all that are possible can be had.

The oracle is plain Python over the captions of small worlds; most tests call the stages' functions without Beam, and
the last ones run the job over files.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from factories import (
    Caption,
    Fact,
    Image,
    Triplet,
    World,
    dataset,
    draw_in_memory,
    facts_parts,
    index_in_memory,
    random_world,
    read_table,
    triplets_of_draws,
    triplets_of_table,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import candidates, contrasts
from pipeline.codes import thing_codes
from pipeline.config import ROWS_PER_SUBJECT_GROUP, TEXT_DISTRACTORS_PER_TARGET, MiningConfig
from pipeline.readers.identity import named_keys

OWN_WORDS = {"min_concreteness": 0.0, "min_visual_strength": 0.0, "max_prior": 1.0, "generalise_below": 0}
ANY = MiningConfig(kinds=("relation",), subject_temperature=1.0, partitions=3, **OWN_WORDS)
UNLIMITED = float("inf")
THINGS = ("man", "dog", "hot dog", "grass", "hat")
PREDICATES = ("on", "in")

examples = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def worlds_image_by_image(draw: st.DrawFn) -> World:
    """Any small world; shrinks to the smallest that fails."""
    things, predicates = st.sampled_from(THINGS[:4]), st.sampled_from(PREDICATES)
    facts = st.lists(st.builds(Fact, things, predicates, things), max_size=2).map(tuple)
    mentions = st.lists(things, max_size=1).map(tuple)
    captions = []
    for number in range(draw(st.sampled_from([0, 1, 8, 16]))):
        image = (f"source{number % 2}", f"image{number // 2}")
        for _ in range(draw(st.integers(1, 2))):
            captions.append(Caption(image, draw(facts), (), draw(mentions)))
    return World(tuple(captions))


worlds = st.one_of(
    worlds_image_by_image(),
    *(
        st.builds(random_world, st.integers(0, 10**6), st.sampled_from(sizes), facts=st.just(facts))
        for sizes, facts in (([15, 30, 60], 2), ([20, 40], 1), ([40, 60], 3))
    ),
)
seeds = st.integers(0, 2**63 - 1)


def split_of_images(world: World, config: MiningConfig) -> dict[Image, int]:
    images = list(world.names)
    keys = np.array([named_keys(source, [name])[0] for source, name in images], np.int64)
    return dict(zip(images, candidates.image_split(keys, config).tolist(), strict=True))


def possible_triplets(
    world: World, group_of: Callable[[Image], object] = lambda image: 0
) -> set[tuple[str, str, str, Image, Image]]:
    """Subject, predicate, object, target and reference of every triplet that could be mined.

    Args:
        group_of: images are only ever put together within a group of this, such as a split.
    """
    images_by_group: dict[object, list[Image]] = defaultdict(list)
    for image in world.facts:
        images_by_group[group_of(image)].append(image)
    possible = set()
    for images in images_by_group.values():
        for target in images:
            for fact in world.facts[target]:
                if fact.subject == fact.object:
                    continue
                says_it_of_another = [
                    image
                    for image in images
                    if fact.subject not in world.names[image]
                    and any(
                        (other.predicate, other.object) == (fact.predicate, fact.object)
                        and other.subject != other.object
                        for other in world.facts[image]
                    )
                ]
                contrasts = [
                    image
                    for image in images
                    if fact.subject in world.subjects_of(image) and fact.object not in world.names[image]
                ]
                if says_it_of_another and len(contrasts) >= 2:
                    possible |= {(*fact, target, reference) for reference in contrasts}
    return possible


def assert_true(triplet: Triplet, world: World) -> None:
    """The facts bear out all that a triplet claims."""
    subject, object_ = triplet.subject, triplet.object
    assert world.states(triplet.target, Fact(subject, triplet.predicate, object_))
    assert subject in world.subjects_of(triplet.reference)
    assert object_ not in world.names[triplet.reference]
    assert triplet.text_distractor_subject != subject
    assert world.states(triplet.text_distractor, Fact(triplet.text_distractor_subject, triplet.predicate, object_))
    assert subject not in world.names[triplet.text_distractor]
    assert subject in world.subjects_of(triplet.image_distractor)
    assert object_ not in world.names[triplet.image_distractor]
    images = {triplet.reference, triplet.target, triplet.text_distractor, triplet.image_distractor}
    assert len(images) == 4


def mine(world: World, config: MiningConfig, level: float = UNLIMITED) -> list[Triplet]:
    """Triplets of a world, function by function."""
    parts = facts_parts(world, config.partitions)
    return triplets_of_draws(draw_in_memory(index_in_memory(parts, config), config, level), parts)


def keys_of(triplets: list[Triplet]) -> set[tuple[str, str, str, Image, Image]]:
    return {(t.subject, t.predicate, t.object, t.target, t.reference) for t in triplets}


def without_subject(keys: set[tuple[str, str, str, Image, Image]]) -> set[tuple[str, str, Image, Image]]:
    return {key[1:] for key in keys}


levels = st.sampled_from([0.01, 0.3, 1.0, 2.5, UNLIMITED])


@examples
@given(worlds, seeds, levels)
def test_every_triplet_is_true_by_the_facts(world: World, seed: int, level: float) -> None:
    for triplet in mine(world, dataclasses.replace(ANY, seed=seed), level):
        assert_true(triplet, world)


@examples
@given(worlds, seeds, levels)
def test_no_reference_condition_and_target_come_together_twice(world: World, seed: int, level: float) -> None:
    triplets = mine(world, dataclasses.replace(ANY, seed=seed), level)
    pairs = [triplet.pair for triplet in triplets]
    assert len(set(pairs)) == len(pairs)


@examples
@given(worlds, seeds)
def test_without_a_limit_exactly_the_possible_triplets_are_mined(world: World, seed: int) -> None:
    mined = keys_of(mine(world, dataclasses.replace(ANY, seed=seed)))
    possible = possible_triplets(world)
    assert mined <= possible
    # Two subjects of one target and reference ("man in suit", "person in suit") are one triplet, of either.
    assert without_subject(mined) == without_subject(possible)
    assert len(mined) == len(without_subject(possible))


@examples
@given(worlds, seeds, st.floats(0.1, 0.7))
def test_within_each_split_exactly_the_possible_triplets_are_mined(world: World, seed: int, share: float) -> None:
    config = dataclasses.replace(ANY, seed=seed, split=share)
    split = split_of_images(world, config)
    triplets = mine(world, config)
    for triplet in triplets:
        assert_true(triplet, world)
        used = (triplet.reference, triplet.target, triplet.text_distractor, triplet.image_distractor)
        assert len({split[image] for image in used}) == 1
    assert without_subject(keys_of(triplets)) == without_subject(possible_triplets(world, split.__getitem__))


@examples
@given(worlds, seeds, levels, st.integers(0, 10**6))
def test_draws_do_not_depend_on_the_order_in_which_rows_arrive(
    world: World, seed: int, level: float, arrival: int
) -> None:
    config = dataclasses.replace(ANY, seed=seed)
    parts = facts_parts(world, config.partitions)
    in_order = draw_in_memory(index_in_memory(parts, config), config, level)
    shuffled = draw_in_memory(index_in_memory(parts, config, arrival), config, level)
    assert shuffled.equals(in_order)


@examples
@given(worlds, seeds, st.data())
def test_the_chosen_level_yields_at_least_what_is_asked_for(world: World, seed: int, data: st.DataObject) -> None:
    config = dataclasses.replace(ANY, seed=seed)
    parts = facts_parts(world, config.partitions)
    index = index_in_memory(parts, config)
    yields = contrasts.yields(index, config)["relation"]
    assert (np.diff(yields) >= 0).all()
    wanted = data.draw(st.integers(0, int(yields[-1])))
    level = contrasts.choose_level(yields, wanted)
    drawn = contrasts.draw(index, {"relation": level}, config)
    assert len(drawn["key"]) >= wanted
    position = len(yields) - 1 if level == UNLIMITED else int(np.flatnonzero(level == contrasts.LEVELS)[0])
    assert len(drawn["key"]) == yields[position]
    assert position == 0 or yields[position - 1] < wanted


def test_another_seed_draws_another_sample() -> None:
    world = random_world(1, 120)
    samples = [keys_of(mine(world, dataclasses.replace(ANY, seed=seed), 0.5)) for seed in (1, 2)]
    assert len(samples[0]) > 50
    assert samples[0] != samples[1]


def test_triplets_are_spread_over_subjects_by_their_images_and_over_objects_by_the_root_of_theirs() -> None:
    """Subjects with 40, 20 and 10 images, each with two objects of unequal frequency, and others to contrast with."""
    captions, counts = [], {"man": 40, "dog": 20, "cat": 10}
    number = 0
    for subject, images in counts.items():
        for place in range(images):
            number += 1
            captions.append(Caption(("toy", f"{number}"), (Fact(subject, "on", "grass" if place % 4 else "sofa"),)))
    world = World(tuple(captions))
    config = dataclasses.replace(ANY, seed=5)
    parts = facts_parts(world, config.partitions)
    index = index_in_memory(parts, config)
    for level in (0.25, 1.0, 2.0):
        triplets = triplets_of_draws(draw_in_memory(index, config, level), parts)
        found = Counter(triplet.subject for triplet in triplets)
        by_object = Counter((triplet.subject, triplet.object) for triplet in triplets)
        for subject, images in counts.items():
            assert abs(found[subject] - level * images) <= 2, (level, subject)  # one for each of its two objects
            grass, sofa = (images * 3 / 4) ** 0.5, (images / 4) ** 0.5
            assert abs(by_object[subject, "grass"] - level * images * grass / (grass + sofa)) <= 1
            assert abs(by_object[subject, "sofa"] - level * images * sofa / (grass + sofa)) <= 1


def test_targets_references_and_text_distractors_take_turns() -> None:
    """Twice as many triplets as targets: every target twice, each time with another reference and text distractor."""
    world = World(
        tuple(
            Caption(("toy", f"{subject} on {place} {number}"), (Fact(subject, "on", place),))
            for subject, images in (("dog", 6), ("cat", 4))
            for place in ("grass", "sofa")
            for number in range(images)
        )
    )
    by_target = defaultdict(list)
    for triplet in mine(world, ANY, level=2.0):
        by_target[triplet.target].append(triplet)
    assert len(by_target) == len(world.captions)
    for triplets in by_target.values():
        assert len(triplets) == len({t.reference for t in triplets}) == len({t.text_distractor for t in triplets}) == 2


def test_a_target_takes_turns_with_up_to_four_text_distractors() -> None:
    grass = [Caption(("toy", f"g{n}"), (Fact("dog", "on", "grass"),)) for n in range(3)]
    sofa = [Caption(("toy", f"s{n}"), (Fact("dog", "on", "sofa"),)) for n in range(8)]
    others = [Caption(("toy", f"c{n}"), (Fact("cat", "on", "grass"),)) for n in range(9)]
    triplets = mine(World((*grass, *sofa, *others)), ANY)
    assert len(triplets) == 3 * 8  # sofa: no other subject is on one
    texts = defaultdict(set)
    for triplet in triplets:
        texts[triplet.target].add(triplet.text_distractor)
    assert [len(found) for found in texts.values()] == [TEXT_DISTRACTORS_PER_TARGET] * 3


# Splits


def test_the_share_of_held_out_images_is_roughly_what_was_asked_for() -> None:
    keys = named_keys("toy", [str(number) for number in range(20_000)])
    for share in (0.0, 0.05, 0.5):
        config = dataclasses.replace(ANY, split=share, seed=3)
        held_out = candidates.image_split(keys, config)
        assert abs(held_out.mean() - share) < 0.01
        assert set(held_out.tolist()) <= {0, 1}
    assert candidates.image_split(keys, dataclasses.replace(ANY, split=0.0)).sum() == 0


def test_a_larger_share_holds_out_the_same_images_and_more() -> None:
    keys = named_keys("toy", [str(number) for number in range(1_000)])
    few, many = (candidates.image_split(keys, dataclasses.replace(ANY, split=share)) for share in (0.1, 0.3))
    assert (few <= many).all()
    assert few.sum() < many.sum()


# Rejects


def rejected(world: World, config: MiningConfig = ANY) -> tuple[list[Fact], dict[str, list[tuple[str, str]]]]:
    """The facts of one part that are mined, and subject and caption of those that are not, by reason."""
    (facts,) = facts_parts(world, 1)
    rows, rejects = candidates.mineable(facts, 0, config)
    mined = facts.take(pa.array([fact & 0xFFFFFFFF for fact in rows["fact"].to_pylist()], pa.int64())).to_pylist()
    told = {
        reason: [(row["subject"], row["caption"]) for row in facts.take(found).to_pylist()]
        for reason, found in rejects.items()
    }
    assert len(rows) + sum(map(len, told.values())) == len(facts)
    return [Fact(row["subject"], row["predicate"], row["object"]) for row in mined], told


def test_facts_are_rejected_for_the_reason_that_was_planted() -> None:
    image = ("toy", "a")
    world = World(
        (
            Caption(image, (Fact("dog", "on", "grass"), Fact("man", "beside", "man")), (("dog", "red"),)),
            Caption(image, (Fact("dog", "on", "grass"), Fact("idea", "in", "dog"), Fact("cat", "of", "belief"))),
            Caption(("toy", "b"), (Fact("dog", "on", "grass"), Fact("zzyzx", "on", "grass"))),
        )
    )
    mined, told = rejected(world, dataclasses.replace(ANY, min_concreteness=3.0))
    assert sorted(mined) == [Fact("dog", "on", "grass")] * 2 + [Fact("zzyzx", "on", "grass")]  # unrated words pass
    assert told == {
        "kind_not_mined": [("dog", "caption 0 of toy/a")],
        "relates_to_itself": [("man", "caption 0 of toy/a")],
        "not_seen": [("idea", "caption 1 of toy/a")],
        "not_concrete": [("cat", "caption 1 of toy/a")],
        "repeated_fact": [("dog", "caption 1 of toy/a")],
    }


def test_of_repeated_facts_the_first_is_mined() -> None:
    image = ("toy", "a")
    facts = (Fact("dog", "on", "grass"), Fact("dog", "in", "grass"), Fact("dog", "on", "grass"))
    mined, told = rejected(World((Caption(image, facts), Caption(image, facts[1:]))))
    assert mined == [Fact("dog", "on", "grass"), Fact("dog", "in", "grass")]
    assert told == {"repeated_fact": [("dog", f"caption {number} of toy/a") for number in (0, 1, 1)]}


def test_two_sources_with_the_same_image_id_are_two_images() -> None:
    facts = (Fact("dog", "on", "grass"),)
    mined, told = rejected(World((Caption(("first", "1"), facts), Caption(("second", "1"), facts))))
    assert len(mined) == 2
    assert told == {}


def test_a_compound_counts_as_its_last_word_when_a_contrast_is_looked_for() -> None:
    """ "lawn grass" is grass, so an image with it is no contrast to a dog on grass."""
    on_grass = [Caption(("toy", f"g{n}"), (Fact("dog", "on", "grass"),)) for n in range(2)]
    on_lawn = [Caption(("toy", f"l{n}"), (Fact("dog", "on", "lawn grass"),)) for n in range(4)]
    cats = [Caption(("toy", f"c{n}"), (Fact("cat", "on", "grass"),)) for n in range(2)]
    assert not mine(World((*on_grass, *on_lawn, *cats)), ANY)
    in_house = [Caption(("toy", f"h{n}"), (Fact("dog", "in", "house"),)) for n in range(2)]
    assert len(mine(World((*on_grass, *on_lawn, *cats, *in_house)), ANY)) == 2 * 2


def test_one_image_to_contrast_with_is_not_enough() -> None:
    on_grass = [Caption(("toy", f"g{n}"), (Fact("dog", "on", "grass"),)) for n in range(2)]
    cat = Caption(("toy", "c"), (Fact("cat", "on", "grass"),))
    sofas = [Caption(("toy", f"s{n}"), (Fact("dog", "on", "sofa"),)) for n in range(2)]
    assert not mine(World((*on_grass, cat, sofas[0])), ANY)
    assert len(mine(World((*on_grass, cat, *sofas)), ANY)) == 4


@pytest.mark.parametrize("facts", [(), (Fact("dog", "on", "dog"),)], ids=["no facts", "none to mine"])
def test_worlds_without_facts_give_no_triplets(facts: tuple[Fact, ...]) -> None:
    assert mine(World((Caption(("toy", "a"), facts),)), ANY) == []


# Hot subjects


HOT = dataclasses.replace(ANY, partitions=ROWS_PER_SUBJECT_GROUP // 20)
"""So many parts that 20 facts of a subject in one of them make it seem larger than a group."""


def hot_world() -> World:
    captions = []
    for number in range(120):
        image = ("toy", f"image{number}")
        place = ("grass", "sofa", "snow")[number % 3]
        captions.append(Caption(image, (Fact("man", "on", place), Fact("man", "in", "hat"))))
        captions.append(Caption(image, (Fact("man", "with", f"{place} dog"),)))
    captions += [Caption(("toy", f"cat{n}"), (Fact("cat", "on", ("grass", "sofa", "snow")[n % 3]),)) for n in range(9)]
    return World(tuple(captions))


def test_images_of_a_hot_subject_are_spread_over_groups_and_the_facts_of_an_image_stay_together() -> None:
    (facts,) = facts_parts(hot_world(), 1)
    rows, _ = candidates.mineable(facts, 0, HOT)
    groups_of_image = defaultdict(set)
    rows_of_group: Counter[int] = Counter()
    for row in rows.to_pylist():
        groups_of_image[row["subject"], row["image"]].add(row["subject_group"])
        rows_of_group[row["subject_group"]] += 1
    assert all(len(groups) == 1 for groups in groups_of_image.values())
    hot = code_of("man")
    groups = {group for (subject, _), found in groups_of_image.items() if subject == hot for group in found}
    assert 8 <= len(groups) <= 32  # 360 facts of man in groups of about 20, a power of two
    assert max(rows_of_group.values()) < 60
    cold = code_of("cat")
    assert len({group for (subject, _), found in groups_of_image.items() if subject == cold for group in found}) == 1


def code_of(name: str) -> int:
    return int(thing_codes(pa.array([name]))[0])


def test_few_facts_are_not_salted() -> None:
    (facts,) = facts_parts(hot_world(), 1)
    rows, _ = candidates.mineable(facts, 0, ANY)
    assert len(set(rows["subject_group"].to_pylist())) == len(set(rows["subject"].to_pylist()))
    conditions = {fact[1:] for _, _, _, fact in hot_world().rows}
    assert len(set(rows["condition_group"].to_pylist())) == len(conditions)


def test_triplets_of_salted_subjects_are_true_distinct_and_possible_within_their_groups() -> None:
    world = hot_world()
    parts = facts_parts(world, 1)
    config = dataclasses.replace(HOT, seed=4)
    index = index_in_memory(parts, config)
    triplets = triplets_of_draws(draw_in_memory(index, config, UNLIMITED), parts)
    for triplet in triplets:
        assert_true(triplet, world)
    assert len({triplet.pair for triplet in triplets}) == len(triplets) > 100
    assert keys_of(triplets) < possible_triplets(world)
    # No target is lost to salting here: groups hold several images of each place.
    rows, _ = candidates.mineable(parts[0], 0, config)
    group = dict(zip(rows["image"].to_pylist(), rows["subject_group"].to_pylist(), strict=True))
    key = {image: int(named_keys(image[0], [image[1]])[0]) for image in world.names}
    for triplet in triplets:
        images = (triplet.reference, triplet.target, triplet.image_distractor)
        assert len({group[key[image]] for image in images}) == 1


# How many


TWINS = World(
    (
        *(
            Caption(("toy", f"{place}{number}"), (Fact("man", "on", place), Fact("person", "on", place)))
            for place in ("grass", "sofa")
            for number in range(8)
        ),
        *(Caption(("toy", f"cat on {place}"), (Fact("cat", "on", place),)) for place in ("grass", "sofa")),
    )
)
"""Every image of a man says the same of a person, so every triplet can be drawn for two subjects."""


def test_a_job_gives_the_number_asked_for_where_two_subjects_make_the_same_triplets(tmp_path: Path) -> None:
    possible = len(without_subject(possible_triplets(TWINS)))
    assert possible == 128
    job = dataset(tmp_path / "twins", facts_parts(TWINS, 2))
    job.mine(dataclasses.replace(ANY, triplets=120))
    assert job.write().rows_out == 120
    triplets = triplets_of_table(read_table(job, "triplets"))
    assert len({triplet.pair for triplet in triplets}) == 120


def test_one_condition_in_two_wordings_of_one_image_makes_one_triplet() -> None:
    """ "on" + "top shelf" and "on top" + "shelf" read the same, so they have the same triplet id."""
    both = (Fact("cup", "on", "top shelf"), Fact("cup", "on top", "shelf"))
    cups = [Caption(("toy", f"c{n}"), both) for n in range(2)]
    jars = [Caption(("toy", f"j{n}"), (Fact("jar", *both[n][1:]),)) for n in range(2)]
    tables = [Caption(("toy", f"t{n}"), (Fact("cup", "on", "table"),)) for n in range(2)]
    triplets = mine(World((*cups, *jars, *tables)), ANY)
    assert len({triplet.pair for triplet in triplets}) == len(triplets) == 4


# The job


def count_note(notes: list[str]) -> str:
    (note,) = [note for note in notes if "asked for" in note]
    return note


def facts_counted(world: World, group_of: Callable[[Image], object] = lambda image: 0) -> tuple[int, int, int]:
    """Facts that are mined, those without a text distractor, and those of the rest without two contrasts."""
    facts = [(image, fact) for image in world.facts for fact in world.facts[image] if fact.subject != fact.object]
    no_text = no_contrast = 0
    for target, fact in facts:
        group = [image for image in world.facts if group_of(image) == group_of(target)]
        text = [
            image
            for image in group
            if fact.subject not in world.names[image]
            and any(world.states(image, Fact(other, *fact[1:])) for other in world.subjects_of(image))
        ]
        contrasts = [
            image
            for image in group
            if fact.subject in world.subjects_of(image) and fact.object not in world.names[image]
        ]
        no_text += not text
        no_contrast += bool(text) and len(contrasts) < 2
    return len(facts), no_text, no_contrast


_RANDOM = random_world(12, 150, things=("man", "dog", "hot dog", "grass", "hat", "idea"), facts=2)
JOB_WORLD = World((*_RANDOM.captions, *(caption for caption in _RANDOM.captions[:40] if caption.facts)))
"""Some captions come twice, so some facts of an image are stated twice."""
JOB = MiningConfig(kinds=("relation",), visible_only=False, seed=6, split=0.3, triplets=10**6, **OWN_WORDS)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """A job asked for more triplets than there are; its mining stage and its triplets."""
    parts = facts_parts(JOB_WORLD, 3)
    job = dataset(tmp_path_factory.mktemp("mining") / "out", parts)
    stage = job.mine(JOB)
    written = job.write()
    return job, stage, written, read_table(job, "triplets")


def test_a_job_mines_exactly_the_possible_triplets_and_all_are_true(everything: tuple) -> None:
    _, _, _, table = everything
    triplets = triplets_of_table(table)
    for triplet in triplets:
        assert_true(triplet, JOB_WORLD)
    split = split_of_images(JOB_WORLD, JOB)
    assert without_subject(keys_of(triplets)) == without_subject(possible_triplets(JOB_WORLD, split.__getitem__))
    assert len({triplet.pair for triplet in triplets}) == len(triplets) > 1_000
    assert len(set(table["triplet_id"].to_pylist())) == len(triplets)


def test_a_job_asked_for_too_much_says_what_there_is_and_why(everything: tuple) -> None:
    _, stage, _, table = everything
    facts, no_text, no_contrast = facts_counted(JOB_WORLD, split_of_images(JOB_WORLD, JOB).__getitem__)
    note = count_note(stage.notes)
    assert f"1,000,000 triplets asked for, {len(table):,} to be had" in note
    assert f"Of {facts:,} uses of facts, {no_text:,} state a condition that no other subject's image states" in note
    assert f"{no_contrast:,} more have too few images" in note


def test_no_image_of_a_job_is_in_two_splits(everything: tuple) -> None:
    _, _, _, table = everything
    split = {image: ("train", "val")[number] for image, number in split_of_images(JOB_WORLD, JOB).items()}
    for triplet, said in zip(triplets_of_table(table), table["split"].to_pylist(), strict=True):
        images = (triplet.reference, triplet.target, triplet.text_distractor, triplet.image_distractor)
        assert {split[image] for image in images} == {said}
    assert set(table["split"].to_pylist()) == {"train", "val"}


def test_rows_into_stage_mine_are_rows_out_and_rejects(everything: tuple) -> None:
    job, stage, written, table = everything
    rows = JOB_WORLD.rows
    relations = [(image, fact) for image, _, _, fact in rows if isinstance(fact, Fact)]
    reflexive = [fact for _, fact in relations if fact.subject == fact.object]
    distinct = {(image, fact) for image, fact in relations if fact.subject != fact.object}
    assert stage.rows_in == len(rows)
    assert stage.rows_out == len(distinct)
    assert stage.rejects == {
        "kind_not_mined": len(rows) - len(relations),
        "relates_to_itself": len(reflexive),
        "repeated_fact": len(relations) - len(reflexive) - len(distinct),
    }
    rejects = read_table(job, "rejects", "mine-")
    assert Counter(rejects["reason"].to_pylist()) == stage.rejects
    assert {row["detail"] for row in rejects.to_pylist() if row["reason"] == "relates_to_itself"} == {
        " ".join(fact) for fact in reflexive
    }
    assert written.rows_in == written.rows_out == len(table)


def test_captions_and_predicates_of_a_job_belong_to_the_facts_that_are_claimed(everything: tuple) -> None:
    _, _, _, table = everything
    said = {(image, text, fact) for image, _, text, fact in JOB_WORLD.rows if isinstance(fact, Fact)}
    for row in table.to_pylist():
        image = {
            role: (row[f"{role}_source"], row[f"{role}_id"]) for role in ("reference", "target", "text_distractor")
        }
        target = Fact(row["subject"], row["target_predicate"], row["target_object"])
        reference = Fact(row["subject"], row["reference_predicate"], row["reference_object"])
        text = Fact(row["text_distractor_subject"], *target[1:])
        assert row["condition"] == f"{target.predicate} {target.object}"
        assert (image["target"], row["target_caption"], target) in said
        assert (image["reference"], row["reference_caption"], reference) in said
        assert (image["text_distractor"], row["text_distractor_caption"], text) in said
        assert row["kind"] == "relation"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[pa.Table]:
    """Triplets of three jobs, two with the same seed, asked for fewer than there are."""
    parts = facts_parts(JOB_WORLD, 3)
    tables = []
    for seed in (6, 6, 7):
        job = dataset(tmp_path_factory.mktemp("mining") / "out", parts)
        stage = job.mine(dataclasses.replace(JOB, triplets=300, seed=seed, split=0.0))
        assert not [note for note in stage.notes if "asked for" in note]
        job.write()
        tables.append(read_table(job, "triplets"))
    return tables


def test_a_job_gives_exactly_the_number_asked_for(samples: list[pa.Table]) -> None:
    assert [len(table) for table in samples] == [300] * 3
    possible = possible_triplets(JOB_WORLD)
    for table in samples:
        assert keys_of(triplets_of_table(table)) <= possible
        assert len(set(table["triplet_id"].to_pylist())) == 300


def test_a_job_makes_the_same_rows_for_the_same_seed_and_others_for_another(samples: list[pa.Table]) -> None:
    assert samples[0].equals(samples[1])
    assert set(samples[0]["triplet_id"].to_pylist()) != set(samples[2]["triplet_id"].to_pylist())


def test_a_job_without_anything_to_mine_writes_empty_tables(tmp_path: Path) -> None:
    job = dataset(tmp_path / "out", facts_parts(World((Caption(("toy", "a"), (Fact("dog", "on", "dog"),)),)), 2))
    stage = job.mine(dataclasses.replace(JOB, triplets=5))
    assert (stage.rows_in, stage.rows_out, stage.rejects) == (1, 0, {"relates_to_itself": 1})
    assert "5 triplets asked for, 0 to be had" in count_note(stage.notes)
    assert job.write().rows_out == 0
    assert len(read_table(job, "triplets")) == 0
