"""The student: the small network that parses, learning from people's labels and the teacher's."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

from parsers.features import WORD_VECTOR, numbers, spelling
from parsers.training.data import Example
from parsers.training.loop import Reader, train
from parsers.training.network import Student

SEEN_AT_LEAST = 2
"""Occurrences from which a word has a row of its own."""
KNOWN_FROM, COMMON_FROM = 5, 20
"""Occurrences from which a word is certainly no misspelling, and from which another word may be one of it."""


class Inputs:
    """Tokens to the student's input tensors.

    Args:
        vocabulary: rows of words in the word table, from 1; row 0 is for unknown words.
        counts: occurrences of each row's word in training; rare words are sometimes hidden, so that row 0 learns.
        vectors: pretrained vector of each word that has one, float32 [WORD_VECTOR].
        rng: draws what is hidden.
    """

    def __init__(
        self, vocabulary: dict[str, int], counts: Sequence[int], vectors: dict[str, np.ndarray], rng: random.Random
    ) -> None:
        self._vocabulary = vocabulary
        self._counts = counts
        self._rows = {word: row for row, word in enumerate(vectors, 1)}
        self._vectors = torch.from_numpy(np.stack([np.zeros(WORD_VECTOR, np.float32), *vectors.values()]))
        self._rng = rng
        self._spelled: dict[str, tuple[int, ...]] = {}

    def __call__(self, captions: Sequence[Sequence[str]], *, hide: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        rows = [numbers(tokens, self._vocabulary) for tokens in captions]
        if hide:
            rows = [[self._hidden(row) for row in caption] for caption in rows]
        for token in {token for tokens in captions for token in tokens} - self._spelled.keys():
            self._spelled[token] = spelling(token)
        spelled = [[self._spelled[token] for token in tokens] for tokens in captions]
        vectors = self._vectors[torch.tensor([numbers(tokens, self._rows) for tokens in captions])]
        return torch.tensor(rows), torch.tensor(spelled), vectors

    def _hidden(self, row: int) -> int:
        chance = 0.03 + 0.3 / (0.3 + self._counts[row])
        return 0 if self._rng.random() < chance else row


def vocabulary(examples: Sequence[Example]) -> tuple[dict[str, int], list[int]]:
    """Rows of the words of the examples that are frequent enough, from 1, and the occurrences of each row."""
    counts = Counter(token for example in examples for token in example.tokens)
    kept = sorted((word for word, count in counts.items() if count >= SEEN_AT_LEAST), key=lambda w: (-counts[w], w))
    return {word: row for row, word in enumerate(kept, 1)}, [0, *(counts[word] for word in kept)]


def fit(
    student: Student,
    inputs: Inputs,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    epochs: int,
    seed: int,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Trains the student in place."""
    train(
        student,
        lambda batch: student(*inputs([example.tokens for example in batch], hide=True)),
        examples,
        {label: number for number, label in enumerate(labels)},
        [{"params": list(student.parameters()), "lr": 2e-3, "weight_decay": 1e-4}],
        epochs=epochs,
        batch=64,
        clip=5.0,
        warmup=200,
        seed=seed,
        after_epoch=after_epoch,
    )


def begin(
    student: Student, artefact: Path, vocabulary: dict[str, int], labels: Sequence[str]
) -> tuple[list[str], np.ndarray]:
    """Gives the student the weights of an earlier one; words and predicates that this one lacks keep their own.

    Returns:
        the words that have a pretrained vector, and the vectors, which the weights are used to.
    """
    before, tables, vectors = _load(artefact)
    weights, old = student.state_dict(), before.state_dict()
    words = [(vocabulary[word], row) for row, word in enumerate(tables["words"], 1) if word in vocabulary]
    known = [(labels.index(label), row) for row, label in enumerate(tables["labels"]) if label in labels]
    moved = {"word.weight": [(0, 0), *words], "heads.label_out.weight": known, "heads.label_out.bias": known}
    for name, value in old.items():
        if name in moved:
            new_rows, old_rows = torch.tensor(moved[name]).T
            weights[name][new_rows] = value[old_rows]
        else:
            weights[name] = value
    student.load_state_dict(weights)
    return tables["vectors"], vectors


def earlier(artefact: Path) -> Reader:
    """The network of an artefact, as a teacher."""
    student, tables, vectors = _load(artefact)
    rows = {word: row for row, word in enumerate(tables["words"], 1)}
    inputs = Inputs(rows, (), dict(zip(tables["vectors"], vectors, strict=True)), random.Random(0))
    return reader(student, inputs, tables["labels"])


def _load(artefact: Path) -> tuple[Student, dict[str, Any], np.ndarray]:
    """An artefact's network, its tables and its words' vectors."""
    tables = json.loads((artefact / "vocabulary.json").read_text(encoding="utf-8"))
    weights = load_file(artefact / "weights.safetensors")
    vectors = weights.pop("word_vectors") * weights.pop("word_vector_scales").astype(np.float32)
    student = Student(len(tables["words"]) + 1, len(tables["labels"]))
    student.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()})
    return student, tables, vectors


def reader(student: Student, inputs: Inputs, labels: Sequence[str]) -> Reader:
    student.eval()
    return Reader(student.heads, lambda captions: student(*inputs(captions)), labels)
