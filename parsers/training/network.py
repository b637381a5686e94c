"""The networks: two encoders of a caption's tokens, and the heads that label pairs of them.

``Student`` is what ``parsers.compact`` runs with numpy: a table of words and one BiLSTM. ``Teacher`` is a pretrained
MiniLM (Wang et al. 2020) under the same heads; it labels captions for the student and is not needed to parse. The heads
follow Dozat and Manning's pair scoring (ICLR 2017), with the distance of the two tokens added.

Captions of one batch have the same number of tokens, so nothing is padded.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from parsers.encoding import ARCS, COPIED, RELATION
from parsers.features import HASHED_FEATURES, HASHES, WORD_VECTOR
from parsers.training.data import Example

MOST_DISTANCE = 16


class Heads(nn.Module):
    """Labels of token pairs from token encodings [captions, tokens, size]."""

    def __init__(self, size: int, predicates: int, width: int, dropout: float) -> None:
        super().__init__()
        distances = 2 * MOST_DISTANCE + 1
        self.dropout = nn.Dropout(dropout)
        self.arc_head, self.arc_other = nn.Linear(size, width), nn.Linear(size, width)
        self.arc_product_head, self.arc_product_other = nn.Linear(size, width // 2), nn.Linear(size, width // 2)
        self.arc_distance = nn.Embedding(distances, width)
        self.arc_out = nn.Linear(width + width // 2, len(ARCS))
        self.label_head, self.label_other = nn.Linear(size, width), nn.Linear(size, width)
        self.label_distance = nn.Embedding(distances, width)
        self.label_out = nn.Linear(width, predicates)
        self.copy_head, self.copy_other, self.copy_token = (nn.Linear(size, width) for _ in range(3))
        self.copy_from_head, self.copy_from_other = nn.Embedding(distances, width), nn.Embedding(distances, width)
        self.copy_out = nn.Linear(width, 1)
        for table in (self.arc_distance, self.label_distance, self.copy_from_head, self.copy_from_other):
            nn.init.normal_(table.weight, std=0.1)

    def arcs(self, encoded: Tensor) -> Tensor:
        """Arc logits [captions, tokens (head), tokens (other), arcs]."""
        position = torch.arange(encoded.shape[1])
        summed = self.arc_head(encoded)[:, :, None] + self.arc_other(encoded)[:, None]
        summed = F.relu(summed + self.arc_distance(_distance(position[None], position[:, None])))
        product = self.arc_product_head(encoded)[:, :, None] * self.arc_product_other(encoded)[:, None]
        # What is dropped of a head is dropped of all its pairs: to draw for each pair took a sixth of the time.
        summed = summed * self.dropout(torch.ones_like(summed[:, :, :1]))
        return self.arc_out(torch.cat([summed, product], -1))

    def predicates(self, encoded: Tensor, caption: Tensor, head: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the predicates of relation pairs [pairs, predicates], and of copying each token [pairs, tokens]."""
        head_of, other_of = encoded[caption, head], encoded[caption, other]
        label = self.label_head(head_of) + self.label_other(other_of) + self.label_distance(_distance(other, head))
        position = torch.arange(encoded.shape[1])[None]
        copy = (self.copy_head(head_of) + self.copy_other(other_of))[:, None] + self.copy_token(encoded)[caption]
        copy = copy + self.copy_from_head(_distance(position, head[:, None]))
        copy = copy + self.copy_from_other(_distance(position, other[:, None]))
        return self.label_out(self.dropout(F.relu(label))), self.copy_out(self.dropout(F.relu(copy)))[..., 0]


def _distance(to: Tensor, from_: Tensor) -> Tensor:
    return (to - from_).clamp(-MOST_DISTANCE, MOST_DISTANCE) + MOST_DISTANCE


