"""Dataflow without Google: dry runs, and the Flex Template's parameters and driver."""

import json
import re
from pathlib import Path

import pytest
from commands import facetmine

from dataflow import launch, metadata
from schemas.manifest import Manifest

CLOUD = ("--runner=DataflowRunner", "--project=my-project", "--region=us-central1", "--temp_location=gs://bucket/tmp")
TO_BUCKET = ("--input", "gs://bucket/in/*.tsv", "--output", "gs://bucket/out")


def test_a_dry_run_for_dataflow_needs_no_credentials_and_no_network() -> None:
    done = facetmine("run", *TO_BUCKET, "--dry-run", *CLOUD, "--partitions=64", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    for step in ("ReadSplit", "ParsePart", "ByCondition", "BySubject", "ByTarget", "WriteShard"):
        assert step in done.stdout
    assert "DataflowRunner: 5 pipelines" in done.stdout
    assert "11 shuffles, 64 partitions" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*TO_BUCKET, *CLOUD[:1]), "Give --temp_location gs://BUCKET/FOLDER"),
        ((*TO_BUCKET, *CLOUD[:1], CLOUD[3], CLOUD[1]), "Missing required option: region."),
        ((*TO_BUCKET, *CLOUD, "--job_name=No_Such"), "Invalid job_name (No_Such)"),
        (("--input", "gs://bucket/in", "--output", "out", *CLOUD), "cannot write to a local folder"),
        (("--input", "no/such/file.tsv", "--output", "gs://bucket/out", *CLOUD), "no/such/file.tsv"),
    ],
)  # fmt: skip
def test_a_dry_run_says_in_one_line_what_is_wrong(options: tuple[str, ...], said: str) -> None:
    done = facetmine("run", "--dry-run", *options, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_a_dry_run_writes_nothing(captions_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = facetmine("run", "--input", captions_file, "--output", output, "--dry-run", "--engine=spark")
    assert done.returncode == 0, done.stderr
    assert "Spark: 5 pipelines" in done.stdout
    assert not output.exists()


def test_the_templates_metadata_is_current() -> None:
    assert metadata.FILE.read_text() == metadata.text(), "run python -m dataflow.metadata"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("input", "coco=gs://b/*.json s3://c/x.tsv", "/home/me/x.tsv"),
        ("output", "gs://bucket/out", "gs://bucket/*"),
        ("partitions", "1_024", "-1"),
        ("force", "true", "yes"),
        ("preset", "genecis", "best"),
        ("split", "0.05", "1.5"),
        ("kinds", "relation,change_attribute", "relation;drop"),
    ],
)
def test_patterns_take_good_values_and_no_bad_ones(name: str, good: str, bad: str) -> None:
    (entry,) = (entry for entry in json.loads(metadata.FILE.read_text())["parameters"] if entry["name"] == name)
    (pattern,) = entry["regexes"]
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)
    assert entry["helpText"]


def test_parameters_become_the_command_line() -> None:
    command, beam_options = launch.split_arguments(
        ["--input=a=gs://b/1 gs://b/2", "--input_format=jsonl", "--force=true", "--project=p", "--job_name=mine",
         "--template_location=gs://b/t"]
    )  # fmt: skip
    assert command == ["run", "--input", "a=gs://b/1", "gs://b/2", "--input-format", "jsonl", "--force", "--project=p"]
    assert beam_options == ["--project=p", "--job_name=mine", "--template_location=gs://b/t"]
    assert launch.split_arguments(["--force=false"])[0] == ["run"]


@pytest.mark.slow
def test_the_driver_of_the_template_runs_the_command(captions_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    launch.main([f"--input={captions_file}", f"--output={output}", "--partitions=1", "--runner=FnApiRunner"])
    assert Manifest.read(str(output)).stages["parse"].rows_in == 600
    with pytest.raises(RuntimeError, match="none"):
        launch.drive(["run", "--input", f"{tmp_path}/none.tsv", "--output", str(output)])
