"""The page that shows what models retrieve: figures, then queries with each model's best answers, in one HTML file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image, ImageOps

from downstream.retrieval import Ranked
from downstream.tasks import PictureSource, Query, Task
from images import ImageError

SIDE = 112
"""Pixels of a picture's longer side on the page."""
ANSWERS = 6
QUERIES = 12
"""Queries shown of each task, spread evenly over it."""

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --quiet: #59636e; --right: #1a7f37; --back: #fff; --text: #1f2328; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --quiet: #9198a1; --right: #3fb950; --back: #0d1117; --text: #f0f6fc; }
}
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
       background: var(--back); color: var(--text); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
article { border-top: 1px solid var(--line); padding: 1rem 0; }
.row { display: flex; gap: .5rem; align-items: flex-start; overflow-x: auto; padding: .25rem 0; }
.who { flex: 0 0 9rem; color: var(--quiet); }
figure { margin: 0; flex: 0 0 auto; text-align: center; }
img { display: block; width: 112px; height: 112px; object-fit: contain; border: 3px solid transparent; }
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


def page(title: str, figures: Sequence[Figures], answered: Sequence[tuple[Task, dict[str, Ranked]]]) -> str:
    """The page as HTML that needs no other file.

    Args:
        title: of the page.
        figures: its tables.
        answered: each task with what every model, by name, makes of it.
    """
    parts = [_figures(table) for table in figures]
    parts += [_task(task, ranked) for task, ranked in answered]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


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
    return f"<h2>{escape(task.name)}: queries and answers</h2>{note}\n" + "\n".join(articles)


def _query(pictures: PictureSource, query: Query, answers: dict[str, tuple[Ranked, int]]) -> str:
    asked = f'<div class="row"><div class="who">reference<br><strong>“{escape(query.condition)}”</strong></div>'
    asked += _picture(pictures, query.reference, "reference", right=False)
    asked += "".join(_picture(pictures, name, "right answer", right=True) for name in query.right[:1]) + "</div>"
    rows = []
    for model, (ranked, number) in answers.items():
        shown = "".join(
            _picture(pictures, name, f"{place}{', right' if name in query.right else ''}", right=name in query.right)
            for place, name in enumerate(ranked.top[number][:ANSWERS], 1)
        )
        who = f'{escape(model)}<br><span class="quiet">first right answer: {ranked.ranks[number]}</span>'
        rows.append(f'<div class="row"><div class="who">{who}</div>{shown}</div>')
    return "<article>" + asked + "\n".join(rows) + "</article>"


def _picture(pictures: PictureSource, name: str, caption: str, *, right: bool) -> str:
    try:
        source = _data_uri(pictures.image(name))
    except ImageError as error:
        source, caption = "", f"{caption} ({error.reason})"
    return (
        f'<figure{" class=right" if right else ""}><img src="{source}" alt="{escape(name)}" title="{escape(name)}" '
        f'loading="lazy"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _data_uri(image: Image.Image) -> str:
    small = ImageOps.contain(image.convert("RGB"), (SIDE, SIDE)) if max(image.size) > SIDE else image.convert("RGB")
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
