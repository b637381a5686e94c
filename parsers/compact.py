"""The default parser: a small learned network, run with numpy."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from threadpoolctl import ThreadpoolController

from parsers.captions import readable_text
from parsers.encoding import COPIED, NONE, RELATION, THING, Pairs, Words, decode
from parsers.features import numbers, spelling
from parsers.lemmas import Lemmatizer
from parsers.scene_graph import SceneGraph
from parsers.tokens import tokenize

ARTEFACT = Path(__file__).parent / "data" / "compact"

MAX_TOKENS = 60
"""Tokens that the network reads at once; longer sentences are read in pieces."""

CAPTIONS_PER_CHUNK = 2048
"""Captions whose words are looked up together, each word once; bounds the memory of a call."""

CAPTIONS_PER_BATCH = 128
PAIRS_PER_BLOCK = 1024
"""Token pairs scored at once: so many that their intermediate values stay in a core's cache."""

_MOST_DISTANCE = 16
_ROWS = 16
_SMALL_PRODUCT = 1_000_000
"""Matrices are padded to a multiple of ``_ROWS`` rows, and until their product takes more multiplications than this.

OpenBLAS sums small products, and rows left over from its blocks, in another order; so padded, the sums of a row do not
depend on how many rows there are. Where another library still sums otherwise, only last bits change, which the steps of
``Calibration`` hide.
"""

_SENTENCE_ENDS = frozenset(".!?")
_SHORTEST_SENTENCE = 2
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr st prof vs no jr sr inc co etc a b c d e f g h j k l m n o p q r s t u v w".split()
)


class CompactParser:
    """Scene graphs by a BiLSTM that labels pairs of tokens (see ``parsers.encoding`` and ``parsers.training``).

    Facts carry a calibrated confidence. One thread runs a parser at a time: it keeps no state between calls, but
    numpy's linear algebra is limited to one thread for the whole process while it parses; where several cores shall
    parse, run several processes.

    Args:
        artefact: folder with ``weights.safetensors`` and ``vocabulary.json``, as ``parsers.training`` writes them.
    """

    name = "compact"

    def __init__(self, artefact: Path = ARTEFACT) -> None:
        tables = json.loads((artefact / "vocabulary.json").read_text(encoding="utf-8"))
        self._words = Words(tables["learned_words"], Lemmatizer())
        self._network = Network(load_file(artefact / "weights.safetensors"), tables)
        self._calibration = Calibration(tables["calibration"])
        self._threads = ThreadpoolController()

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        """Scene graphs of the captions, one each and in their order; empty where a caption states nothing.

        The graph of a caption does not depend on the captions beside it, and no caption raises.
        """
        graphs: list[SceneGraph] = []
        with self._threads.limit(limits=1, user_api="blas"):  # small matrices: more threads only wait for each other
            for start in range(0, len(captions), CAPTIONS_PER_CHUNK):
                graphs += self._parse_chunk(captions[start : start + CAPTIONS_PER_CHUNK])
        return graphs

    def _parse_chunk(self, captions: Sequence[str]) -> list[SceneGraph]:
        texts = [readable_text(caption) for caption in captions]
        owners: list[int] = []
        pieces: list[tuple[list[str], list[tuple[int, int]]]] = []
        for number, text in enumerate(texts):
            for piece in _pieces(*tokenize(text)):
                owners.append(number)
                pieces.append(piece)
        labelled = self._network.label([tokens for tokens, _ in pieces])
        graphs = [SceneGraph()] * len(texts)
        for owner, (tokens, spans), pairs in zip(owners, pieces, labelled, strict=True):
            graph = decode(
                tokens, pairs, self._words, text=texts[owner], spans=spans, calibration=self._calibration.confidence
            )
            graphs[owner] = _joined(graphs[owner], graph)
        return graphs


class Calibration:
    """Probability that a fact is true of its caption, by kind of fact and the network's own probability.

    A step function for each kind, so that the last bits of the network's floating-point sums never show.
    """

    def __init__(self, steps: dict[str, dict[str, list[float]]]) -> None:
        self._steps = {kind: (np.array(step["from"]), step["confidence"]) for kind, step in steps.items()}

    def confidence(self, kind: str, score: float) -> float:
        starts, values = self._steps[kind]
        return values[max(0, int(starts.searchsorted(score, "right")) - 1)]


