"""What the default preset's filters cost in variety, and how many triplets captions give: entropy and yield by kind.

    python -m benchmarks.balance captions.tsv [more files, folders or globs]

The captions are parsed once and mined three times: as the default preset does, without any of its filters, and with
the published sampler behind its concreteness threshold. As many triplets are compared as the default draws; entropy is
that of subjects and of conditions as they are written. The yield is what can be had before any cap, per 1,000 captions.
"""

import argparse
import dataclasses
import logging
import random
import re
import tempfile
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.truth import FREQUENT, entropy, head_share
from pipeline.config import KINDS, MiningConfig, preset
from pipeline.job import Job
from pipeline.runner import Runner, parse_beam_options

PARTITIONS = 4
COLUMNS = ["kind", "subject", "condition", "triplet_id"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", nargs="+", help="captions, as `facetmine run --input` takes them")
    parser.add_argument("--parser", default="default", help="default: %(default)s")
    parser.add_argument("--triplets", type=int, help="default: as many as there are facts that can be a target")
    parser.add_argument("--published", type=int, default=50_000, help="draws of the published sampler that pass its "
                        "threshold (default: %(default)s)")  # fmt: skip
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # of Beam
    console = Console(width=130)
    with tempfile.TemporaryDirectory(prefix="facetmine-balance-") as folder:
        job = Job(f"{folder}/out", Runner(parse_beam_options([])))
        captions = job.read(given.input, None, PARTITIONS).rows_out
        job.parse(given.parser)
        config = dataclasses.replace(preset("default"), triplets=given.triplets)
        ours, to_be_had = mined(job, config)
        unfiltered, _ = mined(job, without_filters(config, len(ours)))
        published, _ = mined(job, dataclasses.replace(preset("genecis"), triplets=given.published))
    distinct = len({row["triplet_id"] for row in published})
    console.print(f"{captions:,} captions, {len(ours):,} triplets of the default preset")
    console.print(compared(ours, unfiltered))
    console.print(yields(to_be_had, captions))
    times = to_be_had["relation"] / max(distinct, 1)
    console.print(f"published sampler: {len(published):,} draws pass its threshold, {distinct:,} distinct triplets; "
                  f"{times:.1f} times as many relation triplets can be had with the default preset")  # fmt: skip


def without_filters(config: MiningConfig, triplets: int) -> MiningConfig:
    """The same configuration, but nothing is left out and subjects and conditions come as they are."""
    return dataclasses.replace(
        config, triplets=triplets, visible_only=False, min_concreteness=0.0, min_confidence=0.0,
        min_visual_strength=0.0, max_ambiguity=float("inf"), max_prior=1.0,
    )  # fmt: skip


def mined(job: Job, config: MiningConfig) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The triplets that a configuration gives of the job's facts, and how many of each kind there are to be had."""
    notes = " ".join(job.mine(config).notes)
    found = re.search(r"to be had of each kind: ([^;.]*)", notes)
    counts = re.findall(r"(\w+) ([\d,]+)", found[1]) if found else []
    table = pa.concat_tables([job.store.read_table(file.path).select(COLUMNS) for file in job.write().files])
    return table.to_pylist(), {kind: int(count.replace(",", "")) for kind, count in counts}


def compared(ours: Sequence[dict[str, Any]], unfiltered: Sequence[dict[str, Any]]) -> Table:
    """Entropies and the head's share, a row a kind and one for all."""
    table = Table("kind", "triplets", "subjects, bits (unfiltered)", "conditions, bits (unfiltered)",
                  f"{FREQUENT} conditions % (unfiltered)")  # fmt: skip
    for kind in (*KINDS, None):
        pair = [[row for row in rows if kind in (row["kind"], None)] for rows in (ours, unfiltered)]
        size = min(map(len, pair))  # entropy of a sample grows with the sample
        if not size:
            continue
        pair = [random.Random(0).sample(rows, size) for rows in pair]
        cells = []
        for measure, name in ((entropy, "subject"), (entropy, "condition"), (head_share, "condition")):
            here, there = (measure([row[name] for row in rows]) for rows in pair)
            cells.append(f"{100 * here:.1f} ({100 * there:.1f})" if measure is head_share
                         else f"{here:.2f} ({there:.2f}), {100 * (here / max(there, 1e-9) - 1):+.0f}%")  # fmt: skip
        table.add_row(kind or "all", f"{size:,}", *cells)
    return table


def yields(to_be_had: dict[str, int], captions: int) -> Table:
    """Triplets that can be had of each kind, in all and per 1,000 captions."""
    table = Table("kind", "to be had", "per 1,000 captions")
    for kind, count in to_be_had.items():
        table.add_row(kind, f"{count:,}", f"{1000 * count / captions:,.0f}")
    return table


if __name__ == "__main__":
    main()
