"""Workers and drivers that are killed or hang in each stage: does every run end with the rows of an undisturbed one?

    python -m benchmarks.faults [--only spark dask beam driver hang]

Ten runs: an executor of native Spark killed in each of the four stages, a worker of Dask in two, an external Beam
worker (behind Prism) and, in two, the driver with all that it started, after which the same command is given again; and
an executor that hangs (SIGSTOP) until Spark gives it up. Digests are of the sorted rows of every table.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.process import captions, facetmine
from pipeline.runner import find_prism
from schemas.manifest import Manifest

POOL = "a worker pool"
STAGES = ("read", "parse", "mine", "write")
SECONDS = 1800.0
"""A run that takes longer hangs."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        name: of the figure.
        stage: when it goes wrong, after the stage has started.
        options: of the run.
        victim: part of the command line of the processes, one of which is hit; None is the driver with all it started.
        number: the signal.
        ends: whether the run ends by it, and is started again.
    """

    name: str
    stage: str
    options: tuple[str, ...]
    victim: str | None
    number: signal.Signals = signal.SIGKILL
    ends: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["spark", "dask", "beam", "driver", "hang"])
    parser.add_argument("--captions", type=int, default=8_000)
    given = parser.parse_args()
    console = Console(width=110)
    table = Table("fault", "stage", "hit", "runs until whole", "seconds", "digest as undisturbed")
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="facetmine-bench-") as folder:
        source = Path(folder, "captions.tsv")
        lines = Path(captions(Path(folder))[0]).read_bytes().splitlines(keepends=True)[: given.captions]
        source.write_bytes(b"".join(lines))
        command = facetmine("run", "--input", str(source), "--partitions", "8", "--output")
        subprocess.run([*command, f"{folder}/undisturbed"], check=True, capture_output=True)
        expected = digest(Path(folder, "undisturbed"))
        for number, (group, fault) in enumerate(_faults()):
            if given.only and group not in given.only:
                continue
            output = Path(folder, f"out{number}")
            began = time.monotonic()
            with _options(fault) as options:
                hit, runs = _run([*command, str(output), *options], output, fault)
            same = (output / "manifest.json").exists() and digest(output) == expected
            wrong += not same
            table.add_row(fault.name, fault.stage, hit, str(runs), f"{time.monotonic() - began:.0f}", str(same))
    console.print(table)
    console.print(f"undisturbed: {expected}")
    sys.exit(bool(wrong))


def digest(output: Path) -> str:
    """Of the sorted rows of every table that the manifest names."""
    told = hashlib.sha256()
    manifest = Manifest.read(str(output))
    for name in ("captions", "scene_graphs", "facts", "triplets", "rejects"):
        rows = [repr(row) for file in manifest.files(name) for row in pq.read_table(output / file.path).to_pylist()]
        told.update("\n".join([name, *sorted(rows)]).encode())
    return told.hexdigest()[:16]


def _faults() -> Iterator[tuple[str, Fault]]:
    spark = ("--engine=spark", "--spark-master=local-cluster[2,1,1024]")
    executor, hasty = (
        "CoarseGrainedExecutorBackend",
        ("spark.network.timeout=20s", "spark.executor.heartbeatInterval=5s"),
    )
    for stage in STAGES:
        yield "spark", Fault("Spark executor killed", stage, spark, executor)
    for stage in ("parse", "mine"):
        yield "dask", Fault("Dask worker killed", stage, ("--runner=DaskRunner",), "multiprocessing.spawn")
    yield "beam", Fault("external Beam worker killed", "parse", (POOL,), "sdk_worker_main", ends=True)
    for stage in ("parse", "mine"):
        yield "driver", Fault("driver killed", stage, (), None, ends=True)
    hanging = (*spark, *(f"--spark-conf={setting}" for setting in hasty))
    yield "hang", Fault("Spark executor hangs", "parse", hanging, executor, signal.SIGSTOP)


@contextlib.contextmanager
def _options(fault: Fault) -> Iterator[tuple[str, ...]]:
    """The options of the fault's runs, with a worker pool and a Prism where they are asked for."""
    if fault.options != (POOL,):
        yield fault.options
        return
    prism = shutil.which("prism", path=str(Path(".prism/bin").resolve())) or find_prism()
    if prism is None:
        raise RuntimeError("the external worker needs Prism: make prism")
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the pool starts workers with `python`
    pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port", str(port)]
    process = subprocess.Popen(pool, env=os.environ | {"PATH": path}, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait(lambda: _listens(port))
        yield ("--runner=PrismRunner", f"--prism_location={prism}", "--environment_type=EXTERNAL",
               f"--environment_config=localhost:{port}")  # fmt: skip
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _run(command: list[str], output: Path, fault: Fault) -> tuple[str, int]:
    """Run with the fault until the output is whole. Gives what was hit and how many runs it took."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    mark = output / "_stages" / f"{fault.stage}.json"
    _wait(lambda: _under_way(mark) or process.poll() is not None)
    hit = "nothing: the run was over"
    if process.poll() is None:
        if fault.victim is None:
            os.killpg(process.pid, fault.number)
            hit = f"process group {fault.number.name}"
        else:
            _wait(lambda: _processes(fault.victim or "") or process.poll() is not None)
            if victims := _processes(fault.victim):
                os.kill(victims[-1], fault.number)
                hit = f"1 of {len(victims)}, {fault.number.name}"
    try:
        _, said = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return f"{hit}; hung for {SECONDS:.0f} s", 1
    if process.returncode == 0:
        return hit, 1
    if not fault.ends:
        hit += f"; ended: {said.decode(errors='replace').strip().splitlines()[-1][:60]}"
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
    return hit, 2


def _under_way(mark: Path) -> bool:
    """Whether the stage has started and is not done."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(mark.read_text())["stage"] is None
    return False


def _processes(said: str) -> list[int]:
    """Processes started by this one or by what it started, that have that in their command lines."""
    parents, lines = {}, {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            lines[pid] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")

    def ours(pid: int) -> bool:
        while pid in parents:
            if pid == os.getpid():
                return True
            pid = parents[pid]
        return False

    return sorted(pid for pid, line in lines.items() if said in line and ours(pid))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("localhost", port)) == 0


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {SECONDS:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
