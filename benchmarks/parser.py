"""How right and how fast the parsers are, against people's graphs and against sng_parser, in one run.

    python -m benchmarks.parser [--parsers compact,spacy] [--factual FOLDER] [--repeats 3]

- FACTUAL dev: SPICE and set match by the benchmark's own evaluator (pip install --no-deps FactualSceneGraph).
- Web dev: 300 captions of Conceptual Captions labelled for this project: precision and recall of facts, against every
  acceptable reading, and against the one reading of the labels, strict and lenient (``benchmarks.graph_scores``).
- Of both: the share of captions that state something and get no fact ("silent"); where a parser gives confidences,
  their expected calibration error and the precision of the surer half of its relations.
- Speed on one core, load time and memory: each parser in a fresh process, in turn with the peer.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import parsers
from benchmarks.graph_scores import (
    EvaluatorError,
    Lemma,
    Scores,
    noun_lemma,
    score,
    score_by_readings,
    spice_and_set_match,
)
from benchmarks.peer import SngParser
from benchmarks.process import captions
from parsers import SceneGraphParser
from parsers.lemmas import Lemmatizer
from parsers.registry import PARSERS
from parsers.training.data import read_readings
from pipeline import readers

ROOT = Path(__file__).parents[1]
WEB = ROOT / "parsers" / "data" / "web"
FACTUAL = ROOT.parent / "shared" / "data" / "factual"
PEER = "sng_parser"
ONE_THREAD = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(PARSERS.keys() - {"factual-t5"})
    parser.add_argument("--parsers", default=",".join(known), help=f"which, by name (default: {','.join(known)})")
    parser.add_argument(
        "--factual", type=Path, default=FACTUAL, help="folder with FACTUAL's dev.csv (default: %(default)s)"
    )
    parser.add_argument("--split", default="dev", help="which of FACTUAL's files (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="speed measurements of each, of which the median counts")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each measures (default: %(default)s)")
    given = parser.parse_args()
    names = [name.strip() for name in given.parsers.split(",") if name.strip()]
    unknown = [name for name in names if name not in PARSERS]
    if unknown:
        parser.error(f"no parser {', '.join(unknown)}; known: {', '.join(sorted(PARSERS))}")
    console = Console(width=120)
    loaded: dict[str, SceneGraphParser] = {PEER: SngParser()} | {name: parsers.load(name) for name in names}
    lemma, tables = noun_lemma()
    console.print(f"things in the singular by {tables}")
    on_factual(console, loaded, given.factual / f"{given.split}.csv", lemma)
    on_web(console, loaded)
    speed(console, names, given.repeats, given.seconds)


def on_factual(console: Console, loaded: dict[str, SceneGraphParser], path: Path, lemma: Lemma) -> None:
    if not path.exists():
        console.print(f"FACTUAL is left out: there is no {path} (--factual FOLDER; "
                      "https://github.com/zhuang-li/FactualSceneGraph has the files)")  # fmt: skip
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = Table(
        "parser", "SPICE", "set match", "facts", "precision", "recall", "silent", "calibration error", "surer half",
        title=f"FACTUAL {path.stem}, {len(rows):,} captions",
    )  # fmt: skip
    gold = [row["scene_graph"] for row in rows]
    for name, parser in loaded.items():
        graphs = parser.parse([row["caption"] for row in rows])
        try:
            spice, match = spice_and_set_match([graph.to_factual() for graph in graphs], gold, lemma)
            by_evaluator = [f"{spice:.1f}", f"{match:.1f}"]
        except EvaluatorError as error:
            console.print(str(error))
            by_evaluator = ["-", "-"]
        table.add_row(name, *by_evaluator, "strict", *_cells(score(graphs, gold, lemma)))
        table.add_row("", "", "", "lenient", *_cells(score(graphs, gold, lemma, lenient=True)))
    console.print(table)


def on_web(console: Console, loaded: dict[str, SceneGraphParser]) -> None:
    lemma = Lemmatizer().noun  # WordNet's has "men" and "cooky"
    with (WEB / "dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    table = Table(
        "parser", "against", "precision", "recall", "silent", "calibration error", "surer half",
        title=f"web dev, {len(rows)} captions",
    )  # fmt: skip
    labels, readings = [row["scene_graph"] for row in rows], read_readings(WEB / "dev_readings.tsv")
    for name, parser in loaded.items():
        graphs = parser.parse([row["caption"] for row in rows])
        table.add_row(name, "all readings", *_cells(score_by_readings(graphs, readings, lemma)))
        table.add_row("", "one reading, strict", *_cells(score(graphs, labels, lemma)))
        table.add_row("", "one reading, lenient", *_cells(score(graphs, labels, lemma, lenient=True)))
    console.print(table)


def speed(console: Console, names: Sequence[str], repeats: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = next((path for path in captions(Path(folder)) if "cc3m" in path), None) or captions(Path(folder))[0]
        splits, _, _ = readers.plan([readers.parse_input(file)])
        texts = [text for split in splits for batch, _ in readers.read(split) for text in batch["caption"].to_pylist()]
        lines = Path(folder) / "captions.txt"
        lines.write_text("\n".join(" ".join(text.split()) for text in texts), encoding="utf-8")
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (PEER, *names)}
        for _ in range(repeats):
            for name, measured in runs.items():
                measured.append(_measure(name, lines, seconds))
    table = Table(
        "parser", "captions/s, median", "runs", f"times {PEER}", "import and load", "MB loaded", "MB at most",
        title=f"one core, {len(texts):,} captions of {Path(file).name}",
    )  # fmt: skip
    peer = [run["captions_a_second"] for run in runs[PEER]]
    for name, measured in runs.items():
        speeds = [run["captions_a_second"] for run in measured]
        ratios = [ours / theirs for ours, theirs in zip(speeds, peer, strict=True)]
        table.add_row(
            name, f"{statistics.median(speeds):,.0f}", ", ".join(f"{each:,.0f}" for each in speeds),
            f"{statistics.median(ratios):.1f}", f"{statistics.median(run['load_seconds'] for run in measured):.2f} s",
            f"{max(run['loaded_megabytes'] for run in measured):.0f}",
            f"{max(run['peak_megabytes'] for run in measured):.0f}",
        )  # fmt: skip
    console.print(table)


def _measure(name: str, lines: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.parser_speed", name, str(lines), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _cells(scores: Scores) -> list[str]:
    shares = (scores.precision, scores.recall, scores.silent)
    return [*map(_percent, shares), _percent(scores.calibration_error()),
            _percent(scores.precision_of_surest_relations())]  # fmt: skip


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
