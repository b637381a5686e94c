"""Scene graphs of people to labelled token pairs: which token each word of a graph comes from.

Annotators paraphrase, so words are matched by lemma, number, spelling and learned synonyms; of several tokens for one
word those count that make the fact shortest.
"""

import difflib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

from parsers.encoding import ATTRIBUTE, COMPOUND, COPIED, PART, RELATION, THING, Pairs, infinitives, predicate_order
from parsers.lemmas import Lemmatizer
from parsers.lexicon import MULTI_WORD_HEADS, NUMBERS, PREPOSITIONS
from parsers.training.data import Example, Fact

WHOLE_PREDICATES_FROM = 5
"""Occurrences from which a predicate that is not in its caption becomes a label of its own."""
LEARNED_WORDS_FROM = 6
"""Occurrences of a token in a role from which annotators' word for it is trusted against the rules' word."""
LEARNED_WORDS_SHARE = 0.8
KEPT_FROM = 2
"""Occurrences of a token in this project's labels from which their word for it counts."""
IDLE_FROM = 30
"""Occurrences from which a word is taken to be in no pair where it is in hardly any."""
IDLE_SHARE = 0.004
_MOST_COMBINATIONS = 64

_NUMBERS = NUMBERS | {"one": "1", "both": "2", "pair": "2", "couple": "2"}
_UNMATCHED = frozenset("a an the . , of and is are 's ' to it this that there".split())
_CHOICES = frozenset([("lying", "lay"), ("lies", "lay")])
"""Token and annotators' verb that are not one word but two habits, which the network tells by the caption."""

Row = tuple[list[str], list[Fact]]
"""A caption's tokens with its facts."""

_Words = tuple[int | None, ...]
"""Token of each word of a phrase, None where no token matches."""


