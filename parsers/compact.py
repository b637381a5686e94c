"""The default parser: a small learned network, run with numpy."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from threadpoolctl import ThreadpoolController

from parsers.captions import readable_text
from parsers.encoding import ARCS, ATTRIBUTE, COPIED, NONE, RELATION, THING, Pairs, Words, decode
from parsers.features import numbers, spelling
from parsers.lemmas import Lemmatizer
from parsers.scene_graph import SceneGraph
from parsers.tokens import tokenize
from parsers.typos import Speller

ARTEFACT = Path(__file__).parent / "data" / "compact"

MAX_TOKENS = 60
"""Tokens that the network reads at once; longer sentences are read in pieces."""

CAPTIONS_PER_CHUNK = 2048
"""Captions that are read together, those of one length side by side; bounds the memory of a call."""

WORDS_KEPT = 8192
"""Words whose part in the network's sums is kept for later captions; most of a web caption's words come again."""
WORDS_PER_BLOCK = 1024

CAPTIONS_PER_BATCH = 128
PAIRS_PER_BLOCK = 1024
RELATIONS_PER_BLOCK = 32
"""Token pairs scored at once: so many that their intermediate values stay in a core's cache."""

SHORT_CAPTION = 8
"""Tokens up to which a caption is short: its facts are right more often than the network thinks, others' less."""

SECOND_CHANCE_FROM = 0.25
"""Probability from which a caption that would state nothing states a fact after all."""

