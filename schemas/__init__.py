"""The one definition of every table that facetmine writes: columns, types, meaning, version."""

from schemas.tables import (
    CAPTIONS,
    FACTS,
    REJECTS,
    SCENE_GRAPHS,
    TABLES,
    TRIPLETS,
    VERSION,
    conform,
    empty,
)

__all__ = [
    "CAPTIONS",
    "FACTS",
    "REJECTS",
    "SCENE_GRAPHS",
    "TABLES",
    "TRIPLETS",
    "VERSION",
    "conform",
    "empty",
]
