"""A catalogue of one's own: queries over a folder of pictures, against brute force, and single searches by an index."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'facetmine[train]'")
pytest.importorskip("open_clip", reason="open_clip is not installed: pip install 'facetmine[clip]'")

import torch
from PIL import Image

import beam_runner
import encoders
from toyworld import World, png

CONDITIONS = ("red", "striped", "on grass")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of 40 toy pictures with one broken file, and 12 queries with one or two right answers each."""
    root = tmp_path_factory.mktemp("catalogue")
    pictures = root / "pictures"
    (pictures / "more").mkdir(parents=True)
    names = [f"{'more/' * (number % 2)}{number}.png" for number in range(40)]
    for number, name in enumerate(names):
        (pictures / name).write_bytes(png(World().scene(random.Random(number))))
    (pictures / "broken.png").write_bytes(b"no picture")
    chance = random.Random(0)
    lines = []
    for number in range(12):
        reference, *right = chance.sample(names, 2 + number % 2)
        lines.append(json.dumps({"reference": reference, "condition": CONDITIONS[number % 3], "right": right}))
    (root / "queries.jsonl").write_text("\n".join(lines) + "\n")
    return pictures, root / "queries.jsonl"


@pytest.fixture
def ranks(catalogue: tuple[Path, Path]) -> list[int]:
    """Rank of the first right answer of each query by image + text, by a loop over all pictures."""
    encoder = encoders.load("toyworld", device="cpu")
    pictures, queries = catalogue
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png") if path.stem != "broken")
    pixels = torch.stack([encoder.preprocess(Image.open(pictures / name).convert("RGB")) for name in names])
    vectors = dict(zip(names, encoder.encode_images(pixels), strict=True))
    found = []
    for query in map(json.loads, queries.read_text().splitlines()):
        asked = vectors[query["reference"]] + encoder.encode_texts([query["condition"]])[0]
        others = sorted((name for name in names if name != query["reference"]), key=lambda name: -vectors[name] @ asked)
        found.append(1 + min(others.index(name) for name in query["right"]))
    return found


def test_queries_of_a_catalogue_are_ranked_as_by_brute_force(
    catalogue: tuple[Path, Path], ranks: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = ["evaluate", "--queries", str(catalogue[1]), "--gallery", str(catalogue[0]), "--encoder", "toyworld"]
    assert beam_runner.main([*command, "--model", "image+text", "text-only", "--output", str(tmp_path / "out")]) == 0
    shown, told = capsys.readouterr()
    assert "left out of the gallery: broken.png" in told
    for heading in ("mean rank", "by condition", "Median time a query", "Differences"):
        assert heading in shown
    rows = [
        row for row in pq.read_table(tmp_path / "out/answers.parquet").to_pylist() if row["model"] == "image + text"
    ]
    assert [row["rank"] for row in rows] == ranks
    (task,) = json.loads((tmp_path / "out/results.json").read_text())["tasks"]
    model = task["models"]["image + text"]
    assert model["recall@5"]["mean"] == pytest.approx(np.mean(np.array(ranks) <= 5))
    assert model["mean_rank"] == pytest.approx(np.mean(ranks))
    page = (tmp_path / "out/page.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') > 24
    assert "http" not in page


def test_a_search_answers_from_the_index_and_sees_what_is_new(
    catalogue: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(6):
        (pictures / f"{number}.png").write_bytes(png(World().scene(random.Random(number))))
    command = [
        "search",
        "--gallery",
        str(pictures),
        "--reference",
        "0.png",
        "--condition",
        "red",
        "--encoder",
        "toyworld",
    ]
    command += ["--index", str(tmp_path / "index"), "--format", "json", "--model", "image-only"]

    def answers() -> list[str]:
        assert beam_runner.main(command) == 0
        return [json.loads(line)["image"] for line in capsys.readouterr().out.splitlines()]

    first = answers()
    assert sorted(first) == [f"{number}.png" for number in range(1, 6)]
    (kept,) = (tmp_path / "index").glob("*.arrow")
    before = kept.stat().st_mtime_ns
    assert answers() == first
    assert kept.stat().st_mtime_ns == before
    (pictures / "copy.png").write_bytes((pictures / "0.png").read_bytes())
    assert answers() == ["copy.png", *first]
