"""Triplets that are true by the facts, drawn without waste: the default preset.

A row (see candidates) says that an image shows a subject and a thing of it. The target is such an image. What it is
contrasted with shares the subject and claims the thing in none of its captions; the text distractor satisfies the same
condition and claims the subject in none. Which image is which depends on the kind:

| kind | reference | image distractor |
|---|---|---|
| relation, change_*, composite | a contrast | another contrast |
| focus_* | another image like the target | a contrast |

The condition of focus_attribute names an axis and not whose: its reference has values on the axis of the subject only.

A composite's image distractor is the harder negative where there is one: an image that satisfies one of the two
conditions in the subject's caption and contradicts the other, by a value that excludes it or by another object.

A row with a general word ("animal" on account of a "puppy") serves as a target only where the fact's own word, and
every word in between, is *thin*: fewer than ``generalise_below`` targets of the subject say it. As a member of its
groups it always counts.

Nothing is drawn and then thrown away, but for the caps on images, conditions and subjects (:func:`over_caps`): what a
target can be contrasted with is counted first, and distinct pairs are
enumerated in random order, so there are no repeats and "as many as can be had" is a number. Two steps, each a pure
function of one partition's rows: :func:`with_text_distractors`, by condition, finds the text distractors of each row;
:func:`index_subjects`, by subject, finds which images lack which things: the index that :func:`draw` draws from.

How many triplets each (subject, thing) cell gives is settled by one number a kind, the level (:func:`choose_level`): a
cell with n rows of a subject with m images weighs m^s * n^t / (the sum of n^t over the subject's cells), with s and t
the temperatures of the configuration (for attributes, t and t, since who is paired are the m images with values of one
sort), and gives level * weight triplets or all it has. At s = 1 subjects come in proportion to their images, as in the
published sampler; at t = 1/2 the things of a subject come half way between their own frequency and the published
sampler's uniform choice.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.candidates import RELATED, ROWS
from pipeline.config import FAMILIES, FOCUS_KINDS, KINDS, KINDS_OF_FAMILY, TEXT_DISTRACTORS_PER_TARGET, MiningConfig
from pipeline.numbers import Absent, below, expand, mix, runs, uniform

CODED = ROWS.append(pa.field("text_distractors", pa.list_(pa.int64()), metadata={"doc": "their facts"}))

LEVELS = 2.0 ** np.arange(-40, 24.25, 0.25)
"""Levels at which the yield is counted; a quarter octave apart, so a draw overshoots by at most 19%."""

CONTRADICTIONS = ("exclusive value", "other object", "silence")
"""How an image distractor fails the condition; a contradiction's number in the mining stages is its position here."""

_EXCLUSIVE, _OTHER, _SILENT = range(len(CONTRADICTIONS))
_OF_KIND = np.array(
    [{"relation": _OTHER, "change_object": _OTHER, "focus_object": _OTHER, "composite": _SILENT}.get(kind, _EXCLUSIVE)
     for kind in KINDS], np.int8)  # fmt: skip

_HARD_TRIES = 8
"""Images looked at for a composite's harder negative, for each of its two conditions."""

_ORDER, _TEXT, _CELL, _REFERENCE, _CONTRAST, _CELL_ORDER = range(3, 9)
_HARD, _CAP = 20, 21


