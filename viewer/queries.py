"""What the page asks of a dataset: which triplets a selection has, a page of them, and names to choose from.

Everything is asked of the Parquet files where they lie. What is kept are the numbers of the rows that the last
selections have, 8 bytes each, so that any page of a selection costs no more than its rows; and, once a thread has made
it, an index of the texts, without which a search reads all captions.
"""

import contextlib
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from schemas.manifest import Manifest
from schemas.tables import TRIPLETS
from schemas.views import connect, paths_of, reading
from viewer import marks
from viewer.texts import Texts

MEASURES = tuple(str(column.name) for column in TRIPLETS if str(column.type) == "float")
"""Columns that a range can be asked of, and that precision is told by: filter measures and scores."""

NAMES = ("subject", "condition")
TEXTS = ("condition", "subject", *(f"{role}_caption" for role in marks.ROLES))
"""Columns that text is searched in."""

MOST_INDEXED = 5_000_000
"""Triplets; the index of texts takes about 100 MB of memory for a million."""

_SELECTIONS_KEPT = 16
_TERM = re.compile(r'"([^"]+)"|(\S+)')
_BEGINS_ID = re.compile(r"[0-9a-f]{8,32}")

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """Which triplets, and in which order.

    Attributes:
        kinds: any of these; all where there are none.
        text: words, or "words in a row", that all occur in condition, subject or captions, in any case; one of 8 or
            more hexadecimal digits may also begin the id.
        ranges: measures with the least and the greatest value asked for, None for no bound; null is in no range.
        seed: of a random order; None for that of the files.
    """

    kinds: tuple[str, ...] = ()
    subject: str = ""
    condition: str = ""
    axis: str = ""
    split: str = ""
    text: str = ""
    ranges: tuple[tuple[str, float | None, float | None], ...] = ()
    seed: int | None = None

    @property
    def terms(self) -> list[str]:
        """The words, and the words in a row, of ``text``."""
        return [phrase or word for phrase, word in _TERM.findall(self.text)]

    def where(self, *, with_text: bool = True) -> tuple[str, list[Any]]:
        """The SQL condition, and its parameters; "" where everything is selected."""
        wanted: list[tuple[str, list[Any]]] = []
        if self.kinds:
            wanted.append((f"kind IN ({', '.join('?' * len(self.kinds))})", list(self.kinds)))
        for column in (*NAMES, "axis", "split"):
            if value := getattr(self, column):
                wanted.append((f"{column} = ?", [value]))
        for column, least, most in self.ranges:
            if column not in MEASURES:
                raise ValueError(f"no measure is called {column!r}")
            wanted += [
                (f"{column} {sign} ?::FLOAT", [bound])
                for sign, bound in ((">=", least), ("<=", most))
                if bound is not None
            ]
        for term in self.terms if with_text else []:
            found = [f"{column} ILIKE ? ESCAPE '!'" for column in TEXTS]
            escaped = re.sub("([!%_])", r"!\1", term)
            values: list[Any] = [f"%{escaped}%"] * len(TEXTS)
            if _BEGINS_ID.fullmatch(term):
                found.append("starts_with(triplet_id, ?)")
                values.append(term)
            wanted.append((f"({' OR '.join(found)})", values))
        return " AND ".join(sql for sql, _ in wanted), [value for _, values in wanted for value in values]


