"""The sandbox: both APIs over real HTTP on this machine, with keys, limits and encodings."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import re
import threading
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import frozen

from .answers import Answers, Order, Until
from .model import Market
from .rules import Parameters, Refused, not_found

__all__ = ["Asked", "Sandbox"]

KEY = "sandbox-key"
ANALYTICS = "/api"
REFERENCE = "/reference"

# guide p. 38; counted for both APIs together, which is the stricter reading
_LIMITS = ((8, 1.0), (480, 60.0))
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
    ) -> None:
        self.key = KEY
        self.intraday = intraday
        self.now = now
        self.asked: list[Asked] = []
        """Every request since the start, in the order of the answers."""
        self._answers = Answers(Market(seed), until, order)
        self._limits = _LIMITS if limits else ()
        self._stamps: dict[str, deque[float]] = defaultdict(deque)
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
        ignored = frozenset(parameters.ignored) if status == 200 else frozenset()
        with self._lock:
            self.asked.append(Asked(api, route, pairs, status, ignored))
        return status, body

    def _dispatch(self, api: str, route: str, parameters: Parameters, key: str | None) -> bytes:
        if key != self.key:
            raise Refused(401, {"title": "Unauthorized", "status": 401})
        self._count(key)
        now = self._clock()
        if api == ANALYTICS and route == "/trades":
            self._check_intraday(parameters, now)
            return self._answers.trades(parameters, now)
        if api == REFERENCE:
            for pattern, act in _ROUTES:
                if match := pattern.fullmatch(route):
                    return act(self._answers, parameters, now, *match.groups())
        raise not_found(f"no such path: {api}{route}")

    def _clock(self) -> datetime.datetime:
        now = self.now or datetime.datetime.now(datetime.UTC)
        return now if now.tzinfo else now.replace(tzinfo=datetime.UTC)

    def _check_intraday(self, parameters: Parameters, now: datetime.datetime) -> None:
        midnight = int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1_000_000_000
        until = parameters.moment("until")
        if until is not None and until > midnight and not self.intraday:
            raise Refused(401, {"title": "Unauthorized", "status": 401})

    def _count(self, key: str) -> None:
        """Take note of a request, or refuse it: so many in any window of so many seconds."""
        with self._lock:
            now, stamps = time.monotonic(), self._stamps[key]
            while stamps and stamps[0] <= now - _LIMITS[-1][1]:
                stamps.popleft()
            for count, seconds in self._limits:
                if sum(stamp > now - seconds for stamp in stamps) >= count:
                    raise Refused(429, {"title": "Too Many Requests", "status": 429})
            stamps.append(now)


_Act = Callable[..., bytes]

_ROUTES: tuple[tuple[re.Pattern[str], _Act], ...] = tuple(
    (re.compile(pattern), act)
    for pattern, act in (
        (r"/(instrument|market)s", lambda answers, _, __, kind: answers.products(kind)),
        (r"/(instrument|market)s/(\d+)", lambda answers, _, __, kind, number: answers.product(kind, int(number))),
        (
            r"/(instrument|market)s/(\d+)/sequences",
            lambda answers, _, __, kind, number: answers.sequences(kind, int(number)),
        ),
        (
            r"/sequences/(\d+)/sequenceItems",
            lambda answers, parameters, now, number: answers.sequence_items(int(number), parameters, now),
        ),
        (
            r"/sequences/(\d+)/sequenceItems/(\d+)",
            lambda answers, _, now, number, item: answers.sequence_item(int(number), int(item), now),
        ),
    )
)


def _split(path: str) -> tuple[str, str]:
    """The prefix that tells the two APIs apart, and the path below it."""
    decoded = unquote(path)
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

    def __init__(self, address: tuple[str, int], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.accepted = 0
        self._open: set[Any] = set()
        super().__init__(address, _Handler)

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

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
            self.shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1: connections are kept, answers leave in one packet where they fit."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "trayport-sandbox"
    sys_version = ""
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The only method that the APIs know."""
        status, body = self.server.sandbox.answer(self.path, self.headers.get("X-API-KEY"))
        kind = "application/json; charset=utf-8" if status == 200 else "application/problem+json; charset=utf-8"
        self._send(status, body, kind)

    def _refuse(self) -> None:
        self.close_connection = True  # a body may follow, which nobody reads
        self._send(405, b'{"title":"Method Not Allowed","status":405}', "application/problem+json", Allow="GET")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse

    def _send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        encoding, packed = _squeezed(body, self.headers.get("Accept-Encoding"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(packed)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(packed)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what was asked is in ``Sandbox.asked``."""


def _squeezed(body: bytes, accepted: str | None) -> tuple[str | None, bytes]:
    """The body in the first encoding that the client takes; Brotli if it does not say (guide p. 38)."""
    offers = ["br"] if accepted is None else [part.partition(";")[0].strip().lower() for part in accepted.split(",")]
    if len(body) < _WORTH_SQUEEZING and accepted is not None:
        return None, body
    for offer in offers:
        if offer == "br":
            import brotli

            return "br", brotli.compress(body, quality=1)
        if offer == "gzip":
            return "gzip", gzip.compress(body, 1, mtime=0)
        if offer == "deflate":
            return "deflate", zlib.compress(body, 1)
    return None, body
