"""``facetmine audit``: what people's judgements say of a dataset, with intervals."""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.query import quiet_broken_pipe
from schemas.manifest import Manifest, ManifestError
from schemas.places import PlaceError
from schemas.views import connect
from viewer import judgements
from viewer.intervals import Share, combined, needed, wilson
from viewer.judgements import FAULTS, JudgementError
from viewer.queries import MEASURES, records

WIDTH = 0.1
BINS = 4
MOST = 10_000_000
"""More judgements than that nobody makes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine audit``."""
    parser.add_argument("out", metavar="OUT", help="output dataset: the folder that holds manifest.json")
    parser.add_argument(
        "--width", type=_width, default=WIDTH, metavar="W",
        help="tell how many more judgements make the 95%% intervals that wide (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--judge", metavar="NAME", help="only the judgements of this person")
    parser.add_argument("--json", action="store_true", help="all figures, for programs")


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine audit``; returns the exit status."""
    try:
        manifest = Manifest.read(args.out)
        said = judgements.read(args.out)
        with connect(args.out, manifest) as connection:
            found = audit(connection, said, args.width, judge=args.judge)
    except (ManifestError, JudgementError, PlaceError, duckdb.Error) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    if not found.judged:
        of = f" by {args.judge}" if args.judge else ""
        print(f"{args.out} has no judgements{of} of its triplets; `facetmine browse {args.out}` takes them, under "
              "Judge", file=sys.stderr)  # fmt: skip
        return 1
    with quiet_broken_pipe():
        if args.json:
            print(json.dumps(found.to_json(), indent=2))
        else:
            console = Console()
            with console.capture() as capture:
                found.show(console)
            print("\n".join(line.rstrip() for line in capture.get().split("\n")), end="")
    return 0


@dataclass(frozen=True)
class Counts:
    """Verdicts on some triplets, one a triplet."""

    true: int = 0
    false: int = 0
    unsure: int = 0

    @property
    def precision(self) -> Share:
        """The share of true among true and false."""
        return wilson(self.true, self.true + self.false)


@dataclass(frozen=True)
class Kind:
    """A kind of triplets.

    Attributes:
        triplets: that the dataset has.
        share: of all triplets of the dataset.
        more: judgements that the wanted width needs; None where the kind has fewer triplets than that.
    """

    kind: str
    triplets: int
    share: float
    counts: Counts
    precision: Share
    more: int | None


@dataclass(frozen=True)
class Bin:
    """Judged triplets whose measure lies between two values, both included."""

    measure: str
    least: float
    most: float
    counts: Counts
    precision: Share


@dataclass(frozen=True)
class Audit:
    """What the judgements say.

    Attributes:
        judged: triplets that somebody judged and that are still in the dataset.
        gone: judgements of triplets that are not, or have other distractors now.
        judges: persons, with the number of triplets that each judged.
        twice, agreed: triplets that several persons judged, and those of which they said the same.
        width: what was asked for.
        overall: kinds weighted by their shares of the dataset's triplets.
        covered: share of the triplets that are of a kind with true or false verdicts.
        more: judgements of each kind, of those that are judged, that the width needs overall; None as with kinds.
        faults: false verdicts by the part at fault; a triplet whose judges name several counts for each.
    """

    judged: int
    gone: int
    judges: dict[str, int]
    twice: int
    agreed: int
    width: float
    counts: Counts
    overall: Share
    covered: float
    more: int | None
    kinds: list[Kind]
    faults: dict[str, int]
    measures: list[Bin]

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON's types."""
        return {"level": 0.95, **asdict(self)}

    def show(self, console: Console) -> None:
        """Print the figures for people."""
        persons = ", ".join(f"{name} ({number:,})" for name, number in self.judges.items())
        console.print(Text(f"{self.judged:,} triplets judged by {persons}"))
        if self.twice:
            console.print(Text(f"{self.twice:,} were judged by several, who said the same of {self.agreed:,}; "
                               "where they did not, the triplet counts as unsure"))  # fmt: skip
        if self.gone:
            console.print(Text(f"{self.gone:,} judgements are of triplets that are not here any more"))
        columns = ("kind", "of all", "true", "false", "unsure", "precision", "95% interval", f"more for {self.width:g}")
        table = _table("Precision by kind", *columns)
        for kind in self.kinds:
            _row(table, kind.kind, f"{kind.share:.1%}", kind.counts, kind.precision, _more(kind.more))
        note = "all, weighted" if self.covered > 0.9999 else f"{self.covered:.0%} of all, weighted"
        more = "all of them" if self.more is None else f"{self.more:,} of each" if self.more else "0"
        _row(table, note, f"{self.covered:.1%}", self.counts, self.overall, more, bold=True)
        console.print(table)
        if self.faults:
            table = _table("Parts at fault", "part", "false")
            for fault, number in self.faults.items():
                table.add_row(fault.replace("_", " "), f"{number:,}")
            console.print(table)
        table = _table("Precision by measure", "measure", "from .. to", "true", "false", "unsure", "precision",
                       "95% interval")  # fmt: skip
        name = ""
        for bin_ in self.measures:
            label, name = bin_.measure if bin_.measure != name else "", bin_.measure
            _row(table, label, f"{bin_.least:.3f} .. {bin_.most:.3f}", bin_.counts, bin_.precision)
        if self.measures:
            console.print(table)
        console.print(
            Text("\nIntervals: Wilson's score (1927); overall by MOVER (Zou and Donner 2008). Unsure ones count for "
                 "neither. docs/browse.md tells how to read them.", style="dim")
        )  # fmt: skip


