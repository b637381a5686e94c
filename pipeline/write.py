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
from pipeline.relation import codes
from pipeline.routing import GroupParts, Route, decode, split, split_sorted
from pipeline.store import Receipt, Store, part_name
from schemas import DRAWS, TRIPLETS

ROLES = ("reference", "target", "text_distractor", "image_distractor")

REQUESTS = pa.schema(
    [
        pa.field("shard", pa.int32(), metadata={"doc": "who asks"}),
        pa.field("slot", pa.int64(), metadata={"doc": "row of the shard * 4 + number of the role"}),
        pa.field("row", pa.int64(), metadata={"doc": "row of the facts part"}),
    ]
)
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
            | "AnswerRequests" >> Route(lambda group: answer_requests(store, *group, partitions))
            | "ByShard" >> GroupParts(partitions)
            | "WriteShard" >> beam.ParDo(_WriteShard(self._store, self._step, self._config, draws))
        )


class Draws:
    """The draws that are to be written, by shard."""

    def __init__(self, store: Store, steps: tuple[str, ...], keep: tuple[int, ...], seed: int) -> None:
        self._store, self._steps, self._keep, self._seed = store, steps, keep, seed

    def read(self, shard: int) -> pa.Table:
        """The shard's share of the draws (schemas.DRAWS): a random sample where it holds more."""
        draws = pa.concat_tables([self._store.read_table(draws_path(step, shard)) for step in self._steps])
        priority = mix(draws["key"].to_numpy(), self._seed, _TRIM)
        chosen = np.sort(np.argsort(priority, kind="stable")[: self._keep[shard]])
        return draws.take(pa.array(chosen))


def request_facts(draws: pa.Table, shard: int) -> Iterator[tuple[int, bytes]]:
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


def answer_requests(
    store: Store, part: int, streams: Iterable[bytes], partitions: int
) -> Iterator[tuple[int, bytes]]:
    """Send what the requested facts of a part say to the shards that ask."""
    requests = decode(streams, REQUESTS)
    if not len(requests):
        return
    facts = store.read_table(f"facts/{part_name(part, partitions)}.parquet", columns=[*_SAID, "image_key"])
    requests = requests.sort_by("shard")
    answers = facts.take(requests["row"]).append_column("slot", requests["slot"])
    yield from split_sorted(answers, requests["shard"].to_numpy())


def triplets_of(draws: pa.Table, answers: pa.Table, config: MiningConfig) -> pa.Table:
    """The triplets of a shard (schemas.TRIPLETS), sorted by id, from its draws and the answers to its requests."""
    rows = np.full(len(draws) * len(ROLES), -1, np.int64)
    rows[answers["slot"].to_numpy()] = np.arange(len(answers))
    said = {
        role: answers.take(pa.array(found, mask=found < 0))
        for role, found in zip(ROLES, rows.reshape(-1, len(ROLES)).T, strict=True)
    }
    target, reference, text = said["target"], said["reference"], said["text_distractor"]
    condition = pc.binary_join_element_wise(target["predicate"], target["object"], " ")
    columns = {
        "triplet_id": _ids("relation", condition, reference["image_key"], target["image_key"]),
        "kind": pa.array(["relation"] * len(draws), pa.string()),
        "condition": condition,
        "subject": target["subject"],
        "concreteness": _mean_concreteness([reference, target, text], config),
        "split": pc.if_else(pc.equal(draws["split"], 0), "train", "val"),
        "text_distractor_subject": text["subject"],
        "axis": target["axis"],
    }
    for role in ROLES:
        columns |= {f"{role}_id": said[role]["image_id"]}
        columns |= {f"{role}_{name}": said[role][name] for name in ("source", "caption")}
    for role in ("reference", "target"):
        columns |= {f"{role}_{name}": said[role][name] for name in ("predicate", "object", "attribute")}
    table = pa.table([columns[name] for name in TRIPLETS.names], names=TRIPLETS.names)
    return table.sort_by([("triplet_id", "ascending"), ("text_distractor_id", "ascending")])


def _ids(kind: str, condition: pa.ChunkedArray, reference: pa.ChunkedArray, target: pa.ChunkedArray) -> pa.Array:
    parts = codes(pa.array([kind]))[0], codes(condition.combine_chunks()), reference.to_numpy(), target.to_numpy()
    return hexadecimal(mix(*parts), mix(*reversed(parts)))


def _mean_concreteness(facts: Sequence[pa.Table], config: MiningConfig) -> pa.Array:
    """Mean over the subjects and objects; genecis counts unrated ones as -1, the default leaves them out."""
    rate = concreteness.rate_exact if config.preset == "genecis" else concreteness.rate
    names = pa.chunked_array([chunk for fact in facts for name in ("subject", "object") for chunk in fact[name].chunks])
    rated = rate(names).reshape(2 * len(facts), -1)
    known = ~np.isnan(rated)
    count = known.sum(axis=0)
    mean = np.where(known, rated, 0).sum(axis=0) / np.maximum(count, 1)
    return pa.array(mean, mask=count == 0).cast(pa.float32())


class _WriteShard(PartDoFn):
    def __init__(self, store: Store, step: str, config: MiningConfig, draws: Draws) -> None:
        super().__init__(store, step)
        self._config, self._draws = config, draws

    def work(self, part: int, streams: Iterable[bytes]) -> Receipt:
        draws = self._draws.read(part)
        triplets = triplets_of(draws, decode(streams, ANSWERS), self._config)
        file = self.store.write_table(
            f"triplets/{part_name(part, self._config.partitions)}.parquet", triplets, TRIPLETS
        )
        return Receipt(part, rows_in=len(draws), rows_out=len(triplets), files=[file])
