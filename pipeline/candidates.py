"""Which facts triplets can be made of: the facts of a part to rows of integers.

A row says: this image shows the subject, and of it the thing that a condition asks for. Four families of rows serve the
six kinds of triplets.

| family | fact | subject | what the condition asks for | kinds |
|---|---|---|---|---|
| relation | (S, P, O) | S | P O | relation |
| attribute | (S, is, v) | S, among images with a value of v's sort | v | change and focus attribute |
| object | (S, in or on or at, place) | the place | S | change and focus object |
| composite | (S, is, v) and a second fact of S in the caption | S | both | composite |

A fact makes further rows with more general words in place of the thing or value (filters/general.py): "dog" and
"animal" for "puppy on beach". They serve where the fact's own word is thin (see contrasts).

Two rows with the same subject group are images with the same subject; two with the same condition group are images that
satisfy the same condition. What an image's captions claim, all of them together and with all that it implies, goes with
every row, so that whoever looks for a negative needs no other image's rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import axes, concreteness, exclusive, hierarchy, visible, visual
from filters.distinct import by_distinct
from filters.general import MOST, general_name
from pipeline.codes import claims, code, codes, condition_codes, denials, predicate_claims, thing_codes
from pipeline.config import FAMILIES, KINDS_OF_FAMILY, ROWS_PER_COMPOSITE_GROUP, ROWS_PER_SUBJECT_GROUP, MiningConfig
from pipeline.numbers import below, expand, mix, runs, uniform

ROWS = pa.schema(
    [
        pa.field("fact", pa.int64(), metadata={"doc": "part of the facts table << 32 | row in the part"}),
        pa.field("second", pa.int64(), metadata={"doc": "composite: the second fact, else -1"}),
        pa.field("family", pa.int8(), metadata={"doc": "position in config.FAMILIES"}),
        pa.field("general", pa.int8(), metadata={"doc": "0: the fact's own word; n: the n-th more general one"}),
        pa.field("image", pa.int64(), metadata={"doc": "image_key"}),
        pa.field("split", pa.int8(), metadata={"doc": "0 train, 1 val"}),
        pa.field("subject", pa.int64(), metadata={"doc": "hash of the subject"}),
        pa.field("thing", pa.int64(), metadata={"doc": "hash of what a contrast must lack"}),
        pa.field("axis", pa.int64(), metadata={"doc": "hash of the axis of an attribute fact, else 0"}),
        pa.field("plain", pa.bool_(), metadata={"doc": "the image has values on that axis of this subject only"}),
        pa.field("subject_group", pa.int64(), metadata={"doc": "family, subject, split and salt: who can be paired"}),
        pa.field("condition_group", pa.int64(), metadata={"doc": "family, condition, split and salt"}),
        pa.field("first_condition", pa.int64(), metadata={"doc": "composite: hash of what the fact says, else 0"}),
        pa.field("second_condition", pa.int64(), metadata={"doc": "composite: the same of the second fact"}),
        pa.field("first_sort", pa.int16(), metadata={"doc": "composite: exclusion group, RELATED or UNSORTED"}),
        pa.field("second_sort", pa.int16(), metadata={"doc": "composite: the same of the second fact"}),
        pa.field("denies_first", pa.int16(), metadata={"doc": "composite: how many of denies_thing are of the fact"}),
        pa.field("denies_thing", pa.list_(pa.uint32()), metadata={"doc": "claims that a contrast must not make"}),
        pa.field("denies_subject", pa.list_(pa.uint32()), metadata={"doc": "that a text distractor must not make"}),
        pa.field("claims", pa.list_(pa.uint32()), metadata={"doc": "all that the image's captions claim"}),
    ]
)

COLUMNS = (
    "image_key",
    "caption_index",
    "kind",
    "subject",
    "predicate",
    "object",
    "attribute",
    "axis",
    "confidence",
    "entities",
)
"""Columns of the facts table that triplets are mined from."""

PLACES = frozenset(
    "airport alley arena bar bathroom bay beach bedroom bridge building city classroom countryside "
    "court desert dock farm field forest garden grass harbor island kitchen land market meadow mountain museum office "
    "park patio path plaza pool railway restaurant road room runway sand sea shop shore sidewalk sky snow "
    "square stadium stage station street studio valley village yard".split()
) | {"body of water", "parking lot"}
"""Things that a picture is taken in: scenes of the object kinds, and all their kinds; facetmine's own list."""

