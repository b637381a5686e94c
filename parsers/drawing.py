"""A scene graph as a picture: things in boxes, column by column, and labelled arrows between them."""

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parsers.scene_graph import Entity, SceneGraph

FORMATS = (".svg", ".png")

_HEAD, _SMALL, _TITLE = 12.0, 9.0, 11.0
"""Sizes of text in points: names, attributes and predicates, caption."""
_LINE = 1.35
_PAD, _GAP, _LABEL_GAP, _ARROW_ROOM, _MARGIN = 9.0, 16.0, 8.0, 46.0, 16.0
_CHARACTERS_A_LINE = 26
_INK, _FAINT, _FILL, _EDGE, _ACCENT = "#1f2937", "#6b7280", "#eef4ff", "#4a6fa5", "#b45309"


def draw(graph: SceneGraph, caption: str, path: str | Path) -> None:
    """Write the picture of a graph, the caption above it.

    Args:
        path: a file name that ends in ``.svg`` or ``.png``.

    Raises:
        ValueError: it ends in something else.
        RuntimeError: the extra ``draw`` is not installed.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path.name}: pictures are written as {' or '.join(FORMATS)}")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import text_to_path
    except ImportError as error:
        raise RuntimeError(f"drawing needs 'pip install facetmine[draw]' ({error})") from None
    font = FontProperties(family="DejaVu Sans")  # comes with matplotlib, so that every machine draws the same

    def width(text: str, size: float) -> float:
        return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] * size / font.get_size()

    with rc_context({"svg.hashsalt": "facetmine"}):  # the same bytes every time
        _render(arrange(graph, width), caption, path, Figure, width)


@dataclass
class Box:
    """A thing, or a place in a column where a long arrow passes; points, y downwards."""

    column: int
    lines: list[str] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass
class Arrow:
    """An arrow from box to box through the columns between, always from left to right.

    Attributes:
        labels: predicates, one above the other, right of the first box.
        backwards: whether the subject stands right, and the tip is at the left end.
        port: height at which it leaves the first box.
    """

    boxes: list[Box]
    labels: list[str]
    backwards: bool
    port: float = 0.0


@dataclass
class Arrangement:
    """Where everything stands, in points."""

    boxes: list[Box]
    arrows: list[Arrow]
    label_width: dict[int, float]
    width: float
    height: float


def arrange(graph: SceneGraph, width: Callable[[str, float], float]) -> Arrangement:
    """Place the things of a graph in columns, subjects left of their objects.

    No two texts touch: boxes of a column stand below each other, and an arrow's label stands right of its first box at
    a height that belongs to that box, in a gap as wide as the widest label.

    Args:
        width: width of a text at a size, in points.
    """
    columns = _columns(graph)
    boxes = [_thing_box(entity, columns[number], width) for number, entity in enumerate(graph.entities)]
    arrows = []
    passed: list[Box] = []
    for (subject, object_), labels in _labels(graph).items():
        backwards = columns[subject] > columns[object_]
        left, right = (boxes[object_], boxes[subject]) if backwards else (boxes[subject], boxes[object_])
        between = [Box(column, height=_SMALL * _LINE) for column in range(left.column + 1, right.column)]
        passed += between
        arrows.append(Arrow([left, *between, right], labels, backwards))
    rows = _ordered(boxes + passed, arrows)
    for box in boxes:  # as high as the labels of the arrows that start at it
        labelled = sum(len(arrow.labels) for arrow in arrows if arrow.boxes[0] is box)
        box.height = max(box.height, labelled * _SMALL * _LINE + _PAD)
    label_width = {
        column: max((width(label, _SMALL) for arrow in arrows if arrow.boxes[0].column == column
                     for label in arrow.labels), default=0.0)
        for column in range(len(rows))
    }  # fmt: skip
    x = 0.0
    highest = max((sum(box.height + _GAP for box in row) - _GAP for row in rows), default=0.0)
    for column, row in enumerate(rows):
        y = (highest - sum(box.height + _GAP for box in row) + _GAP) / 2
        for box in row:
            box.x, box.y = x, y
            y += box.height + _GAP
        widest = max((box.width for box in row), default=0.0)
        for box in row:
            box.width = widest  # arrows start and end in one line
        x += widest + (label_width[column] + 2 * _LABEL_GAP + _ARROW_ROOM if column + 1 < len(rows) else 0.0)
    for box in boxes:
        starting = [arrow for arrow in arrows if arrow.boxes[0] is box]
        starting.sort(key=lambda arrow: arrow.boxes[1].middle)
        y = box.middle - sum(len(arrow.labels) for arrow in starting) * _SMALL * _LINE / 2
        for arrow in starting:
            arrow.port = y + len(arrow.labels) * _SMALL * _LINE / 2
            y += len(arrow.labels) * _SMALL * _LINE
    return Arrangement(boxes, arrows, label_width, x, highest)


def _labels(graph: SceneGraph) -> dict[tuple[int, int], list[str]]:
    """The predicates between each pair of things; what is related to itself has none."""
    labels: dict[tuple[int, int], list[str]] = {}
    for relation in graph.relations:
        if relation.subject != relation.object:
            told = relation.predicate + _percent(relation.confidence)
            found = labels.setdefault((relation.subject, relation.object), [])
            if told not in found:
                found.append(told)
    return labels


def _percent(confidence: float | None) -> str:
    return "" if confidence is None else f" {confidence:.0%}"


def _thing_box(entity: Entity, column: int, width: Callable[[str, float], float]) -> Box:
    values = [] if entity.quantity is None else [f"× {entity.quantity}{_percent(entity.quantity_confidence)}"]
    confidences = entity.confidences or [None] * len(entity.attributes)
    values += [value + _percent(sure) for value, sure in zip(entity.attributes, confidences, strict=True)]
    values = [value.replace(" ", "\N{NO-BREAK SPACE}") for value in values]  # lines break between values only
    lines = [entity.head, *textwrap.wrap(", ".join(values), _CHARACTERS_A_LINE)]
    widths = [width(line, _SMALL if number else _HEAD) for number, line in enumerate(lines)]
    height = (_HEAD + _SMALL * (len(lines) - 1)) * _LINE
    return Box(column, lines, max(widths) + 2 * _PAD, height + _PAD)


def _columns(graph: SceneGraph) -> list[int]:
    """Each thing's column: right of all its subjects, but for relations that would close a circle."""
    objects: list[list[int]] = [[] for _ in graph.entities]
    for relation in graph.relations:
        if not _reaches(objects, relation.object, relation.subject):
            objects[relation.subject].append(relation.object)
    columns = [0] * len(graph.entities)
    waiting = list(range(len(graph.entities)))
    while waiting:
        thing = waiting.pop()
        for object_ in objects[thing]:
            if columns[object_] <= columns[thing]:
                columns[object_] = columns[thing] + 1
                waiting.append(object_)
    return columns


