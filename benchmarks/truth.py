"""How many mined triplets are true, by graphs that people wrote of captions the parser was not trained on.

    python -m benchmarks.truth                                       compact on FACTUAL dev and web dev, pooled
    python -m benchmarks.truth --context train:12000 --triplets 90000            the same in a larger collection
    python -m benchmarks.truth --parser spacy --gold train:10000 --min-confidence 0 0.5 0.7 --examples 20

The captions are parsed once and mined, once for every confidence asked for; then the gold
graphs of a triplet's images judge it. A caption is an image of its own. Few captions give triplets of few things, so
others (``--context``) may be mined along: then only triplets whose target is of ``--gold`` are judged, and a parser
that was trained on the context is judged on facts that it has not seen, while references and distractors may be of
captions that it has.

Words of captions and of gold graphs are compared like this, and in no other way: a thing by the last word of its name
(hyphens are spaces), that word in the form of ``filters.hierarchy.canonical_name``, which folds number, spelling and
synonyms and keeps a dog apart from an animal; a value by its canonical name as a whole, where a value of one word also
equals one that ends in that word ("blue" and "dark blue", but not "dark blue" and "light blue"). What a condition asks
for, a kind of it is too ("puppy" for "dog"), for targets and against references alike; a subject's kinds are not it.

A gold graph *has the subject* when it names the thing. It *satisfies the condition* of a subject when
- relation: a relation holds between subject and object, by any predicate and in either direction;
- change_attribute, focus_attribute: it gives the subject the target's value;
- change_object, focus_object: it names the thing (the subject is the place);
- composite: both conditions hold of the subject.

A triplet is *confirmed* when the gold graph of the target has the subject and satisfies the condition, the gold graph
of the reference has the subject and, in the focus kinds, satisfies the condition, in the others does not; and, for
relation, the gold graph of the text distractor names the object and belongs to a third image.

The *image distractor* is right when its gold graph has the subject and does not satisfy the condition; it is no part
of being confirmed. Nor is, except as said of relation, the *text distractor*: it is right when its gold graph satisfies
the condition for its own subject and lacks the triplet's (for relation: names the object and lacks the subject).

The share must not be bought with triviality, so entropy of subjects and of conditions (as written in the triplet) and
the share of the 50 most frequent conditions stand beside those of as many triplets mined without any filter. Triplets
of one target fact are true or false together: "facts" counts those, and is what a margin of error goes by.
"""

import argparse
import csv
import dataclasses
import itertools
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from filters.hierarchy import canonical_name, is_a
from parsers.notation import read_facts
from parsers.registry import PARSERS
from pipeline.config import FOCUS_KINDS, KINDS, MiningConfig, load, preset, with_kinds
from pipeline.job import Job
from pipeline.runner import Runner, parse_beam_options

ROOT = Path(__file__).parents[1]
WEB = ROOT / "parsers" / "data" / "web"
FACTUAL = ROOT.parent / "shared" / "data" / "factual"
TRAINED_ON = {"compact": ("train", "web-train"), "factual-t5": ("train",)}
"""Gold files that learned parsers have seen; what they get on those says nothing."""

FREQUENT = 50
PARTITIONS = 4

Row = Mapping[str, Any]
Condition = tuple[tuple[str, str], ...]
"""What must hold of a subject, all of it: ("relates", thing), ("is", value) or ("beside", thing)."""


