"""The command line: what each subcommand takes, checked, as an ``argparse.Namespace`` and Beam's options."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from importlib.metadata import version

from apache_beam.options.pipeline_options import PipelineOptions

import parsers.registry
from parsers import drawing
from pipeline import explain, inspect, query, report
from pipeline.config import KINDS, PRESETS, ConfigError, MiningConfig, load, preset, with_kinds
from pipeline.readers import FORMATS
from pipeline.runner import UsageError, parse_beam_options, unknown_argument

DESCRIPTION = """\
Turn captioned images into conditional triplets: reference image, text condition, target image, hard negatives.

  facetmine run --input captions.tsv --output OUT     captions to triplets, all stages
  facetmine inspect OUT                               what came out, in words
  facetmine query OUT "SELECT * FROM triplets"        the same in SQL
  facetmine report OUT                                counts, balance and bias as tables and a page
  facetmine explain OUT TRIPLET_ID                    why one triplet was made
"""
EPILOG = """\
Options of Apache Beam may follow: --runner DirectRunner|DaskRunner|PrismRunner|... and what that runner takes,
such as --direct_num_workers 4 --direct_running_mode multi_processing, or --dask_client_address tcp://HOST:8786.
A stage that is done for the same inputs and configuration is skipped; one that broke off goes on where it was.
"""


DEFAULT_PARTITIONS = 16


def parse_arguments(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, PipelineOptions]:
    """The subcommand's arguments, and Beam's options where the subcommand runs pipelines.

    Raises:
        UsageError: bad usage; the message says what.
        SystemExit: --help or --version was asked for.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not arguments:
        parser.print_help()
        raise SystemExit(2)
    given, rest = parser.parse_known_args(arguments)
    if rest and not given.takes_beam_options:
        raise UsageError(f"{unknown_argument(rest[0], given.own_options)} {_see_help(f'facetmine {given.command}')}")
    if given.command == "parse":
        _check_parse(given)
    try:
        return given, parse_beam_options(rest, given.own_options)
    except UsageError as error:
        raise UsageError(f"{error} {_see_help(f'facetmine {given.command}')}") from None


def mining_config(given: argparse.Namespace) -> MiningConfig:
    """The preset or the configuration file, with what the command line changes.

    Raises:
        UsageError: the file or the kinds cannot be used; the message says why.
    """
    try:
        config = load(given.config) if given.config else preset(given.preset or "default")
        if given.kinds:
            config = with_kinds(config, given.kinds)
    except ConfigError as error:
        raise UsageError(str(error)) from None
    return dataclasses.replace(config, seed=given.seed, split=given.split, triplets=given.triplets)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message} {_see_help(self.prog)}")


def _see_help(program: str) -> str:
    return f"({program} --help lists the options)"


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="facetmine", description=DESCRIPTION, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"facetmine {version('facetmine')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, told: str, *, beam: bool) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=told, description=told, epilog=EPILOG if beam else None, formatter_class=raw, allow_abbrev=False
        )
        sub.set_defaults(takes_beam_options=beam)
        return sub

    run = command("run", "All stages: captions to triplets.", beam=True)
    _add_input(run, required=True)
    _add_parser(run)
    _add_mining(run)
    _add_output(run)
    read = command("read", "Stage read: caption files to the captions table.", beam=True)
    _add_input(read, required=True)
    _add_output(read)
    parse = command("parse", "Stages read and parse: captions to scene graphs and facts.", beam=True)
    _add_input(parse, required=False)
    _add_parser(parse)
    _add_sentence(parse)
    _add_output(parse, required=False)
    mine = command("mine", "Stages mine and write: the facts of OUT to triplets, as often as you like.", beam=True)
    _add_mining(mine)
    _add_output(mine)
    demo = command("demo", "All stages on 5,920 web captions that ship with facetmine.", beam=True)
    _add_parser(demo)
    _add_mining(demo)
    _add_output(demo, default="out/demo")
    demo.set_defaults(input_format=None, partitions=DEFAULT_PARTITIONS)
    query.add_arguments(command("query", "SQL over the tables of OUT, in DuckDB.", beam=False))
    inspect.add_arguments(command("inspect", "What OUT holds: stages, counts, sample triplets.", beam=False))
    report.add_arguments(command("report", "Counts, coverage, balance and bias of OUT, into OUT/report.", beam=False))
    explain.add_arguments(command("explain", "Why a triplet of OUT was made, and what each filter said.", beam=False))
    for sub in commands.choices.values():
        sub.set_defaults(own_options=list(sub._option_string_actions))
    return parser


