"""A run from its command line to its summary."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import encoders
from downstream.checkpoint import CheckpointError, latest
from downstream.embeddings import scoring
from downstream.loader import TripletLoader
from downstream.metrics import Metrics
from downstream.preparation import Prepared, prepare
from downstream.processes import Processes, join_processes
from downstream.shards import ShardError, open_index
from downstream.train import Recipe, Trainer, TrainingError
from images import SourceError
from schemas.manifest import ManifestError

ROWS_TO_LEARN_FROM = 1_000_000
"""Rows that a Combiner over cached features sees, unless told otherwise; measured in docs/training.md."""

MOST_EPOCHS = 50
"""At most so many, however few triplets there are."""

_PER_DIMENSION = 4
"""Published: features of 640 numbers are projected to 2,560."""


class UsageError(Exception):
    """Options that do not go together; the message says which."""


def start(given: argparse.Namespace) -> int:
    """Train as the command line says; the exit status is 0, 1 for failure, 2 for bad usage, 130 for Ctrl-C."""
    try:
        with join_processes(given.device) as processes:
            _train(given, processes)
    except UsageError as error:
        return _fail(f"{error} (facetmine train --help lists the options)", 2)
    except (ManifestError, ShardError, SourceError, CheckpointError, TrainingError, encoders.EncoderError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or given.output}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command with --resume latest goes on from the last checkpoint", 130)
    return 0


def _train(given: argparse.Namespace, processes: Processes) -> None:
    run = Path(given.output)
    checkpoint = _checkpoint(given.resume, run)
    model, pretrained = _encoder(given)
    cache = Path(given.cache) if given.cache else run / "cache"
    with processes.first_goes_first():
        rows = len(open_index(given.out, cache, kinds=given.kinds, split="train"))
    encoder = encoders.load(model, pretrained, device=str(processes.device))
    recipe = _recipe(given, rows, encoder.dimension, processes)
    told = {"model": model, "pretrained": pretrained, "fingerprint": encoder.fingerprint}
    workers = given.workers if given.workers is not None else (torch.get_num_threads() if recipe.whole else 0)
    prepared = prepare(given.out, given.images, encoder, recipe, cache, processes, workers)
    loader = TripletLoader(prepared.dataset, workers, pin_memory=processes.device.type == "cuda")
    trainer = Trainer(
        prepared.model, loader, recipe, run, processes,
        encoder=told, validate=prepared.validate, every=given.every, keep=given.keep,
    )  # fmt: skip
    if checkpoint:
        trainer.resume(checkpoint)
    if processes.is_first:
        run.mkdir(parents=True, exist_ok=True)
        (run / "config.json").write_text(
            json.dumps({"encoder": told, "training": dataclasses.asdict(recipe)}, indent=2)
        )
        for note in prepared.notes:
            print(f"note: {note}", file=sys.stderr)
        trained = sum(parameter.numel() for parameter in prepared.model.parameters() if parameter.requires_grad)
        print(
            f"{prepared.dataset.rows:,} triplets, {recipe.epochs} epochs of {len(loader):,} batches of "
            f"{recipe.batch_size:,}; {trained / 1e6:.1f} million parameters on {processes.ranks} x {processes.device}",
            file=sys.stderr,
        )
        if not checkpoint:
            _write_baselines(prepared, run)
    best = trainer.run()
    if processes.is_first:
        _show(best, prepared, run)


def _checkpoint(resume: str | None, run: Path) -> Path | None:
    found = latest(run)
    if resume is None:
        if found:
            raise UsageError(f"{run} holds a run already. --resume latest goes on with it; or give another --output")
        return None
    if resume != "latest":
        return Path(resume)
    if found is None:
        raise CheckpointError(f"{run} holds no checkpoint yet. Start the run without --resume.")
    return found


def _encoder(given: argparse.Namespace) -> tuple[str, str | None]:
    """Model and weights as asked for, else those of the dataset's stage score."""
    if given.model:
        return given.model, given.pretrained
    if given.pretrained:
        raise UsageError("--pretrained needs --model")
    scored = scoring(given.out)
    if scored is None:
        raise UsageError(f"{given.out} has no image embeddings: name the encoder with --model, and give --images")
    return scored["model"], scored.get("pretrained")


def _recipe(given: argparse.Namespace, rows: int, dimension: int, processes: Processes) -> Recipe:
    whole = given.whole
    batch = given.batch_size or (256 if whole else 512)
    projection = given.projection or _PER_DIMENSION * dimension
    epochs = given.epochs or (6 if whole else min(max(round(ROWS_TO_LEARN_FROM / rows), 1), MOST_EPOCHS))
    precision = given.precision or ("bf16" if whole and processes.device.type == "cuda" else "fp32")
    return Recipe(
        whole=whole, kinds=sorted(given.kinds) if given.kinds else None, hard_negatives=given.hard_negatives,
        epochs=epochs, batch_size=batch, lr=given.lr or (1e-6 if whole else 5e-4), warmup=given.warmup,
        weight_decay=given.weight_decay if given.weight_decay is not None else (0.0 if whole else 0.01),
        dropout=given.dropout if given.dropout is not None else (0.5 if whole else 0.1),
        projection=projection, hidden=2 * projection, temperature=given.temperature,
        clip=given.clip, precision=precision, seed=given.seed,
    )  # fmt: skip


def _write_baselines(prepared: Prepared, run: Path) -> None:
    with Metrics(run, 0) as metrics:
        for name, found in prepared.baselines.items():
            metrics.write("validation", 0, {"model": name, **found})


def _show(best: dict[str, float], prepared: Prepared, run: Path) -> None:
    if best:
        table = Table("held-out triplets", "R@1", "R@5", "R@10", "above distractors", "loss", box=None)
        for name, found in {**prepared.baselines, "Combiner": best}.items():
            table.add_row(name, *(f"{found[key]:.1f}" for key in _SHOWN), f"{found['loss']:.3f}")
        Console().print(table)
    print(f"{run / 'best' if best else latest(run)}")


_SHOWN = ("recall@1", "recall@5", "recall@10", "above_distractors")


def _fail(message: str, status: int) -> int:
    print(f"facetmine: {message}", file=sys.stderr)
    return status
