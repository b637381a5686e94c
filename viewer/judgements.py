"""People's judgements of triplets: which are to be judged, and what was said, in Parquet files beside the run."""

import io
import posixpath
import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import Store
from schemas import places
from schemas.tables import JUDGEMENTS, conform
from viewer.queries import records

FOLDER = "judgements"
VERDICTS = ("true", "false", "unsure")
FAULTS = ("reference", "condition", "target", "text_distractor", "image_distractor", "subject")


class JudgementError(ValueError):
    """A judgement that cannot be, or a file of judgements that cannot be read; the message says why."""


@dataclass(frozen=True)
class Judgement:
    """A row of the judgements table (schemas.tables.JUDGEMENTS)."""

    triplet_id: str
    kind: str
    text_distractor_id: str | None
    image_distractor_id: str | None
    verdict: str
    fault: str | None
    judge: str
    judged_at: datetime
    seed: int


def read(out: str) -> pa.Table:
    """All judgements of a dataset, of schema JUDGEMENTS, in the order of their files; none where there are none.

    Raises:
        JudgementError: a file is no Parquet file of judgements; names it.
        PlaceError: the store cannot be reached.
    """
    store = Store(out)
    tables = []
    for name in store.names(FOLDER):
        if not name.endswith(".parquet") or name.startswith("."):
            continue
        try:
            content = places.read_whole(store.url(f"{FOLDER}/{name}"))
            tables.append(conform(pq.read_table(io.BytesIO(content)), JUDGEMENTS))
        except (pa.ArrowException, ValueError, OSError) as error:
            raise JudgementError(f"{posixpath.join(out, FOLDER, name)} holds no judgements: {error}") from None
    return pa.concat_tables([JUDGEMENTS.empty_table(), *tables]).combine_chunks()


def sample(connection: duckdb.DuckDBPyConnection, seed: int, of_each: int) -> list[dict[str, Any]]:
    """The triplets to judge, in order, as dictionaries of ``triplet_id`` and ``kind``.

    From every kind ``of_each``, or all that it has, drawn by hash of seed and id, so that the same seed draws the same;
    and in turn, so that whoever stops early has judged of each kind the same number.
    """
    # md5, for the reason that views.sql gives. A repeat of the genecis preset has its id once.
    sql = """
        WITH ranked AS (
            SELECT triplet_id, kind, row_number() OVER (PARTITION BY kind ORDER BY draw, triplet_id) AS place
            FROM (SELECT DISTINCT triplet_id, kind, md5(concat(triplet_id, ':', ?::VARCHAR)) AS draw FROM triplets)
        )
        SELECT triplet_id, kind FROM ranked WHERE place <= ? ORDER BY place, kind
    """
    return records(connection.execute(sql, [str(seed), of_each]))


class Sitting:
    """One person's judgements from the first to the last of a sitting: a file that is written anew with each.

    Nobody else writes that file, so people judge the same dataset at the same time, and a reader sees all judgements
    but perhaps the last. Threads share a sitting.
    """

    def __init__(self, out: str, judge: str, seed: int) -> None:
        self.judge = judge
        self.seed = seed
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._url = Store(out).url(f"{FOLDER}/{began}-{secrets.token_hex(4)}.parquet")
        self._said: list[Judgement] = []
        self._lock = threading.Lock()

    def say(self, triplet: Mapping[str, Any], verdict: str, fault: str | None = None) -> Judgement:
        """Judge a triplet, a row of the triplets table.

        Raises:
            JudgementError: there is no such verdict or fault, or a fault of a triplet that is not false.
            OSError, PlaceError: it cannot be written; then it was not said.
        """
        if verdict not in VERDICTS:
            raise JudgementError(f"a verdict is one of {', '.join(VERDICTS)}, not {verdict!r}")
        if (verdict == "false") != (fault is not None) or fault not in (None, *FAULTS):
            raise JudgementError(f"of a false triplet, and only of one, the part at fault is told: {', '.join(FAULTS)}")
        said = Judgement(
            triplet["triplet_id"],
            triplet["kind"],
            triplet["text_distractor_id"],
            triplet["image_distractor_id"],
            verdict,
            fault,
            self.judge,
            datetime.now(UTC),
            self.seed,
        )
        with self._lock:
            self._write([*self._said, said])
        return said

    def undo(self) -> Judgement | None:
        """Take back the last judgement of this sitting; None where there is none left."""
        with self._lock:
            if not self._said:
                return None
            last = self._said[-1]
            self._write(self._said[:-1])
        return last

    def _write(self, said: list[Judgement]) -> None:
        table = pa.Table.from_pylist([asdict(one) for one in said], schema=JUDGEMENTS)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        places.write_whole(self._url, memoryview(sink.getvalue()))
        self._said = said
