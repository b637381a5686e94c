"""The genecis preset against a plain transcription of the published sampler: same distribution, warts included."""

import csv
import dataclasses
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from factories import Caption, Fact, World, dataset, facts_parts, local_runner, read_table, repartition
from scipy import stats

from filters import concreteness
from pipeline import genecis
from pipeline.config import MiningConfig, preset
from pipeline.job import Job

CAPTIONS = Path(__file__).parents[1] / "parsers" / "data" / "web" / "train.tsv"
DRAWS = 20_000
CAPTIONS_PARSED = 2_000  # from 4,000 on the job would start worker processes
TOY = MiningConfig(sampler="genecis", kinds=("relation",), min_concreteness=-10, triplets=DRAWS)
"""No triplet is too abstract for it."""


class Row(NamedTuple):
    """A fact as the published code has it: a row of its data frame."""

    image: str
    subject: str
    object: str


class Drawn(NamedTuple):
    reference: Row
    target: Row
    text_distractor: Row


class PublishedSampler:
    """The sampler of GeneCIS's training data, one draw at a time, written to be read."""

    def __init__(self, facts: Iterable[Row], min_concreteness: float, seed: int) -> None:
        self.facts = list(facts)
        self.min_concreteness = min_concreteness
        self.random = random.Random(seed)
        self.facts_of_subject: dict[str, list[Row]] = defaultdict(list)
        self.facts_of_subject_with_object: dict[tuple[str, str], list[Row]] = defaultdict(list)
        self.facts_with_object: dict[str, list[Row]] = defaultdict(list)
        for fact in self.facts:
            self.facts_of_subject[fact.subject].append(fact)
            self.facts_of_subject_with_object[fact.subject, fact.object].append(fact)
            self.facts_with_object[fact.object].append(fact)
        images = {s: len({fact.image for fact in facts}) for s, facts in self.facts_of_subject.items()}
        self.objects = {s: sorted({fact.object for fact in facts}) for s, facts in self.facts_of_subject.items()}
        self.candidates = [s for s in self.facts_of_subject if images[s] >= 5 and len(self.objects[s]) >= 2]
        self.images_of_candidates = [images[s] for s in self.candidates]

    def pair(self) -> tuple[Row, Row]:
        subject = self.random.choices(self.candidates, self.images_of_candidates)[0]
        reference = self.random.choice(self.facts_of_subject[subject])
        attempts = 0
        while True:
            object_ = self.random.choice(self.objects[subject])
            target = self.random.choice(self.facts_of_subject_with_object[subject, object_])
            attempts += 1
            if target.object != reference.object and target.image != reference.image:
                break
            if attempts > 100:
                break
        return reference, target

    def triplet(self) -> Drawn:
        while True:
            reference, target = self.pair()
            text_distractor = self.random.choice(self.facts_with_object[target.object])
            things = [name for row in (reference, target, text_distractor) for name in (row.subject, row.object)]
            rated = [concreteness.ratings().get(name, -1.0) for name in things]
            if sum(rated) / 6 > self.min_concreteness:
                return Drawn(reference, target, text_distractor)


def rows_of(facts: pa.Table) -> list[Row]:
    columns = [facts[name].to_pylist() for name in ("image_id", "subject", "object", "kind")]
    return [Row(*values) for *values, kind in zip(*columns, strict=True) if kind == "relation"]


def p_value_of_homogeneity(first: Iterable[object], second: Iterable[object]) -> float:
    """Chi-square test that two samples come from one distribution; cells expected below 5 are pooled into one."""
    counts = Counter(first), Counter(second)
    totals = [sum(count.values()) for count in counts]
    rarest = min(totals) / sum(totals)
    table: list[list[int]] = []
    pooled = [0, 0]
    for cell in sorted({*counts[0], *counts[1]}, key=repr):
        found = [count[cell] for count in counts]
        if sum(found) * rarest < 5:
            pooled = [pooled[0] + found[0], pooled[1] + found[1]]
        else:
            table.append(found)
    if sum(pooled):
        table.append(pooled)
    if len(table) == 1:
        return 1.0
    return float(stats.chi2_contingency(np.array(table), correction=False).pvalue)


