"""``facetmine explain``: why one triplet was made, and what each filter said, judged again from the facts.

Nothing is taken from the mining stages but the rules: what the captions of the four images state and claim is read from
the facts table, and every requirement is tested on it with the names and values that decide.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from filters import axes, concreteness, exclusive, hierarchy, visible, visual
from pipeline import codes
from pipeline.candidates import is_place
from pipeline.config import FOCUS_KINDS, MiningConfig
from pipeline.query import quiet_broken_pipe
from schemas.manifest import Manifest, ManifestError
from schemas.views import connect

RULES = {
    "relation": "the target states the condition of the subject, and the reference shows the subject without the "
    "condition's object",
    "change_attribute": "the target's subject has the value, and the reference's has one that excludes it",
    "focus_attribute": "reference and target have the same value on the axis, nothing else in the reference has one, "
    "and the image distractor's excludes it",
    "change_object": "the target shows the reference's scene with a thing that the reference does not show",
    "focus_object": "reference and target show the thing in the same scene, and the image distractor shows the scene "
    "without it",
    "composite": "the target states two things of the subject, and the reference shows the subject with neither",
}
ROLES = ("reference", "target", "text_distractor", "image_distractor")


class ExplainError(Exception):
    """There is no one triplet to explain; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine explain``."""
    parser.add_argument("out", metavar="OUT", help="output dataset: the folder that holds manifest.json")
    parser.add_argument(
        "triplet", metavar="TRIPLET_ID", help="triplet_id of the triplet, or as much of its beginning as no other has"
    )


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine explain``; returns the exit status."""
    try:
        manifest = Manifest.read(args.out)
        with connect(args.out, manifest) as connection:
            lines = list(explain(connection, manifest, args.triplet))
    except (ManifestError, ExplainError, duckdb.Error) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    with quiet_broken_pipe():
        print("\n".join(lines))
    return 0


def explain(connection: duckdb.DuckDBPyConnection, manifest: Manifest, triplet: str) -> Iterator[str]:
    """The lines that tell of one triplet.

    Args:
        connection: to the dataset (schemas.views.connect).
        triplet: its id, or the beginning of it.

    Raises:
        ExplainError: no triplet has such an id, or several have.
    """
    row = _find(connection, triplet)
    settings = asdict(MiningConfig()) | manifest.configuration.get("mine", {})
    case = _Case(row, {role: Image.of(connection, row, role) for role in ROLES if row[f"{role}_id"]}, settings)
    yield f"triplet    {row['triplet_id']}"
    yield f"kind       {row['kind']} ({row['split']}): {RULES[row['kind']]}"
    yield f"subject    {row['subject']}"
    yield f"condition  {row['condition']}" + (f" (axis {row['axis']})" if row["axis"] else "")
    if row["general"]:
        yield f'general    "{row["general"]}" stands for "{case.own}", which too few targets of the subject say'
    for role, image in case.images.items():
        yield f"\n{_words(role)}  {image.source}: {image.image_id}"
        for caption in image.captions:
            yield f"  {'*' if caption == row[f'{role}_caption'] else '-'} {caption}"
        yield from (f"    fact that counts: {fact}" for fact in case.counting(role))
    yield "\nRequirements"
    yield from _requirements(case)
    yield "\nFilters"
    yield from _filters(case)
    yield "\nMeasures"
    yield from _measures(row)


@dataclass(frozen=True)
class Fact:
    """A row of the facts table."""

    caption: str
    subject: str
    predicate: str | None
    object: str | None
    attribute: str | None
    axis: str | None
    confidence: float | None

    def __str__(self) -> str:
        if self.attribute is not None:
            return f"{self.subject} is {self.attribute} ({self.axis})"
        return f"{self.subject} {self.predicate} {self.object}"

    @property
    def things(self) -> list[str]:
        """What it names."""
        return [self.subject] if self.object is None else [self.subject, self.object]


