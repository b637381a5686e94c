"""What the page over a dataset is made of: selections, marks, judgements, and the figures of ``facetmine audit``."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from viewed import triplet, write_dataset

import beam_runner
from schemas.manifest import Manifest
from schemas.views import connect
from viewer import intervals, judgements, marks
from viewer.audit import audit
from viewer.judgements import JudgementError, Sitting
from viewer.queries import Catalogue, Selection

# ---- marks --------------------------------------------------------------------------------------------------------


def marked(row: dict[str, Any], role: str) -> str:
    """The caption with its marks: *subject*, +fact+, -against-."""
    signs = {None: "", "subject": "*", "fact": "+", "against": "-"}
    return "".join(f"{signs[mark]}{text}{signs[mark]}" for text, mark in marks.marked(row, role))


def row(**columns: Any) -> dict[str, Any]:
    """A whole row of the triplets table."""
    from schemas import TRIPLETS

    made = triplet(0, **columns)
    return {name: made.get(name) for name in TRIPLETS.names}


def test_the_facts_that_decide_are_marked_in_the_captions() -> None:
    colors = row()
    assert marked(colors, "reference") == "a -black- *dog* on a beach"
    assert marked(colors, "target") == "two +brown+ *dogs* in snow"
    assert marked(colors, "text_distractor") == "a +brown+ -horse-"
    assert marked(colors, "image_distractor") == "a -white- *dog* asleep"
    relation = row(
        kind="relation", condition="ride horse", subject="man", target_attribute=None, target_predicate="ride",
        target_object="horse", target_caption="A red horse, and two men riding brown horses near a horse.",
    )  # fmt: skip
    assert marked(relation, "target") == "A red horse, and two *men* +riding+ brown +horses+ near a horse."
    objects = row(
        kind="change_object", condition="vehicle", subject="street", target_attribute=None,
        target_caption="an old bus on the streets", reference_caption="snow in the street",
        text_distractor_subject="car", text_distractor_caption="a car in the woods",
    )  # fmt: skip
    assert marked(objects, "target") == "an old +bus+ on the *streets*"
    assert marked(objects, "reference") == "snow in the *street*"
    assert marked(objects, "text_distractor") == "a +car+ in the woods"
    focus = row(kind="focus_attribute", condition="color", reference_attribute="black")
    assert marked(focus, "reference") == "a +black+ *dog* on a beach"


def test_the_nearest_words_are_marked_and_captions_stay_as_they_are() -> None:
    dogs = row(target_caption="a brown bag, a white dog and a brown, muddy dog; brown leaves")
    assert marked(dogs, "target") == "a brown bag, a white dog and a +brown+, muddy *dog*; brown leaves"
    for caption in ("", "brown", "<b>brown</b> dog & co", "كلب بني dog brown", "dog " * 4000, "brown\u2019s dog\ud800"):
        for role in marks.ROLES:
            pieces = marks.marked(row(**{f"{role}_caption": caption}), role)
            assert "".join(text for text, _ in pieces) == caption


# ---- selections ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    kinds = ("relation", "change_attribute", "focus_object")
    return [
        triplet(
            number, kind=kinds[number % 3], subject=("dog", "cat")[number % 2], condition=f"in field {number % 5}",
            axis=None if number % 3 != 1 else "color", split="val" if number % 10 == 0 else "train",
            concreteness=number / 100, confidence=None if number % 4 else 0.5 + number / 1000,
            target_caption=f"Hundred% of it_{number} is {'GRÜN' if number % 7 == 0 else 'red'}",
        )
        for number in range(300)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def catalogue(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    out = write_dataset(tmp_path_factory.mktemp("viewer") / "out [1]", rows, files=4)
    return Catalogue(str(out), Manifest.read(str(out)))


@pytest.mark.parametrize(
    ("selection", "asked"),
    [
        (Selection(), lambda row: True),
        (Selection(kinds=("relation", "focus_object")), lambda row: row["kind"] != "change_attribute"),
        (Selection(subject="cat", split="val"), lambda row: row["subject"] == "cat" and row["split"] == "val"),
        (Selection(condition="in field 3", axis="color"), lambda row: row["condition"] == "in field 3" and row["axis"]),
        (Selection(text="grün"), lambda row: "GRÜN" in row["target_caption"]),
        (Selection(text='"of it_1" red'), lambda row: "of it_1" in (said := row["target_caption"]) and "red" in said),
        (Selection(text="d% o"), lambda row: True),
        (Selection(text="%%"), lambda row: False),
        (Selection(text=f"{17:032x}"), lambda row: row["triplet_id"] == f"{17:032x}"),
        (Selection(ranges=(("concreteness", 0.5, 1.0),)), lambda row: 0.5 <= row["concreteness"] <= 1.0),
        (Selection(ranges=(("confidence", None, 0.6),)), lambda row: row["confidence"] and row["confidence"] <= 0.6),
        (Selection(text="' OR true --"), lambda row: False),
    ],
)  # fmt: skip
def test_selections_are_those_of_plain_python(
    catalogue: Catalogue, rows: list[dict[str, Any]], selection: Selection, asked: Any
) -> None:
    expected = [row["triplet_id"] for number in range(4) for row in rows[number::4] if asked(row)]
    found, total = catalogue.page(selection, 0, 1000)
    assert [row["triplet_id"] for row in found] == expected
    assert total == len(expected)
    pages = [row["triplet_id"] for first in range(0, total, 7) for row in catalogue.page(selection, first, 7)[0]]
    assert pages == expected
    indexed = Catalogue(catalogue.out, catalogue.manifest)
    indexed.index_texts()
    assert [row["triplet_id"] for row in indexed.page(selection, 0, 1000)[0]] == expected


def test_a_random_order_is_a_permutation_and_the_same_for_the_same_seed(catalogue: Catalogue) -> None:
    def ids(seed: int | None) -> list[str]:
        return [row["triplet_id"] for row in catalogue.page(Selection(kinds=("relation",), seed=seed), 0, 1000)[0]]

    assert ids(1) == ids(1) != ids(2)
    assert sorted(ids(1)) == sorted(ids(2)) == sorted(ids(None))


def test_about_and_names(catalogue: Catalogue) -> None:
    about = catalogue.about()
    assert about["rows"] == 300
    assert about["kinds"] == {"change_attribute": 100, "focus_object": 100, "relation": 100}
    assert about["splits"] == {"train": 270, "val": 30}
    assert set(about["measures"]) == {"concreteness", "confidence"}
    assert catalogue.names("subject", "C") == [("cat", 150)]
    assert catalogue.names("condition", "in f") == [(f"in field {number}", 60) for number in range(5)]
    with pytest.raises(ValueError, match="column"):
        catalogue.names("triplet_id; DROP TABLE stages", "")


# ---- judgements ---------------------------------------------------------------------------------------------------


def test_the_sample_is_the_same_number_of_each_kind_in_turn(catalogue: Catalogue, rows: list[dict[str, Any]]) -> None:
    sample = judgements.sample(catalogue.cursor(), 3, 20)
    assert sample == judgements.sample(catalogue.cursor(), 3, 20) != judgements.sample(catalogue.cursor(), 4, 20)
    assert len({one["triplet_id"] for one in sample}) == 60
    kinds = {row["triplet_id"]: row["kind"] for row in rows}
    assert all(one["kind"] == kinds[one["triplet_id"]] for one in sample)
    for start in range(0, 60, 3):
        assert len({one["kind"] for one in sample[start : start + 3]}) == 3
    assert len(judgements.sample(catalogue.cursor(), 0, 1000)) == 300


def test_a_sitting_is_a_file_that_is_whole_after_every_judgement(tmp_path: Path) -> None:
    one, other = Sitting(str(tmp_path), "ann", 5), Sitting(str(tmp_path), "bob", 5)
    one.say(triplet(1), "true")
    one.say(triplet(2), "false", "target")
    other.say(triplet(1), "unsure")
    said = judgements.read(str(tmp_path))
    assert len(list((tmp_path / "judgements").iterdir())) == 2
    told = {(row["judge"], row["triplet_id"]): (row["verdict"], row["fault"]) for row in said.to_pylist()}
    assert told == {
        ("ann", f"{1:032x}"): ("true", None),
        ("ann", f"{2:032x}"): ("false", "target"),
        ("bob", f"{1:032x}"): ("unsure", None),
    }
    undone = one.undo()
    assert undone is not None
    assert undone.triplet_id == f"{2:032x}"
    assert len(judgements.read(str(tmp_path))) == 2
    assert one.undo() is not None
    assert one.undo() is None
    assert judgements.read(str(tmp_path))["judge"].to_pylist() == ["bob"]


@pytest.mark.parametrize(
    ("verdict", "fault"),
    [("yes", None), ("true", "target"), ("false", None), ("false", "caption"), ("unsure", "subject")],
)
def test_a_judgement_that_cannot_be_is_refused(tmp_path: Path, verdict: str, fault: str | None) -> None:
    with pytest.raises(JudgementError):
        Sitting(str(tmp_path), "ann", 0).say(triplet(1), verdict, fault)
    assert not (tmp_path / "judgements").exists()


# ---- intervals and audit ------------------------------------------------------------------------------------------


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I: score method without continuity correction.
    published = ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718))
    for yes, number, low, high in published:
        found = intervals.wilson(yes, number)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert intervals.wilson(7, 7).high == 1.0
    assert intervals.wilson(0, 0) == intervals.Share(None, 0.0, 1.0)
    alone = intervals.wilson(3, 10)
    assert intervals.combined([alone], [0.4]) == pytest.approx(alone)  # type: ignore[comparison-overlap]


Z = 1.959963984540054


def by_hand(yes: float, number: int) -> tuple[float, float, float]:
    """Share and limits as roots of (p - share)^2 = z^2 p (1 - p) / n."""
    share, square = yes / number, Z * Z / number
    middle, root = 2 * share + square, math.sqrt(square * square + 4 * square * share * (1 - share))
    return share, (middle - root) / (2 * (1 + square)), (middle + root) / (2 * (1 + square))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 relation and 300 change_attribute triplets and 100 that nobody judges, with judgements of two people."""
    kinds = ["relation"] * 600 + ["change_attribute"] * 300 + ["composite"] * 100
    rows = [triplet(number, kind=kind, confidence=(number % 40) / 40) for number, kind in enumerate(kinds)]
    out = write_dataset(tmp_path_factory.mktemp("audit") / "out", rows, files=3)
    ann, bob = Sitting(str(out), "ann", 0), Sitting(str(out), "bob", 0)
    for number in range(40):  # relation: 30 true, 8 false, 2 unsure
        verdict = "true" if number < 30 else "false" if number < 38 else "unsure"
        ann.say(rows[number], verdict, "target" if verdict == "false" else None)
    for number in range(600, 620):  # change_attribute: 19 true, 1 false, of which bob doubts one
        ann.say(rows[number], *(("false", "subject") if number == 619 else ("true", None)))
    bob.say(rows[600], "false", "condition")
    bob.say(rows[601], "true")
    bob.say(rows[30], "true")
    bob.say(rows[30], "false", "reference")  # changes their mind, and agrees with ann
    ann.say(triplet(5000), "true")  # of another mining
    ann.say(rows[1] | {"text_distractor_id": "another"}, "false", "text_distractor")
    return out


