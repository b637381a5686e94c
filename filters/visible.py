"""Which facts can be seen in one picture and missed in another: what a triplet's condition must be.

Six sorts of caption facts cannot; all lists are facetmine's own, from reading the triplets that such facts made.

- Facts about the picture ("portrait of a man", "view of the sea") say nothing that a second picture lacks, since every
  picture of a man is one.
- Facts whose subject or object is no thing that can be seen ("area", "color", "piece", "world"): two pictures with an
  area have nothing in common.
- What every such thing has ("woman with hands", "door on wall") is true of the reference too, although its caption,
  like most, is silent about it.
- A place or belonging that is told by its owner ("the girl's room", "the home of the team") does not show the owner.
- What only looks like the thing ("gingerbread man", "paper airplane", the lion of "sculpture of a lion"), or only bears
  its name ("a sea of dunes", "red sea"), is none, when the caption says so.
- Turns of speech ("homes on the market") show no market.
"""

import re
from functools import lru_cache

import numpy as np
import pyarrow as pa

from filters.distinct import by_distinct, by_distinct_pair
from filters.hierarchy import ancestors_of, canonical_name

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
    # measures of things, and parts that pictures take
    "fragment height length "
    # placeholders of Conceptual Captions that stand for very different things
    "attraction continent genus invention kingdom parish product programme species "
    # what a parser takes for a thing and is none
    "cell framed haired sleeved t".split()
)
"""Last words of names of nothing that can be seen."""

NOTHING_ALONE = frozenset(
    "accessory acre air applause article assassination assembly attack axis back base birth blast bond branding break "
    "chat class collection collision contract copy cut date decor demonstration destination detailing display "
    "documentation draw drug electricity elevation entry essay execution exercise exit facility fare feeding filling "
    "film firing flip flow gear habitat heat honour hue idol ingredient inside interior internet investment item jump "
    "land landing landscape layer lead leak lecture line loop lot material mile military mix mixture mod money movie "
    "note occupation opening outline overhead pain patch press prop property protein qualifying rear recipe record "
    "report residence ride route run running seating serve set-up setup site speed spot staff stretch stroll "
    "structure surface surrounding sweep swimming temperature test throw touch touchdown transport treat trend trim "
    "twist universe upstream venue victim waistline weather word writing".split()
)
"""Names of nothing that can be seen, but as the last word of a longer one ("power line")."""

EVENTS = frozenset(
    "ceremony concert exhibition festival flight game match opening parade party premiere race rally show tournament "
    "walk wedding".split()
)
"""What a thing can be at, and what is no thing that has others or values."""

TIMES = frozenset("afternoon autumn day evening morning nightfall spring summer winter wintertime".split())
"""What may be sunny or cloudy, but is no thing that others relate to."""
INHERENT_PARTS = frozenset(
    "arm back beak belly body bone brain cheek chest chin ear elbow eye eyebrow eyelash face feather "
    "finger foot forehead hair hand head heart heel hip knee leg lip mouth muscle nail neck nose palm paw shoulder "
    "pelvis plumage side skeleton skin snout spine stomach tail thigh thumb toe tongue tooth vein waist wing wrist "
    "bodice bottom bumper cockpit corner dashboard edge end facade front interior middle part roof surface top "
    "branch ceiling coast cover deck door engine entrance exterior floor hairstyle handle hoof leaf neckline peak "
    "pocket screen shore sleeve stem tire trunk wall wheel window".split()
)
"""Parts that a person, an animal, a building, a vehicle or a tree has whether or not a caption says so."""

HAVING = frozenset({"get", "have", "of", "with"})

WORN = frozenset("attire clothes clothing hair outfit pants shirt shoe top".split())
"""What people have on in whatever picture."""

WEARING = frozenset({"have", "in", "wear", "with"})

BELONGINGS = frozenset(
    "apartment bedroom career club collection death family farm garden home hometown hospital hotel house kitchen "
    "neighborhood office palace property residence room school seat shop store studio tomb village yard".split()
)
"""Things that captions tell by an owner who is not in the picture ("the girl's room")."""

