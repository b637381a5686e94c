"""Stage mine: the ``facts`` table to draws, the facts that make each triplet, by number.

Two pipelines over integers. The first indexes the facts by subject (and finds text distractors by condition); the sums
over its parts tell how many triplets there can be. The second draws. What a triplet says is looked up when it is
written, once (stage write), so mining again with another number or seed moves no text.
"""

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import fit
from filters.fit import Thresholds
from pipeline import candidates, contrasts, genecis
from pipeline.config import MiningConfig
from pipeline.numbers import mix
from pipeline.parts import PartDoFn, count
from pipeline.rejects import count_reasons, rejects_table
from pipeline.routing import Batch, GroupParts, Route, Routed, join, split
from pipeline.store import STAGES, Receipt, Store, part_name
from schemas import DRAWS, REJECTS

_COLUMNS = (*candidates.COLUMNS, "image_id", "source")
_REPETITIVE = ("kind", "subject", "predicate", "object", "attribute", "axis", "source", "entities.list.element")


class IndexFacts(beam.PTransform):
    """First pipeline: facts to the index that draws are made from, one .npz a part."""

    def __init__(self, store: Store, step: str, config: MiningConfig, thresholds: Thresholds) -> None:
        super().__init__()
        self._store, self._step, self._config, self._thresholds = store, step, config, thresholds

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        store, step, config, partitions = self._store, self._step, self._config, self._config.partitions
        thresholds = self._thresholds

        def counted(part: int) -> None:
            receipt = store.receipt(facts_step(step), part)
            if receipt is not None:
                count(step, receipt)

        coded = (
            pipeline
            | "Parts" >> beam.Create(range(partitions), reshuffle=False)
            | "SpreadParts" >> beam.Reshuffle()
            | "CodeFacts" >> Route(lambda part: code_facts(store, step, part, config, thresholds), counted)
        )
        if config.sampler == "genecis":
            # Subjects and objects share one shuffle: parts 0..P-1 are the subjects', P..2P-1 the objects'.
            grouped = coded | "BySubjectAndObject" >> GroupParts(2 * partitions)
            return grouped | "IndexGroups" >> beam.ParDo(_IndexGenecis(store, step, config))
        return (
            coded
            | "ByCondition" >> GroupParts(partitions)
            | "TextDistractors" >> Route(lambda group: route_text_distractors(group[1], config))
            | "BySubject" >> GroupParts(partitions)
            | "IndexSubjects" >> beam.ParDo(_IndexRelations(store, step, config))
        )


class DrawTriplets(beam.PTransform):
    """Second pipeline: the index to draws, one Parquet file a part, distinct within and over the parts."""

    def __init__(
        self, store: Store, index_step: str, step: str, config: MiningConfig, levels: dict[str, float]
    ) -> None:
        super().__init__()
        self._store, self._index_step, self._step = store, index_step, step
        self._config, self._levels = config, levels

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        store, index_step, config, levels = self._store, self._index_step, self._config, self._levels
        draws = (
            pipeline
            | "Parts" >> beam.Create(range(config.partitions), reshuffle=False)
            | "SpreadParts" >> beam.Reshuffle()
            | "Draw" >> Route(lambda part: route_draws(store.read_arrays(_index(index_step, part)), levels, config))
        )
        if config.caps_subjects:
            draws = (
                draws
                | "BySubject" >> GroupParts(config.partitions)
                | "CapSubjects" >> Route(lambda group: route_capped(group[1], config))
            )
        return (
            draws
            | "ByTarget" >> GroupParts(config.partitions)
            | "WriteDraws" >> beam.ParDo(_WriteDraws(store, self._step, config))
        )


