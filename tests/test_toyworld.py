"""The toy world: what captions say is so, wrong ones are not, and the pixels show it."""

import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import facetmine

import parsers
from beam_runner import main
from pipeline.readers.identity import named_keys
from toyworld import (
    COLORS,
    KINDS,
    PATTERNS,
    SHAPES,
    SIDE,
    SIZES,
    Scene,
    Thing,
    World,
    describe,
    facts,
    render,
    sample,
    swap_word,
    wrong_caption,
)

IMAGES = 1200
WRONG = 0.2


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "world"
    done = facetmine("toyworld", "--output", folder, "--images", IMAGES, "--wrong", WRONG, "--seed", 3)
    assert done.returncode == 0, done.stderr
    return folder


def scenes(count: int) -> list[Scene]:
    return [World().scene(random.Random(number)) for number in range(count)]


def test_things_are_apart_inside_the_picture_and_differ_in_shape() -> None:
    for scene in scenes(500):
        assert 1 <= len(scene.things) <= 3
        assert len({thing.shape for thing in scene.things}) == len(scene.things)
        for number, thing in enumerate(scene.things):
            half = thing.diameter / 2
            assert half <= thing.x <= SIDE - half
            assert half <= thing.y <= SIDE - half
            for other in scene.things[:number]:
                gap = max(abs(thing.x - other.x), abs(thing.y - other.y)) - half - other.diameter / 2
                assert gap > 1


def test_relations_are_what_the_positions_say() -> None:
    def thing(shape: str, x: int, y: int) -> Thing:
        return Thing(shape, "red", "dotted", "small", x, y, 16, 0)

    above = Scene("sea", (thing("ball", 30, 12), thing("box", 32, 40)), 0)
    assert set(above.relations) == {("ball", "above", "box"), ("box", "below", "ball")}
    beside = Scene("sea", (thing("ball", 12, 30), thing("box", 50, 33)), 0)
    assert set(beside.relations) == {("ball", "next to", "box"), ("box", "next to", "ball")}
    diagonal = Scene("sea", (thing("ball", 12, 12), thing("box", 45, 45)), 0)
    assert diagonal.relations == ()


def test_every_value_is_as_frequent_as_its_peers() -> None:
    things = [thing for scene in scenes(3000) for thing in scene.things]
    for kind, values in (("shape", SHAPES), ("color", COLORS), ("pattern", PATTERNS), ("size", SIZES)):
        shares = [np.mean([getattr(thing, kind) == value for thing in things]) for value in values]
        # Large things find less room beside others, so they are a little rarer.
        assert max(shares) - min(shares) < (0.25 if kind == "size" else 0.04), (kind, shares)


def test_captions_are_true_and_wrong_ones_are_not() -> None:
    world, rng = World(), random.Random(1)
    seen = set()
    for scene in scenes(400):
        caption = describe(scene, rng)
        assert caption.is_true_of(scene)
        assert not wrong_caption(scene, world, rng).is_true_of(scene)
        for kind in KINDS:
            swapped = swap_word(caption, kind, scene, world, rng)
            if swapped is None:
                continue
            seen.add(kind)
            assert not swapped.is_true_of(scene)
            changed = [
                (old.kind, old.text, new.text)
                for old, new in zip(caption.parts, swapped.parts, strict=True)
                if old != new
            ]
            assert len(changed) == 1
            assert changed[0][0] == kind
            assert changed[0][1] != changed[0][2]
    assert seen == set(KINDS)


def test_captions_vary() -> None:
    rng = random.Random(2)
    captions = [describe(scene, rng).text for scene in scenes(2000)]
    assert len(set(captions)) > 1700
    assert max(len(caption.split()) for caption in captions) <= 20


def test_the_picture_shows_what_the_scene_says() -> None:
    red, blue = (
        np.asarray(render(Scene("snow", (Thing("box", color, "striped", "large", 20, 40, 26, 0),), 5)), int)
        for color in ("red", "blue")
    )
    inside = red[30:50, 10:30]
    differs = (red != blue).any(-1)
    rows, columns = np.nonzero(differs)
    assert 40 - 14 <= rows.min() < rows.max() <= 40 + 14
    assert 20 - 14 <= columns.min() < columns.max() <= 20 + 14
    reddish = inside[..., 0] > inside[..., 2] + 60
    bluish = blue[30:50, 10:30, 2] > blue[30:50, 10:30, 0] + 60
    assert 0.3 < reddish.mean() < 0.9  # the rest is the light of the stripes
    assert 0.3 < bluish.mean() < 0.9


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_differ_in_pixels(pattern: str) -> None:
    others = [other for other in PATTERNS if other != pattern]
    picture, *rest = (
        render(Scene("road", (Thing("ball", "purple", each, "large", 32, 32, 28, 0),), 9)).astype(int)
        for each in (pattern, *others)
    )
    assert all(np.abs(picture - other).max(-1).__gt__(60).sum() > 60 for other in rest)


def test_a_sample_depends_on_its_seed_and_number_alone() -> None:
    world = World()
    assert sample(world, 5, 17) == sample(world, 5, 17)
    assert sample(world, 5, 17).scene != sample(world, 6, 17).scene
    assert sample(world, 5, 17).scene == sample(world, 5, 17, wrong=1.0).scene
    fewer = {number for number in range(300) if not sample(world, 5, number, wrong=0.1).right}
    more = {number for number in range(300) if not sample(world, 5, number, wrong=0.4).right}
    assert fewer < more