EVERYWHERE = {
    "altar": "church",
    "apartment": "building floor",
    "audience": "auditorium theater",
    "beach": "coast ocean sand sea shore water",
    "bed": "bedroom room",
    "boat": "dock harbor marina water",
    "branch": "plant tree",
    "baseball player": "field game",
    "bride": "dress gown veil wedding",
    "building": "city ground street town",
    "car": "ground",
    "ceiling": "building church home house interior room",
    "cloud": "sky",
    "coral reef": "ocean sea water",
    "corn": "field",
    "crop": "field",
    "cyclist": "bicycle",
    "door": "building church house room wall",
    "dress": "neckline skirt",
    "eye": "face head",
    "faucet": "bathroom kitchen",
    "firework": "sky",
    "fish": "water",
    "floor": "building church home house room",
    "flower": "garden plant",
    "football player": "field",
    "forest": "tree",
    "graffito": "wall",
    "grave": "cemetery",
    "groom": "suit wedding",
    "ground": "field",
    "hair": "head",
    "hill": "peak",
    "home": "city town village",
    "house": "city street town village",
    "keyboard": "key",
    "lake": "water",
    "laptop": "keyboard",
    "leaf": "branch plant tree",
    "moon": "sky",
    "motorcyclist": "motorcycle",
    "mountain": "peak",
    "ocean": "water",
    "oven": "kitchen",
    "painting": "canvas",
    "plant": "garden",
    "player": "team",
    "pond": "water",
    "pool": "water",
    "rainbow": "sky",
    "river": "water",
    "road": "city ground town village",
    "roof": "building house",
    "room": "apartment building home house",
    "sand": "beach desert",
    "sea": "water",
    "shower": "bathroom",
    "sink": "bathroom kitchen",
    "skateboarder": "skateboard",
    "skier": "ski slope snow",
    "skyline": "city",
    "skyscraper": "city",
    "snowboarder": "slope snow snowboard",
    "soccer player": "field",
    "star": "sky",
    "stove": "kitchen",
    "stream": "water",
    "street": "city town village",
    "student": "class school university",
    "sun": "sky",
    "sunrise": "horizon sky",
    "sunset": "horizon sky",
    "surfer": "surfboard water wave",
    "swimmer": "water",
    "table": "cafe restaurant",
    "tile": "floor wall",
    "toilet": "bathroom",
    "traffic": "city highway road street",
    "train": "rail track",
    "tree": "forest garden ground park",
    "truck": "ground",
    "tub": "bathroom",
    "water": "beach coast island lake ocean pond pool river sea shore stream",
    "wave": "ocean sea water",
    "window": "building church house room wall",
}
"""Where things and their kinds are, or what they have on, in whatever picture: of a yacht, "in water" tells nothing."""

FIGURES_OF_SPEECH = {
    "at": "length",
    "by": "way",
    "hit": "sack",
    "in": "family file form progress pursuit town turn use way",
    "keep": "eye",
    "lend": "hand",
    "on": "air budget display duty honeymoon market move offer sale show tour trend vacation view way",
    "take": "place",
    "under": "control",
}
"""Last words of predicates and objects that with them show nothing of themselves ("homes on the market")."""

TOLD = frozenset(
    "add answer appeal apply attribute auction base belong bolster challenge commission convert cost decide dedicate "
    "demand denounce describe design desirable encourage enhance expect hope hospitalise inspire issue know lack "
    "lament like love marry mean miss name need nominate offer own perfect popular remain remind reminiscent "
    "represent resemble suffer suggest tempt thrive title transport verify vs want win worthy".split()
)
"""First words of predicates that tell a story and show nothing."""

BACKDROPS = frozenset(["sky"])
"""What is behind everything outdoors, whether or not a caption says so."""

BEFORE_BACKDROP = frozenset("against below beneath have on under with".split())

AT_NAME = frozenset("about at by from in of on to".split())
"""Predicates after which "person" stands for the name of a place or an author."""

FIGURES = frozenset("bust carving figurine mannequin mask puppet sculpture statue statuette".split())
"""What shows a thing that is not there: the lion of "a sculpture of a lion" is none."""

HEAPS = frozenset("ocean sea".split())
"""What is none when it is one of something: "a sea of dunes"."""

