"""``ImageStore``: images by id out of tars, folders and Parquet files; hostile tars; ids that agree with stage read."""

import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("PIL")

from images import ImageError, ImageStore, sources
from images.tars import TarError, walk
from pipeline.readers import parse_input, plan, read
from schemas.image_ids import url_ids
from tests.hostile_images import HEADERS_ONLY, IMAGES, JPEG, PNG, TARS, encoded, member, tar


def store_of(tmp_path: Path, *patterns: Path | str) -> ImageStore:
    return ImageStore.open([str(pattern) for pattern in patterns], tmp_path / "index.arrow")


def samples(count: int, start: int = 0) -> bytes:
    """A tar as img2dataset writes it; every second sample has a URL."""
    parts = []
    for number in range(start, start + count):
        told = {"key": f"{number:05d}", "caption": f"a dog {number}"} | (
            {"url": f"http://a/{number}"} if number % 2 else {}
        )
        parts += [
            member(f"{number:05d}.jpg", b"image %d" % number), member(f"{number:05d}.txt", b"a dog %d" % number),
            member(f"{number:05d}.json", json.dumps(told).encode()),
        ]  # fmt: skip
    return tar(*parts)


def read_ids(path: Path) -> list[str]:
    splits, _, _ = plan([parse_input(str(path))])
    found = [row for split in splits for table, _ in read(split) for row in table["image_id"].to_pylist()]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("name", TARS)
def test_a_hostile_tar_gives_its_good_image_and_a_reason(name: str, tmp_path: Path) -> None:
    reason, make = TARS[name]
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    (inside / "a.tar").write_bytes(make())
    before = set(tmp_path.rglob("*")) | {Path("/tmp/escaped.jpg")} & set(Path("/tmp").iterdir())
    store = store_of(inside, inside / "a.tar")
    assert store.read("good") == JPEG
    assert store.image("good").size == (32, 24)
    refused = store.refusals().to_pylist()
    assert reason in {row["reason"] for row in refused}, refused
    for row in refused:
        assert row["detail"]
        if row["image_id"] is not None:
            with pytest.raises(ImageError) as caught:
                store.read(row["image_id"])
            assert caught.value.reason == row["reason"]
    written = set(tmp_path.rglob("*")) | {Path("/tmp/escaped.jpg")} & set(Path("/tmp").iterdir())
    assert {path.name for path in written - before} == {"index.arrow", "index.arrow.refused.parquet"}


def test_a_thousand_headers_that_describe_headers(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(HEADERS_ONLY * 5000 + tar(member("x.jpg")))
    assert len(store_of(tmp_path, tmp_path / "a.tar")) == 0  # all that names leave is a member called "name"
    splits, _, _ = plan([parse_input(str(tmp_path / "a.tar"))])
    for split in splits:
        list(read(split))


@pytest.mark.parametrize("name", [name for name, (reason, _) in IMAGES.items() if name != "nothing"])
def test_a_bad_image_in_a_tar_is_refused_when_it_is_decoded(name: str, tmp_path: Path) -> None:
    reasons, make = IMAGES[name]
    (tmp_path / "a.tar").write_bytes(tar(member("bad.jpg", make()), member("good.jpg")))
    store = store_of(tmp_path, tmp_path / "a.tar")
    assert store.image("good").size == (32, 24)
    try:
        store.image("bad")
        found = "fine"
    except ImageError as error:
        found = error.reason
    assert found in ((reasons,) if isinstance(reasons, str) else reasons)


def test_ids_are_those_of_stage_read(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number:05d}.tar").write_bytes(samples(7, 10 * number))
    (folder / "x.tar").write_bytes(tar(
        member("./a/b.c.jpg"), member("./a/b.txt", b"a cat"),
        member("n.png"), member("n.json", b'{"URL": " http://b/1 ", "text": "a cow"}'),
        member("d.jpg"), member("d.json", b'{"url": "  ", "caption": "a cow"}'),
        format_=tarfile.PAX_FORMAT,
    ))  # fmt: skip
    store = store_of(tmp_path, folder)
    assert store.ids().to_pylist() == read_ids(folder)
    assert len(store) == 24
    assert store.read(url_ids(["http://a/1"])[0]) == b"image 1"
    assert store.read("00010") == b"image 10"
    assert "00010" in store
    assert "00011" not in store
    with pytest.raises(ImageError, match="missing_image"):
        store.read("00011")
    with pytest.raises(ImageError, match="missing_image"):
        store.read("\udcff")


def test_folder_of_images(tmp_path: Path) -> None:
    folder = tmp_path / "flickr"
    (folder / "sub").mkdir(parents=True)
    (folder / "1000.jpg").write_bytes(JPEG)
    (folder / "sub" / "2.PNG").write_bytes(PNG)
    (folder / "empty.jpg").touch()
    (folder / "3.jpg").write_bytes(JPEG)
    (folder / "3.json").write_text('{"url": "http://a/3", "caption": "a"}')
    (folder / "notes.txt").write_text("x")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "list.txt").write_text("1000.jpg#0\ta dog\n1000.jpg#1\ta dog on grass\nsub/2.PNG#0\ta cat\n")
    store = store_of(tmp_path, folder)
    assert set(store.ids().to_pylist()) >= {*read_ids(tmp_path / "list.txt"), url_ids(["http://a/3"])[0]}
    assert store.image("sub/2.PNG").size == (32, 24)
    for name, reason in (("empty.jpg", "empty_image"), ("pipe.jpg", "unsafe_member"), ("gone.jpg", "unreadable_image")):
        with pytest.raises(ImageError) as caught:
            store.read(name)
        assert caught.value.reason in (reason, "empty_image"), name
    single = ImageStore.open([str(folder / "1*.jpg")], tmp_path / "single")
    assert single.ids().to_pylist() == ["1000.jpg"]
    assert single.read("1000.jpg") == JPEG


