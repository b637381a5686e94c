"""The HTML page of ``facetmine report``, in a real browser: what it shows, and what it must never do."""

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from browser import NARROW, SCHEMES, WIDE, OpenPage, check_accessible, check_fits
from commands import ROOT, facetmine
from datasets import manifest
from factories import Caption, Fact, World, dataset, facts_parts
from pictures import picture, png, write_tar
from test_kinds import ANY
from test_report import SOURCE, Reported, fair, make

import beam_runner
from pipeline import report_parts
from pipeline.reasons import MEANINGS

pytestmark = pytest.mark.xdist_group("browser")

MARKUP = "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
HOSTILE = (
    MARKUP,
    "]]> <!-- --> {{ 7 * 7 }} &lt;b&gt; ' \" \\",
    "\u202eright to left \u0645\u0631\u062d\u0628\u0627",
    "long " * 2000,
    "http://example.invalid/x.png",
)
UNFOLD = "document.querySelectorAll('details').forEach((details) => { details.open = true })"


def hostile(folder: Path, images: int = 90) -> Path:
    """A dataset whose captions, subjects, sources and image ids are what nobody would want on a page."""
    captions = list(fair().captions)
    for number in range(images):
        name = HOSTILE[number % len(HOSTILE)].strip()
        facts = (Fact(name, "on", ("street", "beach", MARKUP)[number % 3]), Fact("car", "near", name))
        captions.append(Caption((MARKUP, f"../../etc/passwd-{number}"), facts))
    parts = facts_parts(World(tuple(captions)), 2)
    for number, part in enumerate(parts):
        texts = [HOSTILE[row % len(HOSTILE)] + f" {row}" for row in range(len(part))]
        parts[number] = part.set_column(part.schema.get_field_index("caption"), part.schema.field("caption"),
                                        pa.array(texts))  # fmt: skip
    job = dataset(folder, parts)
    job.mine(dataclasses.replace(ANY, triplets=3000))
    job.write()
    job.write_manifest()
    return folder


