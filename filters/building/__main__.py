"""Writes the rows of ``things.tsv``, ``axis_values.tsv`` and ``verbs.tsv`` whose source is WordNet; keeps all others.

WordNet 3.0 comes with Debian's package ``wordnet-base`` (folder ``/usr/share/wordnet``). The vocabulary is what the
norms of concreteness and of visual strength rate, and the names that the tables already hold.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Set
from pathlib import Path

from filters import concreteness, visual
from filters.building.wordnet import (
    ALSO,
    ANTONYM,
    ATTRIBUTE,
    DERIVED,
    HYPERNYMS,
    PERTAINS,
    SIMILAR,
    Key,
    WordNet,
)
from filters.lexicon import rows

DATA = Path(__file__).parents[1] / "data"

Rows = dict[str, tuple[str, ...]]
"""Columns of a table by the first, source last."""

ACTING_VERBS = frozenset(
    f"verb.{kind}" for kind in "motion body communication consumption competition perception social".split()
)
AXES_OF_ATTRIBUTES = {
    "color": "color", "size": "size", "length": "size", "height": "size", "width": "size", "weight": "size",
    "thickness": "size", "age": "age", "shape": "shape", "texture": "pattern", "temperature": "weather",
    "beauty": "appearance", "quantity": "quantity", "position": "position", "emotion": "emotion",
    "numerousness": "quantity", "timing": "time", "sex": "appearance",
}  # fmt: skip
"""What an adjective tells whose attribute link leads to a noun."""

AXES_OF_NOUNS = {
    "material": "fabric,metallic element,building material,wood,rock,leather,plastic,jewel,paper,paving,plant fiber,"
    "natural fiber",
    "color": "color",
    "time": "season,day,time of day,hour",
    "emotion": "emotion",
}
"""What a noun before another noun tells, by its hypernyms."""

NOT_BEFORE_NOUNS = frozenset(["food", "nutrient", "body part", "bodily process"])
SURE_OF_PARTICIPLES = frozenset(["color", "pattern", "shape", "emotion"])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wordnet", type=Path, help="folder of WordNet's database files (data.noun, index.noun, ...)")
    wordnet = WordNet(parser.parse_args(argv).wordnet)
    vocabulary = {*concreteness.ratings(), *visual.ratings()}
    write("things", thing_rows(wordnet, vocabulary | {row["name"] for row in rows("things")}))
    verbs = verb_rows(wordnet, vocabulary)
    write("verbs", verbs)
    write("axis_values", value_rows(wordnet, vocabulary, verbs.keys()))


def write(name: str, derived: Rows) -> None:
    """Writes a table again: the curated rows that it has, and the derived ones for all other keys."""
    path = DATA / f"{name}.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file, delimiter="\t"))
    curated = {row[header[0]]: tuple(row.values())[1:] for row in rows(name) if row["source"] == "curated"}
    table = derived | curated
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n", quotechar=None)
        writer.writerow(header)
        writer.writerows([key, *table[key]] for key in sorted(table))


def thing_rows(wordnet: WordNet, vocabulary: set[str]) -> Rows:
    """For every known noun the nearest names above its first sense that ``anchors.tsv`` allows."""
    anchors = {wordnet.sense(row["synset"]): row["name"] for row in rows("anchors")}
    names = set(anchors.values())
    curated = {row["name"]: row["parents"].split(",") for row in rows("things") if row["source"] == "curated"}
    found: Rows = {}
    for noun, (first, *_) in wordnet.senses["n"].items():
        spelled = [word for word in wordnet.synsets[first].words if word.lower() == noun]
        if noun not in vocabulary or noun in names or all(word != noun for word in spelled):  # proper names
            continue
        parents = _nearest(wordnet, first, anchors)
        last = noun.rpartition(" ")[2]
        if last != noun and wordnet.above(first) & set(wordnet.senses["n"].get(last, [])):
            parents = [last]  # "fire truck" is a truck; a "hot dog" is not below any sense of "dog"
        parents = [name for name in parents if name != noun]
        above = {name for parent in parents for name in _all_above(parent, curated)}
        parents = [name for name in parents if name not in above]
        if parents or last != noun:  # a compound without parents is kept: it is no kind of its last word
            found[noun] = (",".join(parents), "wordnet hypernym")
    return found


def _nearest(wordnet: WordNet, key: Key, anchors: dict[Key, str]) -> list[str]:
    found: dict[str, None] = {}
    level, seen = [key], {key}
    while level:
        following = []
        for synset in level:
            if synset in anchors:
                found[anchors[synset]] = None
                continue
            for parent in wordnet.pointed(synset, *HYPERNYMS):
                if parent not in seen:
                    seen.add(parent)
                    following.append(parent)
        level = following
    return list(found)


def _all_above(name: str, parents: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for parent in parents.get(waiting.pop(), []):
            if parent and parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def verb_rows(wordnet: WordNet, vocabulary: set[str]) -> Rows:
    """What the participles of a verb tell, by the kind of its first sense, and whether the word is mostly a noun."""
    found: Rows = {}
    for verb, senses in wordnet.senses["v"].items():
        if not verb.isalpha() or vocabulary.isdisjoint([verb, verb + "ing", verb + "ed", verb + "s"]):
            continue
        kind = wordnet.synsets[senses[0]].lexicographer_file
        acts = kind in ACTING_VERBS or (kind == "verb.contact" and len(senses) > 1)
        axis = "emotion" if kind == "verb.emotion" else "action" if acts else "state"
        noun = verb in wordnet.senses["n"] and wordnet.tagged[verb, "v"] <= wordnet.tagged[verb, "n"]
        found[verb] = (axis, "noun" if noun else "verb", "wordnet")
    return found


def value_rows(wordnet: WordNet, vocabulary: set[str], verbs: Set[str]) -> Rows:
    """The axis of adjectives and nouns that no curated row has."""
    curated = {row["value"]: row["axis"] for row in rows("axis_values") if row["source"] == "curated"}
    endings = tuple(row["ending"] for row in rows("axis_endings") if row["scope"] == "letters")
    found: Rows = {}
    for word, senses in wordnet.senses["a"].items():
        if word in curated or " " in word:
            continue
        axis, source = _adjective(wordnet, word, senses, curated)
        if axis is None:
            continue
        guessed = source != "wordnet pertainym"
        if guessed and word in wordnet.senses["n"] and wordnet.tagged[word, "n"] > wordnet.tagged[word, "a"]:
            continue  # "game" before a noun is the noun
        if axis == "type" and not word.endswith((*endings, "ed", "ing", "er", "est", "ish")):
            continue  # what the rules say anyway
        found[word] = (axis, source)
    for word, (first, *_) in wordnet.senses["n"].items():
        if word in curated or word in found or word not in vocabulary:
            continue
        kinds = {wordnet.synsets[key].words[0] for key in wordnet.above(first)}
        if kinds & NOT_BEFORE_NOUNS:
            continue
        for axis, names in AXES_OF_NOUNS.items():
            if not kinds.isdisjoint(names.split(",")):
                found[word] = (axis, "wordnet hypernym")
                break
    for form, lemmas in wordnet.irregular["v"].items():
        regular = form.endswith(("ing", "ed")) or form in wordnet.senses["n"] or form in curated
        if lemmas and lemmas[0] in verbs and not regular:
            found.setdefault(form, ("state", "wordnet participle"))
    return found


def _adjective(wordnet: WordNet, word: str, senses: list[Key], curated: dict[str, str]) -> tuple[str | None, str]:
    first = wordnet.synsets[senses[0]]
    pertains = wordnet.pointed(senses[0], PERTAINS)
    if first.lexicographer_file == "adj.pert" or pertains:
        return _pertainym(wordnet, pertains), "wordnet pertainym"
    if first.lexicographer_file == "adj.ppl":
        return ("action" if word.endswith("ing") else "state"), "wordnet participle"
    votes: Counter[str] = Counter()
    for weight, key in zip((3, 1), senses, strict=False):
        for axis, count in _neighbours(wordnet, key, curated).items():
            votes[axis] += weight * count
    if votes:
        axis = votes.most_common(1)[0][0]
        if word.endswith("ed") and axis not in SURE_OF_PARTICIPLES:
            return "state", "wordnet participle"
        return axis, "wordnet similar"
    derived = [key for key in wordnet.pointed(senses[0], DERIVED) if key[0] == "n"]
    if any(wordnet.synsets[key].lexicographer_file == "noun.feeling" for key in derived):
        return "emotion", "wordnet derivation"
    return None, ""


def _pertainym(wordnet: WordNet, pertains: list[Key]) -> str:
    """The axis of an adjective that only says "of a noun": by that noun."""
    if not pertains or pertains[0][0] != "n":
        return "type"
    kinds = {wordnet.synsets[key].words[0] for key in wordnet.above(pertains[0])}
    if any(word[0].isupper() for word in wordnet.synsets[pertains[0]].words):
        return "origin"
    return "time" if kinds & {"time period", "time unit"} else "material" if "material" in kinds else "type"


def _neighbours(wordnet: WordNet, key: Key, curated: dict[str, str]) -> Counter[str]:
    """Axes of the curated words of a synset and of those around it; the synset's own and its head's count twice."""
    votes: Counter[str] = Counter()

    def vote(synset: Key, weight: int) -> None:
        for word in wordnet.synsets[synset].words:
            if word.lower() in curated:
                votes[curated[word.lower()]] += weight

    vote(key, 2)
    for near in wordnet.pointed(key, SIMILAR):
        vote(near, 1 if wordnet.synsets[near].satellite else 2)
    for near in wordnet.pointed(key, ALSO, ANTONYM):
        vote(near, 1)
    for noun in wordnet.pointed(key, ATTRIBUTE):
        axis = AXES_OF_ATTRIBUTES.get(wordnet.synsets[noun].words[0])
        if axis is not None:
            votes[axis] += 2
    del votes["other"]
    return votes


if __name__ == "__main__":
    main()
