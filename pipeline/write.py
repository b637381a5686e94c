"""Stage write: draws and facts to the ``triplets`` table.

Each draw asks the parts of the facts table for what its facts say (requests), the parts answer (answers), and the
shard puts the answers beside each other. So the text of a caption is moved once for each place it is needed, and no
worker holds more than one part of the facts and one shard of the triplets.
"""

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import concreteness
from pipeline.config import MiningConfig
from pipeline.mine import draws_path
from pipeline.numbers import hexadecimal, mix
from pipeline.parts import PartDoFn
from pipeline.readers.identity import hash64
from pipeline.relation import condition_codes
from pipeline.routing import Batch, GroupParts, Route, Routed, join, split, split_sorted
from pipeline.store import Receipt, Store, StoreError, part_name
from schemas import DRAWS, TRIPLETS

REQUESTS = pa.schema(
    [
        pa.field("shard", pa.int32(), metadata={"doc": "who asks"}),
        pa.field("slot", pa.int64(), metadata={"doc": "row of the shard * 4 + number of the role"}),
        pa.field("row", pa.int64(), metadata={"doc": "row of the facts part"}),
    ]
)
_SAID_OF_ROLE = {
    "reference": ("source", "caption", "predicate", "object", "attribute"),
    "target": ("source", "caption", "subject", "predicate", "object", "attribute", "axis"),
    "text_distractor": ("source", "caption", "subject"),
    "image_distractor": ("source", "caption"),
}
ROLES = tuple(_SAID_OF_ROLE)
_SAID = ("image_id", "source", "caption", "subject", "predicate", "object", "attribute", "axis")
ANSWERS = pa.schema(
    [*(pa.field(name, pa.string()) for name in _SAID), pa.field("image_key", pa.int64()), pa.field("slot", pa.int64())]
)

_TRIM = 9


class WriteTriplets(beam.PTransform):
    """The whole stage, to the numbers of the shards that are done.

    Args:
        draw_steps: where the draws are, a step for each round.
        keep: how many of its draws each shard writes.
    """

    def __init__(
        self, store: Store, draw_steps: Sequence[str], step: str, config: MiningConfig, keep: Sequence[int]
    ) -> None:
        super().__init__()
        self._draws = Draws(store, tuple(draw_steps), tuple(keep), config.seed)
        self._store, self._step, self._config = store, step, config

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        draws, store, partitions = self._draws, self._store, self._config.partitions
        return (
            pipeline
            | "Shards" >> beam.Create(range(partitions), reshuffle=False)
            | "SpreadShards" >> beam.Reshuffle()
            | "RequestFacts" >> Route(lambda shard: request_facts(draws.read(shard), shard))
            | "ByFactPart" >> GroupParts(partitions)
            | "AnswerRequests" >> Route(lambda group: answer_requests(store, group[0], group[1], partitions))
            | "ByShard" >> GroupParts(partitions)
            | "WriteShard" >> beam.ParDo(_WriteShard(self._store, self._step, self._config, draws))
        )


class Draws:
    """The draws that are to be written, by shard."""

    def __init__(self, store: Store, steps: tuple[str, ...], keep: tuple[int, ...], seed: int) -> None:
        self._store, self._steps, self._keep, self._seed = store, steps, keep, seed

    def read(self, shard: int) -> pa.Table:
        """The shard's share of the draws (schemas.DRAWS): a random sample where it holds more."""
        rounds = [self._store.read_table(draws_path(step, shard)) for step in self._steps]
        draws = pa.concat_tables([DRAWS.empty_table(), *rounds])
        priority = mix(self._seed, _TRIM, draws["key"].to_numpy())
        chosen = np.sort(np.argsort(priority, kind="stable")[: self._keep[shard]])
        return draws.take(pa.array(chosen))


def request_facts(draws: pa.Table, shard: int) -> Iterator[Routed]:
    """Ask the parts of the facts table for the facts of a shard's draws."""
    facts = np.stack([draws[role].fill_null(-1).to_numpy() for role in ROLES], axis=1).ravel()
    slots = np.flatnonzero(facts >= 0)
    asked = facts[slots]
    table = pa.table(
        {
            "shard": np.full(len(slots), shard, np.int32),
            "slot": slots,
            "row": asked & 0xFFFFFFFF,
        },
        schema=REQUESTS,
    )
    yield from split(table, asked >> 32)


