"""The command line: help, bad usage in one line, quiet logs, and a live line only where there is a terminal."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import FACETMINE, ROOT, facetmine, wait_until
from datasets import json_lines

import beam_runner
from pipeline import options

SUBCOMMANDS = options._parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
ESCAPE = "\x1b"


def test_no_arguments_print_help_and_fail() -> None:
    done = facetmine()
    assert done.returncode == 2
    assert done.stdout.startswith("usage: facetmine")


def test_version() -> None:
    done = facetmine("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"facetmine \d+\.\d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize("subcommand", [None, *SUBCOMMANDS])
def test_help_tells_every_option(subcommand: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        beam_runner.main([subcommand, "--help"] if subcommand else ["--help"])
    assert ended.value.code == 0
    shown, complaints = capsys.readouterr()
    assert complaints == ""
    parser = SUBCOMMANDS[subcommand] if subcommand else options._parser()
    for action in parser._actions:
        assert action.help or action.dest == "command", action.dest
        for name in action.option_strings:
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", shown), name
    if not subcommand:
        assert all(re.search(rf"^ +{name}\s+\S", shown, re.MULTILINE) for name in SUBCOMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "'frobnicate'"),
        (["run"], "--input"),
        (["run", "--input", "CAPTIONS", "--output"], "--output"),
        (["run", "--input", "CAPTIONS", "--output", "OUT", "extra"], "extra"),
        (["run", "--input", "CAPTIONS", "--output", "OUT", "--seeed=3"], "--seeed=3; did you mean --seed?"),
        (["mine", "--output", "OUT", "--triplet", "5"], "--triplet; did you mean --triplets?"),
        (["inspect", "OUT", "--sedd=3"], "--sedd=3; did you mean --seed?"),
        (["query", "OUT", "SELECT 1", "--fromat=csv"], "--fromat=csv; did you mean --format?"),
        (["mine", "--output", "OUT", "--runer=DirectRunner"], "--runer=DirectRunner; did you mean --runner?"),
        (["mine", "--output", "OUT", "--direct_num_worker=2"], "did you mean --direct_num_workers?"),
        (["mine", "--output", "OUT", "--direct_num_workers=two"], "'two'"),
        (["mine", "--output", "OUT", "--direct_running_mode=often"], "'often'"),
        (["mine", "--output", "OUT", "--split=2"], "2"),
        (["mine", "--output", "OUT", "--split=-0.1"], "-0.1"),
        (["mine", "--output", "OUT", "--split=nan"], "nan"),
        (["mine", "--output", "OUT", "--split=half"], "'half'"),
        (["mine", "--output", "OUT", "--triplets=0"], "0 is not between"),
        (["mine", "--output", "OUT", "--triplets=many"], "'many'"),
        (["mine", "--output", "OUT", "--kinds=relation,colour"], "colour"),
        (["mine", "--output", "OUT", "--kinds=,"], "','"),
        (["mine", "--output", "OUT", "--seed=-1"], "-1"),
        (["mine", "--output", "OUT", "--seed=1.5"], "'1.5'"),
        (["mine", "--output", "OUT", "--preset=best"], "'best'"),
        (["read", "--input", "CAPTIONS", "--output", "OUT", "--partitions=0"], "0 is not between"),
        (["read", "--input", "CAPTIONS", "--output", "OUT", "--partitions=few"], "'few'"),
        (["read", "--input", "CAPTIONS", "--output", "OUT", "--input-format=docx"], "'docx'"),
        (["parse", "--input", "CAPTIONS", "--output", "OUT", "--parser=psychic"], "'psychic'"),
        (["read", "--input", "missing.tsv", "--output", "OUT"], "'missing.tsv'"),
        (["read", "--input", "missing*.tsv", "--output", "OUT"], "'missing*.tsv'"),
        (["mine", "--output", "OUT", "--runner=NoSuchRunner"], "NoSuchRunner"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_told_in_one_line(
    arguments: list[str], said: str, captions_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"OUT": str(tmp_path / "out"), "CAPTIONS": str(captions_file)}
    assert beam_runner.main([places.get(argument, argument) for argument in arguments]) == 2
    shown, complaints = capsys.readouterr()
    assert shown == ""
    assert complaints.startswith("facetmine: ")
    assert complaints.count("\n") == 1
    assert said in complaints
    assert not (tmp_path / "out").exists()


def test_bad_usage_of_the_real_command() -> None:
    done = facetmine("run", "--input", "captions.tsv", "--output", "out", "--kindz=relation")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "facetmine: unknown argument --kindz=relation; did you mean --kinds? (facetmine run --help lists the options)\n"
    )


@pytest.mark.parametrize("command", ["mine", "parse"])
@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "no folder"])
def test_a_stage_without_the_one_before_it_says_what_to_run_first(
    command: str, there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    if there:
        output.mkdir()
    assert beam_runner.main([command, "--output", str(output)]) == 1
    shown, complaints = capsys.readouterr()
    assert shown == ""
    assert complaints.count("\n") == 1
    assert f"`facetmine parse --input CAPTIONS --output {output}`" in complaints
    assert output.exists() == there


def assert_sober(log: str, stages: tuple[str, ...]) -> None:
    """The log has a line for the start and the end of every stage, and nothing else."""
    lines = [re.sub(r"^\d\d:\d\d:\d\d (\w+) +(\w+).*", r"\1 \2", line) for line in log.splitlines()]
    assert lines == [f"{stage} {what}" for stage in stages for what in ("starts", "done")]


def test_the_log_is_quiet_and_the_summary_is_all_that_goes_to_standard_output(small_run: Path) -> None:
    log, summary = ((small_run.parent / name).read_text() for name in ("stderr.txt", "stdout.txt"))
    assert_sober(log, ("read", "parse", "mine", "write"))
    assert not {ESCAPE, "\r"} & {*log, *summary}
    assert re.search(r"^\W*read\b.*\b200\b", summary, re.MULTILINE)
    assert summary.splitlines()[-1].startswith(f"{small_run}: ")


@pytest.mark.slow
def test_worker_processes_are_quiet_too(small_input: Path, tmp_path: Path) -> None:
    done = facetmine("parse", "--input", small_input, "--output", tmp_path / "out", "--partitions=2",
                     "--direct_num_workers=2", "--direct_running_mode=multi_processing")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_sober(done.stderr, ("read", "parse"))


@pytest.mark.slow
def test_verbose_shows_the_log_of_the_runner(small_input: Path, tmp_path: Path) -> None:
    done = facetmine("read", "--input", small_input, "--output", tmp_path / "out", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "Creating state cache" in done.stderr  # Beam's


def test_a_terminal_shows_a_live_line_and_is_left_as_it_was(captions_file: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [FACETMINE, "parse", "--input", captions_file, "--output", tmp_path / "out", "--partitions=4"],
        stdout=subprocess.DEVNULL, stderr=theirs, start_new_session=True, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = bytearray()

    def live_line() -> bool:
        shown.extend(os.read(ours, 65536))
        return re.search(rb"parse.*\d/4.*parts.*captions", bytes(shown)) is not None

    wait_until(live_line, 60, "a live line is shown")
    os.kill(process.pid, signal.SIGINT)
    process.wait(timeout=30)
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.returncode == 130
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") > 0  # the cursor is back
    assert bytes(shown).rstrip().splitlines()[-1].rpartition(b"\x1b[2K")[2].startswith(b"facetmine: interrupted")


def test_beam_runner_py_is_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text(json_lines([("a", "a man on a horse")]))
    done = subprocess.run(
        [sys.executable, ROOT / "beam_runner.py", "read", "-i", "captions.jsonl", "-o", "out", "--partitions=1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/manifest.json").read_text())["stages"]["read"]["rows_out"] == 1


def test_an_output_name_that_the_encoding_of_the_terminal_lacks(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text(json_lines([("a", "a man on a horse")]))
    done = facetmine("read", "-i", tmp_path / "captions.jsonl", "-o", tmp_path / "ausgänge", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "ausg\\xe4nge" in done.stdout


def test_a_reader_of_the_summary_that_leaves_early_is_no_failure(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with io.TextIOWrapper(io.FileIO(write_end, "w")) as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        assert beam_runner.main(["mine", "--output", str(small_run)]) == 0
