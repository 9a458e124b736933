"""The sandbox: both APIs over real HTTP on this machine, with keys, limits and encodings."""

from __future__ import annotations

import datetime
import gzip
import json
import logging
import os
import re
import socket
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import frozen

from .answers import Answers, Order, Until
from .model import Market
from .rules import Parameters, Refused, not_found, unauthorized

__all__ = ["Asked", "Sandbox"]

logger = logging.getLogger(__name__)

KEY = "sandbox-key"
ANALYTICS = "/api"
REFERENCE = "/reference"

# guide p. 38; counted for both APIs together, which is the stricter reading
_LIMITS = ((8, 1.0), (480, 60.0))
# A server that runs for days must not grow with what it was asked.
_REMEMBERED = 100_000
# Nothing is gained by squeezing less than a packet.
_WORTH_SQUEEZING = 1000


@frozen
class Asked:
    """One request as the server saw it: its path below the API's prefix, its parameters, and its answer's status."""

    api: str
    path: str
    params: tuple[tuple[str, str], ...]
    status: int
    ignored: frozenset[str] = frozenset()
    """Parameters that the server did not look at."""


class Sandbox:
    """A stand-in for both APIs on a loopback port.

    >>> with Sandbox() as sandbox:
    ...     sandbox.analytics_url
    'http://127.0.0.1:.../api'

    Parameters
    ----------
    port
        The port to listen on; any free one unless given.
    seed
        Another seed is another market; the same seed gives the same bytes, always and everywhere.
    limits
        Answer 429 to more than 8 requests a second or 480 a minute of one key.
    intraday
        May the key see the current UTC day? Otherwise what reaches into it is answered with 401.
    now
        The server's clock; the machine's unless given.
    until
        Is ``until`` part of the range? The guide does not say; ``"exclusive"`` is the usual reading.
    order
        ``"sorted"`` by time, as every published sample is, or ``"shuffled"``, since no order is promised.
    monotonic
        What the limits count seconds by.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        seed: int = 1,
        limits: bool = True,
        intraday: bool = False,
        now: datetime.datetime | None = None,
        until: Until = "exclusive",
        order: Order = "sorted",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if until not in ("exclusive", "inclusive") or order not in ("sorted", "shuffled"):
            raise ValueError(f"until={until!r}, order={order!r}: no such switch")
        self.key = KEY
        self.now = now
        self.asked: list[Asked] = []
        """Every request since the start, in the order of the answers."""
        self._answers = Answers(Market(seed), until, order, intraday)
        self._limits = _LIMITS if limits else ()
        self._stamps: deque[float] = deque()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="trayport-sandbox", daemon=True
        )
        self._thread.start()

    # --- for its users -------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def analytics_url(self) -> str:
        """The base of the Analytics API."""
        return self.url + ANALYTICS

    @property
    def reference_url(self) -> str:
        """The base of the Reference Data API."""
        return self.url + REFERENCE

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections have been opened to it, and how many of them are open now."""
        return self._server.accepted, self._server.open

    @property
    def settings(self) -> dict[str, str]:
        """What a ``Config`` needs to talk to it."""
        return {"api_key": self.key, "analytics_url": self.analytics_url, "reference_url": self.reference_url}

    def close(self) -> None:
        """Stop listening, and end the connections that are still open."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- for the handler -----------------------------------------------------------------------------------------

    def answer(self, path: str, key: str | None) -> tuple[int, bytes]:
        """Status and body for a request."""
        bare, _, query = path.partition("?")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        parameters = Parameters(pairs)
        api, route = _split(bare)
        try:
            status, body = 200, self._dispatch(api, route, parameters, key)
        except Refused as refused:
            status, body = refused.status, json.dumps(refused.body).encode()
        except Exception:  # a fault of ours is an answer too, and is told to whoever runs the server
            logger.exception("the sandbox failed at %s", path)
            status, body = 500, json.dumps(Refused(500, "Internal Server Error").body).encode()
        ignored = frozenset(parameters.ignored) if status == 200 else frozenset()
        with self._lock:
            self.asked.append(Asked(api, route, pairs, status, ignored))
            if len(self.asked) > _REMEMBERED:
                del self.asked[: _REMEMBERED // 2]
        return status, body

    def _dispatch(self, api: str, route: str, parameters: Parameters, key: str | None) -> bytes:
        if key is None or key.strip() != self.key:
            raise unauthorized()
        if self._limits:
            self._count()
        now = self._clock()
        if api == ANALYTICS and route == "/trades":
            return self._answers.trades(parameters, now)
        if api == REFERENCE:
            for pattern, act in _ROUTES:
                if match := pattern.fullmatch(route):
                    return act(self._answers, parameters, now, *match.groups())
        raise not_found(f"no such path: {api}{route}")

    def _clock(self) -> datetime.datetime:
        """The present moment in UTC, which a clock without a zone is taken to show."""
        now = self.now or datetime.datetime.now(datetime.UTC)
        return now.astimezone(datetime.UTC) if now.tzinfo else now.replace(tzinfo=datetime.UTC)

    def _count(self) -> None:
        """Take note of a request, or refuse it: so many in any window of so many seconds."""
        with self._lock:
            now = self._monotonic()
            while self._stamps and self._stamps[0] <= now - _LIMITS[-1][1]:
                self._stamps.popleft()
            for count, seconds in self._limits:
                if sum(stamp > now - seconds for stamp in self._stamps) >= count:
                    raise Refused(429, "Too Many Requests")
            self._stamps.append(now)


_Act = Callable[..., bytes]

_ROUTES: tuple[tuple[re.Pattern[str], _Act], ...] = tuple(
    (re.compile(pattern), act)
    for pattern, act in (
        (r"/(instrument|market)s", lambda answers, _, __, kind: answers.products(kind)),
        (
            r"/(instrument|market)s/([0-9]{1,18})",
            lambda answers, _, __, kind, number: answers.product(kind, int(number)),
        ),
        (
            r"/(instrument|market)s/([0-9]{1,18})/sequences",
            lambda answers, _, __, kind, number: answers.sequences(kind, int(number)),
        ),
        (
            r"/sequences/([0-9]{1,18})/sequenceItems",
            lambda answers, parameters, now, number: answers.sequence_items(int(number), parameters, now),
        ),
        (
            r"/sequences/([0-9]{1,18})/sequenceItems/([0-9]{1,18})",
            lambda answers, _, now, number, item: answers.sequence_item(int(number), int(item), now),
        ),
    )
)


def _split(path: str) -> tuple[str, str]:
    """The prefix that tells the two APIs apart, and the path below it; a whole URL is taken for its path."""
    decoded = unquote(re.sub(r"^https?://[^/]*", "", path))
    for prefix in (ANALYTICS, REFERENCE):
        if decoded == prefix or decoded.startswith(prefix + "/"):
            return prefix, decoded.removeprefix(prefix)
    return "", decoded


# --- HTTP --------------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    """A threading server that forgets no connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    # On Windows the option would let two servers share a port.
    allow_reuse_address = os.name != "nt"
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.accepted = 0
        self._open: set[Any] = set()
        super().__init__(address, _Handler)

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def server_bind(self) -> None:
        """Without the look-up of this machine's own name, which can take seconds where there is no network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.accepted += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    def hang_up(self) -> None:
        """End every connection that is kept open."""
        for request in list(self._open):
            with suppress(OSError):  # wakes the thread that reads from it, which then lets go of it itself
                request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1: connections are kept, answers leave in one packet where they fit."""

    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The only method that the APIs know."""
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # a body follows, which nobody reads
        status, body = self.server.sandbox.answer(self.path, self.headers.get("X-API-KEY"))
        self._send(status, body)

    def _refuse(self) -> None:
        self.close_connection = True
        self._send(405, json.dumps(Refused(405, "Method Not Allowed").body).encode(), Allow="GET")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request, in the words of the others."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:  # a method that it has never heard of
            code = HTTPStatus.METHOD_NOT_ALLOWED
        self.headers = getattr(self, "headers", Message())
        self._send(code, json.dumps(Refused(int(code), HTTPStatus(code).phrase).body).encode())

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        encoding, packed = _squeezed(body, self.headers.get("Accept-Encoding"))
        self.send_response(status)
        kind = "application/json" if status == 200 else "application/problem+json"
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(packed)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(packed)
        self.wfile.flush()

    def version_string(self) -> str:
        """What the Server header says."""
        return "trayport-sandbox"

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what was asked is in ``Sandbox.asked``."""


def _squeezed(body: bytes, accepted: str | None) -> tuple[str | None, bytes]:
    """The body in the encoding that the client likes best; Brotli if it does not say (guide p. 38)."""
    if len(body) < _WORTH_SQUEEZING and accepted is not None:
        return None, body
    for offer in ["br"] if accepted is None else _liked(accepted):
        if offer == "identity":
            return None, body
        if offer == "br":
            import brotli

            return "br", brotli.compress(body, quality=1)
        if offer == "gzip":
            return "gzip", gzip.compress(body, 1, mtime=0)
        if offer == "deflate":
            return "deflate", zlib.compress(body, 1)
    return None, body


def _liked(accepted: str) -> list[str]:
    """The encodings of an Accept-Encoding header, best first, without those that it forbids."""
    offers = []
    for part in accepted.lower().split(","):
        name, _, options = part.partition(";")
        quality = re.search(r"q=([0-9.]+)", options)
        try:
            offers.append((float(quality[1]) if quality else 1.0, name.strip()))
        except ValueError:
            continue
    return [name for quality, name in sorted(offers, key=lambda offer: -offer[0]) if quality > 0]
