"""The model in training: an open_clip CLIP, and heads that help it learn and are thrown away afterwards."""

from typing import Any

import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from encoders.training.batches import ABSENT, Batch, vocabulary
from toyworld import World

_GRID = 4
_SPREAD = 12.0  # length of the embedding that the helping heads see


class Learner(nn.Module):
    """A CLIP with a sigmoid's bias and linear heads on the embeddings.

    Attributes:
        clip: the model that is kept, but for its word embeddings.
        words: embeddings of the vocabulary, which is a small part of open_clip's.
    """

    def __init__(self, model_cfg: dict[str, Any], world: World, claims: int) -> None:
        super().__init__()
        self.clip = open_clip.CLIP(**model_cfg)
        self.clip.token_embedding.requires_grad_(False)
        self.words = nn.Embedding(len(vocabulary()), model_cfg["text_cfg"]["width"])
        nn.init.normal_(self.words.weight, std=0.02)
        self.bias = nn.Parameter(torch.tensor(-6.0))
        self._shapes = len(world.shapes)
        self._kinds = [len(world.colors), len(world.patterns), len(world.sizes), _GRID, _GRID]
        dimension = model_cfg["embed_dim"]
        self.things = nn.Linear(dimension, self._shapes * (1 + sum(self._kinds)))
        self.place = nn.Linear(dimension, len(world.places))
        self.said = nn.Linear(dimension, claims)
        self.fulfilled = nn.Linear(dimension, claims)

    def finished(self) -> open_clip.CLIP:
        """The CLIP, with the words that were learnt among all of open_clip's; the others are zeros, which pack well."""
        with torch.no_grad():
            self.clip.token_embedding.weight.zero_()
            self.clip.token_embedding.weight[list(vocabulary())] = self.words.weight
        return self.clip

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses of a batch, each a scalar, to be added up."""
        # torch's flash attention is several times slower than plain products for few tokens on a CPU.
        with torch.autocast("cpu", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            image = self.clip.visual(batch.pixels.contiguous(memory_format=torch.channels_last))
            text = self._encode_texts(batch.tokens)
        image, text = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
        logits = self.clip.logit_scale.exp() * text @ image.T
        return {
            "pairs": _pair_loss(logits + self.bias, batch.true),
            "contrast": _contrastive_loss(logits, batch.true),
            "seen": self._seen_loss(_SPREAD * image, batch),
            "fulfilled": _claim_loss(self.fulfilled(_SPREAD * image), batch.fulfilled),
            "said": _claim_loss(self.said(_SPREAD * text), batch.said),
        }

    def _encode_texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """open_clip's ``encode_text`` for texts that are not padded to the full length."""
        clip, length = self.clip, tokens.shape[1]
        x = self.words(tokens) + clip.positional_embedding[:length]
        x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
        x = clip.ln_final(x)
        return x[torch.arange(len(x)), tokens.argmax(dim=-1)] @ clip.text_projection

    def _seen_loss(self, image: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Which shapes there are, what each looks like, where it is, and the place."""
        present = batch.things[:, :, 0] != ABSENT
        shown, *looks = self.things(image).view(len(image), self._shapes, -1).split([1, *self._kinds], dim=-1)
        loss = 2 * F.binary_cross_entropy_with_logits(shown[..., 0], present.float())
        loss = loss + 0.5 * F.cross_entropy(self.place(image), batch.place)
        for number, look in enumerate(looks):
            loss = loss + F.cross_entropy(look[present], batch.things[:, :, number][present])
        return loss


def _claim_loss(logits: torch.Tensor, claims: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, claims, reduction="sum") / len(claims) / 4


def _pair_loss(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Every pair of text and picture by itself, as SigLIP does (Zhai et al., ICCV 2023), so that cosines compare across
    pictures; true pairs together weigh as much as false ones."""
    losses = F.binary_cross_entropy_with_logits(logits, true.float(), reduction="none")
    return losses[true].mean() + losses[~true].mean() * 8


def _contrastive_loss(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """CLIP's loss between pictures and their captions, where texts that happen to be true of another picture are left
    out, and captions with one word swapped are among the wrong ones (Yuksekgonul et al., ICLR 2023)."""
    pictures = logits.shape[1]
    own = torch.arange(pictures)
    wrong = ~true
    wrong[own, own] = True
    masked = logits.masked_fill(~wrong, -torch.inf)
    return (F.cross_entropy(masked.T, own) + F.cross_entropy(masked[:pictures], own)) / 2
