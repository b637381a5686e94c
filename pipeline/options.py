"""The command line: what each subcommand takes, checked, as an ``argparse.Namespace`` and Beam's options."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from importlib.metadata import version

from apache_beam.options.pipeline_options import PipelineOptions

import parsers.registry
from downstream import command_train, evaluate, search
from parsers import drawing
from pipeline import calibrate, completion, examples, explain, fetch, inspect, pack, plan, query, report
from pipeline.config import (
    KINDS,
    PRECISIONS,
    PRESETS,
    ConfigError,
    MiningConfig,
    ScoreConfig,
    load,
    preset,
    with_kinds,
)  # fmt: skip
from pipeline.readers import FORMATS
from pipeline.runner import UsageError, parse_beam_options, unknown_argument
from pipeline.spark import SparkOptions
from pipeline.wording import Templates
from toyworld import command as toyworld_command
from viewer import audit, browse

DESCRIPTION = """\
Turn captioned images into conditional triplets: reference image, text condition, target image, hard negatives.

  facetmine run --input captions.tsv --output OUT     captions to triplets, all stages
  facetmine inspect OUT                               what came out, in words
  facetmine query OUT "SELECT * FROM triplets"        the same in SQL
  facetmine report OUT --html page.html               counts, balance and bias as a page to look at
  facetmine explain OUT TRIPLET_ID                    why one triplet was made
  facetmine browse OUT                                a page that shows the triplets, to look at and to judge
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
    if given.command in ("run", "score"):
        _check_scoring(given)
    try:
        return given, parse_beam_options(rest, given.own_options)
    except UsageError as error:
        raise UsageError(f"{error} {_see_help(f'facetmine {given.command}')}") from None


def run_options() -> list[argparse.Action]:
    """The options of ``facetmine run``, without Beam's."""
    commands = next(action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return list(commands.choices["run"]._actions)


def spark_options(given: argparse.Namespace) -> SparkOptions | None:
    """What the command line says of Spark; None where Beam's runner is to do the work."""
    if given.engine != "spark":
        return None
    return SparkOptions(given.spark_master, given.spark_archive, tuple(given.spark_conf or ()))


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


def score_config(given: argparse.Namespace) -> ScoreConfig | None:
    """Settings of stage score; None where no images are given."""
    if not (given.images or given.image_embeddings):
        return None
    return ScoreConfig(
        images=tuple(given.images or ()),
        image_embeddings=given.image_embeddings,
        model=given.clip_model,
        pretrained=given.clip_pretrained,
        device=given.clip_device,
        precision=given.clip_precision,
        batch=given.clip_batch_size,
        accelerator=given.clip_accelerator,
        relation_template=given.relation_template,
        attribute_template=given.attribute_template,
    )


def _add_engine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine", choices=["beam", "spark"], default="beam",
        help="beam: the Beam runner of --runner; spark: Spark natively, without Beam's runners (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--spark-master", metavar="URL",
        help="local[2], spark://HOST:7077, yarn, k8s://... (default: that of spark-submit, else local[*])",
    )  # fmt: skip
    group.add_argument(
        "--spark-archive", metavar="FILE.tar.gz",
        help="what `facetmine pack` has built: dependencies for executors that do not have them",
    )  # fmt: skip
    group.add_argument(
        "--spark-conf", action="append", type=_setting, metavar="NAME=VALUE", help="a setting of Spark; may be repeated"
    )


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as spark.executor.memory=4g")
    return name, value


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
        epilog = "\n\n".join(filter(None, (examples.of(name), EPILOG if beam else "")))
        sub = commands.add_parser(
            name, help=told, description=told, epilog=epilog, formatter_class=raw, allow_abbrev=False
        )
        sub.set_defaults(takes_beam_options=beam)
        return sub

    run = command("run", "All stages: captions to triplets.", beam=True)
    _add_input(run, required=True)
    _add_parser(run)
    _add_scoring(run, required=False)
    _add_mining(run)
    _add_output(run)
    run.add_argument(
        "--dry-run", action="store_true",
        help="check all options, print the pipelines' steps, shuffles and resource hints for the runner, run nothing",
    )  # fmt: skip
    read = command("read", "Stage read: caption files to the captions table.", beam=True)
    _add_input(read, required=True)
    _add_output(read)
    parse = command("parse", "Stages read and parse: captions to scene graphs and facts.", beam=True)
    _add_input(parse, required=False)
    _add_parser(parse)
    _add_sentence(parse)
    _add_output(parse, required=False)
    score = command("score", "Stage score: how well the images fit the captions and facts of OUT, by CLIP.", beam=True)
    _add_scoring(score, required=True)
    _add_output(score)
    mine = command("mine", "Stages mine and write: the facts of OUT to triplets, as often as you like.", beam=True)
    _add_mining(mine)
    _add_output(mine)
    demo = command("demo", "The proof on a toy world: captions to triplets to a model that beats CLIP.", beam=True)
    toys = demo.add_argument_group("demo")
    toys.add_argument(
        "--captions", action="store_true",
        help="all stages on 7,899 web captions that ship with facetmine instead, without pictures and torch; "
        "the options of parsing, mining and the engine go with it",
    )  # fmt: skip
    toys.add_argument(
        "--pictures", type=_whole(500, 1_000_000), default=3000, metavar="N",
        help="toy pictures to learn from, and as many to be asked about (default %(default)s)",
    )  # fmt: skip
    toys.add_argument(
        "--queries", type=_whole(1, 100_000), default=1000, metavar="N", help="of each task (default %(default)s)"
    )
    _add_parser(demo)
    _add_mining(demo)
    _add_output(demo, default="out/demo")
    demo.set_defaults(input_format=None, partitions=DEFAULT_PARTITIONS)
    query.add_arguments(command("query", "SQL over the tables of OUT, in DuckDB.", beam=False))
    inspect.add_arguments(command("inspect", "What OUT holds: stages, counts, sample triplets.", beam=False))
    report.add_arguments(command("report", "Counts, coverage, balance and bias of OUT, into OUT/report.", beam=False))
    explain.add_arguments(command("explain", "Why a triplet of OUT was made, and what each filter said.", beam=False))
    calibrate.add_arguments(
        command("calibrate", "How many captions of OUT are wrong, and thresholds that leave few of them.", beam=False)
    )
    fetch.add_arguments(command("fetch", "The images of a caption list with URLs, as WebDataset shards.", beam=False))
    toyworld_command.add_arguments(
        command("toyworld", "Rendered pictures with captions, of which everything is known.", beam=False)
    )
    command_train.add_arguments(command("train", "A Combiner from the triplets of OUT.", beam=False))
    evaluate.add_arguments(
        command("evaluate", "How well models find what a picture and a condition ask for.", beam=False)
    )
    search.add_arguments(command("search", "Pictures of a folder that a picture and a condition ask for.", beam=False))
    planned = command("plan", "What a run would make, need and cost, from a sample of its input.", beam=False)
    _add_input(planned, required=True)
    planned.set_defaults(partitions=None)
    _add_parser(planned)
    _add_mining(planned)
    plan.add_arguments(planned)
    browse.add_arguments(
        command("browse", "A page on this machine that shows the triplets of OUT, to look at and to judge.", beam=False)
    )
    audit.add_arguments(command("audit", "What judgements made in `browse` say of OUT: precision by kind.", beam=False))
    pack.add_arguments(command("pack", "An archive of facetmine and its dependencies, for Spark.", beam=False))
    completion.add_arguments(
        command("completion", "A script with which your shell completes what you type.", beam=False)
    )
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
    _add_engine(parser)


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


