"""What training the teacher and the student have in common."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from parsers.encoding import COPIED, NONE, RELATION, THING, Pairs
from parsers.training.data import Example
from parsers.training.network import Heads, hard_arcs, hard_copies, hard_predicate, loss

AVERAGE_DECAY = 0.998
"""Of the moving average of the weights, which is what is kept."""
LEAST_KNOWN = 0.5
"""Probability of the labels that are still there from which an earlier network's predicate is taught."""


def batches(examples: Sequence[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """The examples in random batches, each of captions with the same number of tokens."""
    by_length: defaultdict[int, list[Example]] = defaultdict(list)
    for example in examples:
        by_length[len(example.tokens)].append(example)
    made = []
    for group in by_length.values():
        rng.shuffle(group)
        made += [group[start : start + size] for start in range(0, len(group), size)]
    rng.shuffle(made)
    return made


def train(
    network: nn.Module,
    encode: Callable[[Sequence[Example]], Tensor],
    examples: Sequence[Example],
    labels: dict[str, int],
    groups: list[dict],
    *,
    epochs: int,
    batch: int,
    clip: float,
    warmup: int,
    seed: int,
    after_epoch: Callable[[int], None],
) -> None:
    """Trains in place by AdamW with a linear schedule; the network ends with the moving average of its weights."""
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    steps = epochs * len(batches(examples, batch, rng))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / warmup) * max(0.02, 1 - step / steps)
    )
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE_DECAY)
    )
    heads = cast(Heads, network.heads)
    began = time.monotonic()
    for epoch in range(epochs):
        network.train()
        total = 0.0
        made = batches(examples, batch, rng)
        for chosen in made:
            value = loss(heads, encode(chosen), chosen, labels)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            total += value.item()
        print(f"epoch {epoch + 1}/{epochs} {time.monotonic() - began:.0f}s loss {total / len(made):.3f}", flush=True)
        if epoch < epochs - 1:
            after_epoch(epoch)
    network.load_state_dict(average.module.state_dict())
    after_epoch(epochs - 1)


@dataclass(frozen=True)
class Reader:
    """A trained network that labels captions for another, in eval mode.

    Attributes:
        heads: of the network.
        encode: the rest of it, from captions of equally many tokens.
        labels: of predicates, as it was trained.
    """

    heads: Heads
    encode: Callable[[Sequence[list[str]]], Tensor]
    labels: Sequence[str]


def read(
    readers: Sequence[Reader],
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    trust: float = 1.0,
    batch: int = 128,
) -> list[Example]:
    """The examples as networks read them together, with their doubts: the mean of their probabilities.

    Args:
        readers: the networks.
        examples: at least one token each.
        labels: of predicates, of the examples made.
        trust: the networks' share in what the examples become. Below 1 they have people's labels, which have the rest
            and whose pairs stay; at 1 the pairs are the networks'.
    """
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        by_length[len(example.tokens)].append(number)
    made: dict[int, Example] = {}
    number_of = {label: number for number, label in enumerate(labels)}
    with torch.inference_mode():
        for numbers in by_length.values():
            for start in range(0, len(numbers), batch):
                chosen = [examples[number] for number in numbers[start : start + batch]]
                encoded = [reader.encode([example.tokens for example in chosen]) for reader in readers]
                arcs = _mean([_arc_probabilities(reader.heads, e) for reader, e in zip(readers, encoded, strict=True)])
                read_ = [
                    replace(example, pairs=example.pairs if trust < 1 else _likeliest_arcs(probabilities))
                    for example, probabilities in zip(chosen, arcs, strict=True)
                ]
                _add_predicates(readers, encoded, read_, number_of)
                for example, probabilities in zip(read_, arcs, strict=True):
                    _mix(example, probabilities, trust, number_of)
                made.update(zip(numbers[start : start + batch], read_, strict=True))
    return [made[number] for number in range(len(examples))]


def _arc_probabilities(heads: Heads, encoded: Tensor) -> np.ndarray:
    logits = heads.arcs(encoded)
    diagonal = torch.eye(logits.shape[1], dtype=torch.bool)
    logits[..., THING].masked_fill_(~diagonal, -1e4)
    logits[..., NONE + 1 : RELATION].masked_fill_(diagonal[..., None], -1e4)
    return logits.softmax(-1).numpy()


def _likeliest_arcs(probabilities: np.ndarray) -> Pairs:
    """The best label of each pair, from [tokens, tokens, arcs]."""
    arcs = probabilities.argmax(-1)
    return Pairs({(int(head), int(other)): int(arcs[head, other]) for head, other in zip(*arcs.nonzero(), strict=True)})


def _add_predicates(
    readers: Sequence[Reader], encoded: Sequence[Tensor], examples: Sequence[Example], number_of: dict[str, int]
) -> None:
    """What the networks say of the predicates of the examples' relation pairs; as labels where these have none.

    Relations whose predicate is most likely one that ``number_of`` does not have are left out.
    """
    for example in examples:
        example.soft_predicates, example.soft_copies = {}, {}
    places = [
        (row, *pair)
        for row, example in enumerate(examples)
        for pair, arc in example.pairs.arcs.items()
        if arc == RELATION
    ]
    if not places:
        return
    labels = list(number_of)
    predicates, copies = [], []
    for reader, states in zip(readers, encoded, strict=True):
        predicate, copy = reader.heads.predicates(states, *torch.tensor(places).T)
        shared = [(number, number_of[label]) for number, label in enumerate(reader.labels) if label in number_of]
        before, after = np.array(shared).T
        moved = np.zeros((len(places), len(labels)), np.float32)
        moved[:, after] = predicate.softmax(-1).numpy()[:, before]
        predicates.append(moved)
        copies.append(copy.sigmoid().numpy())
    for (row, head, other), soft, copied in zip(places, _mean(predicates), _mean(copies), strict=True):
        example, pair = examples[row], (head, other)
        copied[[head, other]] = 0
        if pair not in example.pairs.predicates:
            if soft.sum() < LEAST_KNOWN:
                del example.pairs.arcs[pair]
                continue
            label = example.pairs.predicates[pair] = labels[int(soft.argmax())]
            if label == COPIED:
                example.pairs.copied[pair] = tuple((copied > 0.5).nonzero()[0].tolist()) or (int(copied.argmax()),)
        example.soft_predicates[pair], example.soft_copies[pair] = soft / soft.sum(), copied


def _mix(example: Example, arcs: np.ndarray, trust: float, number_of: dict[str, int]) -> None:
    """Makes the example's targets ``trust`` of what the networks say and the rest of its own labels."""
    example.soft_arcs = (trust * arcs + (1 - trust) * hard_arcs(example)).astype(np.float16)
    for pair, soft in example.soft_predicates.items():
        example.soft_predicates[pair] = trust * soft + (1 - trust) * hard_predicate(example, pair, number_of)
    for pair, soft in example.soft_copies.items():
        example.soft_copies[pair] = trust * soft + (1 - trust) * hard_copies(example, pair)


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean(arrays, axis=0)