@dataclass(frozen=True)
class Image:
    """An image of a triplet: all that its captions say, whichever source they come from.

    Attributes:
        names: the things that the captions name.
    """

    source: str
    image_id: str
    captions: list[str]
    facts: list[Fact]
    names: list[str]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, row: dict[str, Any], role: str) -> "Image":
        """The image in that role of a row of the triplets table."""
        source, image_id = row[f"{role}_source"], row[f"{role}_id"]
        keys = "image_key IN (SELECT image_key FROM facts WHERE source = ? AND image_id = ?)"
        facts = _rows(
            connection,
            f"SELECT {', '.join(Fact.__dataclass_fields__)} FROM facts WHERE {keys} "
            "ORDER BY source, caption_index, kind DESC, subject, predicate, object, attribute",
            source,
            image_id,
        )
        # Captions that state nothing are not among the facts, and the captions table may be elsewhere.
        captions = _rows(
            connection,
            "SELECT source, caption_index, caption FROM captions WHERE "
            f"{keys} UNION SELECT source, caption_index, caption FROM facts WHERE {keys} ORDER BY ALL",
            source,
            image_id,
            source,
            image_id,
        )
        names = _rows(
            connection,
            f"SELECT DISTINCT unnest(entities) AS name FROM facts WHERE {keys} ORDER BY ALL",
            source,
            image_id,
        )
        return cls(
            source,
            image_id,
            list(dict.fromkeys(caption["caption"] for caption in captions)),
            [Fact(**fact) for fact in facts],
            [name["name"] for name in names],
        )

    @property
    def values(self) -> list[str]:
        """The values that the captions state of anything."""
        return sorted({fact.attribute for fact in self.facts if fact.attribute is not None})

    def claiming(self, name: str, axis: str | None = None) -> list[str]:
        """The names, values and predicates of the captions by which the image may have a thing, or a value of an axis.

        That is what the mining stages reject a negative for: what says it, a kind of it, or what may be it, and for a
        value with opposites also what may be called the same ("teal" for "blue").
        """
        (denied,) = codes.denials(pa.array([name])).to_pylist()
        predicates = sorted({fact.predicate for fact in self.facts if fact.predicate is not None})
        said = [*self.names, *self.values, *predicates]
        claimed = codes.claims(pa.array(said[: len(said) - len(predicates)], pa.string())).to_pylist()
        claimed += codes.predicate_claims(pa.array(predicates, pa.string())).to_pylist()
        found = {word for word, claims in zip(said, claimed, strict=True) if not set(denied).isdisjoint(claims)}
        if axis is not None:
            stated = [(fact.axis, fact.attribute) for fact in self.facts if fact.attribute is not None]
            groups, members = exclusive.exclusion_groups(
                pa.array([axis, *(axis for axis, _ in stated)], pa.string()),
                pa.array([name, *(value for _, value in stated)], pa.string()),
            )
            alike = (groups[1:] == groups[0]) & (groups[0] >= 0) & (members[1:] & members[0] != 0)
            found |= {stated[number][1] for number in np.flatnonzero(alike)}
        return sorted(found)


