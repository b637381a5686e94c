"""What a toy picture shows: a place and one to three things in it; sampled from a seed, and what is true of them.

A *claim* is one statement in its plainest wording, a tuple: ``("thing", "ball")``, ``("color", "ball", "red")``,
``("pattern", "ball", "striped")``, ``("size", "ball", "small")``, ``("place", "grass")`` or
``("relation", "ball", "above", "box")``. The things of a picture differ in shape, so a shape names one thing.
"""

import random
from dataclasses import dataclass
from functools import cached_property

SIDE = 64
"""Width and height of a picture in pixels."""

SHAPES = ("ball", "box", "star", "fish", "cone", "cross")
COLORS = ("red", "green", "blue", "yellow", "purple", "black")
PATTERNS = ("striped", "dotted", "checkered")
SIZES = ("small", "large")
PLACES = ("grass", "beach", "snow", "sea", "road")
RELATIONS = ("above", "below", "next to")

Claim = tuple[str, ...]

_DIAMETERS = {"small": (16, 18), "large": (25, 28)}  # pixels; the gap keeps the two apart
_ALIGNED = 0.5  # a pair is above, below or side by side where the smaller offset is at most this share of the larger
_ANGLES = (-12, -6, 0, 6, 12)  # degrees
_INVERSE = {"above": "below", "below": "above", "next to": "next to"}


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a picture.

    Attributes:
        shape, color, pattern, size: values of ``SHAPES``, ``COLORS``, ``PATTERNS`` and ``SIZES``.
        x, y: its centre in pixels, from the left and from the top.
        diameter: width and height in pixels.
        angle: by how many degrees it is turned.
    """

    shape: str
    color: str
    pattern: str
    size: str
    x: int
    y: int
    diameter: int
    angle: int


@dataclass(frozen=True)
class Scene:
    """A place and the things in it.

    Attributes:
        place: a value of ``PLACES``.
        things: one to three things of different shapes, none hiding another.
        detail: seed of what no caption tells: texture, light and shades.
    """

    place: str
    things: tuple[Thing, ...]
    detail: int

    @cached_property
    def claims(self) -> frozenset[Claim]:
        """All claims that are true of the picture."""
        claims: set[Claim] = {("place", self.place)}
        for thing in self.things:
            claims.add(("thing", thing.shape))
            claims.add(("color", thing.shape, thing.color))
            claims.add(("pattern", thing.shape, thing.pattern))
            claims.add(("size", thing.shape, thing.size))
        claims.update(("relation", *relation) for relation in self.relations)
        return frozenset(claims)

    @cached_property
    def relations(self) -> tuple[tuple[str, str, str], ...]:
        """Every ``(shape, relation, shape)`` that is plain to see; pairs that stand diagonally have none."""
        found = []
        for number, one in enumerate(self.things):
            for other in self.things[number + 1 :]:
                relation = _relation(one, other)
                if relation is not None:
                    found.append((one.shape, relation, other.shape))
                    found.append((other.shape, _INVERSE[relation], one.shape))
        return tuple(found)


@dataclass(frozen=True)
class World:
    """Which values a picture may have, and how many things.

    Attributes:
        shapes, colors, patterns, sizes, places: the values. Those of a kind are as frequent, but that large things find
            less room beside others than small ones.
        counts: how often a picture has one, two, three things, as weights.
    """

    shapes: tuple[str, ...] = SHAPES
    colors: tuple[str, ...] = COLORS
    patterns: tuple[str, ...] = PATTERNS
    sizes: tuple[str, ...] = SIZES
    places: tuple[str, ...] = PLACES
    counts: tuple[float, ...] = (0.3, 0.4, 0.3)

    def scene(self, rng: random.Random) -> Scene:
        """A scene at random."""
        count = rng.choices(range(1, len(self.counts) + 1), self.counts)[0]
        shapes = rng.sample(self.shapes, count)
        things: tuple[Thing, ...] | None = None
        while things is None:
            things = self._things(shapes, rng)
        return Scene(rng.choice(self.places), things, rng.getrandbits(32))

    def _things(self, shapes: list[str], rng: random.Random) -> tuple[Thing, ...] | None:
        """Things with free places; None where there is no room for their sizes."""
        things: list[Thing] = []
        for shape in shapes:
            size = rng.choice(self.sizes)
            diameter = rng.randint(*_DIAMETERS[size])
            looks = (shape, rng.choice(self.colors), rng.choice(self.patterns), size)
            for _ in range(12):
                x, y = _position(diameter, things, rng)
                if all(_apart(x, y, diameter, thing) for thing in things):
                    things.append(Thing(*looks, x, y, diameter, rng.choice(_ANGLES)))
                    break
            else:
                return None
        return tuple(things)


def _position(diameter: int, things: list[Thing], rng: random.Random) -> tuple[int, int]:
    """A place within the picture, three times out of four in line with a thing that is there already."""
    low, high = diameter // 2 + 1, SIDE - diameter // 2 - 2
    x, y = rng.randint(low, high), rng.randint(low, high)
    if things and rng.random() < 0.75:
        near = rng.choice(things)
        if rng.random() < 0.5:
            x = min(max(near.x + rng.randint(-4, 4), low), high)
        else:
            y = min(max(near.y + rng.randint(-4, 4), low), high)
    return x, y


def _apart(x: int, y: int, diameter: int, thing: Thing) -> bool:
    return max(abs(x - thing.x), abs(y - thing.y)) > (diameter + thing.diameter) / 2 + 1


def _relation(one: Thing, other: Thing) -> str | None:
    right, down = other.x - one.x, other.y - one.y
    if abs(right) <= _ALIGNED * abs(down):
        return "above" if down > 0 else "below"
    if abs(down) <= _ALIGNED * abs(right):
        return "next to"
    return None
