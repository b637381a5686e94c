"""Running a Beam pipeline on whichever runner the options name, and failing with one clear message."""

import argparse
import contextlib
import difflib
import errno
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
)
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle

from pipeline import shipping
from pipeline.store import StoreError

Build = Callable[[beam.Pipeline], object]

LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")


class UsageError(Exception):
    """The command line asks for something that does not exist; the message says what and what to do."""


class RunError(Exception):
    """A pipeline failed; the message says why in one piece."""


def parse_beam_options(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options from what facetmine's own parser left over.

    Raises:
        UsageError: an argument is no option of Beam's either, or has a bad value.
    """
    parser = _BeamParser(add_help=False, allow_abbrev=False)
    for options_class in sorted(_subclasses(PipelineOptions), key=lambda class_: class_.__name__):
        options_class._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"unknown argument {unknown[0]}{hint} (facetmine --help lists the options)")
    return PipelineOptions(list(arguments))


def runner_name(options: PipelineOptions) -> str:
    """The runner's class name, 'DirectRunner' where none is named."""
    return (options.view_as(StandardOptions).runner or "DirectRunner").rpartition(".")[2]


@dataclass
class Runner:
    """Runs pipelines one after the other with the same options.

    Attributes:
        options: Beam's options.
        verbose: keep the traceback of a failure.
    """

    options: PipelineOptions
    verbose: bool = False

    def __post_init__(self) -> None:
        self.name = runner_name(self.options)

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """What the runner needs for as long as the job runs: a Dask cluster of its own, files to ship to workers."""
        with contextlib.ExitStack() as stack:
            if self.name == "DaskRunner":
                stack.enter_context(_dask_cluster(self.options))
            elif self.name == "PrismRunner":
                _locate_prism(self.options)
            if self._is_remote:
                package = stack.enter_context(shipping.package())
                setup = self.options.view_as(SetupOptions)
                setup.extra_packages = [*(setup.extra_packages or []), str(package)]
            yield

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

    def run(self, label: str, build: Build, *, workers: int = 1) -> None:
        """Build and run one pipeline to its end.

        Args:
            label: what it does, for messages.
            build: applies the transforms to the pipeline.
            workers: processes that the embedded runner may use, where the options do not say.

        Raises:
            RunError: the pipeline failed.
        """
        options = PipelineOptions.from_dictionary(self.options.get_all_options(drop_default=True))
        runner: object = self.name
        if self.name in LOCAL_RUNNERS:
            direct = options.view_as(DirectOptions)
            given = self.options.get_all_options(drop_default=True)
            if workers > 1 and "direct_num_workers" not in given and "direct_running_mode" not in given:
                direct.direct_num_workers, direct.direct_running_mode = workers, "multi_processing"
            # What DirectRunner runs batches with, named outright: asked for DirectRunner, Beam first tries to download
            # and start Prism.
            encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
            runner = fn_runner.FnApiRunner(
                provision_info=fn_runner.ExtendedProvisionInfo(
                    beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
                )
            )
        try:
            pipeline = beam.Pipeline(runner=runner, options=options)
            build(pipeline)
            result = pipeline.run()
            state = result.wait_until_finish()
            if state not in (None, "DONE"):
                raise RunError(f"{label} ended in state {state}; the runner's log says why")
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
        if isinstance(cause, StoreError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if os.strerror(errno.ENOSPC) in text:
        return _DISK_FULL
    raised = re.findall(r"^\s*(?:[\w.]+\.)?(\w+(?:Error|Exception|Interrupt)): (.+)$", text, re.MULTILINE)
    if raised:
        name, said = raised[-1]
        return f"{name}: {said.split(' [while running')[0]}"
    return f"{type(error).__name__}: {text.split(' [while running')[0].strip() or 'no message'}"


_DISK_FULL = "no space is left on the output's disk. What is complete is kept: make room and run the same command again"


class _BeamParser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message)

    def add_argument(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        with contextlib.suppress(argparse.ArgumentError):  # Beam's own classes define some options twice
            return super().add_argument(*args, **kwargs)


def _subclasses(class_: type) -> set[type]:
    found = set(class_.__subclasses__())
    return found.union(*(_subclasses(subclass) for subclass in found)) if found else found


def _locate_prism(options: PipelineOptions) -> None:
    """Use the prism on the PATH where the options name none; Beam would download one."""
    prism = options.view_as(PrismRunnerOptions)
    if not prism.prism_location:
        prism.prism_location = shutil.which("prism")


@contextlib.contextmanager
def _dask_cluster(options: PipelineOptions) -> Iterator[None]:
    """One cluster for all pipelines of the job, and one task a part.

    DaskRunner starts a cluster for every pipeline, never closes it, and puts 128 elements into one task; our elements
    are parts of tables.
    """
    try:
        import distributed
        from apache_beam.runners.dask.dask_runner import DaskOptions
    except ImportError as error:
        raise UsageError(f"DaskRunner needs the dask extra ({error}): pip install 'facetmine[dask]'") from None
    dask = options.view_as(DaskOptions)
    if dask.npartitions is None and dask.partition_size is None:
        dask.partition_size = 1
    if dask.address or dask.scheduler_file:
        shipping.upload_to_dask(dask.address, dask.scheduler_file)
        yield
        return
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with distributed.LocalCluster(
        n_workers=os.cpu_count(), threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        dask.address = cluster.scheduler_address
        yield
