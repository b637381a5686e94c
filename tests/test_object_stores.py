"""The same rows from and to S3 and GCS, whatever the store does on the way."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from commands import FACETMINE, facetmine, wait_until
from datasets import checksums

from beam_runner import main
from pipeline import lock
from pipeline.readers import parse_input, plan, read
from pipeline.store import Receipt, Store, StoreError
from schemas import places
from schemas.manifest import Manifest

pytest.importorskip("moto", reason="needs moto[server]: pip install 'facetmine[dev]'")
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # read when gcsfs is imported; as schemas.places
pytest.importorskip("gcsfs", reason="needs gcsfs: pip install 'facetmine[gcp]'")

import object_stores
from object_stores import Faults, ObjectStore

pytestmark = [pytest.mark.xdist_group("stores"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_stores.s3() as store:
        yield store


@pytest.fixture(scope="module")
def gcs() -> Iterator[ObjectStore]:
    with object_stores.gcs() as store:
        yield store


@pytest.fixture
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A store, by name of its fixture, for this process too."""
    found: ObjectStore = request.getfixturevalue(request.param)
    use(found, monkeypatch)
    return found


def use(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    fsspec.config.set_conf_env(fsspec.config.conf)
    for protocol in ("s3", "gs"):
        fsspec.get_filesystem_class(protocol).clear_instance_cache()


both = pytest.mark.parametrize("store", ["s3", "gcs"], indirect=True)


def put(store: ObjectStore, path: Path, name: str) -> str:
    places.write_whole(store.url(name), path.read_bytes())
    return store.url(name)


def run(store: ObjectStore, *arguments: object) -> subprocess.CompletedProcess[str]:
    return facetmine(*arguments, **store.environment)


def assert_equal(output: str, expected: Path) -> None:
    """The bucket holds what the local folder does, to the byte, and no more in the folders of the tables."""
    manifest = Manifest.read(output)
    assert manifest.damage(output) == {}
    files = {file.path: file.sha256 for stage in manifest.stages.values() for file in stage.files}
    assert files == checksums(expected)
    tables = {path.split("/")[0] for path in files}
    assert {f"{table}/{name}" for table in tables for name in Store(output).names(table)} == set(files)


@both
def test_a_file_of_a_store_is_there_whole_or_not_at_all(store: ObjectStore) -> None:
    out = Store(store.url("whole"))
    assert out.names("folder") == []
    assert out.read_json("folder/a.json") is None
    out.write_json("folder/a.json", {"one": 1})
    out.write_json("folder/a.json", {"two": 2})
    assert out.read_json("folder/a.json") == {"two": 2}
    assert out.names("folder") == ["a.json"]
    assert out.exists("folder/a.json")
    out.remove("folder/b.json", "folder")
    assert out.names("folder") == []
    with pytest.raises(places.PlaceError, match="no such bucket"):
        Store(f"{store.protocol}://facetmine-no-such-bucket/out").write_bytes("a", b"1")


@both
def test_receipts_of_many_parts_come_in_few_requests(store: ObjectStore) -> None:
    out = Store(store.url("receipts"))
    for part in (0, 2, 3):
        places.write_whole(out.url(f"facts/{part}"), b"12345")
        files = [] if part == 3 else [{"path": f"facts/{part}", "rows": 1, "bytes": 5 - part, "sha256": ""}]
        out.write_json(f"_stages/step/part-{part:05d}.json", {"part": part, "rows_in": part, "files": files})
    found = out.receipts("step", 5)
    # Part 2 names a file of another size, so it is not done.
    assert [receipt and receipt.rows_in for receipt in found] == [0, None, None, 3, None]
    assert out.receipt("step", 0) == found[0]
    assert isinstance(found[3], Receipt)
    out.remove_files("facts", ["0", "2"])
    assert out.names("facts") == ["3"]


@both
def test_folders_and_patterns_of_a_bucket_name_their_files(store: ObjectStore, tmp_path: Path) -> None:
    for name, text in (("a.tsv", "a dog\thttp://x/1.jpg\n"), ("b.tsv", "a cat\thttp://x/2.jpg\n"), ("c.log", "no")):
        (tmp_path / name).write_text(text)
        put(store, tmp_path / name, f"in/sub/{name}")
    (tmp_path / "d.jsonl").write_text(json.dumps({"image_id": "3", "caption": "a bird"}) + "\n")
    put(store, tmp_path / "d.jsonl", "in/sub/d.jsonl")
    for pattern, expected in (("in/sub", 3), ("in/*/*.tsv", 2), ("in/sub/a.tsv", 1), ("in/s*", 3)):
        splits, files, rejects = plan([parse_input(store.url(pattern))])
        assert len(files) == expected
        assert all(file.fingerprint and file.bytes for file in files)
        assert not rejects
        captions = [text for split in splits for batch, _ in read(split) for text in batch["caption"].to_pylist()]
        assert captions[0] == "a dog"
        assert len(captions) == expected
    for missing in ("in/none", "in/*.csv", "in/sub/z.tsv"):
        with pytest.raises(ValueError, match=r"does not exist|matches no file"):
            plan([parse_input(store.url(missing))])


@both
def test_one_run_at_a_time_in_a_folder_of_a_bucket(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.2)
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 1.0)
    out = Store(store.url("lease"))
    with lock.held(out):
        with pytest.raises(StoreError, match=f"process {os.getpid()} on .* is at work in {out.root}"):
            elsewhere(out, "another machine", lambda: lock.held(out).__enter__())
        assert out.exists(lock.FILE)
    assert not out.exists(lock.FILE)
    # A lease that nobody renews is taken over, and one of a process of this machine that is gone at once.
    out.write_json(lock.FILE, {"token": "1", "host": "another machine", "pid": 1})
    began = time.monotonic()
    with lock.held(out):
        assert time.monotonic() - began > 1
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 1000.0)
    ended = subprocess.Popen(["true"])
    ended.wait()
    out.write_json(lock.FILE, {"token": "1", "host": lock._host(), "pid": ended.pid})
    with lock.held(out):
        pass


