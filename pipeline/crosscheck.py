"""What a triplet's pictures say of it: the target's statement held against the other images.

A fact was scored with its own image when the images were (stage score). Here the sentence of the target's fact, and the
images that it is to be held against, come with what their facts say to the shard that writes the triplet.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import fit
from filters.fit import Margins
from pipeline.config import FOCUS_KINDS, KINDS
from pipeline.rejects import rejects_table
from pipeline.store import Store, part_name
from pipeline.vectors import cosines, vectors_of
from pipeline.wording import Templates
from schemas import REJECTS

SCORES = ("target_score", "reference_score", "text_distractor_score", "image_distractor_score")
"""Columns of the triplets table that are filled here."""


def with_scores(
    answers: pa.Table, rows: pa.ChunkedArray, states: np.ndarray, shows: np.ndarray, store: Store, part: int,
    partitions: int, templates: Templates,
) -> pa.Table:  # fmt: skip
    """What facts of a part say, with columns ``fact_score``, ``statement`` and ``image``: embeddings, null if unwanted.

    Args:
        answers: columns of schemas.FACTS.
        rows: the facts' rows in the part.
        states, shows: which facts' sentences and which facts' images are wanted, bool.
    """
    name = part_name(part, partitions)
    scores = store.read_table(f"scores/{name}.parquet", ["fact_score"])["fact_score"].take(rows)
    images = store.read_table(f"image_embeddings/{name}.parquet", ["image_key", "embedding"])
    texts = store.read_table(f"text_embeddings/{name}.parquet")
    image = pc.index_in(answers["image_key"], images["image_key"].combine_chunks())
    text = pc.index_in(templates.sentences(answers), texts["text"].combine_chunks())
    for column, table, found, wanted in (("statement", texts, text, states), ("image", images, image, shows)):
        index = pc.if_else(pa.array(wanted), found, None)
        answers = answers.append_column(column, table["embedding"].combine_chunks().take(index))
    return answers.append_column("fact_score", scores)


@dataclass(frozen=True)
class Judged:
    """The draws of a shard with their scores, and without those that the margins reject.

    Attributes:
        draws: schemas.DRAWS with columns :data:`SCORES`.
        answers: those of the draws that are left, slots renumbered.
        rejects: schemas.REJECTS.
    """

    draws: pa.Table
    answers: pa.Table
    rejects: pa.Table


def judge(draws: pa.Table, answers: pa.Table, roles: tuple[str, ...], margins: Margins) -> Judged:
    """Score the draws of a shard and keep those whose pictures bear them out.

    Args:
        answers: with the columns of :func:`with_scores` and ``slot``, the row of the draw times the number of roles
            plus the number of the role; without these columns where the images are not scored.
    """
    if "statement" not in answers.column_names:
        return Judged(draws, answers, REJECTS.empty_table())
    answers = answers.combine_chunks()
    slots = answers["slot"].to_numpy()
    row_of_slot = np.full(len(draws) * len(roles), -1)
    row_of_slot[slots] = np.arange(len(answers))
    scores = _scores(answers, dict(zip(roles, row_of_slot.reshape(-1, len(roles)).T, strict=True)))
    focus = np.isin(draws["kind"].to_numpy(), [KINDS.index(kind) for kind in FOCUS_KINDS])
    targets = row_of_slot.reshape(-1, len(roles))[:, roles.index("target")]
    rejects, kept = [REJECTS.empty_table()], np.ones(len(draws), bool)
    for reason, wrong in fit.contradicted(scores, focus, margins).items():
        found = np.flatnonzero(wrong)
        rejects.append(rejects_table("write", reason, _details(scores, found), answers.take(pa.array(targets[found]))))
        kept[found] = False
    columns = {f"{role}_score": scores[role] for role in ("target", "reference", "image_distractor")}
    columns["text_distractor_score"] = scores["own"]
    for name in SCORES:
        draws = draws.append_column(name, pa.array(columns[name].astype(np.float32), from_pandas=True))
    owner, place = np.divmod(slots, len(roles))
    left = kept[owner]
    renumbered = (np.cumsum(kept) - 1)[owner[left]] * len(roles) + place[left]
    answers = answers.filter(pa.array(left)).drop_columns(["statement", "image", "fact_score", "slot"])
    return Judged(
        draws.filter(pa.array(kept)), answers.append_column("slot", pa.array(renumbered)), pa.concat_tables(rejects)
    )


def _scores(answers: pa.Table, row: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cosines as :func:`fit.contradicted` takes them.

    Of a target's two statements the one that fits less counts, but for the reference, which is to satisfy neither:
    there it is the one by which the target leads less.

    Args:
        row: of every role, the answers' rows; -1 where a draw has no such fact.
    """
    statements, images = _Vectors.of(answers["statement"]), _Vectors.of(answers["image"])
    own = np.append(answers["fact_score"].to_numpy(), np.nan)  # for row -1

    two = row["target_second"] >= 0

    def with_image(image: str) -> list[np.ndarray]:
        return [statements.cosines(row[fact], images, row[image]) for fact in ("target", "target_second")]

    def lesser(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.where(two, np.minimum(first, second), first)

    target, reference = [own[row[fact]] for fact in ("target", "target_second")], with_image("reference")
    leads = [one - other for one, other in zip(target, reference, strict=True)]
    return {
        "target": lesser(*target),
        "reference": np.where(two & (leads[1] < leads[0]), reference[1], reference[0]),
        "text_distractor": lesser(*with_image("text_distractor")),
        "image_distractor": lesser(*with_image("image_distractor")),
        "own": own[row["text_distractor"]],
        "own_elsewhere": statements.cosines(row["text_distractor"], images, row["image_distractor"]),
        "lead": lesser(*leads),
    }


@dataclass(frozen=True)
class _Vectors:
    """A column of embeddings: the known ones as rows, and for every row of the column which one it is, else -1."""

    values: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "_Vectors":
        known = column.is_valid().to_numpy()
        return cls(vectors_of(column.drop_null()), np.append(np.where(known, np.cumsum(known) - 1, -1), -1))

    def cosines(self, rows: np.ndarray, other: "_Vectors", other_rows: np.ndarray) -> np.ndarray:
        """Of pairs of rows of the two columns; NaN where one is unknown."""
        mine, theirs = self.row[rows], other.row[other_rows]
        return cosines(self.values, mine, other.values, theirs)


def _details(scores: Mapping[str, np.ndarray], rows: np.ndarray) -> pa.Array:
    told = [", ".join(f"{role.replace('_', ' ')} {values[row]:.3f}" for role, values in scores.items()) for row in rows]
    return pa.array(told, pa.string())
