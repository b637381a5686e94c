"""The Combiner, which joins a picture's and a text's features into one query, and the baselines it has to beat.

All are called alike: ``module(image_features [n, d], text_features [n, d]) -> queries [n, d]`` of unit length.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Combiner(nn.Module):
    """The Combiner of CLIP4Cir (Baldrati et al., CVPR Workshops 2022), as GeneCIS uses it.

    Both features are projected, joined and taken through a hidden layer; the output is added to a mean of the two
    features that a learned gate weighs. Names and shapes of the parameters are the published ones, so published
    weights load.

    Args:
        feature_dimension: of the features of picture and text, d.
        projection_dimension: what each is projected to; the published models have 2,560.
        hidden_dimension: of the hidden layers; published: twice the projection.
        dropout: share of the projected and hidden features dropped in training.
    """

    def __init__(
        self, feature_dimension: int, projection_dimension: int = 2560, hidden_dimension: int = 5120,
        dropout: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.text_projection_layer = nn.Linear(feature_dimension, projection_dimension)
        self.image_projection_layer = nn.Linear(feature_dimension, projection_dimension)
        self.combiner_layer = nn.Linear(2 * projection_dimension, hidden_dimension)
        self.output_layer = nn.Linear(hidden_dimension, feature_dimension)
        self.dynamic_scalar = nn.Sequential(
            nn.Linear(2 * projection_dimension, hidden_dimension),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dimension, 1),
            nn.Sigmoid(),
        )

    def forward(self, image_features: Tensor, text_features: Tensor) -> Tensor:
        """Queries [n, d] of unit length from the features of n pictures and n texts, each [n, d]."""
        text = self.dropout(F.relu(self.text_projection_layer(text_features)))
        image = self.dropout(F.relu(self.image_projection_layer(image_features)))
        joined = torch.cat((text, image), dim=-1)
        hidden = self.dropout(F.relu(self.combiner_layer(joined)))
        gate = self.dynamic_scalar(joined)
        return F.normalize(self.output_layer(hidden) + gate * text_features + (1 - gate) * image_features, dim=-1)

    @classmethod
    def with_weights(cls, weights: Mapping[str, Tensor], dropout: float = 0.5) -> "Combiner":
        """The Combiner with those parameters, in evaluation mode; its sizes are read from their shapes.

        Raises:
            ValueError: the weights are not a Combiner's; says which parameter is missing, unknown or misshapen.
        """
        try:
            projection, feature = weights["text_projection_layer.weight"].shape
            hidden = weights["combiner_layer.weight"].shape[0]
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(f"not the weights of a Combiner: {error}") from None
        with torch.device("meta"):
            combiner = cls(feature, projection, hidden, dropout)
        wanted = {name: parameter.shape for name, parameter in combiner.state_dict().items()}
        for name in sorted(wanted.keys() | weights.keys()):
            if name not in weights:
                raise ValueError(f"not the weights of a Combiner: {name} is missing")
            if name not in wanted:
                raise ValueError(f"not the weights of a Combiner: it has no {name}")
            if wanted[name] != weights[name].shape:
                raise ValueError(
                    f"not the weights of a Combiner: {name} is {list(weights[name].shape)}, not {list(wanted[name])}"
                )
        combiner.load_state_dict({name: weight.float() for name, weight in weights.items()}, assign=True)
        return combiner.eval()


class ImageOnly(nn.Module):
    """The baseline that ignores the text: the picture's features."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Tensor:
        """Queries [n, d] of unit length."""
        return F.normalize(image_features, dim=-1)


class TextOnly(nn.Module):
    """The baseline that ignores the picture: the text's features."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Tensor:
        """Queries [n, d] of unit length."""
        return F.normalize(text_features, dim=-1)


class ImagePlusText(nn.Module):
    """The baseline that adds both features, each of unit length."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Tensor:
        """Queries [n, d] of unit length."""
        return F.normalize(F.normalize(image_features, dim=-1) + F.normalize(text_features, dim=-1), dim=-1)


BASELINES: dict[str, nn.Module] = {"image only": ImageOnly(), "text only": TextOnly(), "image + text": ImagePlusText()}
"""The baselines by name."""
