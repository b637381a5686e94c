"""Running a Beam pipeline on whichever runner the options name, and failing with one clear message."""

import argparse
import contextlib
import copy
import difflib
import errno
import importlib
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.metrics.execution import MetricResult
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_provision_api_pb2, beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineResult, PipelineRunner, create_runner

from pipeline import routing, shipping, worker
from pipeline import spark as native
from pipeline.store import StoreError
from schemas.places import PlaceError

Build = Callable[[beam.Pipeline], object]

LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")


class UsageError(Exception):
    """The command line asks for something that does not exist; the message says what and what to do."""


class RunError(Exception):
    """A pipeline failed; the message says why in one piece."""


def parse_beam_options(arguments: Sequence[str], own: Sequence[str] = ()) -> PipelineOptions:
    """Beam's options from what facetmine's own parser left over.

    Args:
        own: facetmine's own options, to tell what a misspelt one may mean.

    Raises:
        UsageError: an argument is no option of Beam's either, or has a bad value.
    """
    if any("dask" in argument.lower() for argument in arguments):
        with contextlib.suppress(ImportError):  # where dask is missing, the session says so
            importlib.import_module("apache_beam.runners.dask.dask_runner")  # its options exist from then on
    parser = _BeamParser(add_help=False, allow_abbrev=False)
    for options_class in sorted(_subclasses(PipelineOptions), key=lambda class_: class_.__name__):
        options_class._add_argparse_args(parser)  # type: ignore[arg-type]
    _, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        raise UsageError(unknown_argument(unknown[0], [*own, *known]))
    return PipelineOptions(list(arguments))


def unknown_argument(argument: str, known: Sequence[str]) -> str:
    """What to say of it, with the known option that it resembles."""
    near = difflib.get_close_matches(argument.partition("=")[0], known, n=1)
    return f"unknown argument {argument}" + (f"; did you mean {near[0]}?" if near else "")


def runner_name(options: PipelineOptions) -> str:
    """The runner's class name, 'DirectRunner' where none is named. Like Beam, it takes 'direct' for one."""
    given = (options.view_as(StandardOptions).runner or "DirectRunner").rpartition(".")[2]
    ours = (*LOCAL_RUNNERS, "DaskRunner", "PrismRunner")
    return next((name for name in ours if given.lower() in (name.lower(), name.lower().removesuffix("runner"))), given)


