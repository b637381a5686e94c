"""The page's server: this machine only, for who knows the token, and nothing that a caption says is more than text.

Every address begins with a random token, and every request must name this server as its host, so that no other page in
the browser, not even one whose name was made to point here, can ask it anything. The answers forbid the browser
whatever the page does not need.
"""

import hmac
import json
import secrets
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb

from pipeline.explain import ExplainError, explain
from schemas.places import PlaceError
from schemas.tables import TRIPLETS
from viewer import audit, judgements, marks
from viewer.judgements import FAULTS, JudgementError, Sitting
from viewer.pictures import ImageError, Pictures
from viewer.queries import MEASURES, Catalogue, Selection

HOST = "127.0.0.1"
PAGE = 24
"""Triplets on a page."""

_MOST_BODY = 1 << 16
_MOST_PAGE = 200
_SECONDS_IDLE = 60
_STATIC = {
    "": ("index.html", "text/html; charset=utf-8"),
    "viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Viewed:
    """What the page shows.

    Attributes:
        name: of the dataset, as the user gave it; judgements are written there.
        pictures: None where there are captions only.
        of_each: triplets to judge of each kind.
    """

    name: str
    catalogue: Catalogue
    pictures: Pictures | None
    sitting: Sitting
    of_each: int


class Server(ThreadingHTTPServer):
    """Serves the page; ``serve_forever`` until ``shutdown``."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, viewed: Viewed, port: int = 0) -> None:
        """Raises OSError: the port is taken."""
        self.viewed = viewed
        self.token = secrets.token_urlsafe(24)
        self.answers = _Answers(viewed)
        package = files("viewer") / "static"
        self.static = {path: (kind, (package / name).read_bytes()) for path, (name, kind) in _STATIC.items()}
        self.broken = (package / "broken.svg").read_bytes()
        super().__init__((HOST, port), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/{self.token}/"

    def server_bind(self) -> None:
        # As the standard library's, without its look-up of the host's name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "facetmine"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS_IDLE

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the user's."""

    def _answer(self, method: Callable[[str, dict[str, str]], tuple[str, bytes, str]]) -> None:
        try:
            kind, content, caching = method(*self._asked())
            self._send(200, kind, content, caching)
        except _RefusedError as refused:
            self.close_connection = True  # a body that was not read must not be taken for a request
            self._send(refused.status, "text/plain; charset=utf-8", f"{refused}\n".encode(), "no-store")

    def _asked(self) -> tuple[str, dict[str, str]]:
        """The path after the token, and the query's values.

        Raises:
            _RefusedError: the request is not for this server, or does not know the token.
        """
        if self.headers.get("Host") not in (f"{HOST}:{self.server.port}", f"localhost:{self.server.port}"):
            raise _RefusedError(403, "This server answers to its own address only.")
        parts = urlsplit(self.path)
        token, slash, path = parts.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(errors="replace"), self.server.token.encode()) or not slash:
            raise _RefusedError(403, "The address lacks its token: use the whole of what facetmine browse printed.")
        try:
            query = parse_qs(parts.query, keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            raise _RefusedError(400, "The query is no text.") from None
        return path, {name: values[-1] for name, values in query.items()}

    def _get(self, path: str, query: dict[str, str]) -> tuple[str, bytes, str]:
        if path in self.server.static:
            return (*self.server.static[path], "no-store")
        if path == "image":
            return self._image(query.get("id", ""))
        answer = getattr(self.server.answers, f"get_{path.removeprefix('api/')}", None)
        if not path.startswith("api/") or answer is None:
            raise _RefusedError(404, "There is no such page.")
        return _json(answer, query)

    def _post(self, path: str, query: dict[str, str]) -> tuple[str, bytes, str]:
        own = (f"http://{HOST}:{self.server.port}", f"http://localhost:{self.server.port}")
        if self.headers.get("Origin", own[0]) not in own or self.headers.get_content_type() != "application/json":
            raise _RefusedError(403, "Only the page itself may say something.")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BODY:
            raise _RefusedError(413, "That is too long.")
        body = self.rfile.read(int(length))
        answer = getattr(self.server.answers, f"post_{path.removeprefix('api/')}", None)
        if not path.startswith("api/") or answer is None:
            raise _RefusedError(404, "There is no such page.")
        try:
            said = json.loads(body)
        except ValueError:
            raise _RefusedError(400, "That is no JSON.") from None
        if not isinstance(said, dict):
            raise _RefusedError(400, "That is no JSON object.")
        return _json(answer, said)

    def _image(self, image_id: str) -> tuple[str, bytes, str]:
        pictures = self.server.viewed.pictures
        if pictures is None or image_id not in pictures.store:
            raise _RefusedError(404, "There is no such picture.")
        try:
            return "image/jpeg", pictures.jpeg(image_id), "private, max-age=3600"
        except ImageError:
            return "image/svg+xml", self.server.broken, "no-store"

    def _send(self, status: int, kind: str, content: bytes, caching: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", caching)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _json(answer: Callable[[dict[str, Any]], Any], asked: dict[str, Any]) -> tuple[str, bytes, str]:
    try:
        content = json.dumps(answer(asked), ensure_ascii=False, allow_nan=False, default=str)
    except (JudgementError, ExplainError, ValueError, TypeError, OverflowError) as error:
        raise _RefusedError(400, str(error)) from None
    except (OSError, PlaceError, duckdb.Error) as error:
        raise _RefusedError(500, " ".join(str(error).split())) from None
    except Exception:
        traceback.print_exc()
        raise _RefusedError(500, "facetmine has failed; its terminal says how") from None
    # A caption may hold half a surrogate pair, which UTF-8 cannot.
    return "application/json", content.encode(errors="replace"), "no-store"


class _Answers:
    """What the page asks for: a method for each path below ``api/``, from the query or the JSON said to JSON."""

    def __init__(self, viewed: Viewed) -> None:
        self._viewed = viewed
        self._lock = threading.Lock()
        self._about: dict[str, Any] | None = None
        self._sample: list[dict[str, Any]] | None = None

    def get_about(self, query: dict[str, str]) -> dict[str, Any]:
        """The dataset as a whole, and what the page must know."""
        viewed = self._viewed
        with self._lock:
            if self._about is None:
                self._about = viewed.catalogue.about() | {
                    "name": viewed.name,
                    "pictures": viewed.pictures is not None,
                    "judge": viewed.sitting.judge,
                    "seed": viewed.sitting.seed,
                    "page": PAGE,
                    "columns": {str(field.name): field.metadata[b"doc"].decode() for field in TRIPLETS},
                }
        return self._about

    def get_triplets(self, query: dict[str, str]) -> dict[str, Any]:
        """A page of a selection."""
        number = min(int(query.get("number", PAGE)), _MOST_PAGE)
        rows, total = self._viewed.catalogue.page(_selection(query), int(query.get("first", 0)), number)
        return {"total": total, "triplets": [self._shown(row) for row in rows]}

    def get_triplet(self, query: dict[str, str]) -> dict[str, Any]:
        """One triplet by its id, for judging."""
        return self._shown(self._row(query.get("id", "")))

    def get_names(self, query: dict[str, str]) -> list[tuple[str, int]]:
        """Subjects or conditions that begin so."""
        return self._viewed.catalogue.names(query.get("column", ""), query.get("beginning", ""))

    def get_why(self, query: dict[str, str]) -> dict[str, Any]:
        """What ``facetmine explain`` says of a triplet."""
        catalogue = self._viewed.catalogue
        lines = explain(catalogue.cursor(), catalogue.manifest, query.get("id", ""))
        return {"lines": [line for text in lines for line in text.split("\n")]}

    def get_sample(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """The triplets to judge, in order, with what this judge has said of each so far."""
        viewed = self._viewed
        with self._lock:
            if self._sample is None:
                cursor = viewed.catalogue.cursor()
                self._sample = judgements.sample(cursor, viewed.sitting.seed, viewed.of_each)
        said = {
            row["triplet_id"]: {"verdict": row["verdict"], "fault": row["fault"]}
            for row in judgements.read(viewed.name).sort_by("judged_at").to_pylist()
            if row["judge"] == viewed.sitting.judge
        }
        return [one | {"said": said.get(one["triplet_id"])} for one in self._sample]

    def post_judge(self, said: dict[str, Any]) -> dict[str, Any]:
        """Judge a triplet."""
        row = self._row(str(said.get("id", "")))
        judgement = self._viewed.sitting.say(row, str(said.get("verdict")), said.get("fault") or None)
        return {"id": judgement.triplet_id, "verdict": judgement.verdict, "fault": judgement.fault}

    def post_undo(self, said: dict[str, Any]) -> dict[str, Any]:
        """Take back the last judgement; which one it was, or null."""
        undone = self._viewed.sitting.undo()
        return {"id": undone and undone.triplet_id}

    def get_audit(self, query: dict[str, str]) -> dict[str, Any]:
        """What the judgements say."""
        width = float(query.get("width", audit.WIDTH))
        if not 0 < width < 1:
            raise ValueError("a width is between 0 and 1")
        said = judgements.read(self._viewed.name)
        return audit.audit(self._viewed.catalogue.cursor(), said, width).to_json() | {"faults_in_order": FAULTS}

    def _row(self, triplet: str) -> dict[str, Any]:
        rows = self._viewed.catalogue.with_id(triplet)
        if not rows:
            raise ValueError(f"no triplet has the id {triplet!r}")
        return rows[0]

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        pictures = self._viewed.pictures
        roles = {}
        for role in marks.ROLES:
            if row[f"{role}_id"] is not None:
                roles[role] = {
                    "caption": marks.marked(row, role),
                    "told": marks.told(row, role),
                    "picture": pictures is not None and row[f"{role}_id"] in pictures.store,
                }
        return {"row": row, "roles": roles}


def _selection(query: dict[str, str]) -> Selection:
    ranges = []
    for measure in MEASURES:
        least, most = (query.get(f"{end}_{measure}", "") for end in ("least", "most"))
        if least or most:
            ranges.append((measure, float(least) if least else None, float(most) if most else None))
    return Selection(
        tuple(sorted(filter(None, query.get("kind", "").split(",")))),
        query.get("subject", ""),
        query.get("condition", ""),
        query.get("axis", ""),
        query.get("split", ""),
        query.get("text", "").strip()[:500],
        tuple(ranges),
        int(query["seed"]) if query.get("seed") else None,
    )
