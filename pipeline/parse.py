"""Stage parse: the ``captions`` table to ``scene_graphs`` and ``facts``, part by part, without a shuffle."""

import threading
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import parsers
from filters import axes
from parsers import SceneGraph, SceneGraphParser
from pipeline.numbers import runs
from pipeline.parts import PartDoFn
from pipeline.rejects import count_reasons, rejects_table
from pipeline.routing import Batch
from pipeline.store import Receipt, Store, part_name
from schemas import FACTS, REJECTS, SCENE_GRAPHS

CAPTIONS_PER_BATCH = 4096
"""Captions whose graphs are held as Python objects at a time."""


class ParseCaptions(beam.PTransform):
    """The whole stage, to the numbers of the parts that are done."""

    def __init__(self, store: Store, step: str, parser: str, partitions: int) -> None:
        super().__init__()
        self._work = _ParsePart(store, step, parser, partitions)
        self._partitions = partitions

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | "Parts" >> beam.Create(range(self._partitions), reshuffle=False)
            | "SpreadParts" >> beam.Reshuffle()
            | "ParsePart" >> beam.ParDo(self._work)
        )


def parse_captions(captions: pa.Table, parser: SceneGraphParser) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Scene graphs and facts of captions.

    Args:
        captions: schemas.CAPTIONS, all captions of an image, sorted by image.

    Returns:
        scene graphs (schemas.SCENE_GRAPHS, a row for every caption that states something), facts (schemas.FACTS, in
        the order of the captions), rejects (schemas.REJECTS, the captions that state nothing).
    """
    graphs: list[pa.Table] = []
    facts: list[pa.Table] = []
    for start in range(0, len(captions), CAPTIONS_PER_BATCH):
        batch = captions.slice(start, CAPTIONS_PER_BATCH)
        parsed = parser.parse(batch["caption"].to_pylist())
        graphs.append(_graph_rows(batch, parsed, start))
        facts.append(_fact_rows(parsed, start))
    graph_rows = pa.concat_tables(graphs) if graphs else _graph_rows(captions, [], 0)
    fact_rows = pa.concat_tables(facts) if facts else _fact_rows([], 0)

    named = _names_by_image(captions["image_key"].to_numpy(), graph_rows)
    said = np.zeros(len(captions), bool)
    said[graph_rows["row"].to_numpy()] = True
    scene_graphs = _with_captions(captions, graph_rows)
    fact_table = _with_captions(captions, fact_rows).append_column("entities", named.take(fact_rows["row"]))
    rejects = rejects_table(
        "parse", "states_nothing", "the parser finds nothing that the caption states", captions.filter(pa.array(~said))
    )
    return scene_graphs, fact_table, rejects


def _graph_rows(captions: pa.Table, graphs: Sequence[SceneGraph], start: int) -> pa.Table:
    stating = [(row, graph) for row, graph in enumerate(graphs, start) if graph]
    return pa.table(
        {
            "row": pa.array([row for row, _ in stating], pa.int64()),
            "entities": pa.array(
                [
                    [
                        {"head": e.head, "text": e.text, "attributes": e.attributes, "quantity": e.quantity}
                        for e in graph.entities
                    ]
                    for _, graph in stating
                ],
                SCENE_GRAPHS.field("entities").type,
            ),
            "relations": pa.array(
                [
                    [{"subject": r.subject, "predicate": r.predicate, "object": r.object} for r in graph.relations]
                    for _, graph in stating
                ],
                SCENE_GRAPHS.field("relations").type,
            ),
        }
    )


def warm_up(parser: str) -> None:
    """Load the parser's model, which this process then has. Raises RuntimeError where it is not installed."""
    _load(parser)


_FACT_COLUMNS = ("kind", "subject", "predicate", "object", "attribute", "axis")


def _fact_rows(graphs: Sequence[SceneGraph], start: int) -> pa.Table:
    rows: list[tuple[Any, ...]] = []
    for row, graph in enumerate(graphs, start):
        heads = [entity.head for entity in graph.entities]
        for relation in graph.relations:
            subject, object_ = heads[relation.subject], heads[relation.object]
            rows.append((row, relation.confidence, "relation", subject, relation.predicate, object_, None, None))
        for entity in graph.entities:
            confidences = entity.confidences or (None,) * len(entity.attributes)
            for attribute, confidence in zip(entity.attributes, confidences, strict=True):
                rows.append((row, confidence, "attribute", entity.head, None, None, attribute, None))
            if entity.quantity is not None:
                confidence = entity.quantity_confidence
                rows.append((row, confidence, "attribute", entity.head, None, None, entity.quantity, "quantity"))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 8
    table = pa.table(
        {"row": pa.array(columns[0], pa.int64()), "confidence": pa.array(columns[1], pa.float32())}
        | {name: pa.array(values, pa.string()) for name, values in zip(_FACT_COLUMNS, columns[2:], strict=True)}
    )
    judged = axes.axes(table["subject"], table["attribute"])
    return table.set_column(
        table.column_names.index("axis"), "axis", pc.coalesce(table["axis"].combine_chunks(), judged)
    )


def _names_by_image(images: np.ndarray, graphs: pa.Table) -> pa.Array:
    """For every caption: the distinct heads that any caption of its image names, and the last words of compounds."""
    starts, lengths = runs(images)
    image_of_caption = np.repeat(np.arange(len(starts)), lengths)
    names: list[set[str]] = [set() for _ in range(len(starts))]
    for row, entities in zip(graphs["row"].to_pylist(), graphs["entities"].to_pylist(), strict=True):
        for entity in entities:
            names[image_of_caption[row]].update((entity["head"], entity["head"].rpartition(" ")[2]))
    return pa.array([sorted(found) for found in names], FACTS.field("entities").type).take(pa.array(image_of_caption))


def _with_captions(captions: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows beside the captions that they come from."""
    table = captions.drop_columns(["url"]).take(rows["row"])
    for name in rows.column_names:
        if name != "row":
            table = table.append_column(name, rows[name])
    return table


@cache
def _load(parser: str) -> SceneGraphParser:
    return parsers.load(parser)  # once a process: the model is never pickled


_PARSING = threading.Lock()
"""Some runners run bundles of one process in several threads, and a parser's model is not made for that."""


class _ParsePart(PartDoFn):
    threads = 1  # parsing holds the interpreter's lock: more threads would only hold more captions

    def __init__(self, store: Store, step: str, parser: str, partitions: int) -> None:
        super().__init__(store, step)
        self._parser = parser
        self._partitions = partitions

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        name = part_name(part, self._partitions)
        captions = self.store.read_table(f"captions/{name}.parquet")
        with _PARSING:
            scene_graphs, facts, rejects = parse_captions(captions, _load(self._parser))
        return Receipt(
            part,
            rows_in=len(captions),
            rows_out=len(scene_graphs),
            rejects=count_reasons(rejects),
            files=[
                self.store.write_table(f"scene_graphs/{name}.parquet", scene_graphs, SCENE_GRAPHS),
                self.store.write_table(f"facts/{name}.parquet", facts, FACTS),
                self.store.write_table(f"rejects/parse-{name}.parquet", rejects, REJECTS),
            ],
            totals={"facts": [len(facts)]},
        )