@dataclass(frozen=True)
class _Case:
    """A triplet with its images and the settings of its mining."""

    row: dict[str, Any]
    images: dict[str, Image]
    settings: dict[str, Any]

    @property
    def genecis(self) -> bool:
        """Whether it is of the published sampler, which does not ask for truth."""
        # Manifests of older versions name the preset instead.
        return "genecis" in (self.settings["sampler"], self.settings.get("preset"))

    @property
    def of_object(self) -> bool:
        """Whether the condition is a thing in the subject, which is a place."""
        return self.row["kind"] in ("change_object", "focus_object")

    @property
    def own(self) -> str | None:
        """The word of the target's caption that the condition asks for, or of its second fact."""
        row = self.row
        if self.of_object:
            return next((fact.subject for fact in self.counting("target")), None)
        second = row["target_second_object"] or row["target_second_attribute"]
        return second or row["target_object"] or row["target_attribute"]

    def asked(self, word: str) -> str:
        """The word that the condition uses for a word of the target."""
        return self.row["general"] if self.row["general"] and _same(word, self.own) else word

    @property
    def focus(self) -> bool:
        return self.row["kind"] in FOCUS_KINDS

    @property
    def lacking(self) -> list[tuple[str, str | None]]:
        """The things, and the values with their axes, that a contrast to the target must not claim."""
        if self.of_object:
            return [(self.row["condition"], None)]
        lacking = []
        for fact in self.counting("target"):
            said = fact.attribute if fact.attribute is not None else str(fact.object)
            lacking.append((self.asked(said), fact.axis if fact.attribute is not None else None))
        return lacking

    @property
    def contradicted(self) -> list[tuple[str, str | None]]:
        """What of these the image distractor must not claim: of a composite it may satisfy one of the two."""
        if self.row["kind"] != "composite" or self.row["contradiction"] in (None, "silence"):
            return self.lacking
        facts = [fact for fact in self.images["image_distractor"].facts if self.about_subject(fact)]
        wanted = zip(self.counting("target"), self.lacking, strict=True)
        return [lacking for fact, lacking in wanted if not any(self.states(other, fact) for other in facts)]

    def about_subject(self, fact: Fact) -> bool:
        """Whether the fact is about the triplet's subject: of it, or in the object kinds in it."""
        return _same(fact.object if self.of_object else fact.subject, self.row["subject"])

    def counting(self, role: str) -> list[Fact]:
        """The facts for which the image has its role."""
        row = self.row
        facts = [fact for fact in self.images[role].facts if fact.caption == row[f"{role}_caption"]]
        if role == "text_distractor":
            return self.stating([fact for fact in facts if fact.subject == row["text_distractor_subject"]])
        said = [(row.get(f"{role}_predicate"), row[f"{role}_object"], row[f"{role}_attribute"])]
        if role == "target":
            said.append((row["target_second_predicate"], row["target_second_object"], row["target_second_attribute"]))
        found = []
        for predicate, object_, attribute in said:
            matches = (
                fact
                for fact in facts
                if (fact.object, fact.attribute) == (object_, attribute)
                and (predicate is None or fact.predicate == predicate)
                and self.about_subject(fact)
                and (role != "target" or not self.of_object or hierarchy.is_a(fact.subject, row["condition"]))
            )
            found += [fact for fact in [next(matches, None)] if fact is not None]
        return found

    def states(self, fact: Fact, wanted: Fact) -> bool:
        """Whether a fact, of whatever thing, states what a fact of the target states of the subject."""
        if self.of_object:
            asked = self.asked(wanted.subject)
            return hierarchy.is_a(fact.subject, asked) and fact.object is not None and is_place(fact.object)
        if wanted.attribute is not None:
            return fact.axis == wanted.axis and _is_a(fact.attribute, self.asked(wanted.attribute))
        if self.genecis:  # which looks at objects only
            return fact.object == wanted.object
        if fact.object is None or wanted.object is None:
            return False
        asked = self.asked(wanted.object)
        words = f"{fact.predicate} {hierarchy.canonical_name(fact.object)}"
        return words == f"{wanted.predicate} {hierarchy.canonical_name(asked)}" or (
            fact.predicate == wanted.predicate and asked != wanted.object and hierarchy.is_a(fact.object, asked)
        )

    def stating(self, facts: list[Fact]) -> list[Fact]:
        """Those of the facts that state the condition, or one of the two of a composite."""
        return [fact for fact in facts if any(self.states(fact, wanted) for wanted in self.counting("target"))]

    def satisfied(self, facts: list[Fact]) -> bool:
        """Whether the facts state all of the condition."""
        target = self.counting("target")
        return bool(target) and all(any(self.states(fact, wanted) for fact in facts) for wanted in target)


def _requirements(case: _Case) -> Iterator[str]:
    row, images = case.row, case.images
    subject = row["subject"]
    yield _verdict(
        len({(image.source, image.image_id) for image in images.values()}) == len(images), "the images are different"
    )
    target = case.counting("target")
    wanted = 2 if row["kind"] == "composite" else 1
    yield _verdict(len(target) == wanted, f"the target states the condition: {_listed(target)}")
    for role in ("reference", "image_distractor"):
        if role in images:
            shared = case.counting(role) or [fact for fact in images[role].facts if case.about_subject(fact)]
            yield _verdict(bool(shared), f'the {_words(role)} has the subject "{subject}": {_listed(shared)}')
    if case.focus:
        yield _verdict(
            case.satisfied([fact for fact in images["reference"].facts if case.about_subject(fact)]),
            f"the reference states the condition too: {_listed(case.counting('reference'))}",
        )
        if row["kind"] == "focus_attribute":
            others = [
                fact for fact in images["reference"].facts
                if fact.axis == row["axis"] and not _same(fact.subject, subject)
            ]  # fmt: skip
            yield _verdict(not others, f"nothing else in the reference has a value on the axis: {_listed(others)}")
    else:
        yield from _lacks(case, "reference", case.lacking)
    if row["kind"] == "change_attribute":
        yield from _excludes(case, "reference", case.lacking)

    text = case.counting("text_distractor")
    whole = "names the condition's object" if case.genecis else "states the condition of something else"
    yield _verdict(case.satisfied(text), f"the text distractor {whole}: {_listed(text)}")
    yield from _lacks(case, "text_distractor", [(subject, None)])
    if "image_distractor" not in images:
        return
    contradicted = case.contradicted
    if len(contradicted) < len(case.lacking):
        facts = [fact for fact in images["image_distractor"].facts if case.about_subject(fact)]
        yield _verdict(
            len(contradicted) == 1,
            f"the image distractor satisfies one of the two conditions: {_listed(case.stating(facts))}",
        )
    yield from _lacks(case, "image_distractor", contradicted)
    if row["contradiction"] == "exclusive value":
        yield from _excludes(case, "image_distractor", contradicted)
    elif row["contradiction"] == "other object":
        stated = case.counting("image_distractor")
        others = [fact for fact in stated if fact not in case.stating(stated)]
        yield _verdict(bool(others), f"the image distractor contradicts by another object: {_listed(others)}")
    elif row["contradiction"] is not None:
        yield f"  -    the image distractor fails the condition by {row['contradiction']}: it states nothing on it"


