"""Native Spark: the rows, counts and files of Beam's runner, on executors that may die; and the archive for them."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from commands import FACETMINE, facetmine, wait_until
from datasets import assert_same, copy

from filters.fit import Thresholds
from pipeline import pack, spark
from pipeline.config import preset
from pipeline.job import Job
from pipeline.mine import IndexFacts
from pipeline.parse import ParseCaptions
from pipeline.routing import Batch
from pipeline.runner import Runner, parse_beam_options
from pipeline.store import Store
from schemas.manifest import Manifest

pytestmark = [pytest.mark.xdist_group("clusters"), pytest.mark.timeout(600)]

needs_spark = pytest.mark.skipif(
    not shutil.which("java") or importlib.util.find_spec("pyspark") is None,
    reason="needs Java 17 (on Debian: openjdk-17-jre-headless) and pyspark (pip install 'facetmine[spark]')",
)
CLUSTER = "local-cluster[2,1,1024]"
"""Two executors of their own on this machine, one core each."""


def test_the_steps_of_a_stage_are_read_off_its_pipeline() -> None:
    store = Store("/nowhere")
    plan = spark.translate(lambda pipeline: pipeline | "Parse" >> ParseCaptions(store, "parse-1", "default", 3))
    assert list(plan.source) == [0, 1, 2]
    assert plan.labels == ["Parts", "SpreadParts", "ParsePart"]
    assert plan.steps[0] == spark.Shuffle(None)
    assert isinstance(plan.steps[1], beam.DoFn)

    config = preset("default")
    plan = spark.translate(
        lambda pipeline: pipeline | "Index" >> IndexFacts(store, "mine-1.index", config, Thresholds())
    )
    shuffles = [step.parts for step in plan.steps if isinstance(step, spark.Shuffle)]
    assert shuffles == [None, config.partitions, config.partitions]
    assert plan.labels[-1] == "IndexSubjects"


def test_a_step_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(spark.UntranslatableError, match="Sum/"):
        spark.translate(lambda pipeline: pipeline | beam.Create([1]) | "Sum" >> beam.CombineGlobally(sum))


def test_batches_travel_in_pieces_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "ROWS_PER_BATCH", 10)
    table = pa.table({"number": range(25)})
    elements = [(3, Batch(table)), (1, Batch(table.slice(5, 0))), {"any": "thing"}]
    rows = [row for batch in spark._encoded(elements) for row in batch.to_pylist()]
    assert [row["part"] for row in rows] == [3, 3, 3, 1, 0]
    found = [spark._decoded(pa.scalar(row["data"], pa.binary())) for row in rows]
    assert pa.concat_tables([piece.table for piece in found[:4]]) == table
    assert found[4] == {"any": "thing"}


def test_an_archive_holds_what_facetmine_needs_and_no_tools_of_development() -> None:
    names = {distribution.metadata["Name"].lower() for distribution in pack.dependencies()}
    assert {"apache-beam", "numpy", "pyarrow", "duckdb", "fsspec"} <= names
    assert not names & {"pytest", "ruff", "facetmine", "torch"}
    with pytest.raises(pack.PackError, match="no extra nonsense"):
        pack.dependencies(["nonsense"])


@pytest.mark.slow
def test_an_unpacked_archive_runs_on_a_bare_python(small_input: Path, small_run: Path, tmp_path: Path) -> None:
    done = facetmine("pack", "--output", tmp_path / "facetmine.tar.gz")
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "facetmine.tar.gz") as tar:
        tar.extractall(tmp_path / "there", filter="data")
    command = [tmp_path / "there/bin/python", "-S", "-m", "beam_runner", "run", "-i", small_input, "-o",
               tmp_path / "out", "--partitions=2"]  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin", "FACETMINE_PYTHON": sys.executable}
    run = subprocess.run(list(map(str, command)), cwd="/", env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert_same(tmp_path / "out", small_run)


@pytest.mark.slow
@needs_spark
def test_spark_gives_the_same_files_and_counts(small_input: Path, small_run: Path, tmp_path: Path) -> None:
    outputs = {"default": tmp_path / "out", "genecis": copy(small_run, tmp_path / "genecis")}
    expected = {"default": small_run, "genecis": copy(small_run, tmp_path / "expected")}
    done = facetmine("mine", "-o", expected["genecis"], "--preset=genecis")
    assert done.returncode == 0, done.stderr
    runner = Runner(parse_beam_options([]), spark=spark.SparkOptions(CLUSTER))
    with runner.session():
        job = Job(str(outputs["default"]), runner)
        job.read([str(small_input)], None, 2)
        job.parse("default")
        job.mine(preset("default"))
        job.write()
        manifest = job.write_manifest()
        counters = Counter(runner.counters)
        job = Job(str(outputs["genecis"]), runner)
        job.mine(preset("genecis"))
        job.write()
        job.write_manifest()
    for name, output in outputs.items():
        assert_same(output, expected[name])
    told = Manifest.read(str(small_run))
    for name, stage in manifest.stages.items():
        assert (stage.rows_in, stage.rows_out, stage.rejects) == (
            told.stages[name].rows_in, told.stages[name].rows_out, told.stages[name].rejects
        )  # fmt: skip
    said: Counter[str] = Counter()
    for name, stage in manifest.stages.items():
        said.update({f"{name}_rows_in": stage.rows_in, f"{name}_rows_out": stage.rows_out})
        said.update({f"{name}_rejects_{reason}": rows for reason, rows in stage.rejects.items()})
    assert +counters == +said


def executors(mark: str) -> list[int]:
    """Process numbers of the Spark executors that have NAME=VALUE in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command, variables = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
            if b"CoarseGrainedExecutorBackend" in command and mark.encode() in variables.split(b"\0"):
                found.append(int(folder.name))
    return found