def test_audit_gives_the_figures_that_are_computed_by_hand(judged: Path) -> None:
    with connect(str(judged)) as connection:
        found = audit(connection, judgements.read(str(judged)), 0.1)
    assert (found.judged, found.gone, found.twice, found.agreed) == (60, 2, 3, 2)
    assert found.judges == {"ann": 60, "bob": 3}
    by_kind = {kind.kind: kind for kind in found.kinds}
    relation, attribute, composite = (by_kind[name] for name in ("relation", "change_attribute", "composite"))
    assert (relation.counts.true, relation.counts.false, relation.counts.unsure) == (30, 8, 2)
    assert (attribute.counts.true, attribute.counts.false, attribute.counts.unsure) == (18, 1, 1)
    assert (composite.counts.true, composite.precision.share, composite.share) == (0, None, 0.1)
    shares = {}
    for kind, yes, number in ((relation, 30, 38), (attribute, 18, 19)):
        shares[kind.kind] = by_hand(yes, number)
        assert (kind.precision.share, kind.precision.low, kind.precision.high) == pytest.approx(shares[kind.kind])
    # 600 and 300 of the 900 triplets that have been judged at all.
    (p, low, high), (q, other_low, other_high) = shares["relation"], shares["change_attribute"]
    mean = (2 * p + q) / 3
    below = math.sqrt((2 / 3 * (p - low)) ** 2 + (1 / 3 * (q - other_low)) ** 2)
    above = math.sqrt((2 / 3 * (high - p)) ** 2 + (1 / 3 * (other_high - q)) ** 2)
    assert (found.overall.share, found.overall.low, found.overall.high) == pytest.approx(
        (mean, mean - below, mean + above)
    )
    assert found.covered == pytest.approx(0.9)
    assert found.faults == {"reference": 1, "target": 8, "subject": 1}


