"""The Combiner and its loss against what the papers say."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'facetmine[train]'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from downstream.checkpoint import CheckpointError, load_checkpoint
from downstream.combiner import BASELINES, Combiner
from downstream.loss import info_nce

PUBLISHED = {
    "text_projection_layer.weight": (12, 8), "text_projection_layer.bias": (12,),
    "image_projection_layer.weight": (12, 8), "image_projection_layer.bias": (12,),
    "combiner_layer.weight": (20, 24), "combiner_layer.bias": (20,),
    "output_layer.weight": (8, 20), "output_layer.bias": (8,),
    "dynamic_scalar.0.weight": (20, 24), "dynamic_scalar.0.bias": (20,),
    "dynamic_scalar.3.weight": (1, 20), "dynamic_scalar.3.bias": (1,),
}  # fmt: skip
"""Parameters of CLIP4Cir's Combiner with projections of 12 and hidden layers of 20, features of 8."""


def unit(generator: "torch.Generator", *shape: int) -> "torch.Tensor":
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


def test_parameters_have_the_published_names_and_shapes() -> None:
    assert {name: tuple(value.shape) for name, value in Combiner(8, 12, 20).state_dict().items()} == PUBLISHED


@pytest.mark.parametrize("name", ["combiner", *BASELINES])
def test_queries_have_unit_length(name: str) -> None:
    model = {"combiner": Combiner(8, 12, 20).eval(), **BASELINES}[name]
    generator = torch.Generator().manual_seed(0)
    queries = model(unit(generator, 5, 8), unit(generator, 5, 8))
    assert queries.shape == (5, 8)
    assert torch.allclose(queries.norm(dim=-1), torch.ones(5), atol=1e-6)


@pytest.mark.parametrize(("bias", "baseline"), [(100.0, "text only"), (-100.0, "image only")])
def test_the_gate_chooses_between_text_and_picture(bias: float, baseline: str) -> None:
    model = Combiner(8, 12, 20).eval()
    torch.nn.init.constant_(model.dynamic_scalar[3].bias, bias)
    for parameter in model.output_layer.parameters():
        torch.nn.init.zeros_(parameter)
    generator = torch.Generator().manual_seed(1)
    images, texts = unit(generator, 5, 8), unit(generator, 5, 8)
    assert torch.allclose(model(images, texts), BASELINES[baseline](images, texts), atol=1e-6)


def test_weights_come_back_and_wrong_ones_are_told() -> None:
    model = Combiner(8, 12, 20).eval()
    again = Combiner.with_weights(model.state_dict())
    generator = torch.Generator().manual_seed(2)
    images, texts = unit(generator, 3, 8), unit(generator, 3, 8)
    assert torch.equal(again(images, texts), model(images, texts))
    for name in PUBLISHED:
        lacking = {other: value for other, value in model.state_dict().items() if other != name}
        with pytest.raises(ValueError, match="not the weights of a Combiner"):
            Combiner.with_weights(lacking)


@pytest.mark.parametrize("around", [None, "Combiner"])
def test_released_weights_are_read_and_nothing_else_is_run(tmp_path: Path, around: str | None) -> None:
    model = Combiner(8, 12, 20).eval()
    weights = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save(weights if around is None else {around: weights, "epoch": 3}, tmp_path / "combiner.pt")
    generator = torch.Generator().manual_seed(4)
    images, texts = unit(generator, 3, 8), unit(generator, 3, 8)
    assert torch.equal(load_checkpoint(tmp_path / "combiner.pt").combiner(images, texts), model(images, texts))

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "was here",)

    torch.save({"weights": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "was here").exists()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 2**31))
def test_the_loss_is_info_nce(rows: int, columns: int, seed: int) -> None:
    """Against a loop over rows: own target first, other rows' targets that are no right answers, own distractors."""
    random = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    queries, candidates = unit(generator, rows, 6), unit(generator, rows, columns, 6)
    numbers = torch.from_numpy(random.integers(0, 4, (rows, columns)))
    groups = torch.from_numpy(random.integers(0, 4, rows))
    present = torch.from_numpy(random.random((rows, columns)) < 0.8)
    present[0, 0] = True

    losses, first = [], []
    for row in range(rows):
        if not present[row, 0]:
            continue
        own = float(queries[row] @ candidates[row, 0]) / 0.1
        others = [
            float(queries[row] @ candidates[other, 0]) / 0.1
            for other in range(rows)
            if other != row and present[other, 0] and numbers[other, 0] != numbers[row, 0]
            and groups[other] != groups[row]
        ]  # fmt: skip
        others += [float(queries[row] @ candidates[row, one]) / 0.1 for one in range(1, columns) if present[row, one]]
        losses.append(math.log(sum(math.exp(other - own) for other in others) + 1))
        first.append(all(own >= other for other in others))
    loss, accuracy = info_nce(queries, candidates, numbers, present, groups, 0.1)
    assert float(loss) == pytest.approx(np.mean(losses), abs=1e-4)
    assert float(accuracy) == pytest.approx(np.mean(first), abs=1e-6)
