"""What is trained: the Combiner over cached features, or the Combiner and the encoder under it."""

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from downstream.combiner import Combiner
from downstream.loader import Batch


class Frozen(nn.Module):
    """The Combiner over features that an encoder gave once."""

    backbone = None

    def __init__(self, combiner: Combiner) -> None:
        super().__init__()
        self.combiner = combiner

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Queries [b, d] and candidates [b, roles - 1, d] of a batch of embeddings, of unit length."""
        images = batch["images"].float()
        return self.combiner(images[:, 0], batch["text"].float()), images[:, 1:]


class Whole(nn.Module):
    """The Combiner and a CLIP model (open_clip's interface), trained together."""

    backbone: Any  # torch types what a Module holds as tensors

    def __init__(self, combiner: Combiner, backbone: nn.Module) -> None:
        super().__init__()
        self.combiner, self.backbone = combiner, backbone
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad = name not in ("logit_scale", "logit_bias")  # the loss has a temperature of its own

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Queries [b, d] and candidates [b, roles - 1, d] of a batch of pictures and tokens, of unit length."""
        pixels = batch["images"]
        images = self.encode_images(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
        return self.combiner(images[:, 0], self.encode_texts(batch["text"])), images[:, 1:]

    def encode_images(self, pixels: Tensor) -> Tensor:
        """[n, 3, h, w] to [n, d] of unit length."""
        return F.normalize(self.backbone.encode_image(pixels).float(), dim=-1)

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """[n, t] to [n, d] of unit length."""
        return F.normalize(self.backbone.encode_text(tokens).float(), dim=-1)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The trained parameters in two groups: matrices, which decay, and biases, gains and scalars, which do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
