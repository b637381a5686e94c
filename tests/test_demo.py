"""The demo: what it makes, and what it says where it cannot."""

import importlib.util
import json
from pathlib import Path

import pytest
from commands import facetmine

import beam_runner
from downstream import demo


def test_without_torch_the_extras_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "torch" else there(name))
    assert beam_runner.main(["demo", "--output", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "pip install 'facetmine[clip,train]'" in told
    assert "demo --captions" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'facetmine[train]'")
    (tmp_path / "mine.txt").write_text("mine")
    assert beam_runner.main(["demo", "--output", str(tmp_path)]) == 1
    assert "something else" in capsys.readouterr().err
    (tmp_path / "mine.txt").unlink()
    (tmp_path / "demo.json").write_text(json.dumps({"pictures": 7, "queries": 7, "seed": 0}))
    assert beam_runner.main(["demo", "--output", str(tmp_path)]) == 1
    assert "other settings" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"demo.json"}


@pytest.mark.slow
def test_the_demo_ends_with_a_page_and_does_nothing_twice(tmp_path: Path) -> None:
    pytest.importorskip("open_clip", reason="open_clip is not installed: pip install 'facetmine[clip]'")
    command = ("demo", "--output", tmp_path / "out", "--pictures", 500, "--queries", 25)
    done = facetmine(*command, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out/results/results.json").read_text())
    assert [task["evaluated"] for task in results["tasks"]] == [25] * 4
    assert {*results["tasks"][0]["models"]} == {"Combiner", "image + text", "image only", "text only"}
    averages = {name: figure["mean"] for name, figure in results["average_recall@1"].items()}
    assert averages["Combiner"] > max(averages.values()) - 1e-9
    page = (tmp_path / "out/results/page.html").read_text()
    assert page.count("<article>") == 4 * 12
    assert "http" not in page
    trained = (tmp_path / "out/run/training.csv").read_text()
    assert facetmine(*command, OMP_NUM_THREADS="1").returncode == 0
    assert (tmp_path / "out/run/training.csv").read_text() == trained
