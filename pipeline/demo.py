"""``facetmine demo``: the whole job on 5,920 real web captions that ship with facetmine."""

import argparse
import csv
import json
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from schemas import views

TRIPLETS_SHOWN = 5


def write_captions(folder: Path) -> Path:
    """Write the embedded captions as JSON Lines with an image id each, and give the file.

    They are the captions of the hand-labelled set of Conceptual Captions (``parsers/data/web``), without their labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "web_captions.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for name in ("train", "dev"):
            text = files("parsers").joinpath(f"data/web/{name}.tsv").read_text(encoding="utf-8")
            for row, record in enumerate(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)):
                print(json.dumps({"image_id": f"{name}-{row:04d}", "caption": record["caption"]}), file=file)
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", "--out", default="out/demo", metavar="OUT", help="output folder (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="redo what is done")


def show(output: str, captions: Path, console: Console) -> None:
    """A few triplets as a table, and what to try next."""
    table = Table("subject", "condition", "reference", "target", "text distractor", "image distractor", show_lines=True)
    rows = views.connect(output).execute(
        """SELECT subject, condition, reference_caption, target_caption, text_distractor_caption,
                  image_distractor_caption
           FROM sample_triplets(?, seed := 3)""",
        [TRIPLETS_SHOWN],
    )
    for row in rows.fetchall():
        table.add_row(*row)
    console.print("\nA few of the triplets. The target is what a search with the reference and the condition should")
    console.print("find, the distractors are what it should not.")
    console.print(table)
    console.print(
        "\nTry next:\n"
        f"  facetmine inspect {output}\n"
        f'  facetmine query {output} "FROM conditions ORDER BY triplets DESC LIMIT 20"\n'
        f"  facetmine mine --output {output} --triplets 20000 --split 0.1\n"
        f"  facetmine run --input {captions} --output out/published --preset genecis\n"
        "  facetmine run --input YOUR_CAPTIONS.tsv --output out/yours",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
