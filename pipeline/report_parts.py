"""The parts of a report's page: its tables put into the words, shares and drawings that the page shows.

Every part is a function of the datasets, one or two, in the order of the page. With two, rows have the figures of both,
None where one of them lacks the row.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from pipeline import report_charts as charts
from pipeline.explain import RULES
from pipeline.reasons import MEANINGS
from pipeline.report_pictures import Pictures

if TYPE_CHECKING:
    from pipeline.report import Report

Row = dict[str, Any]

LONGEST = 280
"""Characters of a caption or name; what is longer is cut."""

LISTED = 20_000
LISTED_BYTES = 900_000
"""Subjects to search in, and conditions: as many of the most frequent as these allow."""

_ROLES = (
    ("reference", "Reference"),
    ("target", "Target"),
    ("text_distractor", "Text distractor"),
    ("image_distractor", "Image distractor"),
)
_STAGES = {
    "read": ("rows of the inputs", "captions"),
    "parse": ("captions", "captions that state something"),
    "score": ("images", "images that were scored"),
    "mine": ("facts", "facts to mine"),
    "write": ("triplets drawn", "triplets"),
}
"""What goes into a stage, and what comes out."""

_MEASURES = {
    "concreteness": ("Concreteness", "of what the triplet names: 1 abstract, 5 concrete (Brysbaert et al. 2014)", 1, 5),
    "visual_strength": ("Visual strength", "how much the condition is seen, 0 to 5 (Lancaster norms)", 0, 5),
    "confidence": ("Confidence", "of the parser in the facts, the lower of reference and target", 0, 1),
    "prior": ("Prior", "share of the subject's images that satisfy the condition: high tells little", 0, 1),
    "ambiguity": ("Ambiguity", "bits of doubt about the axis of the condition's value; 0 is none", 0, None),
}
_SCORES = {
    "caption_score": ("Captions", "with their pictures"),
    "fact_score": ("Facts", "with their pictures"),
    "target_score": ("Targets", "with the statement that makes them the target"),
    "reference_score": ("References", "with the target's statement, which they should not satisfy but in focus kinds"),
    "text_distractor_score": ("Text distractors", "with their own statement"),
    "image_distractor_score": ("Image distractors", "with the target's statement, which they should not satisfy"),
}
_SAID = {"attribute": "Described as", "predicate": "Doing or being", "object": "Together with"}
_SURE = 2.0
"""Standard errors from which on a leaning is shown."""
_TIMES_SHOWN = 32
"""The odds ratio at which its bar is full."""


@dataclass
class Run:
    """A dataset on the page.

    Attributes:
        name: how the page calls it.
        style: class of its colour, "a" or "b".
        tables: the first rows of the report's tables.
        counts: how many rows each of these has in all.
    """

    name: str
    style: str
    report: "Report"
    pictures: Pictures
    tables: dict[str, list[Row]]
    counts: dict[str, int]

    @property
    def mined(self) -> dict[str, Any]:
        """The configuration of mining."""
        return self.report.manifest.configuration.get("mine", {})


def merged(runs: Sequence[Run], table: str, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a table by key: ``key``, and ``of``, the row of each dataset."""
    found: dict[tuple[Any, ...], list[Row | None]] = {}
    for number, run in enumerate(runs):
        for row in run.tables[table]:
            found.setdefault(tuple(row[name] for name in key), [None] * len(runs))[number] = row
    return [{"key": names, "of": rows} for names, rows in found.items()]


def tiles(runs: Sequence[Run]) -> list[dict[str, Any]]:
    steps = [{row["step"]: row["number"] for row in run.tables["funnel"]} for run in runs]
    tiles = [
        ("captions", [step["captions"] or None for step in steps]),
        ("facts they state", [step["facts"] or None for step in steps]),
        ("triplets", [step["triplets"] for step in steps]),
        ("images in them", [_images_used(run) for run in runs]),
        ("subjects", [_distinct(run, "subject") for run in runs]),
        ("conditions", [_distinct(run, "condition") for run in runs]),
    ]  # fmt: skip
    return [{"name": name, "values": values} for name, values in tiles if any(values)]


def _images_used(run: Run) -> int | None:
    return next((row["images"] for row in run.tables["coverage"] if row["role"] == "any of them"), None)


def _distinct(run: Run, what: str) -> int | None:
    row = _head_and_tail(run, what, "triplets")
    return row["distinct"] if row else None


def _head_and_tail(run: Run, what: str, of: str) -> Row | None:
    rows = run.tables["head_and_tail"]
    return next((row for row in rows if (row["what"], row["of"], row["kind"]) == (what, of, "all")), None)


