"""Galleries over a toy world in GeneCIS's manner: four tasks, and by the ground truth exactly one right answer in each.

They are made of the table ``truth/facts.parquet`` that ``facetmine toyworld`` writes, which says all that is true of
each picture. Besides the target, a gallery holds pictures that match the reference only and pictures that match the
text only:

| task | condition | target | matches the reference only | matches the text only |
|---|---|---|---|---|
| focus_attribute | an axis, "color" | same thing, same value | same thing, another value | another thing, that value |
| change_attribute | a value, "red" | same thing, that value | same thing, another value | another thing, that value |
| focus_object | a thing in the reference | same place, that thing | same place without it | that thing, another place |
| change_object | a thing not in it | same place, that thing | same place without it | that thing, another place |

As in GeneCIS, attribute tasks have galleries of 10 pictures of one thing each, where GeneCIS cuts one out; object tasks
have galleries of 15 whole pictures.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from downstream.genecis import TASKS
from downstream.tasks import Query, TaskError
from images import ImageStore

PLACE_WORDS = ("in", "on", "at")
"""Predicates that put a thing in a place; other relations are between things."""

SIZES = {"attribute": (5, 4), "object": (7, 7)}
"""Distractors that match the reference only, and the text only."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Gallery:
    """A question with all of its gallery, pictures by id.

    Attributes:
        reference, condition: the question.
        target: the right answer.
        reference_only: pictures that match the reference and not the text.
        text_only: pictures that match the text and not the reference.
    """

    reference: str
    condition: str
    target: str
    reference_only: tuple[str, ...]
    text_only: tuple[str, ...]

    @property
    def query(self) -> Query:
        return Query(self.reference, self.condition, (self.target,), self.reference_only + self.text_only)


@dataclass(frozen=True)
class Truth:
    """What is true of n pictures, as masks over them.

    Attributes:
        ids: of the pictures.
        things: which pictures show a thing, by its name.
        having: which show a thing with a property, by thing and word.
        within: which show a thing in a place, by thing and word for the place.
        axes: words of each axis.
        alone: which show one thing.
    """

    ids: list[str]
    things: dict[str, Mask]
    having: dict[tuple[str, str], Mask]
    within: dict[tuple[str, str], Mask]
    axes: dict[str, tuple[str, ...]]
    alone: Mask

    @classmethod
    def read(cls, path: str | Path) -> "Truth":
        """The truth of a data set that ``facetmine toyworld`` wrote.

        Raises:
            TaskError: the folder holds no ``truth/facts.parquet``.
        """
        try:
            table = pq.read_table(Path(path) / "truth" / "facts.parquet")
        except OSError as error:
            raise TaskError(f"{path} is no toy world: {error}") from None
        ids = table["image_id"].unique().to_pylist()
        row_of = {image_id: row for row, image_id in enumerate(ids)}
        things: dict[str, Mask] = {}
        having: dict[tuple[str, str], Mask] = {}
        within: dict[tuple[str, str], Mask] = {}
        axes: dict[str, set[str]] = {}

        def mark(masks: dict[Any, Mask], key: object, row: int) -> None:
            masks.setdefault(key, np.zeros(len(ids), bool))[row] = True

        for fact in table.to_pylist():
            row = row_of[fact["image_id"]]
            if fact["attribute"] is not None:
                mark(things, fact["subject"], row)
                mark(having, (fact["subject"], fact["attribute"]), row)
                axes.setdefault(fact["axis"], set()).add(fact["attribute"])
            elif fact["predicate"] in PLACE_WORDS:
                mark(within, (fact["subject"], fact["object"]), row)
        sorted_axes = {axis: tuple(sorted(words)) for axis, words in sorted(axes.items())}
        alone = np.sum(list(things.values()), axis=0) == 1
        return cls(ids, dict(sorted(things.items())), having, within, sorted_axes, alone)

    def anything(self, word: str) -> Mask:
        """Pictures in which some thing has a property."""
        return np.logical_or.reduce([mask for (_, said), mask in self.having.items() if said == word])

    def at(self, place: str) -> Mask:
        """Pictures of a place."""
        return np.logical_or.reduce([mask for (_, said), mask in self.within.items() if said == place])


