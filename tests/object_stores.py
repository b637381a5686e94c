"""Object stores to test against: servers that speak S3 and GCS, and a proxy that makes one fail."""

import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from commands import free_port, wait_until

BUCKET = "facetmine-test"


@dataclass(frozen=True)
class ObjectStore:
    """A running store with one bucket.

    Attributes:
        protocol: "s3" or "gs".
        port: of the server, on 127.0.0.1.
        environment: what a process needs to use it.
    """

    protocol: str
    port: int
    environment: dict[str, str] = field(default_factory=dict)

    def url(self, path: str) -> str:
        return f"{self.protocol}://{BUCKET}/{path}"


@contextlib.contextmanager
def s3() -> Iterator[ObjectStore]:
    """Moto's server, with the bucket."""
    import boto3

    port = free_port()
    with _server("-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)):
        _await(port)
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                              aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
        client.create_bucket(Bucket=BUCKET)
        yield ObjectStore("s3", port, s3_environment(port))


def s3_environment(port: int) -> dict[str, str]:
    """What takes S3's clients to a server at that port."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


@contextlib.contextmanager
def gcs() -> Iterator[ObjectStore]:
    """gcp-storage-emulator, with the bucket."""
    port = free_port()
    options = ("start", "--host=127.0.0.1", f"--port={port}", "--in-memory", f"--default-bucket={BUCKET}")
    with _server("-m", "gcp_storage_emulator", *options):
        _await(port)
        address = f"http://127.0.0.1:{port}"
        yield ObjectStore("gs", port, {"STORAGE_EMULATOR_HOST": address, "FSSPEC_GS": json.dumps({"token": "anon"})})


@dataclass
class Faults:
    """What a proxy does to requests; set the shares at any time.

    Attributes:
        refuse: share answered with 503 SlowDown and not passed on.
        cut: share of the answers with a body that break off in the middle of it.
        answer: answer all with that status and S3 error code instead, as (403, "AccessDenied").
        requests, refused, cuts: counts.
    """

    refuse: float = 0.0
    cut: float = 0.0
    answer: tuple[int, str] | None = None
    requests: int = 0
    refused: int = 0
    cuts: int = 0
    port: int = 0
    draws: random.Random = field(default_factory=lambda: random.Random(0))


@contextlib.contextmanager
def faulty(store: ObjectStore) -> Iterator[Faults]:
    """A proxy in front of an S3 store that fails as it is told to."""
    faults, lock = Faults(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                faults.requests += 1
                refuse, cut = (faults.draws.random() < share for share in (faults.refuse, faults.cut))
            if faults.answer or refuse:
                faults.refused += refuse
                self._fail(*(faults.answer or (503, "SlowDown")))
                return
            server = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
            server.request(self.command, self.path, body, dict(self.headers))
            answer = server.getresponse()
            content = answer.read()
            server.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if cut and len(content) > 1 and self.command == "GET":
                faults.cuts += 1
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815

        def _fail(self, status: int, code: str) -> None:
            content = f"<Error><Code>{code}</Code><Message>{code} by the test</Message></Error>".encode()
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    faults.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield faults
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def _server(*arguments: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path("/"),
        env=os.environ | {"PYTHONWARNINGS": "ignore"}, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _await(port: int) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            return True
        time.sleep(0.1)
        return False

    wait_until(answers, 60, "the store answers")
