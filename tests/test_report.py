"""``facetmine report``: its tables against counts in plain Python, and its page."""

import dataclasses
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import duckdb
import pytest
from datasets import assert_whole, copy, manifest
from factories import Caption, Fact, World, dataset, facts_parts
from test_kinds import ANY, town

import beam_runner
from filters import lexicon
from pipeline import report, report_markdown
from pipeline.job import Job

Rows = list[dict[str, Any]]
ROLES = ("reference", "target", "text_distractor", "image_distractor")
SOURCE = "fair|*ground*"  # what Markdown would take for its own


def fair() -> World:
    """A town, and people of whom captions say more or less by gender."""
    captions = list(town(1, 120).captions)
    for number in range(40):
        who = ("woman", "old man", "girl", "player")[number % 4]
        values = [(who, "smiling")] if number % 3 else [(who, "happy"), ("dog", "wet")]
        facts = [Fact(who, "hold", "bag" if number % 5 else "ball"), Fact(who, "on", "street")]
        captions.append(Caption((SOURCE, f"image{number}"), tuple(facts), tuple(values)))
    return World(tuple(captions))


def make(folder: Path, world: World, *, mined: bool = True) -> Path:
    job: Job = dataset(folder, facts_parts(world, 3))
    if mined:
        job.mine(dataclasses.replace(ANY, triplets=3000))
        job.write()
    job.write_manifest()
    return folder


def read(folder: Path, table: str) -> Rows:
    if not list(folder.glob(table)):
        return []
    found = duckdb.execute("FROM read_parquet(?)", [str(folder / table)])
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