@pytest.mark.parametrize("shape", ["binary", "struct", "img2dataset"])
def test_parquet_with_bytes(shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [b"image %d" % number for number in range(50)]
    contents[7] = None  # type: ignore[call-overload]
    table = pa.table({"caption": [f"a dog {number}" for number in range(50)]})
    if shape == "img2dataset":
        for name, values in (("key", [f"{number:03d}" for number in range(50)]),
                             ("url", [f"http://a/{n}" if n % 3 else "" for n in range(50)]),
                             ("status", ["success"] * 50), ("error_message", [None] * 50)):  # fmt: skip
            table = table.append_column(name, pa.array(values, pa.string()))
        table = table.append_column("jpg", pa.array(contents, pa.binary()))
    else:
        table = table.append_column("image_id", pa.array(range(50)))
        values = pa.array(contents, pa.binary())
        if shape == "struct":
            values = pa.StructArray.from_arrays([values, pa.nulls(50, pa.string())], ["bytes", "path"])
        table = table.append_column("image", values)
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=20)
    ids = read_ids(path)
    assert len(ids) == 50
    for most in (1 << 26, 0):  # row groups that are kept, and such that are too large to be
        monkeypatch.setattr("images.store._MOST_GROUP_BYTES", most)
        store = store_of(tmp_path, path)
        assert store.ids().to_pylist() == ids
        for number in (49, 0, 21, 20, 19):
            assert store.read(ids[number]) == contents[number]
        with pytest.raises(ImageError, match="missing_image"):
            store.read(ids[7])


def test_the_index_is_built_once_and_again_when_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(samples(4))
    held = store_of(tmp_path, path)
    first = (tmp_path / "index.arrow").stat().st_ino
    assert len(store_of(tmp_path, path)) == 4
    assert (tmp_path / "index.arrow").stat().st_ino == first
    other = tmp_path / "b.tar"
    other.write_bytes(samples(6))
    os.utime(other, ns=(1, 1))
    other.replace(path)
    store = store_of(tmp_path, path)
    assert len(store) == 6
    assert (tmp_path / "index.arrow").stat().st_ino != first
    assert len(held) == 4
    (tmp_path / "index.arrow").unlink()
    (tmp_path / "index.arrow").write_bytes(b"junk")
    store = store_of(tmp_path, path)
    assert len(store) == 6
    path.write_bytes(b"short")
    with pytest.raises(ImageError, match=r"unreadable_image.*changed"):
        store.read("00004")


def test_the_first_image_of_an_id_counts(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(member("x.jpg", b"1"), member("y.jpg", b"2"), member("x.jpg", b"3")))
    (tmp_path / "b.tar").write_bytes(tar(member("y.jpg", b"4"), member("z.seg.png", b"5"), member("z.jpg", b"6")))
    store = store_of(tmp_path, tmp_path)
    assert {name: store.read(name) for name in store.ids().to_pylist()} == {"x": b"1", "y": b"2", "z": b"6"}
    assert store.duplicates == 2


