"""The encoder: unit vectors, the same for the same model, from local weights without a network, or a clear error."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT
from pictures import MODEL, picture, write_model

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

import encoders  # noqa: E402

TEXTS = ["a red car", "a dog on a beach", "", "a red car"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> encoders.Encoder:
    return encoders.load(str(folder), device="cpu")


def pixels(encoder: encoders.Encoder, count: int) -> "torch.Tensor":
    return torch.stack([encoder.preprocess(picture(number)) for number in range(count)])


def test_images_and_texts_become_unit_vectors_of_one_space(encoder: encoders.Encoder) -> None:
    images, texts = encoder.encode_images(pixels(encoder, 5)), encoder.encode_texts(TEXTS)
    assert encoder.dimension == MODEL["embed_dim"]
    for vectors, count in ((images, 5), (texts, 4)):
        assert vectors.shape == (count, encoder.dimension)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(texts[0], texts[3])
    assert encoder.encode_texts([]).shape == (0, encoder.dimension)
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-2)


def test_a_vector_does_not_depend_on_what_else_is_encoded(encoder: encoders.Encoder) -> None:
    together = encoder.encode_images(pixels(encoder, 6))
    alone = np.concatenate([encoder.encode_images(one[None]) for one in pixels(encoder, 6)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    texts = [f"a thing number {number}" for number in range(10)]
    np.testing.assert_allclose(encoder.encode_texts(texts, batch=3), encoder.encode_texts(texts), atol=1e-5)


def test_it_is_what_open_clip_computes(folder: Path, encoder: encoders.Encoder) -> None:
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        image = model.encode_image(preprocess(picture(3))[None], normalize=True).numpy()
        text = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(["a red car"]), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images(encoder.preprocess(picture(3))[None]), image, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(["a red car"]), text, atol=1e-5)


def test_threads_may_share_an_encoder(encoder: encoders.Encoder) -> None:
    batch = pixels(encoder, 8)
    expected = encoder.encode_images(batch)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: encoder.encode_images(batch), range(12)):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_fingerprint_tells_weights_architecture_and_preprocessing_apart(folder: Path, tmp_path: Path) -> None:
    def fingerprint(path: Path) -> str:
        return encoders.load(str(path), device="cpu").fingerprint

    own = fingerprint(folder)
    assert fingerprint(write_model(tmp_path / "same")) == own
    others = [write_model(tmp_path / "weights", seed=1)]
    others.append(write_model(tmp_path / "heads", config={**MODEL, "text_cfg": {**MODEL["text_cfg"], "heads": 4}}))
    others.append(write_model(tmp_path / "mean"))
    path = others[-1] / "open_clip_config.json"
    settings = json.loads(path.read_text())
    settings["preprocess_cfg"]["mean"] = [0.4, 0.5, 0.5]
    path.write_text(json.dumps(settings))
    assert len({own, *map(fingerprint, others)}) == 4


def test_lower_precision_gives_nearly_the_same(folder: Path, encoder: encoders.Encoder) -> None:
    rough = encoders.load(str(folder), device="cpu", precision="bf16")
    assert rough.fingerprint == encoder.fingerprint
    found, expected = rough.encode_images(pixels(encoder, 4)), encoder.encode_images(pixels(encoder, 4))
    assert found.dtype == np.float32
    assert (found * expected).sum(axis=1).min() > 0.995


def test_weights_may_be_a_file_or_a_folder_that_holds_one(tmp_path: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    open_clip.add_model_config(_config(tmp_path / "facetmine-tiny.json"))
    weights = open_clip.create_model("facetmine-tiny").state_dict()
    (tmp_path / "weights").mkdir()
    file = tmp_path / "weights" / "epoch_1.safetensors"
    save_file(weights, file)
    by_file = encoders.load("facetmine-tiny", str(file), device="cpu")
    by_folder = encoders.load("facetmine-tiny", str(file.parent), device="cpu")
    assert by_file.fingerprint == by_folder.fingerprint


def _config(path: Path) -> Path:
    path.write_text(json.dumps(MODEL))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ViT-Q-99",), "open_clip has no model 'ViT-Q-99'"),
        (("ViT-B-32",), "needs weights: a tag"),
        (("ViT-B-32", "no-such-tag"), "neither a file or folder nor one of open_clip's tags of ViT-B-32"),
        (("local-dir:/nowhere",), "/nowhere is no model folder: it has no open_clip_config.json"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_clear_error(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(encoders.EncoderError, match=said):
        encoders.load(*arguments, device="cpu")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    settings = json.loads((tmp_path / "open_clip_config.json").read_text())
    settings["model_cfg"]["embed_dim"] = 24
    (tmp_path / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(encoders.EncoderError, match=r"cannot be loaded: .*size mismatch"):
        encoders.load(str(tmp_path), device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_one_clear_error(folder: Path) -> None:
    with pytest.raises(encoders.EncoderError, match="no device 'cuda' to encode on"):
        encoders.load(str(folder), device="cuda")


def test_local_weights_need_no_network(folder: Path) -> None:
    program = f"""
import socket
def refuse(*_, **__): raise AssertionError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import encoders
assert encoders.load({str(folder)!r}, device="cpu").encode_texts(["a dog"]).shape == (1, {MODEL["embed_dim"]})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200, cwd=ROOT)
    assert done.returncode == 0, done.stderr
