"""``facetmine evaluate``: how well models find what a reference picture and a condition ask for."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from downstream.evaluation import Answered
    from downstream.page import Figures
    from downstream.retrievers import Retriever
    from downstream.tasks import Task

BASELINES = ("image-only", "text-only", "image+text")
TASKS = ("genecis", "cirr", "mit_states")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine evaluate``."""
    what = parser.add_argument_group("what to evaluate on").add_mutually_exclusive_group(required=True)
    what.add_argument("--task", choices=TASKS, help="a published benchmark")
    what.add_argument("--queries", metavar="FILE.jsonl", help="your own queries: reference, condition, right, group")
    data = parser.add_argument_group("its data")
    data.add_argument("--templates", metavar="FOLDER", help="GeneCIS: folder of the four template files, or one file")
    data.add_argument("--images", metavar="FOLDER", help="GeneCIS: COCO val2017; CIRR, MIT-States: the released folder")
    data.add_argument("--vg-images", metavar="FOLDER", help="GeneCIS: Visual Genome images, for the attribute tasks")
    data.add_argument("--gallery", metavar="FOLDER", help="with --queries: the pictures to search in")
    data.add_argument("--allow-missing", action="store_true", help="exit with 0 although pictures are missing")
    add_model_arguments(parser, several=True)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--output", metavar="FOLDER", help="write results.json, answers.parquet and page.html there"
    )


def add_model_arguments(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """Add the arguments that name models, as ``search`` takes them too."""
    group = parser.add_argument_group("models")
    group.add_argument(
        "--model", nargs="+" if several else None, default=list(BASELINES) if several else BASELINES[-1],
        metavar="MODEL",
        help=f"{', '.join(BASELINES)}, a folder that `facetmine train` wrote, or a released combiner .pt"
        + ("; the first is compared with each of the others (default: the baselines)" if several else
           " (default: %(default)s)"),
    )  # fmt: skip
    group.add_argument(
        "--encoder", metavar="NAME", help="CLIP model of models that name none, such as toyworld or RN50x4"
    )
    group.add_argument("--pretrained", metavar="TAG|FILE", help="weights of the encoder")
    group.add_argument("--backbone", metavar="FILE.pt", help="a released GeneCIS backbone, as the encoder")
    group.add_argument("--device", metavar="DEVICE", help="to encode on (default: cuda where there is one, else cpu)")


def run(given: argparse.Namespace) -> int:
    """Run ``facetmine evaluate``; the exit status is 0, 1 for failure or missing pictures, 2 for bad usage."""
    wrong = _wrong_usage(given)
    if wrong:
        print(f"facetmine: {wrong} (facetmine evaluate --help lists the options)", file=sys.stderr)
        return 2
    try:
        from downstream import evaluation
        from downstream.retrievers import RetrieverError
        from downstream.tasks import TaskError
    except ImportError as error:
        return fail_without_extra("evaluate", error)
    try:
        models = named_models(given)
        if given.queries is not None:
            answered, tables, about = _on_catalogue(given, models)
        else:
            answered = [evaluation.answer(task, models) for task in _tasks(given)]
            tables = evaluation.figures(answered)
            about = {"benchmark": given.task}
            if given.task == "genecis":
                tables.append(evaluation.published(answered))
    except (TaskError, RetrieverError) as error:
        print(f"facetmine: {error}", file=sys.stderr)
        return 1
    show(tables)
    for line in evaluation.told_missing(answered):
        print(line, file=sys.stderr)
    if given.output is not None:
        title = f"facetmine evaluate: {given.task or Path(given.queries).name}"
        evaluation.write(Path(given.output), title, answered, tables, about)
        print(f"{Path(given.output, 'page.html')} shows queries and answers")
    complete = not any(one.missing.reasons for one in answered) or given.allow_missing
    return 0 if complete and any(one.evaluated for one in answered) else 1


def named_models(given: argparse.Namespace) -> "list[Retriever]":
    """The models that the command line names.

    Raises:
        RetrieverError: one of them cannot be had.
    """
    from downstream.retrievers import Backbone, open_retrievers

    names = given.model if isinstance(given.model, list) else [given.model]
    backbone = Backbone(given.encoder, given.pretrained, given.backbone, given.device)
    return open_retrievers(list(dict.fromkeys(names)), backbone)


def show(tables: "list[Figures]") -> None:
    """Print tables."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    for figures in tables:
        table = Table(title=figures.title, title_justify="left", caption=figures.note, caption_justify="left")
        for number, name in enumerate(figures.header):
            table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
        for row in figures.rows:
            table.add_row(*row)
        console.print(table)


def fail_without_extra(command: str, error: ImportError) -> int:
    """Say which extra a command needs; the exit status."""
    print(f"facetmine: {command} needs the train extra: pip install 'facetmine[train]' ({error})", file=sys.stderr)
    return 1


def _wrong_usage(given: argparse.Namespace) -> str:
    if given.queries is not None and given.gallery is None:
        return "--queries needs --gallery, the folder of pictures to search in"
    if given.task == "genecis" and given.templates is None:
        return "--task genecis needs --templates, the folder of its template files"
    if given.task in ("cirr", "mit_states") and given.images is None:
        return f"--task {given.task} needs --images, the folder that was released"
    if given.backbone is not None and (given.encoder is not None or given.pretrained is not None):
        return "--backbone is an encoder of its own and goes without --encoder and --pretrained"
    if given.pretrained is not None and given.encoder is None:
        return "--pretrained needs --encoder, the name of the model whose weights they are"
    return ""


def _tasks(given: argparse.Namespace) -> "list[Task]":
    from downstream import cirr, genecis, mit_states

    if given.task == "genecis":
        return genecis.read(given.templates, given.images, given.vg_images)
    return cirr.read(given.images) if given.task == "cirr" else mit_states.read(given.images)


def _on_catalogue(
    given: argparse.Namespace, models: "list[Retriever]"
) -> "tuple[list[Answered], list[Figures], dict[str, object]]":
    from downstream import catalogue, evaluation
    from downstream.gallery import open_gallery
    from downstream.page import Figures

    galleries = {one.fingerprint: open_gallery(given.gallery, one) for one in evaluation.encoders_of(models)}
    gallery = next(iter(galleries.values()))
    task = catalogue.read_queries(given.queries, gallery)
    known = {fingerprint: one.by_name() for fingerprint, one in galleries.items()}
    answered = evaluation.answer(task, models, known)
    for name, reason in gallery.unreadable.items():
        print(f"left out of the gallery: {name}  {reason}", file=sys.stderr)
    seconds = {
        model.name: catalogue.seconds_a_query(task, galleries[model.encoder.fingerprint], model) for model in models
    }
    rows = [(name, f"{1000 * taken:.1f} ms") for name, taken in seconds.items()]
    note = f"From the reference's file and the text to ten answers among {len(gallery.names):,} pictures."
    times = Figures("Median time a query", ("model", "time"), rows, note)
    tables = [*evaluation.figures([answered]), evaluation.by_group(answered), times]
    return [answered], tables, {"queries": given.queries, "gallery": given.gallery, "seconds_a_query": seconds}