def flow(runs: Sequence[Run]) -> list[dict[str, Any]]:
    stages = []
    for name, (entering, leaving) in _STAGES.items():
        bars = []
        for run in runs:
            stage = run.report.manifest.stages.get(name)
            if stage is None:
                continue
            rejects = sorted(stage.rejects.items(), key=lambda reject: (-reject[1], reject[0]))
            bars.append({
                "run": run,
                "rows_in": stage.rows_in,
                "rows_out": stage.rows_out,
                "kept": _percent(stage.rows_out, stage.rows_in),
                "dropped": [
                    {"reason": _words(reason), "rows": rows, "share": rows / max(stage.rows_in, 1),
                     "width": _percent(rows, stage.rows_in), "tint": number % 4}
                    for number, (reason, rows) in enumerate(rejects)
                ],
            })  # fmt: skip
        if bars:
            stages.append({"name": name, "entering": entering, "leaving": leaving, "bars": bars})
    return stages


def examples(runs: Sequence[Run]) -> list[dict[str, Any]]:
    kinds = sorted({row["kind"] for run in runs for row in run.tables["triplet_examples"]}, key=_place_of_kind)
    return [
        {
            "kind": _words(kind),
            "rule": RULES.get(kind, ""),
            "triplets": [
                _example(run, row) for run in runs for row in run.tables["triplet_examples"] if row["kind"] == kind
            ],
        }
        for kind in kinds
    ]


def _example(run: Run, row: Row) -> dict[str, Any]:
    images = []
    for role, title in _ROLES:
        image_id = row[f"{role}_id"]
        if image_id is None:
            continue
        images.append({
            "role": role,
            "title": title,
            "caption": row[f"{role}_caption"],
            "id": image_id,
            "score": row[f"{role}_score"],
            "picture": run.pictures.url(image_id) if run.pictures else None,
            "note": _noted(row, role),
        })  # fmt: skip
    return {"run": run, "id": row["triplet_id"], "subject": row["subject"], "condition": row["condition"],
            "images": images, "pictured": any(image["picture"] for image in images)}  # fmt: skip


def _noted(row: Row, role: str) -> str:
    """What the image states of the subject, or why it is a negative."""
    subject = row["subject"]
    if row["kind"].endswith("_object"):
        return _noted_of_place(row, role)
    if role == "reference":
        return _stated(subject, row, "reference_")
    if role == "target":
        return "; ".join(filter(None, (_stated(subject, row, "target_"), _stated(subject, row, "target_second_"))))
    if role == "text_distractor":
        return f"{row['text_distractor_subject']} instead of {subject}" if row["text_distractor_subject"] else ""
    other = row["image_distractor_attribute"] or row["image_distractor_object"]
    if row["contradiction"] == "silence" or not other:
        return f"{subject}, of which it states nothing of the sort" if row["contradiction"] else ""
    return f"{subject} is {other}" if row["image_distractor_attribute"] else f"{subject} with {other} instead"


def _noted_of_place(row: Row, role: str) -> str:
    """The same of the object kinds, whose subject is a place and whose condition a thing there."""
    place, thing = row["subject"], row["condition"]
    if role == "target":
        said = _stated(thing, row, "target_")
        return f"{said}; {thing} in general" if row["general"] else said
    if role == "reference":
        return f"{place}, with {thing}" if row["kind"] == "focus_object" else f"{place}, without {thing}"
    return f"{thing}, not at {place}" if role == "text_distractor" else f"{place}, without {thing}"


def _stated(subject: str, row: Row, prefix: str) -> str:
    predicate, thing, value = (row[f"{prefix}{name}"] for name in ("predicate", "object", "attribute"))
    if value:
        return f"{subject} is {value}"
    return f"{subject} {predicate} {thing}" if thing else ""


def kinds(runs: Sequence[Run]) -> dict[str, Any]:
    totals: dict[str, list[dict[str, Any] | None]] = {}
    for number, run in enumerate(runs):
        everything = sum(row["triplets"] for row in run.tables["kinds"])
        for row in run.tables["kinds"]:
            of = totals.setdefault(row["kind"], [None] * len(runs))
            held = of[number] or {"triplets": 0, "splits": []}
            held["triplets"] += row["triplets"]
            held["splits"].append((row["split"], row["triplets"]))
            held["share"] = held["triplets"] / everything
            of[number] = held
    widest = max((held["share"] for of in totals.values() for held in of if held), default=1)
    rows = [
        {"name": _words(kind),
         "of": [held and {**held, "width": _percent(held["share"], widest)} for held in of]}
        for kind, of in sorted(totals.items(), key=lambda entry: _place_of_kind(entry[0]))
    ]  # fmt: skip
    splits = []
    for run in runs:
        counts: dict[str, int] = {}
        for row in run.tables["kinds"]:
            counts[row["split"]] = counts.get(row["split"], 0) + row["triplets"]
        splits.append(counts)
    return {"rows": rows, "splits": splits}


