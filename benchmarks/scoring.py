"""Speed of the score stage against a plain loop that encodes image and caption pair by pair with the same model.

    python -m benchmarks.scoring [--images 4000] [--model toyworld] [--again 10000]

Both read the same WebDataset tars with the same decoder. The loop is what one would write first: for every caption its
image and the caption, for every fact its image and the fact's sentence, one pair at a time. It runs on a sample of the
captions, before and after the stage, in one thread: batches of one gain nothing from more, and lose much where others
work too. The stage is timed from its start to its end, with the model loaded, as the loop's is. Then a dataset is
scored and mined again with another threshold, and what was encoded is counted.
"""

import argparse
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table

import encoders
from images import ImageStore
from pipeline import encoding
from pipeline.config import MiningConfig, ScoreConfig
from pipeline.job import IMAGE_INDEX, Job
from pipeline.runner import Runner, parse_beam_options
from pipeline.wording import Templates
from toyworld import World, write

PARTITIONS = 4


def pair_by_pair(encoder: encoders.Encoder, images: ImageStore, facts: pa.Table, templates: Templates) -> float:
    """Seconds that the loop takes for those facts and their captions."""
    rows = list(zip(*(facts[name].to_pylist() for name in ("image_id", "caption")),
                    templates.sentences(facts).to_pylist(), strict=True))  # fmt: skip
    began = time.perf_counter()
    last = None
    for image_id, caption, sentence in rows:
        for text in (sentence,) if (image_id, caption) == last else (caption, sentence):
            pixels = torch.stack([encoder.preprocess(images.image(image_id))])
            _ = float(encoder.encode_images(pixels)[0] @ encoder.encode_texts([text])[0])
        last = image_id, caption
    return time.perf_counter() - began


def caption_by_caption(encoder: encoders.Encoder, images: ImageStore, facts: pa.Table) -> tuple[int, float]:
    """Captions, and seconds of a loop over captions alone, each with its image."""
    pairs = list(dict.fromkeys(zip(facts["image_id"].to_pylist(), facts["caption"].to_pylist(), strict=True)))
    began = time.perf_counter()
    for image_id, caption in pairs:
        pixels = torch.stack([encoder.preprocess(images.image(image_id))])
        _ = float(encoder.encode_images(pixels)[0] @ encoder.encode_texts([caption])[0])
    return len(pairs), time.perf_counter() - began


def main() -> None:
    given = _parse_arguments()
    logging.disable(logging.WARNING)
    console = Console(width=120)
    templates = Templates()
    with tempfile.TemporaryDirectory(prefix="facetmine-scoring-") as folder:
        jobs = {}
        for name, images in (("speed", given.images), ("again", given.again)):
            write(Path(folder, name), images, wrong=0.2, wrong_kind="scene", seed=given.seed, world=World())
            jobs[name] = job = Job(f"{folder}/out-{name}", Runner(parse_beam_options([])))
            job.read([f"{folder}/{name}/shards"], None, PARTITIONS)
            job.parse("default")
        config = ScoreConfig((f"{folder}/speed/shards",), None, given.model, given.pretrained, None, None, None, None,
                             templates.relation, templates.attribute)  # fmt: skip
        torch.set_num_threads(1)
        encoder = encoding.encoder(config.model, config.pretrained, None, None)
        images = ImageStore.open(config.images, Path(jobs["speed"].store.path(IMAGE_INDEX)))
        facts = jobs["speed"].store.read_table(f"facts/part-00000-of-{PARTITIONS:05d}.parquet")
        sample = facts.slice(0, given.sample)
        captions, alone = caption_by_caption(encoder, images, sample)
        loop = [pair_by_pair(encoder, images, sample, templates)]
        began = time.perf_counter()
        stage = jobs["speed"].score(config)
        ours = time.perf_counter() - began
        loop.append(pair_by_pair(encoder, images, sample, templates))
        alone = (alone + caption_by_caption(encoder, images, sample)[1]) / 2
        whole = sum(loop) / 2
        all_facts = sum(file.rows for file in stage.files if file.path.startswith("scores/"))
        table = Table("", "images/s", "facts/s", "seconds", title=f"{encoder.name}, {given.images:,} images")
        for name, seconds, rows, statements in (
            ("loop over captions alone", alone, captions, 0),
            ("loop over captions and facts", whole, captions, len(sample)),
            ("score stage, captions and facts", ours, stage.rows_out, all_facts),
        ):
            told = f"{statements / seconds:,.0f}" if statements else ""
            table.add_row(name, f"{rows / seconds:,.0f}", told, f"{seconds:.1f} for {rows:,}")
        console.print(table)
        console.print(
            f"the stage, with all facts, is {stage.rows_out / ours * alone / captions:.1f} times as fast as the loop "
            f"over captions alone, and {all_facts / ours * whole / len(sample):.1f} times as fast as the loop over the "
            "same facts"
        )
        _again(console, jobs["again"], replace(config, images=(f"{folder}/again/shards",)))


def _again(console: Console, job: Job, config: ScoreConfig) -> None:
    table = Table("", "seconds", "images encoded", "texts encoded", "triplets", title="another threshold")
    for name, least in (("scored, and mined", -1.0), ("mined with another threshold", 0.1)):
        before = dict(job.runner.counters)
        began = time.perf_counter()
        job.score(config)
        job.mine(MiningConfig(min_caption_score=least))
        triplets = job.write().rows_out
        seconds = time.perf_counter() - began
        encoded = [job.runner.counters[f"score_{what}_encoded"] - before.get(f"score_{what}_encoded", 0)
                   for what in ("images", "texts")]  # fmt: skip
        table.add_row(name, f"{seconds:.1f}", *(f"{count:,}" for count in encoded), f"{triplets:,}")
    console.print(table)


def _parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--images", type=int, default=4000, help="pictures of the race (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=600, help="facts of the loop (default: %(default)s)")
    parser.add_argument("--again", type=int, default=10_000, help="pictures of the second part (default: %(default)s)")
    parser.add_argument("--model", default="toyworld", help="as --clip-model (default: %(default)s)")
    parser.add_argument("--pretrained", help="as --clip-pretrained")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
