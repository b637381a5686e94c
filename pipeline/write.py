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

from filters import axes, concreteness, visual
from filters.fit import Margins
from filters.general import MOST, general_name
from pipeline import crosscheck
from pipeline.codes import codes
from pipeline.config import KINDS, MiningConfig
from pipeline.contrasts import CONTRADICTIONS
from pipeline.mine import draws_path
from pipeline.numbers import hexadecimal, mix
from pipeline.parts import PartDoFn
from pipeline.rejects import count_reasons
from pipeline.routing import Batch, GroupParts, Route, Routed, join, split, split_sorted
from pipeline.store import Receipt, Store, StoreError, part_name
from pipeline.wording import Templates
from schemas import DRAWS, FACTS, REJECTS, TRIPLETS

REQUESTS = pa.schema(
    [
        pa.field("shard", pa.int32(), metadata={"doc": "who asks"}),
        pa.field("slot", pa.int64(), metadata={"doc": "row of the shard * 5 + number of the role"}),
        pa.field("row", pa.int64(), metadata={"doc": "row of the facts part"}),
    ]
)
_SAID_OF_ROLE = {
    "reference": ("image_id", "source", "caption", "predicate", "object", "attribute"),
    "target": ("image_id", "source", "caption", "subject", "predicate", "object", "attribute", "axis"),
    "target_second": ("predicate", "object", "attribute"),
    "text_distractor": ("image_id", "source", "caption", "subject"),
    "image_distractor": ("image_id", "source", "caption", "object", "attribute"),
}
ROLES = tuple(_SAID_OF_ROLE)
_STATING = ("target", "target_second", "text_distractor")
_SHOWING = ("reference", "text_distractor", "image_distractor")
"""Roles whose statements are held against the images of others, and whose images are."""

_SAID = ("image_id", "source", "caption", "subject", "predicate", "object", "attribute", "axis", "confidence")
ANSWERS = pa.schema([FACTS.field(name) for name in (*_SAID, "image_key")]).append(pa.field("slot", pa.int64()))

_TRIM = 9