def answer_requests(store: Store, part: int, batches: Iterable[Batch], partitions: int) -> Iterator[Routed]:
    """Send what the requested facts of a part say to the shards that ask."""
    requests = join(batches, REQUESTS)
    if not len(requests):
        return
    facts = store.read_table(f"facts/{part_name(part, partitions)}.parquet", columns=[*_SAID, "image_key"])
    requests = requests.sort_by("shard")
    answers = facts.take(requests["row"]).append_column("slot", requests["slot"])
    yield from split_sorted(answers, requests["shard"].to_numpy())


def triplets_of(draws: pa.Table, answers: pa.Table, config: MiningConfig) -> pa.Table:
    """The triplets of a shard (schemas.TRIPLETS), sorted by id, from its draws and the answers to its requests."""
    rows: np.ndarray = np.full(len(draws) * len(ROLES), -1, np.int64)
    rows[answers["slot"].to_numpy()] = np.arange(len(answers))
    rows = rows.reshape(-1, len(ROLES))
    asked = np.stack([draws[role].is_valid().to_numpy() for role in ROLES], axis=1)
    if lost := int((asked & (rows < 0)).sum()):
        raise StoreError(f"{lost:,} of the facts that a shard asked for did not come back: the runner loses data")
    answers = answers.combine_chunks()
    high, low = _ids("relation", answers, *rows.T[:2])
    order = np.lexsort((low, high))  # stable, and the draws are in an order of their own
    high, low, rows = high[order], low[order], rows[order]

    columns = {
        "triplet_id": hexadecimal(high, low),
        "kind": pa.array(["relation"] * len(draws), pa.string()),
        "split": pc.if_else(pc.equal(draws["split"].take(pa.array(order)), 0), "train", "val"),
        "concreteness": _mean_concreteness(answers, rows[:, :3], config),
    }
    for role, found in zip(ROLES, rows.T, strict=True):
        said = answers.select(["image_id", *_SAID_OF_ROLE[role]]).take(pa.array(found, mask=found < 0))
        columns[f"{role}_id"] = said["image_id"]
        columns |= {f"{role}_{name}": said[name] for name in _SAID_OF_ROLE[role]}
    columns["subject"], columns["axis"] = columns["target_subject"], columns["target_axis"]
    columns["condition"] = pc.binary_join_element_wise(columns["target_predicate"], columns["target_object"], " ")
    return pa.table([columns[name] for name in TRIPLETS.names], names=TRIPLETS.names)


def _ids(kind: str, answers: pa.Table, reference: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two uint64 a triplet: hashes of its kind, condition, reference image and target image."""
    image = answers["image_key"].to_numpy()
    said = answers.select(["predicate", "object"]).take(pa.array(target)).combine_chunks()
    condition = condition_codes(said["predicate"].combine_chunks(), said["object"].combine_chunks())
    parts = hash64([kind])[0], condition, image[reference], image[target]
    return mix(*parts), mix(*reversed(parts))


def _mean_concreteness(answers: pa.Table, rows: np.ndarray, config: MiningConfig) -> pa.Array:
    """Mean over subjects and objects of the facts in each row; genecis counts unrated ones as -1, else they are out."""
    rate = concreteness.rate_exact if config.preset == "genecis" else concreteness.rate
    rated = np.concatenate([rate(answers[name])[rows] for name in ("subject", "object")], axis=1)
    known = ~np.isnan(rated)
    count = known.sum(axis=1)
    mean = np.where(known, rated, 0).sum(axis=1) / np.maximum(count, 1)
    return pa.array(mean, mask=count == 0).cast(pa.float32())


class _WriteShard(PartDoFn):
    def __init__(self, store: Store, step: str, config: MiningConfig, draws: Draws) -> None:
        super().__init__(store, step)
        self._config, self._draws = config, draws

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        draws = self._draws.read(part)
        triplets = triplets_of(draws, join(batches, ANSWERS), self._config)
        file = self.store.write_table(
            f"triplets/{part_name(part, self._config.partitions)}.parquet", triplets, TRIPLETS
        )
        return Receipt(part, rows_in=len(draws), rows_out=len(triplets), files=[file])
