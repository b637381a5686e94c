"""WordNet's database files, read as far as the tables of ``filters/data`` need them (format: wndb(5WN))."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PARTS = {"n": "noun", "v": "verb", "a": "adj"}

LEXICOGRAPHER_FILES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
).split()

HYPERNYMS = ("@", "@i")
SIMILAR, ALSO, ANTONYM, ATTRIBUTE, PERTAINS, DERIVED = "&", "^", "!", "=", "\\", "+"

Key = tuple[str, str]
"""Part of speech and offset of a synset."""


@dataclass
class Synset:
    words: list[str]
    lexicographer_file: str
    pointers: list[tuple[str, Key]]
    satellite: bool


@dataclass
class WordNet:
    """Synsets, senses of lemmas in WordNet's order, irregular forms and how often senses were tagged in texts."""

    folder: Path
    synsets: dict[Key, Synset] = field(default_factory=dict)
    senses: dict[str, dict[str, list[Key]]] = field(default_factory=dict)
    irregular: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    tagged: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for part, name in PARTS.items():
            for line in self._lines(f"data.{name}"):
                self._add_synset(part, line)
            self.senses[part] = {}
            for line in self._lines(f"index.{name}"):
                fields = line.split()
                self.senses[part][fields[0].replace("_", " ")] = [(part, at) for at in fields[-int(fields[2]) :]]
            self.irregular[part] = {}
            for line in self._lines(f"{name}.exc"):
                form, *lemmas = (word.replace("_", " ") for word in line.split())
                self.irregular[part][form] = lemmas
        for line in self._lines("cntlist.rev"):
            sense, _, count = line.split()
            lemma, _, rest = sense.partition("%")
            self.tagged[lemma.replace("_", " "), "nvara"[int(rest[0]) - 1]] += int(count)

    def pointed(self, key: Key, *symbols: str) -> list[Key]:
        """Synsets to which pointers of these kinds lead."""
        return [target for symbol, target in self.synsets[key].pointers if symbol in symbols]

    def above(self, key: Key) -> set[Key]:
        """The synset and all its hypernyms."""
        found, waiting = {key}, [key]
        while waiting:
            for parent in self.pointed(waiting.pop(), *HYPERNYMS):
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return found

    def sense(self, label: str) -> Key:
        """The synset that a label such as ``dog.n.1`` names."""
        lemma, part, number = label.rsplit(".", 2)
        return self.senses[part][lemma][int(number) - 1]

    def _lines(self, name: str) -> list[str]:
        text = (self.folder / name).read_text(encoding="latin1")
        return [line for line in text.splitlines() if line and not line.startswith(" ")]

    def _add_synset(self, part: str, line: str) -> None:
        fields = line.partition(" | ")[0].split()
        n_words = int(fields[3], 16)
        words = [word.partition("(")[0].replace("_", " ") for word in fields[4 : 4 + 2 * n_words : 2]]
        at = 4 + 2 * n_words
        pointers = [
            (fields[i], (fields[i + 2].replace("s", "a"), fields[i + 1]))
            for i in range(at + 1, at + 1 + 4 * int(fields[at]), 4)
        ]
        self.synsets[part, fields[0]] = Synset(words, LEXICOGRAPHER_FILES[int(fields[1])], pointers, fields[2] == "s")
