"""One parsed caption as plain lists, as the rules read it; knows nothing of spaCy.

Tags are the Penn Treebank's and labels those of ClearNLP, as spaCy's English models give them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

Lemmatizer = Callable[[str, str], str]
"""``lemma(word, "noun" | "verb")``"""

NOUN_TAGS = frozenset(["NN", "NNS", "NNP", "NNPS"])
PLURAL_TAGS = frozenset(["NNS", "NNPS"])
VERB_TAGS = frozenset(["VB", "VBD", "VBG", "VBN", "VBP", "VBZ"])
VALUE_TAGS = frozenset(["JJ", "JJR", "JJS", "VBN", "VBG", "VBD"])
SUBJECT_LABELS = frozenset(["nsubj", "nsubjpass"])
MODIFIER_LABELS = frozenset(["amod", "compound", "nmod", "npadvmod", "nummod"])

DEEPEST = 8
"""How far rules follow chains of conjuncts, groups and verbs: junk gives chains as long as the caption."""


@dataclass(slots=True)
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
        children: positions of the dependents, in the order of the text; derived from ``heads``.
    """

    text: str
    words: list[str]
    tags: list[str]
    labels: list[str]
    heads: list[int]
    starts: list[int]
    ends: list[int]
    children: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.children = [[] for _ in self.words]
        for position, head in enumerate(self.heads):
            if head != position:
                self.children[head].append(position)
