"""Readers: every format, splits that lose and repeat nothing, and bad data that becomes rejects."""

import csv
import gzip
import hashlib
import io
import itertools
import json
import pickle
import random
import tarfile
import uuid
from dataclasses import asdict
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pipeline.readers.text
import schemas
from pipeline.readers import (
    FORMATS,
    RAW_CAPTIONS,
    REASONS,
    Input,
    InputError,
    Reject,
    Split,
    hash64,
    parse_input,
    plan,
    read,
)

REAL_CAPTIONS = Path(__file__).parents[2] / "shared" / "data" / "captions"
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_splits(splits, batch_rows=65536):
    captions, rejects = [RAW_CAPTIONS.empty_table()], [schemas.REJECTS.empty_table()]
    for split in splits:
        for caption_batch, reject_batch in read(split, batch_rows):
            assert caption_batch.schema.equals(RAW_CAPTIONS)
            assert reject_batch.schema.equals(schemas.REJECTS)
            assert caption_batch.num_rows <= batch_rows
            captions.append(caption_batch)
            rejects.append(reject_batch)
    captions, rejects = pa.concat_tables(captions), pa.concat_tables(rejects)
    captions.validate(full=True)
    rejects.validate(full=True)
    places = list(zip(captions["file_index"].to_pylist(), captions["position"].to_pylist(), strict=True))
    assert all(before < after for before, after in itertools.pairwise(places))
    assert set(rejects["reason"].to_pylist()) <= REASONS.keys()
    assert set(rejects["stage"].to_pylist()) <= {"read"}
    return captions.to_pylist(), rejects.to_pylist()


def read_all(path, input_format=None, split_bytes=32 << 20):
    splits, _, rejected = plan([parse_input(str(path))], input_format, split_bytes)
    captions, rejects = read_splits(splits)
    return captions, [asdict(reject) for reject in rejected] + rejects


def column(rows, name):
    return [row[name] for row in rows]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_csv(rows, **options):
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue()


def write_tar(path, members, truncate=None):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return write(path, content.getvalue()[:truncate])


def url_id(url):
    return hashlib.blake2b(url.encode(), digest_size=16).hexdigest()


CC = "a dog on grass\thttp://x.org/1.jpg\na cat\thttps://x.org/2.jpg\n"
FLICKR = "1000_69.jpg#0\tA dog .\n1000_69.jpg#1 A brown dog .\n1001_70.jpg#0\tA cat .\n"
COCO = {
    "info": {},
    "images": [{"id": 9, "coco_url": "http://c.org/9.jpg", "file_name": "9.jpg"}, {"id": 10}],
    "annotations": [
        {"image_id": 9, "id": 1, "caption": "a dog"},
        {"image_id": 10, "id": 2, "caption": "a cat"},
        {"image_id": 9, "id": 3, "caption": "a brown dog"},
    ],
}
DOWNLOADS = {
    "url": ["http://x.org/1.jpg", "http://x.org/2.jpg", None],
    "caption": ["a dog", "a cat", "a cow"],
    "key": ["000000", "000001", "000002"],
    "status": ["success", "failed_to_download", "success"],
    "error_message": [None, "HTTP Error 404", None],
}


# Identity


def test_hash64_is_fixed_for_ever():
    keys = hash64(["", "dog", "犬"])
    assert keys.dtype == np.int64
    assert keys.tolist() == [-5426141060434712860, -6945572266024926151, 4375636615212062365]
    assert hash64([]).shape == (0,)


def test_url_and_own_ids_have_their_keys(tmp_path):
    cc, _ = read_all(write(tmp_path / "cc.tsv", CC))
    assert column(cc, "image_id") == [url_id("http://x.org/1.jpg"), url_id("https://x.org/2.jpg")]
    assert column(cc, "image_key") == hash64(column(cc, "image_id")).tolist()
    flickr, _ = read_all(write(tmp_path / "f.txt", FLICKR))
    assert column(flickr, "image_key") == hash64(["f\0" + name for name in column(flickr, "image_id")]).tolist()


# Formats


def test_cc(tmp_path):
    captions, rejects = read_all(write(tmp_path / "web.tsv", CC))
    assert not rejects
    assert column(captions, "caption") == ["a dog on grass", "a cat"]
    assert column(captions, "url") == ["http://x.org/1.jpg", "https://x.org/2.jpg"]
    assert column(captions, "position") == [0, CC.index("a cat")]
    assert column(captions, "source") == ["web", "web"]
    assert column(captions, "file_index") == [0, 0]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_cc_header_is_no_row(tmp_path, mark):
    captions, rejects = read_all(write(tmp_path / "web.tsv", f"{mark}caption\turl\r\n{CC}"))
    assert (len(captions), rejects) == (2, [])


