"""The report as one HTML page, of one dataset or of two side by side: it asks for nothing, wherever it is opened.

What it shows is made in ``report_parts.py``, how it is laid out is in ``page/``. All text goes through Jinja's
autoescape or, where the script searches in it, through JSON that no markup can end; a content security policy lets the
page run its own script only and load nothing.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from pipeline import report_parts as parts
from pipeline.report_markdown import SECTIONS
from pipeline.report_parts import Run
from pipeline.report_pictures import Pictures
from schemas.places import place

if TYPE_CHECKING:
    from pipeline.report import Report

EXAMPLES = {1: 3, 2: 2}
"""Triplets of each kind, by how many datasets are shown."""


def render(reports: Sequence["Report"], pictures: Sequence[Pictures]) -> str:
    """The page.

    Args:
        reports: one or two.
        pictures: of each.
    """
    runs = [
        _run(report, name, style, taken, len(reports))
        for report, name, style, taken in zip(reports, _names(reports), "ab", pictures, strict=False)
    ]
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(number=parts.number, share=parts.share, cut=parts.cut)
    script, style = _asset("report.js"), _asset("report.css")
    return environment.get_template("report.html.jinja").render(
        runs=runs,
        two=len(runs) == 2,
        script=Markup(script),
        style=Markup(style),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        tiles=parts.tiles(runs),
        flow=parts.flow(runs),
        examples=parts.examples(runs),
        kinds=parts.kinds(runs),
        contradictions=parts.contradictions(runs),
        axes=parts.axes(runs),
        spread=parts.spread(runs),
        lists=parts.lists(runs),
        removed=parts.removed(runs),
        measures=parts.measures(runs),
        fits=parts.fits(runs),
        people=parts.people(runs),
        leanings=parts.leanings(runs),
        coverage=parts.merged(runs, "coverage", ("role",)),
        sources=parts.merged(runs, "sources", ("source",)),
        provenance=[parts.provenance(run) for run in runs],
    )


def _run(report: "Report", name: str, style: str, pictures: Pictures, runs: int) -> Run:
    few: dict[str, tuple[int, tuple[str, ...]]] = {
        "subjects": (parts.LISTED, ()),
        "conditions": (parts.LISTED // 4, ("kind",)),
        "sources": (30, ()),
        "person_words": (12, ()),
        "person_genders": (8, ("what", "leans")),
        "person_groups": (6, ("gender", "age", "what")),
        "reject_examples": (3, ("stage", "reason")),
        "triplet_examples": (EXAMPLES[runs], ("kind",)),
    }
    names = [section.table for section in SECTIONS]
    tables = {table: report.rows(table, *few.get(table, (None, ()))) for table in names}
    return Run(name, style, report, pictures, tables, {table: report.count(table) for table in names})


def _names(reports: Sequence["Report"]) -> list[str]:
    """The folders' own names, and as much of the path before them as tells them apart."""
    paths = [place(report.out)[1].rstrip("/").split("/") for report in reports]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-length:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _asset(name: str) -> str:
    return (files("pipeline") / "page" / name).read_text(encoding="utf-8")
