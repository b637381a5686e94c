"""Small pictures with captions in WebDataset tars, and small open_clip models with random weights."""

import io
import itertools
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

COLORS = ("red", "green", "blue", "yellow", "black", "white")
THINGS = ("car", "dog", "horse", "boat")
PLACES = ("on a beach", "near a tree")

MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
"""A custom open_clip model configuration."""


def captions() -> list[str]:
    """48 captions, of things that share colours and places."""
    return [f"a {color} {thing} {place}" for color, thing, place in itertools.product(COLORS, THINGS, PLACES)]


def picture(number: int) -> Image.Image:
    """A picture that no other number has."""
    image = Image.new("RGB", (40, 36), COLORS[number % len(COLORS)])
    draw = ImageDraw.Draw(image)
    draw.rectangle((number % 30, number // 7, number % 30 + 8, number // 7 + 11), fill=COLORS[(number + 1) % 6])
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, samples: Sequence[tuple[str, bytes | None, str]]) -> Path:
    """A WebDataset tar of samples: key, bytes of the image or None, caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, image, caption in samples:
            members = {"txt": caption.encode(), "json": json.dumps({"key": key, "caption": caption}).encode()}
            if image is not None:
                members["png"] = image
            for suffix, content in members.items():
                header = tarfile.TarInfo(f"{key}.{suffix}")
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
    return path


def write_model(folder: Path, seed: int = 0, config: dict | None = None) -> Path:
    """A model folder with random weights in half precision."""
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = config or MODEL
    torch.manual_seed(seed)
    weights = CLIP(**config).state_dict()
    save_file({name: tensor.half() for name, tensor in weights.items()}, folder / "open_clip_model.safetensors")
    settings = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    return folder
