"""What is said of a toy picture: short captions of several forms that name some things and some of their properties.

A caption is made of parts, and a part that says something knows which claim it makes; so a caption's truth, and
captions with one word swapped, need no parsing.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from toyworld.scenes import Claim, Scene, Thing, World

WORDINGS: dict[str, tuple[str, ...]] = {
    "striped": ("striped",),
    "dotted": ("dotted", "spotted"),
    "checkered": ("checkered",),
    "small": ("small", "small", "tiny", "little"),
    "large": ("large", "large", "big", "huge"),
    "above": ("above", "above", "over"),
    "below": ("below", "under"),
    "next to": ("next to", "beside"),
    "grass": ("grass", "lawn"),
    "sea": ("sea", "ocean"),
    "road": ("road", "street"),
}
"""How a value may be worded, the frequent wordings more than once; a value that is not here has its own name only."""

PLACE_PHRASES: dict[str, tuple[str, ...]] = {
    "grass": ("on grass", "on the grass", "on a lawn"),
    "beach": ("on the beach", "on a beach"),
    "snow": ("in the snow", "in snow", "on snow"),
    "sea": ("in the sea", "in the ocean"),
    "road": ("on a road", "on the road", "on the street"),
}

KINDS = ("thing", "color", "pattern", "size", "place", "relation")
"""What a caption's words may say."""

_PROPERTIES = ("size", "pattern", "color")


@dataclass(frozen=True, slots=True)
class Part:
    """Words of a caption.

    Attributes:
        text: the words.
        kind: of what they say: "thing", "color", "pattern", "size", "place", "relation"; empty for words that say
            nothing.
        about: number of the thing that they are about, among those that the caption names.
        value: what they say, in its plainest wording.
    """

    text: str
    kind: str = ""
    about: int = 0
    value: str = ""


@dataclass(frozen=True)
class Caption:
    """A sentence and what it claims.

    Attributes:
        parts: words in order. A relation's part is about the first thing and relates it to the second.
    """

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.parts).replace(" ,", ",")

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the caption says, in the order of its words."""
        names = {part.about: part.value for part in self.parts if part.kind == "thing"}
        claims: list[Claim] = []
        for part in self.parts:
            if part.kind in ("thing", "place"):
                claims.append((part.kind, part.value))
            elif part.kind == "relation":
                claims.append(("relation", names[0], part.value, names[1]))
            elif part.kind:
                claims.append((part.kind, names[part.about], part.value))
        return tuple(claims)

    def is_true_of(self, scene: Scene) -> bool:
        return scene.claims.issuperset(self.claims)


def describe(scene: Scene, rng: random.Random) -> Caption:
    """A true caption: one or two of the things, some of their properties, often how they relate and where they are."""
    things = list(scene.things)
    rng.shuffle(things)
    related = [(one, other) for one in things for other in things if (one.shape, other.shape) in _pairs(scene)]
    if len(things) == 1 or rng.random() < 0.15:
        parts = _alone(things[0], scene, rng)
    elif related and rng.random() < 0.8:
        parts = _related(*related[0], scene, rng)
    else:
        parts = _listed(things[0], things[1], scene, rng)
    return Caption(tuple(parts))


def swap_word(caption: Caption, kind: str, scene: Scene, world: World, rng: random.Random) -> Caption | None:
    """The caption with one word of a kind exchanged so that it is not true any more; None where it has no such word.

    Args:
        kind: "thing", "color", "pattern", "size", "place" or "relation".
    """
    places = [number for number, part in enumerate(caption.parts) if part.kind == kind]
    rng.shuffle(places)
    for number in places:
        part = caption.parts[number]
        values = [value for value in _values(world, kind) if value != part.value]
        rng.shuffle(values)
        for value in values:
            text = rng.choice(PLACE_PHRASES[value]) if kind == "place" else _worded(value, rng)
            other = replace(part, text=text, value=value)
            swapped = Caption((*caption.parts[:number], other, *caption.parts[number + 1 :]))
            if not swapped.is_true_of(scene) and _names_differ(swapped):
                return swapped
    return None


def wrong_caption(scene: Scene, world: World, rng: random.Random) -> Caption:
    """A caption of another scene that is not true of this one."""
    while True:
        caption = describe(world.scene(rng), rng)
        if not caption.is_true_of(scene):
            return caption


def _names_differ(caption: Caption) -> bool:
    names = [part.value for part in caption.parts if part.kind == "thing"]
    return len(set(names)) == len(names)


def _values(world: World, kind: str) -> Sequence[str]:
    if kind == "relation":
        return ("above", "below", "next to")
    return {
        "thing": world.shapes, "color": world.colors, "pattern": world.patterns, "size": world.sizes,
        "place": world.places,
    }[kind]  # fmt: skip


def _pairs(scene: Scene) -> set[tuple[str, str]]:
    return {(one, other) for one, _, other in scene.relations}


def _alone(thing: Thing, scene: Scene, rng: random.Random) -> list[Part]:
    opening = rng.random()
    if opening < 0.08:
        return [Part("there is"), *_phrase(thing, 0, rng), *_place(scene, rng, 0.8)]
    if opening < 0.16:
        return [Part("a photo of"), *_phrase(thing, 0, rng), *_place(scene, rng, 0.7)]
    if opening < 0.24:
        color = Part(thing.color, "color", 0, thing.color)
        pattern = Part(_worded(thing.pattern, rng), "pattern", 0, thing.pattern)
        return [Part("a"), Part(thing.shape, "thing", 0, thing.shape), Part("that is"), color, Part("and"), pattern]
    return [*_phrase(thing, 0, rng), *_place(scene, rng, 0.7)]


def _related(one: Thing, other: Thing, scene: Scene, rng: random.Random) -> list[Part]:
    value = next(value for a, value, b in scene.relations if (a, b) == (one.shape, other.shape))
    relation = Part(_worded(value, rng), "relation", 0, value)
    link = [relation] if rng.random() < 0.85 else [Part("is"), relation]
    return [*_phrase(one, 0, rng), *link, *_phrase(other, 1, rng), *_place(scene, rng, 0.5)]


def _listed(one: Thing, other: Thing, scene: Scene, rng: random.Random) -> list[Part]:
    return [*_phrase(one, 0, rng), Part("and"), *_phrase(other, 1, rng), *_place(scene, rng, 0.6)]


def _phrase(thing: Thing, number: int, rng: random.Random) -> list[Part]:
    """The thing with some of its properties, such as "a small striped red ball"."""
    values = {"size": thing.size, "pattern": thing.pattern, "color": thing.color}
    said = [kind for kind in _PROPERTIES if rng.random() < (0.7 if kind == "color" else 0.5)]
    if {"pattern", "color"} <= set(said) and rng.random() < 0.5:
        said[-2:] = ["color", "pattern"]
    parts = [Part(_worded(values[kind], rng), kind, number, values[kind]) for kind in said]
    return [Part("a"), *parts, Part(thing.shape, "thing", number, thing.shape)]


def _place(scene: Scene, rng: random.Random, chance: float) -> list[Part]:
    if rng.random() >= chance:
        return []
    return [Part(rng.choice(PLACE_PHRASES[scene.place]), "place", 0, scene.place)]


def _worded(value: str, rng: random.Random) -> str:
    return rng.choice(WORDINGS.get(value, (value,)))
