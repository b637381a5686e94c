"""Small worlds of captioned images, their facts as stage parse leaves them, and triplets in a form that tests read."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from filters import axes
from pipeline import candidates, contrasts, mine
from pipeline.config import MiningConfig
from pipeline.job import Job
from pipeline.readers.identity import hash64, named_keys
from pipeline.routing import join
from pipeline.runner import Runner, parse_beam_options
from pipeline.store import Receipt, part_name
from schemas import DRAWS, FACTS

Image = tuple[str, str]
"""Source and image id."""
ROLES = ("reference", "target", "text_distractor", "image_distractor")


class Fact(NamedTuple):
    subject: str
    predicate: str
    object: str


@dataclass(frozen=True)
class Caption:
    """What one caption of an image says."""

    image: Image
    facts: tuple[Fact, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    mentions: tuple[str, ...] = ()  # things it names without saying anything of them


@dataclass(frozen=True)
class World:
    """Captions in order; the questions a person would ask of them, answered with plain sets."""

    captions: tuple[Caption, ...]
    facts: dict[Image, set[Fact]] = field(init=False)
    names: dict[Image, set[str]] = field(init=False)

    def __post_init__(self) -> None:
        facts, names = defaultdict(set), defaultdict(set)
        for caption in self.captions:
            facts[caption.image].update(caption.facts)
            things = {thing for fact in caption.facts for thing in (fact.subject, fact.object)}
            things |= {thing for thing, _ in caption.attributes} | set(caption.mentions)
            names[caption.image] |= things | {thing.split(" ")[-1] for thing in things}
        object.__setattr__(self, "facts", dict(facts))
        object.__setattr__(self, "names", dict(names))

    @property
    def rows(self) -> list[tuple[Image, int, str, Fact | tuple[str, str]]]:
        """Image, caption number, caption and statement of every fact, captions of an image numbered from 0."""
        seen: dict[Image, int] = defaultdict(int)
        rows = []
        for caption in self.captions:
            number = seen[caption.image]
            seen[caption.image] += 1
            text = f"caption {number} of {'/'.join(caption.image)}"
            rows += [(caption.image, number, text, said) for said in (*caption.facts, *caption.attributes)]
        return rows

    def subjects_of(self, image: Image) -> set[str]:
        """What an image has facts on; nothing relates to itself."""
        return {fact.subject for fact in self.facts[image] if fact.subject != fact.object}

    def states(self, image: Image, fact: Fact) -> bool:
        return fact in self.facts[image] and fact.subject != fact.object


def facts_parts(world: World, partitions: int) -> list[pa.Table]:
    """The facts table (schemas.FACTS) in parts by image, as stages read and parse leave it."""
    rows = world.rows
    images = [row[0] for row in rows]
    by_source = [named_keys(source, [name])[0] for source, name in images]
    relations = [row[3] if isinstance(row[3], Fact) else None for row in rows]
    values = [None if isinstance(row[3], Fact) else row[3] for row in rows]
    table = pa.table(
        {
            "image_id": pa.array([name for _, name in images], pa.string()),
            "image_key": pa.array(by_source, pa.int64()),
            "caption_index": pa.array([row[1] for row in rows], pa.int32()),
            "caption": pa.array([row[2] for row in rows], pa.string()),
            "source": pa.array([source for source, _ in images], pa.string()),
            "kind": pa.array(["relation" if fact else "attribute" for fact in relations], pa.string()),
            "subject": pa.array([row[3][0] for row in rows], pa.string()),
            "predicate": pa.array([fact and fact.predicate for fact in relations], pa.string()),
            "object": pa.array([fact and fact.object for fact in relations], pa.string()),
            "attribute": pa.array([value and value[1] for value in values], pa.string()),
            "axis": axes.axes(
                pa.array([row[3][0] for row in rows], pa.string()),
                pa.array([value and value[1] for value in values], pa.string()),
            ),
            "confidence": pa.nulls(len(rows), pa.float32()),
            "entities": pa.array([sorted(world.names[image]) for image in images], FACTS.field("entities").type),
        },
        schema=FACTS,
    )
    return repartition(table, partitions)


def repartition(facts: pa.Table, partitions: int) -> list[pa.Table]:
    """A facts table in parts by image, sorted by image and caption within each."""
    part = (hash64(facts["image_id"].to_pylist()).view(np.uint64) % np.uint64(partitions)).astype(np.int64)
    order = np.lexsort((facts["caption_index"].to_numpy(), facts["image_key"].to_numpy(), part))
    return [facts.take(pa.array(order[part[order] == number], pa.int64())) for number in range(partitions)]


def local_runner() -> Runner:
    return Runner(parse_beam_options([]))


def dataset(folder: object, parts: Sequence[pa.Table]) -> Job:
    """A job whose output folder holds these facts, read and parsed."""
    job = Job(str(folder), local_runner())
    receipts = []
    for part, facts in enumerate(parts):
        file = job.store.write_table(f"facts/{part_name(part, len(parts))}.parquet", facts, FACTS)
        receipts.append(Receipt(part, len(facts), len(facts), files=[file]))
    job.adopt_facts(receipts, len(parts))
    return job


def read_table(job: Job, table: str, prefix: str = "part-") -> pa.Table:
    """All rows of a table of the output folder, in the order of its files."""
    names = [name for name in job.store.names(table) if name.startswith(prefix)]
    return pa.concat_tables([job.store.read_table(f"{table}/{name}") for name in names])


class Triplet(NamedTuple):
    """One triplet as tests read it; facts where the draw says which, else only the image."""

    subject: str
    predicate: str
    object: str
    reference: Image
    target: Image
    text_distractor: Image
    image_distractor: Image
    text_distractor_subject: str

    @property
    def condition(self) -> str:
        return f"{self.predicate} {self.object}"

    @property
    def pair(self) -> tuple[str, Image, Image]:
        return self.condition, self.target, self.reference


def triplets_of_table(table: pa.Table) -> list[Triplet]:
    """The rows of the triplets table."""
    return [
        Triplet(
            row["subject"],
            row["target_predicate"],
            row["target_object"],
            *((row[f"{role}_source"], row[f"{role}_id"]) for role in ROLES),
            row["text_distractor_subject"],
        )
        for row in table.to_pylist()
    ]


def triplets_of_draws(draws: pa.Table, parts: Sequence[pa.Table]) -> list[Triplet]:
    """The same out of draws (schemas.DRAWS) and the facts that they number."""
    rows = [part.to_pylist() for part in parts]
    triplets = []
    for draw in draws.to_pylist():
        said = {role: rows[draw[role] >> 32][draw[role] & 0xFFFFFFFF] for role in ROLES}
        target, text = said["target"], said["text_distractor"]
        for role in ("reference", "image_distractor"):
            assert said[role]["kind"] == "relation", role
            assert said[role]["subject"] == target["subject"], role
        assert len({f"{fact['predicate']} {fact['object']}" for fact in (text, target)}) == 1
        triplets.append(
            Triplet(
                target["subject"],
                target["predicate"],
                target["object"],
                *((said[role]["source"], said[role]["image_id"]) for role in ROLES),
                text["subject"],
            )
        )
    return triplets


def index_in_memory(parts: Sequence[pa.Table], config: MiningConfig, arrival: int | None = None) -> dict:
    """The index of the default preset, all groups in one, without Beam; rows arrive shuffled if a seed says how."""
    rows = pa.concat_tables([candidates.mineable(part, number, config)[0] for number, part in enumerate(parts)])
    rows = contrasts.with_text_distractors(_shuffled(rows, arrival), config)
    return contrasts.index_subjects(_shuffled(rows, arrival), config)


def draw_in_memory(index: dict, config: MiningConfig, level: float) -> pa.Table:
    """The distinct draws (schemas.DRAWS) of an index at one level for all kinds."""
    batches = [batch for _, batch in mine.route_draws(index, dict.fromkeys(config.kinds, level), config)]
    return mine.collect_draws(join(batches, DRAWS), config)


def _shuffled(rows: pa.Table, arrival: int | None) -> pa.Table:
    order = list(range(len(rows)))
    if arrival is not None:
        random.Random(arrival).shuffle(order)
    return rows.take(pa.array(order, pa.int64())).combine_chunks()


def random_world(
    seed: int,
    images: int,
    things: Iterable[str] = ("man", "dog", "hot dog", "grass", "hat"),
    predicates: Iterable[str] = ("on", "in"),
    facts: int = 3,
    mentions: int = 1,
) -> World:
    """Images of two sources, one in three with two captions, that state a few facts and mention a few things."""
    chance = random.Random(seed)
    things, predicates = list(things), list(predicates)
    captions = []
    for number in range(images):
        image = (f"source{number % 2}", f"image{number // 2}")  # both sources use the same ids
        for _ in range(1 + (chance.random() < 0.33)):
            captions.append(
                Caption(
                    image,
                    tuple(
                        Fact(chance.choice(things), chance.choice(predicates), chance.choice(things))
                        for _ in range(chance.randint(0, facts))
                    ),
                    tuple((chance.choice(things), "red") for _ in range(chance.random() < 0.2)),
                    tuple(chance.choice(things) for _ in range(chance.randint(0, mentions))),
                )
            )
    chance.shuffle(captions)
    return World(tuple(captions))
