"""Getting facetmine itself to workers on other machines, without the user's hand."""

import base64
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

MODULES = (
    "beam_runner", "pipeline", "parsers", "filters", "schemas", "images", "encoders", "toyworld", "downstream", "viewer"
)  # fmt: skip
"""facetmine's importable modules and packages: what a worker needs beside the dependencies."""


@contextlib.contextmanager
def package() -> Iterator[Path]:
    """A wheel of the facetmine that is running, however it was installed, for Beam's ``--extra_packages``."""
    with tempfile.TemporaryDirectory() as folder:
        yield build_wheel(Path(folder))


def build_wheel(folder: Path) -> Path:
    """Write a wheel of the running facetmine into the folder (PEP 427; pure Python, so files and their records)."""
    version = importlib.metadata.version("facetmine")
    information = f"facetmine-{version}.dist-info"
    contents = {name: path.read_bytes() for name, path in sources()} | dict([metadata()])
    contents[f"{information}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: facetmine\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    records = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in contents.items()]
    contents[f"{information}/RECORD"] = "\n".join([*records, f"{information}/RECORD,,", ""]).encode()
    wheel = folder / f"facetmine-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name)  # without the time of day: the same sources make the same wheel
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return wheel


def upload_to_dask(address: str | None, scheduler_file: str | None) -> None:
    """Give a running Dask cluster the facetmine that is running: its scheduler, its workers, and those that join later.

    It takes the place of a facetmine that they have, and of one that another run gave them.

    Raises:
        OSError: no scheduler answers there.
    """
    import distributed

    with tempfile.TemporaryDirectory() as temporary:
        wheel = build_wheel(Path(temporary)).read_bytes()
    place = f"facetmine-{hashlib.sha256(wheel).hexdigest()[:16]}"
    modules = MODULES

    # Functions and classes of this function travel by value: who gets them cannot import this module yet.
    def install(folder: str) -> None:
        target = str(Path(folder, place))
        if target in sys.path:
            return
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            archive.extractall(target)
        sys.path[:] = [target, *(path for path in sys.path if not Path(path).name.startswith("facetmine-"))]
        for name in list(sys.modules):
            if name.partition(".")[0] in modules:
                del sys.modules[name]
        importlib.invalidate_caches()

    class ForWorkers(distributed.WorkerPlugin):
        name = "facetmine-worker"

        def setup(self, worker: distributed.Worker) -> None:
            install(worker.local_directory)

    class ForScheduler(distributed.SchedulerPlugin):
        name = "facetmine-scheduler"

        async def start(self, scheduler: distributed.Scheduler) -> None:
            self.folder = tempfile.TemporaryDirectory(prefix="facetmine-")
            install(self.folder.name)

    with distributed.Client(address, scheduler_file=scheduler_file) as client:
        client.register_plugin(ForScheduler())
        client.register_plugin(ForWorkers())


def sources() -> Iterator[tuple[str, Path]]:
    """The running facetmine's files, data and models among them, by their path in an installation."""
    for module in MODULES:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"module {module} of facetmine cannot be found; install facetmine again")
        origin = Path(spec.origin)
        if origin.name != "__init__.py":
            yield origin.name, origin
            continue
        for path in sorted(origin.parent.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{module}/{path.relative_to(origin.parent).as_posix()}", path


def metadata() -> tuple[str, bytes]:
    """What makes an installation facetmine of a version: the path of a file in it, and what the file says."""
    version = importlib.metadata.version("facetmine")
    told = importlib.metadata.distribution("facetmine").read_text("METADATA") or (
        f"Metadata-Version: 2.1\nName: facetmine\nVersion: {version}\n"
    )
    return f"facetmine-{version}.dist-info/METADATA", told.encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
