"""``facetmine fetch`` against a web server on this machine, which is as bad as the open internet."""

import contextlib
import io
import ipaddress
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("img2dataset")
from PIL import Image

from beam_runner import main
from images import ImageStore, addresses, web
from images.errors import FetchError
from images.web import Rules
from pipeline.readers import parse_input, plan, read
from schemas.image_ids import url_ids

LOCAL = Rules(seconds=1.5, bytes=50_000, retries=0, allow_private=True)


def picture(colour: str = "red", kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, kind)
    return data.getvalue()


class Server(ThreadingHTTPServer):
    """Answers by path; counts requests; ``mended`` paths, broken at first, work after ``mend``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.mended = False
        self.root = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1
        with contextlib.suppress(ConnectionError, TimeoutError):
            getattr(self, path.strip("/").partition("/")[0])()

    def send(self, body: bytes, kind: str | None = "image/jpeg", length: int | None = None, **headers: str) -> None:
        self.send_response(200)
        if kind is not None:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def good(self) -> None:
        self.send(picture())

    def png(self) -> None:
        self.send(picture(kind="PNG"), "image/png")

    def untyped(self) -> None:
        self.send(picture(), None)

    def missing(self) -> None:
        self.send_error(404)

    def flaky(self) -> None:
        if self.server.mended:
            self.send(picture("green"))
        else:
            self.send_error(503)

    def moved(self) -> None:
        self.redirect("/good/moved")

    def away(self) -> None:
        self.redirect(f"http://localhost:{self.server.server_address[1]}/good/secret")

    def to_file(self) -> None:
        self.redirect("file:///etc/passwd")

    def loop(self) -> None:
        self.redirect("/loop")

    def slow(self) -> None:
        time.sleep(4)

    def drip(self) -> None:
        self.send(b"", length=10_000)
        for _ in range(40):
            self.wfile.write(b"\xff")
            self.wfile.flush()
            time.sleep(0.1)

    def drip_headers(self) -> None:
        for _ in range(40):
            self.wfile.write(b"H")
            self.wfile.flush()
            time.sleep(0.1)

    def short(self) -> None:
        self.send(picture()[:200], length=5_000)

    def cut(self) -> None:
        self.send(picture(size=(300, 300))[:900])

    def garbage(self) -> None:
        self.wfile.write(b"not http at all\r\n\r\n")

    def hangup(self) -> None:
        self.connection.close()

    def page(self) -> None:
        self.send(b"<html>no such picture</html>", "text/html")

    def lie(self) -> None:
        self.send(b"<!doctype html><html>no such picture</html>")

    def large(self) -> None:
        self.send(b"\xff" * 60_000)

    def endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        for _ in range(2_000):
            self.wfile.write(b"\xff" * 65536)

    def robots(self) -> None:
        self.send(picture(), X_Robots_Tag="noai")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "http_error"), ("flaky", "http_error"), ("to_file", "refused_scheme"),
        ("loop", "too_many_redirects"), ("slow", "timeout"), ("drip", "timeout"), ("drip_headers", "timeout"),
        ("short", "incomplete_body"), ("garbage", "bad_response"), ("hangup", "bad_response"),
        ("page", "wrong_content_type"), ("large", "image_too_large"), ("endless", "image_too_large"),
    ],
)  # fmt: skip
def test_a_bad_answer_has_its_reason_in_time(server: Server, path: str, reason: str) -> None:
    began = time.monotonic()
    with pytest.raises(FetchError) as caught:
        web.download(f"{server.root}/{path}", {}, LOCAL)
    assert caught.value.reason == reason, caught.value
    assert time.monotonic() - began < 3
    assert server.asked[f"/{path}"] >= 1


@pytest.mark.parametrize("path", ["good", "moved", "untyped", "good/white space?a=ü&b=%20"])
def test_a_good_answer_comes_whole(server: Server, path: str) -> None:
    assert web.download(f"{server.root}/{path}", {}, LOCAL)[0] == picture()


def test_only_what_may_be_gone_is_tried_again(server: Server) -> None:
    again = Rules(seconds=2, retries=1, allow_private=True)
    for path in ("flaky", "missing"):
        with pytest.raises(FetchError):
            web.download(f"{server.root}/{path}", {}, again)
    assert server.asked == {"/flaky": 2, "/missing": 1}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]",
     "[::ffff:7f00:1]", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
     "255.255.255.255", "240.0.0.1", "[fe80::1]", "[fd00::1]", "[fec0::1]", "[ff02::1]", "[2002:7f00:1::]",
     "[64:ff9b::127.0.0.1]", "[::127.0.0.1]", "[2001:db8::1]", "user@127.0.0.1", "127.0.0.1."],
)  # fmt: skip
def test_no_private_address_is_connected_to(server: Server, host: str) -> None:
    with pytest.raises(FetchError) as caught:
        web.download(f"http://{host}:{server.server_address[1]}/good", {}, Rules(seconds=2, retries=0))
    # The resolver may not know an odd spelling at all.
    assert caught.value.reason == "refused_address" or (caught.value.reason == "dns_failure" and host.endswith("."))
    assert not server.asked


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b", "data:image/png;base64,AA", "gopher://a", "a.jpg", ""]
)
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(FetchError, match="refused_scheme"):
        web.download(url, {}, Rules())


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://a:99999/", "http://a b/", "http://\x00/"])
def test_a_url_that_is_none_is_told_of(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        web.download(url, {}, Rules(retries=0))
    assert caught.value.reason in ("bad_url", "dns_failure")


def test_public_addresses_are_public() -> None:
    for text in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert addresses.is_public(ipaddress.ip_address(text)), text


def test_the_address_that_was_checked_is_connected_to(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public at first and private when asked again (DNS rebinding) is asked once a connection, and every
    redirect is judged by itself."""
    answers = iter(["127.0.0.1", "10.0.0.1"])
    asked = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def only_here(address: ipaddress.IPv4Address) -> bool:
        return str(address) == "127.0.0.1"  # stands in for a public one

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(addresses, "is_public", only_here)
    with pytest.raises(FetchError) as caught:
        web.download(f"http://rebind.test:{server.server_address[1]}/away", {}, Rules(seconds=2, retries=0))
    assert caught.value.reason == "refused_address"
    assert asked == ["rebind.test", "localhost"]
    assert server.asked == {"/away": 1}