def audit(
    connection: duckdb.DuckDBPyConnection, said: pa.Table, width: float = WIDTH, *, judge: str | None = None
) -> Audit:
    """The figures.

    Args:
        connection: to the dataset (schemas.views.connect).
        said: judgements, of schema JUDGEMENTS.
        judge: whose judgements count; None for everybody's.
    """
    totals = dict(connection.execute("SELECT kind, count(*) FROM triplets GROUP BY ALL ORDER BY ALL").fetchall())
    rows = [row for row in said.to_pylist() if judge is None or row["judge"] == judge]
    here = _triplets(connection, {row["triplet_id"] for row in rows})
    last: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["judged_at"]):
        last[(*_identity(row), row["judge"])] = row
    by_triplet: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    gone = 0
    for row in last.values():
        if _identity(row) in here:
            by_triplet[_identity(row)].append(row)
        else:
            gone += 1
    verdicts = {key: _verdict(rows) for key, rows in by_triplet.items()}
    several = [rows for rows in by_triplet.values() if len(rows) > 1]
    counted = [row for rows in by_triplet.values() for row in rows]
    said_of: dict[str, list[str]] = {name: [] for name in totals}
    for key, verdict in verdicts.items():
        said_of[here[key]["kind"]].append(verdict)
    whole = sum(totals.values())
    kinds = [_kind(name, number, number / whole, _count(said_of[name]), width) for name, number in totals.items()]
    decided = [kind for kind in kinds if kind.precision.share is not None]
    faults = Counter(
        fault
        for key, rows in by_triplet.items()
        if verdicts[key] == "false"
        for fault in {row["fault"] for row in rows}
    )
    return Audit(
        judged=len(by_triplet),
        gone=gone,
        judges=dict(sorted(Counter(row["judge"] for row in counted).items())),
        twice=len(several),
        agreed=sum(len({row["verdict"] for row in rows}) == 1 for rows in several),
        width=width,
        counts=_count(verdicts.values()),
        overall=_overall(decided, 0),
        covered=sum(kind.share for kind in decided),
        more=_more_overall(decided, width),
        kinds=kinds,
        faults={fault: faults[fault] for fault in FAULTS if faults[fault]},
        measures=[
            bin_
            for measure in MEASURES
            for bin_ in _bins(measure, [(here[key][measure], verdict) for key, verdict in verdicts.items()])
        ],
    )