def _reaches(objects: list[list[int]], start: int, end: int) -> bool:
    seen, waiting = set[int](), [start]
    while waiting:
        thing = waiting.pop()
        if thing == end:
            return True
        if thing not in seen:
            seen.add(thing)
            waiting += objects[thing]
    return False


def _ordered(boxes: list[Box], arrows: list[Arrow]) -> list[list[Box]]:
    """The boxes of each column from top to bottom, so that few arrows cross: by the mean place of their neighbours."""
    rows: list[list[Box]] = [[] for _ in range(1 + max((box.column for box in boxes), default=-1))]
    for box in boxes:
        rows[box.column].append(box)
    neighbours: dict[int, list[Box]] = {id(box): [] for box in boxes}
    for arrow in arrows:
        for left, right in zip(arrow.boxes, arrow.boxes[1:], strict=False):
            neighbours[id(left)].append(right)
            neighbours[id(right)].append(left)
    place = {id(box): float(number) for row in rows for number, box in enumerate(row)}

    def mean_place(box: Box, side: int) -> float:
        beside = [place[id(other)] for other in neighbours[id(box)] if other.column == box.column + side]
        return sum(beside) / len(beside) if beside else place[id(box)]

    for sweep in range(4):
        side = -1 if sweep % 2 == 0 else 1
        for row in rows if side == -1 else reversed(rows):
            means = {id(box): mean_place(box, side) for box in row}
            row.sort(key=lambda box: means[id(box)])
            place.update((id(box), float(number)) for number, box in enumerate(row))
    return rows


