"""facetmine reaches workers that do not have it: as a wheel, and on a Dask cluster."""

import json
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ROOT, facetmine, wait_until

from pipeline import shipping

pytestmark = [pytest.mark.xdist_group("clusters"), pytest.mark.timeout(400)]

Start = Callable[..., "subprocess.Popen[str]"]


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder without sources and with no variables but those given."""
    return subprocess.run(
        [str(part) for part in command], cwd="/", env={"PATH": "/usr/bin:/bin", **environment}, text=True,
        capture_output=True, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed by pip into an empty folder."""
    wheel = shipping.build_wheel(tmp_path_factory.mktemp("wheel"))
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile", "--target", target]
    done = run(*pip, wheel)
    assert done.returncode == 0, done.stderr
    return target


def test_the_wheel_holds_every_package_of_the_project(tmp_path: Path) -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    with zipfile.ZipFile(shipping.build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    for package in tools["packages"]:
        if not package.startswith("downstream"):  # consumers of the output, which no worker runs
            assert f"{package.replace('.', '/')}/__init__.py" in names
    assert {f"{module}.py" for module in tools["py-modules"]} <= names
    assert "schemas/views.sql" in names
    assert not any("__pycache__" in name or name.startswith("tests/") for name in names)


def test_the_same_sources_make_the_same_wheel(tmp_path: Path) -> None:
    wheels = [shipping.build_wheel(Path(tmp_path / name)) for name in ("one", "two") if not (tmp_path / name).mkdir()]
    assert wheels[0].name == wheels[1].name
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


PROBE = """\
import json, sys
import beam_runner, pipeline.job, parsers, schemas.views
from importlib.resources import files
graph = parsers.load("default").parse(["a red dog sits on the grass"])[0]
print(json.dumps({
    "places": sorted({module.__file__ for name, module in sys.modules.items()
                      if name.partition(".")[0] in ("beam_runner", "pipeline", "parsers", "filters", "schemas")}),
    "views": (files("schemas") / "views.sql").read_text()[:2000],
    "heads": [entity.head for entity in graph.entities],
}))
"""


@pytest.mark.slow
def test_the_wheel_is_all_that_a_worker_needs_beside_the_dependencies(installed: Path, dependencies: Path) -> None:
    alone = run(sys.executable, "-S", "-c", "import pipeline", PYTHONPATH=str(dependencies))
    assert "No module named 'pipeline'" in alone.stderr
    done = run(sys.executable, "-S", "-c", PROBE, PYTHONPATH=f"{installed}:{dependencies}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(Path(place).is_relative_to(installed) for place in found["places"])
    assert "CREATE" in found["views"].upper()
    assert found["heads"] == ["dog", "grass"]


@pytest.mark.slow
def test_dask_workers_that_lack_facetmine_are_given_it(
    captions_file: Path, dependencies: Path, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "scheduler.json"
    dask = (sys.executable, "-S", "-m", "dask")
    bare = {"PYTHONPATH": str(dependencies), "PYTHONDONTWRITEBYTECODE": "1"}
    start(*dask, "scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard", "--scheduler-file", file, **bare)
    wait_until(file.exists, 60, "the scheduler is there")
    worker = (*dask, "worker", "--scheduler-file", file, "--nthreads=1", "--no-dashboard")
    start(*worker, **bare)
    address = json.loads(file.read_text())["address"]
    probe = "import distributed; c = distributed.Client(%r); c.wait_for_workers(%d, 90); print(c.run(%s))"
    lacking = "lambda: __import__('importlib.util').util.find_spec('pipeline') is None"
    before = run(sys.executable, "-S", "-c", probe % (address, 1, lacking), **bare)
    assert before.stdout.count("True") == 1, before.stderr

    options = ("--runner=DaskRunner", f"--dask_scheduler_file={file}")
    command = ("run", "--input", captions_file, "--partitions=4", *options)
    done = facetmine(*command, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr

    start(*worker, **bare)  # joins after the upload
    later = run(sys.executable, "-S", "-c", probe % (address, 2, "lambda: __import__('pipeline').__file__"), **bare)
    assert later.stdout.count("facetmine-") == 2, later.stderr
    done = facetmine(*command, "--output", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "again/triplets").iterdir()) == sorted(
        path.name for path in (tmp_path / "out/triplets").iterdir()
    )
