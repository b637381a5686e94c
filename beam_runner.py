"""facetmine's entry point: options to stages to summary, for ``facetmine ...`` and ``python beam_runner.py ...``."""

import argparse
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))  # Beam says so on import

from rich.console import Console  # noqa: E402

from downstream import command_train, evaluate, search  # noqa: E402
from downstream import demo as toy_demo  # noqa: E402
from pipeline import (  # noqa: E402
    calibrate,
    completion,
    demo,
    dry_run,
    explain,
    fetch,
    inspect,
    interruption,
    lock,
    options,
    pack,
    plan,
    query,
    report,
    sentence,
    summary,
)
from pipeline.job import Job  # noqa: E402
from pipeline.readers import InputError  # noqa: E402
from pipeline.runner import RunError, Runner, UsageError  # noqa: E402
from pipeline.runner import explain as explain_error  # noqa: E402
from pipeline.store import StoreError  # noqa: E402
from schemas.places import PlaceError  # noqa: E402
from toyworld import command as toyworld_command  # noqa: E402
from viewer import audit, browse  # noqa: E402

SECONDS_TO_WIND_UP = 10.0
"""How long an interrupted run may take to end what its runner has started elsewhere."""

_READERS = {
    "query": query.run,
    "inspect": inspect.run,
    "report": report.run,
    "explain": explain.run,
    "browse": browse.run,
    "audit": audit.run,
    "calibrate": calibrate.run,
    "fetch": fetch.run,
    "toyworld": toyworld_command.run,
    "pack": pack.run,
    "completion": completion.run,
    "train": command_train.run,
    "evaluate": evaluate.run,
    "search": search.run,
}
"""Subcommands that look at a dataset and run no stage."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 0, 1 for failure, 2 for bad usage, 130 for Ctrl-C, 143 for SIGTERM."""
    verbose = False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a caption may hold what the terminal's encoding does not
    try:
        given, beam_options = options.parse_arguments(arguments)
        if given.command in _READERS:
            return _READERS[given.command](given)
        verbose = getattr(given, "verbose", False)
        if given.command == "parse" and given.text is not None:
            return sentence.run(given)
        if given.command == "plan":
            return plan.run(given, options.mining_config(given))
        if given.command == "demo" and not given.captions:
            return toy_demo.run(Path(given.output), given.pictures, given.queries, given.seed, main, force=given.force)
        if given.command == "demo":
            given.input = [str(demo.write_captions(Path(f"{given.output}-captions")))]
        runner = Runner(beam_options, verbose=verbose, spark=options.spark_options(given))
        if given.command == "run" and given.dry_run:
            _set_up_logs(verbose)
            runner.check_output("://" not in given.output)
            return dry_run.run(given, runner, options.mining_config(given), options.score_config(given))
        return _run_stages(given, runner)
    except (UsageError, InputError) as error:
        return _fail(str(error), 2)
    except toy_demo.DemoError as error:
        return _fail(str(error), 1)
    except (StoreError, RunError, PlaceError, OSError) as error:
        if verbose:
            raise
        return _fail(str(error) if isinstance(error, RunError) else explain_error(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _run_stages(given: argparse.Namespace, runner: Runner) -> int:
    _set_up_logs(given.verbose)
    with interruption.ends_process(0 if runner.is_embedded else SECONDS_TO_WIND_UP):
        job = Job(given.output, runner, force=given.force)
        runner.check_output(job.store.is_local)
        with lock.held(job.store), runner.session():
            if getattr(given, "input", None):
                job.read(given.input, given.input_format, given.partitions)
            if given.command in ("run", "demo", "parse"):
                job.parse(given.parser)
            if given.command in ("run", "score") and (scoring := options.score_config(given)):
                job.score(scoring)
            if given.command in ("run", "demo", "mine"):
                job.mine(options.mining_config(given))
                job.write()
            manifest = job.write_manifest()
    with query.quiet_broken_pipe():
        summary.print_summary(manifest, given.output)
        if given.command == "demo":
            demo.show(given.output, given.input[0], Console())
    return 0


def _set_up_logs(verbose: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO if verbose else logging.CRITICAL, handlers=[handler], force=True)
    logging.getLogger("facetmine").setLevel(logging.INFO)


def _fail(message: str, status: int) -> int:
    print(f"facetmine: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
