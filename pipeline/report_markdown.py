"""The report as one Markdown file: each table's first rows under what they mean."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.report import Report

LONGEST_CELL = 300


@dataclass(frozen=True)
class Section:
    """A part of the page: the first rows of a table.

    Attributes:
        table: the view of ``report.sql``; its comment is the text of the section.
        title: heading.
        rows: how many rows to show, None for all.
        per: columns of which each combination of values shows that many rows.
        shown: what to show instead of the table's columns: SQL over ``part``, the chosen rows in order.
    """

    table: str
    title: str
    rows: int | None = None
    per: tuple[str, ...] = ()
    shown: str = "FROM part"


_GROUPS = """
SELECT gender, age, {} FROM part GROUP BY gender, age ORDER BY gender, age
""".format(
    ", ".join(
        f"string_agg(words || ' (' || images || ', ' || round(lift, 1) || ')', '; ' ORDER BY rank) "
        f"FILTER (what = '{what}' AND lift > 1) AS {what}s"
        for what in ("attribute", "predicate", "object")
    )
)
_RANKS = """
PIVOT (
    SELECT what || 's of ' || "of" AS named, rank AS up_to_rank, share_up_to FROM part
    WHERE rank IN (1, 10, 100, 1000, 10000, 100000, 1000000)
) ON named USING first(share_up_to) GROUP BY up_to_rank ORDER BY up_to_rank
"""
_EXAMPLES = """
SELECT kind, subject, condition, reference_caption, target_caption, text_distractor_caption, image_distractor_caption
FROM part ORDER BY rank
"""
_HISTOGRAMS = """
PIVOT (
    SELECT measure, coalesce("from" || ' to ' || "to", 'unknown') AS bin, kind, share_of_kind,
           min(rank) OVER (PARTITION BY measure, "from") AS place
    FROM part
) ON kind USING first(share_of_kind) GROUP BY measure, bin, place ORDER BY place
"""
_FIT = """
SELECT score, floor(round("from" * 10, 5)) / 10 AS "from", floor(round("from" * 10, 5)) / 10 + 0.1 AS "to",
       sum(kept)::BIGINT AS kept, sum(dropped)::BIGINT AS dropped
FROM part GROUP BY ALL ORDER BY min(rank)
"""

SECTIONS = (
    Section("funnel", "From captions to triplets"),
    Section("kinds", "Kinds and splits"),
    Section("triplet_examples", "A few triplets", 2, ("kind",), _EXAMPLES),
    Section("coverage", "Images used"),
    Section("axes", "Axes"),
    Section("subjects", "Subjects", 25),
    Section("conditions", "Conditions", 8, ("kind",)),
    Section("head_and_tail", "Head and tail"),
    Section("ranks", "Head and tail by rank", None, (), _RANKS),
    Section("contradictions", "How image distractors fail the condition"),
    Section("sources", "Sources", 50),
    Section("people", "People by gender and age"),
    Section("person_words", "Words for people", 25),
    Section("person_genders", "What is said of women and girls, and of men and boys", 8, ("what", "leans")),
    Section("person_groups", "What is said of each group", 8, ("gender", "age", "what"), _GROUPS),
    Section("rejects", "What was removed"),
    Section("reject_examples", "Examples of what was removed", 3, ("stage", "reason")),
    Section("histograms", "Measures", None, (), _HISTOGRAMS),
    Section("fit_histograms", "How pictures fit", None, (), _FIT),
)
"""The tables of a report, in the order of the page."""


def render(report: "Report") -> str:
    """The page."""
    return "\n".join([_head(report), *(_section(report, section) for section in SECTIONS), ""])


def _head(report: "Report") -> str:
    manifest = report.manifest
    mined = manifest.configuration.get("mine", {})
    sampler = f", sampler {mined['sampler']}, seed {manifest.seed}" if "sampler" in mined else ""
    stages = ", ".join(manifest.stages) or "none"
    return (
        f"# Report\n\nOf a dataset made by facetmine {manifest.facetmine_version} on {manifest.created}{sampler}; "
        f"stages done: {stages}.\nEach section shows a table, or its first rows; all rows are in the Parquet file "
        "beside this page that it names.\nShares are from 0 to 1."
    )


def _section(report: "Report", section: Section) -> str:
    """The section in Markdown, from the table's file."""
    all_rows = report.count(section.table)
    about = f"{report.about(section.table)} (`{section.table}.parquet`, {all_rows:,} rows)"
    lines = [f"\n## {section.title}\n", f"{about}\n"]
    if not all_rows:
        return "\n".join([*lines, "Nothing to show: the stage that makes it has not run, or made none."])
    names, rows = report.select(section.table, section.rows, section.per, section.shown)
    lines += _markdown(names, rows, hidden=("rank", "place"))
    if section.rows is not None and not section.per and len(rows) < all_rows:
        lines.append(f"\nThe first {len(rows):,} of {all_rows:,} rows.")
    return "\n".join(lines)


def _markdown(names: list[str], rows: list[tuple[Any, ...]], hidden: tuple[str, ...]) -> list[str]:
    """Lines of a table; numbers to the right, columns without any value left out."""
    kept = [
        number
        for number, name in enumerate(names)
        if name not in hidden and any(row[number] is not None for row in rows)
    ]
    numeric = [all(isinstance(row[number], int | float | None) for row in rows) for number in kept]
    table = [
        "| " + " | ".join(names[number].replace("_", " ") for number in kept) + " |",
        "|" + "|".join("--:" if right else "---" for right in numeric) + "|",
    ]
    table += ["| " + " | ".join(_cell(row[number]) for number in kept) + " |" for row in rows]
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    # What captions say may look like Markdown or HTML, and is neither.
    text = " ".join(str(value).split())
    text = text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
    return re.sub(r"([\\`|*<>\[\]]|\b_|_\b)", r"\\\1", text)