def test_flickr_with_tab_or_space(tmp_path):
    captions, rejects = read_all(
        write(tmp_path / "x.token.txt", FLICKR + "my dog.jpg#3\ta dog\tand a cat\nno id\n#1 x\n")
    )
    assert column(captions, "image_id") == ["1000_69.jpg", "1000_69.jpg", "1001_70.jpg", "my dog.jpg"]
    assert column(captions, "caption") == ["A dog .", "A brown dog .", "A cat .", "a dog and a cat"]
    assert column(rejects, "reason") == ["wrong_columns", "wrong_columns"]


def test_coco(tmp_path):
    content = json.dumps(COCO)
    for path in (write(tmp_path / "c.json", content), write(tmp_path / "c.json.gz", gzip.compress(content.encode()))):
        captions, rejects = read_all(path)
        assert not rejects
        assert column(captions, "image_id") == ["9", "10", "9"]
        assert column(captions, "url") == ["http://c.org/9.jpg", None, "http://c.org/9.jpg"]
        assert column(captions, "position") == [0, 1, 2]


def test_coco_with_bad_annotations(tmp_path):
    document = {
        "images": [],
        "annotations": [{"image_id": 1, "caption": "a dog"}, 5, {"caption": "x"}, {"image_id": 2}],
    }
    captions, rejects = read_all(write(tmp_path / "c.json", json.dumps(document)))
    assert column(captions, "caption") == ["a dog"]
    assert sorted(column(rejects, "reason")) == ["bad_json", "no_caption", "no_image_id"]
    assert str(tmp_path / "c.json") + ":annotation 1" in column(rejects, "position")