def _add_output(parser: argparse.ArgumentParser, default: str | None = None, *, required: bool = True) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", "--out", required=required and default is None, default=default, metavar="OUT",
        help="folder of the tables" + (f" (default {default})" if default else ""),
    )  # fmt: skip
    group.add_argument("--force", action="store_true", help="redo finished stages, and replace another run in OUT")
    group.add_argument("--verbose", action="store_true", help="show the runner's log, and the traceback of a failure")


def _add_input(parser: argparse.ArgumentParser, *, required: bool) -> None:
    group = parser.add_argument_group("input")
    group.add_argument(
        "-i", "--input", nargs="+", action="extend", required=required, metavar="[NAME=]PATH",
        help="caption files, folders or globs; NAME is the source's name in the tables, by default the file's name",
    )  # fmt: skip
    group.add_argument(
        "--input-format", choices=sorted(FORMATS), metavar="FORMAT",
        help=f"what the inputs are, where that cannot be told from them: {', '.join(sorted(FORMATS))}",
    )  # fmt: skip
    group.add_argument(
        "--partitions", type=_whole(1, 100_000), default=DEFAULT_PARTITIONS, metavar="N",
        help="parts of every table (default %(default)s); one for every 250,000 captions is a good number",
    )  # fmt: skip


def _add_parser(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("parsing")
    group.add_argument(
        "--parser", default="default", choices=["default", *sorted(parsers.registry.PARSERS)],
        help="scene-graph parser (default: %(default)s)",
    )  # fmt: skip


def _add_sentence(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("one sentence, instead of files")
    group.add_argument(
        "--text", metavar="SENTENCE",
        help="print what the parser finds a sentence to state, as a tree; - reads standard input, a caption a line",
    )  # fmt: skip
    group.add_argument(
        "--image", metavar="FILE", help="with --text: draw it too, as .svg or .png (needs facetmine[draw])"
    )


def _check_parse(given: argparse.Namespace) -> None:
    """Files go to --output, a sentence to the terminal.

    Raises:
        UsageError: it is neither, or both.
    """
    help_line = _see_help("facetmine parse")
    if given.text is None:
        if given.image is not None:
            raise UsageError(f"argument --image draws a sentence: it needs --text {help_line}")
        if given.output is None:
            raise UsageError(f"the following arguments are required: -o/--output/--out, or --text {help_line}")
    elif given.input or given.output:
        raise UsageError(f"argument --text goes without --input and --output {help_line}")
    if given.image is not None and not given.image.lower().endswith(drawing.FORMATS):
        raise UsageError(f"argument --image: {given.image!r} ends neither in .svg nor in .png {help_line}")


def _add_mining(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("mining")
    settings = group.add_mutually_exclusive_group()
    settings.add_argument(
        "--preset", choices=PRESETS,
        help="default: distinct triplets with true negatives; genecis: the published sampler's distribution "
        "(default: default)",
    )  # fmt: skip
    settings.add_argument(
        "--config", metavar="FILE.toml",
        help="kinds, axes, filters, thresholds and weights; pipeline/presets/default.toml is one, explained",
    )  # fmt: skip
    group.add_argument(
        "--triplets", type=_whole(1, 10**12), metavar="N",
        help="how many triplets (default: as many as there are facts to use as targets)",
    )  # fmt: skip
    group.add_argument(
        "--kinds", type=_kinds, metavar="KIND,KIND",
        help=f"mine only these of the preset's kinds; known: {', '.join(KINDS)}",
    )  # fmt: skip
    group.add_argument("--seed", type=_whole(0, 2**63 - 1), default=0, metavar="N", help="of every random choice")
    group.add_argument(
        "--split", type=_share, default=0.0, metavar="SHARE",
        help="share of images held out for validation, such as 0.05; no image is in two splits (default 0)",
    )  # fmt: skip


def _whole(least: int, most: int):  # type: ignore[no-untyped-def]
    def parse(text: str) -> int:
        try:
            number = int(text.replace("_", "").replace(",", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} is not between {least} and {most}")
        return number

    return parse


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to below 1")
    return share


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(kind.strip() for kind in text.split(",") if kind.strip()))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise argparse.ArgumentTypeError(f"unknown kind {', '.join(unknown) or repr(text)}; known: {', '.join(KINDS)}")
    return kinds