_LOCATIVE = frozenset("in on at near by along through across inside outside over around above beside under".split())

_BARE = frozenset(["have", "of"])
"""Predicates that tell too little to go with a general word: a glass of water has nothing of a land of lakes."""

RELATED, UNSORTED = -2, -1
"""Sorts of facts that are no exclusion group: relations, and values that exclude nothing."""

_SALT, _SPLIT, _MEMBER = 1, 2, 10


def mineable(
    facts: pa.Table, part: int, config: MiningConfig, unfit: Mapping[str, np.ndarray] = MappingProxyType({})
) -> tuple[pa.Table, dict[str, pa.Array]]:
    """The rows of one part that triplets can be made of.

    Args:
        facts: a part of the facts table with columns :data:`COLUMNS` (schemas.FACTS, strings plain or as dictionaries),
            which holds all facts of its images.
        part: its number.
        unfit: facts that their pictures do not bear out, bool arrays by reject reason. What they claim still counts.

    Returns:
        rows (schema :data:`ROWS`), and for every reject reason the row numbers (int64) of the facts rejected for it.
        A fact that is not rejected is the first fact of at least one row.
    """
    said = _Said.of(facts)
    keep, rejects = _kept(said, config, unfit)
    images = said.image
    split = image_split(images, config)

    image_of_fact, claims_of_image = _claims_by_image(said)
    plain = _tells_axis_of_one_thing(said)
    tables = []
    for number, family in enumerate(FAMILIES):
        if not KINDS_OF_FAMILY[family].intersection(config.kinds):
            continue
        found = _rows_of(family, said, keep, config)
        row = found["row"]
        if not len(row):
            continue
        zeros = np.zeros(len(row), np.int8)
        tables.append(
            pa.table(
                {
                    "fact": (np.int64(part) << 32) | row,
                    "second": np.where(found["second"] >= 0, (np.int64(part) << 32) | found["second"], -1),
                    "family": np.full(len(row), number, np.int8),
                    "general": found["general"],
                    "image": images[row],
                    "split": split[row],
                    "subject": found["subject"],
                    "thing": found["thing"],
                    "axis": said.axis[row],
                    "plain": plain[row],
                    "subject_group": _salted(number, found["subject_pool"], images[row], split[row], config),
                    "condition_group": _salted(number, found["condition"], images[row], split[row], config),
                    **{name: found.get(name, zeros) for name in _COMPOSITE_ONLY},
                    "denies_thing": found["denies_thing"],
                    "denies_subject": found["denies_subject"],
                    "claims": claims_of_image.take(pa.array(image_of_fact[row])),
                },
                schema=ROWS,
            )
        )
    rows = pa.concat_tables([ROWS.empty_table(), *tables])
    used = np.zeros(len(facts), bool)
    used[rows["fact"].to_numpy() & 0xFFFFFFFF] = True
    rejects["makes_no_condition"] = np.flatnonzero(keep & ~used)
    return rows, {reason: pa.array(found) for reason, found in rejects.items() if len(found)}


def image_split(images: np.ndarray, config: MiningConfig) -> np.ndarray:
    """Which split each image is in, int8: 0 train, 1 val; a function of seed and image alone."""
    return (uniform(config.seed, _SPLIT, images) < config.split).astype(np.int8)


Found = dict[str, np.ndarray | pa.Array]

_COMPOSITE_ONLY = ("first_condition", "second_condition", "first_sort", "second_sort", "denies_first")


