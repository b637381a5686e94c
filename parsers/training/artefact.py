"""Writes what ``parsers.compact`` reads."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from parsers.training.network import Student

VERSION = "1"


def write(folder: Path, student: Student, tables: dict[str, Any], vectors: np.ndarray, about: dict[str, str]) -> None:
    """The artefact: ``weights.safetensors`` and ``vocabulary.json``.

    Args:
        student: its parameters are written as float16.
        tables: ``words``, ``vectors`` (words that have one), ``labels``, ``learned_words``, ``calibration``.
        vectors: float32 [words of ``vectors``, size]; written as int8 with a scale for each column.
        about: goes into the metadata of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to(torch.float16).numpy() for name, value in student.state_dict().items()}
    weights["word_vector_scales"] = np.abs(vectors).max(0) / 127
    weights["word_vectors"] = np.round(vectors / weights["word_vector_scales"]).astype(np.int8)
    weights = {name: np.ascontiguousarray(value) for name, value in sorted(weights.items())}
    save_file(weights, folder / "weights.safetensors", {"version": VERSION, **about})
    text = json.dumps({"version": VERSION, **tables}, ensure_ascii=False, separators=(",", ":"))
    (folder / "vocabulary.json").write_text(text, encoding="utf-8")


def checksum(folder: Path) -> str:
    """SHA-256 of an artefact's weights."""
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
