"""Relation triplets that are true by the facts: the default preset.

The target states ``(S, P, O)``. The reference has S and none of its captions names O. The text distractor states
``(S', P, O)`` and none of its captions names S. The image distractor is a second image like the reference. Nothing is
drawn and then thrown away: what a target can be contrasted with is counted first, and distinct pairs are enumerated in
random order, so there are no repeats and "as many as can be had" is a number.

Three steps, each a pure function of one partition's rows:

1. :func:`mineable` picks the facts of a part and codes them as integers (image, subject, object, condition);
2. :func:`with_text_distractors`, by condition, finds each fact's text distractors;
3. :func:`index_subjects`, by subject, finds which images lack which objects: the index that :func:`draw` draws from.

How many triplets each (subject, object) cell gives is settled by one number, the level (:func:`choose_level`): a cell
with n facts of a subject with m images weighs m * sqrt(n) / (the sum of sqrt(n) over the subject's cells), and gives
level * weight triplets or all it has. So subjects come in proportion to their images, as in the published sampler, and
the objects of a subject half way between their own frequency and the published sampler's uniform choice.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import concreteness, visible
from filters.distinct import by_distinct
from pipeline.config import ROWS_PER_SUBJECT_GROUP, TEXT_DISTRACTORS_PER_TARGET, MiningConfig
from pipeline.numbers import Absent, below, expand, mix, runs, uniform
from pipeline.readers.identity import hash64

ROWS = pa.schema(
    [
        pa.field("fact", pa.int64(), metadata={"doc": "part of the facts table << 32 | row in the part"}),
        pa.field("image", pa.int64(), metadata={"doc": "image_key"}),
        pa.field("subject", pa.int64(), metadata={"doc": "hash of the subject"}),
        pa.field("object", pa.int64(), metadata={"doc": "hash of the object"}),
        pa.field("subject_group", pa.int64(), metadata={"doc": "subject, split and salt: what pairs are drawn within"}),
        pa.field("condition_group", pa.int64(), metadata={"doc": "predicate, object, split and salt"}),
        pa.field("split", pa.int8(), metadata={"doc": "0 train, 1 val"}),
        pa.field("entities", pa.list_(pa.uint32()), metadata={"doc": "short hashes of all that the captions name"}),
    ]
)
CODED = ROWS.append(pa.field("text_distractors", pa.list_(pa.int64()), metadata={"doc": "their facts"}))

COLUMNS = ("image_key", "kind", "subject", "predicate", "object", "entities")
"""Columns of the facts table that triplets are mined from."""

LEVELS = 2.0 ** np.arange(-40, 24.25, 0.25)
"""Levels at which the yield is counted; a quarter octave apart, so a draw overshoots by at most 19%."""

_SALT, _SPLIT, _ORDER, _TEXT, _CELL, _REFERENCE, _CONTRAST, _CELL_ORDER = range(1, 9)


def mineable(facts: pa.Table, part: int, config: MiningConfig) -> tuple[pa.Table, dict[str, pa.Array]]:
    """The relation facts of one part that triplets can be made of, coded as integers.

    Args:
        facts: a part of the facts table with columns :data:`COLUMNS` (schemas.FACTS, strings plain or as dictionaries),
            which holds all facts of its images.
        part: its number.

    Returns:
        rows (schema :data:`ROWS`), and for every reject reason the row numbers (int64) of the facts rejected for it.
    """
    subject, predicate, object_ = (facts[name].combine_chunks() for name in ("subject", "predicate", "object"))
    rejects: dict[str, np.ndarray] = {}
    keep = np.ones(len(facts), bool)

    def reject(reason: str, mask: np.ndarray) -> None:
        rejects[reason] = np.flatnonzero(keep & mask)
        keep[mask] = False

    reject("kind_not_mined", codes(facts["kind"].combine_chunks()) != hash64(["relation"])[0])
    subjects, objects = codes(subject), codes(object_)
    reject("relates_to_itself", subjects == objects)
    if config.visible_only:
        reject("about_the_picture", visible.about_the_picture(subject) | visible.about_the_picture(object_))
        reject("inherent_part", visible.inherent(predicate, object_))
    if config.min_concreteness > 0:
        reject(
            "not_concrete",
            (concreteness.rate(subject) < config.min_concreteness)
            | (concreteness.rate(object_) < config.min_concreteness),
        )
    images = facts["image_key"].to_numpy()
    conditions = condition_codes(predicate, object_)
    kept = np.flatnonzero(keep)
    _, first = np.unique(mix(images, subjects, conditions)[kept], return_index=True)
    repeated = keep.copy()
    repeated[kept[first]] = False
    reject("repeated_fact", repeated)

    kept = np.flatnonzero(keep)
    split = image_split(images[kept], config)
    rows = pa.table(
        {
            "fact": (np.int64(part) << 32) | kept,
            "image": images[kept],
            "subject": subjects[kept],
            "object": objects[kept],
            "subject_group": _salted(subjects[kept], images[kept], split, config),
            "condition_group": _salted(conditions[kept], images[kept], split, config),
            "split": split,
            "entities": _entity_codes(facts).take(pa.array(kept)),
        },
        schema=ROWS,
    )
    return rows, {reason: pa.array(found) for reason, found in rejects.items() if len(found)}


def image_split(images: np.ndarray, config: MiningConfig) -> np.ndarray:
    """Which split each image is in, int8: 0 train, 1 val; a function of seed and image alone."""
    return (uniform(config.seed, _SPLIT, images) < config.split).astype(np.int8)


def with_text_distractors(rows: pa.Table, config: MiningConfig) -> pa.Table:
    """The rows of whole condition groups with up to four text distractors each (facts; none is an empty list).

    A text distractor of a fact (S, P, O) is another image that states (S', P, O) and whose captions do not name S.
    """
    fact = rows["fact"].to_numpy()
    cells = _cells(rows, "condition_group", "subject", config.seed)
    without = cells.absent.counts[cells.of_row]

    found = np.minimum(without, TEXT_DISTRACTORS_PER_TARGET)
    owner, turn = expand(found)
    first = below(np.maximum(without, 1), config.seed, _TEXT, fact)
    rank = (first[owner] + turn) % np.maximum(without[owner], 1)
    cell = cells.of_row[owner]
    picked = cells.members[cells.first_member[cells.group[cell]] + cells.absent.pick(cell, rank)]
    offsets = np.concatenate([[0], np.cumsum(found)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(fact[picked]))
    return rows.append_column(CODED.field("text_distractors"), lists)


def index_subjects(rows: pa.Table, config: MiningConfig) -> dict[str, np.ndarray]:
    """What can be drawn from whole subject groups, as flat arrays (see :func:`draw`)."""
    fact, image = rows["fact"].to_numpy(), rows["image"].to_numpy()
    cells = _cells(rows, "subject_group", "object", config.seed)

    distractors = rows["text_distractors"].combine_chunks()
    is_target = pc.list_value_length(distractors).to_numpy() > 0
    # Rows in order of (cell, random): the targets of a cell are a run, and any prefix of it is a random sample.
    order = np.lexsort((mix(config.seed, _CELL_ORDER, fact), cells.of_row))
    order = order[is_target[order]]
    targets = np.bincount(cells.of_row[is_target], minlength=len(cells.key)).astype(np.int64)
    contrasts = np.where(cells.absent.counts >= 2, cells.absent.counts, 0)
    capacity = targets * contrasts

    root = np.sqrt(targets.astype(np.float64)) * (capacity > 0)
    group_root = np.bincount(cells.group, weights=root, minlength=len(cells.sizes))
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(root > 0, cells.sizes[cells.group] * root / group_root[cells.group], 0.0)
    sorted_distractors = distractors.take(pa.array(order))
    return {
        "cell": cells.key.view(np.int64),
        "cell_weight": weight,
        "cell_capacity": capacity,
        "cell_targets": targets,
        "cell_contrasts": contrasts,
        "cell_group": cells.group,
        "target_fact": fact[order],
        "target_image": image[order],
        "target_split": rows["split"].to_numpy()[order],
        "target_condition": rows["condition_group"].to_numpy()[order],
        "text_offsets": np.asarray(sorted_distractors.offsets),
        "text_facts": np.asarray(sorted_distractors.values),
        "group_first_member": cells.first_member,
        "group_size": cells.sizes,
        "member_fact": fact[cells.members],
        "member_image": image[cells.members],
        "absent_owners": cells.absent.owners,
        "absent_members": cells.absent.members,
        "facts": np.array([len(rows), int(is_target.sum()), int(targets[contrasts > 0].sum())]),
    }


def yields(index: dict[str, np.ndarray], config: MiningConfig) -> np.ndarray:
    """How many triplets the index gives at each of :data:`LEVELS`, and without a limit: int64, one longer."""
    dither, weight, capacity = _dither(index, config), index["cell_weight"], index["cell_capacity"]
    counts = [int(_quotas(weight, capacity, dither, level).sum()) for level in LEVELS]
    return np.array([*counts, int(index["cell_capacity"].sum())], dtype=np.int64)


def choose_level(total_yields: np.ndarray, triplets: int) -> float:
    """The lowest level that yields at least that many triplets over all partitions; infinity where none does."""
    enough = np.flatnonzero(total_yields >= triplets)
    return float(LEVELS[enough[0]]) if len(enough) and enough[0] < len(LEVELS) else float("inf")


def draw(index: dict[str, np.ndarray], level: float, config: MiningConfig) -> dict[str, np.ndarray]:
    """Distinct triplets of one partition's subjects.

    The k-th triplet of a cell takes its targets in turn; each time round, a target meets its next contrast: the images
    of the subject that do not name the object, in random order from a random start.

    Returns:
        ``reference``, ``target``, ``text_distractor``, ``image_distractor`` (facts, int64), ``split`` (int8) and
        ``key`` (uint64: equal for equal reference image, target image and condition).
    """
    quotas = _quotas(index["cell_weight"], index["cell_capacity"], _dither(index, config), level)
    cell, turn = expand(quotas)
    targets, contrasts = index["cell_targets"][cell], index["cell_contrasts"][cell]
    first_target = np.cumsum(index["cell_targets"]) - index["cell_targets"]
    row = first_target[cell] + turn % np.maximum(targets, 1)
    target = index["target_fact"][row]
    lap = turn // np.maximum(targets, 1)

    absent = Absent(index["group_size"][index["cell_group"]], index["absent_owners"], index["absent_members"])
    first_member = index["group_first_member"][index["cell_group"][cell]]
    start = below(contrasts, config.seed, _REFERENCE, target)
    shift = 1 + below(np.maximum(contrasts - 1, 1), config.seed, _CONTRAST, target, lap)
    rank = (start + lap) % contrasts
    reference = first_member + absent.pick(cell, rank)
    contrast = first_member + absent.pick(cell, (rank + shift) % contrasts)

    offset = index["text_offsets"][row].astype(np.int64)
    texts = index["text_offsets"][row + 1] - offset
    return {
        "reference": index["member_fact"][reference],
        "target": target,
        "text_distractor": index["text_facts"][offset + (lap % texts)],
        "image_distractor": index["member_fact"][contrast],
        "split": index["target_split"][row],
        "key": mix(index["member_image"][reference], index["target_image"][row], index["target_condition"][row]),
    }


def _quotas(weight: np.ndarray, capacity: np.ndarray, dither: np.ndarray, level: float) -> np.ndarray:
    """Triplets of every cell at that level, int64: level times weight, rounded at random, or all it has."""
    if np.isinf(level):
        return capacity
    return np.clip(np.floor(level * weight - dither) + 1, 0, capacity).astype(np.int64)


def _dither(index: dict[str, np.ndarray], config: MiningConfig) -> np.ndarray:
    return uniform(config.seed, _CELL, index["cell"])


def codes(names: pa.Array) -> np.ndarray:
    """64-bit hashes of an array of strings, or of a dictionary array of them; int64, null is 0."""
    encoded = names.dictionary_encode()  # of a dictionary array, itself
    hashes = np.fromiter(map(_code, encoded.dictionary.to_pylist()), np.int64, len(encoded.dictionary))
    return np.append(hashes, np.int64(0))[encoded.indices.fill_null(len(hashes)).to_numpy()]


def condition_codes(predicates: pa.Array, objects: pa.Array) -> np.ndarray:
    """Uint64 hashes of the conditions "predicate object", equal where the words are.

    So "on" and "top shelf" are the same condition as "on top" and "shelf". The hash is a polynomial in the words'
    hashes, which can be joined without joining the strings.
    """
    predicates, objects = predicates.dictionary_encode(), objects.dictionary_encode()
    with np.errstate(over="ignore"):
        return mix(
            by_distinct(predicates, _phrase, np.uint64) * by_distinct(objects, _phrase_power, np.uint64)
            + by_distinct(objects, _phrase, np.uint64)
        )


_BASE = 0x9E3779B97F4A7C15


@lru_cache(maxsize=1 << 18)
def _phrase(words: str) -> int:
    total = 0
    for word in words.split():
        total = (total * _BASE + _code(word)) % 2**64
    return total


@lru_cache(maxsize=1 << 18)
def _phrase_power(words: str) -> int:
    return pow(_BASE, len(words.split()), 2**64)


@lru_cache(maxsize=1 << 20)  # parts of a table say the same things, and threads wait for each other while Python hashes
def _code(name: str) -> int:
    return int(hash64([name])[0])


def _entity_codes(facts: pa.Table) -> pa.ListArray:
    lists = facts["entities"].combine_chunks()
    return pa.ListArray.from_arrays(lists.offsets, pa.array(_short(codes(lists.values))))


def _short(hashes: np.ndarray) -> np.ndarray:
    """The low half of each hash: two names that share it only make a negative stricter than it must be."""
    return hashes.astype(np.uint32)


def _salted(codes: np.ndarray, images: np.ndarray, split: np.ndarray, config: MiningConfig) -> np.ndarray:
    """Group of every row, int64: its code and split, and for a code with very many rows a salt by image.

    Images are spread over the parts by hash, so a code's rows here times the number of parts estimate its rows
    everywhere. Parts that estimate differently salt differently, which is sound, because all rows of one image are in
    one part and so in one group.
    """
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    groups = np.maximum(counts * config.partitions // ROWS_PER_SUBJECT_GROUP, 1)
    salts = (2 ** np.ceil(np.log2(groups))).astype(np.int64)[inverse]
    return mix(codes, split, below(salts, config.seed, _SALT, images)).view(np.int64)


@dataclass(frozen=True)
class _Cells:
    """Groups of images, and for every (group, thing) of a row the images of the group whose captions lack the thing.

    Attributes:
        members: a row of every image of every group, group by group, in an order that is random but always the same.
        sizes, first_member: number of images of each group, and its first in members.
        key: hash of every cell's group and thing, sorted.
        group: group number of every cell.
        of_row: cell number of every row.
        absent: the members, counted within their group, that lack the cell's thing; a list a cell.
    """

    members: np.ndarray
    sizes: np.ndarray
    first_member: np.ndarray
    key: np.ndarray
    group: np.ndarray
    of_row: np.ndarray
    absent: Absent


def _cells(rows: pa.Table, group_name: str, thing_name: str, seed: int) -> _Cells:
    """The cells of whole groups, by the columns that hold each row's group and thing."""
    group, thing, fact, image = (rows[name].to_numpy() for name in (group_name, thing_name, "fact", "image"))
    order = np.lexsort((mix(seed, _ORDER, fact), mix(seed, _ORDER, image), group))
    in_order = group[order]
    starts, lengths = runs(in_order)
    group_of_row = np.empty(len(group), np.int64)
    group_of_row[order] = np.repeat(np.arange(len(starts)), lengths)
    new_image = np.ones(len(order), bool)
    new_image[1:] = (in_order[1:] != in_order[:-1]) | (image[order][1:] != image[order][:-1])
    members = order[new_image]
    member_group = group_of_row[members]
    sizes = np.bincount(member_group, minlength=len(starts)).astype(np.int64)
    first_member = np.cumsum(sizes) - sizes

    key, of_row = np.unique(mix(group, _short(thing)), return_inverse=True)
    cell_group = np.zeros(len(key), np.int64)
    cell_group[of_row] = group_of_row
    lists = rows["entities"].combine_chunks().take(pa.array(members))
    owner, _ = expand(pc.list_value_length(lists).to_numpy())
    named = mix(group[members][owner], lists.flatten().to_numpy())
    found = np.minimum(np.searchsorted(key, named), max(len(key) - 1, 0))
    asked = key[found] == named if len(key) else np.zeros(0, bool)
    owner, found = owner[asked], found[asked]
    absent = Absent(sizes[cell_group], found, owner - first_member[member_group[owner]])
    return _Cells(members, sizes, first_member, key, cell_group, of_row, absent)
