"""What a run needs before its first step: triplets, features or pictures, a model, and a way to validate it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import open_clip
import torch
import torch.distributed as dist
from torch import Tensor

from downstream.combiner import BASELINES, Combiner
from downstream.embeddings import MISSING_NAME, Embeddings, embed_conditions, embed_images
from downstream.loader import ImageSource, TextSource, TripletDataset
from downstream.model import Frozen, Whole
from downstream.pictures import Pictures
from downstream.processes import Processes
from downstream.shards import ROLES, ShardError, TripletIndex, open_index
from downstream.train import Recipe, Validate
from downstream.validation import HeldOut, Query
from encoders import Encoder
from images import ImageStore

ROWS_TO_VALIDATE = 5000
"""Held-out triplets that validation looks at, at most."""

_AT_A_TIME = 64


@dataclass(frozen=True)
class Prepared:
    """A model and its data. ``baselines`` has what validation finds of each, by name; ``notes`` are for a person."""

    model: Frozen | Whole
    dataset: TripletDataset
    validate: Validate | None
    baselines: Mapping[str, Mapping[str, float]]
    notes: Sequence[str]


def prepare(
    out: str, images: Sequence[str] | None, encoder: Encoder, recipe: Recipe, cache: Path, processes: Processes,
    workers: int,
) -> Prepared:  # fmt: skip
    """Everything for a run on the dataset at ``out``.

    Args:
        images: where the pictures are; None to take the dataset's embeddings.
        cache: folder for what is made once.
        workers: processes that decode pictures.

    Raises:
        ManifestError, ShardError, SourceError: what is wrong with the dataset or the images.
    """
    with processes.first_goes_first():
        store = ImageStore.open(images, cache / "images.index") if images else None
        train = open_index(out, cache, kinds=recipe.kinds, split="train")
        try:
            held_out = open_index(out, cache, kinds=recipe.kinds, split="val")
        except ShardError:
            held_out = None
        if recipe.whole:
            if store is None:
                raise ShardError("fine-tuning the encoder needs pictures: give --images")
            data: _Data = _Fresh(encoder, store, processes)
        else:
            data = _Cached(out, encoder, store, cache, workers)
        sources = data.of(train, training=True)
        held_out_sources = None if held_out is None else data.of(held_out, training=False)
    roles = ROLES if recipe.hard_negatives else ROLES[:2]
    dataset = TripletDataset(
        train, *sources, batch_size=recipe.batch_size, roles=roles, rank=processes.rank, ranks=processes.ranks,
        seed=recipe.seed, drop_last=True,
    )  # fmt: skip
    torch.manual_seed(recipe.seed)
    combiner = Combiner(encoder.dimension, recipe.projection, recipe.hidden, recipe.dropout)
    model = data.model(combiner).to(processes.device)
    notes = []
    if dataset.left_out:
        named = f" {sources[0].folder / MISSING_NAME} names them." if isinstance(sources[0], Embeddings) else ""
        notes.append(f"{dataset.left_out:,} triplets are left out, as images of theirs are missing.{named}")
    if held_out is None or held_out_sources is None:
        notes.append(f"{out} holds out nothing for validation; mine with --split 0.05 to see how well training goes.")
        return Prepared(model, dataset, None, {}, notes)
    queries = HeldOut.of(held_out, held_out_sources[0].present, ROWS_TO_VALIDATE, recipe.seed)
    if not len(queries.rows):
        notes.append("No held-out triplet has its images; there is no validation.")
        return Prepared(model, dataset, None, {}, notes)
    features = data.features(queries, held_out_sources, model, processes.device)

    def score(query: Query) -> dict[str, float]:
        model.eval()
        pool, texts = features()
        return queries.score(query, pool, texts, recipe.temperature) if processes.is_first else {}

    baselines = {name: score(baseline) for name, baseline in BASELINES.items()}
    return Prepared(model, dataset, lambda: score(model.combiner), baselines, notes)


class _Data(Protocol):
    """What the two ways to train differ in: where images and texts come from, and what is trained on them."""

    def of(self, index: TripletIndex, *, training: bool) -> "_Sources":
        """Images and texts of an index."""

    def model(self, combiner: Combiner) -> Frozen | Whole:
        """What is trained."""

    def features(
        self, queries: HeldOut, sources: "_Sources", model: Frozen | Whole, device: torch.device
    ) -> Callable[[], tuple[Tensor, Tensor]]:
        """Gives the features of the queries' pool and texts, as the model has them at the time."""


@dataclass(frozen=True)
class _Cached:
    """A frozen encoder: everything is encoded once."""

    out: str
    encoder: Encoder
    store: ImageStore | None
    cache: Path
    workers: int

    def of(self, index: TripletIndex, *, training: bool) -> "_Sources":
        images = embed_images(self.out, index, self.encoder, self.store, self.cache, self.workers)
        return images, embed_conditions(index, self.encoder, self.cache)

    def model(self, combiner: Combiner) -> Frozen:
        return Frozen(combiner)

    def features(
        self, queries: HeldOut, sources: "_Sources", model: Frozen | Whole, device: torch.device
    ) -> Callable[[], tuple[Tensor, Tensor]]:
        images, texts = (source.vectors for source in sources if isinstance(source, Embeddings))
        held = [torch.from_numpy(np.asarray(part, np.float32)) for part in (images[queries.pool], texts[queries.texts])]
        pool, told = (part.to(device) for part in held)
        return lambda: (pool, told)


@dataclass(frozen=True)
class _Fresh:
    """An encoder that is trained too: everything is encoded anew."""

    encoder: Encoder
    store: ImageStore
    processes: Processes

    def of(self, index: TripletIndex, *, training: bool) -> "_Sources":
        network = self.encoder.network
        settings = open_clip.PreprocessCfg(**open_clip.get_model_preprocess_cfg(network))
        transform = open_clip.image_transform_v2(settings, is_train=training)
        return Pictures(index, self.store, transform), Tokens(self.encoder.tokenize(index.conditions))

    def model(self, combiner: Combiner) -> Whole:
        return Whole(combiner, self.encoder.network)

    def features(
        self, queries: HeldOut, sources: "_Sources", model: Frozen | Whole, device: torch.device
    ) -> Callable[[], tuple[Tensor, Tensor]]:
        assert isinstance(model, Whole)
        pictures, tokens = sources
        rank, ranks = self.processes.rank, self.processes.ranks

        def encode(count: int, part: Callable[[np.ndarray], Tensor]) -> Tensor:
            # Every process encodes its share; the sum puts the shares together.
            found = torch.zeros(count, self.encoder.dimension, device=device)
            for numbers in np.array_split(np.arange(count)[rank::ranks], -(-count // (ranks * _AT_A_TIME))):
                found[numbers] = part(numbers)
            if ranks > 1:
                dist.all_reduce(found)
            return found

        def pool(numbers: np.ndarray) -> Tensor:
            pixels, _ = pictures.take(queries.pool[numbers], np.random.default_rng(0))
            return model.encode_images(pixels.to(device))

        @torch.no_grad()
        def features() -> tuple[Tensor, Tensor]:
            texts = tokens.take_texts(queries.texts).to(device)
            return encode(len(queries.pool), pool), encode(len(texts), lambda rows: model.encode_texts(texts[rows]))

        return features


@dataclass(frozen=True)
class Tokens:
    """The conditions as tokens [conditions, t]."""

    tokens: Tensor

    def take_texts(self, numbers: np.ndarray) -> Tensor:
        """Tokens [n, t]."""
        return self.tokens[torch.from_numpy(numbers)]


_Sources = tuple[ImageSource, TextSource]
