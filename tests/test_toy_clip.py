"""The toy world's CLIP, as it ships: open_clip loads it, and it passes the gate on pictures it has never seen."""

import json

import numpy as np
import pytest

pytest.importorskip("open_clip", reason="needs facetmine[clip]")

import open_clip
import torch
from safetensors import safe_open

import encoders
from encoders import Encoder
from encoders.open_clip import TOYWORLD
from encoders.training import gate
from encoders.training.batches import batch, tokens, vocabulary
from encoders.training.claims import ClaimColumns, matches
from encoders.training.probes import probe
from toyworld import KINDS, World

PICTURES = 400


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoders.load("toyworld", device="cpu")


@pytest.fixture(scope="module")
def figures(encoder: Encoder) -> gate.Figures:
    return gate.measure(encoder, PICTURES)


AMONG_OTHERS = {"shape": 0.95, "color": 0.88, "pattern": 0.82, "size": 0.93, "place": 0.95}
SWAPPED = {"thing": 0.93, "color": 0.93, "pattern": 0.85, "size": 0.92, "place": 0.95, "relation": 0.65}
"""Some points below what the model card says, for the spread of so few pictures. The gate asks for 0.9 on pictures of
one thing and of swaps of thing and color."""


@pytest.mark.parametrize("kind", AMONG_OTHERS)
def test_zero_shot(figures: gate.Figures, kind: str) -> None:
    assert figures.zero_shot_alone[kind] >= 0.95
    assert figures.zero_shot[kind] >= AMONG_OTHERS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_right_captions_rather_than_one_word_swapped(figures: gate.Figures, kind: str) -> None:
    assert figures.swapped[kind] >= SWAPPED[kind]


def test_right_captions_rather_than_those_of_other_scenes(figures: gate.Figures) -> None:
    assert figures.auc >= 0.97
    assert figures.auc > figures.auc_word > 0.8


def test_names_of_axes_are_words_of_their_own(encoder: Encoder) -> None:
    """Conditions of focus_attribute say no more; beside a value they say nothing."""
    vectors = encoder.encode_texts(["color", "pattern", "size", "red", "red color", "tiny", "tiny size"])
    cosines = vectors @ vectors.T
    assert max(cosines[0, 1], cosines[0, 2], cosines[1, 2]) < 0.95
    assert min(cosines[3, 4], cosines[5, 6]) > 0.9


def test_the_gate_is_not_passed_by_a_model_that_knows_nothing() -> None:
    class Nothing:
        def preprocess(self, image: object) -> torch.Tensor:
            return torch.zeros(3, 8, 8)

        def encode_images(self, pixels: torch.Tensor) -> np.ndarray:
            return np.full((len(pixels), 4), 0.5, np.float32)

        def encode_texts(self, texts: list[str]) -> np.ndarray:
            angles = np.random.default_rng(0).normal(size=(len(texts), 4)).astype(np.float32)
            return angles / np.linalg.norm(angles, axis=1, keepdims=True)

    figures = gate.measure(Nothing(), 200)
    assert not figures.passes()
    assert 0.35 < figures.auc < 0.65
    assert figures.zero_shot["color"] < 0.4


def test_a_linear_map_reads_the_picture_from_its_embedding(encoder: Encoder) -> None:
    figures = probe(encoder, 1200, 300)
    assert figures["shapes"] > 0.85
    assert min(figures[kind] for kind in ("color", "pattern", "size", "place")) > 0.75


def test_open_clip_loads_it_by_itself() -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{TOYWORLD}")
    config = json.loads((TOYWORLD / "open_clip_config.json").read_text())["model_cfg"]
    assert isinstance(model, open_clip.CLIP)
    assert model.visual.output_dim == config["embed_dim"]
    assert preprocess is not None
    tokenizer = open_clip.get_tokenizer(f"local-dir:{TOYWORLD}")
    assert tokenizer(["a red ball"]).shape == (1, config["text_cfg"]["context_length"])


def test_weights_are_small_and_only_learnt_words_have_any() -> None:
    path = TOYWORLD / "open_clip_model.safetensors"
    assert path.stat().st_size < 16e6
    with safe_open(path, "pt") as file:
        words = file.get_tensor("token_embedding.weight")
    assert sorted(vocabulary()) == words.any(1).nonzero()[:, 0].tolist()


def test_training_tokens_are_those_of_open_clip() -> None:
    texts = ["a small checkered red ball next to a spotted fish in the ocean", "purple"]
    expected = open_clip.get_tokenizer(f"local-dir:{TOYWORLD}")(texts)
    numbers = torch.tensor(vocabulary())[tokens(texts)]
    assert numbers[0].tolist() == expected[0, : numbers.shape[1]].tolist()
    ends = expected[1].argmax() + 1
    assert numbers[1, :ends].tolist() == expected[1, :ends].tolist()


def test_batches_know_which_texts_are_true() -> None:
    one = batch(World(), ClaimColumns(World()), "test", 24)
    assert one.pixels.shape == (24, 3, 64, 64)
    assert one.tokens.shape[0] == one.true.shape[0] == 48
    own = one.true[:24].diagonal()
    assert own.all()  # captions
    assert 0 < one.true[24:].diagonal().float().mean() < 1  # short texts are true, swapped captions are not
    again = batch(World(), ClaimColumns(World()), "test", 24)
    assert torch.equal(one.pixels, again.pixels)
    assert torch.equal(one.tokens, again.tokens)


def test_a_text_is_true_of_a_picture_that_fulfils_all_its_claims() -> None:
    columns = ClaimColumns(World())
    scene = next(scene for scene in gate.held_out(50) if scene.relations)
    fulfilled = columns.of_scene(scene)[None]
    thing = scene.things[0]
    other = next(color for color in World().colors if color not in {each.color for each in scene.things})
    said = np.stack(
        [
            columns.of_text([("thing", thing.shape), ("color", thing.shape, thing.color)]),
            columns.of_text([("thing", thing.shape), ("color", thing.shape, other)]),
            columns.of_text([("some color", thing.color)]),
            columns.of_text([("some color", other)]),
            columns.of_text([("relation", *scene.relations[0])]),
        ]
    )
    assert matches(said, fulfilled)[:, 0].tolist() == [True, False, True, False, True]


def test_roc_auc_counts_ties_as_half() -> None:
    assert gate.roc_auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert gate.roc_auc(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.5
    assert gate.roc_auc(np.array([0.0, 2.0]), np.array([1.0, 1.0])) == 0.5


@pytest.mark.slow
def test_a_short_training_learns_and_writes_what_open_clip_loads(tmp_path: object) -> None:
    from pathlib import Path

    from encoders.training.__main__ import Config, train

    folder = Path(str(tmp_path)) / "model"
    train(Config(steps=60, warmup=10, size=64), folder)
    figures = gate.measure(encoders.load(str(folder), device="cpu"), 200)
    assert figures.auc > 0.6
    assert figures.zero_shot["place"] > 0.5
