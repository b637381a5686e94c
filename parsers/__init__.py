"""Caption text to scene graphs: ``parsers.load(name).parse(captions)``."""

from parsers.registry import SceneGraphParser, fingerprint, load
from parsers.scene_graph import Entity, Relation, SceneGraph

__all__ = ["Entity", "Relation", "SceneGraph", "SceneGraphParser", "fingerprint", "load"]