def contradictions(runs: Sequence[Run]) -> list[dict[str, Any]]:
    kinds: dict[str, list[list[dict[str, Any]]]] = {}
    styles = {"exclusive value": "strong", "other object": "medium", "silence": "weak"}
    for number, run in enumerate(runs):
        for row in run.tables["contradictions"]:
            if row["contradiction"]:
                kinds.setdefault(row["kind"], [[] for _ in runs])[number].append(
                    {"how": row["contradiction"], "share": row["share_of_kind"],
                     "width": _percent(row["share_of_kind"], 1), "style": styles.get(row["contradiction"], "weak")}
                )  # fmt: skip
    for of in kinds.values():
        for parts in of:
            parts.sort(key=lambda part: list(styles).index(part["how"]) if part["how"] in styles else len(styles))
    return [{"name": _words(kind), "of": kinds[kind]} for kind in sorted(kinds, key=_place_of_kind)]


def axes(runs: Sequence[Run]) -> list[dict[str, Any]]:
    rows = merged(runs, "axes", ("axis",))
    shares = [row[name] or 0 for entry in rows for row in entry["of"] if row
              for name in ("share_of_facts", "share_of_triplets")]  # fmt: skip
    widest = max(shares, default=1) or 1
    return [
        {"name": entry["key"][0],
         "of": [row and {**row, "facts_width": _percent(row["share_of_facts"] or 0, widest),
                         "triplets_width": _percent(row["share_of_triplets"] or 0, widest)} for row in entry["of"]]}
        for entry in rows
    ]  # fmt: skip


def spread(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For subjects and for conditions: the curve, and what it says."""
    found = []
    for what in ("subject", "condition"):
        lines, told, table = [], [], []
        for run in runs:
            for of, style in (("facts", "thin"), ("triplets", "")):
                points = [(row["rank"], row["share_up_to"]) for row in run.tables["ranks"]
                          if (row["what"], row["of"]) == (what, of)]  # fmt: skip
                if points:
                    name = f"{of} of {run.name}" if len(runs) > 1 else of
                    lines.append(charts.Line(name, f"{run.style} {style}", points))
                    table += [(name, rank, share) for rank, share in points]
            mined, stated = (_head_and_tail(run, what, of) for of in ("triplets", "facts"))
            if mined and stated:
                told.append({
                    "run": run, "head": mined["share_of_top_50"], "facts_head": stated["share_of_top_50"],
                    "alike": 2 ** mined["entropy_bits"], "distinct": mined["distinct"], "once": mined["singletons"],
                })  # fmt: skip
        if lines:
            chart = charts.share_by_rank(lines, f"Share of all rows that the most frequent {what}s have, by rank")
            found.append({"what": what, "chart": chart, "told": told, "table": table})
    return found


def lists(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Subjects and conditions to search in: rows of the name, the kind where there is one, and figures by dataset."""
    wanted: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("subjects", ("subject",), ("triplets", "facts", "images")),
        ("conditions", ("condition", "kind"), ("triplets", "subjects")),
    )
    if len(runs) > 1:  # of each only what they are compared by
        wanted = tuple((table, key, figures[:1]) for table, key, figures in wanted)
    found = []
    for table, key, figures in wanted:
        rows: list[list[Any]] = []
        # What is not among the first rows may be among the others.
        missing = [0 if run.counts[table] == len(run.tables[table]) else None for run in runs]
        for entry in merged(runs, table, key):
            numbers = [
                row[name] if row else none for row, none in zip(entry["of"], missing, strict=True) for name in figures
            ]
            rows.append([cut(entry["key"][0], 120), *(_words(name) for name in entry["key"][1:]), *numbers])
        first = len(key)
        rows.sort(key=lambda row: (-sum(number or 0 for number in row[first :: len(figures)]), row[0]))
        kept = _within(rows, LISTED_BYTES)
        if kept:
            heads = [f"{name}{f', {run.name}' if len(runs) > 1 else ''}" for run in runs for name in figures]
            data = {"rows": kept, "first": first, "per": len(figures), "runs": [run.name for run in runs]}
            found.append({
                "table": table, "one": key[0], "heads": heads, "kept": len(kept), "by_kind": first > 1,
                "all": max(run.counts[table] for run in runs),
                "cut": any(run.counts[table] > len(kept) for run in runs),
                "first": kept[:15], "kinds": sorted({row[1] for row in kept}) if first > 1 else [],
                "data": _as_script(data), "figures": first,
            })  # fmt: skip
    return found


