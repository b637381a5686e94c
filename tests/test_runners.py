"""One job on every runner: the same rows, the same counts, nothing left running."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import FACETMINE, facetmine, processes_with, wait_until

from pipeline.job import Job
from pipeline.options import mining_config, parse_arguments
from pipeline.runner import Runner
from schemas.manifest import Manifest

pytestmark = [pytest.mark.xdist_group("clusters"), pytest.mark.timeout(400)]

PRESETS = ("default", "genecis")
TABLES = ("captions", "facts", "rejects", "scene_graphs", "triplets")
Start = Callable[..., "subprocess.Popen[str]"]


def digests(output: Path) -> dict[str, str]:
    """Rows and a digest of the sorted rows of every table that the manifest names."""
    manifest = Manifest.read(str(output))
    found = {}
    for table in TABLES:
        files = sorted(entry.path for entry in manifest.files(table))
        rows = pa.concat_tables([pq.read_table(output / file) for file in files])
        said = sorted(repr(list(row.items())) for row in rows.to_pylist())
        found[table] = f"{len(said)} rows {hashlib.sha256(''.join(said).encode()).hexdigest()}"
    return found


def stages(captions: Path, output: Path, *options: str, **environment: str) -> dict[str, dict[str, str]]:
    """Digests after all stages with the default preset and, mined anew from the same facts, with the other."""
    found = {}
    for preset in PRESETS:
        command = ["mine"] if found else ["run", "--input", captions, "--partitions", "4"]
        done = facetmine(*command, "--output", output, "--preset", preset, *options, **environment)
        assert done.returncode == 0, done.stderr
        found[preset] = digests(output)
        assert_sober(done.stderr)
    return found


def assert_sober(log: str) -> None:
    """Nothing but the stages' own lines: runners keep their logs to themselves unless they are asked."""
    strange = [line for line in log.splitlines() if not re.match(r"\d\d:\d\d:\d\d (read|parse|mine|write)[: ]", line)]
    assert strange == []