def test_a_store_goes_to_other_processes_and_threads(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.tar").write_bytes(samples(40, 40 * number))
    rows = pa.table({"image_id": [f"row {number}" for number in range(400)],
                     "image": [b"row %d" % number * 50 for number in range(400)]})  # fmt: skip
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=8)
    store = store_of(tmp_path, tmp_path)
    wanted = {name: store.read(name) for name in store.ids().to_pylist()}
    assert len(wanted) == 600
    assert len(pickle.dumps(store)) < 1000
    again = pickle.loads(pickle.dumps(store))
    assert {name: again.read(name) for name in wanted} == wanted
    failures = []

    def check() -> None:
        for _ in range(5):
            failures.extend(name for name in wanted if store.read(name) != wanted[name])

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            os._exit(int(any(store.read(name) != wanted[name] for name in wanted)))
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    for thread in threads:
        thread.join()
    assert not failures


def test_remote_sources(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/images-test/a.tar", samples(3))
    memory.pipe("/images-test/loose/b.jpg", JPEG)
    pq.write_table(pa.table({"id": ["p"], "image": pa.array([PNG])}), tmp_path / "p.parquet")
    memory.pipe("/images-test/p.parquet", (tmp_path / "p.parquet").read_bytes())
    store = store_of(
        tmp_path, "memory://images-test/a.tar", "memory://images-test/loose", "memory://images-test/p.parquet"
    )
    assert store.read("00000") == b"image 0"
    assert store.read("b.jpg") == JPEG
    assert store.read("p") == PNG
    memory.rm("/images-test", recursive=True)


@pytest.mark.parametrize("pattern", ["nothing", "*.tar", "empty"])
def test_sources_without_images_are_told_of(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(sources.SourceError, match="image source"):
        store_of(tmp_path, tmp_path / pattern)


names = st.text(st.characters(codec="utf-8", exclude_characters="\0/."), min_size=1, max_size=150).filter(
    lambda t: t != ".."
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(names, st.binary(min_size=1, max_size=2000)), max_size=20, unique_by=lambda pair: pair[0]),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_round_trip_of_any_tar(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, bytes]], format_: int
) -> None:
    folder = tmp_path_factory.mktemp("tars")
    (folder / "a.tar").write_bytes(tar(*[member(f"{name}.jpg", content) for name, content in parts], format_=format_))
    store = store_of(folder, folder / "a.tar")
    assert {name: store.read(name) for name in store.ids().to_pylist()} == dict(parts)
    assert store.duplicates == 0
    assert store.refusals().num_rows == 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(names, st.integers(0, 3000), st.booleans()), max_size=12),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]),
)
def test_members_are_where_tarfile_finds_them(parts: list[tuple[str, int, bool]], format_: int) -> None:
    if format_ == tarfile.USTAR_FORMAT:
        parts = [(name.encode("ascii", "replace").decode()[:90], size, link) for name, size, link in parts]
    data = tar(
        *[member(name, bytes(size), tarfile.SYMTYPE if link else tarfile.REGTYPE, "to") for name, size, link in parts],
        format_=format_,
    )
    found = [
        (one.name, one.offset if one.kind == "file" else 0, one.size)
        for one in walk(lambda o, n: data[o : o + n], len(data))
    ]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        wanted = [
            (info.name, info.offset_data if info.isfile() else 0, info.size if info.isfile() else 0) for info in archive
        ]
    assert found == wanted


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_makes_it_fail_or_go_on_forever(data: st.DataObject) -> None:
    archive = bytearray(samples(3))
    for _ in range(data.draw(st.integers(1, 8))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    archive = archive[: data.draw(st.integers(0, len(archive)))]
    found = []
    with contextlib.suppress(TarError):
        for one in walk(lambda offset, length: bytes(archive[offset : offset + length]), len(archive)):
            found.append(one)
    assert all(one.offset + one.size <= len(archive) for one in found)


@pytest.mark.slow
def test_memory_stays_the_same_over_many_reads(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(*[member(f"{number}.jpg", encoded(size=(64, 64))) for number in range(500)]))
    code = (
        "import resource, sys\n"
        "from images import ImageStore\n"
        "store = ImageStore.open([sys.argv[1]], sys.argv[2])\n"
        "ids = store.ids().to_pylist()\n"
        "[store.image(i) for _ in range(10) for i in ids]  # what decoders and their pools keep is had by then\n"
        "before = int(open('/proc/self/statm').read().split()[1])\n"
        "[store.image(i) for _ in range(10) for i in ids]\n"
        "print((int(open('/proc/self/statm').read().split()[1]) - before) * 4096)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.tar"), str(tmp_path / "index")],
                          capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])  # fmt: skip
    assert int(done.stdout) < 8 << 20