def _lacks(case: _Case, role: str, lacking: list[tuple[str, str | None]]) -> Iterator[str]:
    """That the captions of an image, all together, do not claim a thing or value; with all that they claim."""
    image = case.images[role]
    for name, axis in lacking:
        found = image.claiming(name, axis)
        yield _verdict(
            not found,
            f'no caption of the {_words(role)} claims "{name}"' + (f", but for: {', '.join(found)}" if found else ""),
            asked=not case.genecis,
        )
        above = hierarchy.ancestors_of(name)
        maybe = f", and by what may be one: {', '.join(above)}" if above else ""
        yield f'         "{name}" is claimed by its own name, its synonyms and its kinds{maybe}'
    yield f"         things named: {', '.join(image.names) or 'none'}"
    yield f"         values stated: {', '.join(image.values) or 'none'}"


def _excludes(case: _Case, role: str, lacking: list[tuple[str, str | None]]) -> Iterator[str]:
    """That an image's subject has a value that excludes the condition's."""
    for value, axis in lacking:
        others = [fact for fact in case.counting(role) if fact.attribute is not None]
        good = any(
            fact.axis == axis and exclusive.exclusive(axis or "", value, fact.attribute or "") for fact in others
        )
        yield _verdict(good, f'the {_words(role)} states a value that excludes "{value}": {_listed(others)}')


def _filters(case: _Case) -> Iterator[str]:
    """What each filter of the mine stage says of the facts that count."""
    settings = case.settings
    facts = list(dict.fromkeys(fact for role in case.images for fact in case.counting(role)))
    yield _verdict(case.row["kind"] in settings["kinds"], f"kinds: {case.row['kind']} is mined")
    on = sorted({str(fact.axis) for fact in facts if fact.attribute is not None})
    if on:
        yield _verdict(set(on) <= set(settings["axes"]), f"axes: {', '.join(on)}")
    itself = [fact for fact in facts if fact.object is not None and _same(fact.subject, fact.object)]
    yield _verdict(not itself, "relates_to_itself: " + (_listed(itself) if itself else "no fact does"))
    if settings["visible_only"]:
        bad = [fact for fact in facts if _invisible(fact)]
        yield _verdict(
            not bad,
            "visible_only: "
            + (_listed(bad) if bad else "no fact is about the picture, or tells what every or no such thing shows"),
        )
    else:
        yield "  -    visible_only: off"
    yield from _concreteness(case, facts)
    yield from _visual(case, facts)
    least = settings["min_confidence"]
    known = ", ".join(f"{fact} {fact.confidence:.2f}" for fact in facts if fact.confidence is not None)
    yield (
        _verdict(
            all(fact.confidence is None or fact.confidence >= least for fact in facts),
            f"min_confidence {least:g}: {known or 'the parser gives none'}",
        )
        if least > 0
        else f"  -    min_confidence: off; {known or 'the parser gives none'}"
    )


def _invisible(fact: Fact) -> bool:
    subject, predicate, object_, value = (
        pa.array([word], pa.string()) for word in (fact.subject, fact.predicate, fact.object, fact.attribute)
    )
    bad = any(mask.any() for mask in visible.unseen(subject, predicate, object_).values())
    return bad or bool(visible.lookalikes(subject, predicate, object_, value)[0].any())


def _words_of(facts: list[Fact]) -> list[str]:
    """What the facts say of their subjects."""
    return list(dict.fromkeys(str(fact.object if fact.attribute is None else fact.attribute) for fact in facts))


