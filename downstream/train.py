"""Training: triplets and an encoder to a Combiner, and to a fine-tuned encoder where that is asked for.

Whatever is random in a step (dropout, the order of rows, the cut of a picture) is a function of the seed and the step's
number. So a run that goes on from a checkpoint does exactly what an undisturbed one would have done, and no state of a
random number generator needs keeping.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from downstream.checkpoint import CheckpointError, load_checkpoint, load_state, save_best, save_checkpoint
from downstream.loader import Batch, TripletLoader
from downstream.loss import info_nce
from downstream.metrics import Metrics
from downstream.model import Frozen, Whole, parameter_groups
from downstream.processes import Processes
from downstream.progress import Line

SELECTED_BY = "recall@1"
"""The metric of validation by which the best checkpoint is chosen."""

_LEAST_LR = 1e-3


class TrainingError(Exception):
    """Training that cannot go on; the message says where it stopped and what to try."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What decides what is learned. It is in every checkpoint, and a resumed run has the same.

    ``batch_size`` counts the rows of all processes together; ``projection`` and ``hidden`` are sizes of the Combiner;
    ``warmup`` is the share of steps over which the learning rate rises; ``clip`` the largest norm of a gradient.
    """

    whole: bool
    kinds: list[str] | None
    hard_negatives: bool
    epochs: int
    batch_size: int
    lr: float
    warmup: float
    weight_decay: float
    dropout: float
    projection: int
    hidden: int
    temperature: float
    clip: float
    precision: str
    seed: int

    def lr_at(self, step: int, steps: int) -> float:
        """The learning rate of a step: a linear rise, then half a cosine down to a thousandth."""
        rise = self.warmup * steps
        if step < rise:
            return self.lr * (step + 1) / (rise + 1)
        down = (step - rise) / max(steps - rise, 1)
        return self.lr * (_LEAST_LR + (1 - _LEAST_LR) * (1 + math.cos(math.pi * down)) / 2)


Validate = Callable[[], dict[str, float]]
"""Metrics of held-out triplets under the model as it is; empty in processes that do not compute them."""


class Trainer:
    """One run: steps, validation, checkpoints, metrics.

    Args:
        model: what is trained, on the processes' device.
        loader: the training triplets; its dataset leaves out what does not fill the last batch.
        recipe: how to train.
        run: the run's folder.
        processes: this process among its fellows.
        encoder: what checkpoints say of the encoder.
        validate: None without held-out triplets.
        every: steps from one validation and checkpoint to the next; 0 for the end of each epoch.
        keep: how many checkpoints stay, besides the best.
    """

    def __init__(
        self, model: Frozen | Whole, loader: TripletLoader, recipe: Recipe, run: Path, processes: Processes, *,
        encoder: Mapping[str, Any], validate: Validate | None, every: int = 0, keep: int = 3,
    ) -> None:  # fmt: skip
        self._model, self._loader, self._recipe, self._run = model, loader, recipe, run
        self._processes, self._encoder, self._validate = processes, dict(encoder), validate
        self._every, self._keep = every or len(loader), keep
        self._steps, self._step = recipe.epochs * len(loader), 0
        self._best: dict[str, float] = {}
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), lr=recipe.lr, fused=True)
        self._parallel: nn.Module = model
        if processes.ranks > 1:
            self._parallel = DistributedDataParallel(model, broadcast_buffers=False)

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint's folder.

        Raises:
            CheckpointError: it cannot be read, or is of another recipe or encoder.
            ShardError: it is of other triplets.
        """
        loaded = load_checkpoint(checkpoint)
        state, position = load_state(checkpoint)
        before = loaded.configuration["training"] | loaded.configuration["encoder"]
        now = asdict(self._recipe) | self._encoder
        changed = [f"{name} was {before.get(name)}, is {now[name]}" for name in now if before.get(name) != now[name]]
        if changed:
            raise CheckpointError(f"{checkpoint} cannot be resumed: {'; '.join(changed)}. Give the run's own options.")
        self._model.combiner.load_state_dict(loaded.combiner.state_dict())
        if self._model.backbone is not None:
            self._model.backbone.load_state_dict(loaded.backbone_weights())
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        self._loader.load_state_dict(position["loader"])
        self._step, self._best = position["step"], position["best"]

    def run(self) -> dict[str, float]:
        """Train to the end; what the best validation found, empty without validation.

        Raises:
            TrainingError: the loss or its gradient is no number any more.
        """
        with contextlib.ExitStack() as stack:
            line = stack.enter_context(Line(self._steps, self._step, shown=self._processes.is_first))
            metrics = stack.enter_context(Metrics(self._run, self._step)) if self._processes.is_first else None
            while self._step < self._steps:
                for batch in self._loader:
                    told = self._train(batch)
                    line.advance(f"epoch {self._loader.epoch + 1}, loss {told['loss']:.3f}")
                    if metrics:
                        metrics.write("training", self._step, told)
                    if self._step % self._every == 0 or self._step == self._steps:
                        self._look_up(metrics, line)
        return self._best

    def _train(self, batch: Batch) -> dict[str, float]:
        recipe, processes = self._recipe, self._processes
        self._parallel.train()
        torch.manual_seed(_seed_of(recipe.seed, self._step, processes.rank))
        lr = recipe.lr_at(self._step, self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        batch = {name: value.to(processes.device, non_blocking=True) for name, value in batch.items()}
        with _arithmetic(processes.device, recipe.precision):
            queries, candidates = self._parallel(batch)
        present = batch["present"][:, 1:] & batch["present"][:, :1]
        loss, accuracy = info_nce(
            queries.float(), candidates.float(), batch["image"][:, 1:], present, batch["query"], recipe.temperature
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters, recipe.clip)
        # The gradient is the mean over all processes, so all of them stop at the same step.
        if not math.isfinite(norm.item()):
            raise TrainingError(self._why_not_finite(batch, float(loss), lr))
        self._optimizer.step()
        self._step += 1
        mean_loss, mean_accuracy = processes.mean(loss, accuracy)
        return {
            "epoch": self._loader.epoch + 1, "loss": mean_loss, "accuracy": 100 * mean_accuracy, "lr": lr,
            "gradient": norm.item(),
        }  # fmt: skip

    def _look_up(self, metrics: Metrics | None, line: Line) -> None:
        """Validate, and write what there is to keep."""
        found = {}
        if self._validate:
            self._parallel.eval()
            found = self._validate()
        if not self._processes.is_first:
            return
        position = {"step": self._step, "loader": self._loader.state_dict()}
        configuration = {
            "encoder": self._encoder, "training": asdict(self._recipe), "step": self._step, "metrics": found,
        }  # fmt: skip
        combiner, backbone = self._model.combiner, self._model.backbone
        weights = None if backbone is None else backbone.state_dict()
        if found:
            assert metrics
            metrics.write("validation", self._step, {"model": "combiner", **found})
            line.say(f"step {self._step:,} of {self._steps:,}: {in_words(found)}")
            if found[SELECTED_BY] > self._best.get(SELECTED_BY, -math.inf):
                self._best = {"step": self._step, **found}
                save_best(self._run, combiner, weights, configuration)
        state = {
            f"{number}.{key}": value
            for number, moments in self._optimizer.state_dict()["state"].items()
            for key, value in moments.items()
        }
        position["best"] = self._best
        save_checkpoint(self._run, self._step, combiner, weights, state, position, configuration, self._keep)

    def _why_not_finite(self, batch: Batch, loss: float, lr: float) -> str:
        at = self._loader.state_dict()
        told = (
            f"the {'gradient' if math.isfinite(loss) else 'loss'} is no finite number at step {self._step + 1:,} "
            f"(epoch {at['epoch'] + 1}, batch {at['batch']}; loss {loss:.4g}, learning rate {lr:.2g})"
        )
        broken = [
            row
            for row, features in zip(batch["row"].tolist(), batch["images"].float().flatten(1), strict=True)
            if not features.isfinite().all()
        ]
        if broken:
            return f"{told}: images of rows {broken[:5]} of the index are no finite numbers either. Encode them again."
        advice = "Try a lower --lr or --clip, or --precision fp32; --resume latest goes on from the last checkpoint."
        return f"{told}. {advice}"


def in_words(found: Mapping[str, float]) -> str:
    """Metrics of validation in one line."""
    recalls = " ".join(f"@{name.partition('@')[2]} {value:.1f}" for name, value in found.items() if "@" in name)
    return f"recall {recalls}, above its distractors {found['above_distractors']:.1f}%, loss {found['loss']:.3f}"


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _arithmetic(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
