"""Bad input, bad output folders and full disks: each ends in rejects or in one clear error, and good rows survive."""

import contextlib
import gzip
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import facetmine
from datasets import assert_same, assert_whole, json_lines, manifest, modification_times, rows, web_captions

import beam_runner


def corrupt_row_group(path: Path, group: int) -> None:
    """Overwrite the beginning of the captions of one row group."""
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(group).column(1).data_page_offset
    content[start : start + 60] = b"\xff" * 60
    path.write_bytes(content)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run over a folder of good and bad files."""
    folder = tmp_path_factory.mktemp("mixed")
    captions = web_captions()
    (folder / "good.jsonl").write_text(json_lines((f"good-{i}", text) for i, text in enumerate(captions[:200])))
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "blank.csv").write_text("\n \n\n")
    (folder / "binary.tsv").write_bytes(random.Random(0).randbytes(5000))
    lines = json_lines((f"cut-{i}", text) for i, text in enumerate(captions[200:400]))
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(lines.encode())[:-1000])
    (folder / "columns.csv").write_text('image_id,caption\nc1,"a man on a horse"\nc2\nc3,a,b,c\n')
    (folder / "utf8.jsonl").write_bytes(
        json_lines([("u1", "a dog")]).encode() + b'{"image_id": "u2", "caption": "a d\xff\xfeg"}\n'
    )
    (folder / "controls.jsonl").write_text(json_lines([("n1", "a dog\x00 on\x07 grass"), ("n2", "\x00")]))
    (folder / "scripts.jsonl").write_text(
        json_lines(
            [
                ("he", "כלב על הדשא"),
                ("rlo", "\u202ea dog on grass"),
                ("emoji", "😀 a man riding a 🐴"),
                ("smile", "😀😀"),
            ]
        )
    )
    (folder / "huge.jsonl").write_text(json_lines([("huge", "a man on a horse " * 600_000)]))
    (folder / "nouns.jsonl").write_text(json_lines([("none", "quickly and very"), ("dots", "...")]))
    (folder / "twice.jsonl").write_text(
        json_lines([("twice", "a man on a horse"), ("twice", "a man with a hat"), ("twice", "a man on a horse")])
    )
    pq.write_table(pa.table({"foo": [1, 2]}), folder / "columns.parquet")
    table = pa.table({"image_id": [f"group-{i}" for i in range(100)], "caption": captions[400:500]})
    pq.write_table(table, folder / "group.parquet", row_group_size=50, compression="none", use_dictionary=False)
    corrupt_row_group(folder / "group.parquet", 1)
    pq.write_table(table, folder / "footer.parquet")
    (folder / "footer.parquet").write_bytes((folder / "footer.parquet").read_bytes()[:-20])
    (folder / "nowhere.jsonl").symlink_to(folder / "missing" / "nowhere.jsonl")

    output = tmp_path_factory.mktemp("runs") / "out"
    return SimpleNamespace(done=facetmine("run", "-i", folder, "-o", output, "--partitions=2"), output=output)


def rejected(output: Path, name: str) -> list[tuple[str, str, str | None]]:
    """Reason, place within the file, and image id of the rows of a file that stage read rejected."""
    found = duckdb.execute(
        "SELECT reason, position, image_id FROM read_parquet($files) WHERE contains(position, $name) ORDER BY ALL",
        {"files": f"{output}/rejects/read-*.parquet", "name": f"/{name}"},
    ).fetchall()
    return [(reason, position.rpartition(name)[2].removeprefix(":"), image) for reason, position, image in found]


def captions_of(output: Path, *images: str) -> list[tuple[str, int, str]]:
    return duckdb.execute(
        "SELECT image_id, caption_index, caption FROM read_parquet($files) WHERE image_id IN $images ORDER BY ALL",
        {"files": f"{output}/captions/*.parquet", "images": images},
    ).fetchall()


def test_a_run_over_bad_files_succeeds_and_loses_no_row(mixed: SimpleNamespace) -> None:
    assert mixed.done.returncode == 0, mixed.done.stderr
    assert "Traceback" not in mixed.done.stderr
    assert_whole(mixed.output)
    assert len(captions_of(mixed.output, *(f"good-{i}" for i in range(200)))) == 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("empty.jsonl", [("empty_file", "", None)]),
        ("blank.csv", [("empty_file", "", None)]),
        ("binary.tsv", [("not_text", "", None)]),
        ("cut.jsonl.gz", [("truncated", "", None)]),
        ("columns.csv", [("wrong_columns", "line 3", None), ("wrong_columns", "line 4", None)]),
        ("utf8.jsonl", [("invalid_utf8", "line 2", None)]),
        ("controls.jsonl", [("no_caption", "line 2", "n2")]),
        ("huge.jsonl", [("caption_too_long", "line 1", "huge")]),
        ("columns.parquet", [("missing_columns", "", None)]),
        ("group.parquet", [("corrupt", "row 50", None)]),
        ("footer.parquet", [("corrupt", "", None)]),
        ("nowhere.jsonl", [("unreadable", "", None)]),
    ],
)
def test_a_bad_file_or_row_is_a_reject(
    name: str, expected: list[tuple[str, str, str | None]], mixed: SimpleNamespace
) -> None:
    assert rejected(mixed.output, name) == expected


def test_good_rows_beside_bad_ones_survive(mixed: SimpleNamespace) -> None:
    assert captions_of(mixed.output, "c1", "u1") == [("c1", 0, "a man on a horse"), ("u1", 0, "a dog")]
    assert len(captions_of(mixed.output, *(f"group-{i}" for i in range(100)))) == 50
    assert len(captions_of(mixed.output, *(f"cut-{i}" for i in range(200)))) > 50


def test_control_characters_fall_and_scripts_stay(mixed: SimpleNamespace) -> None:
    assert captions_of(mixed.output, "n1", "he", "rlo", "emoji", "smile") == [
        ("emoji", 0, "😀 a man riding a 🐴"),
        ("he", 0, "כלב על הדשא"),
        ("n1", 0, "a dog on grass"),
        ("rlo", 0, "\u202ea dog on grass"),
        ("smile", 0, "😀😀"),
    ]


def test_a_caption_without_a_thing_is_rejected_by_stage_parse(mixed: SimpleNamespace) -> None:
    rejects = duckdb.sql(
        f"SELECT image_id FROM read_parquet('{mixed.output}/rejects/parse-*.parquet') WHERE reason = 'states_nothing'"
    ).fetchall()
    assert {("none",), ("dots",), ("smile",)} <= set(rejects)


def test_captions_of_one_image_are_numbered_and_repeats_rejected(mixed: SimpleNamespace) -> None:
    assert captions_of(mixed.output, "twice") == [("twice", 0, "a man on a horse"), ("twice", 1, "a man with a hat")]
    rejects = duckdb.sql(
        f"SELECT stage, image_id, caption FROM read_parquet('{mixed.output}/rejects/*.parquet') "
        "WHERE reason = 'duplicate'"
    ).fetchall()
    assert rejects == [("read", "twice", "a man on a horse")]
    assert manifest(mixed.output)["stages"]["read"]["rejects"]["duplicate"] == 1


def test_when_no_file_can_be_read_one_message_says_why_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "binary.tsv").write_bytes(random.Random(0).randbytes(5000))
    assert beam_runner.main(["run", "-i", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    shown, complaints = capsys.readouterr()
    assert shown == ""
    assert complaints.startswith("facetmine: nothing to read")
    assert "empty.jsonl: empty_file" in complaints
    assert "binary.tsv: not_text" in complaints
    assert not (tmp_path / "out").exists()


def test_when_no_row_can_be_read_the_run_fails_and_goes_on_with_a_mended_file(tmp_path: Path) -> None:
    given = tmp_path / "captions.jsonl"
    given.write_text('{"image_id": "a", "caption": ""}\n{"image_id": "b", "caption": "\\u0000"}\n')
    command = ["read", "-i", given, "-o", tmp_path / "out", "--partitions=2"]
    done = facetmine(*command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "no_caption 2" in done.stderr
    assert not (tmp_path / "out/manifest.json").exists()

    given.write_text(json_lines([("a", "a man on a horse")]))
    done = facetmine(*command)
    assert done.returncode == 0, done.stderr
    assert [row[:1] for row in rows(tmp_path / "out", "rejects")] == []
    assert len(rows(tmp_path / "out", "captions")) == 1


def test_another_run_in_the_output_folder_is_replaced_only_by_force(small_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(small_run, output)
    before = modification_times(output)
    other = tmp_path / "other.jsonl"
    other.write_text(json_lines((f"other-{i}", text) for i, text in enumerate(web_captions()[1000:1040])))

    done = facetmine("run", "-i", other, "-o", output, "--partitions=3")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "holds another run" in done.stderr
    assert "--force" in done.stderr
    assert modification_times(output) == before

    done = facetmine("run", "-i", other, "-o", output, "--partitions=3", "--force")
    assert done.returncode == 0, done.stderr
    assert_whole(output)
    assert {path.name.partition("-of-")[2] for path in (output / "facts").iterdir()} == {"00003.parquet"}


def test_reading_other_captions_leaves_nothing_of_the_triplets_of_the_old_ones(small_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(small_run, output)
    other = tmp_path / "other.jsonl"
    other.write_text(json_lines([("a", "a man on a horse")]))
    done = facetmine("read", "-i", other, "-o", output, "--partitions=2", "--force")
    assert done.returncode == 0, done.stderr
    assert list(manifest(output)["stages"]) == ["read"]
    assert [
        path for path in modification_times(output) if path.startswith(("facts/", "triplets/", "rejects/mine"))
    ] == []


def test_a_folder_of_something_else_is_left_alone(
    captions_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holidays.txt").write_text("mine")
    for force in ([], ["--force"]):
        assert beam_runner.main(["run", "-i", str(captions_file), "-o", str(tmp_path), *force]) == 1
        complaints = capsys.readouterr().err
        assert complaints.count("\n") == 1
        assert "holidays.txt" in complaints
    assert [path.name for path in tmp_path.iterdir()] == ["holidays.txt"]


@pytest.mark.parametrize("below", ["", "/out"])
def test_an_output_path_that_is_a_file_is_told_in_one_line(
    below: str, captions_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert beam_runner.main(["run", "-i", str(captions_file), "-o", f"{taken}{below}"]) == 1
    complaints = capsys.readouterr().err
    assert complaints.count("\n") == 1
    assert complaints.startswith(f"facetmine: {taken}{below}")
    assert taken.read_text() == "mine"


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of that size on the folder; skips the test where it may not be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    if shutil.which("mount") is None or (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def test_a_disk_that_cannot_be_written_is_told_in_one_line(captions_file: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m"):
        remount(tmp_path / "disk", "ro")
        done = facetmine("run", "-i", captions_file, "-o", tmp_path / "disk/out")
    assert done.returncode == 1
    assert done.stderr == f"facetmine: {tmp_path / 'disk/out'}: Read-only file system\n"


def fill(folder: Path, *, leave: int) -> None:
    """Fill a disk up to that many bytes."""
    free = shutil.disk_usage(folder).free
    (folder / "ballast").write_bytes(bytes(max(free - leave, 0)))


@pytest.mark.parametrize(
    ("room", "options"),
    [
        (16_384, []),
        pytest.param(100_000, [], marks=pytest.mark.slow),
        pytest.param(
            100_000, ["--direct_num_workers=2", "--direct_running_mode=multi_processing"], marks=pytest.mark.slow
        ),
        pytest.param(180_000, [], marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_stops_the_run_which_goes_on_when_there_is_room(
    room: int, options: list[str], small_input: Path, small_run: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "2m"):
        fill(disk, leave=room)
        command = ["run", "-i", small_input, "-o", disk / "out", "--partitions=2", *options]
        done = facetmine(*command)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("facetmine: ")
        assert "no space is left" in done.stderr
        assert [line for line in done.stderr.splitlines() if line.startswith("facetmine: ")] == [
            done.stderr.splitlines()[-1]
        ]
        for path in disk.rglob("*.parquet"):
            pq.read_table(path)  # whole
        assert not (disk / "out/manifest.json").exists()

        remount(disk, "size=16m")
        done = facetmine(*command)
        assert done.returncode == 0, done.stderr
        assert_same(disk / "out", small_run)