def _visual(case: _Case, facts: list[Fact]) -> Iterator[str]:
    """Visual strength of what the facts say, and how open the axis of their values is."""
    words, values = _words_of(facts), _words_of([fact for fact in facts if fact.attribute is not None])
    strength = visual.visual_strength(pa.array(words, pa.string())).tolist()
    doubt = axes.axis_ambiguity(pa.array(values, pa.string())).tolist()
    least, most = case.settings["min_visual_strength"], case.settings["max_ambiguity"]
    said = ", ".join(f"{word} {'unrated' if np.isnan(found) else f'{found:.2f}'}"
                     for word, found in zip(words, strength, strict=True))  # fmt: skip
    good = all(np.isnan(found) or found >= least for found in strength)
    yield (_verdict(good, f"min_visual_strength {least:g}, unrated words pass: {said}", asked=not case.genecis)
           if least > 0 else f"  -    min_visual_strength: off; {said}")  # fmt: skip
    if values:
        said = ", ".join(f"{value} {bits:.2f}" for value, bits in zip(values, doubt, strict=True))
        yield _verdict(max(doubt) <= most, f"max_ambiguity {most:g}: {said}", asked=not case.genecis)


def _concreteness(case: _Case, facts: list[Fact]) -> Iterator[str]:
    least, mean = case.settings["min_concreteness"], case.row["concreteness"]
    things = list(dict.fromkeys(thing for fact in facts for thing in fact.things))
    rate = concreteness.rate_exact if case.genecis else concreteness.rate
    ratings = dict(zip(things, rate(pa.array(things, pa.string())).tolist(), strict=True))
    said = ", ".join(
        f"{thing} {'unrated' if np.isnan(rating) else f'{rating:.2f}'}" for thing, rating in ratings.items()
    )
    if case.genecis:
        yield _verdict(mean is not None and mean > least, f"min_concreteness {least:g}: mean {mean:.2f} of {said}")
    elif least > 0:
        good = all(np.isnan(rating) or rating >= least for rating in ratings.values())
        yield _verdict(good, f"min_concreteness {least:g}, unrated words pass: {said}")
    else:
        yield f"  -    min_concreteness: off; {said}"


def _measures(row: dict[str, Any]) -> Iterator[str]:
    meanings = {
        "prior": "share of the subject's images, among those that can be paired, that satisfy the condition",
        "ambiguity": "bits of doubt about the axis of the condition's value",
        "visual_strength": "of the condition's words, from 0 to 5",
        "concreteness": "mean of the things of reference, target and text distractor, from 1 to 5",
        "confidence": "of the parser, the lowest of the facts of reference and target",
    }
    for name, meaning in meanings.items():
        yield f"  {name:<16}{'unknown' if row[name] is None else f'{row[name]:.3f}':<9}{meaning}"


def _verdict(good: bool, text: str, *, asked: bool = True) -> str:
    said = "yes" if good else "NO" if asked else "no"
    return f"  {said:<5}{text}" + ("" if asked else " (the genecis sampler does not ask for it)")


def _find(connection: duckdb.DuckDBPyConnection, triplet: str) -> dict[str, Any]:
    beginning = triplet.strip().lower()
    if not beginning:
        raise ExplainError('TRIPLET_ID is empty; `facetmine query OUT "FROM sample_triplets(5)"` shows some')
    found = _rows(
        connection,
        "SELECT DISTINCT triplet_id FROM triplets WHERE starts_with(triplet_id, ?) ORDER BY ALL LIMIT 2",
        beginning,
    )
    if not found:
        raise ExplainError(f"no triplet has an id that begins with {triplet!r}; the column triplet_id has them")
    if len(found) > 1:
        ids = " and ".join(row["triplet_id"] for row in found)
        raise ExplainError(f"several triplets have an id that begins with {triplet!r}, such as {ids}; give more of it")
    # The genecis preset may draw a triplet more than once, with different distractors; this is one of them.
    return _rows(connection, "FROM triplets WHERE triplet_id = ? ORDER BY ALL LIMIT 1", found[0]["triplet_id"])[0]


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, list(values))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _is_a(name: str | None, kind: str) -> bool:
    return name is not None and hierarchy.is_a(name, kind)


def _same(name: str | None, other: str | None) -> bool:
    return name is not None and other is not None and hierarchy.canonical_name(name) == hierarchy.canonical_name(other)


def _listed(facts: list[Fact]) -> str:
    return "; ".join(dict.fromkeys(map(str, facts))) or "nothing found"


def _words(role: str) -> str:
    return role.replace("_", " ")
