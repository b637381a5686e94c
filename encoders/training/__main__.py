"""Trains the toy world's tiny CLIP from scratch and writes it as a folder that open_clip loads.

    python -m encoders.training --out DIR [--steps N] [--seed N]

Data is rendered as it is needed, so no picture is seen twice. The same seed and steps give the same weights on the same
machine and release of torch. Every 400 steps, and at the end, the folder is written anew, and the losses and, of 512
held-out pictures, the gate's figures are printed.
"""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, by torch: on a busy machine spinning threads starve

import torch
from torch.utils.data import DataLoader

import encoders
from encoders.training import artefact, axis_words, gate
from encoders.training.batches import Batches
from encoders.training.claims import ClaimColumns
from encoders.training.learner import Learner
from toyworld import World

MODEL = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 96, "heads": 4, "layers": 2},
}


@dataclass(frozen=True)
class Config:
    """What the weights depend on.

    Attributes:
        steps: batches.
        size: pictures a batch; there are twice as many texts.
        easy: share of the steps in which most pictures show one thing.
    """

    seed: int = 0
    steps: int = 2400
    size: int = 64
    rate: float = 1.5e-3
    warmup: int = 100
    decay: float = 0.02
    easy: float = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m encoders.training", description="Trains the toy world's CLIP.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--steps", type=int, default=Config.steps, metavar="N", help="batches (default %(default)s)")
    parser.add_argument("--seed", type=int, default=Config.seed, metavar="N")
    given = parser.parse_args()
    train(Config(seed=given.seed, steps=given.steps), given.out)


def train(config: Config, out: Path) -> None:
    """Trains and writes the folder ``out``."""
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    world = World()
    learner = Learner(MODEL, world, ClaimColumns(world).count)
    learner.clip.visual.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=config.rate, weight_decay=config.decay, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.rate, config.steps, pct_start=config.warmup / config.steps, final_div_factor=100
    )
    started = time.monotonic()
    easy = round(config.easy * config.steps)
    batches = Batches(config.seed, config.size, easy=easy, steps=config.steps)
    for step, batch in enumerate(DataLoader(batches, batch_size=None, num_workers=1)):
        learner.train()
        losses = learner.losses(batch)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            learner.clip.logit_scale.clamp_(max=4.6052)  # 100, as CLIP does
        if (step + 1) % 100 == 0:
            told = " ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())
            print(f"{step + 1} {time.monotonic() - started:.0f}s {told}", flush=True)
        if (step + 1) % 400 == 0 or step + 1 == config.steps:
            learner.eval()
            clip = learner.finished()
            if step + 1 == config.steps:
                axis_words.teach(clip)
            artefact.save(out, MODEL, clip)
            print(gate.measure(encoders.load(str(out)), 512), flush=True)


if __name__ == "__main__":
    main()
