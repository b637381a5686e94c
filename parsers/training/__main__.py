"""Trains the compact parser from labelled captions and captions without labels, and writes its artefact.

    python -m parsers.training --factual DIR --captions FILE [FILE ...] --out DIR

``--factual`` has FACTUAL's ``train.csv`` (Li et al., ACL 2023 Findings); this project's own labels are in
``parsers/data/web``. The captions are Conceptual Captions' ``caption<TAB>url`` or Flickr8k's ``*.token.txt``; those
with labels are left out. Steps: align people's graphs to tokens; train the student on them; let it, earlier students
(``--earlier``) and a tuned MiniLM (``--teacher-epochs``) read all captions together; train the student on what they
say (Furlanello et al., ICML 2018, with more than one teacher); fit its confidences on captions that no step has seen.
No dev set is learned from: ``python -m benchmarks.parser`` measures on them.
"""

import argparse
import json
import os
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, by torch: on a busy machine spinning threads starve

import torch

from parsers.compact import CompactParser
from parsers.encoding import Pairs
from parsers.features import WORD_VECTOR
from parsers.lemmas import Lemmatizer
from parsers.tokens import tokenize
from parsers.training import artefact, calibrate, loop, student, teacher
from parsers.training.align import Aligner, idle_words
from parsers.training.data import Example, Fact, read_captions, read_factual, read_web, usable
from parsers.training.network import Student

WEB = Path(__file__).parents[1] / "data" / "web"

Row = tuple[list[str], list[Fact]]


@dataclass(frozen=True)
class Config:
    """What the artefact depends on besides its data.

    Attributes:
        teacher_layers: of MiniLM's six.
        teacher_epochs: of MiniLM on people's labels; none where it is to be no teacher.
        student_epochs: of the student on people's labels alone.
        taught_epochs: of the student after those, with what the teachers say of all captions.
        web_repeats: times that the project's own labels are seen in an epoch.
        web_weight: how much one of them counts each time, where one of FACTUAL's counts 1.
        silver_captions: unlabelled captions that the teachers label, at most; those of the first file come first.
        silver_weight: how much one of them counts.
        trust: the teachers' share in what the student learns of captions with people's labels.
        held_factual: captions of FACTUAL's train set kept out of training to fit confidences.
        held_web: likewise of the web labels.
        threads: of MiniLM's training; the student's matrices are too small for more than one.
    """

    seed: int = 0
    teacher_layers: int = 3
    teacher_epochs: int = 4
    student_epochs: int = 6
    taught_epochs: int = 5
    web_repeats: int = 2
    web_weight: float = 1.5
    silver_captions: int = 16_000
    silver_weight: float = 0.7
    trust: float = 0.5
    held_factual: int = 800
    held_web: int = 300
    threads: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factual", type=Path, required=True, help="folder with FACTUAL's train.csv")
    parser.add_argument("--captions", type=Path, nargs="+", required=True, help="captions without labels")
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="artefacts of earlier students that teach")
    parser.add_argument("--out", type=Path, required=True, help="folder of the artefact")
    for name, default in asdict(Config()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args())
    config = Config(**{name: given[name] for name in asdict(Config())})
    train_artefact(given["factual"], given["captions"], given["earlier"], given["out"], config)