@pytest.mark.slow
def test_from_a_list_to_shards_and_a_second_run_for_the_failures(server: Server, tmp_path: Path) -> None:
    good = [f"{server.root}/good/{number}" for number in range(25)] + [f"{server.root}/{p}" for p in ("png", "moved")]
    bad = {"missing": "http_error", "flaky": "http_error", "to_file": "refused_scheme", "page": "wrong_content_type",
           "lie": "not_an_image", "cut": "truncated_image", "large": "image_too_large", "robots": "disallowed",
           "short": "incomplete_body", "slow": "timeout"}  # fmt: skip
    lines = [f"a dog on grass {url[-3:]}\t{url}" for url in [*good, *(f"{server.root}/{path}" for path in bad)]]
    lines += [f"a second caption\t{good[0]}", "only one column", "a cat\tftp://127.0.0.1/cat.jpg"]
    listed = tmp_path / "list.tsv"
    listed.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    arguments = ["fetch", "--input", str(listed), "--output", str(out), "--allow-private", "--timeout", "1.5",
                 "--retries", "0", "--max-bytes", "50000", "--images-per-shard", "20", "--processes", "2"]  # fmt: skip
    assert main(arguments) == 0
    failures = pq.read_table(out / "failures" / "failures.parquet").to_pylist()
    found = {row["url"].rpartition("/")[2]: row["reason"] for row in failures if row["url"] and "ftp" not in row["url"]}
    assert found == bad
    assert sorted(row["reason"] for row in failures if row["url"] is None or "ftp" in row["url"]) == [
        "refused_scheme", "wrong_columns"
    ]  # fmt: skip
    summary = json.loads((out / "fetch.json").read_text())
    assert (summary["rows"], summary["urls"], summary["images"]) == (len(lines), len(good) + len(bad) + 1, len(good))
    assert summary["images"] + summary["failed"] == summary["urls"] + summary["rows_rejected"]
    ids = set(url_ids(good))
    store = ImageStore.open([str(out / "shards")], tmp_path / "index")
    assert set(store.ids().to_pylist()) == ids
    assert store.image(url_ids(good[:1])[0]).size == (40, 30)
    assert {(row["image_id"], row["caption"]) for row in captions(out / "shards")} == {
        *((image_id, f"a dog on grass {url[-3:]}") for url, image_id in zip(good, url_ids(good), strict=True)),
        (url_ids(good[:1])[0], "a second caption"),
    }

    server.mended = True
    server.asked.clear()
    assert main(arguments) == 0
    assert not any(path.startswith("/good") and path != "/good/moved" for path in server.asked)
    assert set(server.asked) == {f"/{path}" for path in bad}
    after = pq.read_table(out / "failures" / "failures.parquet").to_pylist()
    assert {row["url"] for row in failures} - {row["url"] for row in after} == {f"{server.root}/flaky"}
    assert {row["attempts"] for row in after if row["url"]} == {2}
    again = ImageStore.open([str(out / "shards")], tmp_path / "index")
    assert set(again.ids().to_pylist()) == ids | set(url_ids([f"{server.root}/flaky"]))

    # One who reads the whole folder gets the same images, and the failures as rejects.
    assert {row["image_id"] for row in captions(out)} == {row["image_id"] for row in captions(out / "shards")}