FALSE_BY_VALUE = {
    "paper": "airplane bird boat butterfly crane flower lantern rose ship snowflake star tree".split(),
    "red": ["sea"],
    "black": ["sea"],
    "yellow": ["sea"],
    "white": ["house"],
}
"""Things that are none of their kind, or only have a name, when a caption says this value of them."""

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
        out of the caption (Conceptual Captions puts "person": "festival at person"), or before or after an event, or by
        an author, or a turn of speech ("on sale"); ``inherent_part``: true of every such thing; ``told_by_owner``.
    """
    of_subject, of_object = by_distinct(subjects, _traits, np.int32), by_distinct(objects, _traits, np.int32)
    manner = by_distinct(predicates, _manner, np.int16)
    either = of_subject | of_object
    part = (manner & _HAVING != 0) & (of_object & _PART != 0)
    part |= (manner & _BEFORE_BACKDROP != 0) & (of_object & _BACKDROP != 0)
    part |= (manner & _WEARING != 0) & (of_subject & _PERSON != 0) & (of_object & _GARMENT != 0)
    placed = np.flatnonzero(of_subject & _PLACED)
    part[placed] |= by_distinct_pair(subjects.take(placed), objects.take(placed), _is_everywhere, bool)
    return {
        "about_the_picture": either & _PICTURE != 0,
        "not_seen": (either & _NOTHING != 0)
        | (of_subject & _EVENT != 0)
        | (manner != 0) & (either & _TIME != 0)
        | (manner & (_FOR | _TOLD) != 0)
        | (manner & _WHEN != 0) & (of_object & _EVENT != 0)
        | (manner & _AT_NAME != 0) & (of_object & _NAME != 0)
        | (manner & _BY != 0) & (of_object & _PERSON != 0) & (of_subject & _PERSON == 0)
        | _figures_of_speech(predicates, objects),
        "inherent_part": part,
        "told_by_owner": (manner & _OWNING != 0) & (of_object & _BELONGING != 0),
    }


def is_seen(name: str) -> bool:
    """Whether a name is that of a thing in the picture."""
    return not _traits(name) & (_PICTURE | _NOTHING | _TIME)


def lookalikes(
    subjects: pa.Array | pa.ChunkedArray,
    predicates: pa.Array | pa.ChunkedArray,
    objects: pa.Array | pa.ChunkedArray,
    values: pa.Array | pa.ChunkedArray,
) -> tuple[np.ndarray, np.ndarray]:
    """Facts that say that the subject, and those that say that the object is not what it is called; bool arrays.

    "Gingerbread man", "sea of dunes", and "person of beer", where a name was taken out, say it of the subject,
    "sculpture of a lion" and "living space for a couple" of the object.
    """
    subject = by_distinct(values, LOOKALIKES.__contains__, bool)
    some = np.flatnonzero(by_distinct(values, FALSE_BY_VALUE.__contains__, bool))
    subject[some] |= by_distinct_pair(subjects.take(some), values.take(some), _false_by_value, bool)
    of = by_distinct(predicates, lambda predicate: predicate == "of", bool)
    subject |= of & by_distinct(subjects, lambda name: name == "person" or name in HEAPS, bool)
    figure = by_distinct(subjects, lambda name: canonical_name(name).rpartition(" ")[2] in FIGURES, bool)
    return subject, of & figure | by_distinct(predicates, lambda predicate: predicate == "for", bool)


def _false_by_value(name: str, value: str) -> bool:
    return canonical_name(name).rpartition(" ")[2] in FALSE_BY_VALUE[value]


def _figures_of_speech(predicates: pa.Array | pa.ChunkedArray, objects: pa.Array | pa.ChunkedArray) -> np.ndarray:
    nouns = frozenset(" ".join(FIGURES_OF_SPEECH.values()).split())
    found = by_distinct(objects, nouns.__contains__, bool)
    some = np.flatnonzero(found)
    found[some] = by_distinct_pair(predicates.take(some), objects.take(some), _is_figure_of_speech, bool)
    return found


def _is_figure_of_speech(predicate: str, object_: str) -> bool:
    return object_ in FIGURES_OF_SPEECH.get(predicate.rpartition(" ")[2], "").split()


_PICTURE, _NOTHING, _EVENT, _TIME, _PART, _BELONGING, _PLACED, _NAME, _PERSON, _GARMENT, _BACKDROP = (
    1 << bit for bit in range(11)
)
_RELATION, _HAVING, _OWNING, _FOR, _AT_NAME, _WEARING, _WHEN, _BY, _TOLD, _BEFORE_BACKDROP = (
    1 << bit for bit in range(10)
)


@lru_cache(maxsize=1 << 20)
def _traits(name: str) -> int:
    last = _CLOSE_UP.sub("close-up", name).rpartition(" ")[2]
    canonical = canonical_name(name)
    kinds = (canonical, *ancestors_of(canonical))
    traits = {
        _PICTURE: last in PICTURE_WORDS,
        _NOTHING: last in NOTHING_SEEN or name in NOTHING_ALONE or last[:1].isdigit(),
        _EVENT: last in EVENTS,
        _TIME: last in TIMES,
        _PART: last in INHERENT_PARTS,
        _BELONGING: canonical.rpartition(" ")[2] in BELONGINGS,
        _PLACED: any(kind in EVERYWHERE for kind in kinds),
        _NAME: name == "person",
        _PERSON: "person" in kinds,
        _GARMENT: canonical in WORN,
        _BACKDROP: canonical in BACKDROPS,
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
        _WEARING: predicate in WEARING,
        _BY: predicate == "by",
        _TOLD: predicate.partition(" ")[0] in TOLD,
        _BEFORE_BACKDROP: predicate.rpartition(" ")[2] in BEFORE_BACKDROP,
        _WHEN: predicate.rpartition(" ")[2] in ("after", "before"),
    }
    return _RELATION | sum(manner for manner, holds in manners.items() if holds)


@lru_cache(maxsize=1 << 20)
def _is_everywhere(subject: str, object_: str) -> bool:
    subject, object_ = canonical_name(subject), canonical_name(object_)
    return any(object_ in EVERYWHERE.get(kind, "").split() for kind in (subject, *ancestors_of(subject)))