def _within(rows: list[list[Any]], most: int) -> list[list[Any]]:
    size = 0
    for number, row in enumerate(rows):
        size += len(_as_script(row).encode()) + 1
        if size > most:
            return rows[:number]
    return rows


def _as_script(data: Any) -> Markup:
    """JSON for a script element, in which no markup begins or ends."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


def removed(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What was removed, by stage and reason, with a few examples."""
    stages: dict[str, list[dict[str, Any]]] = {}
    widest: dict[str, float] = {}
    for run in runs:
        for row in run.tables["rejects"]:
            widest[row["stage"]] = max(widest.get(row["stage"], 0.1), row["share_of_rows_in"] or 0.0)
    for entry in merged(runs, "rejects", ("stage", "reason")):
        stage, reason = entry["key"]
        of = [row and {**row, "width": _percent(row["share_of_rows_in"] or 0, widest[stage])} for row in entry["of"]]
        examples = [row for run in runs for row in run.tables["reject_examples"]
                    if (row["stage"], row["reason"]) == (stage, reason)]  # fmt: skip
        stages.setdefault(stage, []).append({
            "reason": _words(reason), "meaning": MEANINGS.get(reason, ""), "of": of, "examples": examples[:4],
        })  # fmt: skip
    return [{"stage": stage, "entering": _STAGES[stage][0], "reasons": reasons}
            for stage in _STAGES if (reasons := stages.get(stage))]  # fmt: skip


def measures(runs: Sequence[Run]) -> list[dict[str, Any]]:
    found = []
    for measure, (title, about, low, high) in _MEASURES.items():
        of = [[row for row in run.tables["histograms"] if row["measure"] == measure] for run in runs]
        known = [row for rows in of for row in rows if row["from"] is not None]
        if not known:
            continue
        width = known[0]["to"] - known[0]["from"]
        ends = (float(low), float(high if high is not None else max(row["to"] for row in known)))
        kinds = sorted({row["kind"] for row in known}, key=_place_of_kind)
        rows = []
        for kind in kinds:
            bins = []
            for run, told in zip(runs, of, strict=True):
                mine = [row for row in told if row["kind"] == kind]
                unknown = sum(row["share_of_kind"] for row in mine if row["from"] is None)
                bars = [(row["from"], (row["share_of_kind"],)) for row in mine if row["from"] is not None]
                bins.append(charts.Bins(_words(kind), (run.style,), bars, unknown))
            rows.append(bins)
        chart = charts.strips(rows, width, ends, f"{title} of the triplets of each kind")
        table = [
            (run.name, _words(row["kind"]), _bin(row), row["triplets"], row["share_of_kind"])
            for run, told in zip(runs, of, strict=True) for row in told
        ]  # fmt: skip
        some_unknown = any(bins.unknown and bins.unknown >= 0.005 for row in rows for bins in row)
        found.append({"title": title, "about": about, "chart": chart, "table": table, "unknown": some_unknown})
    return found


def _bin(row: Row) -> str:
    return "unknown" if row["from"] is None else f"{row['from']:g} to {row['to']:g}"


def fits(runs: Sequence[Run]) -> list[dict[str, Any]]:
    found = []
    for score, (title, about) in _SCORES.items():
        of = [[row for row in run.tables["fit_histograms"] if row["score"] == score] for run in runs]
        known = [row for rows in of for row in rows]
        if not known:
            continue
        ends = (min(row["from"] for row in known), max(row["to"] for row in known))
        drawn = []
        for run, rows in zip(runs, of, strict=True):
            if not rows:
                continue
            kept, dropped = (sum(row[name] for row in rows) for name in ("kept", "dropped"))
            bars = [(row["from"], (row["kept"], row["dropped"])) for row in rows]
            bins = charts.Bins("", (run.style, "dropped"), bars)
            mark = run.mined.get({"caption_score": "min_caption_score", "fact_score": "min_fact_score"}.get(score, ""))
            chart = charts.histogram(
                bins, 0.02, ends, f"{title} {about}: {kept:,} kept and {dropped:,} dropped, by cosine", mark
            )
            drawn.append({"run": run, "chart": chart, "kept": kept, "dropped": dropped})
        table = [
            (run.name, _bin(row), row["kept"], row["dropped"])
            for run, rows in zip(runs, of, strict=True) for row in rows
        ]  # fmt: skip
        found.append({"title": title, "about": about, "drawn": drawn, "table": table})
    return found