def with_text_distractors(rows: pa.Table, config: MiningConfig) -> pa.Table:
    """The rows of whole condition groups with up to four text distractors each (facts; none is an empty list).

    A text distractor of a row is another image that satisfies its condition and whose captions do not claim its
    subject.
    """
    fact = rows["fact"].to_numpy()
    cells = _cells(rows, "condition_group", "subject", "denies_subject", config.seed)
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
    cells = _cells(rows, "subject_group", "thing", "denies_thing", config.seed)

    distractors = rows["text_distractors"].combine_chunks()
    is_target = pc.list_value_length(distractors).to_numpy() > 0
    is_target &= _own_words_are_thin(rows, cells.of_row, is_target, config)
    # Rows in order of (cell, random): the targets of a cell are a run, and any prefix of it is a random sample. A fact
    # of several rows ("red and on beach", "red and small") is told apart by them, not by which of them arrived first.
    second, general = rows["second"].to_numpy(), rows["general"].to_numpy()
    order = np.lexsort((mix(config.seed, _CELL_ORDER, fact, second, general), cells.of_row))
    order = order[is_target[order]]
    targets = np.bincount(cells.of_row[is_target], minlength=len(cells.key)).astype(np.int64)
    plain = np.flatnonzero(rows["plain"].to_numpy(zero_copy_only=False)[order])
    shown = np.sort(cells.of_row * len(cells.members) + cells.member_of_row)
    shown = shown[np.diff(shown, prepend=-1) != 0]  # an image may show a thing by two facts
    showing = np.bincount(shown // max(len(cells.members), 1), minlength=len(cells.key))
    family = np.zeros(len(cells.key), np.int8)
    family[cells.of_row] = rows["family"].to_numpy()

    prior = (showing / np.maximum(cells.sizes[cells.group], 1)).astype(np.float32)
    plain_targets = np.bincount(cells.of_row[order[plain]], minlength=len(cells.key)).astype(np.int64)
    offers = _offers(family, targets, plain_targets, prior, cells, config)
    sorted_distractors = distractors.take(pa.array(order))
    usable = np.zeros(len(cells.key), bool)
    usable[offers["offer_cell"][offers["offer_capacity"] > 0]] = True
    return offers | {
        "cell": cells.key.view(np.int64),
        "cell_targets": targets,
        "cell_plain": plain_targets,
        "plain_targets": plain,
        "cell_contrasts": cells.absent.counts,
        "cell_group": cells.group,
        "cell_prior": prior,
        "cell_subject": rows["subject"].to_numpy()[cells.first_row],
        "cell_thing": rows["thing"].to_numpy()[cells.first_row],
        "target_fact": fact[order],
        "target_general": general[order],
        "target_second": second[order],
        "target_image": image[order],
        "target_split": rows["split"].to_numpy()[order],
        "target_condition": rows["condition_group"].to_numpy()[order],
        "target_axis": rows["axis"].to_numpy()[order],
        "text_offsets": np.asarray(sorted_distractors.offsets),
        "text_facts": np.asarray(sorted_distractors.values),
        **_hard_negatives(rows, order, config),
        "group_first_member": cells.first_member,
        "group_size": cells.sizes,
        "member_fact": fact[cells.members],
        "member_image": image[cells.members],
        "absent_owners": cells.absent.owners,
        "absent_members": cells.absent.members,
        "rows": np.array([len(rows), int(is_target.sum()), int(targets[usable].sum())]),
    }


def yields(index: dict[str, np.ndarray], config: MiningConfig) -> dict[str, np.ndarray]:
    """For every kind how many triplets the index gives at each of :data:`LEVELS`, and without a limit, int64."""
    counted = {}
    for kind in config.kinds:
        of_kind = index["offer_kind"] == KINDS.index(kind)
        weight, capacity = index["offer_weight"][of_kind], index["offer_capacity"][of_kind]
        dither = _dither(index, config)[of_kind]
        total = int(capacity.sum())
        counts = np.full(len(LEVELS) + 1, total, np.int64)
        for position, level in enumerate(LEVELS):
            counts[position] = _quotas(weight, capacity, dither, level).sum()
            if counts[position] == total:
                break
        counted[kind] = counts
    return counted


def choose_level(total_yields: np.ndarray, triplets: int) -> float:
    """The lowest level that yields at least that many triplets over all partitions; infinity where none does."""
    enough = np.flatnonzero(total_yields >= triplets)
    return float(LEVELS[enough[0]]) if len(enough) and enough[0] < len(LEVELS) else float("inf")


def draw(index: dict[str, np.ndarray], levels: dict[str, float], config: MiningConfig) -> dict[str, Any]:
    """Distinct triplets of one partition's subjects.

    The k-th triplet of a cell takes its targets in turn. Each time round, a target meets its next contrast: the images
    of the subject that do not claim the thing, in random order from a random start; in the focus kinds it also meets
    the next image like itself.

    Args:
        levels: of every kind that is drawn.

    Returns:
        ``kind`` (int8), ``reference``, ``target``, ``target_second`` (null where there is none), ``text_distractor``,
        ``image_distractor`` (facts, int64), ``general`` (int8: which of the general words the condition uses, 0 for
        the fact's own), ``contradiction`` (int8, of :data:`CONTRADICTIONS`), ``split`` (int8), ``prior`` (float32),
        ``target_image``, ``subject``, ``thing`` (int64) and ``key`` (uint64: equal for equal kind, reference image,
        target image and condition).
    """
    level = np.zeros(len(KINDS))
    for kind, value in levels.items():
        level[KINDS.index(kind)] = value
    quotas = _quotas(
        index["offer_weight"], index["offer_capacity"], _dither(index, config), level[index["offer_kind"]]
    )  # fmt: skip
    offer, turn = expand(quotas)
    kind, cell = index["offer_kind"][offer], index["offer_cell"][offer]
    targets, contrasts = index["cell_targets"][cell], index["cell_contrasts"][cell]
    first_target = (np.cumsum(index["cell_targets"]) - index["cell_targets"])[cell]
    place, lap = turn % np.maximum(targets, 1), turn // np.maximum(targets, 1)
    row = first_target + place
    target = index["target_fact"][row]

    absent = Absent(index["group_size"][index["cell_group"]], index["absent_owners"], index["absent_members"])
    first_member = index["group_first_member"][index["cell_group"][cell]]
    start = below(contrasts, config.seed, _REFERENCE, target, kind)
    shift = 1 + below(np.maximum(contrasts - 1, 1), config.seed, _CONTRAST, target, lap)
    rank = (start + lap) % contrasts
    near = first_member + absent.pick(cell, rank)
    far = first_member + absent.pick(cell, (rank + shift) % contrasts)
    like = first_target + (place + 1 + lap) % np.maximum(targets, 1)
    of_axis = kind == KINDS.index("focus_attribute")  # whose condition is the axis, whatever the value
    like[of_axis] = _next_plain(index, cell[of_axis], row[of_axis], lap[of_axis])
    focus = np.isin(kind, [KINDS.index(name) for name in FOCUS_KINDS])

    offset = index["text_offsets"][row].astype(np.int64)
    texts = index["text_offsets"][row + 1] - offset
    second = index["target_second"][row]
    hard_offset = index["hard_offsets"][row].astype(np.int64)
    hards = index["hard_offsets"][row + 1] - hard_offset  # none but of composites
    hard = np.minimum(hard_offset + lap % np.maximum(hards, 1), max(len(index["hard_facts"]) - 1, 0))
    distractor, contradiction = index["member_fact"][np.where(focus, near, far)], _OF_KIND[kind]
    if len(index["hard_facts"]):
        distractor = np.where(hards > 0, index["hard_facts"][hard], distractor)
        contradiction = np.where(hards > 0, index["hard_how"][hard], contradiction)
    condition = np.where(of_axis, index["target_axis"][row], index["target_condition"][row])
    reference_image = np.where(focus, index["target_image"][like], index["member_image"][near])
    return {
        "kind": kind,
        "reference": np.where(focus, index["target_fact"][like], index["member_fact"][near]),
        "target": target,
        "target_second": pa.array(second, mask=second < 0),
        "text_distractor": index["text_facts"][offset + (lap % texts)],
        "image_distractor": distractor,
        "general": index["target_general"][row],
        "contradiction": contradiction,
        "target_image": index["target_image"][row],
        "subject": index["cell_subject"][cell],
        "thing": index["cell_thing"][cell],
        "split": index["target_split"][row],
        "prior": index["cell_prior"][cell],
        "key": mix(kind, reference_image, index["target_image"][row], condition),
    }


def _next_plain(index: dict[str, np.ndarray], cell: np.ndarray, row: np.ndarray, lap: np.ndarray) -> np.ndarray:
    """For rows of targets the lap-th next target of their cell whose image tells the axis of one thing, not itself."""
    plain, count = index["plain_targets"], index["cell_plain"]
    first, place = (np.cumsum(count) - count)[cell], np.searchsorted(plain, row)
    itself = plain[np.minimum(place, len(plain) - 1)] == row
    return plain[first + (place - first + itself + lap) % count[cell]]


def _offers(
    family: np.ndarray, targets: np.ndarray, plain: np.ndarray, prior: np.ndarray, cells: "_Cells",
    config: MiningConfig,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What each cell offers of each kind that its family serves: cell, kind, capacity and weight, one row an offer."""
    kinds, numbers, capacities, weights = [], [], [], []
    contrasts = np.where(prior <= config.max_prior, cells.absent.counts, 0)
    for kind in config.kinds:
        serves = np.array([kind in KINDS_OF_FAMILY[name] for name in FAMILIES])[family]
        if kind in FOCUS_KINDS:
            like = plain if kind == "focus_attribute" else targets
            partners = np.where(contrasts >= 1, np.maximum(like - 1, 0), 0)
        else:
            partners = np.where(contrasts >= 2, contrasts, 0)
        # What no cap lets through is not enumerated: it would be thrown away (over_caps).
        partners = np.clip(partners, 0, _least(config.max_per_target, config.max_per_image))
        capacity = np.where(serves, targets * partners, 0)
        capacity = np.clip(capacity, 0, config.max_per_condition)
        cell = np.flatnonzero(capacity)
        group = cells.group[cell]
        power = targets[cell].astype(np.float64) ** config.condition_temperature
        of_group = np.bincount(group, weights=power, minlength=len(cells.sizes))
        numbers.append(cell)
        kinds.append(np.full(len(cell), KINDS.index(kind), np.int8))
        capacities.append(capacity[cell])
        share = power / of_group[group]
        # A group of attributes has a subject's values of one sort, which is one of many things said of the subject.
        of_sort = family[cell] == FAMILIES.index("attribute")
        power = np.where(of_sort, config.condition_temperature, config.subject_temperature)
        weights.append(cells.sizes[group] ** power * share)
        if config.max_per_subject is not None:
            capacities[-1] = np.minimum(capacities[-1], _portions(group, share, config.max_per_subject))
    return {
        "offer_cell": np.concatenate(numbers),
        "offer_kind": np.concatenate(kinds),
        "offer_capacity": np.concatenate(capacities),
        "offer_weight": np.concatenate(weights).astype(np.float64),
    }


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _portions(group: np.ndarray, share: np.ndarray, total: int) -> np.ndarray:
    """A total for every group, portioned out in whole numbers by the shares of its cells, int64."""
    order = np.argsort(group, kind="stable")
    starts, lengths = runs(group[order])
    reached = np.cumsum(share[order])
    before = np.repeat((reached - share[order])[starts], lengths)
    reached = np.floor((reached - before) * total + 1e-6)
    portions = np.diff(reached, prepend=0)
    portions[starts] = reached[starts]
    found = np.empty(len(group), np.int64)
    found[order] = portions
    return found


def over_caps(draws: pa.Table, config: MiningConfig) -> np.ndarray:
    """Which draws of whole subjects go beyond the caps on subjects and their conditions; bool.

    Args:
        draws: with all draws of every subject that occurs (schemas.DRAWS).
    """
    kind, subject, thing = (draws[name].to_numpy() for name in ("kind", "subject", "thing"))
    key = draws["key"].to_numpy()
    over = np.zeros(len(draws), bool)
    for limit, names in ((config.max_per_condition, (kind, subject, thing)), (config.max_per_subject, (kind, subject))):
        if limit is not None:
            left = np.flatnonzero(~over)
            over[left[beyond(limit, config.seed, key[left], *(name[left] for name in names))]] = True
    return over


def beyond(limit: int, seed: int, key: np.ndarray, *names: np.ndarray) -> np.ndarray:
    """Positions of all but limit rows, at random, of each group of rows with the same names; ties go by the key."""
    group = mix(*names)
    order = np.lexsort((key, mix(seed, _CAP, key), group))
    starts, lengths = runs(group[order])
    rank = np.arange(len(order)) - np.repeat(starts, lengths)
    return order[rank >= limit]


def _own_words_are_thin(
    rows: pa.Table, cell_of_row: np.ndarray, has_text: np.ndarray, config: MiningConfig
) -> np.ndarray:
    """Of every row whether it may be a target: it has its fact's own word, or all more specific ones are thin; bool."""
    general = rows["general"].to_numpy()
    if not general.any():
        return np.ones(len(rows), bool)
    saying = np.bincount(cell_of_row[has_text & (general == 0)], minlength=cell_of_row.max(initial=-1) + 1)
    thick = saying[cell_of_row] >= config.generalise_below
    order = np.lexsort((general, rows["second"].to_numpy(), rows["fact"].to_numpy(), rows["family"].to_numpy()))
    new = np.append(True, np.zeros(len(order) - 1, bool))
    for name in ("family", "fact", "second"):
        column = rows[name].to_numpy()[order]
        new[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(new)
    before = np.cumsum(thick[order]) - thick[order]
    before -= np.repeat(before[starts], np.diff(np.append(starts, len(order))))
    may = np.empty(len(rows), bool)
    may[order] = before == 0
    return may


def _hard_negatives(rows: pa.Table, targets: np.ndarray, config: MiningConfig) -> dict[str, np.ndarray]:
    """Of every target of a composite up to four images with one of its conditions that contradict the other.

    A row says two things of its subject in one caption. Another image of the subject's group whose row shares one of
    the two, with something of the other's sort beside it, contradicts the other when its captions do not claim it.

    Args:
        targets: the rows that are targets, in their order.

    Returns:
        ``hard_offsets`` (of every target, and the end), ``hard_facts`` (what contradicts) and ``hard_how``.
    """
    composite = np.flatnonzero(rows["family"].to_numpy() == FAMILIES.index("composite"))
    wanting = np.flatnonzero(np.isin(targets, composite)) if len(composite) else composite
    none: dict[str, np.ndarray] = {
        "hard_offsets": np.zeros(len(targets) + 1, np.int64),
        "hard_facts": np.zeros(0, np.int64),
        "hard_how": np.zeros(0, np.int8),
    }
    if not len(wanting):
        return none
    column = {name: rows[name].to_numpy() for name in (
        "fact", "second", "image", "subject_group", "general", "first_condition", "second_condition", "first_sort",
        "second_sort", "denies_first")}  # fmt: skip
    own = composite[column["general"][composite] == 0]
    # What every row states twice over: this condition, with that sort of thing beside it.
    kept = {"first": "second", "second": "first"}
    stated = np.concatenate([
        mix(column["subject_group"][own], column[f"{keeps}_condition"][own], column[f"{other}_sort"][own])
        for keeps, other in kept.items()])  # fmt: skip
    order = np.lexsort((np.tile(column["second"][own], 2), np.tile(column["fact"][own], 2), stated))
    stated, stating = stated[order], np.tile(own, 2)[order]
    beside = np.concatenate([column["second"][own], column["fact"][own]])[order]

    found = []
    for number, (keeps, other) in enumerate(kept.items()):
        row = targets[wanting]
        sort = column[f"{other}_sort"][row]
        wanted = mix(column["subject_group"][row], column[f"{keeps}_condition"][row], sort)
        low = np.searchsorted(stated, wanted)
        there = np.where((sort >= 0) | (sort == RELATED), np.searchsorted(stated, wanted, side="right") - low, 0)
        owner, turn = expand(np.minimum(there, _HARD_TRIES))
        first = below(np.maximum(there, 1), config.seed, _HARD, column["fact"][row], number)
        place = low[owner] + (first[owner] + turn) % np.maximum(there[owner], 1)
        differs = column["image"][stating[place]] != column["image"][row[owner]]
        owner, place = owner[differs], place[differs]
        denied = _part_of(rows["denies_thing"].combine_chunks(), row, column["denies_first"][row], other == "first")
        lacks = _lacks(rows["claims"].combine_chunks(), stating[place], denied, owner)
        found.append((wanting[owner[lacks]], beside[place[lacks]], sort[owner[lacks]]))
    target, fact, sort = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.lexsort((mix(config.seed, _HARD, fact), sort == RELATED, target))  # values that exclude come first
    target, fact, sort = target[order], fact[order], sort[order]
    starts, lengths = runs(target)
    few = np.arange(len(target)) - np.repeat(starts, lengths) < TEXT_DISTRACTORS_PER_TARGET
    counts = np.bincount(target[few], minlength=len(targets))
    return {
        "hard_offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "hard_facts": fact[few],
        "hard_how": np.where(sort[few] == RELATED, _OTHER, _EXCLUSIVE).astype(np.int8),
    }


def _part_of(lists: pa.ListArray, rows: np.ndarray, firsts: np.ndarray, first: bool) -> tuple[np.ndarray, np.ndarray]:
    """Position in rows and value of the first values of each row's list, as many as told, or of the others."""
    owner, values = _pairs(lists, rows)
    lengths = np.bincount(owner, minlength=len(rows))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    part = (place < firsts[owner]) == first
    return owner[part], values[part]


def _lacks(
    claims: pa.ListArray, rows: np.ndarray, denied: tuple[np.ndarray, np.ndarray], owners: np.ndarray
) -> np.ndarray:
    """Whether the claims of each row are none of what its owner denies; bool."""
    owner, values = denied
    pair, claimed = _pairs(claims, rows)
    asked = owners[pair].astype(np.uint64) << np.uint64(32) | claimed
    made = np.isin(asked, owner.astype(np.uint64) << np.uint64(32) | values)
    lacks = np.ones(len(rows), bool)
    lacks[pair[made]] = False
    return lacks


def _quotas(weight: np.ndarray, capacity: np.ndarray, dither: np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """Triplets of every offer at its level, int64: level times weight, rounded at random, or all it has."""
    with np.errstate(invalid="ignore"):
        asked = np.where(np.isinf(level), capacity, np.floor(level * weight - dither) + 1)
    return np.clip(asked, 0, capacity).astype(np.int64)


def _dither(index: dict[str, np.ndarray], config: MiningConfig) -> np.ndarray:
    return uniform(config.seed, _CELL, index["cell"][index["offer_cell"]], index["offer_kind"])


@dataclass(frozen=True)
class _Cells:
    """Groups of images, and for every (group, thing) of a row the images of the group that lack the thing.

    Attributes:
        members: a row of every image of every group, group by group, in an order that is random but always the same.
        member_of_row: position in members of every row's image.
        sizes, first_member: number of images of each group, and its first in members.
        key: hash of every cell's group and thing, sorted.
        group: group number of every cell.
        first_row: a row of every cell.
        of_row: cell number of every row.
        absent: the members, counted within their group, that lack the cell's thing; a list a cell.
    """

    members: np.ndarray
    member_of_row: np.ndarray
    sizes: np.ndarray
    first_member: np.ndarray
    key: np.ndarray
    group: np.ndarray
    first_row: np.ndarray
    of_row: np.ndarray
    absent: Absent


def _cells(rows: pa.Table, group_name: str, thing_name: str, denies_name: str, seed: int) -> _Cells:
    """The cells of whole groups, by the columns that hold each row's group, thing, and the claims that one with the
    thing makes."""
    group, thing, fact, image = (rows[name].to_numpy() for name in (group_name, thing_name, "fact", "image"))
    order = np.lexsort((mix(seed, _ORDER, fact), mix(seed, _ORDER, image), group))
    in_order = group[order]
    starts, lengths = runs(in_order)
    group_of_row = np.empty(len(group), np.int64)
    group_of_row[order] = np.repeat(np.arange(len(starts)), lengths)
    new_image = np.ones(len(order), bool)
    new_image[1:] = (in_order[1:] != in_order[:-1]) | (image[order][1:] != image[order][:-1])
    members = order[new_image]
    member_of_row = np.empty(len(group), np.int64)
    member_of_row[order] = np.cumsum(new_image) - 1
    member_group = group_of_row[members]
    sizes = np.bincount(member_group, minlength=len(starts)).astype(np.int64)
    first_member = np.cumsum(sizes) - sizes

    hashed = mix(group, thing)
    by_cell = np.lexsort((rows["second"].to_numpy(), fact, hashed))  # the first row of a cell is not who came first
    starts, lengths = runs(hashed[by_cell])
    first_row, key = by_cell[starts], hashed[by_cell[starts]]
    of_row = np.empty(len(hashed), np.int64)
    of_row[by_cell] = np.repeat(np.arange(len(starts)), lengths)
    cell_group = group_of_row[first_row]
    # A member claims something that a cell of its group denies: a join on (group, claim).
    cell, denied = _pairs(rows[denies_name].combine_chunks(), first_row)
    asked = _claim_keys(group[first_row], cell, denied)
    by_asked = np.argsort(asked)
    asked, cell = asked[by_asked], cell[by_asked]
    owner, claimed = _pairs(rows["claims"].combine_chunks(), members)
    made = _claim_keys(group[members], owner, claimed)
    maybe = _filter(asked, made)  # most claims are denied by nobody, and a search costs more than this
    owner, made = owner[maybe], made[maybe]
    low = np.searchsorted(asked, made)
    hits, ordinal = expand(np.searchsorted(asked, made, side="right") - low)
    absent = Absent(sizes[cell_group], cell[low[hits] + ordinal], (owner - first_member[member_group[owner]])[hits])
    return _Cells(members, member_of_row, sizes, first_member, key, cell_group, first_row, of_row, absent)


def _claim_keys(groups: np.ndarray, owner: np.ndarray, claims: np.ndarray) -> np.ndarray:
    """A hash of every claim (uint32) within the group of its owner, uint64, without a collision within a group."""
    with np.errstate(over="ignore"):
        spread = claims.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    spread ^= mix(groups)[owner]
    return spread


def _pairs(lists: pa.ListArray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position in rows and value of every value in the lists of those rows."""
    taken = lists.take(pa.array(rows))
    owner, _ = expand(pc.list_value_length(taken).to_numpy())
    return owner, taken.flatten().to_numpy()


def _filter(keys: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Positions of the candidates (uint64) that may be among the keys, and of few others."""
    bits = max(int(len(keys) * 16).bit_length(), 8)
    there = np.zeros(1 << bits, bool)
    there[keys >> np.uint64(64 - bits)] = True
    return np.flatnonzero(there[candidates >> np.uint64(64 - bits)])