def test_jsonl_names_lists_and_numbers(tmp_path):
    lines = [
        {"caption": "a", "image_id": 7, "url": "http://x.org/1.jpg"},
        {"TEXT": "b", "URL": "http://x.org/2.jpg"},
        {"captions": ["c", "d", ""], "image": "3.jpg"},
        {"alt": "e", "file_name": "4.jpg", "id": None},
        {"title": "f", "key": 12.0},
        {"captions": [], "id": 8},
        {"caption": 5, "id": 9},
        {"caption": "no id"},
        ["caption"],
        {"caption": "half \ud800 pair", "id": "1"},
    ]
    content = "\n".join(map(json.dumps, lines)) + "\n{broken\n" + "[" * 100_000 + "\n"
    captions, rejects = read_all(write(tmp_path / "a.jsonl", content))
    assert list(zip(column(captions, "caption"), column(captions, "image_id"), strict=True)) == [
        ("a", "7"),
        ("b", url_id("http://x.org/2.jpg")),
        ("c", "3.jpg"),
        ("d", "3.jpg"),
        ("e", "4.jpg"),
        ("f", "12"),
    ]
    assert sorted(column(rejects, "reason")) == sorted(
        ["no_caption"] * 3 + ["no_image_id"] + ["bad_json"] * 3 + ["invalid_utf8"]
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_quotes(tmp_path, delimiter):
    rows = [
        ["Image", "Caption", "extra"],
        ["1.jpg", 'a "big", dog; on\r\ngrass', ""],
        ["2.jpg", "a\tcat", "x"],
        ["3.jpg", "only two"],
        ["4.jpg", "", ""],
        ["", "no id", ""],
    ]
    path = write(tmp_path / "a.csv", "\ufeff" + write_csv(rows, delimiter=delimiter) + "\r\n\r\n")
    captions, rejects = read_all(path)
    assert column(captions, "caption") == ['a "big", dog; on grass', "a cat"]
    assert column(captions, "image_id") == ["1.jpg", "2.jpg"]
    assert column(rejects, "reason") == ["wrong_columns", "no_caption", "no_image_id"]
    assert column(rejects, "position") == [f"{path}:line {line}" for line in (5, 6, 7)]


@pytest.mark.parametrize("compressed", [False, True])
def test_text_formats_in_gzip(tmp_path, compressed):
    table = write_csv([["caption", "url"], ["a\ndog", "http://x.org/1"], ["a cat", "http://x.org/2"]])
    lines = '{"caption": "a dog", "id": 1}\n{"caption": "a cat", "id": 2}\n'
    for name, content in [("a.tsv", CC), ("b.txt", FLICKR), ("c.jsonl", lines), ("d.csv", table)]:
        stored = gzip.compress(content.encode()[:20]) + gzip.compress(content.encode()[20:])  # two members
        path = write(tmp_path / name, stored if compressed else content)
        captions, rejects = read_all(path, split_bytes=1 if compressed else 1 << 20)
        assert len(captions) == (3 if name == "b.txt" else 2)
        assert not rejects


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet(tmp_path, text):
    table = pa.table(
        {
            "TEXT": pa.array(["a", None, "c", "d"], pa.string()).cast(text),
            "id": pa.array([1, 2, None, None]),
            "URL": pa.array(["http://x.org/1", None, "http://x.org/3", None], pa.string()),
            "unused": [[1.0]] * 4,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    captions, rejects = read_all(tmp_path / "a.parquet")
    assert column(captions, "image_id") == ["1", url_id("http://x.org/3")]
    assert column(captions, "caption") == ["a", "c"]
    assert column(captions, "position") == [0, 2]
    assert [(reject["reason"], reject["position"].rpartition(":")[2]) for reject in rejects] == [
        ("no_caption", "row 1"),
        ("no_image_id", "row 3"),
    ]


def test_parquet_lists_and_row_groups(tmp_path):
    table = pa.table({"captions": [["a", "b"], [], None, ["c", None], ["d"]], "image": list("vwxyz")})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    splits, _, _ = plan([parse_input(str(tmp_path))], split_bytes=1)
    assert [(split.start, split.end) for split in splits] == [(0, 1), (1, 2), (2, 3)]
    captions, rejects = read_splits(splits)
    assert list(zip(column(captions, "caption"), column(captions, "image_id"), strict=True)) == list(
        zip("abcd", "vvyz", strict=True)
    )
    assert [reject["position"].rpartition(":")[2] for reject in rejects] == ["row 1", "row 2", "row 3"]


def test_parquet_strings_that_are_not_utf8(tmp_path):
    texts = pa.array([b"good", b"b\xffd", b"fine"]).view(pa.string())
    pq.write_table(pa.table({"caption": texts, "id": ["1", "2", "3"]}), tmp_path / "a.parquet")
    captions, rejects = read_all(tmp_path / "a.parquet")
    assert column(captions, "caption") == ["good", "fine"]
    assert column(rejects, "reason") == ["invalid_utf8"]


def test_img2dataset(tmp_path):
    (tmp_path / "shards").mkdir()
    pq.write_table(pa.table(DOWNLOADS), tmp_path / "shards" / "00000.parquet")
    write_tar(tmp_path / "shards" / "00000.tar", [("000000.txt", b"a dog")])
    write(tmp_path / "shards" / "00000_stats.json", "{}")
    write(tmp_path / "shards" / "_SUCCESS.txt", "")
    pq.write_table(pa.table({"caption": ["x"], "id": ["1"]}), tmp_path / "shards" / "more.parquet")
    _, files, rejected = plan([parse_input(str(tmp_path / "shards"))])
    assert [(Path(info.path).name, info.format) for info in files] == [
        ("00000.parquet", "img2dataset"),
        ("more.parquet", "parquet"),
    ]
    assert not rejected
    captions, rejects = read_all(tmp_path / "shards" / "00000.parquet")
    assert column(captions, "image_id") == [url_id("http://x.org/1.jpg"), "000002"]
    assert [(row["reason"], row["detail"]) for row in rejects] == [
        ("download_failed", "failed_to_download: HTTP Error 404")
    ]


def test_webdataset(tmp_path):
    members = [
        ("a/0.jpg", b"\xff" * 5000),
        ("a/0.txt", b"a dog"),
        ("a/1.json", b'{"caption": "a cat", "url": "http://x.org/1.jpg"}'),
        ("a/1.jpg", b""),
        ("a/2.jpg", b"image only"),
        ("README", b"not a sample"),
        ("b/3.json", b'{"captions": ["c", "d"]}'),
        ("b/4.json", b"{"),
        ("b/5.txt", b"\xff"),
        ("b/6.seg.png", b""),
        ("b/6.txt", b"last"),
    ]
    captions, rejects = read_all(write_tar(tmp_path / "x.tar", members))
    assert list(zip(column(captions, "caption"), column(captions, "image_id"), strict=True)) == [
        ("a dog", "a/0"),
        ("a cat", url_id("http://x.org/1.jpg")),
        ("c", "b/3"),
        ("d", "b/3"),
        ("last", "b/6"),
    ]
    assert sorted((row["reason"], row["position"].rpartition(":")[2]) for row in rejects) == [
        ("bad_json", "member b/4"),
        ("invalid_utf8", "member b/5"),
        ("no_caption", "member README"),
        ("no_caption", "member a/2"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", CC, "cc"),
        ("a", CC, "cc"),
        ("a.txt", CC, "cc"),
        ("a.tsv", "caption\turl\nx\ty\n", "cc"),
        ("a.tsv", "url\tcaption\nx\ty\n", "csv"),
        ("a.token.txt", FLICKR, "flickr"),
        ("a", FLICKR, "flickr"),
        ("a.csv", "image,caption\n1.jpg,x\n", "csv"),
        ("captions.txt", "image,caption\n1.jpg,x\n", "csv"),
        ("a.csv", "image;caption\n1.jpg;x\n", "csv"),
        ("a.json", json.dumps(COCO), "coco"),
        ("a.json", json.dumps(COCO, indent=1), "coco"),
        ("a", json.dumps(COCO), "coco"),
        ("a.json", '{"images": [' + '{"id": 1},' * 20000, "coco"),
        ("a.json", '{"text": "x", "id": 1}\n{"text": "y", "id": 2}\n', "jsonl"),
        ("a.txt", '{"text": "x", "id": 1}\n', "jsonl"),
        ("a.jsonl", '{"whatever": 1}\n', "jsonl"),
        ("a.ndjson", "{broken\n", "jsonl"),
        ("a.tsv", "x" * 100_000 + "\thttp://x.org/1\n", "cc"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_detection(tmp_path, name, content, expected, compressed):
    path = write(tmp_path / (name + ".gz" * compressed), gzip.compress(content.encode()) if compressed else content)
    _, files, _ = plan([parse_input(str(path))])
    assert [info.format for info in files] == [expected]
    assert files[0].bytes == path.stat().st_size
    assert files[0].fingerprint


# Splits


CAPTION = st.text(
    st.one_of(
        st.sampled_from("ab \x00\x1f\u2028\xa0é\u0301\u200f🐕\u200d\"',;\ufeff"),
        st.characters(codec="utf-8", exclude_characters="\n\r\t"),
    ),
    max_size=30,
)
LINE_END = st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \n"])
FILE = st.lists(st.tuples(CAPTION, LINE_END), min_size=1, max_size=30)


def allow_tiny(monkeypatch, block):
    """Blocks of a few bytes, so that every border gets tried; and files of mostly control characters."""
    monkeypatch.setattr("pipeline.readers.files.BLOCK_BYTES", block)
    monkeypatch.setattr("pipeline.readers.inputs._binary", lambda head: None)


def assert_splits_agree(path, input_format, split_bytes):
    """Every size of splits gives the same rows; returns those of one split."""
    splits, _, _ = plan([Input(str(path))], input_format, split_bytes)
    assert len(splits) == 1 or path.stat().st_size > split_bytes
    whole = read_all(path, input_format)
    parts = read_splits(pickle.loads(pickle.dumps(splits)), batch_rows=3)

    def without_place(rejects):  # where a block ends decides on their order, and the split on line or byte
        return sorted(({**row, "position": None} for row in rejects), key=repr)

    assert parts[0] == whole[0]
    assert without_place(parts[1]) == without_place(whole[1])
    return whole


@PROPERTY
@given(rows=FILE, final=st.booleans(), split_bytes=st.integers(1, 200), block=st.integers(1, 64))
def test_cc_splits(tmp_path, monkeypatch, rows, final, split_bytes, block):
    allow_tiny(monkeypatch, block)
    rows = [("first", "\n"), *rows]
    content = "".join(f"{text}\thttp://x.org/{number}{end}" for number, (text, end) in enumerate(rows))
    path = write(tmp_path / "a.tsv", content if final else content.rstrip("\n"))
    captions, rejects = assert_splits_agree(path, "cc", split_bytes)
    assert len(captions) + len(rejects) == len(rows)
    assert column(captions, "position") == sorted(column(captions, "position"))


@PROPERTY
@given(rows=FILE, split_bytes=st.integers(1, 200), block=st.integers(1, 64))
def test_jsonl_splits(tmp_path, monkeypatch, rows, split_bytes, block):
    allow_tiny(monkeypatch, block)
    content = "".join(
        json.dumps({"captions": [text, f"{text} twice"], "id": number}, ensure_ascii=number % 2 == 0) + end
        for number, (text, end) in enumerate(rows)
    )
    captions, rejects = assert_splits_agree(write(tmp_path / "a.jsonl", content), "jsonl", split_bytes)
    assert len(captions) + len(rejects) == 2 * len(rows)


@PROPERTY
@given(
    rows=st.lists(st.text(st.sampled_from('ab",;\n\r\t é🐕\x00'), max_size=12), min_size=1, max_size=30),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    split_bytes=st.integers(1, 200),
    block=st.integers(1, 64),
)
def test_csv_splits(tmp_path, monkeypatch, rows, delimiter, end, split_bytes, block):
    allow_tiny(monkeypatch, block)
    table = [["id", "caption"], *([str(number), text] for number, text in enumerate(rows))]
    path = write(tmp_path / "a.csv", write_csv(table, delimiter=delimiter, lineterminator=end))
    captions, rejects = assert_splits_agree(path, "csv", split_bytes)
    assert len(captions) + len(rejects) == len(rows)
    expected = {str(number): " ".join(text.replace("\0", " ").split()) for number, text in enumerate(rows)}
    assert {row["image_id"]: row["caption"] for row in captions} == {k: v for k, v in expected.items() if v}
    assert {row["image_id"] for row in rejects} == {k for k, v in expected.items() if not v}


@PROPERTY
@example(text='""a"\n"b,"\n""\n"', split_bytes=1, block=1)
@example(text='a,"b\r"\r\n5" pipe,"x""\n"', split_bytes=3, block=2)
@given(text=st.text(st.sampled_from('a",\n\r'), max_size=80), split_bytes=st.integers(1, 40), block=st.integers(1, 16))
def test_csv_records_are_those_of_the_csv_module_however_bad(tmp_path, monkeypatch, text, split_bytes, block):
    allow_tiny(monkeypatch, block)
    path = write(tmp_path / "a.csv", "id,caption\n1,first\n" + text)
    captions, rejects = assert_splits_agree(path, "csv", split_bytes)
    lines = io.StringIO(text.replace("\r\n", "\n").replace("\r", " "), newline="\n")
    expected = [row for row in csv.reader(lines) if row and (len(row) > 1 or row[0].strip())]
    good = [row for row in expected if len(row) == 2 and row[0].strip() and row[1].strip()]
    assert [image_id.split() for image_id in column(captions, "image_id")[1:]] == [row[0].split() for row in good]
    assert column(captions, "caption")[1:] == [" ".join(row[1].split()) for row in good]
    assert len(captions) + len(rejects) >= 1 + len(good)


def test_splits_of_csv_know_their_lines(tmp_path):
    rows = [["id", "caption"], *([str(number), f"a\nb {number}"] for number in range(50)), ["bad"], ["50", "x"]]
    path = write(tmp_path / "a.csv", write_csv(rows))
    splits, _, _ = plan([Input(str(path))], split_bytes=100)
    assert len(splits) > 5
    captions, rejects = read_splits(splits)
    assert len(captions) == 51
    assert column(rejects, "position") == [f"{path}:line 102"]


def test_rejects_name_line_or_byte(tmp_path):
    path = write(tmp_path / "a.tsv", CC + "\n\nbad\n" + CC * 20 + "worse\n")
    _, rejects = read_all(path)
    assert column(rejects, "position") == [f"{path}:line 5", f"{path}:line 46"]
    assert column(rejects, "detail") == ["expected 2 tab-separated columns, found 1"] * 2
    assert column(rejects, "caption") == ["bad", "worse"]
    _, rejects = read_all(path, split_bytes=500)
    assert column(rejects, "position") == [f"{path}:line 5", f"{path}:byte {path.stat().st_size - 6}"]


def test_split_is_small_and_json(tmp_path):
    splits, _, _ = plan([Input(str(write(tmp_path / "a.csv", "id,caption\n1,x\n")))])
    restored = Split(**json.loads(json.dumps(asdict(splits[0]))))
    assert read_splits([restored]) == read_splits(splits)
    assert len(pickle.dumps(splits[0])) < 1000


def test_batches_have_the_rows_asked_for(tmp_path):
    path = write(tmp_path / "a.tsv", "".join(f"c {n}\thttp://x.org/{n}\n{'bad' * (n % 3 == 0)}\n" for n in range(1000)))
    splits, _, _ = plan([Input(str(path))])
    batches = list(read(splits[0], batch_rows=64))
    assert [captions.num_rows for captions, _ in batches] == [64] * 15 + [40]
    assert sum(rejects.num_rows for _, rejects in batches) == 334


# Cleaning and bad data


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("  a\x00dog \x07\x1b on\u2028grass\xa0 ", "a dog on grass"),
        ("cafe\u0301", "café"),
        ("كلب على العشب\u200f", "كلب على العشب\u200f"),
        ("👩\u200d👩\u200d👧 family 🐕", "👩\u200d👩\u200d👧 family 🐕"),
        ("salt &amp; pepper", "salt &amp; pepper"),
        ("\ufeffdog", "dog"),
        ("a  dog", "a dog"),
        ("dog\x85\x9fcat\x7f", "dog cat"),
    ],
)
def test_cleaning(tmp_path, caption, expected):
    path = write(tmp_path / "a.tsv", f"{caption}\thttp://x.org/1\r\n")
    captions, rejects = read_all(path)
    assert column(captions, "caption") == [expected]
    assert column(captions, "url") == ["http://x.org/1"]
    assert not rejects


@pytest.mark.parametrize("extra", [b"", b"\r"])
def test_bad_lines_of_a_good_file(tmp_path, extra):
    lines = [
        b"a dog\thttp://x.org/1",
        b"caf\xe9\thttp://x.org/2",
        b"one column",
        b"one\ttwo\tthree",
        b"",
        b" \t ",
        b"\thttp://x.org/3",
        b"\x00\x01\thttp://x.org/4",
        b"no url\t ",
        b"x" * 10_001 + b"\thttp://x.org/5",
        b"y" * 10_000 + b"\thttp://x.org/6",
        b" " * 300_000 + b"dog" + b" " * 300_000 + b"\thttp://x.org/7",
    ]
    path = write(tmp_path / "a.tsv", b"".join(line + extra + b"\n" for line in lines))
    captions, rejects = read_all(path, "cc")
    assert [len(caption) for caption in column(captions, "caption")] == [5, 10_000, 3]
    found = {int(row["position"].rpartition(" ")[2]): row["reason"] for row in rejects}
    assert found == {
        2: "invalid_utf8",
        3: "wrong_columns",
        4: "wrong_columns",
        7: "no_caption",
        8: "no_caption",
        9: "no_image_id",
        10: "caption_too_long",
    }
    assert [len(row["caption"]) for row in rejects if row["reason"] == "caption_too_long"] == [1000]


@pytest.mark.parametrize("input_format", ["cc", "flickr", "jsonl", "csv"])
def test_ten_megabyte_caption(tmp_path, input_format):
    caption = "dog " * (10 << 18)
    rows = {
        "cc": ["a\thttp://x/1", f"{caption}\thttp://x/2", "b\thttp://x/3"],
        "flickr": ["1.jpg#0\ta", f"2.jpg#0\t{caption}", "3.jpg#0\tb"],
        "jsonl": [json.dumps({"id": number, "caption": text}) for number, text in enumerate(["a", caption, "b"])],
        "csv": ["id,caption", "1,a", f'2,"{caption}"', "3,b"],
    }[input_format]
    path = write(tmp_path / "a", "\n".join(rows))
    for split_bytes in (32 << 20, 1 << 20):
        captions, rejects = read_all(path, input_format, split_bytes)
        assert column(captions, "caption") == ["a", "b"]
        assert column(rejects, "reason") == ["caption_too_long"]


@pytest.mark.parametrize("input_format", ["cc", "csv"])
@pytest.mark.parametrize("block", [64, 700])
@pytest.mark.parametrize("tail", ["", "\n", "\nc\thttp://x/9\nbad"])
def test_line_too_long_to_hold(tmp_path, monkeypatch, input_format, block, tail):
    monkeypatch.setattr("pipeline.readers.files.BLOCK_BYTES", block)
    monkeypatch.setattr(pipeline.readers.text, "MAX_RECORD_BYTES", 1000)
    separator = "\t" if input_format == "cc" else ","
    head = "" if input_format == "cc" else "caption,url\n"
    content = head + "\n".join(["a\thttp://x/1", "long " * 300 + "\thttp://x/2", "b\thttp://x/3", "z" * 5000]) + tail
    path = write(tmp_path / "a", content.replace("\t", separator))
    captions, rejects = read_all(path, input_format)
    assert column(captions, "caption") == ["a", "b", *(["c"] if len(tail) > 1 else [])]
    first = 1 if input_format == "cc" else 2
    assert [(row["reason"], row["position"].rpartition(" ")[2]) for row in rejects] == [
        ("caption_too_long", str(first + 1)),
        ("caption_too_long", str(first + 3)),
        *([("wrong_columns", str(first + 5))] if len(tail) > 1 else []),
    ]
    for split_bytes in (50, 700, 3000):
        assert read_all(path, input_format, split_bytes)[0] == captions


def test_truncated_gzip_keeps_rows_before(tmp_path):
    rng = random.Random(0)
    lines = [f"caption {rng.random()}\thttp://x.org/{number}\n" for number in range(5000)]
    stored = gzip.compress("".join(lines).encode())
    captions, rejects = read_all(write(tmp_path / "a.tsv.gz", stored[: len(stored) // 2]))
    assert 1000 < len(captions) < 4000
    assert column(captions, "url") == [f"http://x.org/{number}" for number in range(len(captions))]
    assert [(row["reason"], row["position"]) for row in rejects] == [("truncated", str(tmp_path / "a.tsv.gz"))]
    broken = bytearray(stored)
    broken[len(stored) // 2 : len(stored) // 2 + 40] = b"\xff" * 40
    captions, rejects = read_all(write(tmp_path / "b.tsv.gz", bytes(broken)))
    assert len(captions) > 1000
    assert "corrupt" in column(rejects, "reason")


def test_truncated_tar_keeps_samples_before(tmp_path):
    members = [part for n in range(9) for part in ((f"{n}.jpg", b"x" * 2000), (f"{n}.txt", f"caption {n}".encode()))]
    whole = write_tar(tmp_path / "a.tar", members).stat().st_size
    sample = 512 + 2048 + 512 + 512
    for cut, good in [(4 * sample, 4), (4 * sample + 100, 4), (4 * sample + 1500, 4), (5 * sample - 700, 4)]:
        captions, rejects = read_all(write_tar(tmp_path / "b.tar", members, cut))
        assert column(captions, "caption") == [f"caption {number}" for number in range(good)]
        assert "truncated" in column(rejects, "reason")
    content = bytearray((tmp_path / "a.tar").read_bytes())
    content[3 * sample : 3 * sample + 512] = b"\xfe" * 512
    captions, rejects = read_all(write(tmp_path / "c.tar", bytes(content)))
    assert (len(captions), column(rejects, "reason")) == (3, ["corrupt"])
    assert whole > 9 * sample
    captions, rejects = read_all(write(tmp_path / "d.tar", b"junk" * 1000))
    assert (captions, column(rejects, "reason")) == ([], ["corrupt"])


def test_corrupt_row_group_among_good_ones(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"caption": [f"caption {n}" for n in range(300)], "id": [str(n) for n in range(300)]})
    pq.write_table(table, path, row_group_size=100, write_page_checksum=True)
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    for offset in range(place + 30, place + 90):
        content[offset] ^= 0xFF
    captions, rejects = read_all(write(path, bytes(content)))
    assert column(captions, "image_id") == [str(n) for n in [*range(100), *range(200, 300)]]
    assert column(rejects, "reason") == ["corrupt"]
    assert "rows 100 to 199 are lost" in rejects[0]["detail"]


def test_bad_files_among_good_ones(tmp_path):
    write(tmp_path / "00good.tsv", CC)
    write(tmp_path / "01empty.tsv", "")
    write(tmp_path / "02blank.tsv", "\n \r\n")
    write(tmp_path / "03binary.tsv", random.Random(0).randbytes(5000))
    write(tmp_path / "04utf16.tsv", CC.encode("utf-16"))
    write(tmp_path / "05prose.txt", "Read me.\nThen go.\n")
    write(tmp_path / "06other.json", '{"weather": "fine"}')
    write(tmp_path / "07array.json", '[{"caption": "x", "id": 1}]')
    write(tmp_path / "08broken.json", '{"weather": ')
    write(tmp_path / "09list.csv", "caption,scene\nx,y\n")
    write(tmp_path / "10no.parquet", b"PAR1 but not really PAR1")
    pq.write_table(pa.table({"caption": [{"raw": "x"}], "id": ["1"]}), tmp_path / "11struct.parquet")
    write(tmp_path / "12empty.csv.gz", gzip.compress(b""))
    write(tmp_path / "13.tsv" / "ignored.xyz", "a folder")
    write(tmp_path / "14.parquet", "text")
    (tmp_path / "15.tsv").symlink_to(tmp_path / "nowhere")
    write(tmp_path / "16good.csv", "id,text\n1,x\n")
    splits, files, rejects = plan([Input(str(tmp_path / "*"))])
    assert [Path(split.path).name for split in splits] == ["00good.tsv", "16good.csv"]
    assert [split.file_index for split in splits] == [0, 16]
    assert [info.format for info in files] == ["cc", *[None] * 15, "csv"]
    assert [(Path(reject.position).name, reject.reason) for reject in rejects] == [
        ("01empty.tsv", "empty_file"),
        ("02blank.tsv", "empty_file"),
        ("03binary.tsv", "not_text"),
        ("04utf16.tsv", "not_text"),
        ("05prose.txt", "unknown_format"),
        ("06other.json", "unknown_format"),
        ("07array.json", "unknown_format"),
        ("08broken.json", "bad_json"),
        ("09list.csv", "missing_columns"),
        ("10no.parquet", "corrupt"),
        ("11struct.parquet", "missing_columns"),
        ("12empty.csv.gz", "empty_file"),
        ("13.tsv", "unreadable"),
        ("14.parquet", "corrupt"),
        ("15.tsv", "unreadable"),
    ]
    assert len(read_splits(splits)[0]) == 3
    _, _, rejects = plan([Input(str(tmp_path / "00good.tsv")), Input(str(tmp_path / "03binary.tsv"))], "cc")
    assert [reject.reason for reject in rejects] == ["not_text"]


def test_json_that_is_not_coco_is_one_reject(tmp_path):
    for number, content in enumerate(
        ["[1]", '{"annotations": 5}', '{"annotations": [{"bbox": []}]}', "{", "[" * 99999]
    ):
        captions, rejects = read_all(write(tmp_path / f"{number}.json", content), "coco")
        assert not captions
        assert len(rejects) == 1
        assert rejects[0]["reason"] in ("missing_columns", "bad_json")


def test_file_that_goes_away_after_planning(tmp_path):
    path = write(tmp_path / "a.tsv", CC)
    splits, _, _ = plan([Input(str(path))])
    path.unlink()
    captions, rejects = read_splits(splits)
    assert (captions, column(rejects, "reason")) == ([], ["unreadable"])


def test_reject_reasons_are_known_ones():
    with pytest.raises(ValueError, match="REASONS"):
        Reject("bad_luck", "", None, None)
    assert all(meaning and reason.islower() for reason, meaning in REASONS.items())


# Inputs


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("cc3m=data/*.tsv", Input("data/*.tsv", "cc3m")),
        ("my-set_1.0=s3://b/k?x=y", Input("s3://b/k?x=y", "my-set_1.0")),
        ("data/*.tsv", Input("data/*.tsv")),
        ("s3://bucket/a?x=y", Input("s3://bucket/a?x=y")),
        ("C:\\a=b.tsv", Input("C:\\a=b.tsv")),
        ("/data/split=train/a.tsv", Input("/data/split=train/a.tsv")),
    ],
)
def test_parse_input(argument, expected):
    assert parse_input(argument) == expected


def test_parse_input_prefers_a_path_that_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "split=train.tsv", CC)
    assert parse_input("split=train.tsv") == Input("split=train.tsv")
    for argument in ("", " ", "name="):
        with pytest.raises(InputError, match="names no file"):
            parse_input(argument)


def test_sources_order_and_files_named_twice(tmp_path):
    for name in ("b/2.tsv", "b/deep/1.tsv", "b/1.tsv.gz", "a/x.tsv", "flickr.token.txt"):
        write(tmp_path / name, FLICKR if "flickr" in name else CC)
    write(tmp_path / "b" / ".hidden.tsv", CC)
    write(tmp_path / "b" / "_temporary" / "0.tsv", CC)
    arguments = [tmp_path / "b", tmp_path / "b" / "2.tsv", f"mine={tmp_path}/*/*.tsv", tmp_path / "flickr.token.txt"]
    _, files, _ = plan([parse_input(str(argument)) for argument in arguments])
    assert [(str(Path(info.path).relative_to(tmp_path)), info.source) for info in files] == [
        ("b/1.tsv.gz", "b"),
        ("b/2.tsv", "b"),
        ("b/deep/1.tsv", "b"),
        ("a/x.tsv", "mine"),
        ("flickr.token.txt", "flickr.token"),
    ]
    _, files, _ = plan([Input(f"{tmp_path}/b/*.tsv")])
    assert [info.source for info in files] == ["b"]


def test_path_with_brackets(tmp_path):
    captions, _ = read_all(write(tmp_path / "a[1].tsv", CC))
    assert len(captions) == 2


def test_input_errors_say_what_to_do(tmp_path):
    write(tmp_path / "empty.tsv", "")
    write(tmp_path / "good.tsv", CC)
    (tmp_path / "folder").mkdir()
    for pattern, message in [
        ("nothing/*.tsv", "matches no file"),
        ("nothing.tsv", "does not exist"),
        ("folder", "holds no file with a known suffix"),
        ("empty.tsv", "empty_file"),
    ]:
        with pytest.raises(InputError, match=message):
            plan([Input(f"{tmp_path}/{pattern}")])
    with pytest.raises(InputError, match=r"unknown input format 'xml'.*flickr"):
        plan([Input(str(tmp_path / "good.tsv"))], "xml")
    with pytest.raises(InputError, match="nosuchprotocol"):
        plan([Input("nosuchprotocol://x/y")])
    with pytest.raises(InputError, match="no input"):
        plan([])
    assert issubclass(InputError, ValueError)
    assert set(FORMATS) == {"cc", "flickr", "coco", "jsonl", "csv", "parquet", "img2dataset", "webdataset"}


def test_other_filesystems_than_the_local_one(tmp_path):
    folder = f"/{uuid.uuid4().hex}"
    memory = fsspec.filesystem("memory")
    memory.pipe(f"{folder}/web/a.tsv", CC.encode() * 20)
    pq.write_table(pa.table({"caption": ["x"], "id": ["1"]}), tmp_path / "b.parquet")
    memory.pipe(f"{folder}/web/b.parquet", (tmp_path / "b.parquet").read_bytes())
    splits, files, _ = plan([Input(f"memory://{folder}/web")], split_bytes=100)
    assert [info.path for info in files] == [f"memory://{folder}/web/a.tsv", f"memory://{folder}/web/b.parquet"]
    assert all(info.fingerprint for info in files)
    captions, rejects = read_splits(splits)
    assert (len(captions), rejects) == (41, [])
    memory.rm(folder, recursive=True)


# Real captions


@pytest.mark.skipif(not REAL_CAPTIONS.is_dir(), reason="no real captions beside the repository")
@pytest.mark.parametrize(
    ("name", "format_", "rows"), [("cc3m_val_head.tsv", "cc", 8000), ("flickr8k_head.token.txt", "flickr", 20000)]
)
def test_real_captions(name, format_, rows):
    path = REAL_CAPTIONS / name
    _, files, _ = plan([Input(str(path))])
    captions, rejects = read_all(path)
    assert [info.format for info in files] == [format_]
    assert (len(captions), rejects) == (rows, [])
    assert read_all(path, split_bytes=100_000) == (captions, rejects)