class Reported:
    """A dataset, its rows, and the tables of its report."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.facts, self.triplets, self.rejects = (
            read(out, f"{table}/*.parquet") for table in ("facts", "triplets", "rejects")
        )

    def table(self, name: str) -> Rows:
        return read(self.out, f"report/{name}.parquet")

    @property
    def page(self) -> str:
        return (self.out / "report/report.md").read_text()


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    out = make(tmp_path_factory.mktemp("report") / "out", fair())
    assert beam_runner.main(["report", str(out)]) == 0
    return Reported(out)


def test_counts_by_kind_subject_condition_source_and_contradiction(reported: Reported) -> None:
    triplets = reported.triplets
    kinds = Counter((row["kind"], row["split"]) for row in triplets)
    assert {(row["kind"], row["split"]): row["triplets"] for row in reported.table("kinds")} == kinds
    for row in reported.table("kinds"):
        of_kind = [triplet for triplet in triplets if triplet["kind"] == row["kind"]]
        assert row["share"] == pytest.approx(len(of_kind) / len(triplets), abs=1e-6)
        assert row["subjects"] == len({triplet["subject"] for triplet in of_kind})
        assert row["references"] == len({(triplet["reference_source"], triplet["reference_id"]) for triplet in of_kind})

    subjects = Counter(row["subject"] for row in triplets)
    told = reported.table("subjects")
    assert {row["subject"]: row["triplets"] for row in told if row["triplets"]} == subjects
    facts = Counter(row["subject"] for row in reported.facts)
    assert {row["subject"]: row["facts"] for row in told if row["facts"]} == facts
    assert [row["triplets"] for row in told] == sorted((row["triplets"] for row in told), reverse=True)

    conditions = Counter((row["kind"], row["condition"]) for row in triplets)
    assert {(row["kind"], row["condition"]): row["triplets"] for row in reported.table("conditions")} == conditions
    contradictions = Counter((row["kind"], row["contradiction"]) for row in triplets)
    told = reported.table("contradictions")
    assert {(row["kind"], row["contradiction"]): row["triplets"] for row in told} == contradictions

    for row in reported.table("sources"):
        assert row["facts"] == sum(fact["source"] == row["source"] for fact in reported.facts)
        for role in ROLES:
            assert row[f"{role}s"] == sum(triplet[f"{role}_source"] == row["source"] for triplet in triplets)
    assert [row["source"] for row in reported.table("sources")] == sorted({SOURCE, "town"})


def test_counts_by_axis(reported: Reported) -> None:
    facts = Counter(row["axis"] for row in reported.facts if row["kind"] == "attribute")
    triplets = Counter((row["axis"], row["kind"]) for row in reported.triplets if row["axis"])
    told = reported.table("axes")
    assert {row["axis"]: row["facts"] for row in told} == facts
    for row in told:
        for kind in ("change_attribute", "focus_attribute", "composite"):
            assert row[kind] == triplets[row["axis"], kind]
        assert row["triplets"] == sum(count for (axis, _), count in triplets.items() if axis == row["axis"])


def test_the_funnel_and_the_coverage_of_images(reported: Reported) -> None:
    funnel = {row["step"]: row["number"] for row in reported.table("funnel")}
    rejected = sum(row["stage"] == "mine" for row in reported.rejects)
    assert funnel["facts"] == len(reported.facts)
    assert funnel["facts that pass the filters of mining"] == len(reported.facts) - rejected
    assert funnel["triplets"] == len(reported.triplets)
    targets = {
        (row["target_source"], row["target_id"], row["target_caption"], row["target_predicate"], row["target_object"],
         row["target_attribute"], row["condition"] if row["kind"].endswith("_object") else row["subject"])
        for row in reported.triplets
    }  # fmt: skip
    assert funnel["facts that are the target of a triplet"] == len(targets)

    images = {(row["source"], row["image_id"]) for row in reported.facts}
    uses = {role: Counter((row[f"{role}_source"], row[f"{role}_id"]) for row in reported.triplets) for role in ROLES}
    uses["any of them"] = sum(uses.values(), Counter())
    for row in reported.table("coverage"):
        used = uses[row["role"].replace(" distractor", "_distractor")]
        assert (row["images"], row["uses"], row["most_uses"]) == (len(used), used.total(), max(used.values()))
        assert row["share_of_images"] == pytest.approx(len(used) / len(images), abs=1e-6)
    assert len(reported.table("coverage")) == 5


def test_head_and_tail(reported: Reported) -> None:
    names: dict[tuple[str, str, str], Counter] = defaultdict(Counter)
    for row in reported.triplets:
        for what in ("subject", "condition"):
            for kind in (row["kind"], "all"):
                names[what, "triplets", kind][row[what]] += 1
    for row in reported.facts:
        words = row["attribute"] or f"{row['predicate']} {row['object']}"
        for kind in (row["kind"], "all"):
            names["subject", "facts", kind][row["subject"]] += 1
            names["condition", "facts", kind][words] += 1
    told = {(row["what"], row["of"], row["kind"]): row for row in reported.table("head_and_tail")}
    assert told.keys() == names.keys()
    for key, counts in names.items():
        total = counts.total()
        row = told[key]
        assert (row["rows"], row["distinct"]) == (total, len(counts))
        entropy = -sum(count / total * math.log2(count / total) for count in counts.values())
        assert row["entropy_bits"] == pytest.approx(entropy, abs=1e-4)
        head = sum(count for _, count in counts.most_common(50))
        assert row["share_of_top_50"] == pytest.approx(head / total, abs=1e-6)
        assert row["singletons"] == sum(count == 1 for count in counts.values())


def test_ranks_tell_what_share_the_most_frequent_names_have(reported: Reported) -> None:
    told = reported.table("ranks")
    for what in ("subject", "condition"):
        counts = [count for _, count in Counter(row[what] for row in reported.triplets).most_common()]
        mine = [row for row in told if (row["what"], row["of"]) == (what, "triplets")]
        assert [row["rank"] for row in mine][:4] == [1, 2, 3, 4][: len(counts)]
        assert mine[-1]["rank"] == len(counts)
        for row in mine:
            assert row["rows"] == counts[row["rank"] - 1]
            assert row["share_up_to"] == pytest.approx(sum(counts[: row["rank"]]) / sum(counts), abs=1e-6)


def test_examples_are_triplets_of_every_kind(reported: Reported) -> None:
    told = reported.table("triplet_examples")
    known = {row["triplet_id"]: row for row in reported.triplets}
    assert all(known[row["triplet_id"]] == row for row in told)
    assert Counter(row["kind"] for row in told) == {
        kind: min(4, count) for kind, count in Counter(row["kind"] for row in known.values()).items()
    }


GROUPS = {row["term"]: (row["gender"], row["age"]) for row in lexicon.rows("person_terms")}


def group_of(name: str) -> tuple[str, str] | None:
    return GROUPS.get(name) or GROUPS.get(name.split(" ")[-1])


def test_people_by_gender_and_age(reported: Reported) -> None:
    facts = Counter(group for row in reported.facts if (group := group_of(row["subject"])))
    triplets = Counter(group for row in reported.triplets if (group := group_of(row["subject"])))
    conditions = Counter(
        group
        for row in reported.triplets
        if row["kind"].endswith("_object") and (group := group_of(row["condition"]))
    )  # fmt: skip
    told = {(row["gender"], row["age"]): row for row in reported.table("people")}
    assert {group: row["facts"] for group, row in told.items()} == facts
    assert {group: row["triplets"] for group, row in told.items() if row["triplets"]} == triplets
    assert {group: row["as_condition"] for group, row in told.items() if row["as_condition"]} == conditions
    assert {("female", "adult"), ("male", "adult"), ("female", "child"), ("unstated", "unstated")} <= facts.keys()
    words = {row["term"]: row["facts"] for row in reported.table("person_words")}
    assert words["man"] == sum(row["subject"] == "old man" for row in reported.facts)


def test_what_is_said_of_genders_and_groups(reported: Reported) -> None:
    images: dict[str, set] = defaultdict(set)
    groups: dict[tuple[str, str], set] = defaultdict(set)
    said: dict[tuple[str, str], dict[str, set]] = defaultdict(lambda: defaultdict(set))
    said_of: dict[tuple[str, str, str, str], set] = defaultdict(set)
    of_all: dict[tuple[str, str], set] = defaultdict(set)
    for row in reported.facts:
        if group := group_of(row["subject"]):
            image = row["source"], row["image_id"]
            images[group[0]].add(image)
            groups[group].add(image)
            for what in ("attribute", "predicate", "object"):
                if row[what]:
                    said[what, row[what]][group[0]].add(image)
                    said_of[(*group, what, row[what])].add(image)
                    of_all[what, row[what]].add(image)
    women, men = len(images["female"]), len(images["male"])
    told = {(row["what"], row["words"]): row for row in reported.table("person_genders")}
    assert told.keys() == {key for key, by in said.items() if len(by["female"]) + len(by["male"]) >= 5}
    for key, row in told.items():
        female, male = len(said[key]["female"]), len(said[key]["male"])
        assert (row["female_images"], row["male_images"]) == (female, male)
        odds = [(count + 0.5) / (size - count + 0.5) for count, size in ((female, women), (male, men))]
        assert row["log_odds"] == pytest.approx(math.log(odds[0] / odds[1]), abs=1e-3)
        assert row["leans"] == ("female" if odds[0] > odds[1] else "male" if odds[0] < odds[1] else "neither")

    everyone = len(set().union(*groups.values()))
    told_groups = {
        (row["gender"], row["age"], row["what"], row["words"]): row for row in reported.table("person_groups")
    }
    assert told_groups.keys() == {key for key, found in said_of.items() if len(found) >= 5}
    for key, row in told_groups.items():
        share = len(said_of[key]) / len(groups[key[:2]])
        assert row["lift"] == pytest.approx(share / (len(of_all[key[2:]]) / everyone), abs=1e-3)


def test_triplets_whose_target_states_it_of_women(reported: Reported) -> None:
    counted: Counter = Counter()
    for row in reported.triplets:
        who = row["condition"] if row["kind"].endswith("_object") else row["subject"]
        if (group_of(who) or ("",))[0] == "female":
            for what in ("attribute", "predicate", "object"):
                counted.update((what, row[f"target_{name}{what}"]) for name in ("", "second_"))
    for row in reported.table("person_genders"):
        assert row["female_triplets"] == counted[row["what"], row["words"]]
    assert counted["object", "street"] > 0


def test_rejects_with_examples(reported: Reported) -> None:
    counts = Counter((row["stage"], row["reason"]) for row in reported.rejects)
    told = reported.table("rejects")
    assert {(row["stage"], row["reason"]): row["rows"] for row in told} == counts
    assert all(row["share_of_rows_in"] == pytest.approx(row["rows"] / len(reported.facts), abs=1e-6) for row in told)
    examples = reported.table("reject_examples")
    assert Counter((row["stage"], row["reason"]) for row in examples) == {
        key: min(count, 5) for key, count in counts.items()
    }
    known = {(row["reason"], row["detail"], row["source"], row["image_id"]) for row in reported.rejects}
    assert {(row["reason"], row["detail"], row["source"], row["image_id"]) for row in examples} <= known
    captions = {(row["source"], row["image_id"], row["caption_index"]): row["caption"] for row in reported.facts}
    assert all(row["caption"] == captions[row["source"], row["image_id"], row["caption_index"]] for row in examples)


@pytest.mark.parametrize(("measure", "width"), [("prior", 0.1), ("concreteness", 0.5), ("confidence", 0.1)])
def test_histograms(reported: Reported, measure: str, width: float) -> None:
    def bin_of(value: float | None) -> int | None:
        return None if value is None else min(int(round(value / width, 5)), 9)

    counts = Counter((row["kind"], bin_of(row[measure])) for row in reported.triplets)
    told = {
        (row["kind"], None if row["from"] is None else round(row["from"] / width)): row["triplets"]
        for row in reported.table("histograms")
        if row["measure"] == measure
    }
    assert told == counts


def test_the_page_has_every_section_and_shows_what_looks_like_markdown(reported: Reported) -> None:
    page = reported.page
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [
        section.title for section in report_markdown.SECTIONS
    ]
    for section in report_markdown.SECTIONS:
        assert f"(`{section.table}.parquet`, " in page
    assert r"| fair\|\*ground\* |" in page
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("| ")]
    for lines in tables:
        assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    # The last section is of scores, which this dataset has none of.
    told, _, fit = page.lower().replace("or nothing of the sort", "").partition("## how pictures fit")
    assert "nothing" not in told
    assert fit.endswith("nothing to show: the stage that makes it has not run, or made none.\n")


def test_the_same_dataset_gives_the_same_report(reported: Reported) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (reported.out / "report").iterdir()}

    first = content()
    assert len(first) == len(report.TABLES) + 1
    assert beam_runner.main(["report", str(reported.out)]) == 0
    assert content() == first


def test_the_summary_says_where_the_report_is(reported: Reported, capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["report", str(reported.out)]) == 0
    shown, complaints = capsys.readouterr()
    assert complaints == ""
    assert shown.startswith(f"{reported.out}/report/report.md: ")
    assert f"{len(reported.triplets):,} triplets" in shown


def test_a_dataset_that_is_only_parsed_is_reported_as_far_as_it_goes(tmp_path: Path) -> None:
    out = Reported(make(tmp_path / "out", fair(), mined=False))
    assert beam_runner.main(["report", str(out.out)]) == 0
    assert {row["step"]: row["number"] for row in out.table("funnel")} == {
        "captions": 0, "captions that state something": 0, "facts": len(out.facts),
        "facts that pass the filters of mining": None, "facts that are the target of a triplet": 0, "triplets": 0,
    }  # fmt: skip
    assert out.table("kinds") == out.table("histograms") == out.table("rejects") == []
    assert sum(row["facts"] for row in out.table("axes")) > 0
    assert "stages done: read, parse." in out.page
    assert "Nothing to show" in out.page


def test_no_triplets(tmp_path: Path) -> None:
    out = Reported(make(tmp_path / "out", World((Caption(("town", "a"), (Fact("dog", "on", "beach"),)),))))
    assert out.triplets == []
    assert beam_runner.main(["report", str(out.out)]) == 0
    assert out.table("coverage") == out.table("person_genders") == []
    assert {row["step"]: row["number"] for row in out.table("funnel")}["facts"] == 1


@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "no folder"])
def test_no_dataset_is_told_in_one_line(there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    assert beam_runner.main(["report", str(out)]) == 1
    shown, complaints = capsys.readouterr()
    assert shown == ""
    assert complaints.count("\n") == 1
    assert str(out) in complaints
    assert not (out / "report").exists()


def test_a_whole_run_is_reported_from_captions_on(small_run: Path, tmp_path: Path) -> None:
    out = Reported(copy(small_run, tmp_path / "out"))
    assert beam_runner.main(["report", str(out.out)]) == 0
    stages = manifest(out.out)["stages"]
    funnel = {row["step"]: row["number"] for row in out.table("funnel")}
    assert funnel["captions"] == stages["read"]["rows_out"] > 0
    assert funnel["captions that state something"] == stages["parse"]["rows_out"]
    assert funnel["facts that pass the filters of mining"] == stages["mine"]["rows_out"]
    told = {(row["stage"], row["reason"]): row["rows"] for row in out.table("rejects")}
    assert told == {(name, reason): rows for name, stage in stages.items() for reason, rows in stage["rejects"].items()}
    assert sum(row["captions"] for row in out.table("sources")) == funnel["captions"]
    assert beam_runner.main(["explain", str(out.out), out.triplets[0]["triplet_id"]]) == 0
    assert_whole(out.out)