@dataclasses.dataclass(frozen=True)
class Gold:
    """What a gold graph says, by the names that words are compared by.

    Attributes:
        things: all things that it names.
        related: pairs of things that a relation holds between.
        values: of every thing its values.
    """

    things: frozenset[str]
    related: frozenset[frozenset[str]]
    values: dict[str, frozenset[str]]

    @classmethod
    def read(cls, notation: str) -> "Gold":
        """The graph in FACTUAL's notation."""
        things: set[str] = set()
        related: set[frozenset[str]] = set()
        values: dict[str, set[str]] = {}
        for subject, *rest in read_facts(notation.lower()):
            things.add(thing(subject))
            if rest and rest[0] == "is":
                values.setdefault(thing(subject), set()).add(canonical_name(rest[1]))
            elif rest:
                things.add(thing(rest[1]))
                related.add(frozenset((thing(subject), thing(rest[1]))))
        return cls(frozenset(things), frozenset(related), {name: frozenset(found) for name, found in values.items()})

    def has(self, subject: str) -> bool:
        """Whether the graph names the thing."""
        return thing(subject) in self.things

    def shows(self, name: str) -> bool:
        """Whether the graph names the thing or a kind of it."""
        return self.has(name) or any(is_a(found, name) for found in self.things)

    def satisfies(self, subject: str, condition: Condition) -> bool:
        """Whether all of the condition holds of the subject."""
        return all(self._holds(thing(subject), how, what) for how, what in condition)

    def _holds(self, subject: str, how: str, what: str) -> bool:
        if how == "is":
            return any(same_value(what, value) or is_a(value, what) for value in self.values.get(subject, ()))
        if how == "beside":
            return self.shows(what)
        others = {other for pair in self.related if subject in pair for other in (pair - {subject} or pair)}
        return thing(what) in others or any(is_a(other, what) for other in others)


@lru_cache(1 << 16)
def thing(name: str) -> str:
    """What things are compared by: the last word, in the singular, one of several synonyms."""
    last = canonical_name(name.replace("-", " ")).rpartition(" ")[2]
    return canonical_name(last).rpartition(" ")[2]


@lru_cache(1 << 16)
def same_value(name: str, other: str) -> bool:
    """Whether two values say the same, or one says more precisely what the other says in a word."""
    name, other = canonical_name(name), canonical_name(other)
    return name == other or name.rpartition(" ")[2] == other or other.rpartition(" ")[2] == name


def condition_of(row: Row) -> Condition:
    """What a triplet asks of its subject, by the columns of the triplets table."""
    if row["kind"] in ("change_object", "focus_object"):
        return (("beside", row["condition"]),)
    said = [
        ("is", row[f"{role}_attribute"]) if row[f"{role}_attribute"] else ("relates", row[f"{role}_object"])
        for role in ("target", "target_second")
        if row[f"{role}_attribute"] or row[f"{role}_object"]
    ]
    *others, (how, own) = said  # of two facts it is the second that may be put in a general word
    return (*others, (how, row["general"] or own))


def fault(row: Row, gold: Mapping[str, Gold]) -> str | None:
    """Why the gold graphs do not confirm a triplet, the first reason that holds; None where they do."""
    subject, condition = row["subject"], condition_of(row)
    reference, target, text = (gold[row[f"{role}_id"]] for role in ("reference", "target", "text_distractor"))
    if not target.has(subject):
        return "subject not in gold target"
    if not target.satisfies(subject, condition):
        return "fact not in gold target"
    if not reference.has(subject):
        return "subject not in gold reference"
    focus = row["kind"] in FOCUS_KINDS
    if reference.satisfies(subject, condition) != focus:
        return "fact not in gold reference" if focus else "reference has the fact in gold"
    if row["kind"] == "relation":
        if not text.shows(row["general"] or row["target_object"]):
            return "object not in gold text distractor"
        if row["text_distractor_id"] in (row["reference_id"], row["target_id"]):
            return "text distractor is not a third image"
    return None


def image_distractor_fault(row: Row, gold: Mapping[str, Gold]) -> str | None:
    """What is wrong with a triplet's image distractor; None where it is right."""
    graph = gold[row["image_distractor_id"]]
    if not graph.has(row["subject"]):
        return "image distractor lacks the subject"
    return "image distractor has the fact" if graph.satisfies(row["subject"], condition_of(row)) else None


def text_distractor_fault(row: Row, gold: Mapping[str, Gold]) -> str | None:
    """What is wrong with a triplet's text distractor; None where it is right."""
    graph = gold[row["text_distractor_id"]]
    if graph.has(row["subject"]):
        return "text distractor has the subject"
    if row["kind"] == "relation":
        right = graph.shows(row["general"] or row["target_object"])
    else:
        right = graph.satisfies(row["text_distractor_subject"], condition_of(row))
    return None if right else "text distractor lacks the fact"


