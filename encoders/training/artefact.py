"""The trained model as a folder that open_clip loads by itself: ``open_clip.create_model("local-dir:FOLDER")``."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from encoders.training.batches import MEAN, STD
from toyworld import SIDE

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"

PREPROCESS = {
    "size": [SIDE, SIDE],
    "mode": "RGB",
    "mean": [MEAN] * 3,
    "std": [STD] * 3,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}


def save(folder: Path, model_cfg: dict[str, Any], clip: torch.nn.Module) -> None:
    """Writes configuration and weights, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESS}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    weights = {
        name: (weight.half() if weight.is_floating_point() else weight).contiguous()
        for name, weight in clip.state_dict().items()
    }
    partial = folder / f"{WEIGHTS}.partial"
    save_file(weights, partial, metadata={"format": "pt"})
    partial.chmod(0o644)
    partial.replace(folder / WEIGHTS)
