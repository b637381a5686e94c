"""From a dependency tree to a scene graph, by rules."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from parsers import lexicon
from parsers.dependency_tree import DEEPEST, MODIFIER_LABELS, SUBJECT_LABELS, VERB_TAGS, DependencyTree, Lemmatizer
from parsers.modifiers import Modifiers, Name
from parsers.noun_phrases import NounPhrases
from parsers.scene_graph import Entity, Relation, SceneGraph


def scene_graph(tree: DependencyTree, lemma: Lemmatizer) -> SceneGraph:
    """The scene graph that the tree states."""
    return _Reader(tree, lemma).read()


_NO_PREDICATE_LABELS = frozenset(["aux", "auxpass", "amod", "compound", "nmod", "npadvmod", "prep", "csubj"])
_PREPOSITION_TAGS = frozenset(["IN", "TO", "RB", "RP"])
_BORROWING_LABELS = frozenset(["conj", "advcl", "xcomp", "dep"])


@dataclass(slots=True)
class _Thing:
    """What is known so far of the thing that a noun names."""

    name: Name
    attributes: list[str] = field(default_factory=list)
    quantity: str | None = None


class _Reader:
    """Collects the facts of one tree. Things are the positions of the nouns that name them."""

    def __init__(self, tree: DependencyTree, lemma: Lemmatizer) -> None:
        self.tree, self.lemma = tree, lemma
        self.words, self.tags, self.labels, self.heads = tree.words, tree.tags, tree.labels, tree.heads
        self.children = tree.children
        self.phrases = NounPhrases(tree, lemma)
        self.nouns, self.negated = self.phrases.nouns, self.phrases.negated
        self.modifiers = Modifiers(tree, lemma, self.negated)
        self.things: dict[int, _Thing] = {}
        self.relations: list[tuple[int, str, int]] = []

    def read(self) -> SceneGraph:
        named = [noun for noun in sorted(self.nouns) if self.phrases.is_thing(noun)]
        for noun in named:
            self.things[noun] = _Thing(self.modifiers.name(noun))
        for noun in named:
            self._read_modifiers(noun)
        for position in range(len(self.words)):
            if position not in self.negated and position not in self.phrases.inner:
                if self.phrases.is_group(position):
                    self._read_group(position)
                if position in self.nouns or self.phrases.is_group(position):
                    self._read_noun_phrase(position)
        for verb, tag in enumerate(self.tags):
            if tag in VERB_TAGS and verb not in self.nouns and verb not in self.negated:
                self._read_verb(verb)
        return self._graph()

    def _read_modifiers(self, noun: int) -> None:
        thing = self.things[noun]
        values = []
        for child in self.children[noun]:
            label = self.labels[child]
            if child > noun:
                if label == "amod" and not self._places(child):
                    values += self.modifiers.values(child)
            elif label == "nummod":
                thing.quantity = self.modifiers.quantity(child) or thing.quantity
            elif label in MODIFIER_LABELS and child < thing.name.start:
                values += self.modifiers.values(child)
            elif label in MODIFIER_LABELS:
                values += self.modifiers.inner_values(child)
        thing.attributes += values
        if values and not thing.name.head.count(" "):
            self._share_attributes(noun, [value for value in values if value in self.words[:noun]])

    def _share_attributes(self, noun: int, values: list[str]) -> None:
        """ "young man and woman": an adjective goes for both nouns where nothing opens the second."""
        for child in self.children[noun]:
            bare = not any(grandchild < child for grandchild in self.children[child])
            adjacent = child - noun == 2 and self.words[child - 1] in ("and", "&", "or")
            if self.labels[child] == "conj" and child in self.things and bare and adjacent:
                self.things[child].attributes += values

    def _read_noun_phrase(self, noun: int) -> None:
        group = self.phrases.is_group(noun)
        for child in self.children[noun]:
            label = self.labels[child]
            if label == "poss" and child in self.nouns and child < noun:
                self._relate(self.phrases.resolve(child), "have", self.phrases.resolve_alone(noun))
            elif child < noun:
                continue
            elif label == "prep" and self.words[child] == "of":
                if not group and noun not in self.phrases.inner:
                    self._read_of(noun, child)
            elif label in ("prep", "advmod", "amod"):
                for predicate, objects in self._places(child):
                    self._relate(self.phrases.resolve_bearers(noun, child), predicate, objects)

    def _read_group(self, group: int) -> None:
        counted = [thing for thing in self.phrases.resolve_alone(group) if thing in self.things]
        quantity = lexicon.GROUP_QUANTITIES.get(self.words[group]) or lexicon.NUMBERS.get(self.words[group])
        for child in self.children[group]:
            if child < group and self.labels[child] == "nummod":
                quantity = None if quantity else self.modifiers.quantity(child)
            elif child < group and self.labels[child] == "amod" and self.words[child] not in lexicon.GROUP_SIZES:
                for thing in counted:
                    self.things[thing].attributes[:0] = self.modifiers.values(child)
        for thing in counted:
            self.things[thing].quantity = self.things[thing].quantity or quantity

    def _read_of(self, noun: int, preposition: int) -> None:
        for child in self.children[preposition]:
            if self.labels[child] == "pobj":
                wholes = self.phrases.resolve(child)
                if self.lemma(self.words[noun], "noun") in lexicon.PART_NOUNS:
                    self._relate(wholes, "have", self.phrases.resolve_bearers(noun, preposition))
                else:
                    self._relate([noun], "of", wholes)

    def _places(self, preposition: int, depth: int = 0) -> list[tuple[str, list[int]]]:
        """The predicates that a preposition or adverb opens, each with its objects; none where it opens none."""
        if depth > DEEPEST or preposition in self.negated:
            return []
        word, label = self.words[preposition], self.labels[preposition]
        found: list[tuple[str, list[int]]] = []
        for child in self.children[preposition]:
            if self.labels[child] in ("pobj", "pcomp") and (child in self.nouns or self.phrases.is_group(child)):
                found += self._objects(preposition, child)
            elif (
                self.labels[child] in ("prep", "pcomp")
                and self.tags[child] in _PREPOSITION_TAGS
                and child > preposition
            ):
                drops = self.tags[preposition] == "RB" and word not in lexicon.PREPOSITION_PARTICLES
                opener = "" if drops else f"{word} "  # "beautifully in the sun" is "in", "next to the car" is "next to"
                found += [(opener + inner, objects) for inner, objects in self._places(child, depth + 1)]
            elif self.labels[child] == "conj" and label == "prep" and self.tags[child] in _PREPOSITION_TAGS:
                found += self._places(child, depth + 1)
        return found

    def _objects(self, preposition: int, noun: int) -> list[tuple[str, list[int]]]:
        opened = self.phrases.opened_preposition(noun)
        if opened is None:
            word = self.words[preposition]
            return [(lexicon.PREPOSITION_PREDICATES.get(word, word), self.phrases.resolve(noun))]
        predicate = " ".join(self.words[preposition : opened + 1])
        return [
            (predicate, self.phrases.resolve(child)) for child in self.children[opened] if self.labels[child] == "pobj"
        ]

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
            if self.labels[child] in SUBJECT_LABELS:
                if child in self.nouns or self.phrases.is_group(child):
                    return self.phrases.resolve(child)
                if self.words[child] in lexicon.RELATIVE_PRONOUNS and label in ("relcl", "acl", "ccomp"):
                    return self.phrases.resolve_bearers(head, verb) if head in self.nouns else []
                return []
        if label in ("acl", "relcl"):
            return self.phrases.resolve_bearers(self.phrases.actor(verb, head), verb) if head in self.nouns else []
        if label in _BORROWING_LABELS and depth < DEEPEST:
            above = self.heads[self.heads[head]]
            if label == "conj" and self.labels[head] == "pobj" and self.tags[above] in VERB_TAGS:
                return self._subjects(above, depth + 1)  # "floating on the lake and swimming" hangs on the lake
            if head in self.nouns:
                return self.phrases.resolve_bearers(head, verb)
            if self.tags[head] in VERB_TAGS and not (label == "conj" and self._is_not_depicted(head)):
                return self._subjects(head, depth + 1)
            return []
        if label == "ROOT":
            for child in self.children[verb]:
                if (
                    child < verb
                    and child in self.nouns
                    and self.labels[child] in ("dep", "npadvmod", "nmod", "compound")
                ):
                    return self.phrases.resolve(child)
        return []

    def _read_copula(self, verb: int, subjects: list[int]) -> None:
        existential = any(self.labels[child] == "expl" for child in self.children[verb])
        if existential:
            subjects = [
                thing
                for child in self.children[verb]
                if self.labels[child] == "attr"
                for thing in self.phrases.resolve(child)
            ]
        for child in self.children[verb]:
            label = self.labels[child]
            if label == "acomp":
                self._read_predicate_adjective(child, subjects)
            elif label == "attr" and not existential and child in self.things:
                self._attribute(subjects, [self.things[child].name.head])
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
            self._attribute(subjects, self.modifiers.values(adjective))

    def _read_agent(self, verb: int, subjects: list[int], predicate: str) -> bool:
        found = False
        for child in self.children[verb]:
            if self._is_agent(child, predicate):
                for agent in self.children[child]:
                    if self.labels[agent] == "pobj" and agent in self.nouns:
                        found |= self._relate(self.phrases.resolve(agent), predicate, subjects)
        return found

    def _is_agent(self, preposition: int, predicate: str) -> bool:
        return (
            self.words[preposition] == "by"
            and self.labels[preposition] in ("agent", "prep")
            and predicate not in lexicon.PLACING_VERBS
        )

    def _read_objects(self, verb: int, subjects: list[int], predicate: str) -> bool:
        found = False
        for child in self.children[verb]:
            if self.labels[child] == "dobj":
                found = True
                self._relate(subjects, predicate, self.phrases.resolve(child))
            elif self.labels[child] == "dative" and child in self.nouns:
                self._relate(subjects, f"{predicate} to", self.phrases.resolve(child))
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
            if self.labels[child] not in ("prep", "advmod", "dative", "agent"):
                continue
            if passive and self._is_agent(child, predicate):
                continue
            for preposition, objects in self._places(child):
                whole = f"{predicate} {preposition}"
                found |= self._relate(subjects, lexicon.PREDICATES.get(whole, whole), objects)
        return found

    def _read_state(self, verb: int, subjects: list[int], particle: str) -> None:
        if self.tags[verb] in ("VBG", "VBN", "VBZ", "VBP", "VBD") and self.words[verb] not in lexicon.EMPTY_STATES:
            self._attribute(subjects, [self.words[verb] + particle])

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
                self.things[subject].attributes += [
                    value for value in values if value != self.things[subject].name.head
                ]

    def _graph(self) -> SceneGraph:
        related = {noun for subject, _, object_ in self.relations for noun in (subject, object_)}
        kept = [noun for noun in sorted(self.things) if noun in related or self.words[noun] not in lexicon.MEDIUM_NOUNS]
        index = {noun: number for number, noun in enumerate(kept)}
        tree = self.tree
        entities = tuple(
            Entity(
                head=self.things[noun].name.head,
                text=tree.text[tree.starts[self.things[noun].name.phrase_start] : tree.ends[noun]],
                attributes=tuple(dict.fromkeys(self.things[noun].attributes)),
                quantity=self.things[noun].quantity,
            )
            for noun in kept
        )
        relations = tuple(
            Relation(index[subject], predicate, index[object_])
            for subject, predicate, object_ in sorted(
                dict.fromkeys(self.relations), key=lambda fact: (fact[0], fact[2])
            )
        )
        return SceneGraph(entities, relations)