def p_value_of_fit(sample: Iterable[object], probabilities: dict[object, float]) -> float:
    """Chi-square test of a sample against exact probabilities; what cannot happen must not have happened."""
    found = Counter(sample)
    assert set(found) <= set(probabilities)
    assert sum(probabilities.values()) == pytest.approx(1)
    draws = sum(found.values())
    kept = [cell for cell, probability in probabilities.items() if probability * draws >= 5]
    expected = [probabilities[cell] * draws for cell in kept]
    observed = [found[cell] for cell in kept]
    rest = draws - sum(expected)
    if rest > 1e-6 * draws:
        expected.append(rest)
        observed.append(draws - sum(observed))
    return float(stats.chisquare(observed, np.array(expected) * draws / sum(expected)).pvalue)


# Real captions, through the whole job


@pytest.fixture(scope="session")
def web_facts(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Facts of real captions, an image each, from the stages read and parse."""
    folder = tmp_path_factory.mktemp("web")
    with CAPTIONS.open(encoding="utf-8", newline="") as file:
        captions = [row["caption"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    lines = [json.dumps({"image_id": f"image-{i}", "caption": text}) for i, text in enumerate(captions)]
    (folder / "captions.jsonl").write_text("\n".join(lines[:CAPTIONS_PARSED]) + "\n", encoding="utf-8")
    job = Job(str(folder / "out"), local_runner())
    job.read([str(folder / "captions.jsonl")], None, 4)
    job.parse("spacy")
    return read_table(job, "facts")


@pytest.fixture(scope="session")
def published(web_facts: pa.Table) -> list[Drawn]:
    sampler = PublishedSampler(rows_of(web_facts), preset("genecis").min_concreteness, seed=20)
    return [sampler.triplet() for _ in range(DRAWS)]


@pytest.fixture(scope="session", params=[4, 1], ids=["four partitions", "one partition"])
def mined(request: pytest.FixtureRequest, web_facts: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> list[Drawn]:
    """Triplets of the same facts by the job, in the order of the triplets table."""
    return mine_facts(web_facts, request.param, tmp_path_factory.mktemp("genecis") / "out")


def mine_facts(facts: pa.Table, partitions: int, folder: Path) -> list[Drawn]:
    job = dataset(folder, repartition(facts, partitions))
    stage = job.mine(dataclasses.replace(preset("genecis"), triplets=DRAWS, seed=7))
    job.write()
    assert stage.rows_in == stage.rows_out + sum(stage.rejects.values()) == len(facts)
    triplets = read_table(job, "triplets")
    assert len(triplets) == DRAWS
    return [
        Drawn(
            Row(row["reference_id"], row["subject"], row["reference_object"]),
            Row(row["target_id"], row["subject"], row["target_object"]),
            Row(row["text_distractor_id"], row["text_distractor_subject"], row["target_object"]),
        )
        for row in triplets.to_pylist()
    ]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(lambda draw: draw.target.subject, id="subject"),
        pytest.param(lambda draw: draw.target.object, id="object of the target"),
        pytest.param(lambda draw: draw.text_distractor, id="text distractor"),
    ],
)
def test_mined_triplets_have_the_published_samplers_distribution(
    mined: list[Drawn], published: list[Drawn], seen: Callable[[Drawn], object]
) -> None:
    assert p_value_of_homogeneity(map(seen, mined), map(seen, published)) > 0.01


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(lambda draw: draw.reference, id="reference"),
        pytest.param(lambda draw: draw.target, id="target"),
        pytest.param(lambda draw: (draw.target.subject, draw.target.object), id="subject and object"),
        pytest.param(lambda draw: (draw.reference.object, draw.target.object), id="both objects"),
        pytest.param(lambda draw: (draw.target, draw.text_distractor), id="target and text distractor"),
        pytest.param(lambda draw: draw.text_distractor.image == draw.target.image, id="text distractor is the target"),
        pytest.param(lambda draw: draw.reference.image == draw.target.image, id="reference is the target"),
        pytest.param(lambda draw: draw.reference.object == draw.target.object, id="reference states the condition"),
    ],
)
def test_mined_triplets_agree_with_the_published_sampler_in_detail(
    mined: list[Drawn], published: list[Drawn], seen: Callable[[Drawn], object]
) -> None:
    # Many more comparisons than the three above, so each is held to a lower bar: a false alarm stays unlikely.
    assert p_value_of_homogeneity(map(seen, mined), map(seen, published)) > 0.001


def test_mined_triplets_are_concrete_enough_by_the_published_rule(mined: list[Drawn]) -> None:
    ratings = concreteness.ratings()
    for draw in set(mined):
        things = [name for row in draw for name in (row.subject, row.object)]
        assert sum(ratings.get(name, -1.0) for name in things) / 6 > 4.8 - 1e-9  # a tie is left to rounding


def test_a_job_with_the_same_seed_makes_the_same_rows(
    web_facts: pa.Table, mined: list[Drawn], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    partitions = request.node.callspec.params["mined"]
    assert mine_facts(web_facts, partitions, tmp_path / "again") == mined


# Function by function, on corpora small enough to know every probability


def mine_rows(world: World, partitions: int = 1) -> tuple[list[pa.Table], pa.Table]:
    """The facts in parts, and all their coded rows."""
    parts = facts_parts(world, partitions)
    rows = pa.concat_tables([genecis.mineable(part, number, TOY)[0] for number, part in enumerate(parts)])
    return parts, rows.combine_chunks()


def row_of(parts: list[pa.Table], fact: int) -> Row:
    said = parts[fact >> 32].slice(fact & 0xFFFFFFFF, 1).to_pylist()[0]
    return Row(said["image_id"], said["subject"], said["object"])


def pairs_drawn(world: World, draws: int, seed: int) -> list[tuple[Row, Row]]:
    """Without concreteness: references and targets of the function that draws them."""
    parts, rows = mine_rows(world)
    pairs = genecis.draw_pairs(genecis.index_subjects(rows), draws, 0, np.random.default_rng(seed))
    known = {fact: row_of(parts, fact) for fact in rows["fact"].to_pylist()}
    assert len(pairs) == draws
    return [
        (known[reference], known[target])
        for reference, target in zip(pairs["reference"].to_pylist(), pairs["target"].to_pylist(), strict=True)
    ]


def pair_probabilities(sampler: PublishedSampler) -> dict[tuple[Row, Row], float]:
    """Exact probability of every pair of facts, by adding up all ways to draw it."""
    probabilities: dict[tuple[Row, Row], float] = defaultdict(float)
    images = sum(sampler.images_of_candidates)
    for subject, weight in zip(sampler.candidates, sampler.images_of_candidates, strict=True):
        facts, objects = sampler.facts_of_subject[subject], sampler.objects[subject]
        for reference in facts:
            once: dict[Row, float] = defaultdict(float)
            for target in facts:
                same = [fact for fact in facts if fact.object == target.object]
                once[target] += 1 / len(objects) / len(same)
            valid = {
                fact: chance
                for fact, chance in once.items()
                if fact.object != reference.object and fact.image != reference.image
            }
            success = sum(valid.values())
            for target, chance in once.items():
                if target in valid:
                    chance *= (1 - (1 - success) ** 101) / success
                else:
                    chance *= (1 - success) ** 100
                if chance > 1e-12:
                    probabilities[reference, target] += weight / images / len(facts) * chance
    return dict(probabilities)


def world_of(*statements: tuple[int, str, str]) -> World:
    """A caption each: image number, subject, object."""
    return World(tuple(Caption(("toy", f"image{image}"), (Fact(s, "on", o),)) for image, s, o in statements))


GRASS_EVERYWHERE = world_of(*((image, "dog", "grass") for image in range(5)), (0, "dog", "sofa"))
"""The dog on grass in image 0 has no valid target: the only other object is on its own image."""

CROWDED = world_of(
    *((image, "dog", "grass") for image in range(6)),
    *((image, "dog", "sofa") for image in range(4, 9)),
    (0, "dog", "grass"),  # said again in another caption: the published facts keep it, and so it counts twice
    (0, "dog", "sofa"),
    (9, "dog", "hat"),
    *((image, "man", "grass") for image in range(20, 23)),
    *((image, "man", "hat") for image in range(22, 26)),
    *((image, "cat", "sofa") for image in range(30, 34)),  # four images
    (30, "cat", "hat"),
    *((image, "car", "grass") for image in range(40, 46)),  # one object
    (50, "bee", "bee"),  # a thing that relates to itself
    *((image, "bee", "hat") for image in range(51, 54)),
    (50, "bee", "hat"),
    (54, "bee", "bee"),
)


@pytest.mark.parametrize("world", [GRASS_EVERYWHERE, CROWDED], ids=["no valid pair", "crowded"])
def test_references_and_targets_have_exactly_the_published_probabilities(world: World) -> None:
    parts, _ = mine_rows(world)
    sampler = PublishedSampler(rows_of(pa.concat_tables(parts)), -10, seed=1)
    probabilities = pair_probabilities(sampler)
    assert p_value_of_fit((sampler.pair() for _ in range(10_000)), probabilities) > 0.01  # the two oracles agree
    assert p_value_of_fit(pairs_drawn(world, 50_000, seed=2), probabilities) > 0.01


def test_a_reference_without_a_valid_target_gets_an_invalid_one() -> None:
    pairs = pairs_drawn(GRASS_EVERYWHERE, 20_000, seed=3)
    stuck = Row("image0", "dog", "grass")
    targets = Counter(target for reference, target in pairs if reference == stuck)
    assert set(targets) == {Row("image0", "dog", "sofa"), *(Row(f"image{i}", "dog", "grass") for i in range(5))}
    # Half of the invalid draws have the other object, and half the same one, as any single draw has.
    assert targets[Row("image0", "dog", "sofa")] / targets.total() == pytest.approx(0.5, abs=0.05)
    for reference, target in pairs:
        valid = target.object != reference.object and target.image != reference.image
        assert valid == (reference != stuck)


def test_subjects_in_four_images_or_with_one_object_are_not_drawn_but_serve_as_text_distractors() -> None:
    subjects = Counter(target.subject for _, target in pairs_drawn(CROWDED, 20_000, seed=5))
    assert p_value_of_fit(subjects.elements(), {"dog": 10 / 21, "man": 6 / 21, "bee": 5 / 21}) > 0.01
    texts = texts_drawn(CROWDED, 20_000, seed=6)
    assert {"cat", "car"} <= {text.subject for _, _, text in texts}


def texts_drawn(world: World, draws: int, seed: int, config: MiningConfig = TOY) -> list[Drawn]:
    """Whole triplets, function by function."""
    parts, rows = mine_rows(world)
    generator = np.random.default_rng(seed)
    pairs = genecis.draw_pairs(genecis.index_subjects(rows), draws, 0, generator)
    drawn = genecis.draw_text_distractors(pairs, genecis.index_objects(rows), config, generator)
    known = {fact: row_of(parts, fact) for fact in rows["fact"].to_pylist()}
    columns = [drawn[role].tolist() for role in ("reference", "target", "text_distractor")]
    return [Drawn(*(known[fact] for fact in facts)) for facts in zip(*columns, strict=True)]


def test_text_distractors_are_uniform_over_all_facts_with_the_targets_object() -> None:
    parts, _ = mine_rows(CROWDED)
    facts = rows_of(pa.concat_tables(parts))
    triplets = texts_drawn(CROWDED, 30_000, seed=11)
    assert len(triplets) == 30_000  # the filter is off
    for thing in ("grass", "sofa", "hat", "bee"):
        same = Counter(fact for fact in facts if fact.object == thing)
        probabilities = {fact: count / same.total() for fact, count in same.items()}
        found = [draw.text_distractor for draw in triplets if draw.target.object == thing]
        assert p_value_of_fit(found, probabilities) > 0.01, thing
    assert any(draw.text_distractor == draw.target for draw in triplets)  # a wart


def test_only_draws_whose_six_things_are_concrete_on_average_are_kept() -> None:
    world = world_of(
        *((image, "dog", "grass") for image in range(4)),
        *((image, "dog", "sofa") for image in range(4, 8)),
        *((image, "dog", "idea") for image in range(8, 10)),
        *((image, "qwertyish", "grass") for image in range(10, 14)),  # no rated word: counts as -1
    )
    ratings = concreteness.ratings()
    config = preset("genecis")
    kept = texts_drawn(world, 20_000, seed=8, config=config)
    sampler = PublishedSampler(rows_of(facts_parts(world, 1)[0]), config.min_concreteness, seed=9)
    assert p_value_of_homogeneity(kept, (sampler.triplet() for _ in range(len(kept)))) > 0.01
    assert {draw.text_distractor.subject for draw in kept} == {"dog"}
    assert min(ratings["dog"], ratings["grass"], ratings["sofa"]) > 4.8 > ratings["idea"]
    assert "idea" not in {row.object for draw in kept for row in draw}


def test_draws_of_many_partitions_together_have_the_distribution_of_one() -> None:
    """Subjects are spread over parts, draws over the parts by their weights; the parts of the facts do not matter."""
    parts, rows = mine_rows(CROWDED, partitions=5)
    facts = rows_of(pa.concat_tables(parts))
    groups = sorted(set(rows["subject_group"].to_pylist()))
    part_of_group = {group: number % 3 for number, group in enumerate(groups)}
    owner = np.array([part_of_group[group] for group in rows["subject_group"].to_pylist()])
    indexes = [genecis.index_subjects(rows.filter(pa.array(owner == part))) for part in range(3)]
    weights = np.array([index["weight"].sum() for index in indexes], float)
    assert weights.sum() == 21
    quotas = np.random.default_rng(10).multinomial(40_000, weights / weights.sum())
    pairs = [
        genecis.draw_pairs(index, quota, part, np.random.default_rng([11, part]))
        for part, (index, quota) in enumerate(zip(indexes, quotas.tolist(), strict=True))
    ]
    known = {fact: row_of(parts, fact) for fact in rows["fact"].to_pylist()}
    drawn = [
        (known[reference], known[target])
        for table in pairs
        for reference, target in zip(table["reference"].to_pylist(), table["target"].to_pylist(), strict=True)
    ]
    assert p_value_of_fit(drawn, pair_probabilities(PublishedSampler(facts, -10, seed=0))) > 0.01


def test_text_distractors_do_not_depend_on_the_order_in_which_pairs_arrive() -> None:
    _, rows = mine_rows(CROWDED)
    pairs = genecis.draw_pairs(genecis.index_subjects(rows), 500, 0, np.random.default_rng(0))
    objects = genecis.index_objects(rows)
    order = np.random.default_rng(1).permutation(len(pairs))
    first = genecis.draw_text_distractors(pairs, objects, TOY, np.random.default_rng(2))
    second = genecis.draw_text_distractors(pairs.take(pa.array(order)), objects, TOY, np.random.default_rng(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_index_does_not_depend_on_the_order_in_which_rows_arrive() -> None:
    _, rows = mine_rows(CROWDED)
    shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(len(rows))))
    for index in (genecis.index_subjects, genecis.index_objects):
        first, second = index(rows), index(shuffled)
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_repeated_and_reflexive_facts_are_kept_and_attributes_rejected() -> None:
    dog = ("toy", "image0")
    world = World(
        (
            Caption(dog, (Fact("dog", "on", "grass"),), (("dog", "red"),)),
            Caption(dog, (Fact("dog", "on", "grass"), Fact("dog", "beside", "dog"))),
        )
    )
    (part,) = facts_parts(world, 1)
    rows, rejects = genecis.mineable(part, 0, TOY)
    assert len(rows) == 3
    assert {reason: part.take(found)["attribute"].to_pylist() for reason, found in rejects.items()} == {
        "kind_not_mined": ["red"]
    }


# When there is little to draw from


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (world_of((0, "dog", "grass"), (1, "dog", "sofa")), "no subject has five images and two objects"),
        (
            world_of(*((i, "idea", ("hope", "truth")[i % 2]) for i in range(6))),
            "draws that concrete are rare",
        ),
    ],
    ids=["no candidate", "all abstract"],
)
def test_a_job_that_finds_nothing_ends_with_empty_tables_and_says_why(world: World, why: str, tmp_path: Path) -> None:
    job = dataset(tmp_path / "out", facts_parts(world, 2))
    stage = job.mine(dataclasses.replace(preset("genecis"), triplets=4_000))
    assert any(f"4,000 triplets asked for, 0 to be had: {why}" in note for note in stage.notes)
    assert job.write().rows_out == 0
    assert len(read_table(job, "triplets")) == 0
