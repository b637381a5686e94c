"""Downloads of small files from hosts that one does not trust."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote, urljoin, urlsplit

from .addresses import resolve
from .errors import FetchError

_BLOCK = 64 << 10
_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_UNTYPED = ("application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded", "")


@dataclass(frozen=True)
class Rules:
    """What is downloaded.

    Attributes:
        seconds: most time for an image, with all its redirects.
        bytes: most bytes of an image.
        retries: how many more times to try what may be gone a moment later.
        allow_private: also connect to addresses that are not on the public internet.
    """

    seconds: float = 20.0
    bytes: int = 20 << 20
    retries: int = 1
    allow_private: bool = False


def download(url: str, headers: Mapping[str, str], rules: Rules) -> tuple[bytes, Message]:
    """Body and headers of what is at the URL, at the end of all redirects.

    Every address is checked before it is connected to, that of each redirect too. No proxy is used: behind one, the
    address that is checked would not be the one that is reached.

    Raises:
        FetchError: it cannot be had, or the rules forbid it.
    """
    for tries_left in range(rules.retries, -1, -1):
        try:
            return _follow(url, headers, rules, time.monotonic() + rules.seconds)
        except FetchError as error:
            if not (error.transient and tries_left):
                raise
            time.sleep(0.5)
    raise AssertionError("unreachable")


def _follow(url: str, headers: Mapping[str, str], rules: Rules, deadline: float) -> tuple[bytes, Message]:
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            answer = _get(url, headers, rules, deadline)
        except FetchError:
            raise
        except TimeoutError:
            raise FetchError("timeout", f"{_shown(url)}: not there after {rules.seconds:g} s") from None
        except ssl.SSLError as error:
            raise FetchError("tls_failure", f"{_shown(url)}: {error}") from None
        except http.client.IncompleteRead as error:
            raise FetchError("incomplete_body", f"{_shown(url)}: ends after {len(error.partial):,} bytes") from None
        except http.client.InvalidURL as error:
            raise FetchError("bad_url", f"{_shown(url)}: {error}"[:500]) from None
        except http.client.HTTPException as error:
            raise FetchError("bad_response", f"{_shown(url)}: {type(error).__name__} {error}"[:500]) from None
        except OSError as error:
            raise FetchError("connection_failed", f"{_shown(url)}: {error}") from None
        except ValueError as error:
            raise FetchError("bad_url", f"{_shown(url)}: {error}") from None
        if not isinstance(answer, str):
            return answer
        url = answer
    raise FetchError("too_many_redirects", f"{_shown(url)}: over {_MOST_REDIRECTS}")


def _get(url: str, headers: Mapping[str, str], rules: Rules, deadline: float) -> tuple[bytes, Message] | str:
    """Body and headers, or the URL that the answer redirects to."""
    parts = urlsplit(url.strip())
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchError("refused_scheme", f"{_shown(url)}: only http and https are fetched")
    if not parts.hostname:
        raise FetchError("bad_url", f"{_shown(url)}: names no host")
    secure = parts.scheme.lower() == "https"
    port = parts.port or (443 if secure else 80)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{_query(parts.query)}" if parts.query else "")
    connection = _Connection(parts.hostname, port, secure, rules.allow_private, deadline)
    try:
        connection.request("GET", target, headers={**headers, "Accept-Encoding": "identity", "Connection": "close"})
        response = connection.getresponse()
        if response.status in _REDIRECTS and (location := response.getheader("Location")):
            # http.client takes headers for Latin-1, but hosts send UTF-8.
            return urljoin(url, location.strip().encode("latin-1", "replace").decode("utf-8", "replace"))
        if response.status != 200:
            detail = f"{_shown(url)}: {response.status} {response.reason}"[:500]
            raise FetchError("http_error", detail, response.status in _TRANSIENT_STATUSES)
        _check_type(url, response.headers)
        return _body(url, response, rules.bytes), response.headers
    finally:
        connection.hang_up()


def _check_type(url: str, headers: Message) -> None:
    told = (headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if not (told.startswith("image/") or told in _UNTYPED):
        raise FetchError("wrong_content_type", f"{_shown(url)}: {told[:100]}")


def _body(url: str, response: http.client.HTTPResponse, most: int) -> bytes:
    if (response.length or 0) > most:
        raise FetchError("image_too_large", f"{_shown(url)}: {response.length:,} bytes; at most {most:,} are fetched")
    blocks, total = [], 0
    while block := response.read(_BLOCK):
        blocks.append(block)
        total += len(block)
        if total > most:
            raise FetchError("image_too_large", f"{_shown(url)}: over {most:,} bytes")
    if response.length:
        raise http.client.IncompleteRead(b"".join(blocks), response.length)
    return b"".join(blocks)


class _Connection(http.client.HTTPConnection):
    """A connection to an address that has been checked, all of whose waiting ends at the deadline."""

    def __init__(self, host: str, port: int, secure: bool, allow_private: bool, deadline: float) -> None:
        super().__init__(host, port)
        self.default_port = 443 if secure else 80
        self._secure = secure
        self._allow_private = allow_private
        self._deadline = deadline
        self._opened: socket.socket | None = None

    def hang_up(self) -> None:
        """Ends it; ``close`` does not, since http.client calls that when there is still a body to read."""
        if self._opened is not None:
            self._opened.close()

    def connect(self) -> None:
        failure: OSError | None = None
        for address in resolve(self.host, self.port, self._allow_private):
            family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(_left(self._deadline))
                sock.connect(address)
                if self._secure:
                    sock = _TLS.wrap_socket(sock, server_hostname=self.host)
                self._opened = sock
                self.sock = _Socket(sock, self._deadline)
                return
            except OSError as error:
                sock.close()
                if isinstance(error, TimeoutError | ssl.SSLError):
                    raise
                failure = error
        raise failure or OSError("no address")


class _Socket:
    """What http.client needs of a socket; a byte now and then does not keep it beyond the deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reads(self._sock, self._deadline), _BLOCK)

    def close(self) -> None:
        """Nothing; see ``_Connection.hang_up``."""


class _Reads(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _query(query: str) -> str:
    return quote(query, safe="/%:@!$&'()*+,;=~-._?")


def _shown(url: str) -> str:
    return url if len(url) <= 200 else f"{url[:200]}..."


_TLS = ssl.create_default_context()
