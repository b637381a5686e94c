"""Which facts can be seen in one picture and missed in another: what a triplet's condition must be.

Five sorts of caption facts cannot; all lists are facetmine's own, from reading the triplets that such facts made.

- Facts about the picture ("portrait of a man", "view of the sea") say nothing that a second picture lacks, since every
  picture of a man is one.
- Facts whose subject or object is no thing that can be seen ("area", "color", "piece", "world"): two pictures with an
  area have nothing in common.
- What every such thing has ("woman with hands", "door on wall") is true of the reference too, although its caption,
  like most, is silent about it.
- A place or belonging that is told by its owner ("the girl's room", "the home of the team") does not show the owner.
- What only looks like the thing ("gingerbread man", "toy car") is none, when the caption says so by an attribute.
"""

import re
from functools import lru_cache

import numpy as np
import pyarrow as pa

from filters.distinct import by_distinct, by_distinct_pair
from filters.hierarchy import canonical_name

PICTURE_WORDS = frozenset(
    "artwork cartoon clipart clip-art close-up closeup depiction drawing file-photo footage graphic icon illustration "
    "image img photo photograph photography pic picture portrait render rendering screenshot selfie shot silhouette "
    "sketch snapshot still stock vector video view wallpaper watercolor".split()
)
"""Nouns for the picture itself and its making."""

_CLOSE_UP = re.compile(r"\bclose( - | )up\b")

NOTHING_SEEN = frozenset(
    # parts of no thing, and amounts
    "amount area aspect backdrop background bit bottom centre center corner detail edge element end example feature "
    "foreground group half kind left lot middle object pair part piece portion quarter range right round scene section "
    "series set side sort space thing type unit variety "
    # what things look like
    "black brand category color colour design fashion genre gold look name quote shape silver size style texture theme "
    "tone white "
    # times and places that no picture shows as such
    "anniversary birthday century country earth environment future history holiday life location moment month nation "
    "north period place planet region season south state time vacation west week weekend world year "
    # doings, events and bodies of people that captions of the news name
    "action attention award business campaign championship community company competition concept conference "
    "construction event fun idea industry launch march media meeting message organisation organization performance "
    "play presentation production profession project sale screening session speech sport support tour training trip "
    "visit war way work "
    # placeholders of Conceptual Captions that stand for very different things
    "attraction genus invention species "
    # what a parser takes for a thing and is none
    "cell framed haired sleeved t".split()
)
"""Last words of names of nothing that can be seen."""

EVENTS = frozenset(
    "ceremony concert exhibition festival flight game match opening parade party premiere race rally show tournament "
    "walk wedding".split()
)
"""What a thing can be at, and what is no thing that has others or values."""

TIMES = frozenset("afternoon day evening morning summer".split())
"""What may be sunny or cloudy, but is no thing that others relate to."""
INHERENT_PARTS = frozenset(
    "arm back belly body bone brain cheek chest chin ear elbow eye eyebrow eyelash face feather "
    "finger foot forehead hair hand head heart heel hip knee leg lip mouth muscle nail neck nose palm paw shoulder "
    "side skin snout stomach tail thigh thumb toe tongue tooth waist wing wrist "
    "bottom corner edge end facade front interior middle part roof surface top "
    "branch ceiling coast cover deck door engine entrance exterior floor hairstyle hoof leaf screen shore sleeve stem "
    "trunk wall wheel window".split()
)
"""Parts that a person, an animal, a building, a vehicle or a tree has whether or not a caption says so."""

HAVING = frozenset({"have", "of", "with"})

BELONGINGS = frozenset(
    "apartment bedroom career club collection death family farm garden home hometown hospital hotel house kitchen "
    "neighborhood office palace property residence room school shop store studio tomb village yard".split()
)
"""Things that captions tell by an owner who is not in the picture ("the girl's room")."""

EVERYWHERE = {
    "beach": "coast ocean sand sea shore water",
    "bed": "bedroom room",
    "boat": "water",
    "branch": "plant tree",
    "building": "city ground street town",
    "cloud": "sky",
    "door": "building house wall",
    "eye": "face head",
    "fish": "water",
    "floor": "room",
    "flower": "garden plant",
    "graffito": "wall",
    "ground": "field",
    "hair": "head",
    "home": "city town village",
    "house": "city street town village",
    "leaf": "branch plant tree",
    "moon": "sky",
    "plant": "garden",
    "road": "ground",
    "roof": "building house",
    "ship": "water",
    "skyscraper": "city",
    "star": "sky",
    "street": "city town village",
    "sun": "sky",
    "tile": "floor wall",
    "toilet": "bathroom",
    "train": "rail track",
    "tree": "forest garden ground park",
    "wave": "ocean sea water",
    "window": "building house wall",
}
"""Where things are in whatever picture: of a boat, "in water" tells nothing."""

