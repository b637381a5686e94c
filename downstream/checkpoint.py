"""Checkpoints: weights as safetensors that say how they came to be, in folders that are there whole or not at all.

    RUN/checkpoints/step-00001200/    the last few: combiner.safetensors, state.safetensors (optimizer, position), and
                                      backbone.safetensors where the backbone was trained too
    RUN/best/                         combiner.safetensors and backbone.safetensors of the best validation

The metadata of ``combiner.safetensors`` holds the full configuration as JSON under ``facetmine``, so that file alone
can be used.
"""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from downstream.combiner import Combiner

COMBINER_NAME = "combiner.safetensors"
BACKBONE_NAME = "backbone.safetensors"
STATE_NAME = "state.safetensors"
_METADATA_KEY = "facetmine"


class CheckpointError(Exception):
    """A checkpoint that is not there or cannot be used; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained Combiner and how it came to be.

    ``configuration`` has the keys ``encoder`` (model, pretrained, fingerprint), ``combiner`` (its sizes), ``training``
    (all settings), ``step`` and ``metrics``; it is empty for weights that facetmine did not train. ``backbone`` is the
    file of the trained backbone's weights, None where the encoder's own were kept.
    """

    path: Path
    combiner: Combiner
    configuration: dict[str, Any]
    backbone: Path | None

    def backbone_weights(self) -> dict[str, Tensor]:
        """The trained backbone's weights.

        Raises:
            CheckpointError: there are none, or they cannot be read.
        """
        if self.backbone is None:
            raise CheckpointError(f"{self.path.parent} holds no {BACKBONE_NAME}")
        return _read(self.backbone)[0]


def load_checkpoint(path: str | Path) -> Checkpoint:
    """A checkpoint, with its Combiner in evaluation mode on the CPU.

    Args:
        path: a run's folder (its best checkpoint, else its latest), a checkpoint's folder, a ``combiner.safetensors``,
            or a ``.pt`` file with the weights of GeneCIS or CLIP4Cir. A ``.pt`` is read without running what is in it.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    file = _combiner_file(Path(path))
    if file.suffix in (".pt", ".pth"):
        weights, configuration = published_weights(file, "combiner"), dict[str, Any]()
    else:
        weights, configuration = _read(file)
    try:
        combiner = Combiner.with_weights(weights)
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from None
    backbone = file.with_name(BACKBONE_NAME)
    trained = file.name == COMBINER_NAME and backbone.exists()
    return Checkpoint(file, combiner, configuration, backbone if trained else None)


def published_weights(path: str | Path, part: str) -> dict[str, Tensor]:
    """The weights in a ``.pt`` file as published: by themselves, or under ``part`` among other things of a run.

    Args:
        part: ``combiner`` or ``clip_model``; capital letters do not matter.

    Raises:
        CheckpointError: it cannot be read, or only by running code that is in it, or has no such weights.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from None
    if isinstance(held, Mapping):
        held = next((value for key, value in held.items() if str(key).lower() == part), held)
    if not isinstance(held, Mapping) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise CheckpointError(f"{path} holds no weights of a {part}")
    return {str(name).removeprefix("module."): value for name, value in held.items()}


def latest(run: str | Path) -> Path | None:
    """The folder of a run's latest checkpoint; None where it has none."""
    return max((Path(run) / "checkpoints").glob("step-*[0-9]"), default=None)


def save_checkpoint(
    run: Path, step: int, combiner: Combiner, backbone: Mapping[str, Tensor] | None, state: Mapping[str, Tensor],
    position: Mapping[str, Any], configuration: Mapping[str, Any], keep: int,
) -> None:  # fmt: skip
    """Write ``RUN/checkpoints/step-N`` at once, and take away all but the latest ``keep``.

    Args:
        state: tensors that training goes on with.
        position: numbers that it goes on with.
    """
    folder = run / "checkpoints" / f"step-{step:08d}"

    def fill(temporary: Path) -> None:
        _write_weights(temporary, combiner, backbone, configuration)
        save_file(dict(state), temporary / STATE_NAME, metadata={_METADATA_KEY: json.dumps(position)})

    _write_folder(folder, fill)
    for old in sorted(folder.parent.glob("step-*[0-9]"))[:-keep]:
        shutil.rmtree(old)


def save_best(
    run: Path, combiner: Combiner, backbone: Mapping[str, Tensor] | None, configuration: Mapping[str, Any]
) -> None:
    """Write ``RUN/best`` in place of the one before."""
    _write_folder(run / "best", lambda temporary: _write_weights(temporary, combiner, backbone, configuration))


def load_state(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state and the position that :func:`save_checkpoint` was given.

    Raises:
        CheckpointError: they are not there or cannot be read.
    """
    return _read(checkpoint / STATE_NAME)


def _combiner_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.exists():
        raise CheckpointError(f"{path} does not exist. Give the folder that `facetmine train` wrote, or a .pt file.")
    folders = [path, path / "best", *filter(None, [latest(path)])]
    found = next((folder / COMBINER_NAME for folder in folders if (folder / COMBINER_NAME).exists()), None)
    if found is None:
        raise CheckpointError(f"{path} holds no {COMBINER_NAME}. Give the folder that `facetmine train` wrote.")
    return found


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(file, "pt") as opened:
            told = json.loads((opened.metadata() or {}).get(_METADATA_KEY, "{}"))
        return load_file(file), told
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from None


def _write_weights(
    folder: Path, combiner: Combiner, backbone: Mapping[str, Tensor] | None, configuration: Mapping[str, Any]
) -> None:
    told = {_METADATA_KEY: json.dumps(configuration, sort_keys=True)}
    for name, weights in ((COMBINER_NAME, combiner.state_dict()), (BACKBONE_NAME, backbone)):
        if weights is not None:
            save_file({key: value.detach().cpu().contiguous() for key, value in weights.items()}, folder / name, told)


def _write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have a folder filled under another name, then take its place; what was there stays until then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir()
    fill(temporary)
    for file in temporary.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
