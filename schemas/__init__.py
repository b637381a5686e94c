"""The one definition of every table that facetmine writes: columns, types, meaning, version."""

from schemas.tables import (
    CAPTIONS,
    DRAWS,
    FACTS,
    REJECTS,
    SCENE_GRAPHS,
    TABLES,
    TRIPLETS,
    VERSION,
    conform,
)

__all__ = [
    "CAPTIONS",
    "DRAWS",
    "FACTS",
    "REJECTS",
    "SCENE_GRAPHS",
    "TABLES",
    "TRIPLETS",
    "VERSION",
    "conform",
]
