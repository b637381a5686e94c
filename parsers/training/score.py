"""How right predicted graphs are."""

from collections.abc import Callable, Sequence

from parsers.training.data import Fact


def normalised(facts: Sequence[Fact], noun: Callable[[str], str]) -> set[Fact]:
    """Facts with every word but ``is`` in the singular, as FACTUAL's evaluator has them."""
    return {tuple(part if part == "is" else " ".join(map(noun, part.split())) for part in fact) for fact in facts}


def precision_recall(
    found: Sequence[Sequence[Fact]], gold: Sequence[Sequence[Fact]], noun: Callable[[str], str]
) -> dict[str, float]:
    """Precision, recall and set match of facts over all captions, in percent; exact but for noun number."""
    correct = predicted = labelled = same = 0
    for ours, theirs in zip(found, gold, strict=True):
        a, b = normalised(ours, noun), normalised(theirs, noun)
        correct += len(a & b)
        predicted += len(a)
        labelled += len(b)
        same += a == b
    return {
        "precision": 100 * correct / max(1, predicted),
        "recall": 100 * correct / max(1, labelled),
        "set_match": 100 * same / max(1, len(found)),
        "spice": _spice(found, gold, noun),
    }


def _spice(found: Sequence[Sequence[Fact]], gold: Sequence[Sequence[Fact]], noun: Callable[[str], str]) -> float:
    """Mean F1 of objects, attributes and relations as tuples (Anderson et al. 2016), without its synonyms."""

    def tuples(facts: Sequence[Fact]) -> set[Fact]:
        entries: set[Fact] = set()
        for fact in normalised(facts, noun):
            entries.add((fact[0],))
            if len(fact) == 3 and fact[1] == "is":
                entries.add((fact[0], fact[2]))
            elif len(fact) == 3:
                entries.update([(fact[2],), fact])
        return entries

    total = 0.0
    for ours, theirs in zip(found, gold, strict=True):
        a, b = tuples(ours), tuples(theirs)
        total += 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0
    return 100 * total / max(1, len(found))
