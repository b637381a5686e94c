"""Interrupted runs go on where they were, finished ones are skipped, and both end as an undisturbed run does."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import FACETMINE, facetmine, processes_of_group, wait_until
from datasets import assert_same, assert_whole, checksums, copy, manifest, modification_times, rows

STAGES = ("read", "parse", "mine", "write")
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
PROCESSES = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


def interrupt(
    command: list[object], until: Callable[[], object], number: signal.Signals, *, group: bool = False
) -> str:
    """Run facetmine in a session of its own, send the signal as soon as it is so far; give what it wrote to stderr.

    Args:
        group: send it to all processes of the session, as a terminal does, and not to facetmine alone.
    """
    process = subprocess.Popen(
        [str(part) for part in (FACETMINE, *command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: until() or process.poll() is not None, 120, "the run gets so far")
        assert process.poll() is None, "the run ended before it could be interrupted"
        (os.killpg if group else os.kill)(process.pid, number)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
        assert process.returncode == STATUS[number], said
        wait_until(lambda: not processes_of_group(process.pid), 5, "no process is left over")
        return said
    finally:
        process.kill()


def started(output: Path, stage: str) -> Callable[[], bool]:
    """Whether the stage is under way: its mark is there and does not say that it is done."""

    def look() -> bool:
        try:
            return json.loads((output / "_stages" / f"{stage}.json").read_text())["stage"] is None
        except FileNotFoundError:
            return False

    return look


def some_parts_parsed(output: Path) -> Callable[[], bool]:
    return lambda: any(output.glob("_stages/parse-*/part-*.json"))


def assert_told_in_one_line(said: str) -> None:
    *log, last = said.splitlines()
    assert last == "facetmine: interrupted; run the same command again to go on where it was"
    assert all(re.match(r"\d\d:\d\d:\d\d (read|parse|mine|write) ", line) for line in log), said


def test_a_run_that_is_interrupted_in_every_stage_ends_as_an_undisturbed_one(
    small_input: Path, small_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    command = ["run", "-i", small_input, "-o", output, "--partitions=2"]
    for stage, number in zip(STAGES, (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGKILL), strict=True):
        said = interrupt(command, started(output, stage), number, group=number == signal.SIGKILL)
        if number != signal.SIGKILL:
            assert_told_in_one_line(said)
        assert not (output / "manifest.json").exists()
    done = facetmine(*command)
    assert done.returncode == 0, done.stderr
    assert_same(output, small_run)


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupted_stage_goes_on(
    stage: str, number: signal.Signals, small_input: Path, small_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    command = ["run", "-i", small_input, "-o", output, "--partitions=2"]
    interrupt(command, started(output, stage), number, group=number == signal.SIGKILL)
    assert not (output / "manifest.json").exists()
    done = facetmine(*command)
    assert done.returncode == 0, done.stderr
    assert_same(output, small_run)


def test_parts_that_are_parsed_are_not_parsed_again(captions_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = ["parse", "-i", captions_file, "-o", output, "--partitions=8"]
    interrupt(command, some_parts_parsed(output), signal.SIGKILL, group=True)
    parsed = {Path(path).stem.partition("-of-")[0] for path in map(str, output.glob("_stages/parse-*/part-*.json"))}
    assert 0 < len(parsed) < 8
    before = {path: time for path, time in modification_times(output).items() if path.startswith("facts/")}
    done = facetmine(*command)
    assert done.returncode == 0, done.stderr
    after = modification_times(output)
    kept = {path for path, time in before.items() if after[path] == time}
    assert kept == {path for path in before if Path(path).name.partition("-of-")[0] in parsed}
    assert len([path for path in after if path.startswith("facts/")]) == 8
    assert not list(output.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGINT, True),
        pytest.param(signal.SIGINT, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, False, marks=pytest.mark.slow),
    ],
)
def test_an_interrupt_ends_the_worker_processes_too(
    number: signal.Signals, group: bool, captions_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    command = ["parse", "-i", captions_file, "-o", output, "--partitions=8", *PROCESSES]
    said = interrupt(command, some_parts_parsed(output), number, group=group)
    if number != signal.SIGKILL:
        assert_told_in_one_line(said)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the workers in /proc")
def test_a_worker_that_is_killed_ends_the_run_with_one_line(captions_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = subprocess.Popen(
        [FACETMINE, "parse", "-i", captions_file, "-o", output, "--partitions=8", *PROCESSES],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_until(some_parts_parsed(output), 120, "a part is parsed")
    worker = next(
        pid
        for pid in processes_of_group(process.pid)
        if b"pipeline.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(worker, signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("facetmine: stage parse failed: a worker process was killed (signal 9)")
    wait_until(lambda: not processes_of_group(process.pid), 5, "no process is left over")


def test_a_second_run_skips_every_stage_and_changes_nothing(small_run: Path, small_input: Path) -> None:
    before = modification_times(small_run)
    done = facetmine("run", "-i", small_input, "-o", small_run, "--partitions=2")
    assert done.returncode == 0, done.stderr
    told = [line.split(maxsplit=1)[1] for line in done.stderr.splitlines()]
    assert [line.split()[0] for line in told] == list(STAGES)
    assert all("skipped" in line for line in told)
    assert modification_times(small_run) == before


@pytest.mark.parametrize(
    "table",
    [
        "facts",
        pytest.param("triplets", marks=pytest.mark.slow),
        pytest.param("captions", marks=pytest.mark.slow),
        pytest.param("rejects", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_is_gone_or_cut_short_is_made_again(
    table: str, small_run: Path, small_input: Path, tmp_path: Path
) -> None:
    output = copy(small_run, tmp_path / "out")
    first, second, *_ = sorted((output / table).iterdir())
    first.unlink()
    os.truncate(second, 100)
    (output / table / f".{first.name}.0123.tmp").write_bytes(b"PAR1")  # as a killed run leaves it
    done = facetmine("run", "-i", small_input, "-o", output, "--partitions=2")
    assert done.returncode == 0, done.stderr
    assert_same(output, small_run)


def test_mining_from_facts_that_are_gone_says_what_to_do(small_run: Path, tmp_path: Path) -> None:
    output = copy(small_run, tmp_path / "out")
    lost = next((output / "facts").iterdir())
    lost.unlink()
    done = facetmine("mine", "-o", output)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert lost.name in done.stderr
    assert "facetmine parse" in done.stderr


@pytest.mark.parametrize("option", ["--seed=7", pytest.param("--triplets=5", marks=pytest.mark.slow)])
def test_mining_anew_leaves_captions_and_facts_as_they_are(option: str, small_run: Path, tmp_path: Path) -> None:
    output = copy(small_run, tmp_path / "out")
    before = modification_times(output)
    done = facetmine("mine", "-o", output, option)
    assert done.returncode == 0, done.stderr
    assert_whole(output)
    after = modification_times(output)
    unchanged = ("captions/", "facts/", "scene_graphs/", "rejects/read-", "rejects/parse-", "_stages/read", "_stages/p")
    for path, changed_at in before.items():
        assert (after[path] == changed_at) == path.startswith(unchanged), path
    assert rows(output, "triplets") != rows(small_run, "triplets")
    if option == "--triplets=5":
        assert manifest(output)["stages"]["write"]["rows_out"] == 5


@pytest.mark.slow
def test_parse_then_mine_is_run(small_run: Path, small_input: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for command in (["parse", "-i", small_input, "--partitions=2"], ["mine"]):
        done = facetmine(*command, "-o", output)
        assert done.returncode == 0, done.stderr
    assert_same(output, small_run)


@pytest.mark.slow
def test_force_does_every_stage_again(small_run: Path, small_input: Path, tmp_path: Path) -> None:
    output = copy(small_run, tmp_path / "out")
    before = modification_times(output)
    shutil.copy(output / "facts/part-00000-of-00002.parquet", output / "facts/part-00000-of-00009.parquet")
    done = facetmine("run", "-i", small_input, "-o", output, "--partitions=2", "--force")
    assert done.returncode == 0, done.stderr
    assert "skipped" not in done.stderr
    assert_same(output, small_run)
    after = modification_times(output)
    assert all(after[path] > changed_at for path, changed_at in before.items())


@pytest.mark.slow
def test_the_number_of_processes_changes_no_file(small_run: Path, small_input: Path, tmp_path: Path) -> None:
    done = facetmine("run", "-i", small_input, "-o", tmp_path / "out", "--partitions=2", *PROCESSES)
    assert done.returncode == 0, done.stderr
    assert checksums(tmp_path / "out") == checksums(small_run)