def _add_scoring(parser: argparse.ArgumentParser, *, required: bool) -> None:
    group = parser.add_argument_group("scoring with images")
    source = group.add_mutually_exclusive_group(required=required)
    source.add_argument(
        "--images", nargs="+", action="extend", metavar="PATH",
        help="WebDataset tars, folders or Parquet files that hold the images, or globs of them",
    )  # fmt: skip
    source.add_argument(
        "--image-embeddings", metavar="FOLDER",
        help="embeddings of the images instead, as `clip-retrieval inference` writes them",
    )  # fmt: skip
    group.add_argument(
        "--clip-model", required=required, metavar="MODEL",
        help="open_clip architecture (ViT-B-32), model folder, hf-hub:ORG/NAME, or toyworld",
    )  # fmt: skip
    group.add_argument(
        "--clip-pretrained", metavar="WEIGHTS", help="of an architecture: open_clip's tag, a file or a folder"
    )
    group.add_argument(
        "--clip-batch-size", type=_whole(1, 1 << 16), metavar="N",
        help="images encoded at a time (default: 32 on a CPU, else what there is memory for)",
    )  # fmt: skip
    group.add_argument(
        "--clip-precision", choices=PRECISIONS, help="of the matrix products (default: fp16 on CUDA, else fp32)"
    )
    group.add_argument(
        "--clip-device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: cuda where there is one)"
    )
    group.add_argument(
        "--clip-accelerator", metavar="HINT",
        help="for runners that start machines: Beam's resource hint, such as "
        "'type:nvidia-l4;count:1;install-nvidia-driver'",
    )  # fmt: skip
    told = Templates()
    for kind in ("relation", "attribute"):
        default = getattr(told, kind)
        group.add_argument(
            f"--{kind}-template", metavar="TEXT", default=default,
            help=f"how {kind} facts are put (default: {default!r})",
        )  # fmt: skip


def _check_scoring(given: argparse.Namespace) -> None:
    """Images and a model go together.

    Raises:
        UsageError: one is given without the other.
    """
    help_line = _see_help(f"facetmine {given.command}")
    if (given.images or given.image_embeddings) and given.clip_model is None:
        raise UsageError(f"--images and --image-embeddings need a model: give --clip-model too {help_line}")
    if given.clip_model is not None and not (given.images or given.image_embeddings):
        raise UsageError(f"--clip-model needs images: give --images or --image-embeddings too {help_line}")


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
