"""What stands before a noun: its name, and the values that describe the thing."""

from typing import NamedTuple

from parsers import lexicon
from parsers.dependency_tree import (
    DEEPEST,
    MODIFIER_LABELS,
    NOUN_TAGS,
    PLURAL_TAGS,
    VALUE_TAGS,
    VERB_TAGS,
    DependencyTree,
    Lemmatizer,
)

_LONGEST_NAME = 3
"""Words in a name; longer runs of nouns are mostly descriptions."""


class Name(NamedTuple):
    """A thing's name.

    Attributes:
        head: lower-case lemma, compounds kept.
        start: position of the first word of the name.
        phrase_start: position of the first word of the whole noun phrase.
    """

    head: str
    start: int
    phrase_start: int


class Modifiers:
    """Names and attribute values of one tree, its ``negated`` positions left out."""

    def __init__(self, tree: DependencyTree, lemma: Lemmatizer, negated: set[int]) -> None:
        self.tree, self.lemma, self.negated = tree, lemma, negated
        self.words, self.tags, self.labels, self.heads = tree.words, tree.tags, tree.labels, tree.heads
        self.children = tree.children

    def name(self, noun: int) -> Name:
        """The name of the thing that a noun names."""
        word, first = self.words[noun], noun
        parts = [self.lemma(word, "noun") if self.tags[noun] in PLURAL_TAGS else word]
        while first > 0 and len(parts) < _LONGEST_NAME and self._belongs_to_name(first - 1, first, noun):
            first -= 1
            parts.insert(0, self.words[first])
        start = first
        for child in self.children[noun]:
            if child < start and self.labels[child] in (*MODIFIER_LABELS, "det", "poss"):
                start = self._leftmost(child)
                break
        return Name(" ".join(parts), first, start)

    def _belongs_to_name(self, modifier: int, following: int, noun: int) -> bool:
        """Whether the word before a name, or before a part of one, belongs to the name or describes what it names."""
        label, word = self.labels[modifier], self.words[modifier]
        if (
            label not in MODIFIER_LABELS
            or not following <= self.heads[modifier] <= noun
            or not word[0].isalpha()
            or self._is_hyphenated(modifier)
        ):
            return False
        next_word = self.words[following]
        if {f"{word}+{next_word}", f"{word}+{self.lemma(next_word, 'noun')}"} & lexicon.FIXED_PAIRS:
            return True
        return word in lexicon.CLASSIFYING_ADJECTIVES or (
            self.tags[modifier] in NOUN_TAGS
            and label not in ("npadvmod", "nummod")
            and word not in lexicon.DESCRIBING_NOUNS
            and word not in lexicon.COLORS
            and word not in lexicon.BOILERPLATE_MODIFIERS
        )

    def values(self, position: int, depth: int = 0) -> list[str]:
        """The attribute values that a modifier states, its coordinates included."""
        word, tag = self.words[position], self.tags[position]
        values = []
        if (
            word not in lexicon.SKIPPED_ADJECTIVES
            and word not in lexicon.BOILERPLATE_MODIFIERS
            and word not in lexicon.NUMBERS
            and (tag in VALUE_TAGS or tag in NOUN_TAGS or tag in ("RB", "RBS", "VB", "FW"))
            and position not in self.negated
            and word[0].isalnum()
            and not self._shades_next(position)
        ):
            values.append(self._value(position))
        if depth < DEEPEST:
            for child in self.children[position]:
                if self.labels[child] == "conj" and child > position:
                    values += self.values(child, depth + 1)
            if position not in self.negated:
                values = self.inner_values(position, depth) + values
        return values

    def inner_values(self, modifier: int, depth: int = 0) -> list[str]:
        """Adjectives that hang on a modifier describe the noun behind it: "electric" of "electric power lines"."""
        values = []
        first = self._value_start(modifier)
        for child in self.children[modifier]:
            adjective = self.labels[child] in ("amod", "nmod", "compound") or self.words[child] in lexicon.NO_ADVERBS
            if child < first and adjective and self.words[child] != "-":
                values += self.values(child, depth + 1)
        return values

    def quantity(self, position: int) -> str | None:
        """The number that a word gives, in digits; None where it gives none, or a year."""
        word = self.words[position]
        if word in lexicon.NUMBERS:
            return lexicon.NUMBERS[word]
        return word if word.isdecimal() and word.isascii() and len(word) <= 3 else None

    def _value(self, position: int) -> str:
        return self.tree.text[self.tree.starts[self._value_start(position)] : self.tree.ends[position]].lower()

    def _value_start(self, position: int) -> int:
        first = position
        while first > 0 and self._extends_value(first - 1, position):
            first -= 1
        return first

    def _extends_value(self, candidate: int, position: int) -> bool:
        """Whether the word belongs to the value: "dark blue", "hand drawn", "narrow - gauge", "most stylish"."""
        word, label = self.words[candidate], self.labels[candidate]
        if word == "-" and candidate > 0:
            return candidate + 1 == position and self.heads[candidate - 1] in (
                position,
                candidate,
                self.heads[position],
            )
        if self.words[candidate + 1] == "-":
            return self.tree.words[candidate][0].isalnum()
        if word in lexicon.SHADES and self.words[candidate + 1] in lexicon.COLORS:
            return True
        if self.heads[candidate] != position or not word[0].isalpha():
            return False
        if f"{word}+{self.words[position]}" in lexicon.FIXED_PAIRS:
            return True
        return (
            word in lexicon.KEPT_DEGREES
            or (label in ("npadvmod", "compound", "nmod") and self.tags[candidate] in NOUN_TAGS)
            or (label == "advmod" and self.tags[candidate] == "JJ" and self.tags[position] in VERB_TAGS)
        )

    def _shades_next(self, position: int) -> bool:
        following = position + 1
        return (
            self.words[position] in lexicon.SHADES
            and following < len(self.words)
            and self.words[following] in lexicon.COLORS
            and self.labels[following] in (*MODIFIER_LABELS, "acomp", "conj")
        )

    def _is_hyphenated(self, position: int) -> bool:
        return position >= 2 and self.words[position - 1] == "-" and self.heads[position - 1] == position

    def _leftmost(self, position: int) -> int:
        for _ in self.words:
            children = self.children[position]
            if not children or children[0] > position:
                break
            position = children[0]
        return position
