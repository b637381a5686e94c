"""`facetmine parse --text`: the graph of a sentence as a tree and as a picture."""

import importlib.util
import io
import itertools
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import facetmine
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import beam_runner
from parsers import Entity, Relation, SceneGraph
from parsers.drawing import arrange, draw
from parsers.tree import graph_tree

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="the extra draw is not installed"
)

RIDER = SceneGraph(
    (
        Entity("man", "an old man", ("old",), None, (0.974,)),
        Entity("horse", "two horses", ("brown", "very big"), "2", (0.9, 0.8), 0.66),
        Entity("saddle", "a saddle"),
        Entity("tree", "a tree"),
    ),
    (Relation(0, "ride", 1, 0.95), Relation(1, "have", 2), Relation(0, "sit on", 2, 0.5), Relation(0, "own", 1)),
)


def shown(graph: SceneGraph, caption: str = "a caption") -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(graph_tree(graph, caption))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_tree_tells_things_relations_and_confidences() -> None:
    assert shown(RIDER) == (
        "a caption\n"
        "├── man (old 97%)\n"
        "│   ├── ride 95% ▶ horse (2 66%, brown 90%, very big 80%)\n"
        "│   │   └── have ▶ saddle\n"
        "│   ├── sit on 50% ▶ saddle\n"
        "│   └── own ▶ horse\n"
        "└── tree\n"
    )


def test_things_in_a_circle_are_shown_once_each() -> None:
    graph = SceneGraph(
        (Entity("dog", "a dog", ("red",)), Entity("cat", "a cat")), (Relation(0, "see", 1), Relation(1, "see", 0))
    )
    assert shown(graph) == "a caption\n└── dog (red)\n    └── see ▶ cat\n        └── see ▶ dog\n"


def test_an_empty_graph_says_so() -> None:
    assert shown(SceneGraph(), "[bold]text[/bold]") == "[bold]text[/bold]\n└── states nothing\n"


NAMES = st.sampled_from(["man", "tennis court", "t-shirt", "a thing with a very long name"])


@st.composite
def graphs(draw_value: st.DrawFn) -> SceneGraph:
    heads = draw_value(st.lists(NAMES, min_size=1, max_size=9))
    entities = tuple(
        Entity(head, head, tuple(draw_value(st.lists(NAMES, max_size=4))), draw_value(st.sampled_from([None, "2"])))
        for head in heads
    )
    thing = st.integers(0, len(heads) - 1)
    relations = draw_value(
        st.lists(st.builds(Relation, thing, NAMES, thing, st.sampled_from([None, 0.5])), max_size=14)
    )
    return SceneGraph(entities, tuple(relations))


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_every_thing_and_relation_is_in_the_tree(graph: SceneGraph) -> None:
    tree = shown(graph).splitlines()[1:]
    assert sum("▶" in line for line in tree) == len(graph.relations)


def length(text: str, size: float) -> float:
    return len(text) * size * 0.6


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_no_two_texts_of_a_picture_touch(graph: SceneGraph) -> None:
    drawn = arrange(graph, length)
    places = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in drawn.boxes]
    line = 9.0 * 1.35
    for arrow in drawn.arrows:
        start = arrow.boxes[0].x + arrow.boxes[0].width
        top = arrow.port - len(arrow.labels) * line / 2
        for number, label in enumerate(arrow.labels):
            places.append((start + 8, top + number * line, start + 8 + length(label, 9), top + (number + 1) * line))
    for (left, top, right, bottom), (left2, top2, right2, bottom2) in itertools.combinations(places, 2):
        assert right <= left2 or right2 <= left or bottom <= top2 + 1e-6 or bottom2 <= top + 1e-6
    assert len(drawn.boxes) == len(graph.entities)
    for box in drawn.boxes:
        assert max(length(text, 9 if number else 12) for number, text in enumerate(box.lines)) < box.width
        assert 0 <= box.x <= box.x + box.width <= drawn.width + 1e-6
        assert -1e-6 <= box.y <= box.y + box.height <= drawn.height + 1e-6


@needs_matplotlib
def test_pictures_are_written_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "a.png", "b.PNG"):
        draw(RIDER, "an $old$ man & <two> horses", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.PNG").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    assert "<!-- ride 95% -->" in (tmp_path / "a.svg").read_text()


@needs_matplotlib
def test_nothing_and_very_much_are_drawn_too(tmp_path: Path) -> None:
    draw(SceneGraph(), "", tmp_path / "empty.svg")
    chain = SceneGraph(
        tuple(Entity(f"thing{number}", "") for number in range(40)),
        tuple(Relation(number, "see", number + 1) for number in range(39)),
    )
    draw(chain, "word " * 200, tmp_path / "chain.svg")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"graph\.gif: .*\.svg or \.png"):
        draw(RIDER, "a caption", tmp_path / "graph.gif")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RuntimeError, match=r"facetmine\[draw\]"):
        draw(RIDER, "a caption", tmp_path / "graph.svg")


def test_the_command_prints_the_tree_of_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["parse", "--parser", "spacy", "--text", "Two small dogs run after a red ball"]) == 0
    told, complaints = capsys.readouterr()
    assert complaints == ""
    assert told == "Two small dogs run after a red ball\n└── dog (2, small)\n    └── run after ▶ ball (red)\n"


def test_the_command_reads_a_caption_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a red car\n\n  stock photo \nno dogs\n"))
    assert beam_runner.main(["parse", "--parser", "spacy", "--text", "-"]) == 0
    nothing = "└── states nothing\n"
    assert capsys.readouterr().out == f"a red car\n└── car (red)\nstock photo\n{nothing}no dogs\n{nothing}"


@needs_matplotlib
def test_the_real_command_draws(tmp_path: Path) -> None:
    done = facetmine("parse", "--parser=spacy", "--text", "a man rides a horse", "--image", tmp_path / "graph.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].strip() == "└── ride ▶ horse"
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "-o/--output/--out, or --text"),
        (["--image", "x.svg"], 2, "--image draws a sentence: it needs --text"),
        (["--text", "a dog", "--image", "x.gif"], 2, "'x.gif' ends neither in .svg nor in .png"),
        (["--text", "a dog", "--output", "OUT"], 2, "--text goes without --input and --output"),
        (["--text", "a dog", "--input", "x.tsv"], 2, "--text goes without --input and --output"),
        (["--text", "a dog", "--image", "no/such/folder/x.svg"], 1, "no/such/folder"),
        (["--text", "a dog", "--textt"], 2, "--textt; did you mean --text?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_told_in_one_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert beam_runner.main(["parse", "--parser=spacy", *arguments]) == status
    told, complaints = capsys.readouterr()
    assert told == ""
    assert complaints.startswith("facetmine: ")
    assert complaints.count("\n") == 1
    assert said in complaints


@needs_matplotlib
def test_only_one_caption_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a dog\na cat\n"))
    assert beam_runner.main(["parse", "--text", "-", "--image", str(tmp_path / "graph.svg")]) == 2
    assert "standard input has 2" in capsys.readouterr().err