def test_audit_says_how_many_more_judgements_a_width_needs(judged: Path) -> None:
    said = judgements.read(str(judged))
    with connect(str(judged)) as connection:
        found = audit(connection, said, 0.2)
        narrow = audit(connection, said, 0.02)

    def width(share: float, number: float) -> float:
        square = Z * Z / number
        return math.sqrt(square * square + 4 * square * share * (1 - share)) / (1 + square)

    by_kind = {kind.kind: kind for kind in found.kinds}
    for name, share, number in (("relation", 30 / 38, 38), ("change_attribute", 18 / 19, 19), ("composite", 0.5, 0)):
        more = next(more for more in range(1000) if number + more and width(share, number + more) <= 0.2)
        assert by_kind[name].more == (more if number + more <= by_kind[name].triplets else None)

    def overall(more: int) -> float:
        below = above = 0.0
        for weight, yes, number in ((2 / 3, 30, 38), (1 / 3, 18, 19)):
            share, low, high = by_hand(yes / number * (number + more), number + more)
            below, above = below + (weight * (share - low)) ** 2, above + (weight * (high - share)) ** 2
        return math.sqrt(below) + math.sqrt(above)

    assert overall(0) == pytest.approx(found.overall.width)
    assert found.more == next(more for more in range(1000) if overall(more) <= 0.2)
    with connect(str(judged)) as connection:
        more = audit(connection, said, 0.12).more
    assert more == next(more for more in range(1000) if overall(more) <= 0.12)
    assert more > 0
    assert all(kind.more is None for kind in narrow.kinds)