class Student(nn.Module):
    """Words, their spelling and a pretrained vector each, through one BiLSTM."""

    def __init__(self, words: int, predicates: int, hidden: int = 160, width: int = 128, dropout: float = 0.33) -> None:
        super().__init__()
        self.word = nn.Embedding(words, 100)
        self.spelling = nn.Embedding(HASHED_FEATURES * HASHES, 32)
        nn.init.normal_(self.word.weight, std=0.1)
        nn.init.normal_(self.spelling.weight, std=0.1)
        self.vector = nn.Linear(WORD_VECTOR, 64)
        self.lstm = nn.LSTM(100 + HASHED_FEATURES * 32 + 64, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(2 * hidden, predicates, width, dropout)

    def forward(self, words: Tensor, spelling: Tensor, vectors: Tensor) -> Tensor:
        """Encodings of tokens by their number [c, t], hashed spelling [c, t, 4] and vector [c, t, WORD_VECTOR]."""
        parts = [self.word(words), self.spelling(spelling).flatten(2), F.relu(self.vector(vectors))]
        return self.dropout(self.lstm(self.dropout(torch.cat(parts, -1)))[0])


class Teacher(nn.Module):
    """The pretrained encoder, read at the first piece of every token."""

    def __init__(self, encoder: Any, tokenizer: Any, predicates: int, layers: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.encoder = encoder
        encoder.pooler = None
        encoder.encoder.layer = encoder.encoder.layer[:layers]
        self._tokenizer = tokenizer
        self._pieces: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(384, predicates, 192, dropout)

    def forward(self, captions: Sequence[list[str]]) -> Tensor:
        split = [self._split(tuple(tokens)) for tokens in captions]
        longest, padding = max(len(pieces) for pieces, _ in split), self._tokenizer.pad_token_id
        pieces = torch.tensor([pieces + [padding] * (longest - len(pieces)) for pieces, _ in split])
        with torch.autocast("cpu", torch.bfloat16):
            states = self.encoder(input_ids=pieces, attention_mask=(pieces != padding).long())
        encoded = states.last_hidden_state.float()
        first = torch.tensor([first for _, first in split])
        return self.dropout(encoded.gather(1, first[..., None].expand(-1, -1, encoded.shape[-1])))

    def _split(self, tokens: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """A caption's pieces, and the first one of each token."""
        if tokens not in self._pieces:
            made = self._tokenizer(list(tokens), is_split_into_words=True)
            owners = made.word_ids()
            first = [owners.index(token) if token in owners else 0 for token in range(len(tokens))]
            self._pieces[tokens] = made["input_ids"], first
        return self._pieces[tokens]


def loss(heads: Heads, encoded: Tensor, batch: Sequence[Example], labels: dict[str, int]) -> Tensor:
    """Mean over captions of the summed cross-entropies of arcs, predicates and copied tokens, weighted by caption."""
    size, tokens = encoded.shape[:2]
    arcs = np.zeros((size, tokens, tokens, len(ARCS)), np.float32)
    relations: list[tuple[int, int, int]] = []
    predicates: list[np.ndarray] = []
    copies: list[np.ndarray] = []
    for row, example in enumerate(batch):
        pairs = example.pairs
        if example.soft_arcs is not None:
            arcs[row] = example.soft_arcs
        else:
            arcs[row] = hard_arcs(example)
        for pair, arc in pairs.arcs.items():
            if arc == RELATION:
                relations.append((row, *pair))
                predicates.append(example.soft_predicates.get(pair, hard_predicate(example, pair, labels)))
                copied = pairs.predicates[pair] == COPIED
                copies.append(
                    example.soft_copies.get(pair, hard_copies(example, pair)) if copied else np.full(tokens, -1.0)
                )
    weights = torch.tensor([example.weight for example in batch])
    by_pair = -(torch.from_numpy(arcs) * F.log_softmax(heads.arcs(encoded), -1)).sum(-1)
    total = (by_pair.flatten(1).sum(1) * weights).sum()
    if relations:
        row, head, other = torch.tensor(relations).T
        predicate, copy = heads.predicates(encoded, row, head, other)
        target = torch.from_numpy(np.stack(copies).astype(np.float32))
        by_token = F.binary_cross_entropy_with_logits(copy, target.clamp(min=0), reduction="none") * (target >= 0)
        by_relation = F.cross_entropy(predicate, torch.from_numpy(np.stack(predicates)), reduction="none")
        total = total + ((by_relation + by_token.sum(1)) * weights[row]).sum()
    return total / size


def hard_arcs(example: Example) -> np.ndarray:
    """The arcs of an example's pairs as probabilities, float32 [tokens, tokens, arcs]."""
    tokens = len(example.tokens)
    arcs = np.zeros((tokens, tokens, len(ARCS)), np.float32)
    arcs[:, :, 0] = 1
    for (head, other), arc in example.pairs.arcs.items():
        arcs[head, other, 0] = 0
        arcs[head, other, arc] = 1
    return arcs


def hard_predicate(example: Example, pair: tuple[int, int], labels: dict[str, int]) -> np.ndarray:
    """The predicate label of a relation pair as probabilities, float32 [labels]."""
    probabilities = np.zeros(len(labels), np.float32)
    probabilities[labels[example.pairs.predicates[pair]]] = 1
    return probabilities


def hard_copies(example: Example, pair: tuple[int, int]) -> np.ndarray:
    """Which tokens a relation pair's predicate is copied from, as probabilities, float32 [tokens]."""
    probabilities = np.zeros(len(example.tokens), np.float32)
    probabilities[list(example.pairs.copied.get(pair, ()))] = 1
    return probabilities