@pytest.mark.parametrize("wrong_kind", ["scene", "word", "both"])
def test_wrong_captions_are_wrong_whatever_their_kind(wrong_kind: str) -> None:
    for number in range(100):
        one = sample(World(), 1, number, wrong=1.0, wrong_kind=wrong_kind)
        assert not one.right
        assert not one.caption.is_true_of(one.scene)


def test_the_world_is_the_one_that_the_tiny_clip_was_trained_on() -> None:
    """Who changes scenes or captions trains encoders/data/toyworld anew, and then this."""
    told = [repr((one.scene, one.caption.text)) for one in (sample(World(), 0, number) for number in range(200))]
    assert (
        hashlib.sha256("\n".join(told).encode()).hexdigest()
        == "1393efd4d797291379181ea5b5314be1fae7000f88f5083fac6ee6a39ed7fa78"
    )


def test_shards_hold_picture_caption_and_json_of_every_sample(data_set: Path) -> None:
    from PIL import Image

    captions = {row["image_id"]: row for row in pq.read_table(data_set / "truth/captions.parquet").to_pylist()}
    assert len(captions) == IMAGES
    names = []
    for number, path in enumerate(sorted((data_set / "shards").iterdir())):
        assert path.name == f"{number:05d}.tar"
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        keys = sorted({name.partition(".")[0] for name in members})
        names += keys
        assert len(members) == 3 * len(keys)
        for key in keys[::50]:
            assert members[f"{key}.txt"].decode() == captions[key]["caption"]
            assert json.loads(members[f"{key}.json"])["key"] == key
            picture = np.asarray(Image.open(io.BytesIO(members[f"{key}.png"])))
            one = sample(World(), 3, names.index(key), WRONG)
            assert one.image_id == key
            assert np.array_equal(picture, render(one.scene))
            assert captions[key]["right"] == one.right
    assert names == sorted(captions)


def test_the_share_of_wrong_captions_is_as_asked(data_set: Path) -> None:
    right = pq.read_table(data_set / "truth/captions.parquet")["right"].to_numpy()
    assert abs((1 - right.mean()) - WRONG) < 0.04


def test_the_same_seed_writes_the_same_bytes(data_set: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["toyworld", f"--output={again}", f"--images={IMAGES}", f"--wrong={WRONG}", "--seed=3"]) == 0
    for path in sorted(data_set.rglob("*.*")):
        assert path.read_bytes() == (again / path.relative_to(data_set)).read_bytes(), path.name


def test_a_folder_in_use_is_refused_and_replaced_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "world"
    assert main(["toyworld", f"--output={folder}", "--images=1001"]) == 0
    assert main(["toyworld", f"--output={folder}", "--images=5"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["toyworld", f"--output={folder}", "--images=5", "--force"]) == 0
    assert [path.name for path in (folder / "shards").iterdir()] == ["00000.tar"]
    assert pq.read_table(folder / "truth/captions.parquet").num_rows == 5


def test_force_removes_nothing_that_it_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["toyworld", f"--output={tmp_path}", "--images=5", "--force"]) == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("argument", ["--images=0", "--images=x", "--wrong=1.5", "--wrong=x", "--seed=-1"])
def test_bad_arguments_are_bad_usage(argument: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toyworld", f"--output={tmp_path / 'world'}", argument]) == 2
    assert argument.partition("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "world").exists()


def test_an_output_that_is_a_file_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "world").write_text("")
    assert main(["toyworld", f"--output={tmp_path / 'world'}", "--force"]) == 2
    assert "world" in capsys.readouterr().err


def test_the_parser_finds_what_captions_say_and_little_else() -> None:
    samples = [sample(World(), 7, number) for number in range(600)]
    graphs = parsers.load("default").parse([one.caption.text for one in samples])
    true = said = found = claimed = 0
    for one, graph in zip(samples, graphs, strict=True):
        truth = {tuple(fact[:4]) for fact in facts(one.scene)}
        parsed = {(entity.head, None, None, value) for entity in graph.entities for value in entity.attributes}
        parsed |= {
            (graph.entities[each.subject].head, each.predicate, graph.entities[each.object].head, None)
            for each in graph.relations
        }
        parsed = {fact for fact in parsed if fact[:2] != ("photo", "of")}
        said += len(parsed)
        true += len(parsed & truth)
        words = {part.text for part in one.caption.parts if part.kind in ("color", "pattern", "size", "relation")}
        claimed += len(words)
        found += len(words & {word for _, predicate, _, value in parsed for word in (predicate, value)})
    assert true / said > 0.97
    assert found / claimed > 0.97


def test_image_ids_are_those_of_the_read_stage(data_set: Path, tmp_path: Path) -> None:
    assert main(["read", f"--input={data_set / 'shards'}", f"--output={tmp_path / 'out'}"]) == 0
    rows = pq.read_table(tmp_path / "out" / "captions").to_pylist()
    truth = pq.read_table(data_set / "truth/captions.parquet").to_pylist()
    assert {(row["image_id"], row["caption"]) for row in rows} == {(row["image_id"], row["caption"]) for row in truth}
    assert named_keys(rows[0]["source"], [rows[0]["image_id"]])[0] == rows[0]["image_key"]