@dataclass
class _Kept:
    """Rows of a selection that are being looked up, or have been."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    positions: Positions | None = None


class Catalogue:
    """The triplets of a dataset. Threads share it.

    Attributes:
        out, manifest: the dataset.
        connection: to it, as schemas.views makes it; threads take a cursor each.
        rows: number of triplets.
    """

    def __init__(self, out: str, manifest: Manifest) -> None:
        """Raises ManifestError: the dataset cannot be read."""
        self.out = out
        self.manifest = manifest
        self.connection = connect(out, manifest)
        self._paths = paths_of(out, manifest, "triplets")
        sizes = [file.rows for file in manifest.files("triplets")]
        self._starts = np.cumsum([0, *sizes])
        self.rows = int(self._starts[-1])
        self._kept: OrderedDict[Selection, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._texts: Texts | None = None

    def index_texts(self) -> None:
        """Make the index of texts, with which searches are quick; of very many triplets none is made."""
        if self._paths and self.rows <= MOST_INDEXED:
            with contextlib.suppress(duckdb.Error):  # the page is closed meanwhile, or memory is short
                self._texts = Texts(self.cursor(), reading(self._paths), TEXTS)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self.connection.cursor()

    def close(self) -> None:
        """Break off what is being asked, and let go of the files."""
        self.connection.interrupt()
        self.connection.close()

    def about(self) -> dict[str, Any]:
        """Counts by kind, axis and split, and the range of every measure that is not null throughout."""
        kinds: dict[str, int] = {}
        axes: dict[str, int] = {}
        splits: dict[str, int] = {}
        if not self._paths:
            return {"rows": 0, "kinds": kinds, "axes": axes, "splits": splits, "measures": {}}
        counts = self.cursor().execute("SELECT kind, axis, split, count(*) FROM triplets GROUP BY ALL ORDER BY ALL")
        for kind, axis, split, number in counts.fetchall():
            for counted, name in ((kinds, kind), (axes, axis), (splits, split)):
                if name is not None:
                    counted[name] = counted.get(name, 0) + number
        bounds = ", ".join(f"min({name}), max({name})" for name in MEASURES)
        row = self.cursor().execute(f"SELECT {bounds} FROM triplets").fetchone() or ()
        pairs = zip(MEASURES, row[::2], row[1::2], strict=True)
        measures = {name: [least, most] for name, least, most in pairs if least is not None}
        return {"rows": self.rows, "kinds": kinds, "axes": dict(sorted(axes.items())), "splits": splits,
                "measures": measures}  # fmt: skip

    def names(self, column: str, beginning: str, most: int = 30) -> list[tuple[str, int]]:
        """Subjects or conditions that begin so, the most frequent first, with their numbers of triplets."""
        if column not in NAMES:
            raise ValueError(f"no column {column!r} of names")
        sql = f"""
            SELECT {column}, count(*) FROM triplets WHERE starts_with(lower({column}), lower(?))
            GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT {int(most)}
        """
        return self.cursor().execute(sql, [beginning]).fetchall()

    def page(self, selection: Selection, first: int, number: int) -> tuple[list[dict[str, Any]], int]:
        """Some rows of the selection, and how many it has."""
        positions = self.positions(selection)
        return self.at(positions[max(first, 0) : max(first, 0) + number]), len(positions)

    def positions(self, selection: Selection) -> Positions:
        """Numbers of the selected rows among all rows of the files, int64 of shape (selected,), in order."""
        with self._lock:
            kept = self._kept.setdefault(selection, _Kept())
            self._kept.move_to_end(selection)
            while len(self._kept) > _SELECTIONS_KEPT:
                self._kept.popitem(last=False)
        with kept.lock:  # a second request for the same waits for the first
            if kept.positions is None:
                kept.positions = self._look_up(selection)
            return kept.positions

    def _look_up(self, selection: Selection) -> Positions:
        texts = self._texts
        if any(map(_BEGINS_ID.fullmatch, selection.terms)):
            texts = None  # which does not know the ids
        where, values = selection.where(with_text=texts is None)
        if not where or not self._paths:
            positions = np.arange(self.rows)
        else:
            sql = f"SELECT file_index, file_row_number FROM {reading(self._paths)} WHERE {where}"
            found = self.cursor().execute(sql, values).fetchnumpy()
            positions = np.sort(self._starts[found["file_index"].astype(np.int64)] + found["file_row_number"])
        if texts is not None:
            for term in selection.terms:
                positions = positions[texts.rows_with(term)[positions]]
        if selection.seed is not None:
            positions = np.random.default_rng(abs(selection.seed)).permutation(positions)
        return positions

    def at(self, positions: Positions) -> list[dict[str, Any]]:
        """The rows with these numbers, in the order of the numbers."""
        if not len(positions):
            return []
        files = np.searchsorted(self._starts, positions, side="right") - 1
        queries = []
        for file in np.unique(files):
            start = int(self._starts[file])
            numbers = ", ".join(str(int(position) - start) for position in positions[files == file])
            queries.append(
                f"SELECT {start} + file_row_number AS position, * FROM {reading([self._paths[file]])} "
                f"WHERE file_row_number IN ({numbers})"
            )
        rows = records(self.cursor().execute(" UNION ALL BY NAME ".join(queries)))
        by_position = {row.pop("position"): row for row in rows}
        return [by_position[int(position)] for position in positions]

    def with_id(self, triplet: str) -> list[dict[str, Any]]:
        """The rows with that triplet_id: one, or repeats of the genecis preset."""
        return records(self.cursor().execute("FROM triplets WHERE triplet_id = ? ORDER BY ALL", [triplet]))


def records(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The rows of a result as dictionaries."""
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