def train_artefact(factual: Path, captions: Sequence[Path], earlier: Sequence[Path], out: Path, config: Config) -> None:
    """Everything from files to the artefact in ``out``."""
    torch.set_num_threads(1)
    lemmatizer = Lemmatizer()
    factual_rows, web_rows = read_factual(factual / "train.csv"), read_web(WEB / "train.tsv")
    unlabelled = _unlabelled(captions, {*_texts(web_rows), *_texts(read_web(WEB / "dev.tsv"))}, config)

    aligner = Aligner(lemmatizer)
    labels = aligner.learn(factual_rows)
    learned_words = aligner.learned_words(factual_rows + web_rows)
    factual_rows, held_factual = _split(factual_rows, config.held_factual, config.seed)
    web_rows, held_web = _split(web_rows, config.held_web, config.seed)
    by_hand = _examples(aligner, factual_rows), _examples(aligner, web_rows, config.web_weight)
    labelled = by_hand[0] + by_hand[1] * config.web_repeats
    silver = [Example(tokens, Pairs(), [], config.silver_weight) for tokens in unlabelled]

    words = _words_with_vectors([*_tokens(factual_rows), *_tokens(web_rows), *unlabelled])
    vectors = teacher.word_vectors(words, WORD_VECTOR)
    vocabulary, counts = student.vocabulary(labelled + silver)
    torch.manual_seed(config.seed)
    network = Student(len(vocabulary) + 1, len(labels))
    inputs = student.Inputs(vocabulary, counts, dict(zip(words, vectors, strict=True)), random.Random(config.seed))
    student.fit(network, inputs, labelled, labels, epochs=config.student_epochs, seed=config.seed)

    readers = [student.reader(network, inputs, labels), *map(student.earlier, earlier)]
    if config.teacher_epochs:
        torch.set_num_threads(config.threads)
        tuned = teacher.build(len(labels), config.teacher_layers)
        teacher.tune(tuned, labelled, labels, epochs=config.teacher_epochs, seed=config.seed)
        readers.append(teacher.reader(tuned, labels))
        torch.set_num_threads(1)
    read = [loop.read(readers, examples, labels, trust=config.trust) for examples in by_hand]
    taught = read[0] + read[1] * config.web_repeats + loop.read(readers, silver, labels)
    torch.manual_seed(config.seed)
    student.fit(network, inputs, taught, labels, epochs=config.taught_epochs, seed=config.seed)

    tables: dict[str, Any] = {
        "words": list(vocabulary),
        "seen_words": sum(count >= student.KNOWN_FROM for count in counts),
        "common_words": sum(count >= student.COMMON_FROM for count in counts),
        "vectors": words,
        "labels": labels,
        "idle_words": idle_words(labelled),
        "learned_words": learned_words,
        "calibration": calibrate.IDENTITY,
    }
    about = {"config": json.dumps(asdict(config)), "earlier": " ".join(map(artefact.checksum, earlier))}
    artefact.write(out, network, tables, vectors, about)
    tables["calibration"] = calibrate.fit(CompactParser(out), held_factual + held_web, lemmatizer.noun)
    artefact.write(out, network, tables, vectors, about)


def _unlabelled(paths: Sequence[Path], labelled: set[str], config: Config) -> list[list[str]]:
    chosen: list[list[str]] = []
    rng = random.Random(config.seed)
    for path in paths:
        captions = [tokenize(caption)[0] for caption in dict.fromkeys(read_captions(path))]
        captions = [tokens for tokens in captions if tokens and " ".join(tokens) not in labelled]
        rng.shuffle(captions)
        chosen += captions[: config.silver_captions - len(chosen)]
    return [example.tokens for example in usable(Example(tokens, Pairs(), []) for tokens in chosen)]


def _words_with_vectors(captions: Sequence[Sequence[str]]) -> list[str]:
    """Words of the captions and all whole words of the teacher's vocabulary."""
    pieces = (files(teacher.PACKAGE) / "model" / "vocab.txt").read_text(encoding="utf-8").split()
    whole = {piece for piece in pieces if piece.isalpha() and piece.isascii() and len(piece) > 2}
    return sorted(whole.union(*captions))


def _split(rows: list[Row], held: int, seed: int) -> tuple[list[Row], list[Row]]:
    """The rows without ``held`` drawn ones, and those."""
    drawn = set(random.Random(seed).sample(range(len(rows)), held))
    return (
        [row for number, row in enumerate(rows) if number not in drawn],
        [row for number, row in enumerate(rows) if number in drawn],
    )


def _examples(aligner: Aligner, rows: Sequence[Row], weight: float = 1.0) -> list[Example]:
    return usable(Example(tokens, aligner.pairs(tokens, facts), facts, weight) for tokens, facts in rows)


def _tokens(rows: Sequence[Row]) -> list[list[str]]:
    return [tokens for tokens, _ in rows]


def _texts(rows: Sequence[Row]) -> set[str]:
    return {" ".join(tokens) for tokens, _ in rows}


if __name__ == "__main__":
    main()
