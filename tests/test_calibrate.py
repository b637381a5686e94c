"""``facetmine calibrate``: thresholds that keep their promise on scores whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from factories import Caption, World, facts_parts, local_runner

from pipeline import config
from pipeline.calibrate import CalibrationError, calibrate
from pipeline.calibrate import run as run_command
from pipeline.job import Job
from pipeline.options import parse_arguments
from pipeline.store import part_name
from schemas import FACTS, SCORES
from schemas.manifest import FileEntry, Manifest, Stage

IMAGES = 6000
THINGS = ("car", "dog", "boat", "bench")
PARTS = 2


def write_dataset(folder: Path, wrong: float, *, tells: bool = True) -> np.ndarray:
    """A dataset with scores, every third image of source "clean", which has no wrong caption; gives which are wrong."""
    random = np.random.default_rng(0)
    captions = [
        Caption(("clean" if number % 3 == 0 else "web", f"{number:05d}"), (), ((THINGS[number % 4], "red"),))
        for number in range(IMAGES)
    ]
    job = Job(str(folder), local_runner())
    truth = random.random(IMAGES) < wrong * 1.5 * (np.arange(IMAGES) % 3 != 0)
    found: dict[str, list[FileEntry]] = {"parse": [], "score": []}
    for number, facts in enumerate(facts_parts(World(tuple(captions)), PARTS)):
        name = part_name(number, PARTS)
        is_wrong = truth[[int(image) for image in facts["image_id"].to_pylist()]]
        rows = len(facts)

        def cosines(right: np.ndarray) -> pa.Array:
            return pa.array(
                np.where(right, 0.3 if tells else 0.1, 0.1) + random.normal(0, 0.05, len(right)), pa.float32()
            )

        lucky = random.random(rows) < 0.05
        scores = facts.select(["image_id", "image_key", "caption_index"])
        for column, right in (("caption", ~is_wrong), ("shuffled_caption", lucky), ("fact", ~is_wrong),
                              ("shuffled_fact", lucky)):  # fmt: skip
            scores = scores.append_column(f"{column}_score", cosines(right))
        found["parse"].append(job.store.write_table(f"facts/{name}.parquet", facts, FACTS))
        found["score"].append(job.store.write_table(f"scores/{name}.parquet", scores, SCORES))
    stages = {
        name: Stage(fingerprint=name, rows_in=IMAGES, rows_out=IMAGES, files=files) for name, files in found.items()
    }
    templates = {"relation": "{subject} {predicate} {object}", "attribute": "{attribute} {subject}"}
    Manifest(
        schema_version="1", facetmine_version="0", created="", configuration={"score": {"templates": templates}},
        seed=0, inputs=[], libraries={}, stages=stages,
    ).write(str(folder))  # fmt: skip
    return truth


def kept(folder: Path, threshold: float) -> np.ndarray:
    """Which images' captions reach the threshold, by number."""
    job, found = Job(str(folder), local_runner()), np.zeros(IMAGES, bool)
    for part in range(PARTS):
        scores = job.store.read_table(f"scores/{part_name(part, PARTS)}.parquet")
        numbers = [int(image) for image in scores["image_id"].to_pylist()]
        found[numbers] = scores["caption_score"].to_numpy() >= threshold
    return found


@pytest.mark.parametrize(("wrong", "allowed"), [(0.2, 0.03), (0.4, 0.06)])
def test_the_proposed_threshold_keeps_its_promise(tmp_path: Path, wrong: float, allowed: float) -> None:
    truth = write_dataset(tmp_path, wrong)
    found = calibrate(str(tmp_path), allowed)
    assert found.captions.wrong == pytest.approx(truth.mean(), abs=0.03)
    assert found.captions.chance == pytest.approx(0.05, abs=0.02)
    chosen, at = kept(tmp_path, found.caption), found.captions.at(found.caption)
    assert truth[chosen].mean() <= allowed
    assert truth[chosen].mean() == pytest.approx(at["wrong"], abs=0.01)
    assert (~chosen)[~truth].mean() == pytest.approx(at["lost"], abs=0.02)
    assert (~chosen)[~truth].mean() < 0.15


def test_a_source_without_wrong_captions_needs_no_threshold(tmp_path: Path) -> None:
    write_dataset(tmp_path, 0.3)
    found = calibrate(str(tmp_path), 0.03, by_source=True)
    assert found.by_source["clean"] == -1.0
    assert found.by_source["web"] > found.caption > 0


def test_the_margin_is_what_few_pairs_of_satisfying_images_exceed(tmp_path: Path) -> None:
    write_dataset(tmp_path, 0.2)
    margins = [calibrate(str(tmp_path), 0.03, missed).margin for missed in (0.2, 0.05, 0.01)]
    # Leads between two right ones are normal with sqrt(2) times their deviation, cut at the threshold.
    for margin, quantile in zip(margins, (0.842, 1.645, 2.326), strict=True):
        assert margin == pytest.approx(quantile * 0.05 * 2**0.5, rel=0.12)


def test_the_toml_is_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path / "out", 0.2)
    given, _ = parse_arguments(["calibrate", str(tmp_path / "out"), "--toml", "--by-source"])
    assert run_command(given) == 0
    (tmp_path / "fit.toml").write_text(capsys.readouterr().out)
    loaded, found = config.load(tmp_path / "fit.toml"), calibrate(str(tmp_path / "out"), by_source=True)
    assert loaded.min_caption_score == pytest.approx(found.caption, abs=1e-4)
    assert loaded.min_fact_score == pytest.approx(found.fact, abs=1e-4)
    assert loaded.reference_margin == loaded.image_distractor_margin == pytest.approx(found.margin, abs=1e-4)
    assert set(loaded.caption_score_of_source) == {"clean", "web"}
    assert loaded.needs_scores


def test_json_and_the_table_tell_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path, 0.2)
    for options in (["--json"], []):
        given, _ = parse_arguments(["calibrate", str(tmp_path), "--wrong", "0.02", *options])
        assert run_command(given) == 0
        if options:
            told = json.loads(capsys.readouterr().out)
    shown = capsys.readouterr().out
    assert told["asked"]["wrong"] == 0.02
    assert told["captions"]["at_threshold"]["wrong"] <= 0.02
    assert f"{told['captions']['threshold']:.4f}" in shown
    assert f"about {told['captions']['wrong']:.1%} of them are wrong" in shown


def test_what_cannot_be_calibrated_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path / "blind", 0.2, tells=False)
    with pytest.raises(CalibrationError, match="captions: their scores are like those of pairs put together by chance"):
        calibrate(str(tmp_path / "blind"))
    (tmp_path / "unscored").mkdir()
    manifest = json.loads((tmp_path / "blind" / "manifest.json").read_text())
    del manifest["stages"]["score"]
    (tmp_path / "unscored" / "manifest.json").write_text(json.dumps(manifest))
    for folder, said in (("unscored", "has no scores: run `facetmine score"), ("nowhere", "does not exist")):
        given, _ = parse_arguments(["calibrate", str(tmp_path / folder)])
        assert run_command(given) == 1
        assert said in capsys.readouterr().err