def entropy(names: Sequence[Hashable]) -> float:
    """Bits of the distribution that the names are a sample of, as the sample has it."""
    share = np.array(list(Counter(names).values()), float) / max(len(names), 1)
    return float((share * np.log2(1 / share)).sum())


def head_share(names: Sequence[Hashable]) -> float:
    """Share of the most frequent of the names, :data:`FREQUENT` of them."""
    return sum(count for _, count in Counter(names).most_common(FREQUENT)) / max(len(names), 1)


def main() -> None:
    given = _parse_arguments()
    logging.disable(logging.WARNING)  # of Beam
    judged = dict(_read_gold(given.gold, given.factual))
    everything = dict(_read_gold(given.context, given.factual)) | judged
    gold = {image: graph for image, (_, graph) in everything.items()}
    console = Console(width=150)
    context = f", mined along with {', '.join(given.context)}" if given.context else ""
    console.print(f"parser {given.parser}, {len(judged):,} captions of {', '.join(given.gold)}{context}")
    seen = [name for name in given.gold if name.partition(":")[0] in TRAINED_ON.get(given.parser, ())]
    if seen:
        console.print(f"[bold]not honest[/bold]: {given.parser} was trained on {', '.join(seen)}; only dev and web-dev "
                      "tell how it does on captions that it has not seen")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="facetmine-truth-") as folder:
        file = Path(folder) / "captions.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(
                [("image_id", "caption"), *((image, caption) for image, (caption, _) in everything.items())]
            )
        job = Job(f"{folder}/out", Runner(parse_beam_options([])))
        job.read([str(file)], "csv", PARTITIONS)
        job.parse(given.parser)
        config = load(given.config) if given.config else preset("default")
        if given.kinds:
            config = with_kinds(config, tuple(given.kinds))
        config = dataclasses.replace(config, triplets=given.triplets, seed=given.seed)
        anything = dataclasses.replace(
            config, visible_only=False, min_concreteness=0.0, min_confidence=0.0, min_visual_strength=0.0,
            max_ambiguity=float("inf"),
        )  # fmt: skip
        unfiltered, _ = _mine(job, anything, judged)
        if given.min_concreteness is not None:
            config = dataclasses.replace(config, min_concreteness=given.min_concreteness)
        for least in given.min_confidence or [config.min_confidence]:
            triplets, notes = _mine(job, dataclasses.replace(config, min_confidence=least), judged)
            console.print(f"\nmin_confidence {least:g}; {'; '.join(notes)}")
            show(console, triplets, unfiltered, gold)
            show_causes(console, triplets, gold)
            show_examples(console, triplets, gold, given.examples, given.seed)


def show(console: Console, triplets: Sequence[Row], unfiltered: Sequence[Row], gold: Mapping[str, Gold]) -> None:
    """The table of shares and of entropies, a row a kind."""
    table = Table(
        "kind", "triplets", "facts", "confirmed %", "image distractor right %", "text distractor right %",
        "subjects, bits (unfiltered)", "conditions, bits (unfiltered)", f"{FREQUENT} conditions % (unfiltered)",
    )  # fmt: skip
    for kind in KINDS:
        ours = [row for row in triplets if row["kind"] == kind]
        theirs = [row for row in unfiltered if row["kind"] == kind]
        if not ours:
            continue
        shares = [
            np.mean([judge(row, gold) is None for row in ours])
            for judge in (fault, image_distractor_fault, text_distractor_fault)
        ]
        counts = len(ours), len({(row["target_id"], row["subject"], row["condition"]) for row in ours})
        size = min(len(ours), len(theirs))  # entropy of a sample grows with the sample
        ours, theirs = (random.Random(0).sample(rows, size) for rows in (ours, theirs))
        beside = [_beside(measure, [[row[name] for row in rows] for rows in (ours, theirs)]) for measure, name in (
            (entropy, "subject"), (entropy, "condition"), (lambda names: 100 * head_share(names), "condition"))
        ]  # fmt: skip
        table.add_row(kind, *(f"{count:,}" for count in counts), *(f"{100 * share:.1f}" for share in shares), *beside)
    console.print(table)