def _triplets(connection: duckdb.DuckDBPyConnection, ids: set[str]) -> dict[tuple[str, ...], dict[str, Any]]:
    wanted = pa.table({"wanted": pa.array(sorted(ids), pa.string())})
    columns = ("triplet_id", "kind", "text_distractor_id", "image_distractor_id", *MEASURES)
    connection.register("judged_ids", wanted)
    found = records(
        connection.execute(
            f"SELECT {', '.join(columns)} FROM triplets "
            "WHERE triplet_id IN (SELECT wanted FROM judged_ids) ORDER BY ALL"
        )
    )
    connection.unregister("judged_ids")
    return {_identity(row): row for row in found}


def _identity(row: dict[str, Any]) -> tuple[str, ...]:
    """What a judgement is of: the id does not tell the distractors, which another mining may draw anew."""
    return row["triplet_id"], row["text_distractor_id"] or "", row["image_distractor_id"] or ""


def _verdict(rows: Sequence[dict[str, Any]]) -> str:
    said = {row["verdict"] for row in rows}
    return said.pop() if len(said) == 1 else "unsure"


def _count(verdicts: Any) -> Counts:
    return Counts(**Counter(verdicts))


def _kind(name: str, triplets: int, share_of_all: float, counts: Counts, width: float) -> Kind:
    precision = counts.precision
    decided = counts.true + counts.false
    # Where nothing is known, as for a precision of one half, which needs the most.
    share = 0.5 if precision.share is None else precision.share

    def after(more: int) -> float:
        return wilson(share * (decided + more), decided + more).width

    more = needed(after, width, MOST)
    return Kind(name, triplets, share_of_all, counts, precision, more if decided + more <= triplets else None)


def _overall(kinds: Sequence[Kind], more: int) -> Share:
    """The precision over these kinds if each had that many more judgements that come out as before."""
    shares = []
    for kind in kinds:
        decided = kind.counts.true + kind.counts.false
        number = max(decided, min(decided + more, kind.triplets))
        shares.append(wilson((kind.precision.share or 0.0) * number, number))
    return combined(shares, [kind.share for kind in kinds])


def _more_overall(kinds: Sequence[Kind], width: float) -> int | None:
    most = max((kind.triplets for kind in kinds), default=0)
    more = needed(lambda number: _overall(kinds, number).width, width, most)
    return more if kinds and _overall(kinds, more).width <= width else None


def _bins(measure: str, values: list[tuple[float | None, str]]) -> list[Bin]:
    """The judged triplets in up to BINS groups by their quartiles of the measure."""
    known = [(value, verdict) for value, verdict in values if value is not None]
    if not known:
        return []
    numbers = np.array([value for value, _ in known])
    edges = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    groups = np.searchsorted(edges, numbers, side="left")
    bins = []
    for group in np.unique(groups):
        inside = numbers[groups == group]
        counts = _count(verdict for (_, verdict), own in zip(known, groups, strict=True) if own == group)
        bins.append(Bin(measure, float(inside.min()), float(inside.max()), counts, counts.precision))
    return bins


def _table(title: str, *columns: str) -> Table:
    table = Table(title=f"\n{title}", title_style="bold", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
                  pad_edge=False)  # fmt: skip
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _row(
    table: Table, label: str, second: str, counts: Counts, precision: Share, *last: str, bold: bool = False
) -> None:
    known = precision.share is not None
    table.add_row(
        label,
        second,
        f"{counts.true:,}",
        f"{counts.false:,}",
        f"{counts.unsure:,}",
        f"{precision.share:.1%}" if known else "-",
        f"{precision.low:.1%} .. {precision.high:.1%}" if known else "-",
        *last,
        style="bold" if bold else None,
    )


def _more(more: int | None) -> str:
    return "all of them" if more is None else f"{more:,}"


def _width(text: str) -> float:
    try:
        width = float(text)
    except ValueError:
        width = 0.0
    if not 0 < width < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no width between 0 and 1, such as 0.05")
    return width