def galleries(truth: Truth, task: str, count: int, seed: int = 0) -> list[Gallery]:
    """So many galleries of a task; no reference has the same condition twice.

    Raises:
        TaskError: there are too few pictures to make so many.
    """
    generator = np.random.default_rng([seed, TASKS.index(task)])
    reference_only, text_only = SIZES[task.partition("_")[2]]
    asked = _QUESTIONS[task](truth, generator)
    made: dict[tuple[str, str], Gallery] = {}
    for _ in range(20 * count):
        if len(made) == count:
            return list(made.values())
        question = next(asked)
        right = question.right.copy()
        right[question.reference] = False
        wrong = [question.reference_only.copy(), question.text_only]
        wrong[0][question.reference] = False
        pools = [np.flatnonzero(mask) for mask in (right, *wrong)]
        sizes = (1, reference_only, text_only)
        if any(len(pool) < size for pool, size in zip(pools, sizes, strict=True)):
            continue
        chosen = [
            tuple(truth.ids[row] for row in generator.choice(pool, size, replace=False))
            for pool, size in zip(pools, sizes, strict=True)
        ]
        key = (truth.ids[question.reference], question.condition)
        made.setdefault(key, Gallery(*key, chosen[0][0], chosen[1], chosen[2]))
    raise TaskError(f"{len(truth.ids):,} pictures are too few for {count:,} galleries of {task}")


def write(folder: Path, made: dict[str, Sequence[Gallery]], store: ImageStore) -> None:
    """Write ``templates/TASK.json`` and ``images/ID.png`` as GeneCIS's are laid out, for ``facetmine evaluate``."""
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    needed: dict[str, None] = {}
    for task, some in made.items():
        templates = []
        for gallery in some:
            needed.update(dict.fromkeys(gallery.query.needs))
            templates.append(
                {
                    "condition": gallery.condition,
                    "reference": {"val_image_id": int(gallery.reference)},
                    "target": {"val_image_id": int(gallery.target)},
                    "gallery": [{"val_image_id": int(name)} for name in gallery.query.gallery or ()],
                }
            )
        (folder / "templates" / f"{task}.json").write_text(json.dumps(templates) + "\n", encoding="utf-8")
    for image_id in needed:
        (folder / "images" / f"{int(image_id):012d}.png").write_bytes(store.read(image_id))


@dataclass(frozen=True)
class _Question:
    """A reference by row, a condition, and which pictures would be what in its gallery."""

    reference: int
    condition: str
    right: Mask
    reference_only: Mask
    text_only: Mask


def _focus_attribute(truth: Truth, generator: np.random.Generator) -> Iterator[_Question]:
    for row, thing in _things_alone(truth, generator):
        axis = _one_of(list(truth.axes), generator)
        value = next(word for word in truth.axes[axis] if _holds(truth.having, (thing, word), row))
        yield _attribute_question(truth, row, thing, axis, value)


def _change_attribute(truth: Truth, generator: np.random.Generator) -> Iterator[_Question]:
    for row, thing in _things_alone(truth, generator):
        words = truth.axes[_one_of(list(truth.axes), generator)]
        others = [word for word in words if not _holds(truth.having, (thing, word), row)]
        if others:
            value = _one_of(others, generator)
            yield _attribute_question(truth, row, thing, value, value)


def _attribute_question(truth: Truth, row: int, thing: str, condition: str, value: str) -> _Question:
    same, having = truth.alone & truth.things[thing], truth.having[thing, value]
    text_only = truth.alone & ~truth.things[thing] & truth.anything(value)
    return _Question(row, condition, same & having, same & ~having, text_only)


def _focus_object(truth: Truth, generator: np.random.Generator) -> Iterator[_Question]:
    return _object_questions(truth, generator, shown=True)


def _change_object(truth: Truth, generator: np.random.Generator) -> Iterator[_Question]:
    return _object_questions(truth, generator, shown=False)


def _object_questions(truth: Truth, generator: np.random.Generator, *, shown: bool) -> Iterator[_Question]:
    places = {place: truth.at(place) for _, place in sorted(truth.within)}
    while True:
        row = int(generator.integers(len(truth.ids)))
        things = [thing for thing, mask in truth.things.items() if mask[row] == shown]
        if not things:
            continue
        thing = _one_of(things, generator)
        here = next(mask for mask in places.values() if mask[row])
        there = truth.things[thing]
        yield _Question(row, thing, here & there, here & ~there, there & ~here)


_QUESTIONS: dict[str, Callable[[Truth, np.random.Generator], Iterator[_Question]]] = {
    "focus_attribute": _focus_attribute,
    "change_attribute": _change_attribute,
    "focus_object": _focus_object,
    "change_object": _change_object,
}


def _things_alone(truth: Truth, generator: np.random.Generator) -> Iterator[tuple[int, str]]:
    """Pictures of one thing at random, and the thing."""
    rows = np.flatnonzero(truth.alone)
    while len(rows):
        row = int(generator.choice(rows))
        yield row, next(thing for thing, mask in truth.things.items() if mask[row])


def _holds(masks: dict[tuple[str, str], Mask], key: tuple[str, str], row: int) -> bool:
    return key in masks and bool(masks[key][row])


def _one_of(words: Sequence[str], generator: np.random.Generator) -> str:
    return words[int(generator.integers(len(words)))]