@pytest.fixture
def spark_run(small_input: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [FACETMINE, "run", "-i", small_input, "-o", tmp_path / "out", "--partitions=2", "--engine=spark",
               f"--spark-master={CLUSTER}"]  # fmt: skip
    process = subprocess.Popen(
        list(map(str, command)), env=os.environ | {"FACETMINE_TEST": str(tmp_path)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@needs_spark
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_an_executor_killed_in_each_stage_changes_nothing(
    spark_run: "subprocess.Popen[bytes]", small_run: Path, tmp_path: Path
) -> None:
    killed = []
    for stage in ("read", "parse", "mine", "write"):
        mark = tmp_path / f"out/_stages/{stage}.json"
        wait_until(lambda mark=mark: mark.exists() or spark_run.poll() is not None, 300, f"stage {stage} starts")
        wait_until(
            lambda: set(executors(f"FACETMINE_TEST={tmp_path}")) - set(killed) or spark_run.poll() is not None,
            100, "an executor is there",
        )  # fmt: skip
        assert spark_run.poll() is None
        killed.append(min(set(executors(f"FACETMINE_TEST={tmp_path}")) - set(killed)))
        os.kill(killed[-1], signal.SIGKILL)
    _, said = spark_run.communicate(timeout=400)
    assert spark_run.returncode == 0, said.decode()
    assert_same(tmp_path / "out", small_run)


@needs_spark
@pytest.mark.slow
def test_a_master_that_does_not_answer_is_told_in_one_line(small_input: Path, tmp_path: Path) -> None:
    done = facetmine("run", "-i", small_input, "-o", tmp_path / "out", "--engine=spark", "--spark-master=nonsense")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "--spark-master" in done.stderr


def test_without_pyspark_the_extra_is_named(
    small_input: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from beam_runner import main

    monkeypatch.setitem(sys.modules, "pyspark", None)
    command = ["run", "-i", str(small_input), "-o", str(tmp_path / "out"), "--engine=spark"]
    assert main(command) == 2
    assert "pip install 'facetmine[spark]'" in capsys.readouterr().err