@dataclass(frozen=True)
class _Said:
    """What the facts of a part say, by columns of integers; row by row.

    Attributes:
        columns: the facts as they are, strings in dictionaries.
        image: image key.
        relation: whether the fact is a relation; bool.
        subject, object, value: hashes of the things and of the attribute, 0 where there is none.
        axis: hash of the axis, 0 where there is none.
        condition: uint64 hash of what the fact says of its subject: predicate and object, or axis and value.
        group, member: exclusion group and member bits of the value (filters.exclusive.exclusion_groups).
    """

    columns: dict[str, pa.Array]
    image: np.ndarray
    relation: np.ndarray
    subject: np.ndarray
    object: np.ndarray
    value: np.ndarray
    axis: np.ndarray
    condition: np.ndarray
    group: np.ndarray
    member: np.ndarray

    @classmethod
    def of(cls, facts: pa.Table) -> "_Said":
        columns = {name: facts[name].combine_chunks() for name in facts.column_names}
        for name in ("kind", "subject", "predicate", "object", "attribute", "axis"):
            columns[name] = columns[name].dictionary_encode()
        relation = codes(columns["kind"]) == code("relation")
        value, axis = thing_codes(columns["attribute"]), codes(columns["axis"])
        relations = condition_codes(columns["predicate"], columns["object"])
        return cls(
            columns,
            columns["image_key"].to_numpy(),
            relation,
            thing_codes(columns["subject"]),
            thing_codes(columns["object"]),
            value,
            axis,
            np.where(relation, relations, mix(axis, value)),
            *exclusive.exclusion_groups(columns["axis"], columns["attribute"]),
        )

    def denials(self, name: str, rows: np.ndarray) -> pa.ListArray:
        """Of those rows: what an image must not claim that is to lack the thing or value in that column."""
        return denials(self.columns[name].take(pa.array(rows)))

    def take(self, rows: np.ndarray) -> "_Said":
        """Those facts, without the names that their images' captions use."""
        positions = pa.array(rows)
        columns = {name: column.take(positions) for name, column in self.columns.items() if name != "entities"}
        return _Said(columns, *(getattr(self, field.name)[rows] for field in fields(self) if field.name != "columns"))

    def generalised(self, name: str, level: int, config: MiningConfig) -> tuple["_Said", np.ndarray]:
        """The same facts with the level-th more general word in that column, and which of them have one (bool)."""
        specific = self.columns[name]
        word = _general_value if name == "attribute" else _general_thing
        known = pa.array([word(one, level, config) for one in specific.dictionary.to_pylist()], pa.string())
        known = known.dictionary_encode()  # few words, however many they stand for
        words = pa.DictionaryArray.from_arrays(known.indices.take(specific.indices), known.dictionary)
        there = by_distinct(words, bool, bool)
        said = replace(self, columns=self.columns | {name: words})
        if name == "subject":
            return replace(said, subject=thing_codes(words)), there
        if name == "object":
            relations = condition_codes(self.columns["predicate"], words)
            condition = np.where(self.relation, relations, self.condition)
            return replace(said, object=thing_codes(words), condition=condition), there
        value = thing_codes(words)
        condition = np.where(self.relation, self.condition, mix(self.axis, value))
        group, member = exclusive.exclusion_groups(self.columns["axis"], words)
        there &= group == self.group  # another meaning of the word is on another axis
        return replace(said, value=value, condition=condition, group=group, member=member), there


def _tells_axis_of_one_thing(said: _Said) -> np.ndarray:
    """Facts whose image has values on their axis of their subject only: there "color" can mean one thing's; bool."""
    valued = np.flatnonzero(said.axis != 0)
    place, subject = mix(said.image, said.axis)[valued], said.subject[valued]
    order = np.lexsort((subject, place))
    in_order, subjects = place[order], subject[order]
    several = in_order[1:][(in_order[1:] == in_order[:-1]) & (subjects[1:] != subjects[:-1])]
    plain = np.zeros(len(said.axis), bool)
    plain[valued] = ~np.isin(place, several)
    return plain


