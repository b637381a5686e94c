"""The page that shows what models retrieve: figures, then queries with each model's best answers, in one HTML file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image, ImageOps

from downstream.retrieval import Ranked
from downstream.statistics import Estimate, estimate
from downstream.tasks import PictureSource, Query, Task
from images import ImageError

SIDE = 112
"""Pixels of a picture's longer side on the page."""
ANSWERS = 6
QUERIES = 12
"""Queries shown of each task, spread evenly over it."""

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --quiet: #59636e; --right: #1a7f37; --back: #fff; --text: #1f2328;
        --card: #f6f8fa; --first: #0a66c2; --other: #8c959f; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --quiet: #9198a1; --right: #3fb950; --back: #0d1117; --text: #f0f6fc; --card: #151b23;
          --first: #58a6ff; --other: #656c76; }
}
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
       background: var(--back); color: var(--text); }
h1 { font-size: 1.9rem; line-height: 1.2; margin-bottom: .5rem; }
h2 { margin-top: 2.5rem; }
.lead { max-width: 48rem; font-size: 1.05rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
.chart { border: 1px solid var(--line); border-radius: 10px; padding: .75rem 1rem; }
.chart h3 { margin: 0 0 .5rem; font-size: 1rem; }
.bar { display: grid; grid-template-columns: 6.5rem 1fr 3rem; gap: .5rem; align-items: center; font-size: .9em; }
.bar .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar .track { position: relative; height: 1.1rem; margin: .15rem 0; }
.bar .fill { position: absolute; inset: 0 auto 0 0; border-radius: 3px; background: var(--other); }
.bar .spread { position: absolute; top: 50%; border-top: 2px solid var(--text); }
.bar .value { text-align: right; font-variant-numeric: tabular-nums; }
.bar.first { font-weight: 600; }
.bar.first .fill { background: var(--first); }
details { margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 36rem), 1fr)); gap: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
article { border: 1px solid var(--line); border-radius: 10px; padding: .75rem; background: var(--card);
          overflow-x: auto; }
.row { display: flex; gap: .35rem; align-items: center; padding: .15rem 0; width: max-content; }
.row.asked { border-bottom: 1px solid var(--line); padding-bottom: .5rem; margin-bottom: .35rem; }
.who { flex: 0 0 8rem; width: 8rem; font-size: .9em; overflow-wrap: anywhere; }
.condition { font-size: 1.15rem; }
figure { margin: 0; flex: 0 0 auto; text-align: center; }
img { display: block; width: 64px; height: 64px; object-fit: contain; border: 3px solid transparent;
      border-radius: 6px; }
.asked img { width: 96px; height: 96px; }
.right img { border-color: var(--right); }
figcaption, .quiet { color: var(--quiet); font-size: .85em; }
.right figcaption { color: var(--right); font-weight: 600; }
"""


@dataclass(frozen=True)
class Figures:
    """A table of the page.

    Attributes:
        title: heading.
        header: names of the columns.
        rows: cells, as many a row as there are columns.
        note: a line below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def page(
    title: str, figures: Sequence[Figures], answered: Sequence[tuple[Task, dict[str, Ranked]]], lead: str = ""
) -> str:
    """The page as HTML that needs no other file.

    Args:
        title: of the page.
        figures: its tables.
        answered: each task with what every model, by name, makes of it; charts and queries are made of them.
        lead: a paragraph below the title.
    """
    parts = [f'<p class="lead">{escape(lead)}</p>'] if lead else []
    if answered:
        charts = "\n".join(_chart(task, ranked) for task, ranked in answered)
        parts.append(f'<h2>Share of queries whose first answers are right</h2>\n<div class="charts">{charts}</div>')
        parts.append('<p class="quiet">Percent, with 95% bootstrap intervals over queries.</p>')
    tables = "\n".join(_figures(table) for table in figures)
    parts.append(f"<details><summary>All figures</summary>\n{tables}</details>")
    parts += [_task(task, ranked) for task, ranked in answered]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _chart(task: Task, ranked: dict[str, Ranked]) -> str:
    """A bar a model; the first model's stands out."""
    k = task.cutoffs[0]
    bars = "".join(
        _bar(name, estimate(made.hits(k)), first=number == 0) for number, (name, made) in enumerate(ranked.items())
    )
    asked = len(next(iter(ranked.values())).queries)
    return (
        f'<section class="chart"><h3>{escape(_in_words(task.name))}</h3>{bars}'
        f'<div class="quiet">Recall@{k}, {asked:,} queries</div></section>'
    )


def _bar(name: str, share: Estimate, *, first: bool) -> str:
    mean, low, high = (100 * value for value in (share.mean, share.low, share.high))
    return (
        f'<div class="bar{" first" if first else ""}"><span class="name" title="{escape(name)}">{escape(name)}</span>'
        f'<span class="track"><span class="fill" style="width:{mean:.1f}%"></span>'
        f'<span class="spread" style="left:{low:.1f}%;width:{high - low:.1f}%"></span></span>'
        f'<span class="value">{mean:.1f}</span></div>'
    )


def _in_words(task: str) -> str:
    return task.replace("_", " ").capitalize()


def _figures(table: Figures) -> str:
    header = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    note = f'<p class="quiet">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="scroll"><table><thead><tr>{header}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>{note}"
    )


def _task(task: Task, ranked: dict[str, Ranked]) -> str:
    asked = next(iter(ranked.values())).queries
    chosen = [round(number * (len(asked) - 1) / max(1, QUERIES - 1)) for number in range(min(QUERIES, len(asked)))]
    articles = [
        _query(task.pictures, asked[number], {name: (made, number) for name, made in ranked.items()})
        for number in dict.fromkeys(chosen)
    ]
    note = f'<p class="quiet">{len(articles)} of {len(asked):,} queries, spread evenly. Right answers are framed.</p>'
    cards = "\n".join(articles)
    return f'<h2>{escape(_in_words(task.name))}: queries and answers</h2>{note}\n<div class="cards">{cards}</div>'


def _query(pictures: PictureSource, query: Query, answers: dict[str, tuple[Ranked, int]]) -> str:
    asked = '<div class="row asked"><div class="who"><span class="quiet">condition</span><br>'
    asked += f'<strong class="condition">“{escape(query.condition)}”</strong></div>'
    asked += _picture(pictures, query.reference, "reference", right=False)
    asked += "".join(_picture(pictures, name, "right answer", right=True) for name in query.right[:1]) + "</div>"
    rows = []
    for model, (ranked, number) in answers.items():
        shown = "".join(
            _picture(pictures, name, "right" if name in query.right else str(place), right=name in query.right)
            for place, name in enumerate(ranked.top[number][:ANSWERS], 1)
        )
        place = ranked.ranks[number]
        told = "right" if place == 1 else f"right answer is number {place}"
        who = f'{escape(model)}<br><span class="quiet">{told}</span>'
        rows.append(f'<div class="row"><div class="who">{who}</div>{shown}</div>')
    return "<article>" + asked + "\n".join(rows) + "</article>"


def _picture(pictures: PictureSource, name: str, caption: str, *, right: bool) -> str:
    try:
        source = _data_uri(pictures.image(name))
    except ImageError as error:
        source, caption = "", f"{caption} ({error.reason})"
    framed = "right" if right else "other"
    return (
        f'<figure class="{framed}"><img src="{source}" alt="{escape(name)}" title="{escape(name)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _data_uri(image: Image.Image) -> str:
    small = ImageOps.contain(image.convert("RGB"), (SIDE, SIDE)) if max(image.size) > SIDE else image.convert("RGB")
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
