"""The checkpoints that GeneCIS released: a fine-tuned CLIP backbone and a Combiner, each a ``.pt`` file.

They differ from facetmine's in one thing that matters: their Combiner was trained on features as CLIP gives them, not
on features of unit length, and only the gallery is normalised.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import build_model_from_openai_state_dict
from open_clip.transform import image_transform
from torch import Tensor

from downstream.checkpoint import CheckpointError, published_weights
from downstream.retrieval import Features


class ReleasedBackbone:
    """OpenAI's CLIP with weights of a released ``.pt`` file; the architecture is read from their shapes.

    Attributes:
        fingerprint: hash of the weights.
        preprocess: RGB PIL image to float32 tensor [3, h, w], as CLIP does it.
    """

    def __init__(self, path: str | Path, device: str | None = None) -> None:
        """Load the weights.

        Raises:
            CheckpointError: the file cannot be read as weights without running what is in it, or is not a CLIP model.
        """
        weights = published_weights(path, "clip_model")
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model = build_model_from_openai_state_dict(dict(weights))
            sizes = {"input_resolution", "context_length", "vocab_size"}
            # The builder halves the precision on its way, and these weights were trained in single.
            model.float().load_state_dict({name: weight for name, weight in weights.items() if name not in sizes})
        except (KeyError, ValueError, AssertionError, RuntimeError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{path} does not hold the weights of an OpenAI CLIP model: {reason}") from None
        self._model = model.eval().to(self.device)
        self._tokenize = open_clip.get_tokenizer("ViT-B-32", context_length=model.context_length)
        self.fingerprint = _fingerprint(weights)
        self.preprocess: Any = image_transform(
            model.visual.image_size, is_train=False, mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD
        )

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor, /) -> Features:
        """Features [n, d] of pixels [n, 3, h, w], of whatever length CLIP gives them."""
        return np.asarray(self._model.encode_image(pixels.to(self.device)).float().cpu())

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str], /) -> Features:
        """Features [n, d] of n texts, of whatever length CLIP gives them; texts are cut to what CLIP takes."""
        return np.asarray(self._model.encode_text(self._tokenize(list(texts)).to(self.device)).float().cpu())


def _fingerprint(weights: dict[str, Tensor]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        hasher.update(name.encode() + weights[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
