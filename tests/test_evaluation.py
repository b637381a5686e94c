"""Evaluation: ranks and recall against brute force, GeneCIS's files as published, what is missing is told."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'facetmine[train]'")
pytest.importorskip("open_clip", reason="open_clip is not installed: pip install 'facetmine[clip]'")

import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import beam_runner
from downstream import genecis, statistics, toy_galleries
from downstream.retrieval import Embedded, rank, rank_of_first_right, unit
from downstream.tasks import Folder, Missing, Query, Task

SHARED = Path(__file__).parents[2] / "shared/data/genecis/change_object.json"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=12))
def test_the_rank_is_that_of_a_sort_in_which_wrong_answers_win_ties(answers: list[tuple[int, bool]]) -> None:
    answers[0] = (answers[0][0], True)
    in_order = sorted(answers, key=lambda answer: (-answer[0], answer[1]))
    place = 1 + next(place for place, (_, right) in enumerate(in_order) if right)
    values, right = (np.array(column) for column in zip(*answers, strict=True))
    assert rank_of_first_right(values.astype(float), right.astype(bool)) == place


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_ranks_of_galleries_are_those_of_brute_force(seed: int, whole: bool) -> None:
    random = np.random.default_rng(seed)
    names = [f"p{number}" for number in range(9)]
    features = random.normal(size=(9, 4)).astype(np.float32)
    queries = []
    for _ in range(6):
        reference, right, *gallery = random.permutation(names).tolist()[:6]
        queries.append(Query(reference, "x", (right,), None if whole else tuple(gallery)))
    task = Task("t", queries, Folder(Path()), (1, 2), gallery=tuple(names) if whole else ())
    embedded = Embedded(
        {name: row for row, name in enumerate(names)}, features, np.zeros((1, 4), np.float32), {"x": 0}, Missing(6)
    )
    ranked = rank(task, embedded, lambda images, texts: images)
    places = unit(features)
    for query, place in zip(queries, ranked.ranks, strict=True):
        shown = [name for name in names if name != query.reference] if whole else [*query.right, *(query.gallery or ())]
        alike = {name: float(places[names.index(name)] @ places[names.index(query.reference)]) for name in shown}
        assert place == 1 + sum(alike[name] > alike[query.right[0]] for name in shown)
    assert ranked.hits(2).mean() == np.mean(ranked.ranks <= 2)


def test_boxes_are_cut_out_as_published() -> None:
    """Dilated by 0.7 of their size to left and top, of 1.7 times their size, in the middle of a black square."""
    image = Image.new("RGB", (100, 80), "white")
    image.paste((255, 0, 0), (30, 20, 50, 30))
    cut = genecis.cut_out(image, [30, 20, 20, 10])
    # from (30 - 14, 20 - 7) to (16 + 34, 13 + 17): 34 x 17, padded to 34 x 34
    assert cut.size == (34, 34)
    assert cut.getpixel((0, 0)) == (0, 0, 0)
    assert cut.getpixel((0, 8)) == (255, 255, 255)
    assert cut.getpixel((14, 8 + 7)) == (255, 0, 0)
    assert cut.getpixel((33, 8 + 16)) == (255, 0, 0)


def test_the_published_templates_are_read() -> None:
    if not SHARED.is_file():
        pytest.skip("../shared is not there: GeneCIS's templates are beside the repository")
    templates = genecis.read_templates(SHARED)
    assert len(templates) == 1960
    assert all(template["condition"] and template["gallery"] for template in templates)


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of templates and one of images, as published, but for one image that is missing."""
    templates, images = tmp_path / "templates", tmp_path / "images"
    templates.mkdir()
    images.mkdir()
    for number in range(1, 8):
        Image.new("RGB", (40, 40), (30 * number, 255 - 30 * number, 90)).save(images / f"{number:012d}.jpg")
    named = [{"val_image_id": number} for number in range(10)]
    (templates / "change_object.json").write_text(
        json.dumps(
            [
                {"condition": "dog", "reference": named[1], "target": named[2], "gallery": named[3:6]},
                {"condition": "cat", "reference": named[2], "target": named[3], "gallery": [named[9], named[4]]},
            ]
        )
    )
    return templates, images