def report(folder: Path, images: Path) -> None:
    arguments = ["report", str(folder / "out"), "--html", str(folder / "page.html"), "--images", str(images)]
    assert beam_runner.main(arguments) == 0


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and page.html beside it, with pictures of some of its images."""
    folder = tmp_path_factory.mktemp("town")
    make(folder / "out", fair())
    shard = write_tar(folder / "pictures.tar", [(f"image{number}", png(picture(number)), "") for number in range(60)])
    report(folder, shard)
    return folder


@pytest.fixture(scope="module")
def feared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile dataset and its page."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile(folder / "out")
    report(folder, write_tar(folder / "pictures.tar", [("a", png(picture(0)), "")]))
    return folder


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_is_quiet_fits_and_is_accessible(town: Path, open_page: OpenPage, width: int, scheme: str) -> None:
    opened = open_page(f"file://{town}/page.html", width, scheme)
    opened.page.evaluate(UNFOLD)
    check_fits(opened.page)
    check_accessible(opened.page)
    opened.check()


def test_it_shows_what_the_tables_hold(town: Path, open_page: OpenPage) -> None:
    tables = Reported(town / "out")
    page = open_page(f"file://{town}/page.html").page
    kinds = Counter(row["kind"].replace("_", " ") for row in tables.triplets)
    shown = {row.locator("th").inner_text(): row.locator("td.num").first.inner_text()
             for row in page.locator("#kinds [aria-label='Triplets by kind'] tbody tr").all()}  # fmt: skip
    assert shown == {kind: f"{count:,}" for kind, count in kinds.items()}
    reasons = Counter(row["reason"].replace("_", " ") for row in tables.rejects)
    shown = {row.locator("th").inner_text().splitlines()[0]: row.locator("td.num").first.inner_text()
             for row in page.locator("#removed tbody tr").all()}  # fmt: skip
    assert shown == {reason: f"{count:,}" for reason, count in reasons.items()}
    assert {box.inner_text() for box in page.locator(".kind > h3").all()} == set(kinds)
    captions = {row["caption"] for row in tables.facts}
    assert {box.inner_text() for box in page.locator("figcaption > div:first-child").all()} <= captions
    stages = manifest(town / "out")["stages"]
    flow = page.locator("#flow").inner_text()
    assert f"{stages['mine']['rows_in']:,} facts" in flow
    assert f"{stages['mine']['rows_out']:,} facts to mine" in flow


def test_pictures_are_in_the_page_where_there_are_some(town: Path, open_page: OpenPage) -> None:
    page = open_page(f"file://{town}/page.html").page
    ids = {row[f"{role}_id"] for row in Reported(town / "out").table("triplet_examples")
           for role in ("reference", "target", "text_distractor", "image_distractor")}  # fmt: skip
    assert ids & {f"image{number}" for number in range(60)}
    sizes = page.evaluate("[...document.images].map((image) => [image.naturalWidth, image.naturalHeight])")
    assert sizes
    assert {tuple(size) for size in sizes} == {(40, 36)}
    assert page.get_by_text("no picture").count() > 0


def test_the_keyboard_alone_searches_sorts_and_unfolds(town: Path, open_page: OpenPage) -> None:
    opened = open_page(f"file://{town}/page.html")
    page, keys = opened.page, opened.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(200):
            keys.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached")

    def names() -> list[str]:
        return page.locator(".searchable").first.locator("tbody th").all_inner_texts()

    keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    tables = Reported(town / "out")
    counts = {row["subject"]: row["triplets"] for row in tables.table("subjects")}
    tab_to("#find-subjects")
    keys.type("PU")
    assert names() == ["puppy"]
    keys.press("Control+A")
    keys.press("Delete")
    tab_to("#order-subjects")
    keys.press("f")  # fewest triplets
    assert [counts[name] for name in names()] == sorted(counts.values())[:15]
    tab_to("summary")
    keys.press("Enter")
    assert page.locator("details[open]").count() == 1
    opened.check()


def test_more_rows_are_shown_when_asked_for_and_kinds_chosen(town: Path, open_page: OpenPage) -> None:
    page = open_page(f"file://{town}/page.html").page
    conditions = page.locator(".searchable").nth(1)
    told = Reported(town / "out").table("conditions")
    page.select_option("#kind-conditions", "relation")
    of_relation = [row for row in told if row["kind"] == "relation"]
    assert conditions.locator(".count").inner_text() == f"{len(of_relation)} of {len(told)} names"
    page.select_option("#kind-conditions", "")
    assert len(told) > 15
    assert conditions.locator("tbody tr").count() == 15
    conditions.locator("button").click()
    assert conditions.locator("tbody tr").count() == min(len(told), 65)
    rows = [tuple(row.locator("th, td").all_inner_texts()) for row in conditions.locator("tbody tr").all()]
    known = {(row["condition"], row["kind"].replace("_", " "), f"{row['triplets']:,}", f"{row['subjects']:,}")
             for row in told}  # fmt: skip
    assert set(rows) <= known


def test_what_is_hostile_is_text(feared: Path, open_page: OpenPage) -> None:
    opened = open_page(f"file://{feared}/page.html", NARROW)
    page = opened.page
    page.evaluate(UNFOLD)
    title = page.title()
    page.fill("#find-subjects", "onerror")
    assert page.locator(".searchable tbody th").first.inner_text() == MARKUP
    assert page.locator("img[src=x]").count() == 0
    page.wait_for_timeout(200)
    assert page.title() == title != "run"
    assert max(map(len, page.locator("figcaption > div").all_inner_texts())) <= report_parts.LONGEST
    check_fits(page)
    opened.check()


def test_the_page_forbids_itself_to_load_anything(feared: Path, town: Path) -> None:
    for page in ((feared / "page.html").read_text(), (town / "page.html").read_text()):
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
        assert policy
        assert policy[1].startswith("default-src 'none'; img-src data:;")
        assert not re.search(r"<link(?! rel=\"icon\" href=\"data:)|<script src|@import|url\(", page)
        assert set(re.findall(r'src="([^":]*):', page)) <= {"data"}
    assert "/etc/passwd" not in re.sub(r"passwd-\d+", "", (feared / "page.html").read_text())


def test_two_datasets_side_by_side(town: Path, feared: Path, open_page: OpenPage, tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    assert beam_runner.main(["report", str(town / "out"), str(feared / "out"), "--html", str(html)]) == 0
    opened = open_page(f"file://{html}")
    page = opened.page
    one, other = f"{town.name}/out", f"{feared.name}/out"
    assert page.locator("h1").inner_text() == f"{one} and {other}"
    totals = [Counter(row["kind"].replace("_", " ") for row in Reported(folder / "out").triplets)
              for folder in (town, feared)]  # fmt: skip
    for row in page.locator("#kinds [aria-label='Triplets by kind'] tbody tr").all():
        kind = row.locator("th").inner_text()
        assert row.locator("td.num").all_inner_texts()[:2] == [f"{total[kind]:,}" for total in totals]
    counts = [{row["subject"]: row["triplets"] for row in Reported(folder / "out").table("subjects")}
              for folder in (town, feared)]  # fmt: skip
    page.fill("#find-subjects", "dog")
    shown = page.locator(".searchable").first.locator("tbody tr").first.locator("th, td").all_inner_texts()
    assert shown == ["dog", f"{counts[0]['dog']:,}", f"{counts[1]['dog']:,}"]
    page.select_option("#order-subjects", "difference")
    check_accessible(page)
    opened.check()


def test_a_dataset_that_is_only_parsed_has_a_page(open_page: OpenPage, tmp_path: Path) -> None:
    make(tmp_path / "out", fair(), mined=False)
    assert beam_runner.main(["report", str(tmp_path / "out"), "--html", str(tmp_path / "page.html")]) == 0
    opened = open_page(f"file://{tmp_path}/page.html")
    assert opened.page.locator("section").evaluate_all("(all) => all.map((one) => one.id)") == [
        "flow", "axes", "spread", "people", "images", "made",
    ]  # fmt: skip
    check_accessible(opened.page)
    opened.check()


def test_the_lists_to_search_in_are_bounded_whatever_the_names() -> None:
    names = [[f"{'<&>' * 40}{number}", number] for number in range(20_000)]
    kept = report_parts._within(names, report_parts.LISTED_BYTES)
    assert 100 < len(kept) < len(names)
    assert len(report_parts._as_script(kept)) <= report_parts.LISTED_BYTES + 2
    assert json.loads(report_parts._as_script(kept)) == kept


@pytest.mark.slow
def test_scores_and_pictures_of_a_run_with_images(open_page: OpenPage, tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    toy, out, html = tmp_path / "toy", tmp_path / "out", tmp_path / "page.html"
    (tmp_path / "mine.toml").write_text(
        (ROOT / "pipeline/presets/default.toml").read_text() + "\n[fit]\nmin_caption_score = 0.05\n"
    )
    assert facetmine("toyworld", "--output", toy, "--images", 300, "--wrong", 0.3).returncode == 0
    done = facetmine("run", "--input", toy / "shards", "--images", toy / "shards", "--clip-model", "toyworld",
                     "--output", out, "--config", tmp_path / "mine.toml", OMP_NUM_THREADS="1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert beam_runner.main(["report", str(out), "--html", str(html)]) == 0
    opened = open_page(f"file://{html}")
    dropped = manifest(out)["stages"]["mine"]["rejects"]["does_not_fit_caption"]
    fits = opened.page.locator("#fits")
    assert fits.get_by_text(re.compile(rf"kept, {dropped:,} dropped")).count() == 1
    assert fits.get_by_text("threshold 0.05").count() == 1
    assert opened.page.evaluate("[...document.images].every((image) => image.naturalWidth === 64)")
    assert opened.page.locator("img").count() >= 12
    check_accessible(opened.page)
    opened.check()


def test_pictures_that_are_gone_are_told_of_and_the_page_is_made(
    town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "page.html"
    arguments = ["report", str(town / "out"), "--html", str(html), "--images", str(tmp_path / "nowhere")]
    assert beam_runner.main(arguments) == 0
    shown, complaints = capsys.readouterr()
    assert shown.startswith(f"{html}: ")
    assert complaints.count("\n") == 1
    assert "without pictures" in complaints
    assert str(tmp_path / "nowhere") in complaints
    assert "<figure" in html.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["OUT", "--images", "shards"], "--html"),
        (["OUT", "--html", "FOLDER"], "is a folder"),
        (["OUT", "OUT2", "OUT3", "--html", "page.html"], "3 datasets"),
        (["OUT", "OUT/", "--html", "page.html"], "twice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_told_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert beam_runner.main(["report", *(argument.replace("FOLDER", str(tmp_path)) for argument in arguments)]) == 2
    shown, complaints = capsys.readouterr()
    assert (shown, complaints.count("\n")) == ("", 1)
    assert said in complaints


def test_json_is_the_tables(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["report", str(town / "out"), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["reports"]
    tables = Reported(town / "out")
    assert told["tables"]["kinds"]["first"] == tables.table("kinds")
    assert told["tables"]["subjects"]["rows"] == len(tables.table("subjects"))
    assert told["tables"]["people"]["path"] == f"{town}/out/report/people.parquet"
    assert SOURCE in {row["source"] for row in told["tables"]["sources"]["first"]}


def test_every_reason_that_the_documentation_lists_has_the_meaning_that_the_page_tells() -> None:
    rejects = (ROOT / "docs/architecture.md").read_text().partition("## Rejects")[2].partition("## Runners")[0]
    listed = re.findall(r"^\| \w+ \| `(\w+)` \| (.+) \|$", rejects, re.MULTILINE)
    assert len(listed) > 20
    assert {reason for reason, _ in listed} <= MEANINGS.keys()