class DrawGenecis(beam.PTransform):
    """Second pipeline of the genecis preset: independent draws, kept when they are concrete enough.

    Args:
        quotas: draws to try in each part.
        round_: number of this round of draws; rounds differ in nothing but their random numbers.
    """

    def __init__(
        self, store: Store, index_step: str, step: str, config: MiningConfig, quotas: Sequence[int], round_: int
    ) -> None:
        super().__init__()
        self._store, self._index_step, self._step = store, index_step, step
        self._config, self._quotas, self._round = config, list(quotas), round_

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        store, index_step, config, round_ = self._store, self._index_step, self._config, self._round

        def pairs(item: tuple[int, int]) -> Iterator[Routed]:
            part, draws = item
            generator = np.random.default_rng([config.seed, round_, 0, part])
            drawn = genecis.draw_pairs(store.read_arrays(_index(index_step, part)), draws, part, generator)
            yield from split(drawn, _part(drawn["object_group"].to_numpy(), config))

        def texts(group: tuple[int, Iterable[Batch]]) -> Iterator[Routed]:
            part, batches = group
            generator = np.random.default_rng([config.seed, round_, 1, part])
            index = store.read_arrays(_index(index_step, config.partitions + part))
            drawn = genecis.draw_text_distractors(join(batches, genecis.PAIRS), index, config, generator)
            draws = _draws(drawn)
            yield from split(draws, _part(draws["key"].to_numpy(), config))

        return (
            pipeline
            | "Parts" >> beam.Create(list(enumerate(self._quotas)), reshuffle=False)
            | "SpreadParts" >> beam.Reshuffle()
            | "DrawPairs" >> Route(pairs)
            | "ByObject" >> GroupParts(config.partitions)
            | "DrawTextDistractors" >> Route(texts)
            | "ByTriplet" >> GroupParts(config.partitions)
            | "WriteDraws" >> beam.ParDo(_WriteDraws(store, self._step, config))
        )


def code_facts(store: Store, step: str, part: int, config: MiningConfig, thresholds: Thresholds) -> Iterator[Routed]:
    """Code the facts of a part, write the rejected ones, and route the rest to where they are indexed."""
    name = part_name(part, config.partitions)
    facts = store.read_table(f"facts/{name}.parquet", _COLUMNS, dictionary=_REPETITIVE)
    miner = genecis if config.sampler == "genecis" else candidates
    unfit = {}
    if thresholds != Thresholds():
        unfit = fit.unfit(store.read_table(f"scores/{name}.parquet"), facts["source"], thresholds)
    rows, rejected = miner.mineable(facts, part, config, unfit)
    rejects = pa.concat_tables(
        [
            REJECTS.empty_table(),
            *(
                rejects_table("mine", reason, _statements(facts.take(found)), facts.take(found))
                for reason, found in rejected.items()
            ),
        ]
    )
    receipt = Receipt(
        part,
        rows_in=len(facts),
        rows_out=len(facts) - len(rejects),
        rejects=count_reasons(rejects),
        totals={"rows": [len(rows)]},
        files=[store.write_table(f"rejects/mine-{name}.parquet", rejects, REJECTS)],
    )
    store.write_receipt(facts_step(step), receipt)
    if config.sampler == "genecis":
        yield from split(rows, _part(rows["subject_group"].to_numpy(), config))
        yield from split(rows, config.partitions + _part(rows["object_group"].to_numpy(), config))
    else:
        yield from split(rows, _part(rows["condition_group"].to_numpy(), config))


def route_text_distractors(batches: Iterable[Batch], config: MiningConfig) -> Iterator[Routed]:
    """The rows of one part of conditions, with text distractors, to the parts of their subjects."""
    rows = contrasts.with_text_distractors(join(batches, candidates.ROWS), config)
    yield from split(rows, _part(rows["subject_group"].to_numpy(), config))


def route_draws(index: dict[str, np.ndarray], levels: dict[str, float], config: MiningConfig) -> Iterator[Routed]:
    """The draws of one part of subjects, to where they are capped: by subject, or by target at once."""
    draws = _draws(contrasts.draw(index, levels, config))
    by = "subject" if config.caps_subjects else "target_image"
    yield from split(draws, _part(draws[by].to_numpy(), config))


def route_capped(batches: Iterable[Batch], config: MiningConfig) -> Iterator[Routed]:
    """All draws of some subjects, those marked that are beyond a cap, to the shards of their targets."""
    draws = join(batches, DRAWS)
    over = pa.array(contrasts.over_caps(draws, config))
    draws = draws.set_column(draws.schema.get_field_index("over"), DRAWS.field("over"), over)
    yield from split(draws, _part(draws["target_image"].to_numpy(), config))


