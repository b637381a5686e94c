"""Texts to learn from besides whole captions: what conditions, facts and prompts look like."""

import random
from typing import NamedTuple

from toyworld import PLACE_PHRASES, Claim, Scene, Thing, wordings

_OPENINGS = ("", "a", "a", "the", "a photo of", "a photo of a")


class Text(NamedTuple):
    """A text and what it claims."""

    text: str
    claims: tuple[Claim, ...]


def short_text(scene: Scene, rng: random.Random) -> Text:
    """A true text that says one or a few things: "a photo of ball", "red", "above box", "striped ball on grass"."""
    thing = rng.choice(scene.things)
    form = rng.random()
    if form < 0.25:
        return _property(thing, rng)
    if form < 0.35 and scene.relations:
        subject, relation, other = rng.choice(scene.relations)
        return _said((rng.choice(wordings(relation)), rng.choice(("", "a")), other), ("some relation", relation, other))
    if form < 0.6 and scene.relations:
        subject, relation, other = rng.choice(scene.relations)
        claims: list[Claim] = [("thing", subject), ("thing", other), ("relation", subject, relation, other)]
        words = [rng.choice(_OPENINGS), subject, rng.choice(wordings(relation)), rng.choice(("", "a")), other]
        return _said(words, *claims)
    if form < 0.68:
        return _said([rng.choice(PLACE_PHRASES[scene.place])], ("place", scene.place))
    return _thing(thing, scene, rng)


def _property(thing: Thing, rng: random.Random) -> Text:
    """Something's property without its name: "red", "red color", "is striped"."""
    kind = rng.choice(("color", "pattern", "size"))
    value = getattr(thing, kind)
    words = [rng.choice(("", "", "is")), rng.choice(wordings(value)), rng.choice(("", "", kind))]
    return _said(words, (f"some {kind}", value))


def _thing(thing: Thing, scene: Scene, rng: random.Random) -> Text:
    """A thing with some properties before or after its name, and perhaps its place."""
    claims: list[Claim] = [("thing", thing.shape)]
    before: list[str] = []
    after: list[str] = []
    for kind in rng.sample(("size", "pattern", "color"), rng.choice((0, 1, 1, 2))):
        value = getattr(thing, kind)
        word = rng.choice(wordings(value))
        if not after and rng.random() < 0.25:
            after = [rng.choice(("is", "that is")), word]
        else:
            before.append(word)
        claims.append((kind, thing.shape, value))
    if not after and rng.random() < 0.35:
        after = [rng.choice(PLACE_PHRASES[scene.place])]
        claims.append(("place", scene.place))
    return _said([rng.choice(_OPENINGS), *before, thing.shape, *after], *claims)


def _said(words: list[str] | tuple[str, ...], *claims: Claim) -> Text:
    return Text(" ".join(word for word in words if word), claims)