LIKELY_HEADS = 0.5
"""Probability that a word belongs to some word from which the likeliest is taken, be it less likely than none."""
LEAST_LIKELY_HEAD = 0.15
"""Probability from which that one is taken."""
_NEGLIGIBLE = 5.0
"""Distance of logits from which a statement is too unlikely to be counted."""

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

    Facts carry a calibrated confidence. One thread runs a parser at a time: it keeps words that it has seen, and
    numpy's linear algebra is limited to one thread for the whole process while it parses; where several cores shall
    parse, run several processes.

    Args:
        artefact: folder with ``weights.safetensors`` and ``vocabulary.json``, as ``parsers.training`` writes them.
    """

    name = "compact"

    def __init__(self, artefact: Path = ARTEFACT) -> None:
        tables = json.loads((artefact / "vocabulary.json").read_text(encoding="utf-8"))
        lemmatizer = Lemmatizer()
        self._speller = Speller(tables["words"][: tables["seen_words"]], tables["common_words"], lemmatizer)
        self._words = Words(tables["learned_words"], lemmatizer)
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
            tokens, spans = tokenize(text)
            for piece in _pieces(self._speller(tokens, text, spans), spans):
                owners.append(number)
                pieces.append(piece)
        labelled = self._network.label([tokens for tokens, _ in pieces])
        graphs = [SceneGraph()] * len(texts)
        for owner, (tokens, spans), pairs in zip(owners, pieces, labelled, strict=True):
            confidence = self._calibration.of(len(tokens))
            graph = decode(tokens, pairs, self._words, text=texts[owner], spans=spans, calibration=confidence)
            graphs[owner] = _joined(graphs[owner], graph)
        return graphs


class Calibration:
    """Probability that a fact is true of its caption, by kind of fact and the network's own probability.

    A step function for each kind, in short captions and in long ones, so that the last bits of the network's
    floating-point sums never show.
    """

    def __init__(self, steps: dict[str, dict[str, dict[str, list[float]]]]) -> None:
        self._steps = {
            length: {kind: (np.array(step["from"]), step["confidence"]) for kind, step in kinds.items()}
            for length, kinds in steps.items()
        }

    def of(self, tokens: int) -> Callable[[str, float], float]:
        """The function from kind and probability to confidence, for captions of so many tokens."""
        steps = self._steps[caption_length(tokens)]

        def confidence(kind: str, score: float) -> float:
            starts, values = steps[kind]
            return values[max(0, int(starts.searchsorted(score, "right")) - 1)]

        return confidence


def caption_length(tokens: int) -> str:
    return "short" if tokens <= SHORT_CAPTION else "long"


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
        self._forget_words(0)

    def label(self, captions: Sequence[list[str]]) -> list[Pairs]:
        """Labelled token pairs of the captions."""
        labelled = [Pairs() for _ in captions]
        order = sorted((n for n, tokens in enumerate(captions) if tokens), key=lambda n: len(captions[n]))
        if not order:
            return labelled
        row_of = self._look_up([captions[number] for number in order])
        rows = [[row_of[token] for token in captions[number]] for number in order]
        for start in range(0, len(order), CAPTIONS_PER_BATCH):
            batch = slice(start, start + CAPTIONS_PER_BATCH)
            encoded = self._encode(self._gates, rows[batch])
            active = np.zeros(encoded.shape[:2], bool)
            for number, row in enumerate(rows[batch]):
                active[number, : len(row)] = self._active[row]
            lengths = np.array([len(row) for row in rows[batch]])
            self._label_batch(encoded, active, lengths, [labelled[number] for number in order[batch]])
        return labelled

    def _look_up(self, captions: Sequence[Sequence[str]]) -> dict[str, int]:
        """Rows in ``self._gates`` of the captions' words; those of earlier captions stay there until it is full."""
        words = dict.fromkeys(token for tokens in captions for token in tokens)
        new = [word for word in words if word not in self._row_of]
        if len(self._row_of) + len(new) > self._gates.shape[1]:
            new = list(words)
            self._forget_words(len(new))
        start = len(self._row_of)
        self._row_of.update(zip(new, range(start, start + len(new)), strict=True))
        for first in range(0, len(new), WORDS_PER_BLOCK):
            block = new[first : first + WORDS_PER_BLOCK]
            rows = slice(start + first, start + first + len(block))
            vectors = self._vectors[numbers(block, self._vector_rows)] * self._vector_scales
            spelled = self._spelling[np.array([spelling(word) for word in block])].reshape(len(block), -1)
            parts = [self._word[numbers(block, self._vocabulary)], spelled, np.maximum(self._vector(vectors), 0)]
            both = self._into_gates(np.concatenate(parts, 1).astype(np.float32))
            self._gates[:, rows] = np.stack(np.split(both, 2, axis=1))
            self._active[rows] = [word not in self._idle for word in block]
        return self._row_of

    def _forget_words(self, least: int) -> None:
        """Room for words and what each adds to the gates of both directions before any context [2, words, gates]."""
        rows = max(WORDS_KEPT, least)
        self._row_of: dict[str, int] = {}
        self._gates = np.empty((2, rows, 4 * self._recurrent.shape[1]), np.float32)
        self._active = np.empty(rows, bool)

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
        logits = np.empty((len(rows), len(ARCS)), np.float32)
        for start in range(0, len(rows), PAIRS_PER_BLOCK):
            block = slice(start, start + PAIRS_PER_BLOCK)
            i, j = first[block], second[block]
            pairs = np.empty((len(i), width + width // 2), np.float32)
            summed = head.take(i, axis=0)
            summed += other.take(j, axis=0)
            summed += self._arc_distance.take(distances[block], axis=0)
            np.maximum(summed, 0, out=pairs[:, :width])
            np.multiply(product_head.take(i, axis=0), product_other.take(j, axis=0), out=pairs[:, width:])
            logits[block] = self._arc_out(pairs)
        diagonal = first == second
        logits[~diagonal, THING] = -np.inf
        logits[diagonal, NONE + 1 : RELATION] = -np.inf
        arcs = with_likely_heads(logits, logits.argmax(-1), second)
        arcs = with_second_chance(logits, arcs, rows, len(labelled))
        (found,) = np.nonzero(arcs)
        kinds = arcs[found]
        scores = _softmax(logits[found])[np.arange(len(found)), kinds]
        relations: list[tuple[int, int, int]] = []
        columns = (rows[found], heads[found], others[found], kinds, scores)
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
        width = self._width
        row, head, other = np.array(relations).T
        joined = self._relation_in(encoded[row, head]) + self._relation_other_in(encoded[row, other])
        label = joined[:, :width] + self._label_distance[_distances(other, head)]
        probabilities = _softmax(self._label_out(np.maximum(label, 0)))
        best = probabilities.argmax(-1)
        score = probabilities.max(-1)
        (copied,) = np.nonzero(best == self._labels.index(COPIED))
        parts = (part[copied] for part in (row, head, other, joined[:, width:]))
        copies = self._copies(encoded, lengths, *parts) if len(copied) else np.empty((0, encoded.shape[1]), np.float32)
        chosen = copies > 0
        nothing = ~chosen.any(-1)
        chosen[nothing, copies[nothing].argmax(-1)] = True  # what is least unlikely
        least = np.where(chosen, copies, np.inf).min(-1, initial=30.0)
        score[copied] /= 1 + np.exp(-np.maximum(least, -30))
        tokens_of: dict[int, list[int]] = {index: [] for index in copied.tolist()}
        for index, token in zip(copied[chosen.nonzero()[0]].tolist(), chosen.nonzero()[1].tolist(), strict=True):
            tokens_of[index].append(token)
        for index, ((number, i, j), name, value) in enumerate(
            zip(relations, best.tolist(), score.tolist(), strict=True)
        ):
            pairs = labelled[number]
            pairs.predicates[i, j] = self._labels[name]
            pairs.predicate_scores[i, j] = value
            if index in tokens_of:
                pairs.copied[i, j] = tuple(tokens_of[index])

    def _copies(
        self,
        encoded: np.ndarray,
        lengths: np.ndarray,
        row: np.ndarray,
        head: np.ndarray,
        other: np.ndarray,
        joined: np.ndarray,
    ) -> np.ndarray:
        """Logits that tokens are copied into the predicates of relations, float32 [relations, tokens]."""
        width, longest = self._width, encoded.shape[1]
        position = np.arange(longest)[None]
        rows, where = np.unique(row, return_inverse=True)
        tokens = self._copy_token(encoded[rows].reshape(len(rows) * longest, -1)).reshape(len(rows), longest, width)
        weight, bias = self._copy_out
        logits = np.empty((len(row), longest), np.float32)
        for start in range(0, len(row), RELATIONS_PER_BLOCK):
            block = slice(start, start + RELATIONS_PER_BLOCK)
            copy = tokens.take(where[block], axis=0)
            copy += joined[block, None]
            copy += self._copy_from_head.take(_distances(position, head[block, None]), axis=0)
            copy += self._copy_from_other.take(_distances(position, other[block, None]), axis=0)
            np.maximum(copy, 0, out=copy)
            copy *= weight
            copy.sum(-1, out=logits[block])
        logits += bias
        logits[position >= lengths[row][:, None]] = -np.inf
        logits[np.arange(len(row)), head] = -np.inf
        logits[np.arange(len(row)), other] = -np.inf
        return logits


def with_likely_heads(logits: np.ndarray, arcs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The arcs of pairs, and for words that surely belong to some word, though it is doubtful to which, the likeliest.

    Of "a girl talking on a phone in the city" the girl may be in the city, or the phone, or the talk: each reading is
    less likely than none, all together are not.

    Args:
        logits: of the arcs of pairs, float32 [pairs, arcs].
        arcs: the best arc of each pair.
        others: the second token of each pair, numbered over all captions.
    """
    owned = np.bincount(others, (arcs != NONE) & (arcs != THING), others.max(initial=0) + 1) > 0
    best = np.maximum(logits[:, ATTRIBUTE], logits[:, RELATION])
    (doubtful,) = np.nonzero(~owned[others] & (best > logits[:, NONE] - _NEGLIGIBLE))
    words = others[doubtful]
    statements = _softmax(logits[doubtful])[:, [ATTRIBUTE, RELATION]]
    likely = statements.sum(-1)
    together = np.bincount(words, likely, len(owned))
    order = np.lexsort((likely, words))  # the last pair of each word is its likeliest
    last = order[np.append(words[order][1:] != words[order][:-1], True)[: len(order)]]
    chosen = last[(together[words[last]] > LIKELY_HEADS) & (likely[last] > LEAST_LIKELY_HEAD)]
    arcs[doubtful[chosen]] = np.where(statements[chosen].argmax(-1), RELATION, ATTRIBUTE)
    return arcs


def with_second_chance(logits: np.ndarray, arcs: np.ndarray, rows: np.ndarray, captions: int) -> np.ndarray:
    """The arcs of pairs, and for captions that would state nothing the attributes and relations that are likely enough.

    Args:
        logits: of the arcs of pairs, float32 [pairs, arcs].
        arcs: the best arc of each pair.
        rows: the caption of each pair.
        captions: how many there are.
    """
    stating = np.zeros(captions, bool)
    stating[rows[(arcs == ATTRIBUTE) | (arcs == RELATION)]] = True
    (doubtful,) = np.nonzero(~stating[rows])
    statements = _softmax(logits[doubtful])[:, [ATTRIBUTE, RELATION]]
    likely = statements.max(-1) > SECOND_CHANCE_FROM
    arcs[doubtful[likely]] = np.where(statements[likely].argmax(-1), RELATION, ATTRIBUTE)
    return arcs


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