_ORDER = ("key", "reference", "target", "target_second", "text_distractor", "image_distractor")


def collect_draws(draws: pa.Table, config: MiningConfig) -> pa.Table:
    """The draws of one shard in their order, which no arrival order can change.

    The facts sampler's are without repeats (two facts of one image can make the same triplet for two subjects: "man in
    suit", "person in suit") and within the caps; all draws of a target image are in one shard.
    """
    if config.sampler != "genecis" and config.caps_subjects:
        draws = draws.filter(pc.invert(draws["over"]))
    order = np.lexsort([draws[name].fill_null(-1).to_numpy() for name in reversed(_ORDER)])
    draws = draws.take(pa.array(order))
    if config.sampler == "genecis" or not len(draws):
        return draws
    keys = draws["key"].to_numpy()
    draws = draws.filter(pa.array(np.concatenate([[True], keys[1:] != keys[:-1]])))
    if config.max_per_image is not None:
        keys, *names = (draws[name].to_numpy() for name in ("key", "kind", "target_image"))
        kept = np.ones(len(draws), bool)
        kept[contrasts.beyond(config.max_per_image, config.seed, keys, *names)] = False
        draws = draws.filter(pa.array(kept))
    return draws


def facts_step(step: str) -> str:
    """Where the receipts of the facts that went into an index are: rows in, rows out, rejects."""
    return f"{step}.facts"


def draws_path(step: str, part: int) -> str:
    return f"{STAGES}/{step}/draws-{part:05d}.parquet"


def _index(step: str, part: int) -> str:
    return f"{STAGES}/{step}/index-{part:05d}.npz"


def _part(groups: np.ndarray, config: MiningConfig) -> np.ndarray:
    return (mix(groups) % np.uint64(config.partitions)).astype(np.int64)


def _draws(drawn: dict[str, np.ndarray]) -> pa.Table:
    columns = {name: drawn.get(name, pa.nulls(len(drawn["key"]), DRAWS.field(name).type)) for name in DRAWS.names}
    return pa.table(columns | {"key": drawn["key"].view(np.int64)}, schema=DRAWS)


class _IndexRelations(PartDoFn):
    def __init__(self, store: Store, step: str, config: MiningConfig) -> None:
        super().__init__(store, step)
        self._config = config

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        index = contrasts.index_subjects(join(batches, contrasts.CODED), self._config)
        self.store.write_arrays(_index(self.step, part), index)
        yields = contrasts.yields(index, self._config)
        return Receipt(
            part,
            totals={"rows": index["rows"].tolist()}
            | {f"yields of {kind}": counts.tolist() for kind, counts in yields.items()},
        )


class _IndexGenecis(PartDoFn):
    def __init__(self, store: Store, step: str, config: MiningConfig) -> None:
        super().__init__(store, step)
        self._config = config

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        rows = join(batches, genecis.ROWS)
        totals: dict[str, list[float]] = {"rows": [len(rows)]}
        if part < self._config.partitions:
            index = genecis.index_subjects(rows)
            totals["weight"] = [float(index["weight"].sum())]
        else:
            index = genecis.index_objects(rows)
        self.store.write_arrays(_index(self.step, part), index)
        return Receipt(part, totals=totals)


class _WriteDraws(PartDoFn):
    def __init__(self, store: Store, step: str, config: MiningConfig) -> None:
        super().__init__(store, step)
        self._config = config

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        drawn = join(batches, DRAWS)
        draws = collect_draws(drawn, self._config)
        self.store.write_table(draws_path(self.step, part), draws, DRAWS)
        return Receipt(part, totals={"draws": [len(draws)], "dropped": [len(drawn) - len(draws)]})


def _statements(facts: pa.Table) -> pa.Array:
    """Facts as a person reads them: "man ride horse", "car is red"."""
    said = {name: facts[name].cast(pa.string()) for name in ("subject", "predicate", "object", "attribute")}
    return pc.binary_join_element_wise(
        said["subject"], pc.coalesce(said["predicate"], "is"), pc.coalesce(said["object"], said["attribute"], ""), " "
    )
