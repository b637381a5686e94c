"""Training: what is learned, that a run can go on where it stopped, and what the command line refuses."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import FACETMINE, facetmine, wait_until

pytest.importorskip("torch", reason="torch is not installed: pip install 'facetmine[train]'")
pytest.importorskip("open_clip", reason="open_clip is not installed: pip install 'facetmine[clip]'")
pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'facetmine[train]'")

from safetensors.numpy import load_file

import beam_runner
from downstream.checkpoint import latest

RECIPE = ("--epochs", 2, "--batch-size", 128, "--projection", 64, "--seed", 3, "--hard-negatives")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 500 toy pictures, scored by the tiny CLIP."""
    folder = tmp_path_factory.mktemp("training")
    assert beam_runner.main(["toyworld", "--output", str(folder / "toy"), "--images", "500", "--seed", "2"]) == 0
    shards = folder / "toy/shards"
    done = facetmine(
        "run", "--input", shards, "--output", folder / "out", "--images", shards, "--clip-model", "toyworld",
        "--partitions", 2, "--triplets", 1200, "--split", 0.3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "out"


def train(out: Path, run: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return facetmine("train", out, "--output", run, *RECIPE, *options, OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def trained(out: Path) -> Path:
    run = out.parent / "trained"
    done = train(out, run)
    assert done.returncode == 0, done.stderr
    return run


def test_a_run_leaves_checkpoints_and_metrics(trained: Path) -> None:
    rows = list(csv.DictReader((trained / "training.csv").open()))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    told = list(csv.DictReader((trained / "validation.csv").open()))
    assert {row["model"] for row in told} == {"image only", "text only", "image + text", "combiner"}
    assert json.loads((trained / "config.json").read_text())["training"]["seed"] == 3
    assert any((trained / "tensorboard").iterdir())
    assert list((trained / "best").glob("*.safetensors"))


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_undisturbed_one(out: Path, trained: Path, tmp_path: Path) -> None:
    steps = len(list(csv.DictReader((trained / "training.csv").open())))
    run = tmp_path / "run"
    whole = tmp_path / "whole"
    assert train(out, whole, "--every", 2).returncode == 0
    started = subprocess.Popen(
        [FACETMINE, "train", out, "--output", run, *map(str, RECIPE), "--every", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: latest(run) is not None or started.poll() is not None, 120, "a first checkpoint is written")
    started.kill()
    started.wait()
    done = train(out, run, "--every", 2, "--resume", "latest")
    assert done.returncode == 0, done.stderr
    kept = [sorted((folder / "checkpoints").iterdir())[-1] for folder in (whole, run)]
    first, second = ({name: value.tobytes() for name, value in load_file(next(one.glob("combiner*"))).items()}
                     for one in kept)  # fmt: skip
    assert first == second
    losses = [[row["loss"] for row in csv.DictReader((folder / "training.csv").open())] for folder in (whole, run)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == steps


def test_a_run_that_is_there_is_not_overwritten(out: Path, trained: Path) -> None:
    done = train(out, trained)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--resume latest" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--kinds", "nonsense"], 1, "no triplets of kind nonsense"),
        (["--resume", "latest"], 1, "no checkpoint"),
        (["--pretrained", "x"], 2, "--pretrained needs --model"),
        (["--lr", "1e38", "--batch-size", "128", "--projection", "32"], 1, "is no finite number at step"),
    ],
)
def test_mistakes_are_one_line(
    out: Path, tmp_path: Path, options: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert beam_runner.main(["train", str(out), "--output", str(tmp_path / "run"), *options]) == status
    told = capsys.readouterr().err.splitlines()[-1]
    assert said in told
    assert told.startswith("facetmine: ")


@pytest.mark.slow
def test_two_processes_train_as_one(out: Path, trained: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python", str(FACETMINE),
         "train", str(out), "--output", str(tmp_path / "two"), *map(str, RECIPE), "--dropout", "0"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one = tmp_path / "one"
    assert train(out, one, "--dropout", 0).returncode == 0
    losses = [
        [float(row["loss"]) for row in csv.DictReader((folder / "training.csv").open())]
        for folder in (one, tmp_path / "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
