"""The one definition of every table that facetmine writes: columns, types, meaning, version."""

from schemas.tables import (
    CAPTIONS,
    DRAWS,
    FACTS,
    IMAGE_EMBEDDINGS,
    REJECTS,
    SCENE_GRAPHS,
    SCORES,
    TABLES,
    TEXT_EMBEDDINGS,
    TRIPLETS,
    VERSION,
    conform,
)

__all__ = [
    "CAPTIONS",
    "DRAWS",
    "FACTS",
    "IMAGE_EMBEDDINGS",
    "REJECTS",
    "SCENE_GRAPHS",
    "SCORES",
    "TABLES",
    "TEXT_EMBEDDINGS",
    "TRIPLETS",
    "VERSION",
    "conform",
]
