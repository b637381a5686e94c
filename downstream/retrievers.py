"""Models by what one calls them on the command line: baselines, trained checkpoints, released GeneCIS checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import encoders
from downstream.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from downstream.combiner import BASELINES
from downstream.features import Encoder
from downstream.released import ReleasedBackbone
from downstream.retrieval import Features

BASELINE_NAMES = {name.replace(" ", "") if "+" in name else name.replace(" ", "-"): name for name in BASELINES}
"""What the baselines are called on the command line: image-only, text-only, image+text."""


class RetrieverError(ValueError):
    """A model that cannot be had as asked for; the message says why."""


@dataclass(frozen=True)
class Retriever:
    """What answers queries.

    Attributes:
        name: as shown to people.
        encoder: makes features of pictures and texts.
        combiner: makes a query of a picture's and a text's features.
    """

    name: str
    encoder: Encoder
    combiner: nn.Module

    @torch.inference_mode()
    def combine(self, images: Features, texts: Features) -> Features:
        """Query features [n, d] of reference features [n, d] and text features [n, d]."""
        made: Features = self.combiner(torch.from_numpy(images), torch.from_numpy(texts)).numpy()
        return made


@dataclass(frozen=True)
class Backbone:
    """The CLIP model that the command line names.

    Attributes:
        encoder: model name for ``encoders.load``; None: the one that the first checkpoint was trained with.
        pretrained: its weights.
        released: file of a released GeneCIS backbone, instead of these.
        device: to encode on.
    """

    encoder: str | None = None
    pretrained: str | None = None
    released: str | None = None
    device: str | None = None


def open_retrievers(names: Sequence[str], backbone: Backbone) -> list[Retriever]:
    """The models, in the order of their names; an encoder that several share is loaded once.

    Raises:
        RetrieverError: a name is neither a baseline nor a checkpoint, it cannot be read, or no encoder is known for it.
    """
    try:
        checkpoints = {name: load_checkpoint(name) for name in names if name not in BASELINE_NAMES}
        loaded: dict[tuple[str, str | None], Encoder] = {}
        given = _given(backbone)
        for checkpoint in checkpoints.values():
            if given is None:
                given = _trained_with(checkpoint)
        models = []
        for name in names:
            spec = (_trained_with(checkpoints[name]) if name in checkpoints else None) or given
            if spec is None:
                raise RetrieverError(f"{name} needs a CLIP model: name one with --encoder, such as --encoder toyworld")
            if spec not in loaded:
                loaded[spec] = _load(spec, backbone)
            combiner = checkpoints[name].combiner if name in checkpoints else BASELINES[BASELINE_NAMES[name]]
            models.append(Retriever(_shown(name), loaded[spec], combiner))
            _check_fits(models[-1], checkpoints.get(name))
    except (CheckpointError, encoders.EncoderError) as error:
        raise RetrieverError(str(error)) from None
    return models


def _given(backbone: Backbone) -> tuple[str, str | None] | None:
    if backbone.released is not None:
        return ("released", backbone.released)
    return None if backbone.encoder is None else (backbone.encoder, backbone.pretrained)


def _trained_with(checkpoint: Checkpoint) -> tuple[str, str | None] | None:
    """The encoder that a checkpoint names; None for weights that facetmine did not train."""
    encoder = checkpoint.configuration.get("encoder")
    if not encoder:
        return None
    return (encoder["model"], str(checkpoint.backbone) if checkpoint.backbone else encoder.get("pretrained"))


def _load(spec: tuple[str, str | None], backbone: Backbone) -> Encoder:
    model, weights = spec
    if model == "released":
        assert weights is not None
        return ReleasedBackbone(weights, backbone.device)
    return encoders.load(model, weights, device=backbone.device, precision="fp32")


def _check_fits(model: Retriever, checkpoint: Checkpoint | None) -> None:
    """The encoder is the one that the Combiner was trained with, or at least has features of its size."""
    if checkpoint is None:
        return
    trained = checkpoint.configuration.get("encoder", {}).get("fingerprint")
    if trained and trained != model.encoder.fingerprint and checkpoint.backbone is None:
        raise RetrieverError(
            f"{model.name} was trained with another encoder than this {checkpoint.configuration['encoder']['model']}: "
            f"fingerprint {trained}, not {model.encoder.fingerprint}"
        )
    wanted = checkpoint.combiner.text_projection_layer.weight.shape[1]
    features = model.encoder.encode_texts([""]).shape[1]
    if wanted != features:
        raise RetrieverError(f"{model.name} takes features of {wanted} numbers; the encoder gives {features}")


def _shown(name: str) -> str:
    if name in BASELINE_NAMES:
        return BASELINE_NAMES[name]
    path = Path(name)
    return str(path.parent if path.name == "combiner.safetensors" else path)
