"""The sandbox: both APIs over real HTTP on this machine, with keys, limits and encodings."""

from __future__ import annotations

import datetime
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import get_args
from urllib.parse import parse_qsl, unquote

from attrs import frozen

from . import activity, books, candles, reference, snapshots, tape
from .listener import Answer, Listener, liked, refusal
from .model import Market
from .parameters import NS, Parameters, Refused, not_found, unauthorized
from .rules import Clock
from .view import Order, Stamps, Until, View
from .wire import Table

__all__ = ["Asked", "Sandbox"]

logger = logging.getLogger(__name__)

KEY = "sandbox-key"
ANALYTICS = "/api"
REFERENCE = "/reference"

# guide p. 38; counted for both APIs together, which is the stricter reading
_LIMITS = ((8, 1.0), (480, 60.0))
# A server that runs for days must not grow with what it was asked.
_REMEMBERED = 100_000


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
        Is ``until`` part of the range? The guide does not say; ``"exclusive"`` is the usual reading. If it is
        ``"inclusive"``, a trade at ``until`` is there, the candle that begins there (whole), and the book's point.
    books
        How points of a book are stamped. ``"end"``, as the published sample is: at the end of each interval of the
        range, so at ``from`` plus 1, 2, 3 … intervals; the point at ``until`` ends the last interval, and is there
        whether ``until`` is part of the range or not. ``"start"``: at ``from`` plus 0, 1, 2 … intervals, and at
        ``until`` only if it is part of the range. ``"between"``: as ``"end"``, but at ``until`` only if it is part
        of the range; then no question shows the point at its own end.
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
        books: Stamps = "end",
        order: Order = "sorted",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        switches = {"until": (until, Until), "books": (books, Stamps), "order": (order, Order)}
        for name, (value, positions) in switches.items():
            if value not in get_args(positions):
                raise ValueError(f"{name}={value!r} is none of {', '.join(map(repr, get_args(positions)))}")
        self.key = KEY
        self.now = now
        self.asked: list[Asked] = []
        """Every request since the start, in the order of the answers."""
        self._market = Market(seed)
        self._intraday = intraday
        self._until, self._books, self._order = until, books, order
        self._limits = _LIMITS if limits else ()
        self._stamps: deque[float] = deque()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._server = Listener(port, self.answer)
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

    # --- for the listener ----------------------------------------------------------------------------------------

    def answer(self, path: str, key: str | None, accept: str | None = None) -> Answer:
        """The answer to a request with these headers."""
        bare, _, query = path.partition("?")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        parameters = Parameters(pairs)
        api, route = _split(bare)
        try:
            answer = self._dispatch(api, route, parameters, key, accept)
        except Refused as refused:
            answer = refusal(refused)
        except Exception:  # a fault of ours is an answer too, and is told to whoever runs the server
            logger.exception("the sandbox failed at %s", path)
            answer = refusal(Refused(500, "Internal Server Error"))
        ignored = frozenset(parameters.ignored) if answer.status == 200 else frozenset()
        with self._lock:
            self.asked.append(Asked(api, route, pairs, answer.status, ignored))
            if len(self.asked) > _REMEMBERED:
                del self.asked[: _REMEMBERED // 2]
        return answer

    def _dispatch(self, api: str, route: str, parameters: Parameters, key: str | None, accept: str | None) -> Answer:
        if key is None or key.strip() != self.key:
            raise unauthorized()
        if self._limits:
            self._count()
        now = self._clock()
        if api == ANALYTICS and route in _ANALYTICS:
            clock = Clock(int(now.timestamp()) * NS, self._intraday)
            view = View(self._market, clock, self._until, self._books)
            return self._packed(_ANALYTICS[route](parameters, view), accept)
        if api == REFERENCE:
            for pattern, act in _REFERENCE:
                if match := pattern.fullmatch(route):
                    return Answer(200, act(parameters, now.date(), *match.groups()))
        raise not_found(f"no such path: {api}{route}")

    def _packed(self, found: Table | bytes, accept: str | None) -> Answer:
        """CSV for who likes it better, as far as an answer is flat (guide p. 37 has it for the Analytics API)."""
        if isinstance(found, bytes):
            return Answer(200, found)
        rows = found.shuffled() if self._order == "shuffled" else found
        if rows.is_flat and _prefers_csv(accept):
            return Answer(200, rows.csv(), "text/csv")
        return Answer(200, rows.json())

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


_ANALYTICS: dict[str, Callable[[Parameters, View], Table | bytes]] = {
    "/trades": tape.trades,
    "/trades/private": tape.private,
    "/trades/last": tape.last,
    "/trades/ohlcv": candles.candles,
    "/trades/activity": activity.activity,
    "/orders/book/top": books.tops,
    "/orders/book": books.books,
    "/snapshots": snapshots.snapshots,
}

_REFERENCE: tuple[tuple[re.Pattern[str], Callable[..., bytes]], ...] = tuple(
    (re.compile(pattern), act)
    for pattern, act in (
        (r"/(instrument|market)s", lambda _, __, kind: reference.products(kind)),
        (r"/(instrument|market)s/([0-9]{1,18})", lambda _, __, kind, number: reference.product(kind, int(number))),
        (
            r"/(instrument|market)s/([0-9]{1,18})/sequences",
            lambda _, __, kind, number: reference.sequences(kind, int(number)),
        ),
        (
            r"/sequences/([0-9]{1,18})/sequenceItems",
            lambda parameters, today, number: reference.sequence_items(int(number), parameters, today),
        ),
        (
            r"/sequences/([0-9]{1,18})/sequenceItems/([0-9]{1,18})",
            lambda _, today, number, item: reference.sequence_item(int(number), int(item), today),
        ),
    )
)


def _prefers_csv(accept: str | None) -> bool:
    kinds = liked(accept or "")
    return "text/csv" in kinds and "application/json" not in kinds[: kinds.index("text/csv")]


def _split(path: str) -> tuple[str, str]:
    """The prefix that tells the two APIs apart, and the path below it; a whole URL is taken for its path."""
    decoded = unquote(re.sub(r"^https?://[^/]*", "", path))
    for prefix in (ANALYTICS, REFERENCE):
        if decoded == prefix or decoded.startswith(prefix + "/"):
            return prefix, decoded.removeprefix(prefix)
    return "", decoded