class WriteTriplets(beam.PTransform):
    """The whole stage, to the numbers of the shards that are done.

    Args:
        draw_steps: where the draws are, a step for each round.
        keep: how many of its draws each shard writes.
        templates: how the facts were put when their images were scored; None where they were not.
    """

    def __init__(
        self, store: Store, draw_steps: Sequence[str], step: str, config: MiningConfig, keep: Sequence[int],
        templates: Templates | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._templates = templates
        self._draws = Draws(store, tuple(draw_steps), tuple(keep), config.seed)
        self._store, self._step, self._config = store, step, config

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        draws, store, partitions, templates = self._draws, self._store, self._config.partitions, self._templates
        return (
            pipeline
            | "Shards" >> beam.Create(range(partitions), reshuffle=False)
            | "SpreadShards" >> beam.Reshuffle()
            | "RequestFacts" >> Route(lambda shard: request_facts(draws.read(shard), shard))
            | "ByFactPart" >> GroupParts(partitions)
            | "AnswerRequests" >> Route(lambda group: answer_requests(store, group[0], group[1], partitions, templates))
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


def answer_requests(
    store: Store, part: int, batches: Iterable[Batch], partitions: int, templates: Templates | None = None
) -> Iterator[Routed]:
    """Send what the requested facts of a part say, and how it looks, to the shards that ask."""
    requests = join(batches, REQUESTS)
    if not len(requests):
        return
    facts = store.read_table(f"facts/{part_name(part, partitions)}.parquet", columns=[*_SAID, "image_key"])
    requests = requests.sort_by("shard")
    answers = facts.take(requests["row"]).append_column("slot", requests["slot"])
    if templates is not None:
        role = answers["slot"].to_numpy() % len(ROLES)
        states, shows = (np.isin(role, [ROLES.index(name) for name in names]) for names in (_STATING, _SHOWING))
        answers = crosscheck.with_scores(answers, requests["row"], states, shows, store, part, partitions, templates)
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
    of_role = dict(zip(ROLES, rows.T, strict=True))
    kinds = pa.DictionaryArray.from_arrays(draws["kind"].combine_chunks(), pa.array(KINDS))
    condition, subject, general = _conditions(kinds, draws["general"].combine_chunks(), answers, of_role)
    reference, target, text = (of_role[role] for role in ("reference", "target", "text_distractor"))
    image = answers["image_key"].to_numpy()
    parts = codes(kinds), codes(condition.dictionary_encode()), image[reference], image[target]
    high, low = mix(*parts), mix(*reversed(parts))
    order = np.lexsort((low, high))  # stable, and the draws are in an order of their own

    columns = {
        "triplet_id": hexadecimal(high, low),
        "kind": kinds.cast(pa.string()),
        "condition": condition,
        "subject": subject,
        "split": pc.if_else(pc.equal(draws["split"], 0), "train", "val"),
        "prior": draws["prior"],
        "general": general,
        "contradiction": pa.array(CONTRADICTIONS).take(draws["contradiction"].combine_chunks()),
        "confidence": _lowest_confidence(answers, np.stack([reference, target], axis=1)),
        "concreteness": _mean_concreteness(answers, np.stack([reference, target, text], axis=1), config),
        "visual_strength": pa.array(visual.visual_strength(condition), from_pandas=True).cast(pa.float32()),
    }
    scored = crosscheck.SCORES if crosscheck.SCORES[0] in draws.column_names else ()
    columns |= {name: draws[name] if name in scored else pa.nulls(len(draws), pa.float32())
                for name in crosscheck.SCORES}  # fmt: skip
    columns = {name: column.take(pa.array(order)) for name, column in columns.items()}
    for role, found in of_role.items():
        found = found[order]
        said = answers.select(_SAID_OF_ROLE[role]).take(pa.array(found, mask=found < 0))
        columns |= {f"{role}_{name.removeprefix('image_')}": said[name] for name in _SAID_OF_ROLE[role]}
    attribute = _is_one_of(kinds, "change_attribute", "focus_attribute", "composite").take(pa.array(order))
    columns["axis"] = pc.if_else(attribute, columns["target_axis"], None)
    columns["ambiguity"] = pc.if_else(
        attribute, pa.array(axes.axis_ambiguity(columns["target_attribute"])).cast(pa.float32()), None
    )
    return pa.table([columns[name] for name in TRIPLETS.names], names=TRIPLETS.names)


def _conditions(
    kinds: pa.DictionaryArray, levels: pa.Array, answers: pa.Table, of_role: dict[str, np.ndarray]
) -> tuple[pa.StringArray, pa.StringArray, pa.StringArray]:
    """Condition and subject of every triplet as a person would put them, and the general word in the condition."""
    said = {
        role: answers.select(["subject", "predicate", "object", "attribute", "axis"]).take(
            pa.array(of_role[role], mask=of_role[role] < 0)
        )
        for role in ("target", "target_second")
    }
    target, of_object = said["target"], _is_one_of(kinds, "change_object", "focus_object")
    composite = _is_one_of(kinds, "composite")
    own = pc.if_else(of_object, target["subject"], pc.coalesce(target["object"], target["attribute"]))
    own = pc.if_else(composite, pc.coalesce(said["target_second"]["object"], said["target_second"]["attribute"]), own)
    general = _general(own, levels)
    words = pc.coalesce(general, own)

    second = pc.coalesce(_phrase(said["target_second"]["predicate"], words), words)
    condition = pc.coalesce(_phrase(target["predicate"], words), words)
    condition = pc.if_else(of_object, words, condition)
    condition = pc.if_else(_is_one_of(kinds, "focus_attribute"), target["axis"], condition)
    both = pc.binary_join_element_wise(target["attribute"], second, " and ")
    condition = pc.if_else(composite, both, condition)
    subject = pc.if_else(of_object, target["object"], target["subject"])
    return _chunk(condition), _chunk(subject), _chunk(general)


def _phrase(predicate: pa.ChunkedArray, words: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(predicate, words, " ")


def _chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _general(words: pa.ChunkedArray, levels: pa.Array) -> pa.Array:
    """The more general words of the levels (filters.general); null at level 0, and where there is no level."""
    words = _chunk(words).dictionary_encode()
    general = pa.nulls(len(words), pa.string())
    for level in range(1, MOST + 1):
        names = pa.array([general_name(word, level) for word in words.dictionary.to_pylist()], pa.string())
        at = pc.fill_null(pc.equal(levels, level), False)
        general = pc.if_else(at, names.take(words.indices), general)
    return general


def _is_one_of(kinds: pa.DictionaryArray, *names: str) -> pa.BooleanArray:
    return pa.array(np.isin(kinds.indices.to_numpy(), [KINDS.index(name) for name in names]))


def _lowest_confidence(answers: pa.Table, rows: np.ndarray) -> pa.Array:
    confidence = answers["confidence"].combine_chunks()
    found = [confidence.take(pa.array(column)) for column in rows.T]
    return pc.min_element_wise(*found, skip_nulls=False)


def _mean_concreteness(answers: pa.Table, rows: np.ndarray, config: MiningConfig) -> pa.Array:
    """Mean over subjects and objects of the facts in each row; genecis counts unrated ones as -1, else they are out."""
    rate = concreteness.rate_exact if config.sampler == "genecis" else concreteness.rate
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
        judged = crosscheck.judge(draws, join(batches, ANSWERS), ROLES, self._config.margins)
        triplets = triplets_of(judged.draws, judged.answers, self._config)
        name = part_name(part, self._config.partitions)
        files = [self.store.write_table(f"triplets/{name}.parquet", triplets, TRIPLETS)]
        if self._config.margins != Margins():
            files.append(self.store.write_table(f"rejects/write-{name}.parquet", judged.rejects, REJECTS))
        return Receipt(
            part, rows_in=len(draws), rows_out=len(triplets), rejects=count_reasons(judged.rejects), files=files
        )