@dataclass
class Runner:
    """Runs pipelines one after the other with the same options.

    Attributes:
        options: Beam's options.
        verbose: keep the traceback of a failure, and show the logs of the processes that the runner starts.
        spark: run on Spark natively, as it says, and not on Beam's runner.
        counters: Beam's counters of all pipelines so far, by name. DaskRunner has none.
        shuffled: what was sent into shuffles (routing.SHUFFLES), where Beam's runner counts it.
    """

    options: PipelineOptions
    verbose: bool = False
    spark: native.SparkOptions | None = None
    counters: Counter[str] = field(default_factory=Counter)
    shuffled: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._session: Any = None
        self.name = runner_name(self.options)
        if self.spark is not None:
            self.name = "Spark"
            return
        if self.name in (*LOCAL_RUNNERS, "DaskRunner"):
            return
        try:
            create_runner(self._given_name)
        except (ValueError, ImportError, AttributeError) as error:
            raise UsageError(f"--runner {self._given_name}: {error}") from None

    @property
    def _given_name(self) -> str:
        return self.options.view_as(StandardOptions).runner or self.name

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """What the runner needs for as long as the job runs: a Dask cluster, a Prism, files to ship to workers.

        What it starts ends with it, also when the process is told to terminate (see interruption).

        Raises:
            UsageError: what the runner needs is not there.
        """
        with contextlib.ExitStack() as stack:
            if self.spark is not None:
                try:
                    self._session = stack.enter_context(native.session(self.spark, verbose=self.verbose))
                except native.SparkError as error:
                    raise UsageError(str(error)) from None
                yield
                return
            if self.name == "DaskRunner":
                stack.enter_context(_dask_cluster(self.options, verbose=self.verbose))
            elif self.name == "PrismRunner" and not self.options.view_as(PortableOptions).job_endpoint:
                stack.enter_context(_prism_server(self.options, verbose=self.verbose))
            if self._is_remote:
                package = stack.enter_context(shipping.package())
                setup = self.options.view_as(SetupOptions)
                setup.extra_packages = [*(setup.extra_packages or []), str(package)]
            yield

    @property
    def is_embedded(self) -> bool:
        """Whether pipelines run in this process and in workers that end with it."""
        return self.name in LOCAL_RUNNERS

    @property
    def is_one_process(self) -> bool:
        """Whether all work is done in this process, by one worker."""
        direct = self.options.view_as(DirectOptions)
        return self.is_embedded and direct.direct_running_mode == "in_memory" and direct.direct_num_workers == 1

    @property
    def _is_remote(self) -> bool:
        """Whether workers may be machines that do not have this process's packages."""
        if self.name in (*LOCAL_RUNNERS, "DaskRunner"):
            return False
        environment = self.options.view_as(PortableOptions).environment_type
        return environment != "LOOPBACK" and not (self.name == "PrismRunner" and environment is None)

    def check_output(self, local: bool) -> None:
        """Refuse a local output folder where other machines do the work: they would fill folders of their own.

        Raises:
            UsageError: the output is local and the runner is not.
        """
        if local and self.name in ("DataflowRunner", "DataflowRunnerV2"):
            raise UsageError(
                f"{self.name} runs on other machines, which cannot write to a local folder; give --output a path that "
                "they share, such as gs://BUCKET/FOLDER"
            )

    def pipeline(self) -> beam.Pipeline:
        """An empty pipeline for this runner, to look at: its options are validated, and no network is asked.

        Raises:
            UsageError: an option is missing or has a value that the runner does not take.
        """
        options = copy.deepcopy(self.options)
        options.view_as(TestOptions).dry_run = True  # else Beam asks for the policy of the bucket
        embedded = self.name in (*LOCAL_RUNNERS, "DaskRunner", "Spark")
        if self.name.startswith("Dataflow"):  # Beam would look for a bucket where it is given none that will do
            cloud = options.view_as(GoogleCloudOptions)
            validator = PipelineOptionsValidator(options, create_runner(self._given_name))
            wrong = [validator.validate_gcs_path(cloud, name) for name in ("temp_location", "staging_location")]
            if all(wrong):
                raise UsageError(f"{self.name}: {wrong[0][0]} Give --temp_location gs://BUCKET/FOLDER")
        try:
            return beam.Pipeline(runner="DirectRunner" if embedded else self._given_name, options=options)
        except ValueError as error:
            first, *rest = str(error).splitlines()
            raise UsageError(f"{self.name}: {' '.join(rest) or first}") from None

    def run(self, label: str, build: Build, *, workers: int = 1) -> None:
        """Build and run one pipeline to its end.

        Args:
            label: what it does, for messages.
            build: applies the transforms to the pipeline.
            workers: processes that the embedded runner may use, where the options do not say.

        Raises:
            RunError: the pipeline failed.
        """
        if self._session is not None:
            try:
                self.counters.update(native.run(self._session, label, build))
            except Exception as error:
                raise RunError(f"{label} failed: {explain(error)}") from (error if self.verbose else None)
            return
        options = copy.deepcopy(self.options)  # runners write into them
        runner: str | PipelineRunner = self._given_name
        if self.name == "DaskRunner":  # which Beam does not know by its short name
            from apache_beam.runners.dask.dask_runner import DaskRunner

            runner = DaskRunner()
        elif self.name in LOCAL_RUNNERS:
            direct = options.view_as(DirectOptions)
            given = self.options.get_all_options(drop_default=True)
            if workers > 1 and "direct_num_workers" not in given and "direct_running_mode" not in given:
                direct.direct_num_workers, direct.direct_running_mode = workers, "multi_processing"
            # What DirectRunner runs batches with, named outright: asked for DirectRunner, Beam first tries to download
            # and start Prism.
            encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
            information = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
            runner = _EmbeddedRunner(provision_info=fn_runner.ExtendedProvisionInfo(provision_info=information))
            runner.verbose = self.verbose
        try:
            pipeline = beam.Pipeline(runner=runner, options=options)
            build(pipeline)
            with worker.watched(label):
                result = pipeline.run()
            try:
                state = result.wait_until_finish()
            finally:
                if self.name == "DaskRunner":
                    result.client.close()  # type: ignore[attr-defined]  # one of its own for every pipeline
            if state not in (None, "DONE"):
                raise RunError(f"{label} ended in state {state}; the runner's log says why")
            self.counters.update(_counters(result, "facetmine"))
            self.shuffled.update(_counters(result, routing.SHUFFLES))
        except (KeyboardInterrupt, RunError):
            raise
        except Exception as error:
            raise RunError(f"{label} failed: {explain(error)}") from (error if self.verbose else None)


