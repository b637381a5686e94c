"""open_clip models behind one small interface: what the score stage, training and evaluation encode with."""

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

try:
    import open_clip
    import open_clip.transform
    import torch
except ImportError as error:
    raise ImportError(f"encoding images needs the clip extra ({error}): pip install 'facetmine[clip]'") from None

TOYWORLD = Path(__file__).parent / "data" / "toyworld"
"""Folder of the model that ``load("toyworld")`` gives."""

CONFIG = "open_clip_config.json"
"""What makes a folder a model folder: open_clip's own layout, as its ``push_to_hf_hub`` writes it."""

CPU_BATCH = 32
"""Images or texts encoded at a time without an accelerator, where larger batches are no faster."""

TEXTS_PER_IMAGE = 4
"""A text costs about this much less memory than an image, so that many more are encoded at a time."""

LARGEST_BATCH = 4096

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")

Precision = Literal["fp32", "bf16", "fp16"]


class EncoderError(Exception):
    """A model that cannot be had or used as asked; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """A CLIP model that encodes images and texts into unit vectors of one space.

    Safe to call from several threads; on an accelerator they take turns.

    Attributes:
        name: model and weights as they were asked for.
        fingerprint: hexadecimal hash of architecture, weights and preprocessing; equal means equal embeddings, up to
            rounding.
        dimension: length of the embeddings.
        logit_scale: what cosines are multiplied by before a softmax over them.
        weight_bytes: size of the weights.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        precision: arithmetic of the matrix products; weights stay in single precision.
        preprocess: RGB PIL image to float32 tensor [3, height, width].
        network: open_clip's model, for who trains it further.
        tokenize: texts to int64 tensor [n, context length].
    """

    name: str
    fingerprint: str
    dimension: int
    logit_scale: float
    weight_bytes: int
    device: str
    precision: Precision
    preprocess: Callable[[Any], "torch.Tensor"]
    network: Any  # torch types the towers of a Module as tensors
    tokenize: Callable[[list[str]], "torch.Tensor"]
    _turn: threading.Lock

    def encode_images(self, pixels: "torch.Tensor | np.ndarray") -> np.ndarray:
        """Preprocessed images [n, 3, height, width] to float32 [n, dimension], rows of length 1, in one batch.

        Raises:
            EncoderError: there is no memory for so many at a time.
        """
        try:
            with self._working():
                return self._encode(self.network.encode_image, torch.as_tensor(pixels))
        except torch.OutOfMemoryError:
            raise EncoderError(
                f"no memory on {self.device} for {len(pixels)} images at a time; ask for fewer"
            ) from None

    def encode_texts(self, texts: Sequence[str], batch: int | None = None) -> np.ndarray:
        """Texts to float32 [n, dimension], rows of length 1.

        Args:
            batch: how many to encode at a time; by default a number that every machine can.
        """
        batch = batch or CPU_BATCH * TEXTS_PER_IMAGE
        found = [np.zeros((0, self.dimension), np.float32)]
        for start in range(0, len(texts), batch):
            tokens = self.tokenize(list(texts[start : start + batch]))
            with self._working():
                found.append(self._encode(self.network.encode_text, tokens))
        return np.concatenate(found)

    def find_batch(self) -> int:
        """How many images to encode at a time: half of the most that there is memory for, found by doubling."""
        if not self.device.startswith("cuda"):
            return CPU_BATCH
        shape = self.preprocess(_gray_image()).shape
        batch = CPU_BATCH
        with contextlib.suppress(EncoderError):
            while batch < LARGEST_BATCH:
                self.encode_images(torch.zeros((2 * batch, *shape)))
                batch *= 2
        torch.cuda.empty_cache()
        return max(batch // 2, 1)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        kind = self.device.partition(":")[0]
        turn = contextlib.nullcontext() if kind == "cpu" else self._turn
        with turn, torch.inference_mode(), torch.autocast(kind, dtype, enabled=dtype is not None):
            yield

    def _encode(self, tower: Callable[["torch.Tensor"], "torch.Tensor"], batch: "torch.Tensor") -> np.ndarray:
        vectors = tower(batch.to(self.device, non_blocking=True)).float()
        return torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()


def load(
    model: str, pretrained: str | None = None, device: str | None = None, precision: Precision | None = None
) -> Encoder:
    """The encoder of a model.

    Args:
        model: ``"toyworld"``; a model folder (``open_clip_config.json`` and weights), also as ``local-dir:FOLDER``;
            ``hf-hub:ORG/NAME``; or the name of one of open_clip's architectures.
        pretrained: weights of an architecture: one of open_clip's tags, a file, or a folder that holds one.
        device: by default an accelerator where there is one.
        precision: by default ``"fp16"`` on CUDA, else ``"fp32"``.

    Raises:
        EncoderError: there is no such model, its weights cannot be had or do not fit it, or there is no such device.
    """
    name, weights = _resolve(model, pretrained)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision = precision or ("fp16" if device.startswith("cuda") else "fp32")
    with _quiet():
        try:
            network = open_clip.create_model(name, weights, require_pretrained=True)
            tokenize = open_clip.get_tokenizer(name)
        except Exception as error:
            raise EncoderError(_why_not(model, pretrained, error)) from None
    network.eval()
    settings = open_clip.get_model_preprocess_cfg(network)
    fingerprint = _fingerprint(network, open_clip.get_model_config(name), settings)
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(f"no device {device!r} to encode on: {_line(error)}") from None
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**settings), is_train=False)
    with torch.inference_mode():
        dimension = int(network.encode_text(tokenize([""]).to(device)).shape[-1])
    return Encoder(
        name=model if pretrained is None else f"{model} {pretrained}",
        fingerprint=fingerprint,
        dimension=dimension,
        logit_scale=float(network.logit_scale.detach().exp()),
        weight_bytes=sum(weights.nbytes for weights in network.state_dict().values()),
        device=device,
        precision=precision,
        preprocess=transform,
        network=network,
        tokenize=tokenize,
        _turn=threading.Lock(),
    )


def _resolve(model: str, pretrained: str | None) -> tuple[str, str | None]:
    """What open_clip calls the model and its weights."""
    if model == "toyworld":
        model = str(TOYWORLD)
    path = Path(model.removeprefix("local-dir:"))
    if model.startswith("local-dir:") or path.is_dir():
        if not (path / CONFIG).is_file():
            raise EncoderError(f"{path} is no model folder: it has no {CONFIG}")
        return f"local-dir:{path}", None
    if model.startswith("hf-hub:"):
        return model, None
    if model not in open_clip.list_models():
        raise EncoderError(
            f"open_clip has no model {model!r}, and there is no such folder; `open_clip.list_models()` lists its models"
        )
    if pretrained is None:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise EncoderError(f"{model} needs weights: a tag (of this model: {tags}), a file or a folder")
    if Path(pretrained).is_dir():
        found = [file for pattern in _WEIGHTS for file in sorted(Path(pretrained).glob(pattern))]
        if len(found) != 1:
            raise EncoderError(f"{pretrained} holds {len(found)} files of weights ({', '.join(_WEIGHTS)}); name one")
        pretrained = str(found[0])
    elif not Path(pretrained).is_file() and pretrained not in open_clip.list_pretrained_tags_by_model(model):
        raise EncoderError(f"{pretrained!r} is neither a file or folder nor one of open_clip's tags of {model}")
    return model, pretrained


def _why_not(model: str, pretrained: str | None, error: Exception) -> str:
    local = model == "toyworld" or Path(model.removeprefix("local-dir:")).is_dir() or Path(pretrained or "-").exists()
    asked = model if pretrained is None else f"{model} with weights {pretrained}"
    if local:
        return f"{asked} cannot be loaded: {_line(error)}"
    return (
        f"{asked} is not in the cache and could not be fetched: {_line(error)}. Without network access give a local "
        "file or folder"
    )


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:299]}…"


def _fingerprint(network: "torch.nn.Module", config: Any, settings: Any) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(json.dumps([config, settings], sort_keys=True, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        hasher.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        hasher.update(values.reshape(-1).view(torch.uint8).numpy())
    return hasher.hexdigest()


def _gray_image() -> Any:
    from PIL import Image

    return Image.new("RGB", (64, 64), "gray")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """open_clip tells the root logger of every step; what goes wrong it raises as well."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
