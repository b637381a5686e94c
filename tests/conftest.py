"""What several test files share: captions, the command as users run it, and programs beside it."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import chromium, open_page  # noqa: F401, which are fixtures
from commands import ROOT, facetmine, processes_of_group

from pipeline.shipping import MODULES

# A shell starts what runs in the background with SIGINT ignored, and its children inherit that; tests send it to them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

COMMON = {"man", "woman", "boy", "girl", "dog", "cat", "people", "car", "bird", "child"}


@pytest.fixture(scope="session")
def captions_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 captions of the web as JSON Lines, of images about things that other images are about too."""
    with (ROOT / "parsers/data/web/train.tsv").open(encoding="utf-8", newline="") as file:
        captions = [row["caption"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    chosen = [caption for caption in dict.fromkeys(captions) if COMMON & set(caption.split())][:600]
    path = tmp_path_factory.mktemp("captions") / "captions.jsonl"
    lines = [json.dumps({"image_id": f"image-{number:04d}", "caption": text}) for number, text in enumerate(chosen)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def prism() -> str:
    """Path of a Prism binary; skips where there is none."""
    found = shutil.which(ROOT / ".prism/bin/prism") or shutil.which("prism")
    if found is None:
        pytest.skip("no prism on the PATH or in .prism/bin: `make prism` builds it")
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program beside the test; it and all that it started are gone when the test is over."""
    with contextlib.ExitStack() as stack:

        def start_program(*command: object, **environment: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [str(part) for part in command], cwd=tmp_path, env=os.environ | environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            stack.callback(_end, process)
            return process

        yield start_program


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
            if not processes_of_group(process.pid):
                return


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with facetmine's dependencies and without facetmine, for PYTHONPATH and `python -S`."""
    import numpy

    installed = Path(numpy.__file__).parents[1]
    folder = tmp_path_factory.mktemp("dependencies")
    ours = {f"{module}.py" for module in MODULES} | set(MODULES)
    for path in installed.iterdir():
        backport = path.stem in sys.stdlib_module_names  # on PYTHONPATH it would go before Python's own
        if not backport and path.name not in ours and "facetmine" not in path.name and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="session")
def small_input(captions_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 of the captions, and 80 that say so much the same that many triplets can be made of them."""
    path = tmp_path_factory.mktemp("small") / "captions.jsonl"
    subjects = ("man", "woman", "boy", "girl", "dog")
    scenes = ("riding a horse", "holding an umbrella", "with a hat", "on a beach", "near a car", "in a boat",
              "under a tree", "eating an apple")  # fmt: skip
    alike = [f"a {subject} {scene}" for subject in subjects for scene in scenes] * 2
    lines = [json.dumps({"image_id": f"alike-{number}", "caption": text}) for number, text in enumerate(alike)]
    path.write_text("\n".join([*captions_file.read_text().splitlines()[:120], *lines, ""]))
    return path


@pytest.fixture(scope="session")
def small_run(small_input: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of an undisturbed run over them, in two partitions. Copy it to change it.

    Beside it lies what the run printed: stdout.txt and stderr.txt.
    """
    folder = tmp_path_factory.mktemp("small-run")
    done = facetmine("run", "-i", small_input, "-o", folder / "out", "--partitions=2")
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder / "out"