class Aligner:
    """Aligns graphs to tokens; ``learn`` first."""

    def __init__(self, lemmatizer: Lemmatizer) -> None:
        self._lemmatizer = lemmatizer
        self._synonyms: set[tuple[str, str]] = set()
        self._whole: frozenset[str] = frozenset()
        self._similarity = lru_cache(1 << 19)(self._word_similarity)

    def learn(self, rows: Sequence[Row]) -> list[str]:
        """Learns synonyms and whole predicates of the annotators.

        Returns:
            the predicate labels, ``COPIED`` first.
        """
        self._learn_synonyms(rows)
        seen: Counter[str] = Counter()
        for tokens, facts in rows:
            for fact in facts:
                if len(fact) == 3 and fact[1] != "is":
                    subject, predicate, object_ = self._align_relation(tokens, fact)
                    if self._copied(tokens, fact[1], predicate, (subject[-1], object_[-1])) is None:
                        seen[fact[1]] += 1
        self._whole = frozenset(name for name, count in seen.items() if count >= WHOLE_PREDICATES_FROM)
        return [COPIED, *sorted(self._whole)]

    def pairs(self, tokens: Sequence[str], facts: Iterable[Fact]) -> Pairs:
        """The graph as labelled pairs; what cannot be expressed is left out."""
        pairs = Pairs()
        for fact in (self._as_in_caption(tokens, fact) for fact in facts):
            if len(fact) == 1:
                head = self._mark(pairs, self._candidates(tokens, fact[0])[0], COMPOUND)
                if head is not None:
                    pairs.arcs.setdefault((head, head), THING)
            elif fact[1] == "is":
                self._add_attribute(pairs, tokens, fact)
            else:
                self._add_relation(pairs, tokens, fact)
        return pairs

    def learned_words(self, rows: Sequence[Row], own: Sequence[Row] = ()) -> dict[str, dict[str, str]]:
        """Words that annotators consistently write for a token, by role and token, where the rules have another.

        Of names and predicates also whole ones: "cellphone" for "cell phone", "on top of" for "at top of".

        Args:
            rows: captions' tokens with their facts.
            own: more of them, by the labels of this project: the names, attributes and whole predicates that they keep
                are kept, whatever the others write ("guy", for which FACTUAL has "person").
        """
        everyone, ours = self._words_written([*rows, *own]), self._words_written(own)
        learned: dict[str, dict[str, str]] = {}
        for role, by_token in everyone.items():
            learned[role] = {}
            for token, words in by_token.items():
                word, seen = words.most_common(1)[0]
                kept = (role != "predicate" or " " in token) and _keeps(ours[role].get(token, Counter()), word)
                trusted = seen >= LEARNED_WORDS_FROM and seen >= LEARNED_WORDS_SHARE * words.total()
                if role == "predicate" and len(word.split()) < len(token.split()):
                    continue  # not the same in other words, but less
                if trusted and not kept and (token, word) not in _CHOICES and word != self._by_rule(role, token):
                    learned[role][token] = word
        return learned

    def _by_rule(self, role: str, token: str) -> str:
        if " " in token:
            return token
        if role == "attribute":
            return NUMBERS.get(token, token)
        return self._lemmatizer.noun(token) if role == "name" else self._lemmatizer.verb(token)

    def _words_written(self, rows: Iterable[Row]) -> dict[str, defaultdict[str, Counter[str]]]:
        """How often annotators write each word for a token, by role and token."""
        noun = self._lemmatizer.noun
        counts: dict[str, defaultdict[str, Counter[str]]] = {
            role: defaultdict(Counter) for role in ("name", "attribute", "predicate")
        }

        def count(role: str, tokens: Sequence[str], phrase: str, aligned: _Words) -> None:
            for position, word in zip(aligned, phrase.split(), strict=True):
                if position is not None:
                    counts[role][tokens[position]][noun(word) if role == "name" else word] += 1

        def count_predicate(here: Sequence[str], written: Sequence[str]) -> None:
            """Counts a whole predicate and what of it stands behind its verb: "stand in middle of", "in middle of"."""
            for start in range(len(here) - 1):
                if here[:start] != written[:start]:
                    break
                counts["predicate"][" ".join(here[start:])][" ".join(written[start:])] += 1

        def count_whole(role: str, written: str, here: str) -> None:
            written, here = (" ".join([*words[:-1], noun(words[-1])]) for words in (written.split(), here.split()))
            if " " in here:
                counts[role][here][written] += 1

        for tokens, facts in rows:
            for written in facts:
                fact = self._as_in_caption(tokens, written)
                count_whole("name", written[0], fact[0])
                if len(fact) == 3 and fact[1] == "is":
                    count_whole("attribute", written[2], fact[2])
                    name, value = self._align_attribute(tokens, fact)
                    count("attribute", tokens, fact[2], value)
                elif len(fact) == 3:
                    count_whole("name", written[2], fact[2])
                    name, predicate, object_ = self._align_relation(tokens, fact)
                    count("predicate", tokens, fact[1], predicate)
                    pair = (name[-1], object_[-1])
                    copied = self._copied(tokens, fact[1], predicate, pair) or _nearly_copied(tokens, predicate, pair)
                    in_order = predicate_order(tokens, copied, pair)
                    count_predicate(infinitives([tokens[i] for i in in_order], self._lemmatizer), fact[1].split())
                    count("name", tokens, fact[2].split()[-1], object_[-1:])
                else:
                    name = self._candidates(tokens, fact[0])[0]
                count("name", tokens, fact[0].split()[-1], name[-1:])
        return counts

    def _learn_synonyms(self, rows: Sequence[Row]) -> None:
        together: Counter[tuple[str, str]] = Counter()
        unmatched: Counter[str] = Counter()
        for tokens, facts in rows:
            words = {word for fact in facts for phrase in fact if phrase != "is" for word in phrase.split()}
            lone_words = [word for word in words if not any(self._similarity(token, word) for token in tokens)]
            lone_tokens = {token for token in tokens if not any(self._similarity(token, word) for word in words)}
            unmatched.update(lone_tokens)
            together.update((token, word) for token in lone_tokens - _UNMATCHED for word in lone_words)
        self._synonyms = {
            (token, word) for (token, word), count in together.items() if count >= 3 and count >= unmatched[token] / 4
        }
        self._similarity.cache_clear()

    def _as_in_caption(self, tokens: Sequence[str], fact: Fact) -> Fact:
        """The fact with words joined or parted as in the caption: "cell phone" for "cellphone"."""
        if len(fact) == 3 and fact[1] != "is":
            return (self._parted(tokens, fact[0]), fact[1], self._parted(tokens, fact[2]))
        return (self._parted(tokens, fact[0]), *fact[1:2], *(self._parted(tokens, value) for value in fact[2:]))

    def _parted(self, tokens: Sequence[str], phrase: str) -> str:
        words = phrase.split()
        if len(words) > 1:
            for joined in ("-".join(words), "".join(words)):
                if joined in tokens:
                    return joined
        parted: list[str] = []
        for word in words:
            plain = word.replace("-", "")
            pairs = () if any(self._same_word(token, word) for token in tokens) else itertools.pairwise(tokens)
            found = next((pair for pair in pairs if len(plain) > 3 and self._same_word("".join(pair), plain)), (word,))
            parted += found
        return " ".join(parted)

    def _same_word(self, token: str, word: str) -> bool:
        if token == word or _NUMBERS.get(token) == word:
            return True
        if (token, word) in _CHOICES:
            return False
        noun, verb = self._lemmatizer.noun, self._lemmatizer.verb
        return not {token, noun(token), verb(token)}.isdisjoint((word, noun(word), verb(word)))

    def _word_similarity(self, token: str, word: str) -> float:
        if token == word:
            return 1.0
        if self._same_word(token, word):
            return 0.95
        if (token, word) in self._synonyms:
            return 0.85
        return 0.7 * _spelt_alike(token, word)

    def _candidates(self, tokens: Sequence[str], phrase: str) -> list[_Words]:
        """The most compact ways to find the words of a phrase among the tokens."""
        options: list[list[int | None]] = []
        for word in phrase.split():
            scores = [self._similarity(token, word) for token in tokens]
            best = max(scores, default=0.0)
            options.append([i for i, score in enumerate(scores) if score == best] if best > 0 else [None])
        if math.prod(map(len, options)) > _MOST_COMBINATIONS:
            options = [option[:2] for option in options]
        ways = list(itertools.islice(itertools.product(*options), _MOST_COMBINATIONS * 4))
        costs = [_spread(way) for way in ways]
        return [way for way, cost in zip(ways, costs, strict=True) if cost == min(costs)]

    def _align_attribute(self, tokens: Sequence[str], fact: Fact) -> tuple[_Words, _Words]:
        def cost(way: tuple[_Words, _Words]) -> float:
            (*_, head), (*_, value) = way
            if head is None or value is None:
                return 0.0
            distance = head - value if head > value else value - head + 1.5  # attributes mostly stand in front
            return distance + 20 * bool(set(way[0]) & set(way[1]) - {None})

        return min(itertools.product(self._candidates(tokens, fact[0]), self._candidates(tokens, fact[2])), key=cost)

    def _align_relation(self, tokens: Sequence[str], fact: Fact) -> tuple[_Words, _Words, _Words]:
        def cost(way: tuple[_Words, _Words, _Words]) -> float:
            found = [i for words in way for i in words if i is not None]
            total = max(found, default=0) - min(found, default=0) + 20.0 * (len(found) - len(set(found)))
            subject, object_ = way[0][-1], way[2][-1]
            first = next((i for i in way[1] if i is not None), None)
            if None not in (subject, object_, first) and not subject < first < object_:  # type: ignore[operator]
                total += 1
            return total

        subject, predicate, object_ = (self._candidates(tokens, phrase) for phrase in fact)
        return min(itertools.product(subject, predicate, object_), key=cost)

    def _mark(self, pairs: Pairs, words: _Words, arc: int) -> int | None:
        """Labels the words of a phrase as belonging to its last one, which is returned."""
        found = [i for i in words if i is not None]
        if not found:
            return None
        head = found[-1]
        for other in found[:-1]:
            if other != head:
                pairs.arcs.setdefault((head, other), arc)
        return head

    def _add_attribute(self, pairs: Pairs, tokens: Sequence[str], fact: Fact) -> None:
        name, value = self._align_attribute(tokens, fact)
        head = self._mark(pairs, name, COMPOUND)
        found = [i for i in value if i is not None]
        if head is None or not found or found[-1] == head or pairs.arcs.get((head, found[-1]), ATTRIBUTE) != ATTRIBUTE:
            return
        pairs.arcs[head, found[-1]] = ATTRIBUTE
        self._mark(pairs, value, PART)

    def _add_relation(self, pairs: Pairs, tokens: Sequence[str], fact: Fact) -> None:
        subject, predicate, object_ = self._align_relation(tokens, fact)
        pair = (self._mark(pairs, subject, COMPOUND), self._mark(pairs, object_, COMPOUND))
        if None in pair or pair in pairs.arcs:
            return
        copied = self._copied(tokens, fact[1], predicate, pair)
        if copied is None and fact[1] not in self._whole:
            if pair[0] == pair[1]:
                return
            copied = _nearly_copied(tokens, predicate, pair)
            if not copied:
                return
        pairs.arcs[pair] = RELATION  # type: ignore[index]
        pairs.predicates[pair] = fact[1] if copied is None else COPIED  # type: ignore[index]
        if copied is not None:
            pairs.copied[pair] = copied  # type: ignore[index]

    def _copied(
        self, tokens: Sequence[str], phrase: str, words: _Words, pair: tuple[int | None, int | None]
    ) -> tuple[int, ...] | None:
        """The tokens that a predicate's words are copied from; None where it is not copied in order."""
        found = [i for i in words if i is not None]
        if len(found) < len(words) or len(set(found)) < len(found) or set(pair) & set(found):
            return None
        if tuple(found) != predicate_order(tokens, sorted(found), pair):
            return None
        for i, word in zip(found, phrase.split(), strict=True):
            if (tokens[i], word) in _CHOICES or not (self._same_word(tokens[i], word) or _spelt_alike(tokens[i], word)):
                return None
        return tuple(sorted(found))


