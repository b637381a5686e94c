"""Pictures for the loader: decoded in its workers, from wherever the ImageStore finds them."""

from collections.abc import Callable

import numpy as np
import pyarrow.compute as pc
import torch
from PIL import Image, ImageOps
from torch import Tensor

from downstream.shards import TripletIndex
from images import ImageError, ImageStore

Transform = Callable[..., Tensor]


class Pictures:
    """The pictures of an index by their numbers, each as what a transform makes of it.

    A picture that cannot be decoded is zeros and not ``present`` in its batch, so that a batch has the same rows in
    every process and on every run; whoever computes a loss leaves such rows out.

    Args:
        store: where the pictures are.
        transform: PIL image to tensor, all of one shape. What it does at random, it does by torch's random numbers.
    """

    def __init__(self, index: TripletIndex, store: ImageStore, transform: Transform) -> None:
        self.index, self.store, self.transform = index, store, transform
        self.present = pc.is_in(index.image_ids, value_set=store.ids()).to_numpy(zero_copy_only=False)

    def take(self, numbers: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Pictures [*numbers.shape, ...] and which of them are there, bool [*numbers.shape]."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator.integers(2**63)))
            taken = [self._picture(number) for number in numbers.ravel()]
            example = next((picture for picture in taken if picture is not None), None)
            if example is None:
                example = self.transform(Image.new("RGB", (8, 8)))
        pictures = torch.stack([torch.zeros_like(example) if picture is None else picture for picture in taken])
        present = torch.tensor([picture is not None for picture in taken])
        return pictures.reshape(*numbers.shape, *example.shape), present.reshape(numbers.shape)

    def _picture(self, number: int) -> Tensor | None:
        if number < 0 or not self.present[number]:
            return None
        try:
            return self.transform(self.store.image(self.index.image_ids[number].as_py()))
        except ImageError:
            return None


def square(picture: Image.Image, size: int = 224) -> Tensor:
    """The middle of a picture as uint8 [3, size, size]."""
    cut = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(cut)).permute(2, 0, 1).contiguous()