def explain(error: BaseException) -> str:
    """The cause of a failure in words, dug out of what runners wrap around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return _DISK_FULL
        if isinstance(cause, StoreError | PlaceError):
            return str(cause)
        if isinstance(cause, OSError) and cause.strerror and cause.filename:
            return f"{cause.filename}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if os.strerror(errno.ENOSPC) in text:
        return _DISK_FULL
    raised = re.findall(r"^\s*(?:[\w.]+\.)?(\w+(?:Error|Exception|Interrupt)): (.+)$", text, re.MULTILINE)
    if raised:
        name, said = raised[-1]
        said = said.split(" [while running")[0]
        return said if name in (StoreError.__name__, PlaceError.__name__) else f"{name}: {said}"
    return f"{type(error).__name__}: {text.split(' [while running')[0].strip() or 'no message'}"


_DISK_FULL = "no space is left on the output's disk. What is complete is kept: make room and run the same command again"


class _BeamParser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message)

    def add_argument(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        with contextlib.suppress(argparse.ArgumentError):  # Beam's own classes define some options twice
            return super().add_argument(*args, **kwargs)


def _subclasses(class_: type[PipelineOptions]) -> set[type[PipelineOptions]]:
    found = set(class_.__subclasses__())
    return found.union(*(_subclasses(subclass) for subclass in found)) if found else found


class _EmbeddedRunner(fn_runner.FnApiRunner):
    """FnApiRunner that passes batches by reference where it works alone.

    Its worker processes, where it has some, keep their logs to themselves, and their Python may be in any folder.
    """

    verbose = False

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> fn_runner.RunnerResult:
        command = worker.command()
        if not self.verbose:
            command += f" 2>{os.devnull}"  # what goes wrong in a worker comes back through Beam
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = command.encode()
        direct = options.view_as(DirectOptions)
        alone = direct.direct_running_mode == "in_memory" and direct.direct_num_workers == 1
        alone = alone and not (direct.direct_runner_bundle_repeat or direct.direct_test_splits)
        with routing.by_reference() if alone else contextlib.nullcontext():
            return super().run_via_runner_api(pipeline_proto, options)


def _counters(result: PipelineResult, namespace: str) -> Counter[str]:
    """Counters of a namespace, each summed over the transforms that count."""
    counters: Counter[str] = Counter()
    try:
        found: list[MetricResult] = result.metrics().query(MetricsFilter().with_namespace(namespace))["counters"]
    except NotImplementedError:
        return counters
    for counter in found:
        counters[counter.key.metric.name] += int(counter.result or 0)
    return counters


_PRISM_MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
_END_WITH_PARENT = """\
import subprocess, sys, threading
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: (sys.stdin.read(), process.terminate()), daemon=True).start()
sys.exit(process.wait())
"""
"""Runs a command until it ends or standard input does, as it does when the process at its other end is killed."""

_PRISM_START_SECONDS = 60.0


def find_prism() -> str | None:
    """A Prism binary on the PATH, or where ``go install`` puts one."""
    folders = [
        os.environ.get("GOBIN"),
        *(f"{path}/bin" for path in os.environ.get("GOPATH", "").split(os.pathsep) if path),
    ]
    folders.append(str(Path("~/go/bin").expanduser()))
    return shutil.which("prism") or shutil.which("prism", path=os.pathsep.join(filter(None, folders)))


@contextlib.contextmanager
def _prism_server(options: PipelineOptions, *, verbose: bool) -> Iterator[None]:
    """One Prism for all pipelines of the job.

    Beam's own would be downloaded, would log at any verbosity, and would go on where this process is killed.
    """
    prism = options.view_as(PrismRunnerOptions)
    location = prism.prism_location or find_prism()
    if location is None:
        raise UsageError(
            f"PrismRunner needs the program prism, and there is none on the PATH: build it with `go install "
            f"{_PRISM_MODULE}@v{beam.version.__version__}`, or say where it is with --prism_location"
        )
    if "://" in location or location.endswith(".zip"):
        yield  # Beam fetches and starts it
        return
    program = shutil.which(location)
    if program is None:
        raise UsageError(f"--prism_location {location} is no program; give the path of a prism binary")
    portable = options.view_as(PortableOptions)
    port = options.view_as(JobServerOptions).job_port or _free_port()
    command = [sys.executable, "-S", "-c", _END_WITH_PARENT, program, f"--job_port={port}", "--serve_http=false",
               f"--log_level={prism.prism_log_level if verbose else 'error'}", "--log_kind=text"]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=None if verbose else log, stderr=None if verbose else log,
            start_new_session=True,  # Ctrl-C is for this process, which ends that one in its time
        )  # fmt: skip
        try:
            if not _answers(port, process):
                log.seek(0)
                said = log.read().decode(errors="replace").strip().splitlines()
                raise RunError(f"{program} does not start as a Prism{f': {said[-1]}' if said else ''}")
            portable.job_endpoint = f"localhost:{port}"
            portable.environment_type = portable.environment_type or "LOOPBACK"
            yield
        finally:
            portable.job_endpoint = None
            process.communicate(timeout=10)  # closes its standard input


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a server answers at the port, or its process ends."""
    deadline = time.monotonic() + _PRISM_START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
            return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def _dask_cluster(options: PipelineOptions, *, verbose: bool) -> Iterator[None]:
    """One cluster for all pipelines of the job, and one task a part.

    DaskRunner starts a cluster for every pipeline, never closes it, and puts 128 elements into one task; our elements
    are parts of tables.
    """
    try:
        import dask.config
        import distributed
        from apache_beam.runners.dask.dask_runner import DaskOptions
    except ImportError as error:
        raise UsageError(f"DaskRunner needs the dask extra ({error}): pip install 'facetmine[dask]'") from None
    dask_options = options.view_as(DaskOptions)
    if dask_options.npartitions is None and dask_options.partition_size is None:
        dask_options.partition_size = 1
    level = "info" if verbose else "critical"  # a failure is told once, by us
    logging.getLogger("distributed").setLevel(level.upper())
    if dask_options.address or dask_options.scheduler_file:
        try:
            shipping.upload_to_dask(dask_options.address, dask_options.scheduler_file)
        except (OSError, ValueError) as error:
            place = dask_options.address or dask_options.scheduler_file
            raise RunError(f"no Dask scheduler can be reached at {place}: {error}") from None
        yield
        return
    spawn = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": {**spawn, "DASK_LOGGING__DISTRIBUTED": level}}),
        distributed.LocalCluster(
            n_workers=os.cpu_count(), threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        dask_options.address = cluster.scheduler_address
        try:
            yield
        finally:
            dask_options.address = None