AT_NAME = frozenset("about at by from in of on to".split())
"""Predicates after which "person" stands for the name of a place or an author."""

LOOKALIKES = frozenset(
    "animated artificial cartoon doll drawn fake gingerbread imitation inflatable lego mock origami plush pretend "
    "sculpted stuffed toy".split()
)
"""Attributes that say that a thing is none ("gingerbread man")."""


def unseen(
    subjects: pa.Array | pa.ChunkedArray, predicates: pa.Array | pa.ChunkedArray, objects: pa.Array | pa.ChunkedArray
) -> dict[str, np.ndarray]:
    """Facts that no picture shows or every picture, bool arrays by reason; a fact may have several.

    Args:
        predicates, objects: null for attribute facts.

    Returns:
        ``about_the_picture``; ``not_seen``: of nothing that can be seen, or for a purpose or by a name that was taken
        out of the caption (Conceptual Captions puts "person": "festival at person"); ``inherent_part``: true of every
        such thing; ``told_by_owner``.
    """
    of_subject, of_object = by_distinct(subjects, _traits, np.int16), by_distinct(objects, _traits, np.int16)
    manner = by_distinct(predicates, _manner, np.int16)
    either = of_subject | of_object
    part = (manner & _HAVING != 0) & (of_object & _PART != 0)
    placed = np.flatnonzero(of_subject & _PLACED)
    part[placed] |= by_distinct_pair(subjects.take(placed), objects.take(placed), _is_everywhere, bool)
    return {
        "about_the_picture": either & _PICTURE != 0,
        "not_seen": (either & _NOTHING != 0)
        | (of_subject & _EVENT != 0)
        | (manner != 0) & (either & _TIME != 0)
        | (manner & _FOR != 0)
        | (manner & _AT_NAME != 0) & (of_object & _NAME != 0),
        "inherent_part": part,
        "told_by_owner": (manner & _OWNING != 0) & (of_object & _BELONGING != 0),
    }


def is_seen(name: str) -> bool:
    """Whether a name is that of a thing in the picture."""
    return not _traits(name) & (_PICTURE | _NOTHING | _TIME)


def lookalike(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Whether an attribute says that its thing is none ("gingerbread man"); bool."""
    return by_distinct(values, LOOKALIKES.__contains__, bool)


_PICTURE, _NOTHING, _EVENT, _TIME, _PART, _BELONGING, _PLACED, _NAME = (1 << bit for bit in range(8))
_RELATION, _HAVING, _OWNING, _FOR, _AT_NAME = (1 << bit for bit in range(5))


@lru_cache(maxsize=1 << 20)
def _traits(name: str) -> int:
    last = _CLOSE_UP.sub("close-up", name).rpartition(" ")[2]
    canonical = canonical_name(name)
    traits = {
        _PICTURE: last in PICTURE_WORDS,
        _NOTHING: last in NOTHING_SEEN,
        _EVENT: last in EVENTS,
        _TIME: last in TIMES,
        _PART: last in INHERENT_PARTS,
        _BELONGING: canonical.rpartition(" ")[2] in BELONGINGS,
        _PLACED: canonical in EVERYWHERE,
        _NAME: name == "person",
    }
    return sum(trait for trait, holds in traits.items() if holds)


@lru_cache(maxsize=1 << 20)
def _manner(predicate: str) -> int:
    if not predicate:
        return 0
    manners = {
        _HAVING: predicate in HAVING,
        _OWNING: predicate == "have",
        _FOR: predicate == "for",
        _AT_NAME: predicate in AT_NAME,
    }
    return _RELATION | sum(manner for manner, holds in manners.items() if holds)


@lru_cache(maxsize=1 << 20)
def _is_everywhere(subject: str, object_: str) -> bool:
    places = EVERYWHERE.get(canonical_name(subject))
    return places is not None and canonical_name(object_) in places.split()