@pytest.mark.slow
def test_without_the_flag_nothing_here_is_asked_and_nobody_is_told(server: Server, tmp_path: Path) -> None:
    """Neither img2dataset nor what it imports connects to anything: an audit hook in every process notes who asks."""
    (tmp_path / "list.csv").write_text(f"caption,url\na dog,{server.root}/good\na cat,http://0x7f.1/good\n")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "def hook(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'urllib.Request'):\n"
        f"        with open({str(tmp_path / 'asked')!r}, 'a') as file:\n"
        "            file.write(f'{event} {arguments!r}\\n')\n"
        "sys.addaudithook(hook)\n"
    )
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(tmp_path), str(root)])
    command = [sys.executable, str(root / "beam_runner.py"), "fetch", "--input", str(tmp_path / "list.csv"),
               "--output", str(tmp_path / "out"), "--retries", "0"]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "refused_address" in done.stdout
    assert "Traceback" not in done.stderr
    assert not server.asked
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line for line in asked if "socket.connect" in line and "AF_UNIX" not in line and "/" not in line] == []
    assert {line.split("'")[1] for line in asked if "getaddrinfo" in line} == {"127.0.0.1", "0x7f.1"}


def test_a_list_without_urls_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("caption,image_id\na dog,1\n")
    assert main(["fetch", "--input", str(tmp_path / "a.csv"), "--output", str(tmp_path / "out")]) == 2
    assert "no row with a caption and a URL" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_broke_off_goes_on(server: Server, tmp_path: Path) -> None:
    """What an unfinished shard holds is fetched again, what a finished one holds is not; larger images are scaled."""
    urls = [f"{server.root}/good/{number}" for number in range(6)]
    table = pa.table({"text": ["a dog"] * 6, "url": urls})
    pq.write_table(table, tmp_path / "list.parquet")
    out = tmp_path / "out"
    arguments = ["fetch", "--input", str(tmp_path / "list.parquet"), "--output", str(out), "--allow-private",
                 "--images-per-shard", "3", "--processes", "1", "--size", "15"]  # fmt: skip
    assert main(arguments) == 0
    (out / "shards" / "00001_stats.json").unlink()
    server.asked.clear()
    assert main(arguments) == 0
    assert sum(server.asked.values()) == 3
    store = ImageStore.open([str(out / "shards")], tmp_path / "index")
    assert len(store) == 6
    assert store.image(url_ids(urls)[5]).size == (20, 15)


def captions(folder: Path) -> list[dict[str, str]]:
    splits, _, _ = plan([parse_input(str(folder))])
    return [row for split in splits for table, _ in read(split) for row in table.to_pylist()]
