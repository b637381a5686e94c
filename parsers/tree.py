"""A scene graph as a small tree for the terminal."""

from rich.text import Text
from rich.tree import Tree

from parsers.scene_graph import Entity, SceneGraph


def graph_tree(graph: SceneGraph, caption: str) -> Tree:
    """The things of a graph under their caption, what each is beside it, and what it relates to below it.

    ``man`` that rides a brown horse is ``man`` with the branch ``ride ▶ horse (brown)``. A thing's own branches are
    shown where it comes first; elsewhere its name alone. Confidences are shown where the graph has them.
    """
    tree = Tree(Text(caption), guide_style="dim")
    if not graph:
        tree.add(Text("states nothing", style="dim italic"))
    shown: set[int] = set()
    objects = {relation.object for relation in graph.relations}
    # Things that are nothing's object first, then what is left of circles ("a dog and a cat look at each other").
    for thing in sorted(range(len(graph.entities)), key=lambda thing: thing in objects):
        if thing not in shown:
            _add(tree, Text(), graph, thing, shown)
    return tree


def _add(branch: Tree, label: Text, graph: SceneGraph, thing: int, shown: set[int]) -> None:
    waiting = [(branch, label, thing)]
    while waiting:  # no recursion: a caption may relate hundreds of things one after the other
        branch, label, thing = waiting.pop()
        entity = graph.entities[thing]
        label.append(entity.head, "bold")
        if thing in shown:
            branch.add(label)
            continue
        shown.add(thing)
        _append_attributes(label, entity)
        below = branch.add(label)
        for relation in reversed([relation for relation in graph.relations if relation.subject == thing]):
            told = Text(relation.predicate, "cyan")
            _append_confidence(told, relation.confidence)
            waiting.append((below, told.append(" ▶ ", "dim"), relation.object))


def _append_attributes(label: Text, entity: Entity) -> None:
    values: list[tuple[str, float | None]] = []
    if entity.quantity is not None:
        values.append((entity.quantity, entity.quantity_confidence))
    values += zip(entity.attributes, entity.confidences or [None] * len(entity.attributes), strict=True)
    for number, (value, confidence) in enumerate(values):
        label.append(", " if number else " (", "dim")
        label.append(value, "green")
        _append_confidence(label, confidence)
    label.append(")" if values else "", "dim")


def _append_confidence(label: Text, confidence: float | None) -> None:
    if confidence is not None:
        label.append(f" {confidence:.0%}", "dim")
