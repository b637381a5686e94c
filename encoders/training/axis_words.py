"""The names of axes ("color", "pattern", "size") as words of their own, taught to a trained model at the end.

    python -m encoders.training.axis_words DIR

No caption of the toy world says "color" but beside a color, where it tells nothing. So a model trained on captions has
the same for all three names (cosines of 0.99), and who asks for what shares the reference's "color" may as well ask for
its "size". Here each name learns to be nearer than the other two to texts that say a value of its axis, and to change
nothing where it stands beside one ("red color"). Only the embeddings of these three words change: pictures, and texts
without them, keep their embeddings to the last bit.
"""

import argparse
import json
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from torch.func import functional_call

import encoders
from encoders.training import artefact
from toyworld import COLORS, PATTERNS, SHAPES, SIZES, wordings

AXES = {"color": COLORS, "pattern": PATTERNS, "size": SIZES}
_STEPS = 200
_RATE = 0.02
_SHARPNESS = 10.0
_KEPT = 20.0  # weight of what must not change


def teach(clip: open_clip.CLIP) -> None:
    """Changes the embeddings of the three words in ``clip``; the same for the same model."""
    tokenizer = open_clip.SimpleTokenizer(context_length=clip.context_length)
    names = torch.tensor([tokenizer.encode(axis)[0] for axis in AXES])
    said = [(number, word) for number, axis in enumerate(AXES) for value in AXES[axis] for word in wordings(value)]
    texts = [(number, f"{before}{word}{after}") for number, word in said for before, after in _around()]
    beside = [f"{before}{word} {list(AXES)[number]}" for number, word in said for before in ("", "is ")]
    alone, with_name = tokenizer(list(AXES)), tokenizer(beside)
    weight = clip.token_embedding.weight.detach()
    words = weight[names].clone().requires_grad_()
    with torch.no_grad():
        values = clip.encode_text(tokenizer([text for _, text in texts]), normalize=True)
        before = clip.encode_text(with_name, normalize=True)
    axes = torch.tensor([number for number, _ in texts])
    optimizer = torch.optim.Adam([words], lr=_RATE)
    for _ in range(_STEPS):
        embeddings = weight.index_copy(0, names, words)
        told = functional_call(
            clip, {"token_embedding.weight": embeddings}, kwargs={"text": torch.cat([alone, with_name])}
        )[1]
        named, after = told[: len(AXES)], told[len(AXES) :]
        loss = F.cross_entropy(_SHARPNESS * values @ named.T, axes) + _KEPT * (1 - (after * before).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        clip.token_embedding.weight[names] = words


def _around() -> list[tuple[str, str]]:
    """What stands before and after a value in the texts that say it."""
    return [("", ""), ("is ", ""), *(("a ", f" {shape}") for shape in SHAPES)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m encoders.training.axis_words", description="Teaches axes' names.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="of a trained model; its weights are replaced")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    config = json.loads((folder / artefact.CONFIG).read_text())["model_cfg"]
    clip = encoders.load(str(folder), device="cpu").network
    teach(clip)
    artefact.save(folder, config, clip)


if __name__ == "__main__":
    main()