def _beside(measure: Callable[[Sequence[Hashable]], float], samples: Sequence[Sequence[Hashable]]) -> str:
    ours, theirs = map(measure, samples)
    return f"{ours:.2f} ({theirs:.2f})"


def show_causes(console: Console, triplets: Sequence[Row], gold: Mapping[str, Gold]) -> None:
    """How many triplets of each kind are false for which reason."""
    causes: Counter[tuple[str, str]] = Counter()
    for row in triplets:
        for judge in (fault, image_distractor_fault, text_distractor_fault):
            if cause := judge(row, gold):
                causes[cause, row["kind"]] += 1
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in triplets)]
    table = Table("false because", *kinds)
    for cause in dict.fromkeys(cause for (cause, _), _ in causes.most_common()):
        table.add_row(cause, *(f"{causes[cause, kind]:,}" for kind in kinds))
    console.print(table)


def show_examples(console: Console, triplets: Sequence[Row], gold: Mapping[str, Gold], count: int, seed: int) -> None:
    """As many random false triplets of each kind."""
    for kind in KINDS if count else ():
        false = [row for row in triplets if row["kind"] == kind and fault(row, gold)]
        for row in random.Random(seed).sample(false, min(count, len(false))):
            console.print(
                f"{kind}: {row['subject']} | {row['condition']} | {fault(row, gold)}\n"
                f"    reference {row['reference_caption']}\n    target    {row['target_caption']}\n"
                f"    text      {row['text_distractor_caption']}", markup=False, highlight=False,
            )  # fmt: skip


def _parse_arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--parser", default="compact", choices=sorted(PARSERS), help="default: %(default)s")
    parser.add_argument(
        "--gold", nargs="+", default=["dev", "web-dev"], metavar="NAME[:ROWS]",
        help="captions with gold graphs, pooled: dev, train or another csv file of --factual by its name, web-dev or "
        "web-train; of each the first ROWS (default: dev web-dev)",
    )  # fmt: skip
    parser.add_argument(
        "--context", nargs="+", default=[], metavar="NAME[:ROWS]",
        help="more such captions, mined along for references and distractors; their triplets are not judged",
    )  # fmt: skip
    parser.add_argument(
        "--factual", type=Path, default=FACTUAL, metavar="DIR",
        help="csv files with columns caption and scene_graph (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="mining configuration (default: the default preset)"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, metavar="KIND", help="default: those of the configuration")
    parser.add_argument("--triplets", type=int, default=9000, help="of all kinds together (default: %(default)s)")
    parser.add_argument(
        "--min-confidence", type=float, nargs="+", metavar="SHARE",
        help="least confidence of facts, one after the other (default: the configuration's)",
    )  # fmt: skip
    parser.add_argument("--min-concreteness", type=float, metavar="1..5", help="default: the configuration's")
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="show N false triplets of each kind")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _read_gold(names: Sequence[str], factual: Path) -> Iterator[tuple[str, tuple[str, Gold]]]:
    """Image id (name of the file and number of the row), caption and gold graph of every image."""
    for name, _, rows in (name.partition(":") for name in names):
        web = name.startswith("web-")
        path = WEB / f"{name.removeprefix('web-')}.tsv" if web else factual / f"{name}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            read = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if web else csv.DictReader(file)
            for number, row in enumerate(itertools.islice(read, int(rows) if rows else None)):
                yield f"{name}-{number}", (row["caption"], Gold.read(row["scene_graph"]))


def _mine(job: Job, config: MiningConfig, targets: Container[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The triplets that the job's facts give, those of the targets, and what the mine stage notes."""
    notes = job.mine(config).notes
    triplets = pa.concat_tables([job.store.read_table(file.path) for file in job.write().files]).to_pylist()
    return [row for row in triplets if row["target_id"] in targets], notes


if __name__ == "__main__":
    main()
