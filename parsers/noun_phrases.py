"""Which words of a tree name things, and which things its noun phrases stand for."""

from parsers import lexicon
from parsers.dependency_tree import (
    DEEPEST,
    MODIFIER_LABELS,
    NOUN_TAGS,
    SUBJECT_LABELS,
    VALUE_TAGS,
    VERB_TAGS,
    DependencyTree,
    Lemmatizer,
)

_NOMINAL_LABELS = frozenset(["pobj", "dobj", "nsubj", "nsubjpass", "attr", "dative"])
_NEGATED_LABELS = frozenset(
    ["dobj", "prep", "acomp", "attr", "xcomp", "ccomp", "agent", "prt", "oprd", "advmod", "dative"]
)


class NounPhrases:
    """The things of one tree, as the positions of the nouns that name them.

    Attributes:
        nouns: words used as nouns, whatever the tagger says.
        inner: nouns inside another noun's name or inside a multi-word preposition.
        negated: words under a negation: what they say is not so.
    """

    def __init__(self, tree: DependencyTree, lemma: Lemmatizer) -> None:
        self.lemma = lemma
        self.words, self.tags, self.labels, self.heads = tree.words, tree.tags, tree.labels, tree.heads
        self.children = tree.children
        self.nouns = self._find_nouns()
        self.inner = self._find_inner_nouns()
        self.negated = self._find_negated()

    def is_thing(self, noun: int) -> bool:
        """Whether the word names a thing that the caption shows."""
        return (
            noun in self.nouns
            and noun not in self.inner
            and noun not in self.negated
            and self.words[noun] not in lexicon.DATE_WORDS
            and not self.is_group(noun)
        )

    def is_group(self, position: int) -> bool:
        """Whether the word only counts what stands behind it: "group of people"."""
        return self._counted(position) is not None

    def _counted(self, group: int) -> int | None:
        """What stands behind the ``of`` of a group noun or number."""
        if self.words[group] not in lexicon.GROUP_NOUNS and self.words[group] not in lexicon.NUMBERS:
            return None
        for child in self.children[group]:
            if child > group and self.words[child] == "of":
                for thing in self.children[child]:
                    if self.labels[thing] == "pobj":
                        return thing
        return None

    def resolve(self, position: int, depth: int = 0) -> list[int]:
        """The things that a noun phrase names: groups give what they count, coordinations each of their nouns."""
        if depth > DEEPEST:
            return []
        counted = self._counted(position)
        found = [position] if counted is None else self.resolve(counted, depth + 1)
        for child in self.children[position]:
            if child > position and self.labels[child] == "conj" and (child in self.nouns or self.is_group(child)):
                found += self.resolve(child, depth + 1)
        return found

    def resolve_alone(self, noun: int) -> list[int]:
        """As ``resolve``, without the coordinated nouns of ``noun`` itself."""
        counted = self._counted(noun)
        return [noun] if counted is None else self.resolve(counted, 1)

    def resolve_bearers(self, noun: int, phrase: int) -> list[int]:
        """The things of which a phrase that hangs on ``noun`` is said: with it the nouns coordinated with it before.

        "boy and girl on a bench" says it of both, "sunset and the causeway over a lake" of the last only. What is said
        of a depiction is said of what it depicts: "portrait of a girl in a hat".
        """
        depicted = self._depicted(noun, phrase)
        if depicted is not None:
            return self.resolve(depicted)
        chain = [noun]
        while (previous := self.heads[chain[0]]) in self.nouns and self.labels[chain[0]] == "conj":
            if self._stands_apart(previous, chain[0]) or len(chain) > DEEPEST:
                break
            chain.insert(0, previous)
        while (following := self._coordinated(chain[-1], phrase)) is not None and len(chain) <= DEEPEST:
            chain = [following] if self._stands_apart(chain[-1], following) else [*chain, following]
        return [thing for link in chain for thing in self.resolve_alone(link)]

    def _coordinated(self, noun: int, phrase: int) -> int | None:
        """The noun coordinated with ``noun`` that stands between it and the phrase."""
        for child in self.children[noun]:
            if self.labels[child] == "conj" and noun < child < phrase and child in self.nouns:
                return child
        return None

    def _stands_apart(self, noun: int, following: int) -> bool:
        return self._has_determiner(following) and not self._has_determiner(noun)

    def _depicted(self, noun: int, phrase: int) -> int | None:
        """What a depiction is of, where the phrase stands behind it and does not tell how the depiction was made."""
        if self.words[noun] not in lexicon.DEPICTIONS or self.words[phrase] in lexicon.MAKING:
            return None
        for child in self.children[noun]:
            if noun < child < phrase and self.words[child] == "of":
                return next((thing for thing in self.children[child] if self.labels[thing] == "pobj"), None)
        return None

    def _has_determiner(self, noun: int) -> bool:
        return any(self.labels[child] in ("det", "poss") for child in self.children[noun] if child < noun)

    def actor(self, verb: int, noun: int) -> int:
        """Who acts: "a child with an umbrella standing" is a child that stands, though the umbrella is nearer."""
        preposition = self.heads[noun]
        if self.tags[verb] == "VBG" and self.labels[noun] == "pobj" and not self._is_animate(noun):
            holder = self.heads[preposition]
            if self.words[preposition] in ("with", "in", "of", "on", "at") and self._is_animate(holder):
                return holder
        return noun

    def _is_animate(self, noun: int) -> bool:
        if noun not in self.nouns:
            return False
        word = self.words[noun]
        return word.endswith(lexicon.ANIMATE_ENDINGS) or self.lemma(word, "noun") in lexicon.ANIMATE_NOUNS

    def opened_preposition(self, noun: int) -> int | None:
        """The ``of`` that ends a multi-word preposition with this noun in it."""
        preposition = self.heads[noun]
        if (
            self.labels[noun] != "pobj"
            or self.words[noun] not in lexicon.MULTI_WORD_HEADS
            or self.words[preposition] not in lexicon.MULTI_WORD_OPENERS
            or noun - preposition > 3
        ):
            return None
        for child in self.children[noun]:
            if self.words[child] == "of" and child == noun + 1:
                return child
        return None

    def _find_nouns(self) -> set[int]:
        nouns = set()
        for position, (word, tag, label) in enumerate(zip(self.words, self.tags, self.labels, strict=True)):
            if not any(map(str.isalpha, word)) or word in lexicon.PRONOUNS:
                continue
            if (
                tag in NOUN_TAGS
                or (label in _NOMINAL_LABELS and tag in VALUE_TAGS and not self._is_clause(position))
                or (label == "ROOT" and tag not in NOUN_TAGS and self._is_mistagged_root(position))
            ):
                nouns.add(position)
        return nouns

    def _is_clause(self, position: int) -> bool:
        return any(
            self.labels[child] in ("nsubj", "nsubjpass", "dobj", "aux", "auxpass", "prt")
            for child in self.children[position]
        )

    def _is_mistagged_root(self, position: int) -> bool:
        """A verb tag on the noun that a caption without verb opens with: "building at night", "view of mountains"."""
        word, tag = self.words[position], self.tags[position]
        if tag not in ("VB", "VBP", "VBZ", "VBG", "JJ"):
            return False
        before = [child for child in self.children[position] if child < position]
        if self._is_clause(position) or len(before) != position:
            return False
        if any(self.labels[child] not in ("det", "amod", "compound", "nmod", "poss", "nummod") for child in before):
            return False
        followers = [child for child in self.children[position] if child > position]
        if not any(self.labels[child] in ("prep", "acl") for child in followers):
            return False
        if tag == "VBG":
            return word in lexicon.ING_NOUNS or any(self.labels[child] == "det" for child in before)
        return word not in lexicon.COMMANDS

    def _find_inner_nouns(self) -> set[int]:
        """Nouns inside another noun's name, and what only opens a preposition ("front" of "in front of")."""
        inner = set()
        for noun in self.nouns:
            head = self.heads[noun]
            modifies = head > noun and head in self.nouns and self.labels[noun] in MODIFIER_LABELS
            if modifies or self.opened_preposition(noun) is not None:
                inner.add(noun)
        return inner

    def _find_negated(self) -> set[int]:
        """Everything that the caption says is not there or not so."""
        negated: set[int] = set()
        for position, word in enumerate(self.words):
            head = self.heads[position]
            if word in lexicon.NEGATIVE_PREPOSITIONS:
                self._add_subtree(head if self.words[head] == "of" else position, negated)
                if self.labels[head] == "cc":  # "a dog instead of a cat", parsed like "a dog and a cat"
                    self._add_next_coordinate(self.heads[head], position, negated)
            if word not in lexicon.NEGATIONS:
                continue
            while self.tags[head] in ("RB", "RBR") and self.heads[head] != head:  # "no longer wears"
                head = self.heads[head]
            if word in ("no", "neither", "none") and (head in self.nouns or position in self.nouns or word == "none"):
                absent = head if head in self.nouns else position
                self._add_subtree(absent, negated)
                if self.labels[absent] in SUBJECT_LABELS:  # "no dog wears a collar": neither dog nor collar
                    self._add_predicate(self.heads[absent], absent, negated)
            elif self.tags[head] in VERB_TAGS or self.tags[head] == "MD":
                self._add_predicate(head, position, negated)
            elif head < position:  # "a dog, not a cat"
                self._add_next_coordinate(head, position, negated)
            elif head > position:
                self._add_subtree(head, negated)
        return negated

    def _add_predicate(self, verb: int, position: int, positions: set[int]) -> None:
        """Add a verb with what it is done to and where, and with subjects behind the position."""
        for child in self.children[verb]:
            if self.labels[child] in _NEGATED_LABELS or (child > position and self.labels[child] in SUBJECT_LABELS):
                self._add_subtree(child, positions)
        positions.add(verb)

    def _add_next_coordinate(self, noun: int, position: int, positions: set[int]) -> None:
        for child in self.children[noun]:
            if child > position and self.labels[child] in ("conj", "appos"):
                self._add_subtree(child, positions)
                return

    def _add_subtree(self, root: int, positions: set[int]) -> None:
        waiting = [root]
        while waiting:
            position = waiting.pop()
            if position not in positions:
                positions.add(position)
                waiting.extend(self.children[position])