def test_missing_pictures_are_counted_and_named(coco: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--task", "genecis", "--templates", str(coco[0]), "--images", str(coco[1])]
    command += ["--encoder", "toyworld", "--output", str(coco[0].parent / "results")]
    assert beam_runner.main(command) == 1
    shown, told = capsys.readouterr()
    assert "1 of 2" in shown
    assert "000000000009" in told
    results = json.loads((coco[0].parent / "results/results.json").read_text())
    assert results["tasks"][0]["evaluated"] == 1
    assert beam_runner.main([*command, "--allow-missing"]) == 0


@pytest.mark.parametrize(
    ("templates", "said"),
    [
        ("nonsense", "cannot be read"),
        ("[]", "not a list of templates"),
        ('[{"condition": "a"}]', "template 0 has no 'reference'"),
        ('[{"condition": "a", "reference": {}, "target": {}, "gallery": [{}]}]', "names an image by neither"),
    ],
)
def test_malformed_templates_are_one_line(
    coco: tuple[Path, Path], templates: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (coco[0] / "change_object.json").write_text(templates)
    command = ["evaluate", "--task", "genecis", "--templates", str(coco[0]), "--images", str(coco[1])]
    assert beam_runner.main([*command, "--encoder", "toyworld"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", [["evaluate", "--task", "genecis"], ["evaluate", "--queries", "q.jsonl"]])
def test_bad_usage_is_status_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(command) == 2
    assert capsys.readouterr().err.startswith("facetmine: --")


def test_intervals_and_tests_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    a, b = (random.random(400) < share for share in (0.6, 0.5))
    found = statistics.estimate(a.astype(float))
    reference = scipy.stats.bootstrap((a,), np.mean, method="percentile", rng=1).confidence_interval
    assert found.mean == a.mean()
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.01)
    compared = statistics.compare([a.astype(float)], [b.astype(float)])
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    assert (compared.only_a, compared.only_b) == (only_a, only_b)
    assert compared.p == pytest.approx(scipy.stats.binomtest(only_a, only_a + only_b).pvalue)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> toy_galleries.Truth:
    world = tmp_path_factory.mktemp("galleries") / "world"
    assert beam_runner.main(["toyworld", "--output", str(world), "--images", "800", "--seed", "5"]) == 0
    return toy_galleries.Truth.read(world)


@pytest.mark.parametrize("task", genecis.TASKS)
def test_a_toy_gallery_has_one_right_answer_by_the_truth(truth: toy_galleries.Truth, task: str) -> None:
    made = toy_galleries.galleries(truth, task, 50, seed=2)
    assert made == toy_galleries.galleries(truth, task, 50, seed=2)
    assert len({(one.reference, one.condition) for one in made}) == 50
    row = {image_id: number for number, image_id in enumerate(truth.ids)}

    def alike(gallery: toy_galleries.Gallery, image_id: str) -> tuple[bool, bool]:
        """Whether a picture matches the reference, and whether it does the text."""
        here, there = row[gallery.reference], row[image_id]
        if task.endswith("object"):
            places = {place for _, place in truth.within if truth.at(place)[here]}
            return any(truth.at(place)[there] for place in places), bool(truth.things[gallery.condition][there])
        (thing,) = (thing for thing, mask in truth.things.items() if mask[here])
        value = gallery.condition
        if task == "focus_attribute":
            value = next(word for word in truth.axes[value] if truth.having[thing, word][here])  # or a synonym
        return bool(truth.things[thing][there]), bool(truth.anything(value)[there])

    for gallery in made:
        assert len(gallery.query.needs) - 1 == (15 if task.endswith("object") else 10)
        assert gallery.reference not in gallery.query.needs[1:]
        assert alike(gallery, gallery.target) == (True, True)
        assert {alike(gallery, image_id) for image_id in gallery.reference_only} == {(True, False)}
        assert {alike(gallery, image_id) for image_id in gallery.text_only} == {(False, True)}