def _render(
    arrangement: Arrangement, caption: str, path: Path, figure_class: Any, width: Callable[[str, float], float]
) -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path as Curve

    most = max(arrangement.width, 260.0)
    title = list(_wrapped(caption, most, width))
    top = len(title) * _TITLE * _LINE + (12.0 if arrangement.boxes else 0.0)
    total = (most + 2 * _MARGIN, arrangement.height + top + 2 * _MARGIN)
    figure = figure_class(figsize=(total[0] / 72, total[1] / 72), dpi=160)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-_MARGIN, total[0] - _MARGIN)
    axes.set_ylim(total[1] - _MARGIN - top, -_MARGIN - top)
    style = {"family": "DejaVu Sans", "parse_math": False}
    for number, line in enumerate(title):
        axes.text(0, (number + 0.5) * _TITLE * _LINE - top, line, size=_TITLE, va="center", color=_INK, **style)
    for arrow in arrangement.arrows:
        first, *rest = arrow.boxes
        begin = first.x + first.width
        x = begin + 2 * _LABEL_GAP + arrangement.label_width[first.column]
        points, codes = [(begin, arrow.port), (x, arrow.port)], [Curve.MOVETO, Curve.LINETO]
        y = arrow.port
        for box in rest:  # curves through the gaps, straight lines through the columns
            bend = (box.x - x) / 2
            points += [(x + bend, y), (box.x - bend, box.middle), (box.x, box.middle)]
            codes += [Curve.CURVE4] * 3
            if box is not rest[-1]:
                right = box.x + box.width + 2 * _LABEL_GAP + arrangement.label_width[box.column]
                points.append((right, box.middle))
                codes.append(Curve.LINETO)
                x, y = right, box.middle
        axes.add_patch(FancyArrowPatch(
            path=Curve(points, codes), arrowstyle="<|-" if arrow.backwards else "-|>", mutation_scale=9,
            color=_EDGE, linewidth=1.1, shrinkA=0, shrinkB=0, zorder=1,
        ))  # fmt: skip
        # The label interrupts the line.
        for number, label in enumerate(arrow.labels):
            height = arrow.port + (number - (len(arrow.labels) - 1) / 2) * _SMALL * _LINE
            axes.text(
                begin + _LABEL_GAP, height, label, size=_SMALL, va="center", color=_ACCENT, zorder=3,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0}, **style,
            )  # fmt: skip
    for box in arrangement.boxes:
        axes.add_patch(FancyBboxPatch(
            (box.x, box.y), box.width, box.height, boxstyle="round,pad=0,rounding_size=5",
            facecolor=_FILL, edgecolor=_EDGE, linewidth=1.0, zorder=2,
        ))  # fmt: skip
        text_height = (_HEAD + _SMALL * (len(box.lines) - 1)) * _LINE
        y = box.middle - text_height / 2
        for number, line in enumerate(box.lines):
            size = _SMALL if number else _HEAD
            axes.text(
                box.x + box.width / 2, y + size * _LINE / 2, line, size=size, ha="center", va="center", zorder=3,
                color=_FAINT if number else _INK, **style,
            )  # fmt: skip
            y += size * _LINE
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
    figure.savefig(path, format=path.suffix.lower()[1:], facecolor="white", metadata=metadata)


def _wrapped(text: str, most: float, width: Callable[[str, float], float]) -> Iterator[str]:
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and width(longer, _TITLE) > most:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line
