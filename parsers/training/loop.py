"""What training the teacher and the student have in common."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from parsers.encoding import COPIED, NONE, RELATION, THING, Pairs
from parsers.training.data import Example
from parsers.training.network import Heads, loss

AVERAGE_DECAY = 0.998
"""Of the moving average of the weights, which is what is kept."""


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


def predict(
    heads: Heads,
    encode: Callable[[Sequence[list[str]]], Tensor],
    captions: Sequence[list[str]],
    labels: Sequence[str],
    batch: int = 128,
) -> list[tuple[Pairs, np.ndarray]]:
    """Labelled pairs of captions and their arc probabilities, float16 [tokens, tokens, arcs]; networks in eval mode."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for number, tokens in enumerate(captions):
        by_length[len(tokens)].append(number)
    predicted: dict[int, tuple[Pairs, np.ndarray]] = {}
    with torch.inference_mode():
        for length, numbers in by_length.items():
            for start in range(0, len(numbers) if length else 0, batch):
                chosen = numbers[start : start + batch]
                encoded = encode([captions[number] for number in chosen])
                found = _label(heads, encoded, labels)
                predicted.update(zip(chosen, found, strict=True))
    nothing = (Pairs(), np.zeros((0, 0, 0), np.float16))
    return [predicted.get(number, nothing) for number in range(len(captions))]


def _label(heads: Heads, encoded: Tensor, labels: Sequence[str]) -> Iterator[tuple[Pairs, np.ndarray]]:
    logits = heads.arcs(encoded)
    diagonal = torch.eye(logits.shape[1], dtype=torch.bool)
    logits[..., THING].masked_fill_(~diagonal, -1e4)
    logits[..., NONE + 1 : THING].masked_fill_(diagonal[..., None], -1e4)
    probabilities = logits.softmax(-1)
    scores, arcs = probabilities.max(-1)
    pairs = [Pairs() for _ in encoded]
    for row, head, other in arcs.nonzero().tolist():
        pairs[row].arcs[head, other] = int(arcs[row, head, other])
        pairs[row].arc_scores[head, other] = float(scores[row, head, other])
    relations = (arcs == RELATION).nonzero()
    if len(relations):
        predicate, copy = heads.predicates(encoded, *relations.T)
        predicate, copy = predicate.softmax(-1), copy.sigmoid()
        for index, (row, head, other) in enumerate(relations.tolist()):
            score, label = predicate[index].max(0)
            pairs[row].predicates[head, other] = labels[int(label)]
            if labels[int(label)] == COPIED:
                copy[index, [head, other]] = 0
                chosen = (copy[index] > 0.5).nonzero()[:, 0].tolist() or [int(copy[index].argmax())]
                pairs[row].copied[head, other] = tuple(chosen)
                score = score * copy[index, chosen].min()
            pairs[row].predicate_scores[head, other] = float(score)
    return zip(pairs, probabilities.half().numpy(), strict=True)