def test_audit_tells_precision_by_measure_in_quarters(judged: Path) -> None:
    with connect(str(judged)) as connection:
        found = audit(connection, judgements.read(str(judged)))
    bins = [bin_ for bin_ in found.measures if bin_.measure == "confidence"]
    assert {bin_.measure for bin_ in found.measures} == {"confidence"}
    # Confidences 0, 1/40, ... 39/40 of relation, and the lower twenty again of change_attribute.
    values = sorted([number / 40 for number in range(40)] + [number / 40 for number in range(20)])
    edges = [values[15 - 1], values[30 - 1], values[45 - 1]]
    assert [bin_.most for bin_ in bins] == pytest.approx([*edges, 39 / 40])
    verdicts = [("true" if number < 30 else "false" if number < 38 else "unsure", number / 40) for number in range(40)]
    verdicts += [
        ("unsure" if number == 0 else "false" if number == 19 else "true", number / 40) for number in range(20)
    ]
    for bin_, least, most in zip(bins, [-1, *edges], [*edges, 1], strict=True):
        inside = [verdict for verdict, value in verdicts if least < value <= most]
        counts = bin_.counts
        assert [counts.true, counts.false, counts.unsure] == [
            inside.count(word) for word in ("true", "false", "unsure")
        ]
        share, low, high = by_hand(counts.true, counts.true + counts.false)
        assert (bin_.precision.share, bin_.precision.low, bin_.precision.high) == pytest.approx((share, low, high))


def test_the_command_prints_the_figures(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["audit", str(judged), "--json", "--width", "0.2"]) == 0
    told = json.loads(capsys.readouterr().out)
    relation = next(kind for kind in told["kinds"] if kind["kind"] == "relation")
    assert relation["precision"]["share"] == pytest.approx(30 / 38)
    assert told["width"] == 0.2
    assert beam_runner.main(["audit", str(judged), "--judge", "bob"]) == 0
    assert "3 triplets judged by bob (3)" in capsys.readouterr().out


def test_bad_input_ends_in_a_line(judged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["audit", str(judged), "--width", "5%"]) == 2
    assert beam_runner.main(["audit", str(tmp_path / "none")]) == 1
    assert beam_runner.main(["audit", str(judged), "--judge", "eve"]) == 1
    bare = write_dataset(tmp_path / "bare", [triplet(0)])
    assert beam_runner.main(["audit", str(bare)]) == 1
    (bare / "judgements").mkdir()
    (bare / "judgements/x.parquet").write_bytes(b"PAR1")
    assert beam_runner.main(["audit", str(bare)]) == 1
    assert beam_runner.main(["browse", str(bare), "--port", "99999"]) == 2
    assert beam_runner.main(["browse", str(bare), "--images", str(tmp_path / "no such folder")]) == 2
    empty = write_dataset(tmp_path / "empty", [], files=0)
    assert beam_runner.main(["browse", str(empty)]) == 1
    lines = capsys.readouterr().err.strip().split("\n")
    assert len(lines) == 8
    assert all(len(line) < 400 for line in lines)
