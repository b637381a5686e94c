"""``facetmine demo``: from a toy world to the proof that a model trained on mined triplets beats CLIP by itself.

Every step is a command that can be given by hand, and is shown as it is run. What is done is not done again, so a demo
that was interrupted goes on.
"""

import dataclasses
import json
import shlex
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from downstream.evaluate import BASELINES, show

NEEDED = ("torch", "open_clip", "PIL", "safetensors", "tensorboard")
TRIPLETS_A_PICTURE = 30
"""Far fewer than can be had, and enough that no pair of pictures is seen often."""
EPOCHS = 7
KINDS = """\
# focus_attribute is the hardest kind to learn, and the others lose nothing by it (docs/evaluation.md).
[kinds]
relation = 1.0
change_attribute = 1.0
focus_attribute = 4.0
change_object = 1.0
focus_object = 1.0
composite = 1.0
"""
STEPS = ("pictures", "unseen", "mined", "run", "results")
"""Folders of the demo, in the output folder."""

_SETTINGS = "demo.json"

_LEAD = """A small CLIP model, trained on rendered scenes, looks for pictures. Each question is a reference picture and
a condition: find the same thing with the same color (focus attribute), the same thing in another color (change
attribute), the same place with this thing too (focus object), or the same place with this thing added (change object).
A gallery holds one right answer, pictures that match the reference only, and pictures that match the text only, so
neither picture nor text suffices. The Combiner was trained on triplets that facetmine mined from the captions of other
scenes; nothing was labelled."""


class DemoError(Exception):
    """A demo that cannot be run; the message says why and what to do."""


def run(
    output: Path, pictures: int, queries: int, seed: int, command: Callable[[list[str]], int], *, force: bool
) -> int:
    """Run the demo in a folder; the exit status is that of the first command that fails, or 0.

    Args:
        pictures: rendered to learn from, and as many again to be asked about.
        queries: of each of the four tasks.
        command: runs a facetmine command line and gives its exit status.
        force: replace another demo in the folder.

    Raises:
        DemoError: an extra is missing, or the folder holds something else.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise DemoError(
            f"the demo needs the extras clip and train ({', '.join(missing)}): pip install 'facetmine[clip,train]'. "
            "facetmine demo --captions goes without them"
        )
    _claim(output, {"pictures": pictures, "queries": queries, "seed": seed}, force=force)
    console = Console()
    world, other, mined, trained, results = (str(output / name) for name in STEPS)
    triplets = TRIPLETS_A_PICTURE * pictures
    kinds = output / "mine.toml"
    kinds.write_text(KINDS, encoding="utf-8")
    begun = (output / "run" / "checkpoints").is_dir()
    resume = ["--resume", "latest"] if begun else []
    commands = [
        ("Render scenes with captions", not (output / "pictures/truth/captions.parquet").is_file(),
         ["toyworld", "--output", world, "--images", str(pictures), "--seed", str(seed), "--force"]),
        ("Read and parse the captions, embed the pictures, mine triplets", True,
         ["run", "--input", f"{world}/shards", "--images", f"{world}/shards", "--clip-model", "toyworld",
          "--partitions", "4", "--split", "0.05", "--triplets", str(triplets),
          "--config", str(kinds), "--output", mined]),
        ("Train a Combiner on the triplets", True,
         ["train", mined, "--output", trained, "--projection", "384", "--lr", "0.001", "--epochs", str(EPOCHS),
          "--seed", str(seed), *resume]),
        ("Render scenes that nothing was trained on", not (output / "unseen/truth/captions.parquet").is_file(),
         ["toyworld", "--output", other, "--images", str(pictures), "--seed", str(seed + 1), "--force"]),
    ]  # fmt: skip
    for number, (told, needed, arguments) in enumerate(commands, 1):
        if not needed:
            continue
        console.print(f"\n[bold]{number} of 5: {told}[/bold]")
        console.print(f"$ facetmine {shlex.join(arguments)}", highlight=False, soft_wrap=True)
        status = command(arguments)
        if status:
            return status
    console.print(f"\n[bold]5 of 5: Ask {queries:,} questions of each of four tasks[/bold]")
    _evaluate(output, queries, seed, console)
    console.print(
        f"\n{results}/page.html shows questions and answers. Try next:\n"
        f"  facetmine inspect {mined}\n"
        f"  facetmine train {mined} --output {output}/relations --kinds relation\n"
        "  facetmine demo --captions --output out/captions      # triplets of 7,899 web captions",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    return 0


def _claim(output: Path, settings: dict[str, int], *, force: bool) -> None:
    """Make the folder this demo's."""
    told = output / _SETTINGS
    if output.exists() and not output.is_dir():
        raise DemoError(f"{output} is a file; --output names a folder")
    if force:
        for name in STEPS:
            shutil.rmtree(output / name, ignore_errors=True)
    elif told.is_file():
        if json.loads(told.read_text(encoding="utf-8")) != settings:
            raise DemoError(f"{output} holds a demo with other settings; --force replaces it")
    elif output.is_dir() and any(output.iterdir()):
        raise DemoError(f"{output} holds something else; give another --output")
    output.mkdir(parents=True, exist_ok=True)
    told.write_text(json.dumps(settings) + "\n", encoding="utf-8")


def _evaluate(output: Path, queries: int, seed: int, console: Console) -> None:
    from downstream import evaluation
    from downstream.proof import unseen
    from downstream.retrievers import Backbone, open_retrievers

    trained, *baselines = open_retrievers([str(output / "run"), *reversed(BASELINES)], Backbone())
    models = [dataclasses.replace(trained, name="Combiner"), *baselines]
    answered = unseen(output / "unseen", models, queries, seed, output / "unseen" / "images.index").answered(models)
    tables = evaluation.figures(answered)
    show(tables)
    title = "Mined triplets teach a model what “similar” means"
    evaluation.write(output / "results", title, answered, tables, {"benchmark": "toy world"}, lead=_LEAD)
