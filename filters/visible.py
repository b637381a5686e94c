"""Which facts can be seen in one picture and missed in another: what a triplet's condition must be.

Two sorts of caption facts cannot. Facts about the picture ("portrait of a man", "view of the sea") say nothing that a
second picture lacks, since every picture of a man is one. And what every such thing has ("woman with hands") is true
of the reference too, although its caption, like most, is silent about it.
"""

from functools import lru_cache

import numpy as np
import pyarrow as pa

from filters.distinct import by_distinct

PICTURE_WORDS = frozenset(
    "artwork cartoon clipart clip-art close-up closeup depiction drawing file-photo footage graphic icon illustration "
    "image img photo photograph photography pic picture portrait render rendering screenshot selfie shot silhouette "
    "sketch snapshot still stock vector video view wallpaper watercolor".split()
)
"""Nouns for the picture itself and its making; facetmine's own list, from the subjects of Conceptual Captions."""

INHERENT_PARTS = frozenset(
    "arm back belly body bone brain cheek chest chin ear elbow eye eyebrow eyelash face feather "
    "finger foot forehead hair hand head heart heel hip knee leg lip mouth muscle nail neck nose palm paw shoulder "
    "side skin snout stomach tail thigh thumb toe tongue tooth waist wing wrist "
    "bottom corner edge end facade front interior middle part roof surface top".split()
)
"""Parts that a person, an animal or a building has whether or not a caption says so; facetmine's own list."""

HAVING = frozenset({"have", "of", "with"})


def about_the_picture(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Whether a thing, by its name or the last word of a compound, is the picture and not in it; bool."""
    return by_distinct(names, _is_picture, bool)


def inherent(predicates: pa.Array | pa.ChunkedArray, objects: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Whether a fact says that a thing has a part that all such things have ("woman with hand"); bool."""
    return by_distinct(predicates, HAVING.__contains__, bool) & by_distinct(objects, INHERENT_PARTS.__contains__, bool)


@lru_cache(maxsize=1 << 20)
def _is_picture(name: str) -> bool:
    return name.rpartition(" ")[2] in PICTURE_WORDS