def people(runs: Sequence[Run]) -> dict[str, Any]:
    groups = merged(runs, "people", ("gender", "age"))
    shares = [row[name] or 0 for entry in groups for row in entry["of"] if row
              for name in ("share_of_facts", "share_of_triplets")]  # fmt: skip
    widest = max(shares, default=1) or 1
    rows = [
        {"name": _group(*entry["key"]),
         "of": [row and {**row, "facts_width": _percent(row["share_of_facts"] or 0, widest),
                         "triplets_width": _percent(row["share_of_triplets"] or 0, widest)} for row in entry["of"]]}
        for entry in groups
    ]  # fmt: skip
    said = []
    for run in runs:
        by_group: dict[str, dict[str, list[Row]]] = {}
        for row in run.tables["person_groups"]:
            if row["lift"] > 1:
                by_group.setdefault(_group(row["gender"], row["age"]), {}).setdefault(row["what"], []).append(row)
        if by_group:
            said.append({"run": run, "groups": by_group})
    words = merged(runs, "person_words", ("term", "gender", "age"))
    return {"groups": rows, "said": said, "words": [{**word, "group": _group(*word["key"][1:])} for word in words],
            "what": _SAID}  # fmt: skip


def _group(gender: str, age: str) -> str:
    if gender == age == "unstated":
        return "neither stated"
    return ", ".join(
        f"{name} unstated" if told == "unstated" else told for name, told in (("gender", gender), ("age", age))
    )


def leanings(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Words said more often of one gender: those of which the first dataset is sure, then those of the second."""
    found = []
    for what, title in _SAID.items():
        entries = [entry for entry in merged(runs, "person_genders", ("what", "words")) if entry["key"][0] == what]
        sides = []
        for leans in ("female", "male"):
            sure = [entry for entry in entries if any(_surely(leans, row) for row in entry["of"])][:7]
            sides.append(
                (leans, [{"words": entry["key"][1], "of": [_leaning(row) for row in entry["of"]]} for entry in sure])
            )
        if any(rows for _, rows in sides):
            found.append({"title": title, "sides": sides})
    return found


def _surely(leans: str, row: Row | None) -> bool:
    return row is not None and row["leans"] == leans and abs(row["z"]) >= _SURE


def _leaning(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    times = math.exp(abs(row["log_odds"]))
    width = min(math.log(times) / math.log(_TIMES_SHOWN), 1)
    return {**row, "times": f"{times:.0f}" if times >= 10 else f"{times:.1f}", "width": f"{100 * width:.1f}%"}


def provenance(run: Run) -> dict[str, Any]:
    manifest = run.report.manifest
    sampler = f"sampler {run.mined['sampler']}, seed {manifest.seed}" if "sampler" in run.mined else "not mined yet"
    model = manifest.configuration.get("score", {}).get("model")
    return {
        "run": run,
        "rows": [
            ("folder", run.report.out),
            ("made", f"{manifest.created}, by facetmine {manifest.facetmine_version}; {sampler}"),
            *([("scored by", f"CLIP model {model}")] if model else []),
            ("inputs", "; ".join(f"{entry.source}: {entry.path} ({entry.format})" for entry in manifest.inputs[:10])
             + (f" and {len(manifest.inputs) - 10:,} more" if len(manifest.inputs) > 10 else "")),
            ("libraries", ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())),
        ],
        "notes": [f"{name}: {note}" for name, stage in manifest.stages.items() for note in stage.notes],
        "configuration": json.dumps(manifest.configuration, ensure_ascii=False, indent=1),
    }  # fmt: skip


# Numbers and texts as the page writes them.


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.1f}"


def share(value: float | None) -> str:
    if value is None:
        return "–"
    percent = 100 * value
    if percent == 0 or percent >= 99.95:
        return f"{percent:.0f}%"
    if percent < 0.05:
        return "<0.1%"
    return f"{percent:.0f}%" if 9.95 <= percent < 99 else f"{percent:.1f}%"


def cut(text: str | None, longest: int = LONGEST) -> str:
    if text is None:
        return ""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _place_of_kind(kind: str) -> tuple[int, str]:
    return (list(RULES).index(kind) if kind in RULES else len(RULES), kind)


def _percent(part: float, whole: float) -> str:
    """A width in CSS; what is there at all can be seen."""
    return f"{max(100 * part / whole, 0.4) if part and whole else 0:.2f}%"
