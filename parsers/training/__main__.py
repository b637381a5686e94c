"""Trains the compact parser from labelled captions and captions without labels, and writes its artefact.

    python -m parsers.training --factual DIR --captions FILE [FILE ...] --out DIR

``--factual`` has FACTUAL's ``train.csv`` (Li et al., ACL 2023 Findings); this project's own labels are in
``parsers/data/web``. The captions are Conceptual Captions' ``caption<TAB>url`` or Flickr8k's ``*.token.txt``; those
with labels are left out. Steps: align people's graphs to tokens; train the student on them, or begin with an earlier
one (``--start``); let it, earlier students (``--earlier``) and a tuned MiniLM (``--teacher-epochs``) read together all
captions, and people's captions with words exchanged (``parsers.training.altered``); train the student on what they say
(Furlanello et al., ICML 2018, with more than one teacher); fit its confidences (``parsers.training.calibrate``).
The networks learn from no dev set: ``python -m benchmarks.parser`` measures on them.
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

import numpy as np
import torch

from parsers.compact import CompactParser
from parsers.encoding import Pairs
from parsers.features import WORD_VECTOR
from parsers.lemmas import Lemmatizer
from parsers.tokens import tokenize
from parsers.training import artefact, calibrate, loop, student, teacher
from parsers.training.align import Aligner, Row, idle_words
from parsers.training.altered import Alterer
from parsers.training.data import Example, read_captions, read_factual, read_readings, read_web, usable
from parsers.training.network import Student

WEB = Path(__file__).parents[1] / "data" / "web"


@dataclass(frozen=True)
class Config:
    """What the artefact depends on besides its data.

    Attributes:
        teacher_layers: of MiniLM's six.
        teacher_epochs: of MiniLM on people's labels; none where it is to be no teacher.
        student_epochs: of the student on people's labels alone; none where it begins with an earlier one's weights.
        taught_epochs: of the student after those, with what the teachers say of all captions.
        web_repeats: times that the project's own labels are seen in an epoch.
        web_weight: how much one of them counts each time, where one of FACTUAL's counts 1.
        silver_captions: unlabelled captions that the teachers label, at most; those of the first file come first.
        silver_weight: how much one of them counts.
        trust: the teachers' share in what the student learns of captions with people's labels.
        altered_factual: times that each of FACTUAL's captions is read by the teachers with words exchanged.
        altered_web: likewise of the project's own.
        altered_weight: how much one of them counts.
        held_factual: captions of FACTUAL's train set kept out of training; confidences are fitted on them and web dev.
        threads: of MiniLM's training; the student's matrices are too small for more than one.
    """

    seed: int = 0
    teacher_layers: int = 6
    teacher_epochs: int = 4
    student_epochs: int = 6
    taught_epochs: int = 4
    web_repeats: int = 2
    web_weight: float = 1.5
    silver_captions: int = 5_000
    silver_weight: float = 0.7
    trust: float = 0.5
    altered_factual: float = 0.5
    altered_web: float = 1.0
    altered_weight: float = 0.5
    held_factual: int = 800
    threads: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factual", type=Path, required=True, help="folder with FACTUAL's train.csv")
    parser.add_argument("--captions", type=Path, nargs="+", required=True, help="captions without labels")
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="artefacts of earlier students that teach")
    parser.add_argument(
        "--start", type=Path, help="artefact of the student to begin with, in place of --student-epochs"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the artefact")
    for name, default in asdict(Config()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args())
    config = Config(**{name: given[name] for name in asdict(Config())})
    train_artefact(given["factual"], given["captions"], given["earlier"], given["start"], given["out"], config)


def train_artefact(
    factual: Path, captions: Sequence[Path], earlier: Sequence[Path], start: Path | None, out: Path, config: Config
) -> None:
    """Everything from files to the artefact in ``out``."""
    torch.set_num_threads(1)
    lemmatizer = Lemmatizer()
    factual_rows, web_rows, web_dev = (
        read_factual(factual / "train.csv"),
        *map(read_web, (WEB / "train.tsv", WEB / "dev.tsv")),
    )
    unlabelled = _unlabelled(captions, {*_texts(web_rows), *_texts(web_dev)}, config)

    aligner = Aligner(lemmatizer)
    labels = aligner.learn(factual_rows)
    learned_words = aligner.learned_words(factual_rows, web_rows)
    factual_rows, held_factual = _split(factual_rows, config.held_factual, config.seed)
    by_hand = _examples(aligner, factual_rows), _examples(aligner, web_rows, config.web_weight)
    labelled = by_hand[0] + by_hand[1] * config.web_repeats
    silver = [Example(tokens, Pairs(), [], config.silver_weight) for tokens in unlabelled]

    torch.manual_seed(config.seed)
    vocabulary, counts = student.vocabulary(labelled + silver)
    network = Student(len(vocabulary) + 1, len(labels))
    if start:
        words, vectors = student.begin(network, start, vocabulary, labels)
    else:
        words = _words_with_vectors([*_tokens(factual_rows), *_tokens(web_rows), *unlabelled])
        vectors = teacher.word_vectors(words, WORD_VECTOR)
    vector_of = dict(zip(words, vectors, strict=True))
    inputs = student.Inputs(vocabulary, counts, vector_of, random.Random(config.seed))
    if not start:
        student.fit(network, inputs, labelled, labels, epochs=config.student_epochs, seed=config.seed)

    readers = [*([] if start else [student.reader(network, inputs, labels)]), *map(student.earlier, earlier)]
    if config.teacher_epochs:
        torch.set_num_threads(config.threads)
        tuned = teacher.build(len(labels), config.teacher_layers)
        teacher.tune(tuned, labelled, labels, epochs=config.teacher_epochs, seed=config.seed)
        readers.append(teacher.reader(tuned, labels))
        torch.set_num_threads(1)
    silver += _altered(by_hand, vector_of, config)
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
    about = {
        "config": json.dumps(asdict(config)),
        "start": artefact.checksum(start) if start else "",
        "earlier": " ".join(map(artefact.checksum, earlier)),
    }
    artefact.write(out, network, tables, vectors, about)
    true = [sorted(read.acceptable.union(*read.required)) for read in read_readings(WEB / "dev_readings.tsv")]
    unseen = held_factual + list(zip(_tokens(web_dev), true, strict=True))
    tables["calibration"] = calibrate.fit(CompactParser(out), unseen, lemmatizer.noun)
    artefact.write(out, network, tables, vectors, about)


def _altered(by_hand: Sequence[Sequence[Example]], vectors: dict[str, np.ndarray], config: Config) -> list[Example]:
    """People's captions with words exchanged, without labels."""
    rng = random.Random(config.seed)
    alter = Alterer([example for examples in by_hand for example in examples], vectors, rng)
    chosen: list[Example] = []
    for examples, times in zip(by_hand, (config.altered_factual, config.altered_web), strict=True):
        chosen += [*examples] * int(times) + rng.sample([*examples], round(times % 1 * len(examples)))
    return [Example(alter(example), Pairs(), [], config.altered_weight) for example in chosen]


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
