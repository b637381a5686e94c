"""A toy world: rendered pictures of a few things, captions that describe them, and everything that is true of them.

    world = World()
    scene = world.scene(random.Random(0))     # a place, one to three things with shape, color, pattern, size, position
    pixels = render(scene)                    # uint8 RGB, 64 by 64
    caption = describe(scene, rng)            # Caption: .text, .claims, .is_true_of(scene)
    swap_word(caption, "color", scene, world, rng), wrong_caption(scene, world, rng)     # not true of the scene
    facts(scene)                              # every true fact in every wording that captions use
    sample(world, seed, number)               # picture number of a data set: what `write` writes

Every choice comes from the seed. ``facetmine toyworld`` writes data sets; docs/toyworld.md tells about them.
"""

from toyworld.captions import KINDS, PLACE_PHRASES, WORDINGS, Caption, Part, describe, swap_word, wrong_caption
from toyworld.rendering import render
from toyworld.scenes import (
    COLORS,
    PATTERNS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIDE,
    SIZES,
    Claim,
    Scene,
    Thing,
    World,
)
from toyworld.shards import Sample, png, sample, write
from toyworld.truth import Fact, facts, wordings

__all__ = [
    "COLORS",
    "KINDS",
    "PATTERNS",
    "PLACES",
    "PLACE_PHRASES",
    "RELATIONS",
    "SHAPES",
    "SIDE",
    "SIZES",
    "WORDINGS",
    "Caption",
    "Claim",
    "Fact",
    "Part",
    "Sample",
    "Scene",
    "Thing",
    "World",
    "describe",
    "facts",
    "png",
    "render",
    "sample",
    "swap_word",
    "wordings",
    "write",
    "wrong_caption",
]
