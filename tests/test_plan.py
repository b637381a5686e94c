"""Predictions from samples: the laws they follow, and a plan against the run that it is a plan of."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import facetmine

from pipeline import growth, plan, readers, sampling
from pipeline.config import preset
from schemas.manifest import Manifest


def test_what_grows_in_proportion_after_a_start_is_found() -> None:
    start, rate = growth.affine([1000, 2000, 4000], [12.0, 14.0, 18.0])
    assert (start, rate) == pytest.approx((10.0, 0.002))
    assert growth.affine([1, 2, 4], [1.0, 2.1, 4.4]) == pytest.approx((0.0, 1.05), rel=0.05)
    assert growth.affine([1, 2, 4], [5.0, 5.0, 4.0])[1] == 0.0
    assert growth.affine([1, 2, 4], [0.0, 0.0, 0.0]) == (0.0, 0.0)


def test_exponents_are_found_and_bounded() -> None:
    sizes = [250, 500, 1000]
    assert growth.power(sizes, [size**1.5 for size in sizes], 2.0) == pytest.approx(1.5)
    assert growth.power(sizes, [size**3 for size in sizes], 2.0) == 2.0
    assert growth.power(sizes, [0, 0, 7], 2.0) == 0.0


def test_a_growth_that_is_too_steep_fades() -> None:
    sizes = [250, 500, 1000]
    assert growth.fading(sizes, [size**2 for size in sizes], 64_000, 2.0) == pytest.approx(64_000**2)
    assert growth.fading(sizes, [size**1.5 for size in sizes], 64_000, 2.0) == pytest.approx(64_000**1.5)
    steep = [float(size) ** 2.4 for size in sizes]
    near, far = (growth.fading(sizes, steep, size, 2.0) / steep[-1] for size in (2000, 1_024_000))
    assert 2**2 < near < 2**2.4
    assert 1024**2 < far < 1024**2 * 2**0.5  # 0.4 * 0.55 / 0.45 doublings more


def test_a_share_that_falls_as_a_power_goes_on_falling() -> None:
    sizes = [250, 500, 1000]
    shares = [3 * size**-0.25 for size in sizes]
    assert growth.falling_share(sizes, shares, 16_000) == pytest.approx(3 * 16_000**-0.25)
    assert growth.falling_share(sizes, [0.1, 0.2, 0.4], 16_000) == 0.4  # never rises
    assert growth.falling_share(sizes, [0.0, 0.0, 0.0], 16_000) == 0.0


def test_the_bytes_of_a_row_fall_until_a_row_group_is_full() -> None:
    rows = [1000, 2000, 4000]
    sizes = [100 * count * count**-0.1 for count in rows]
    full = growth.bytes_of_table(rows, sizes, 16 * 65536, 16, 65536)
    assert full == pytest.approx(16 * 65536 * 100 * 65536**-0.1)
    assert growth.bytes_of_table(rows, sizes, 160 * 65536, 16, 65536) == pytest.approx(10 * full)


def test_samples_hold_whole_images_and_are_nested(captions_file: Path, tmp_path: Path) -> None:
    splits, _, _ = readers.plan([readers.parse_input(str(captions_file))])
    whole = sampling.draw(splits, 0.5, tmp_path / "half.parquet")
    part = sampling.part_of(whole, 0.5, tmp_path / "quarter.parquet")
    assert whole.seen == 600
    assert 200 < whole.captions < 400
    assert 80 < part.captions < 220
    keys = {name: set(pq.read_table(sample.path)["image_key"].to_pylist())
            for name, sample in (("half", whole), ("quarter", part))}  # fmt: skip
    assert keys["quarter"] < keys["half"]
    every = np.concatenate([batch["image_key"].to_numpy() for split in splits for batch, _ in readers.read(split)])
    assert whole.captions == np.isin(every, list(keys["half"])).sum()


def test_what_does_not_fit_is_told_with_the_option_that_mends_it() -> None:
    given = plan.Plan(sample=1, captions=10**6, partitions=16, workers=100, triplets={"relation": 50})
    given.worker_bytes, given.one_process_bytes = {"mine": 8 << 30}, {"mine": 90 << 30}
    given.bytes = {"facts": 10**12}
    given.shuffle_bytes = {"mine": 10**9}
    config = preset("default")
    found = plan.problems(given, config, memory=4 << 30, machine=64 << 30, free=10**9, splits=3)
    remedies = [problem.remedy for problem in found]
    assert remedies[:3] == ["--partitions 40", "--engine spark, or --runner DaskRunner, which write shuffles to disk",
                            "another --output"]  # fmt: skip
    assert "--partitions 200" in remedies
    given.partitions, given.workers = 16, 2
    given.worker_bytes, given.one_process_bytes, given.bytes = {"mine": 1 << 30}, {"mine": 1 << 30}, {}
    assert plan.problems(given, config, memory=4 << 30, machine=64 << 30, free=None, splits=3) == []


def test_a_sample_that_is_too_small_is_refused(captions_file: Path) -> None:
    done = facetmine("plan", "--input", captions_file, "--sample", "0.1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "give a --sample of 400 or more" in done.stderr
    assert facetmine("plan", "--input", captions_file, "--sample", "0").returncode == 2


@pytest.mark.slow
def test_a_plan_from_all_captions_is_what_the_run_does(captions_file: Path, tmp_path: Path) -> None:
    done = facetmine("plan", "--input", captions_file, "--sample", "0.999999", "--partitions", "1", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    run = facetmine("run", "--input", captions_file, "--output", tmp_path / "out", "--partitions", "1")
    assert run.returncode == 0, run.stderr
    manifest = Manifest.read(str(tmp_path / "out"))
    assert {name: stage.rows_in for name, stage in manifest.stages.items()} == pytest.approx(said["rows_in"], rel=0.01)
    assert {name: stage.rows_out for name, stage in manifest.stages.items()} == pytest.approx(
        said["rows_out"], rel=0.01
    )
    for table in ("captions", "facts", "scene_graphs", "triplets"):
        files = manifest.files(table)
        assert said["files"][table] == len(files)
        assert said["bytes"][table] == pytest.approx(sum(file.bytes for file in files), rel=0.05), table
    assert min(said["core_seconds"].values()) > 0
    assert min(said["worker_bytes"].values()) > 10**8
