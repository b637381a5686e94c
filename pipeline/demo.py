"""``facetmine demo``: the whole job on 7,899 real web captions that ship with facetmine."""

import csv
import json
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from schemas import views

TRIPLETS_SHOWN = 6
CHARACTERS_SHOWN = 55
"""Only triplets whose captions are all this short are shown, so that the table is one."""


def write_captions(folder: Path) -> Path:
    """Write the embedded captions as JSON Lines with an image id each, and give the file.

    They are the captions of the hand-labelled set of Conceptual Captions (``parsers/data/web``), without their labels.
    """
    lines = []
    for name in ("train", "dev"):
        text = files("parsers").joinpath(f"data/web/{name}.tsv").read_text(encoding="utf-8")
        for row, record in enumerate(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)):
            lines.append(json.dumps({"image_id": f"{name}-{row:04d}", "caption": record["caption"]}) + "\n")
    content = "".join(lines)
    path = folder / "web_captions.jsonl"
    if not path.is_file() or path.read_text(encoding="utf-8") != content:  # a file written anew is another input
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return path


def show(output: str, captions: str, console: Console) -> None:
    """A few triplets as a table, and what to try next."""
    table = Table("subject, condition", "reference", "target", "text distractor", "image distractor", show_lines=True)
    rows = views.connect(output).execute(
        """SELECT subject || chr(10) || '+ ' || condition, reference_caption, target_caption, text_distractor_caption,
                  image_distractor_caption
           FROM sample_triplets(1000, seed := 3)
           WHERE greatest(length(reference_caption), length(target_caption), length(text_distractor_caption),
                          length(image_distractor_caption)) <= ?
           LIMIT ?""",
        [CHARACTERS_SHOWN, TRIPLETS_SHOWN],
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
