"""The terminal: help with examples, shell completion, colours where they are wanted, width, JSON for programs."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from commands import FACETMINE
from datasets import manifest
from factories import dataset, facts_parts
from rich.cells import cell_len
from test_report import fair, make

import beam_runner
from pipeline import completion, examples, options
from pipeline.summary import print_summary
from schemas.manifest import FileEntry, Manifest, Stage

SUBCOMMANDS = options._parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
COLOR = re.compile(r"\x1b\[[0-9;]*(?<![0-9])(?:[34][0-7]|[349]8|9[0-7]|10[0-7])(?![0-9])[0-9;]*m")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("terminal") / "out", fair())


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_help_of_every_subcommand_ends_in_examples_that_parse(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        beam_runner.main([name, "--help"])
    shown = capsys.readouterr().out
    assert examples.EXAMPLES[name]
    for line in examples.EXAMPLES[name]:
        assert f"\n  {line}\n" in shown
        words = shlex.split(line, comments=True)
        words = words[: next((place for place, word in enumerate(words) if word in (">", ">>")), None)]
        assert words[:2] == ["facetmine", name]
        given, _ = options.parse_arguments(words[1:])
        assert given.command == name


def test_completion_in_bash(tmp_path: Path) -> None:
    script = tmp_path / "facetmine.bash"
    script.write_text(completion.script(options._parser(), "bash"))

    def completed(*words: str) -> set[str]:
        ask = f"""
        source {shlex.quote(str(script))}
        COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}
        $(complete -p facetmine | sed 's/.*-F \\([^ ]*\\).*/\\1/') 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, cwd=tmp_path, timeout=30)
        return set(done.stdout.split())

    (tmp_path / "dataset").mkdir()
    assert {"inspect", "report", "completion"} <= completed("facetmine", "")
    assert completed("facetmine", "insp") == {"inspect"}
    assert {"--triplets", "--seed", "--json"} <= completed("facetmine", "inspect", "--")
    assert {"default", "genecis"} <= completed("facetmine", "run", "--preset", "")
    assert "dataset" in {name.rstrip("/") for name in completed("facetmine", "inspect", "data")}


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_is_a_script_that_the_shell_can_read(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in SUBCOMMANDS)
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, timeout=30).returncode == 0


def on_terminal(*arguments: object, width: int = 100, **environment: str) -> str:
    """What a command shows on a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    told = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [FACETMINE, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL,
        env=told | {"TERM": "xterm-256color"} | environment,
    )  # fmt: skip
    os.close(theirs)
    shown = bytearray()
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(ours, 65536):
            shown += chunk
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return shown.decode()


def test_colours_on_a_terminal_unless_no_color_is_set(out: Path) -> None:
    assert COLOR.search(on_terminal("inspect", out))
    assert not COLOR.search(on_terminal("inspect", out, NO_COLOR="1"))
    assert "\x1b" not in on_terminal("inspect", out, TERM="dumb")


def test_no_colours_where_there_is_no_terminal(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["inspect", out], ["report", out], ["query", out, "FROM kinds"], ["explain", out, "0"]):
        beam_runner.main([str(argument) for argument in arguments])
        assert "\x1b" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("width", [60, 80, 140])
def test_tables_fit_the_width(
    out: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert beam_runner.main(["inspect", str(out)]) == 0
    shown = capsys.readouterr().out
    assert max(map(cell_len, shown.splitlines())) <= width
    reasons = {
        "image_distractor_fits_condition": 4_350,
        "text_distractor_fits_subject": 25_900,
        "reference_fits_condition": 58_200,
    }
    stage = Stage(fingerprint="", rows_in=300_000, rows_out=211_550, rejects=reasons, seconds=1234.5)
    stage.files.append(FileEntry("triplets/part.parquet", 211_550, 9_000_000, "0"))
    print_summary(Manifest(facetmine_version="1", configuration={}, seed=0, stages={"write": stage}), "out")
    shown = capsys.readouterr().out
    assert max(map(cell_len, shown.splitlines())) <= width
    # Nothing is cut, only folded.
    folded = re.sub(r"\s", "", "".join(line.split("│")[4] for line in shown.splitlines() if line.count("│") > 4))
    assert folded == "".join(f"{rows:,}{reason}" for reason, rows in sorted(reasons.items(), key=lambda one: -one[1]))


def test_json_of_inspect_is_what_the_manifest_and_the_tables_say(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["inspect", str(out), "--json", "--triplets", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    stages = manifest(out)["stages"]
    assert told["dataset"] == str(out)
    assert told["damage"] == {}
    for name, stage in stages.items():
        assert told["stages"][name]["rejects"] == stage["rejects"]
        assert told["stages"][name]["rows_out"] == stage["rows_out"]
    assert told["tables"]["triplets"]["rows"] == stages["write"]["rows_out"]
    assert sum(row["triplets"] for row in told["kinds"]) == stages["write"]["rows_out"]
    assert len(told["triplets"]["sample"]) == 3
    assert {"reference_caption", "condition", "triplet_id"} <= told["triplets"]["sample"][0].keys()


def test_json_of_inspect_tells_of_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = dataset(tmp_path / "out", facts_parts(fair(), 2))
    job.write_manifest()
    (damaged,) = sorted((tmp_path / "out/facts").iterdir())[:1]
    damaged.unlink()
    assert beam_runner.main(["inspect", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["damage"]) == [f"facts/{damaged.name}"]
