"""From a dependency tree to a scene graph, by rules; knows nothing of spaCy.

Tags are the Penn Treebank's and labels those of ClearNLP, as spaCy's English models give them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from parsers import lexicon
from parsers.scene_graph import Entity, Relation, SceneGraph


@dataclass(frozen=True, slots=True)
class DependencyTree:
    """One parsed caption: parallel lists with one element a token.

    Attributes:
        text: the caption as it was parsed.
        words: lower-case words.
        tags: Penn Treebank tags.
        labels: label of the arc to the head.
        heads: position of the head; a root is its own head.
        starts: position in ``text`` of the first character.
        ends: position in ``text`` behind the last character.
    """

    text: str
    words: list[str]
    tags: list[str]
    labels: list[str]
    heads: list[int]
    starts: list[int]
    ends: list[int]


def scene_graph(tree: DependencyTree, lemma: Callable[[str, str], str]) -> SceneGraph:
    """The scene graph that the tree states; ``lemma(word, "noun" | "verb")`` gives the head and predicate words."""
    return _Reader(tree, lemma).read()


_NOUN_TAGS = frozenset(["NN", "NNS", "NNP", "NNPS"])
_PLURAL_TAGS = frozenset(["NNS", "NNPS"])
_VERB_TAGS = frozenset(["VB", "VBD", "VBG", "VBN", "VBP", "VBZ"])
_VALUE_TAGS = frozenset(["JJ", "JJR", "JJS", "VBN", "VBG", "VBD"])
_NOMINAL_LABELS = frozenset(["pobj", "dobj", "nsubj", "nsubjpass", "attr", "dative"])
_SUBJECT_LABELS = frozenset(["nsubj", "nsubjpass"])
_MODIFIER_LABELS = frozenset(["amod", "compound", "nmod", "npadvmod", "nummod"])
_NO_PREDICATE_LABELS = frozenset(["aux", "auxpass", "amod", "compound", "nmod", "npadvmod", "prep", "csubj"])
_BORROWING_LABELS = frozenset(["conj", "advcl", "xcomp", "dep"])
_NEGATED_LABELS = frozenset(
    ["dobj", "prep", "acomp", "attr", "xcomp", "ccomp", "agent", "prt", "oprd", "advmod", "dative"]
)
_LONGEST_NAME = 3
"""Words in a name; longer runs of nouns are mostly descriptions."""

_DEEPEST = 8
"""How far rules follow chains of conjuncts and verbs: junk gives chains as long as the caption."""


@dataclass(slots=True)
class _Thing:
    """What is known so far of the thing that a noun names."""

    name: str
    start: int
    name_start: int
    attributes: list[str] = field(default_factory=list)
    quantity: str | None = None


class _Reader:
    """Reads one tree. Things are the positions of the nouns that name them."""

    def __init__(self, tree: DependencyTree, lemma: Callable[[str, str], str]) -> None:
        self.tree = tree
        self.words, self.tags, self.labels, self.heads = tree.words, tree.tags, tree.labels, tree.heads
        self.lemma = lemma
        self.children: list[list[int]] = [[] for _ in self.words]
        for position, head in enumerate(self.heads):
            if head != position:
                self.children[head].append(position)
        self.nouns = self._find_nouns()
        self.inner = self._find_inner_nouns()
        self.negated = self._find_negated()
        self.things: dict[int, _Thing] = {}
        self.relations: list[tuple[int, str, int]] = []

    def read(self) -> SceneGraph:
        named = [noun for noun in sorted(self.nouns) if self._is_thing(noun)]
        for noun in named:
            self.things[noun] = self._name(noun)
        for noun in named:
            self._read_modifiers(noun)
        for position in range(len(self.words)):
            if position not in self.negated and position not in self.inner:
                if self._is_group(position):
                    self._read_group(position)
                if position in self.nouns or self._is_group(position):
                    self._read_noun_phrase(position)
        for verb, tag in enumerate(self.tags):
            if tag in _VERB_TAGS and verb not in self.nouns and verb not in self.negated:
                self._read_verb(verb)
        return self._graph()

    # Which words name things

    def _find_nouns(self) -> set[int]:
        nouns = set()
        for position, (word, tag, label) in enumerate(zip(self.words, self.tags, self.labels, strict=True)):
            if not any(map(str.isalpha, word)) or word in lexicon.PRONOUNS:
                continue
            if (
                tag in _NOUN_TAGS
                or (label in _NOMINAL_LABELS and tag in _VALUE_TAGS and not self._is_clause(position))
                or (label == "ROOT" and tag not in _NOUN_TAGS and self._is_mistagged_root(position))
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
        if tag not in _VERB_TAGS and tag not in ("JJ", "RB", "IN", "UH"):
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
        return tag in ("VB", "VBP", "VBZ", "JJ") and word not in lexicon.COMMANDS

    def _find_inner_nouns(self) -> set[int]:
        """Nouns inside another noun's name, and what only opens a preposition ("front" of "in front of")."""
        inner = set()
        for noun in self.nouns:
            head = self.heads[noun]
            if head > noun and self.labels[noun] in _MODIFIER_LABELS:
                inner.add(noun)
            elif self._opened_preposition(noun) is not None:
                inner.add(noun)
        return inner

    def _opened_preposition(self, noun: int) -> int | None:
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

    def _find_negated(self) -> set[int]:
        """Everything that the caption says is not there or not so."""
        negated: set[int] = set()
        for position, word in enumerate(self.words):
            if word in lexicon.NEGATIVE_PREPOSITIONS and self.labels[position] in ("prep", "ROOT", "advmod", "dep"):
                self._add_subtree(position, negated)
            if word not in lexicon.NEGATIONS:
                continue
            head = self.heads[position]
            if word in ("no", "neither", "none") and (head in self.nouns or position in self.nouns or word == "none"):
                self._add_subtree(head if head in self.nouns else position, negated)
            elif self.tags[head] in _VERB_TAGS or self.tags[head] == "MD":
                for child in self.children[head]:
                    if self.labels[child] in _NEGATED_LABELS or (
                        child > position and self.labels[child] in _SUBJECT_LABELS
                    ):
                        self._add_subtree(child, negated)
                negated.add(head)
            elif head != position:
                self._add_subtree(head, negated)
        return negated

    def _add_subtree(self, root: int, positions: set[int]) -> None:
        waiting = [root]
        while waiting:
            position = waiting.pop()
            if position not in positions:
                positions.add(position)
                waiting.extend(self.children[position])

    def _is_thing(self, noun: int) -> bool:
        return (
            noun in self.nouns
            and noun not in self.inner
            and noun not in self.negated
            and self.words[noun] not in lexicon.DATE_WORDS
            and not self._is_group(noun)
        )

    def _is_group(self, position: int) -> bool:
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

    # What names resolve to

    def _resolve(self, position: int, depth: int = 0) -> list[int]:
        """The things that a noun phrase names: groups give what they count, coordinations each of their nouns."""
        if depth > _DEEPEST:
            return []
        counted = self._counted(position)
        found = [position] if counted is None else self._resolve(counted, depth + 1)
        for child in self.children[position]:
            if child > position and self.labels[child] == "conj" and (child in self.nouns or self._is_group(child)):
                found += self._resolve(child, depth + 1)
        return found

    def _resolve_bearers(self, noun: int, phrase: int) -> list[int]:
        """The things of which a phrase that hangs on ``noun`` is said: with it the nouns coordinated with it before.

        "boy and girl on a bench" says it of both, "sunset and the causeway over a lake" of the last only. What is said
        of a depiction is said of what it depicts: "portrait of a girl in a hat".
        """
        chain = [noun]
        while self.labels[chain[0]] == "conj" and self.heads[chain[0]] in self.nouns and len(chain) < _DEEPEST:
            if self._has_determiner(chain[0]) and not self._has_determiner(self.heads[chain[0]]):
                break
            chain.insert(0, self.heads[chain[0]])
        while len(chain) < _DEEPEST:
            following = [
                child
                for child in self.children[chain[-1]]
                if self.labels[child] == "conj" and chain[-1] < child < phrase and child in self.nouns
            ]
            if not following:
                break
            chain.append(following[0])
        depicted = self._depicted(noun, phrase)
        if depicted is not None:
            return self._resolve(depicted)
        return [thing for link in chain for thing in self._resolve_alone(link)]

    def _depicted(self, noun: int, phrase: int) -> int | None:
        """What a depiction is of, where the phrase stands behind it and does not tell how the depiction was made."""
        if self.words[noun] not in lexicon.DEPICTIONS or self.words[phrase] in lexicon.MAKING:
            return None
        for child in self.children[noun]:
            if noun < child < phrase and self.words[child] == "of":
                return next((thing for thing in self.children[child] if self.labels[thing] == "pobj"), None)
        return None

    def _resolve_alone(self, noun: int) -> list[int]:
        counted = self._counted(noun)
        return [noun] if counted is None else self._resolve(counted, 1)

    def _has_determiner(self, noun: int) -> bool:
        return any(self.labels[child] in ("det", "poss") for child in self.children[noun] if child < noun)

    # Noun phrases

    def _name(self, noun: int) -> _Thing:
        word, first = self.words[noun], noun
        parts = [self.lemma(word, "noun") if self.tags[noun] in _PLURAL_TAGS else word]
        start = noun
        for child in reversed(self.children[noun]):
            if child >= noun:
                continue
            if child == first - 1 and len(parts) < _LONGEST_NAME and self._belongs_to_name(child, noun):
                parts.insert(0, self.words[child])
                first = child
            if self.labels[child] in _MODIFIER_LABELS or self.labels[child] in ("det", "poss"):
                start = min(start, self._leftmost(child))
        return _Thing(" ".join(parts), start, first)

    def _leftmost(self, position: int) -> int:
        for _ in self.words:
            children = self.children[position]
            if not children or children[0] > position:
                break
            position = children[0]
        return position

    def _belongs_to_name(self, modifier: int, noun: int) -> bool:
        """Whether the word before a noun makes one name with it, or describes it."""
        label, word = self.labels[modifier], self.words[modifier]
        pair = f"{word}+{self.words[noun]}"
        if label not in _MODIFIER_LABELS or label == "nummod" or not word[0].isalpha():
            return False
        if pair in lexicon.FIXED_ADJECTIVES or pair in lexicon.FIXED_COMPOUNDS:
            return True
        if f"{word}+{self.lemma(self.words[noun], 'noun')}" in lexicon.FIXED_COMPOUNDS | lexicon.FIXED_ADJECTIVES:
            return True
        return (
            self.tags[modifier] in _NOUN_TAGS
            and label != "npadvmod"
            and word not in lexicon.DESCRIBING_NOUNS
            and word not in lexicon.COLORS
            and word not in lexicon.BOILERPLATE_MODIFIERS
            and not self._is_hyphenated(modifier)
        )

    def _is_hyphenated(self, position: int) -> bool:
        return position >= 2 and self.words[position - 1] == "-" and self.heads[position - 1] == position

    def _read_modifiers(self, noun: int) -> None:
        thing = self.things[noun]
        values = []
        for child in self.children[noun]:
            label = self.labels[child]
            if child > noun:
                if label == "amod" and not self._places(child):
                    values += self._values(child)
                elif label == "appos" and child in self.things:
                    values.append(self.things[child].name)
            elif label == "nummod":
                thing.quantity = self._quantity(child) or thing.quantity
            elif label in _MODIFIER_LABELS and child < thing.name_start:
                values += self._values(child)
            elif label in _MODIFIER_LABELS:
                values += self._inner_values(child)
        thing.attributes += values
        if values and not thing.name.count(" "):
            self._share_attributes(noun, [value for value in values if value in self.words[:noun]])

    def _share_attributes(self, noun: int, values: list[str]) -> None:
        """ "young man and woman": an adjective goes for both nouns where nothing opens the second."""
        for child in self.children[noun]:
            bare = not any(grandchild < child for grandchild in self.children[child])
            adjacent = child - noun == 2 and self.words[child - 1] in ("and", "&", "or")
            if self.labels[child] == "conj" and child in self.things and bare and adjacent:
                self.things[child].attributes += values

    def _quantity(self, position: int) -> str | None:
        word = self.words[position]
        if word in lexicon.NUMBERS:
            return lexicon.NUMBERS[word]
        return word if word.isdecimal() and word.isascii() and len(word) <= 3 else None

    def _values(self, position: int, depth: int = 0) -> list[str]:
        """The attribute values that a modifier states, its coordinates included."""
        word, tag = self.words[position], self.tags[position]
        values = []
        if (
            word not in lexicon.SKIPPED_ADJECTIVES
            and word not in lexicon.BOILERPLATE_MODIFIERS
            and word not in lexicon.NUMBERS
            and (tag in _VALUE_TAGS or tag in _NOUN_TAGS or tag in ("RB", "RBS", "VB", "FW"))
            and position not in self.negated
            and word[0].isalnum()
            and not self._shades_next(position)
        ):
            values.append(self._value(position))
        if depth < _DEEPEST:
            for child in self.children[position]:
                if self.labels[child] == "conj" and child > position:
                    values += self._values(child, depth + 1)
            if position not in self.negated:
                values = self._inner_values(position, depth) + values
        return values

    def _inner_values(self, modifier: int, depth: int = 0) -> list[str]:
        """Adjectives that hang on a modifier describe the noun behind it: "electric" of "electric power lines"."""
        values = []
        first = self._value_start(modifier)
        for child in self.children[modifier]:
            if child < first and self.labels[child] in ("amod", "nmod", "compound") and self.words[child] != "-":
                values += self._values(child, depth + 1)
        return values

    def _shades_next(self, position: int) -> bool:
        following = position + 1
        return (
            self.words[position] in lexicon.SHADES
            and following < len(self.words)
            and self.words[following] in lexicon.COLORS
            and self.labels[following] in (*_MODIFIER_LABELS, "acomp", "conj")
        )

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
        if f"{word}+{self.words[position]}" in lexicon.FIXED_ADJECTIVES:
            return True
        return (
            word in lexicon.KEPT_DEGREES
            or (label in ("npadvmod", "compound", "nmod") and self.tags[candidate] in _NOUN_TAGS)
            or (label == "advmod" and self.tags[candidate] == "JJ" and self.tags[position] in _VERB_TAGS)
        )

    def _read_noun_phrase(self, noun: int) -> None:
        group = self._is_group(noun)
        for child in self.children[noun]:
            label = self.labels[child]
            if label == "poss" and child in self.nouns and child < noun:
                self._relate(self._resolve(child), "have", self._resolve_alone(noun))
            elif child < noun:
                continue
            elif label == "prep" and self.words[child] == "of":
                if not group and noun not in self.inner:
                    self._read_of(noun, child)
            elif label in ("prep", "advmod", "amod"):
                for predicate, objects in self._places(child):
                    self._relate(self._resolve_bearers(noun, child), predicate, objects)

    def _read_group(self, group: int) -> None:
        counted = [thing for thing in self._resolve_alone(group) if thing in self.things]
        quantity = lexicon.GROUP_QUANTITIES.get(self.words[group]) or lexicon.NUMBERS.get(self.words[group])
        for child in self.children[group]:
            if child < group and self.labels[child] == "nummod":
                quantity = None if quantity else self._quantity(child)
            elif child < group and self.labels[child] == "amod" and self.words[child] not in lexicon.GROUP_SIZES:
                for thing in counted:
                    self.things[thing].attributes[:0] = self._values(child)
        for thing in counted:
            self.things[thing].quantity = self.things[thing].quantity or quantity

    def _read_of(self, noun: int, preposition: int) -> None:
        for child in self.children[preposition]:
            if self.labels[child] == "pobj":
                wholes = self._resolve(child)
                if self.lemma(self.words[noun], "noun") in lexicon.PART_NOUNS:
                    self._relate(wholes, "have", self._resolve_bearers(noun, preposition))
                else:
                    self._relate([noun], "of", wholes)

    # Prepositions

    def _places(self, preposition: int, depth: int = 0) -> list[tuple[str, list[int]]]:
        """The predicates that a preposition or adverb opens, each with its objects; none where it opens none."""
        if depth > _DEEPEST or preposition in self.negated:
            return []
        word, label = self.words[preposition], self.labels[preposition]
        found: list[tuple[str, list[int]]] = []
        for child in self.children[preposition]:
            if self.labels[child] in ("pobj", "pcomp") and (child in self.nouns or self._is_group(child)):
                found += self._objects(preposition, child)
            elif self.labels[child] in ("prep", "pcomp") and child > preposition and child not in self.nouns:
                opener = (
                    "" if self.tags[preposition] == "RB" and word not in lexicon.PREPOSITION_PARTICLES else f"{word} "
                )
                found += [(opener + inner, objects) for inner, objects in self._places(child, depth + 1)]
            elif self.labels[child] == "conj" and label == "prep" and self.tags[child] in ("IN", "TO"):
                found += self._places(child, depth + 1)
        return found

    def _objects(self, preposition: int, noun: int) -> list[tuple[str, list[int]]]:
        opened = self._opened_preposition(noun)
        if opened is None:
            word = self.words[preposition]
            return [(lexicon.PREPOSITIONS_OF_VERBS.get(word, word), self._resolve(noun))]
        predicate = " ".join(self.words[preposition : opened + 1])
        return [(predicate, self._resolve(child)) for child in self.children[opened] if self.labels[child] == "pobj"]

    # Verbs

    def _read_verb(self, verb: int) -> None:
        if self.labels[verb] in _NO_PREDICATE_LABELS or self._is_not_depicted(verb):
            return
        subjects = self._subjects(verb)
        lemma = self.lemma(self.words[verb], "verb")
        if lemma == "be":
            self._read_copula(verb, subjects)
            return
        particle = "".join(f" {self.words[child]}" for child in self.children[verb] if self.labels[child] == "prt")
        if self._is_passive(verb):
            complete = self._read_agent(verb, subjects, lemma + particle)
        else:
            complete = self._read_objects(verb, subjects, lemma + particle)
        complete |= self._read_places(verb, subjects, lemma + particle)
        if not complete and subjects:
            self._read_state(verb, subjects, particle)

    def _is_not_depicted(self, verb: int) -> bool:
        return any(
            (self.labels[child] == "aux" and (self.words[child] in lexicon.NOT_DEPICTED or self.tags[child] == "TO"))
            for child in self.children[verb]
        )

    def _is_passive(self, verb: int) -> bool:
        labels = {self.labels[child] for child in self.children[verb]}
        if "nsubjpass" in labels or "auxpass" in labels or "agent" in labels:
            return True
        has_auxiliary = any(
            self.labels[child] == "aux" and self.lemma(self.words[child], "verb") == "have"
            for child in self.children[verb]
        )
        return self.tags[verb] == "VBN" and not has_auxiliary and "dobj" not in labels

    def _subjects(self, verb: int, depth: int = 0) -> list[int]:
        """The things of which a verb is said, taken over from the verb or noun that it hangs on where it names none."""
        label, head = self.labels[verb], self.heads[verb]
        for child in self.children[verb]:
            if self.labels[child] in _SUBJECT_LABELS:
                if child in self.nouns or self._is_group(child):
                    return self._resolve(child)
                if self.words[child] in lexicon.RELATIVE_PRONOUNS and label in ("relcl", "acl", "ccomp"):
                    return self._resolve_bearers(head, verb) if head in self.nouns else []
                return []
        if label in ("acl", "relcl"):
            return self._resolve_bearers(head, verb) if head in self.nouns else []
        if label in _BORROWING_LABELS and depth < _DEEPEST:
            if head in self.nouns:
                return self._resolve_bearers(head, verb)
            if self.tags[head] in _VERB_TAGS and not (label == "conj" and self._is_not_depicted(head)):
                return self._subjects(head, depth + 1)
            return []
        if label == "ROOT":
            for child in self.children[verb]:
                if (
                    child < verb
                    and child in self.nouns
                    and self.labels[child] in ("dep", "npadvmod", "nmod", "compound")
                ):
                    return self._resolve(child)
        return []

    def _read_copula(self, verb: int, subjects: list[int]) -> None:
        existential = any(self.labels[child] == "expl" for child in self.children[verb])
        if existential:
            subjects = [
                thing for child in self.children[verb] if self.labels[child] == "attr" for thing in self._resolve(child)
            ]
        for child in self.children[verb]:
            label = self.labels[child]
            if label == "acomp":
                self._read_predicate_adjective(child, subjects)
            elif label == "attr" and not existential and child in self.things:
                self._attribute(subjects, [self.things[child].name])
            elif label in ("prep", "advmod"):
                for predicate, objects in self._places(child):
                    self._relate(subjects, predicate, objects)
                if self.words[child] in lexicon.PLACE_ADVERBS and child > verb:
                    self._attribute(subjects, [self.words[child]])

    def _read_predicate_adjective(self, adjective: int, subjects: list[int]) -> None:
        places = self._places(adjective)
        for child in self.children[adjective]:
            if self.labels[child] == "prep" and not places:
                places = [
                    (f"{self.words[adjective]} {predicate}", objects) for predicate, objects in self._places(child)
                ]
        for predicate, objects in places:
            self._relate(subjects, predicate, objects)
        if not places:
            self._attribute(subjects, self._values(adjective))

    def _read_agent(self, verb: int, subjects: list[int], predicate: str) -> bool:
        found = False
        for child in self.children[verb]:
            if self.labels[child] == "agent" or (self.words[child] == "by" and self.labels[child] == "prep"):
                for agent in self.children[child]:
                    if self.labels[agent] == "pobj" and agent in self.nouns:
                        found |= self._relate(self._resolve(agent), predicate, subjects)
        return found

    def _read_objects(self, verb: int, subjects: list[int], predicate: str) -> bool:
        found = False
        for child in self.children[verb]:
            if self.labels[child] == "dobj":
                found = True
                self._relate(subjects, predicate, self._resolve(child))
            elif self.labels[child] == "dative" and child in self.nouns:
                self._relate(subjects, f"{predicate} to", self._resolve(child))
            elif self.labels[child] == "acomp":
                found = True
                self._read_predicate_adjective(child, subjects)
            elif self.labels[child] in ("xcomp", "ccomp"):
                found = True
        return found

    def _read_places(self, verb: int, subjects: list[int], predicate: str) -> bool:
        found = False
        passive = self._is_passive(verb)
        for child in self.children[verb]:
            if self.words[child] in lexicon.PLACE_ADVERBS and self.labels[child] == "advmod":
                self._attribute(subjects, [self.words[child]])
            if self.labels[child] not in ("prep", "advmod", "dative", "agent") or (
                passive and self.words[child] == "by"
            ):
                continue
            for preposition, objects in self._places(child):
                found |= self._relate(subjects, f"{predicate} {preposition}", objects)
        return found

    def _read_state(self, verb: int, subjects: list[int], particle: str) -> None:
        if self.tags[verb] in ("VBG", "VBN", "VBZ", "VBP", "VBD") and self.words[verb] not in lexicon.EMPTY_STATES:
            self._attribute(subjects, [self.words[verb] + particle])

    # Collecting

    def _relate(self, subjects: Iterable[int], predicate: str, objects: Iterable[int]) -> bool:
        objects = list(objects)
        found = False
        for subject in subjects:
            for object_ in objects:
                if subject != object_ and subject in self.things and object_ in self.things:
                    self.relations.append((subject, predicate, object_))
                    found = True
        return found

    def _attribute(self, subjects: Iterable[int], values: list[str]) -> None:
        for subject in subjects:
            if subject in self.things:
                self.things[subject].attributes += [value for value in values if value != self.things[subject].name]

    def _graph(self) -> SceneGraph:
        related = {noun for subject, _, object_ in self.relations for noun in (subject, object_)}
        kept = [noun for noun in sorted(self.things) if noun in related or self.words[noun] not in lexicon.MEDIUM_NOUNS]
        index = {noun: number for number, noun in enumerate(kept)}
        tree = self.tree
        entities = tuple(
            Entity(
                head=self.things[noun].name,
                text=tree.text[tree.starts[self.things[noun].start] : tree.ends[noun]],
                attributes=tuple(dict.fromkeys(self.things[noun].attributes)),
                quantity=self.things[noun].quantity,
            )
            for noun in kept
        )
        relations = tuple(
            Relation(index[subject], predicate, index[object_])
            for subject, predicate, object_ in dict.fromkeys(self.relations)
        )
        return SceneGraph(entities, relations)
