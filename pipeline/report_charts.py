"""The drawings of a report's page: SVG whose colours are the page's, so that they follow light and dark.

They scale with the page; lengths are about pixels, at the width that the drawing usually has there.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDE, _NARROW = 460.0, 330.0
_LABELS, _UNKNOWN = 118.0, 38.0
"""Room beside strips: for the names of rows at the left, for what is unknown at the right."""


@dataclass(frozen=True)
class Line:
    """A line of a curve: ``points`` are rank, from 1 on, and share, from 0 to 1; ``style`` is its class."""

    name: str
    style: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Bins:
    """A histogram: the lower ends of bins of one width that are not empty, each with its heights, stacked.

    Attributes:
        name: of the row.
        styles: class of each of the heights.
        unknown: share of what has no value, told beside the row; None to say nothing.
    """

    name: str
    styles: Sequence[str]
    bars: Sequence[tuple[float, Sequence[float]]]
    unknown: float | None = None

    @property
    def highest(self) -> float:
        """Height of the highest bar."""
        return max((sum(heights) for _, heights in self.bars), default=0.0)


def share_by_rank(lines: Sequence[Line], told: str) -> Markup:
    """Which share of all rows the names up to each rank have, ranks on a logarithmic scale."""
    left, right, top, bottom = 40.0, _WIDE - 12, 10.0, 200.0
    last = max((rank for line in lines for rank, _ in line.points), default=1)
    decades = max(math.log10(max(last, 10)), 1.0)

    def x(rank: float) -> float:
        return left + (right - left) * math.log10(rank) / decades

    def y(share: float) -> float:
        return bottom - (bottom - top) * share

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(_line(left, y(share), right, y(share), "grid"))
        parts.append(_text(left - 6, y(share) + 4, f"{share:.0%}", "end"))
    for power in range(int(decades) + 1):
        parts.append(_line(x(10**power), bottom, x(10**power), bottom + 4, "axis"))
        parts.append(_text(x(10**power), bottom + 18, _short(10**power), "middle"))
    for line in lines:
        path = " ".join(f"{x(rank):.1f},{y(share):.1f}" for rank, share in line.points)
        parts.append(Markup('<polyline class="line {}" points="{}"><title>{}</title></polyline>').format(
            line.style, path, line.name))  # fmt: skip
    parts.append(_text((left + right) / 2, bottom + 36, "the most frequent names, so many of them", "middle"))
    return _svg(_WIDE, bottom + 44, parts, told)


def strips(rows: Sequence[Sequence[Bins]], width: float, ends: tuple[float, float], told: str) -> Markup:
    """Small histograms below each other with one scale; where a row has several, the others are drawn as outlines.

    Args:
        width: of a bin.
        ends: of the scale.
    """
    height, gap = 26.0, 8.0
    some_unknown = any((bins.unknown or 0) >= 0.005 for row in rows for bins in row)
    left, right = _LABELS, _NARROW - (_UNKNOWN if some_unknown else 8)
    low, high = ends
    highest = max((bins.highest for row in rows for bins in row), default=0.0) or 1.0

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = []
    base = 0.0
    for row in rows:
        base += height + gap
        parts.append(_text(left - 8, base - 4, row[0].name, "end", "name"))
        parts.append(_line(left, base, right, base, "grid"))
        for number, bins in enumerate(row):
            if number:
                parts.append(_outline(bins, width, x, base, height / highest, low, high))
            else:
                parts += _bars(bins, width, x, base, height / highest)
        unknown = " / ".join(f"{bins.unknown:.0%}" for bins in row if bins.unknown is not None)
        if any((bins.unknown or 0) >= 0.005 for bins in row):
            parts.append(_text(right + 6, base - 4, unknown, "start", "quiet"))
    parts += _scale(x, base, _ticks(low, high))
    return _svg(_NARROW, base + 24, parts, told)


def histogram(bins: Bins, width: float, ends: tuple[float, float], told: str, mark: float | None = None) -> Markup:
    """A histogram of stacked bars.

    Args:
        width: of a bin.
        ends: of the scale.
        mark: where to draw the threshold, if anywhere.
    """
    left, right, top, bottom = 14.0, _NARROW - 14, 24.0, 122.0
    low, high = ends

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = list(_bars(bins, width, x, bottom, (bottom - top) / (bins.highest or 1)))
    parts.append(_line(left, bottom, right, bottom, "axis"))
    if mark is not None and low <= mark <= high:
        parts.append(_line(x(mark), top - 18, x(mark), bottom, "mark"))
        near_end = x(mark) > _NARROW * 0.6
        parts.append(_text(x(mark) + (-5 if near_end else 5), top - 8, f"threshold {mark:.2g}".replace("-", "−"),
                           "end" if near_end else "start", "name"))  # fmt: skip
    parts += _scale(x, bottom, _ticks(low, high))
    return _svg(_NARROW, bottom + 24, parts, told)


def _bars(bins: Bins, width: float, x, base: float, per_unit: float) -> Iterable[Markup]:  # type: ignore[no-untyped-def]
    for low, heights in bins.bars:
        top = base
        for style, height in zip(bins.styles, heights, strict=True):
            if height:
                drawn = max(height * per_unit, 0.8)
                top -= drawn
                yield Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                    style, f"{x(low) + 0.6:.1f}", f"{top:.1f}", f"{max(x(low + width) - x(low) - 1.2, 0.6):.1f}",
                    f"{drawn:.1f}")  # fmt: skip


def _outline(bins: Bins, width: float, x, base: float, per_unit: float, low: float, high: float) -> Markup:  # type: ignore[no-untyped-def]
    heights = {round(start / width): sum(values) for start, values in bins.bars}
    points = [f"{x(low):.1f},{base:.1f}"]
    for number in range(round(low / width), round(high / width)):
        y = base - heights.get(number, 0.0) * per_unit
        points += [f"{x(number * width):.1f},{y:.1f}", f"{x((number + 1) * width):.1f},{y:.1f}"]
    points.append(f"{x(high):.1f},{base:.1f}")
    return Markup('<polyline class="line {}" points="{}"/>').format(bins.styles[0], " ".join(points))


def _scale(x, base: float, ticks: Sequence[float]) -> Iterable[Markup]:  # type: ignore[no-untyped-def]
    for tick in ticks:
        yield _line(x(tick), base, x(tick), base + 4, "axis")
        yield _text(x(tick), base + 18, f"{tick:g}".replace("-", "−"), "middle")


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers between the ends."""
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda candidate: abs(math.log(candidate / rough)))
    first = math.ceil(round(low / step, 6))
    return [round(number * step, 6) for number in range(first, math.floor(round(high / step, 6)) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        style, f"{x1:.1f}", f"{y1:.1f}", f"{x2:.1f}", f"{y2:.1f}"
    )


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        style, f"{x:.1f}", f"{y:.1f}", anchor, text
    )


def _svg(width: float, height: float, parts: Iterable[Markup], told: str) -> Markup:
    return Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        width, height, escape(told), Markup("").join(parts)
    )


def _short(number: int) -> str:
    return f"{number // 1_000_000}M" if number >= 1_000_000 else f"{number // 1000}k" if number >= 1000 else str(number)