def _nearly_copied(tokens: Sequence[str], predicate: _Words, pair: tuple[int | None, int | None]) -> tuple[int, ...]:
    """What the caption has of a predicate that is said in other words: the nearest that can be learned."""
    found = {i for i in predicate if i is not None and i not in pair}
    return tuple(sorted(found.union(_openers(tokens, found) - set(pair))))


def _keeps(written: Counter[str], word: str) -> bool:
    """Whether annotators write another word often enough; a word joined or parted is the same."""
    if written.total() < KEPT_FROM:
        return False
    return _joined(written.most_common(1)[0][0]) != _joined(word)


def _joined(word: str) -> str:
    return word.replace(" ", "").replace("-", "")


def _openers(tokens: Sequence[str], found: Iterable[int]) -> set[int]:
    """The prepositions before the nouns of compound ones: of "on the corner of" the "on", for "in corner of"."""
    openers = set()
    for position in found:
        before = position - 1 - (tokens[position - 1] in ("the", "a", "an"))
        if tokens[position] in MULTI_WORD_HEADS and before >= 0 and tokens[before] in PREPOSITIONS:
            openers.add(before)
    return openers


def _spelt_alike(token: str, word: str) -> bool:
    if min(len(token), len(word)) <= 3 or token[0] != word[0]:
        return False
    return difflib.SequenceMatcher(None, token, word).ratio() >= 0.78


def _spread(words: _Words) -> int:
    found = [i for i in words if i is not None]
    gaps = sum(abs(after - before - 1) * (1 if after > before else 2) for before, after in itertools.pairwise(found))
    return gaps + 50 * (len(set(found)) < len(found))


def idle_words(examples: Iterable[Example]) -> list[str]:
    """Frequent words that are in no pair in people's graphs, such as articles, prepositions and auxiliaries.

    The parser need not score their pairs, which are most of all pairs.
    """
    seen: Counter[str] = Counter()
    paired: Counter[str] = Counter()
    for example in examples:
        seen.update(example.tokens)
        paired.update(example.tokens[position] for position in {token for pair in example.pairs.arcs for token in pair})
    return sorted(word for word, count in seen.items() if count >= IDLE_FROM and paired[word] <= IDLE_SHARE * count)