def _kept(
    said: _Said, config: MiningConfig, unfit: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Facts that pass the filters (bool), and rows rejected by reason."""
    columns, relation = said.columns, said.relation
    subject, object_ = columns["subject"], columns["object"]
    keep = np.ones(len(subject), bool)
    rejects: dict[str, np.ndarray] = {}

    def reject(reason: str, mask: np.ndarray) -> None:
        rejects[reason] = np.flatnonzero(keep & mask)
        keep[mask] = False

    for reason, mask in unfit.items():
        reject(reason, mask)
    enabled = {family for family in FAMILIES if KINDS_OF_FAMILY[family].intersection(config.kinds)}
    mined = np.where(relation, bool(enabled - {"attribute"}), bool(enabled & {"attribute", "composite"}))
    reject("kind_not_mined", ~mined)
    reject("axis_not_mined", ~relation & ~by_distinct(columns["axis"], frozenset(config.axes).__contains__, bool))
    reject("relates_to_itself", relation & (said.subject == said.object))
    if config.min_confidence > 0:
        confidence = columns["confidence"].fill_null(1.0).to_numpy(zero_copy_only=False)
        reject("not_confident", confidence < config.min_confidence)
    if config.visible_only:
        for reason, mask in visible.unseen(subject, columns["predicate"], object_).items():
            reject(reason, mask)
        reject("lookalike", _lookalikes(said))
    if config.min_concreteness > 0:
        vague = concreteness.rate(subject) < config.min_concreteness
        reject("not_concrete", vague | relation & (concreteness.rate(object_) < config.min_concreteness))
    if config.min_visual_strength > 0:
        said_of = np.where(relation, visual.visual_strength(object_), visual.visual_strength(columns["attribute"]))
        reject("hardly_visual", said_of < config.min_visual_strength)
    if config.max_ambiguity < float("inf"):
        reject("ambiguous_axis", ~relation & (axes.axis_ambiguity(columns["attribute"]) > config.max_ambiguity))
    rows = np.flatnonzero(keep)
    _, first = np.unique(mix(said.image, said.subject, said.condition)[rows], return_index=True)
    repeated = keep.copy()
    repeated[rows[first]] = False
    reject("repeated_fact", repeated)
    return keep, rejects


def _lookalikes(said: _Said) -> np.ndarray:
    """Facts of things that their caption says to be none ("gingerbread man"); bool.

    What shows a thing stays a fact of what shows it ("sculpture of a lion").
    """
    subject, predicate, object_, value = (
        said.columns[name] for name in ("subject", "predicate", "object", "attribute")
    )
    no_subject, no_object = visible.lookalikes(subject, predicate, object_, value)
    caption = mix(said.image, said.columns["caption_index"].to_numpy())
    subjects, objects = mix(caption, said.subject), mix(caption, said.object)
    none = np.concatenate([subjects[no_subject], objects[no_object]])
    return np.isin(subjects, none) | said.relation & ~no_object & np.isin(objects, none)


def _rows_of(family: str, said: _Said, keep: np.ndarray, config: MiningConfig) -> Found:
    """The rows of a family: of the facts as they are, and with more general words where the configuration asks.

    What an image says of a subject in a general word itself makes no second row with that word.
    """
    make, column, levels = _FAMILIES[family]
    found = [make(said, keep)]
    if config.generalise_below:
        word = _general_value if column == "attribute" else _general_thing
        has_one = keep & by_distinct(said.columns[column], lambda name: bool(word(name, 1, config)), bool)
        if column == "attribute":
            has_one &= ~said.relation
        else:
            has_one &= said.relation & ~by_distinct(said.columns["predicate"], _BARE.__contains__, bool)
        # Of a composite it is the second fact that is put in a general word; what goes before it are values.
        row = np.flatnonzero(has_one | (keep & ~said.relation) if family == "composite" else has_one)
        of_these = said.take(row)
        for level in range(1, levels + 1):
            general, there = of_these.generalised(column, level, config)
            there &= has_one[row]
            if column != "attribute" and config.visible_only:
                columns = [general.columns[name] for name in ("subject", "predicate", "object")]
                there &= ~visible.unseen(*columns)["inherent_part"]
            if family == "composite":
                rows = make(general, there | ~general.relation)
                rows = _taken(rows, np.flatnonzero(there[rows["second"]]))
            else:
                rows = make(general, there)
            second = np.where(rows["second"] < 0, rows["second"], row[rows["second"]])
            found.append(rows | {"row": row[rows["row"]], "second": second})
    levels_of = np.repeat(np.arange(len(found), dtype=np.int8), [len(rows["row"]) for rows in found])
    joined = {name: _concatenated([rows[name] for rows in found]) for name in found[0]}
    if len(found) > 1:
        says = mix(
            said.image[np.asarray(joined["row"])], np.asarray(joined["subject_pool"]), np.asarray(joined["condition"])
        )
        kept = levels_of == 0
        kept[np.unique(says, return_index=True)[1]] = True
        joined, levels_of = _taken(joined, np.flatnonzero(kept)), levels_of[kept]
    return joined | {"general": levels_of}


def _general_thing(name: str, level: int, config: MiningConfig) -> str:
    """The level-th more general name of a thing that tells what can be seen, "" where there is none."""
    return _seen_general(name, level, config.min_concreteness, config.visible_only)


def _general_value(name: str, level: int, config: MiningConfig) -> str:
    return general_name(name, level)


@lru_cache(1 << 18)
def _seen_general(name: str, level: int, min_concreteness: float, visible_only: bool) -> str:
    general = general_name(name, level)
    vague = min_concreteness > 0 and concreteness.rate_name(general) < min_concreteness
    return "" if vague or (visible_only and not visible.is_seen(general)) else general


def _taken(found: Found, positions: np.ndarray) -> Found:
    return {name: column.take(pa.array(positions)) if isinstance(column, pa.Array) else column[positions]
            for name, column in found.items()}  # fmt: skip


def _concatenated(columns: list[np.ndarray | pa.Array]) -> np.ndarray | pa.Array:
    return pa.concat_arrays(columns) if isinstance(columns[0], pa.Array) else np.concatenate(columns)


def _relations(said: _Said, keep: np.ndarray) -> Found:
    row = np.flatnonzero(keep & said.relation)
    return {
        "row": row,
        "second": np.full(len(row), -1),
        "subject": said.subject[row],
        "thing": said.object[row],
        "subject_pool": said.subject[row],
        "condition": said.condition[row],
        "denies_thing": said.denials("object", row),
        "denies_subject": said.denials("subject", row),
    }


def _attributes(said: _Said, keep: np.ndarray) -> Found:
    """Values that exclude others; who is paired has values of one exclusion group ("red car", "blue car")."""
    row = np.flatnonzero(keep & ~said.relation & (said.group >= 0))
    return {
        "row": row,
        "second": np.full(len(row), -1),
        "subject": said.subject[row],
        "thing": said.value[row],
        "subject_pool": mix(said.subject[row], said.group[row]),
        "condition": said.condition[row],
        "denies_thing": _joined(said.denials("attribute", row), _members(said, row)),
        "denies_subject": said.denials("subject", row),
    }


def _objects(said: _Said, keep: np.ndarray) -> Found:
    """Things that are in, on or at a place; the place is what reference and target share."""
    locative = by_distinct(said.columns["predicate"], lambda words: words.rpartition(" ")[2] in _LOCATIVE, bool)
    row = np.flatnonzero(keep & said.relation & locative & by_distinct(said.columns["object"], is_place, bool))
    _, first = np.unique(mix(said.image[row], said.object[row], said.subject[row]), return_index=True)
    row = row[np.sort(first)]
    return {
        "row": row,
        "second": np.full(len(row), -1),
        "subject": said.object[row],
        "thing": said.subject[row],
        "subject_pool": said.object[row],
        "condition": said.subject[row],
        "denies_thing": said.denials("subject", row),
        "denies_subject": said.denials("object", row),
    }


@lru_cache(1 << 18)
def is_place(name: str) -> bool:
    """Whether a thing is one that a picture is taken in."""
    name = hierarchy.canonical_name(name)
    return name in PLACES or not PLACES.isdisjoint(hierarchy.ancestors_of(name))


def _composites(said: _Said, keep: np.ndarray) -> Found:
    """A value and a second fact of the same thing in the same caption: another axis' value, or a relation."""
    kept = np.flatnonzero(keep)
    clause = mix(said.image, said.columns["caption_index"].to_numpy(), said.subject)[kept]
    order = np.lexsort((kept, said.relation[kept], clause))  # the values of a thing before its relations
    kept, clause = kept[order], clause[order]
    starts, lengths = runs(clause)
    position = np.arange(len(kept)) - np.repeat(starts, lengths)
    owner, ahead = expand(np.repeat(lengths, lengths) - position - 1)
    row, second = kept[owner], kept[owner + 1 + ahead]
    fits = ~said.relation[row] & (said.relation[second] | (said.axis[row] != said.axis[second]))
    row, second = row[fits], second[fits]
    related = said.relation[second]
    # Lists of relations and values apart, and back into the order of the rows.
    others = pa.concat_arrays(
        [said.denials("object", second[related]), said.denials("attribute", second[~related])]
    ).take(pa.array(np.argsort(np.concatenate([np.flatnonzero(related), np.flatnonzero(~related)]))))
    both = mix(said.condition[row], said.condition[second])
    of_first = _joined(said.denials("attribute", row), _members(said, row))
    sort = np.where(said.relation, RELATED, np.maximum(said.group, UNSORTED)).astype(np.int16)
    return {
        "row": row,
        "second": second,
        "subject": said.subject[row],
        "thing": both.view(np.int64),
        "subject_pool": said.subject[row],
        "condition": both,
        "first_condition": said.condition[row].view(np.int64),
        "second_condition": said.condition[second].view(np.int64),
        "first_sort": sort[row],
        "second_sort": sort[second],
        "denies_first": pc.list_value_length(of_first).to_numpy().astype(np.int16),
        "denies_thing": _joined(of_first, others, _members(said, second)),
        "denies_subject": said.denials("subject", row),
    }


_FAMILIES: dict[str, tuple[Callable[[_Said, np.ndarray], Found], str, int]] = {
    "relation": (_relations, "object", MOST),
    "attribute": (_attributes, "attribute", MOST),
    "object": (_objects, "subject", MOST),
    "composite": (_composites, "object", 1),
}
"""How a family's rows are made, the column whose words can be general, and how many levels up (a composite's second
fact: nearly every pair is thin, and twice as many rows are enough)."""


def _members(said: _Said, rows: np.ndarray) -> pa.ListArray:
    """Claims that the values of some facts make by their sort alone: "teal" that the thing is some blue or green.

    A contrast to something blue makes no claim that it is some blue, by whatever word.
    """
    groups, members = said.group[rows], np.where(said.group[rows] >= 0, said.member[rows], 0)
    kinds, kind = np.unique(groups.astype(np.int64) << 32 | members, return_inverse=True)
    return pa.array(map(_member_claims, kinds.tolist()), pa.list_(pa.uint32())).take(pa.array(kind))


@lru_cache(1 << 16)
def _member_claims(packed: int) -> list[int]:
    return [int(mix(_MEMBER, packed >> 32, bit)) & 0xFFFFFFFF for bit in range(31) if packed >> bit & 1]


def _joined(*columns: pa.ListArray) -> pa.ListArray:
    """Row by row the lists of all columns one after the other."""
    lengths = np.stack([pc.list_value_length(lists).to_numpy() for lists in columns], axis=1)
    offsets = np.concatenate([[0], np.cumsum(lengths.sum(axis=1))]).astype(np.int32)
    owner = np.concatenate([np.repeat(np.arange(len(lengths)), of_column) for of_column in lengths.T])
    values = pa.concat_arrays([lists.flatten() for lists in columns])
    return pa.ListArray.from_arrays(pa.array(offsets), values.take(pa.array(np.argsort(owner, kind="stable"))))


def _claims_by_image(said: _Said) -> tuple[np.ndarray, pa.ListArray]:
    """Number of every fact's image, and for every number all that the captions of that image claim, sorted."""
    _, first, image_of_fact = np.unique(said.image, return_index=True, return_inverse=True)
    named = said.columns["entities"].take(pa.array(first))
    values, relations = np.flatnonzero(~said.relation), np.flatnonzero(said.relation)
    made = [
        (np.repeat(np.arange(len(first)), pc.list_value_length(named).to_numpy()), claims(named.flatten())),
        (image_of_fact[values], claims(said.columns["attribute"].take(pa.array(values)))),
        (image_of_fact[values], _members(said, values)),
        (image_of_fact[relations], predicate_claims(said.columns["predicate"].take(pa.array(relations)))),
    ]
    keys = np.concatenate(
        [
            (np.repeat(owner, pc.list_value_length(lists).to_numpy()).astype(np.uint64) << np.uint64(32))
            | lists.flatten().to_numpy()
            for owner, lists in made
        ]
    )
    keys.sort()
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys
    counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(first))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return image_of_fact, pa.ListArray.from_arrays(pa.array(offsets), pa.array(keys.astype(np.uint32)))


def _salted(family: int, names: np.ndarray, images: np.ndarray, split: np.ndarray, config: MiningConfig) -> np.ndarray:
    """Group of every row, int64: its family, code and split, and for a code with very many rows a salt by image.

    Images are spread over the parts by hash, so a code's rows here times the number of parts estimate its rows
    everywhere. Parts that estimate differently salt differently, which is sound, because all rows of one image are in
    one part and so in one group.
    """
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    size = ROWS_PER_COMPOSITE_GROUP if FAMILIES[family] == "composite" else ROWS_PER_SUBJECT_GROUP
    groups = np.maximum(counts * config.partitions // size, 1)
    salts = (2 ** np.ceil(np.log2(groups))).astype(np.int64)[inverse]
    return mix(family, names, split, below(salts, config.seed, _SALT, images)).view(np.int64)