def elsewhere(out: Store, host: str, call) -> None:  # type: ignore[no-untyped-def]
    """The call as another machine would make it: there the holder's process number means nothing."""
    original = lock._host
    lock._host = lambda: host  # type: ignore[assignment]
    try:
        call()
    finally:
        lock._host = original


def test_one_run_at_a_time_in_a_local_folder(tmp_path: Path) -> None:
    out = Store(str(tmp_path / "out"))
    with lock.held(out):
        probe = "import sys; from pipeline import lock, store\nwith lock.held(store.Store(sys.argv[1])): pass"
        done = subprocess.run([FACETMINE.with_name("python"), "-c", probe, out.root], capture_output=True, text=True,
                              cwd=Path(__file__).parents[1])  # fmt: skip
        assert f"another run (process {os.getpid()} on" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def faults(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """S3 behind a proxy that can be made to fail."""
    with object_stores.faulty(s3) as found:
        use(ObjectStore("s3", found.port, object_stores.s3_environment(found.port)), monkeypatch)
        yield found


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "access is refused"),
        (400, "ExpiredToken", "the credentials have expired"),
        (503, "SlowDown", "refused for too long"),
        (500, "InternalError", "the store failed"),
    ],
)
def test_what_a_store_refuses_is_told_in_one_line(
    status: int, code: str, said: str, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")  # botocore's own back-off, shorter
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 2)
    faults.answer = status, code
    captions = tmp_path / "a.tsv"
    captions.write_text("a dog\thttp://x/1.jpg\n")
    bucket = f"s3://{object_stores.BUCKET}"
    for command in (
        ["run", "-i", str(captions), "-o", f"{bucket}/out"],
        ["run", "-i", f"{bucket}/in.tsv", "-o", str(tmp_path / "out")],
        ["inspect", f"{bucket}/out"],
    ):
        assert main(command) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1, told
        assert said in told
        assert bucket in told


def test_a_connection_that_breaks_off_is_taken_up_again(faults: Faults, s3: ObjectStore, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"image_id": str(n), "caption": f"dog {n}"}) + "\n" for n in range(20000))
    (tmp_path / "a.jsonl").write_text(lines)
    url = put(s3, tmp_path / "a.jsonl", "cut/a.jsonl")
    faults.cut = faults.refuse = 0.3
    splits, _, _ = plan([parse_input(url)], split_bytes=200_000)
    tables = [pair for split in splits for pair in read(split)]
    assert sum(len(captions) for captions, _ in tables) == 20000
    assert not any(len(rejects) for _, rejects in tables)
    assert faults.cuts
    assert faults.refused


def test_captions_that_a_store_ceases_to_give_end_the_run(faults: Faults, s3: ObjectStore, tmp_path: Path) -> None:
    """They are no rejects: what is left of the file would look like all of it."""
    (tmp_path / "a.jsonl").write_text(json.dumps({"image_id": "1", "caption": "dog"}) + "\n")
    splits, _, _ = plan([parse_input(put(s3, tmp_path / "a.jsonl", "lost/a.jsonl"))])
    faults.answer = 403, "AccessDenied"
    with pytest.raises(places.PlaceError, match="access is refused"):
        list(read(splits[0]))


@pytest.mark.slow
@both
def test_a_run_on_a_store_that_is_killed_goes_on_and_ends_as_a_local_one(
    store: ObjectStore, small_input: Path, small_run: Path
) -> None:
    captions = put(store, small_input, "small/captions.jsonl")
    output = store.url("killed")
    command = ["run", "-i", captions, "-o", output, "--partitions=2"]
    process = subprocess.Popen([FACETMINE, *command], env=os.environ | store.environment, stderr=subprocess.PIPE)
    wait_until(lambda: Store(output).exists("_stages/mine.json") or process.poll() is not None, 120, "mine starts")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(ValueError, match="no run has finished there"):
        Manifest.read(output)
    done = run(store, *command)
    assert done.returncode == 0, done.stderr
    assert re.search(r"parse is done already", done.stderr)
    assert_equal(output, small_run)
    assert not Store(output).exists(lock.FILE)

    (rows,) = json.loads(run(store, "query", output, "SELECT count(*) AS n FROM triplets", "--format=json").stdout)
    assert rows["n"] == Manifest.read(output).stages["write"].rows_out
    triplet = json.loads(run(store, "query", output, "SELECT triplet_id FROM triplets LIMIT 1", "--format=json").stdout)
    for command in (["inspect", output], ["report", output], ["explain", output, triplet[0]["triplet_id"]]):
        done = run(store, *command)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "report.md" in " ".join(Store(output).names("report"))

    done = run(store, "mine", "-o", output, "--force")
    assert done.returncode == 0, done.stderr
    assert_equal(output, small_run)


@pytest.mark.slow
def test_a_run_on_a_store_that_often_fails_ends_as_a_local_one(
    faults: Faults, s3: ObjectStore, small_input: Path, small_run: Path
) -> None:
    captions = put(s3, small_input, "small/captions.jsonl")
    faults.refuse, faults.cut = 0.05, 0.02
    done = run(
        ObjectStore("s3", faults.port, object_stores.s3_environment(faults.port)),
        "run", "-i", captions, "-o", s3.url("failing"), "--partitions=2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert faults.refused >= 3
    faults.refuse = faults.cut = 0
    assert_equal(s3.url("failing"), small_run)
