"""Every command of README and docs is run, or the page says why not; then its options are at least known.

A page's blocks run one after the other in a folder of its own, which begins with what the pages take for granted:
captions.tsv, shards/ and pictures/ of the toy world, queries, GeneCIS's folders, and out/mine, out/other and out/run
unless the page makes them. What stands in ``STANDS_FOR`` is replaced: weights cannot be had here, and a test has little
time.
"""

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from commands import ROOT
from documentation import PAGES, RUN, Block, blocks, mentions

import beam_runner
from pipeline import options
from schemas.views import connect

STANDS_FOR = {
    r"ViT-B-\d+ --(clip-)?pretrained WEIGHTS": "toyworld",
    r"--images (1500|5000)\b": "--images 300",
    r"--images 2000\b": "--images 600",
    r"--epochs \d+": "--epochs 1",
    r"(facetmine train out/mine --output \S+)": r"\1 --epochs 1",
    r", task, 100\)": ", task, 5)",
}
EXAMPLE = "5925e2ec"
"""Beginning of the id of a triplet that the pages name."""
NEEDS_ONE_SHELL = re.compile(r"<<|^\w+=", re.MULTILINE)
"""Lines of such a block belong together: text that follows, a variable."""
OPERATOR = re.compile(r"[|<>;&$*]")
PROGRAMS = (".venv/bin/facetmine", "facetmine")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_blocks_that_say_what_they_are(page: Path) -> None:
    for line in page.read_text(encoding="utf-8").splitlines():
        assert not re.match(r"( {4}|\t)\$? ?(\S*/)?(facetmine|python -m|make) ", line), f"{page.name}: fence it: {line}"
    for block in blocks(page):
        if block.language not in RUN:
            assert not re.search(r"^\$ |^(\S*/)?(facetmine|pip|make|spark-submit) ", block.text, re.MULTILINE), (
                f"{block.place}: these are commands; call the block sh, or console where it shows what they print"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_not_run_are_facetmines_own(page: Path) -> None:
    for block in blocks(page):
        for command in block.commands if block.not_run and block.language in ("sh", "console") else ():
            words = shlex.split(command, comments=True)
            words = words[next((i for i, word in enumerate(words) if word.endswith("beam_runner.py")), 0) :]
            if words and (words[0] in PROGRAMS or words[0].endswith("beam_runner.py")):
                options.parse_arguments(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_named_in_sentences_are_there(page: Path) -> None:
    for mention in mentions(page):
        command, *words = mention.split()[1:]
        if command == "COMMAND":
            continue
        helped = _help(command)
        for word in words:
            if word.startswith("--"):
                assert word in helped, f"{page.name}: `{mention}`: {command} has no {word}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted, made once."""
    folder = tmp_path_factory.mktemp("documentation")
    with contextlib.chdir(folder):
        _captions(Path("captions.tsv"))
        _run("toyworld", "--output", "toy", "--images", "400", "--wrong", "0.1")
        Path("toy/shards").rename("shards")
        Path("pictures").mkdir()
        with tarfile.open("shards/00000.tar") as archive:
            for member in archive:
                if member.name.endswith(".png"):
                    Path("pictures", member.name).write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr]
        names = sorted(path.name for path in Path("pictures").iterdir())
        shutil.copy(f"pictures/{names[0]}", "chair.jpg")
        queries = [
            {"reference": a, "condition": "in red", "right": [b]} for a, b in zip(names[:9], names[9:18], strict=True)
        ]
        Path("mine.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
        Path("captions.txt").write_text("a man rides a horse\n")
        _galleries()
        _run("run", "--input", "shards", "--images", "shards", "--clip-model", "toyworld", "--split", "0.2",
             "--partitions", "2", "--triplets", "1500", "--output", "out/mine")  # fmt: skip
        shutil.copytree("out/mine", "out/other")
        _run("train", "out/mine", "--output", "out/run", "--epochs", "1", "--projection", "64")
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("documentation")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.language in RUN and not b.not_run for b in blocks(page))],
    ids=lambda page: page.name,
)  # fmt: skip
def test_the_commands_of_a_page_run(
    page: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    to_run = [block for block in blocks(page) if block.language in RUN and not block.not_run]
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/facetmine").symlink_to(Path(sys.executable).with_name("facetmine"))
    commands = "\n".join(command for block in to_run for command in block.commands if block.language == "sh")
    for stage, made in (("run", "out/mine"), ("train", "out/run")):
        if re.search(rf"facetmine {stage} .*--output {made}\b", commands):
            shutil.rmtree(tmp_path / made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for block in to_run:
        _run_block(block)
    capsys.readouterr()


def _run_block(block: Block) -> None:
    text = block.text
    for wanted, given in STANDS_FOR.items():
        text = re.sub(wanted, given, text)
    if block.language == "python":
        exec(compile(text, block.place, "exec"), {"__name__": "__main__"})
    elif block.language == "sql":
        _run("query", "out/mine", _with_triplet(text))
    elif block.language == "console":
        (command,) = block.commands
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{block.place}: {command}\n{done.stderr}"
        assert done.stdout == block.text.partition("\n")[2], f"{block.place}: {command} prints something else"
    elif NEEDS_ONE_SHELL.search(text):
        _run_in_shell(text, block.place)
    else:
        for command in Block(block.place, "sh", text, "").commands:
            words = shlex.split(command := _with_triplet(command), comments=True)
            bare = re.sub(r"'[^']*'|\"[^\"$]*\"|#.*", "", command)
            if words[0] in PROGRAMS and not OPERATOR.search(bare):
                _run(*words[1:], place=block.place)
            else:
                _run_in_shell(command, block.place)


def _run_in_shell(text: str, place: str) -> None:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{place}:\n{text}{done.stdout[-2000:]}{done.stderr[-2000:]}"


def _run(*words: str, place: str = "") -> None:
    """facetmine in this process, which has long been started."""
    try:
        status = beam_runner.main(list(words))
    except SystemExit as ended:  # --help
        status = int(ended.code or 0)
    assert status == 0, f"{place}: facetmine {shlex.join(words)}: status {status}"


def _with_triplet(text: str) -> str:
    """The text with a triplet of out/mine in place of the pages' example."""
    if EXAMPLE not in text:
        return text
    found = connect("out/mine").execute("SELECT triplet_id FROM sample_triplets(1)").fetchone()
    assert found, "out/mine has no triplets"
    return re.sub(rf"\b{EXAMPLE}[0-9a-f]*", found[0], text)


def _help(command: str) -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        options.parse_arguments([command, "--help"])
    assert shown.getvalue(), f"there is no facetmine {command}"
    return shown.getvalue()


def _captions(path: Path) -> None:
    with (ROOT / "parsers/data/web/train.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        lines = [f"{row['caption']}\thttps://example.org/{number}.jpg\n" for number, row in enumerate(rows)]
    path.write_text("".join(lines[:1500]), encoding="utf-8")


def _galleries() -> None:
    """GeneCIS's folders, of toy pictures."""
    from downstream import toy_galleries
    from downstream.genecis import TASKS
    from images import ImageStore

    Path("truth").mkdir()
    shutil.move("toy/truth", "truth/truth")
    truth = toy_galleries.Truth.read("truth")
    made = {task: toy_galleries.galleries(truth, task, 5) for task in TASKS}
    toy_galleries.write(Path("galleries"), made, ImageStore.open(["shards/"], index="images.index"))
    for name, place in (("templates", "genecis"), ("images", "val2017")):
        Path("galleries", name).rename(place)
    Path("VG").mkdir()
    for leftover in ("galleries", "toy", "truth"):
        shutil.rmtree(leftover)
