"""facetmine's entry point: options to stages to summary. ``facetmine ...`` and ``python beam_runner.py ...`` are one."""

import logging
import sys
from collections.abc import Sequence

logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))  # Beam says so on import

from rich.console import Console  # noqa: E402

from pipeline import inspect, options, query, summary  # noqa: E402
from pipeline.job import Job  # noqa: E402
from pipeline.readers import InputError  # noqa: E402
from pipeline.runner import Runner, RunError, UsageError  # noqa: E402
from pipeline.store import StoreError  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 0, 1 for failure, 2 for bad usage, 130 for Ctrl-C."""
    try:
        given, beam_options = options.parse_arguments(arguments)
        if given.command == "query":
            return query.run(given)
        if given.command == "inspect":
            return inspect.run(given)
        return _run_stages(given, Runner(beam_options, verbose=given.verbose))
    except (UsageError, InputError) as error:
        return _fail(str(error), 2)
    except (StoreError, RunError, OSError) as error:
        if "given" in locals() and getattr(given, "verbose", False):
            raise
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to go on where it was", 130)


def _run_stages(given, runner: Runner) -> int:  # type: ignore[no-untyped-def]
    _set_up_logs(given.verbose)
    job = Job(given.output, runner, force=given.force)
    runner.check_output(job.store.is_local)
    with runner.session():
        if getattr(given, "input", None):
            job.read(given.input, given.input_format, given.partitions)
        if given.command in ("run", "parse"):
            job.parse(given.parser)
        if given.command in ("run", "mine"):
            job.mine(options.mining_config(given))
            job.write()
        manifest = job.write_manifest()
    summary.print_summary(manifest, given.output, Console())
    return 0


def _set_up_logs(verbose: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, handlers=[handler], force=True)
    logging.getLogger("facetmine").setLevel(logging.INFO)


def _fail(message: str, status: int) -> int:
    print(f"facetmine: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