@pytest.fixture(scope="module")
def expected(captions_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What one worker in one process makes of the captions."""
    found = stages(captions_file, tmp_path_factory.mktemp("one") / "out", "--direct_num_workers=1")
    for preset in PRESETS:
        assert not found[preset]["triplets"].startswith("0 ")
    assert found["default"]["triplets"] != found["genecis"]["triplets"]
    return found


@pytest.mark.slow
def test_two_processes_of_the_embedded_runner_give_the_same_rows(
    captions_file: Path, tmp_path: Path, expected: dict[str, dict[str, str]]
) -> None:
    options = ("--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing")
    assert stages(captions_file, tmp_path / "out", *options) == expected


@pytest.mark.slow
def test_dask_gives_the_same_rows_on_a_cluster_of_its_own(
    captions_file: Path, tmp_path: Path, expected: dict[str, dict[str, str]]
) -> None:
    assert stages(captions_file, tmp_path / "out", "--runner=DaskRunner") == expected


@pytest.mark.slow
def test_dask_gives_the_same_rows_on_a_running_cluster(
    captions_file: Path, tmp_path: Path, start: Start, expected: dict[str, dict[str, str]]
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    start(sys.executable, "-m", "dask", "scheduler", "--no-dashboard", "--host", address)
    for _ in range(2):
        start(sys.executable, "-m", "dask", "worker", address, "--nthreads=1", "--no-dashboard")
    options = ("--runner=DaskRunner", f"--dask_client_address={address}")
    assert stages(captions_file, tmp_path / "out", *options) == expected


@pytest.mark.slow
def test_prism_gives_the_same_rows_from_a_worker_in_the_process(
    captions_file: Path, tmp_path: Path, prism: str, expected: dict[str, dict[str, str]]
) -> None:
    options = ("--runner=PrismRunner", f"--prism_location={prism}", "--environment_type=LOOPBACK")
    assert stages(captions_file, tmp_path / "out", *options) == expected


WORKER_POOL = """\
import grpc, sys
from apache_beam.runners.worker import worker_pool_main
server = grpc.server
def loopback_server(*given, **named):  # Beam's own listens to every network
    made = server(*given, **named)
    listen = made.add_insecure_port
    made.add_insecure_port = lambda address: listen(address.replace("[::]", "localhost"))
    return made
grpc.server = loopback_server
worker_pool_main.main(sys.argv)
"""


@pytest.mark.slow
def test_prism_gives_the_same_rows_from_a_worker_pool_elsewhere(
    captions_file: Path, tmp_path: Path, prism: str, start: Start, expected: dict[str, dict[str, str]]
) -> None:
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the pool starts workers with `python`
    start(sys.executable, "-c", WORKER_POOL, "--service_port", port, PATH=path)
    wait_until(lambda: listens(port), 60, "the worker pool listens")
    options = ("--environment_type=EXTERNAL", f"--environment_config=localhost:{port}", f"--prism_location={prism}")
    assert stages(captions_file, tmp_path / "out", "--runner=PrismRunner", *options) == expected


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["DirectRunner", "PrismRunner", "DaskRunner"])
def test_beam_counts_what_the_manifest_says(
    runner: str, captions_file: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options = [f"--runner={runner}"]
    if runner == "PrismRunner":
        options.append(f"--prism_location={request.getfixturevalue('prism')}")
    output = str(tmp_path / "out")
    given, beam_options = parse_arguments(
        ["run", "--input", str(captions_file), "--output", output, "--partitions=4", *options]
    )
    beam_runner = Runner(beam_options)
    job = Job(output, beam_runner)
    with beam_runner.session():
        job.read(given.input, given.input_format, given.partitions)
        job.parse(given.parser)
        job.mine(mining_config(given))
        job.write()
        manifest = job.write_manifest()
    if runner == "DaskRunner":
        assert beam_runner.counters == {}  # it has no metrics; the manifest has the figures all the same
        return
    said: Counter[str] = Counter()
    for name, stage in manifest.stages.items():
        said.update({f"{name}_rows_in": stage.rows_in, f"{name}_rows_out": stage.rows_out})
        said.update({f"{name}_rejects_{reason}": rows for reason, rows in stage.rejects.items()})
    assert said["parse_rows_in"] == 600
    if runner == "PrismRunner":  # its sums of counters are sometimes too low, never too high
        assert set(+beam_runner.counters) <= set(+said)
        assert all(beam_runner.counters[name] <= rows for name, rows in said.items())
        return
    assert +beam_runner.counters == +said


def runner_options(runner: str, request: pytest.FixtureRequest) -> list[str]:
    if runner == "PrismRunner":
        return ["--runner=PrismRunner", f"--prism_location={request.getfixturevalue('prism')}"]
    if runner == "DirectRunner":
        return ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    return [f"--runner={runner}"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda end: end and end.name)
@pytest.mark.parametrize("runner", ["DirectRunner", "DaskRunner", "PrismRunner"])
def test_no_process_is_left_over(
    runner: str, end: signal.Signals | None, captions_file: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    mark = f"FACETMINE_TEST={tmp_path}"
    command = [FACETMINE, "parse", "--input", captions_file, "--output", tmp_path / "out", "--partitions=4"]
    process = subprocess.Popen(
        [*map(str, command), *runner_options(runner, request)], env=os.environ | dict([mark.split("=", 1)]),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if end is not None:
        wait_until((tmp_path / "out/_stages/parse.json").exists, 60, "stage parse starts")
        wait_until(lambda: len(processes_with(mark)) > 1, 60, "the runner has started its processes")
        process.send_signal(end)
    _, log = process.communicate(timeout=120)
    assert process.returncode == {None: 0, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[end], log
    # Nothing can clean up after a process that is killed outright: what it started has to notice.
    wait_until(lambda: not processes_with(mark), 30 if end == signal.SIGKILL else 5, f"{processes_with(mark)} end")


def test_prism_without_its_program_says_where_to_get_it(captions_file: Path, tmp_path: Path) -> None:
    done = facetmine(
        "run", "--input", captions_file, "--output", tmp_path / "out", "--runner=PrismRunner",
        PATH="/usr/bin:/bin", HOME=str(tmp_path), GOBIN="", GOPATH="", timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2." in done.stderr
    assert "--prism_location" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--runner=PrismRunner", "--prism_location=/no/such/prism"], 2, "--prism_location /no/such/prism"),
        (["--runner=PrismRunner", "--prism_location=/bin/false"], 1, "/bin/false does not start as a Prism"),
        (["--runner=NoSuchRunner"], 2, "NoSuchRunner"),
    ],
)
def test_a_runner_that_is_not_there_is_told_in_one_line(
    options: list[str], status: int, said: str, captions_file: Path, tmp_path: Path
) -> None:
    done = facetmine("run", "--input", captions_file, "--output", tmp_path / "out", *options, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert said in done.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
