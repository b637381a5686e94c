"""The published sampler of GeneCIS (Vaze, Carion and Misra, CVPR 2023), exactly: ``--preset genecis``.

Distribution of one triplet, warts included: the subject is drawn by its number of images among the subjects with at
least five images and two objects; the reference uniformly over the subject's facts; the target's object uniformly over
the subject's distinct objects, the target uniformly within it, both again until object and image differ from the
reference's or 101 draws have failed, when the last, invalid pair is taken; the text distractor uniformly over all facts
with the target's object, so that it may be the target itself. A triplet counts only when the mean concreteness of the
subjects and objects of its three images exceeds a threshold, where a name that is not in the norms counts as -1.

The draws are independent, so they may be made in parallel: each partition of subjects gets its share of them by a
multinomial draw over the partitions' weights.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from filters import concreteness
from pipeline.candidates import image_split
from pipeline.codes import codes
from pipeline.config import MIN_IMAGES_WITH_SUBJECT, MIN_OBJECTS_OF_SUBJECT, TRIES, MiningConfig
from pipeline.numbers import mix, runs
from pipeline.readers.identity import hash64

ROWS = pa.schema(
    [
        pa.field("fact", pa.int64(), metadata={"doc": "part of the facts table << 32 | row in the part"}),
        pa.field("image", pa.int64(), metadata={"doc": "image_key"}),
        pa.field("object", pa.int64(), metadata={"doc": "hash of the object"}),
        pa.field("subject_group", pa.int64(), metadata={"doc": "hash of subject and split"}),
        pa.field("object_group", pa.int64(), metadata={"doc": "hash of object and split"}),
        pa.field("split", pa.int8(), metadata={"doc": "0 train, 1 val"}),
        pa.field("concreteness", pa.float64(), metadata={"doc": "of subject plus object, -1 for each unrated one"}),
    ]
)
PAIRS = pa.schema(
    [
        pa.field("pair", pa.int64(), metadata={"doc": "partition << 32 | number of the draw in it"}),
        pa.field("reference", pa.int64(), metadata={"doc": "fact"}),
        pa.field("target", pa.int64(), metadata={"doc": "fact"}),
        pa.field("object_group", pa.int64(), metadata={"doc": "of the target"}),
        pa.field("split", pa.int8(), metadata={"doc": "0 train, 1 val"}),
        pa.field("concreteness", pa.float64(), metadata={"doc": "of the two facts, summed"}),
    ]
)


def mineable(
    facts: pa.Table, part: int, config: MiningConfig, unfit: Mapping[str, np.ndarray] = MappingProxyType({})
) -> tuple[pa.Table, dict[str, pa.Array]]:
    """Every relation fact of a part (schema :data:`ROWS`), and the row numbers rejected for each reason.

    Args:
        unfit: facts that their pictures do not bear out, bool arrays by reject reason.
    """
    relation = codes(facts["kind"].combine_chunks()) == hash64(["relation"])[0]
    fits = relation.copy()
    for mask in unfit.values():
        fits &= ~mask
    kept = np.flatnonzero(fits)
    relations = facts.take(pa.array(kept))
    images = relations["image_key"].to_numpy()
    subject, object_ = relations["subject"].combine_chunks(), relations["object"].combine_chunks()
    split = image_split(images, config)
    objects = codes(object_)
    rows = pa.table(
        {
            "fact": (np.int64(part) << 32) | kept,
            "image": images,
            "object": objects,
            "subject_group": mix(codes(subject), split).view(np.int64),
            "object_group": mix(objects, split).view(np.int64),
            "split": split,
            "concreteness": concreteness.rate_exact(subject) + concreteness.rate_exact(object_),
        },
        schema=ROWS,
    )
    reasons = {"kind_not_mined": ~relation} | {reason: mask & relation for reason, mask in unfit.items()}
    rejects = {reason: pa.array(np.flatnonzero(mask)) for reason, mask in reasons.items()}
    return rows, {reason: found for reason, found in rejects.items() if len(found)}


def index_subjects(rows: pa.Table) -> dict[str, np.ndarray]:
    """The candidate subjects among whole subject groups, as flat arrays (see :func:`draw_pairs`)."""
    columns = {name: rows[name].to_numpy() for name in ROWS.names}
    order = np.lexsort((columns["fact"], columns["object"], columns["subject_group"]))
    columns = {name: values[order] for name, values in columns.items()}
    group = columns["subject_group"]
    starts, lengths = runs(group)
    by_image = np.lexsort((columns["image"], group))
    image_starts, _ = runs(mix(group[by_image], columns["image"][by_image]))
    weight = np.diff(np.append(np.searchsorted(image_starts, starts), len(image_starts)))  # distinct images
    cell_starts, cell_lengths = runs(mix(group, columns["object"]))
    first_cell = np.searchsorted(cell_starts, starts)
    cells = np.diff(np.append(first_cell, len(cell_starts)))
    candidate = (weight >= MIN_IMAGES_WITH_SUBJECT) & (cells >= MIN_OBJECTS_OF_SUBJECT)
    return {
        "weight": np.where(candidate, weight, 0),
        "first_row": starts,
        "rows": lengths,
        "first_cell": first_cell,
        "cells": cells,
        "cell_first_row": cell_starts,
        "cell_rows": cell_lengths,
        **{name: columns[name] for name in ("fact", "image", "object", "object_group", "split", "concreteness")},
    }


def index_objects(rows: pa.Table) -> dict[str, np.ndarray]:
    """The facts of whole object groups, sorted by object group and fact."""
    columns = {name: rows[name].to_numpy() for name in ("object_group", "fact", "concreteness")}
    order = np.lexsort((columns["fact"], columns["object_group"]))
    return {name: values[order] for name, values in columns.items()}


def draw_pairs(index: dict[str, np.ndarray], draws: int, part: int, generator: np.random.Generator) -> pa.Table:
    """That many references and targets of one partition's candidate subjects (schema :data:`PAIRS`)."""
    if not draws:
        return PAIRS.empty_table()
    weight = index["weight"] / index["weight"].sum()
    group = generator.choice(len(weight), draws, p=weight)
    reference = index["first_row"][group] + _below(index["rows"][group], generator)
    target = np.empty(draws, np.int64)
    pending = np.arange(draws)
    for _ in range(TRIES):
        cell = index["first_cell"][group[pending]] + _below(index["cells"][group[pending]], generator)
        target[pending] = index["cell_first_row"][cell] + _below(index["cell_rows"][cell], generator)
        drawn, wanted = target[pending], reference[pending]
        pending = pending[
            (index["object"][drawn] == index["object"][wanted]) | (index["image"][drawn] == index["image"][wanted])
        ]
        if not len(pending):
            break
    return pa.table(
        {
            "pair": (np.int64(part) << 32) | np.arange(draws),
            "reference": index["fact"][reference],
            "target": index["fact"][target],
            "object_group": index["object_group"][target],
            "split": index["split"][target],
            "concreteness": index["concreteness"][reference] + index["concreteness"][target],
        },
        schema=PAIRS,
    )


def draw_text_distractors(
    pairs: pa.Table, index: dict[str, np.ndarray], config: MiningConfig, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """The triplets of those pairs that are concrete enough, as :func:`pipeline.relation.draw` returns them."""
    order = np.argsort(pairs["pair"].to_numpy())  # arrival order is the runner's; the draws' is ours
    columns = {name: pairs[name].to_numpy()[order] for name in PAIRS.names}
    first = np.searchsorted(index["object_group"], columns["object_group"], side="left")
    stop = np.searchsorted(index["object_group"], columns["object_group"], side="right")
    text = first + _below(stop - first, generator)
    mean = (columns["concreteness"] + index["concreteness"][text]) / 6
    accepted = mean > config.min_concreteness
    return {
        "reference": columns["reference"][accepted],
        "target": columns["target"][accepted],
        "text_distractor": index["fact"][text][accepted],
        "split": columns["split"][accepted],
        "kind": np.zeros(accepted.sum(), np.int8),
        "key": mix(columns["pair"][accepted], config.seed),
    }


def _below(limit: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return (generator.random(len(limit)) * limit).astype(np.int64)
