"""FACTUAL's published Flan-T5 models as a parser: right, and slow without a GPU."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from parsers.captions import readable_text
from parsers.notation import read_graph
from parsers.scene_graph import SceneGraph

MODEL = "lizhuang144/flan-t5-base-VG-factual-sg"
"""On the Hugging Face hub; Li et al., ACL 2023 Findings. The larger ones have the same interface."""
MODEL_VARIABLE = "FACETMINE_T5_MODEL"

PROMPT = "Generate Scene Graph: "
MOST_TOKENS_IN = 128
MOST_TOKENS_OUT = 192
CAPTIONS_PER_BATCH = 32


class FactualT5Parser:
    """Scene graphs that a sequence-to-sequence model writes in FACTUAL's notation.

    The model sees what ``readable_text`` leaves of a caption. Words are as it writes them: lemmas, mostly. Two things
    of one name become one, since the notation cannot tell them apart. It gives no confidences.

    Args:
        model: name on the Hugging Face hub, or a folder with a saved model and its tokenizer; by default the
            environment variable ``FACETMINE_T5_MODEL``, else ``MODEL``.
        device: such as ``"cuda:1"``; by default a GPU where there is one.
        beams: candidates kept while decoding; the published figures are with 5, and 1 is several times as fast.

    Raises:
        RuntimeError: the extra ``t5`` is not installed, or the model can neither be read nor downloaded.
    """

    name = "factual-t5"

    def __init__(self, model: str | os.PathLike[str] | None = None, device: str | None = None, beams: int = 5) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise RuntimeError(f"the parser factual-t5 needs 'pip install facetmine[t5]' ({error})") from None
        self._torch = torch
        where = str(model or os.environ.get(MODEL_VARIABLE) or MODEL)
        self._beams = beams
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            with _quiet_hub():
                transformers.AutoConfig.from_pretrained(where)  # the hub is given up but once
                self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(where)
                network: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(where)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise RuntimeError(
                f"the model {where!r} of the parser factual-t5 cannot be loaded ({reason}); it is downloaded from "
                f"huggingface.co, or read from a folder that the environment variable {MODEL_VARIABLE} names"
            ) from error
        self._network = network.to(self._device).eval()

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        """Scene graphs of the captions, one each and in their order; empty where a caption states nothing."""
        texts = [readable_text(caption) for caption in captions]
        graphs = [SceneGraph()] * len(texts)
        # Captions of like length together: a batch takes as long as its longest.
        order = sorted((row for row, text in enumerate(texts) if text), key=lambda row: len(texts[row]))
        for start in range(0, len(order), CAPTIONS_PER_BATCH):
            rows = order[start : start + CAPTIONS_PER_BATCH]
            for row, notation in zip(rows, self._write([texts[row] for row in rows]), strict=True):
                graphs[row] = read_graph(notation, texts[row])
        return graphs

    def _write(self, texts: Sequence[str]) -> list[str]:
        """The graphs of the texts in FACTUAL's notation, as the model writes them."""
        encoded = self._tokenizer(
            [PROMPT + text for text in texts],
            max_length=MOST_TOKENS_IN, truncation=True, padding="longest", return_tensors="pt",
        ).to(self._device)  # fmt: skip
        with self._torch.inference_mode():
            written = self._network.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                num_beams=self._beams,
                early_stopping=self._beams > 1,
                max_length=MOST_TOKENS_OUT,
                do_sample=False,
            )
        return self._tokenizer.batch_decode(written, skip_special_tokens=True)


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub's client from logging each of its attempts: the error says what it comes to."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