class Network:
    """The forward pass of ``parsers.training.network.Student``.

    Args:
        weights: its parameters by name, float16; ``word_vectors`` int8 with ``word_vector_scales``.
        tables: ``words`` and ``vectors``, the words of the rows of the tables; ``labels`` of predicates;
            ``idle_words``, which are in no pair, only in predicates.
    """

    def __init__(self, weights: dict[str, np.ndarray], tables: dict) -> None:
        self._vocabulary = {word: row for row, word in enumerate(tables["words"], 1)}
        self._vector_rows = {word: row for row, word in enumerate(tables["vectors"], 1)}
        self._labels: list[str] = tables["labels"]
        self._idle = frozenset(tables["idle_words"])
        self._vectors = np.concatenate([np.zeros_like(weights["word_vectors"][:1]), weights["word_vectors"]])
        self._vector_scales = weights["word_vector_scales"].astype(np.float32)
        self._word, self._spelling = weights["word.weight"], weights["spelling.weight"]
        w = {name: value.astype(np.float32) for name, value in weights.items() if "." in name}
        self._vector = _Linear.of(w, "vector")
        forward, backward = (_lstm(w, suffix) for suffix in ("", "_reverse"))
        self._into_gates = _Linear(
            *(np.concatenate(parts, -1) for parts in zip(forward[:2], backward[:2], strict=True))
        )
        self._recurrent = np.stack([forward[2], backward[2]]) / 2  # see _encode: the state comes doubled
        heads = {name.removeprefix("heads."): value for name, value in w.items()}
        self._tokens_in = _Linear.joined(heads, ["arc_head", "arc_other", "arc_product_head", "arc_product_other"])
        self._width = heads["arc_distance.weight"].shape[1]
        self._arc_distance = heads["arc_distance.weight"]
        self._arc_out = _Linear.of(heads, "arc_out")
        self._relation_in = _Linear.joined(heads, ["label_head", "copy_head"])
        self._relation_other_in = _Linear.joined(heads, ["label_other", "copy_other"])
        self._copy_token = _Linear.of(heads, "copy_token")
        self._label_distance = heads["label_distance.weight"]
        self._copy_from_head, self._copy_from_other = heads["copy_from_head.weight"], heads["copy_from_other.weight"]
        self._label_out = _Linear.of(heads, "label_out")
        self._copy_out = heads["copy_out.weight"][0], heads["copy_out.bias"]

    def label(self, captions: Sequence[list[str]]) -> list[Pairs]:
        """Labelled token pairs of the captions."""
        labelled = [Pairs() for _ in captions]
        order = sorted((n for n, tokens in enumerate(captions) if tokens), key=lambda n: len(captions[n]))
        if not order:
            return labelled
        row_of: dict[str, int] = {}
        rows = [[row_of.setdefault(token, len(row_of)) for token in captions[number]] for number in order]
        words = list(row_of)
        gates = self._gates(words)
        idle = np.array([word in self._idle for word in words])
        for start in range(0, len(order), CAPTIONS_PER_BATCH):
            batch = slice(start, start + CAPTIONS_PER_BATCH)
            encoded = self._encode(gates, rows[batch])
            active = np.zeros(encoded.shape[:2], bool)
            for number, row in enumerate(rows[batch]):
                active[number, : len(row)] = ~idle[row]
            lengths = np.array([len(row) for row in rows[batch]])
            self._label_batch(encoded, active, lengths, [labelled[number] for number in order[batch]])
        return labelled

    def _gates(self, words: list[str]) -> np.ndarray:
        """What each word adds to the gates of both directions, before any context: float32 [2, words, gates]."""
        vectors = self._vectors[numbers(words, self._vector_rows)] * self._vector_scales
        spelled = self._spelling[np.array([spelling(word) for word in words])].reshape(len(words), -1)
        parts = [self._word[numbers(words, self._vocabulary)], spelled, np.maximum(self._vector(vectors), 0)]
        both = self._into_gates(np.concatenate(parts, 1).astype(np.float32))
        return np.stack(np.split(both, 2, axis=1))

    def _encode(self, gates: np.ndarray, rows: list[list[int]]) -> np.ndarray:
        """BiLSTM states float32 [captions, tokens, 2 * hidden]; what stands behind a caption's end means nothing."""
        size = self._recurrent.shape[1]
        longest = max(map(len, rows))
        captions = -(-len(rows) // _ROWS) * _ROWS
        index = np.zeros((2, longest, captions), np.int64)
        back = np.tile(np.arange(longest)[:, None], captions)
        for column, row in enumerate(rows):
            index[0, : len(row), column] = row
            index[1, : len(row), column] = row[::-1]
            back[: len(row), column] = back[: len(row), column][::-1]
        states = np.empty((longest, 2, captions, size), np.float32)
        state = np.zeros((2, captions, size), np.float32)
        cell = np.zeros_like(state)
        gate = np.empty((2, captions, gates.shape[2]), np.float32)
        word = np.empty_like(gate)
        for step in range(longest):
            np.matmul(state, self._recurrent, out=gate)
            for direction in (0, 1):
                np.take(gates[direction], index[direction, step], axis=0, out=word[direction], mode="clip")
            gate += word
            # Input, forget and output gates are sigmoids: with their weights halved (see _lstm) one tanh does for all,
            # and what is left of them, (tanh + 1) / 2, is halved where that is cheapest. ``state`` is twice the state.
            np.tanh(gate, out=gate)
            gate[..., : 3 * size] += 1
            cell *= gate[..., size : 2 * size]
            cell += gate[..., :size] * gate[..., 3 * size :]
            cell *= 0.5
            state = np.tanh(cell, out=states[step])
            state *= gate[..., 2 * size : 3 * size]
        states *= 0.5
        backward = states[back, 1, np.arange(captions)]
        encoded = np.concatenate([states[:, 0], backward], -1)[:, : len(rows)]
        return np.ascontiguousarray(encoded.transpose(1, 0, 2))

    def _label_batch(self, encoded: np.ndarray, active: np.ndarray, lengths: np.ndarray, labelled: list[Pairs]) -> None:
        """Labels the pairs of active tokens of a batch.

        Args:
            encoded: float32 [captions, tokens, size].
            active: bool [captions, tokens]: which tokens can be in a pair.
            lengths: tokens of each caption.
            labelled: where the labels go.
        """
        width, tokens = self._width, encoded.shape[1]
        places = np.flatnonzero(active)
        row_of = np.zeros(active.size, np.int64)
        row_of[places] = np.arange(len(places))
        projected = self._tokens_in(encoded.reshape(-1, encoded.shape[2])[places])
        ends = (0, width, 2 * width, 2 * width + width // 2, projected.shape[1])
        head, other, product_head, product_other = (
            np.ascontiguousarray(projected[:, start:end]) for start, end in itertools.pairwise(ends)
        )
        rows, heads, others = np.nonzero(active[:, :, None] & active[:, None])
        distances = _distances(others, heads)
        first, second = row_of[rows * tokens + heads], row_of[rows * tokens + others]
        relations: list[tuple[int, int, int]] = []
        for start in range(0, len(rows), PAIRS_PER_BLOCK):
            block = slice(start, start + PAIRS_PER_BLOCK)
            i, j = first[block], second[block]
            pairs = np.empty((len(i), width + width // 2), np.float32)
            summed = head[i]
            summed += other[j]
            summed += self._arc_distance[distances[block]]
            np.maximum(summed, 0, out=pairs[:, :width])
            np.multiply(product_head[i], product_other[j], out=pairs[:, width:])
            logits = self._arc_out(pairs)
            diagonal = i == j
            logits[~diagonal, THING] = -np.inf
            logits[diagonal, NONE + 1 : THING] = -np.inf
            arcs = logits.argmax(-1)
            (found,) = np.nonzero(arcs)
            kinds = arcs[found]
            scores = _softmax(logits[found])[np.arange(len(found)), kinds]
            columns = (rows[block][found], heads[block][found], others[block][found], kinds, scores)
            for number, a, b, arc, score in zip(*(column.tolist() for column in columns), strict=True):
                labelled[number].arcs[a, b] = arc
                labelled[number].arc_scores[a, b] = score
                if arc == RELATION:
                    relations.append((number, a, b))
        if relations:
            self._label_relations(encoded, lengths, labelled, relations)

    def _label_relations(
        self, encoded: np.ndarray, lengths: np.ndarray, labelled: list[Pairs], relations: list[tuple[int, int, int]]
    ) -> None:
        width, longest = self._width, encoded.shape[1]
        row, head, other = np.array(relations).T
        joined = self._relation_in(encoded[row, head]) + self._relation_other_in(encoded[row, other])
        label = joined[:, :width] + self._label_distance[_distances(other, head)]
        probabilities = _softmax(self._label_out(np.maximum(label, 0)))
        best = probabilities.argmax(-1)
        position = np.arange(longest)[None]
        rows, where = np.unique(row, return_inverse=True)
        tokens = self._copy_token(encoded[rows].reshape(len(rows) * longest, -1))
        copy = tokens.reshape(len(rows), longest, -1)[where]
        copy += joined[:, None, width:]
        copy += self._copy_from_head[_distances(position, head[:, None])]
        copy += self._copy_from_other[_distances(position, other[:, None])]
        np.maximum(copy, 0, out=copy)
        weight, bias = self._copy_out
        copy *= weight
        logits = copy.sum(-1) + bias
        logits[position >= lengths[row][:, None]] = -np.inf
        logits[np.arange(len(relations)), head] = -np.inf
        logits[np.arange(len(relations)), other] = -np.inf
        for index, (number, i, j) in enumerate(relations):
            pairs = labelled[number]
            name = self._labels[best[index]]
            score = float(probabilities[index, best[index]])
            if name == COPIED:
                chosen = np.nonzero(logits[index] > 0)[0].tolist() or [int(logits[index].argmax())]
                pairs.copied[i, j] = tuple(chosen)
                score /= 1 + float(np.exp(-np.clip(logits[index, chosen].min(), -30, 30)))
            pairs.predicates[i, j] = name
            pairs.predicate_scores[i, j] = score


class _Linear:
    """``rows @ weight + bias``, each row's sums independent of how many rows there are."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self._weight, self._bias = np.ascontiguousarray(weight), bias
        self._least_rows = -(-_SMALL_PRODUCT // weight.size // _ROWS) * _ROWS

    @classmethod
    def of(cls, weights: dict[str, np.ndarray], name: str) -> "_Linear":
        return cls(weights[f"{name}.weight"].T, weights[f"{name}.bias"])

    @classmethod
    def joined(cls, weights: dict[str, np.ndarray], names: Iterable[str]) -> "_Linear":
        """Several layers over the same rows as one, their results side by side."""
        names = list(names)
        return cls(
            np.concatenate([weights[f"{name}.weight"].T for name in names], 1),
            np.concatenate([weights[f"{name}.bias"] for name in names]),
        )

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        count = len(rows)
        missing = max(self._least_rows - count, -count % _ROWS)
        if missing:
            rows = np.concatenate([rows, np.zeros((missing, rows.shape[1]), rows.dtype)])
        result = (rows @ self._weight)[:count]
        result += self._bias
        return result


def _lstm(weights: dict[str, np.ndarray], suffix: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input weights, bias and recurrent weights of a direction, gates in the order input, forget, output, cell.

    Those of the first three, which are sigmoids, are halved: ``sigmoid(x) = tanh(x / 2) / 2 + 1 / 2``.
    """
    into, recurrent = weights[f"lstm.weight_ih_l0{suffix}"].T, weights[f"lstm.weight_hh_l0{suffix}"].T
    bias = weights[f"lstm.bias_ih_l0{suffix}"] + weights[f"lstm.bias_hh_l0{suffix}"]

    def ordered(gates: np.ndarray) -> np.ndarray:
        entry, forget, cell, output = np.split(gates, 4, -1)  # PyTorch's order
        return np.concatenate([entry / 2, forget / 2, output / 2, cell], -1)

    return ordered(into), ordered(bias), ordered(recurrent)


def _distances(to: np.ndarray, from_: np.ndarray) -> np.ndarray:
    return np.clip(to - from_, -_MOST_DISTANCE, _MOST_DISTANCE) + _MOST_DISTANCE


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _pieces(tokens: list[str], spans: list[tuple[int, int]]) -> Iterator[tuple[list[str], list[tuple[int, int]]]]:
    """A caption's sentences, and what of them is longer than ``MAX_TOKENS`` in pieces.

    No fact spans two sentences. Few tokens beside a full stop are no sentence but an abbreviation ("st . peter").
    """
    start = 0
    for position, token in enumerate(tokens):
        length = position + 1 - start
        ends = token in _SENTENCE_ENDS and length > _SHORTEST_SENTENCE < len(tokens) - position
        if length == MAX_TOKENS or (ends and tokens[position - 1] not in _ABBREVIATIONS):
            yield tokens[start : position + 1], spans[start : position + 1]
            start = position + 1
    yield tokens[start:], spans[start:]


def _joined(first: SceneGraph, second: SceneGraph) -> SceneGraph:
    if not (first and second):
        return first or second
    offset = len(first.entities)
    moved = (type(r)(r.subject + offset, r.predicate, r.object + offset, r.confidence) for r in second.relations)
    return SceneGraph(first.entities + second.entities, (*first.relations, *moved))
