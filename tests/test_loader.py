"""The loader: every row once, in an order of the seed's, from any number of readers, and resumable anywhere."""

from pathlib import Path

import numpy as np
import pytest
from commands import facetmine

pytest.importorskip("torch", reason="torch is not installed: pip install 'facetmine[train]'")

from downstream.loader import TripletDataset, TripletLoader
from downstream.shards import ShardError, TripletIndex, open_index
from schemas import views


@pytest.fixture(scope="module")
def out(captions_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("loader") / "out"
    facetmine("run", "-i", captions_file, "-o", folder, "--partitions", 4, "--split", 0.3, "--triplets", 900)
    return str(folder)


@pytest.fixture(scope="module")
def index(out: str, tmp_path_factory: pytest.TempPathFactory) -> TripletIndex:
    return open_index(out, tmp_path_factory.mktemp("index"))


def rows_of(batches: object) -> list[int]:
    return np.concatenate([batch["row"].numpy() for batch in batches]).tolist()  # type: ignore[attr-defined]


def test_the_index_says_what_the_triplets_say(out: str, index: TripletIndex) -> None:
    said = views.connect(out).execute(
        "SELECT reference_id, target_id, text_distractor_id, image_distractor_id, condition, kind FROM triplets"
    )
    ids = index.image_ids.to_pylist()
    found = [
        (*(ids[number] if number >= 0 else None for number in row[:4]), index.conditions[row[4]], index.kinds[row[6]])
        for row in index.rows
    ]
    assert sorted(map(str, found)) == sorted(map(str, said.fetchall()))


def test_queries_are_equal_where_right_answers_are(out: str, index: TripletIndex) -> None:
    """Of focus_attribute a picture of the same subject with another value on the axis is a wrong answer."""
    columns = ["target_id", "reference_id", "condition", "subject", "kind", "target_attribute"]
    said = views.connect(out).execute(f"SELECT {', '.join(columns)} FROM triplets").fetchall()
    ids = index.image_ids.to_pylist()
    asked: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for target, reference, condition, subject, kind, value in said:
        row = (target, reference, condition, kind)
        asked.setdefault(row, set()).add((condition, subject, value if kind == "focus_attribute" else ""))
    found: dict[int, set[tuple[str, ...]]] = {}
    for row in index.rows:
        told = asked[ids[row[1]], ids[row[0]], index.conditions[row[4]], index.kinds[row[6]]]
        if len(told) == 1:
            found.setdefault(int(row[5]), set()).update(told)
    assert all(len(queries) == 1 for queries in found.values())
    assert len(set().union(*found.values())) == len(found)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_and_a_kind_are_chosen(out: str, split: str, tmp_path: Path) -> None:
    (wanted,) = views.connect(out).execute(
        "SELECT count(*) FROM triplets WHERE split = ? AND kind = 'relation'", [split]
    ).fetchone()  # fmt: skip
    assert len(open_index(out, tmp_path, kinds=["relation"], split=split)) == wanted
    with pytest.raises(ShardError, match="no triplets of kind nonsense"):
        open_index(out, tmp_path, kinds=["nonsense"], split=split)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_readers_have_every_row_once(index: TripletIndex, ranks: int, workers: int) -> None:
    seen: list[int] = []
    for rank in range(ranks):
        dataset = TripletDataset(index, batch_size=6 * ranks, rank=rank, ranks=ranks, seed=3)
        seen += rows_of(TripletLoader(dataset, workers if rank == 0 else 0))
    left = len(index) % (6 * ranks)
    assert len(seen) == len(set(seen)) == len(index) - (left if left < ranks else 0)


def test_processes_together_have_the_batches_of_one(index: TripletIndex) -> None:
    alone = TripletDataset(index, batch_size=32, seed=1, drop_last=True)
    parts = [TripletDataset(index, batch_size=32, rank=rank, ranks=2, seed=1, drop_last=True) for rank in range(2)]
    for batch, first, second in zip(alone, *parts, strict=True):
        assert batch["row"].tolist() == first["row"].tolist() + second["row"].tolist()


def test_the_order_is_the_seeds_and_the_epochs(index: TripletIndex) -> None:
    def epochs(seed: int) -> list[list[int]]:
        loader = TripletLoader(TripletDataset(index, batch_size=50, seed=seed))
        return [rows_of(loader) for _ in range(2)]

    first, second = epochs(0)
    assert first != second
    assert sorted(first) == sorted(second)
    assert epochs(0) == [first, second]
    assert epochs(1)[0] != first


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_loader_goes_on_where_another_stopped(index: TripletIndex, workers: int) -> None:
    def loader(number: int) -> TripletLoader:
        return TripletLoader(TripletDataset(index, batch_size=40, seed=5), number)

    one = loader(0)
    whole = [batch["row"].tolist() for _ in range(2) for batch in one]
    stopped = loader(2)
    begun = []
    for batch in stopped:
        begun.append(batch["row"].tolist())
        if len(begun) == 4:
            break
    state = stopped.state_dict()
    resumed = loader(workers)
    resumed.load_state_dict(state)
    rest = [batch["row"].tolist() for batch in resumed] + [batch["row"].tolist() for batch in resumed]
    assert begun + rest == whole


def test_a_state_of_other_rows_is_refused(index: TripletIndex) -> None:
    state = TripletLoader(TripletDataset(index, batch_size=40)).state_dict()
    with pytest.raises(ShardError, match="batch_size was 40 and is 20 now"):
        TripletLoader(TripletDataset(index, batch_size=20)).load_state_dict(state)


def test_too_many_readers_are_refused(index: TripletIndex) -> None:
    ranks = len(index) + 1
    with pytest.raises(ShardError, match="too few"):
        TripletDataset(index, batch_size=ranks, ranks=ranks)
    with pytest.raises(ShardError, match="evenly"):
        TripletDataset(index, batch_size=10, ranks=3)
