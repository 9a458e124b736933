"""The sandbox: both APIs over real HTTP on this machine, with keys, limits and encodings."""

from __future__ import annotations

import datetime
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from sys import intern
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote

from .. import _redact
from . import activity, books, candles, error_responses, reference_data, revisions, rules, snapshots, tape
from .fault_injection import Fault, Script, struck
from .keys import KEY, KEYS, Caller, Rights
from .listener import HttpRequest, HttpResponse, Listener, dated, liked
from .memory import Memory
from .model import SimulatedMarket
from .page import page
from .parameters import DAY, NS, Parameters, Refused, moment, not_found, unauthorized
from .payload import Payload
from .record import Asked, Record, Violation
from .reference_data import Reference
from .revisions import Revisions
from .rules import PATHS
from .switches import Switches
from .throttle import Limiter
from .view import View

__all__ = ["Asked", "Sandbox", "Violation"]

logger = _redact.logger(__name__)

ANALYTICS = "/api"
REFERENCE = "/reference"

# A month's candle that begins where a range ends is over by then, and nothing happens to its trades any more.
_SETTLED = 40 * DAY
# There is no market before them, and no item after them.
_YEARS = range(2010, 2090)
_FIRST, _LAST = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (_YEARS.start, _YEARS.stop))
# Bytes of answers that are kept, to be given again.
_KEPT = 40 * 2**20


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
    volume
        So many times as much is traded as usual: 10 makes a day of the front gas month about nine thousand trades.
    limits
        Answer 429 to more than 8 requests a second or 480 a minute of one key. Without, every answer says so in a
        header, ``X-Sandbox-Limits: off``.
    key
        Which of its keys ``settings`` hands out.
    keys
        The keys that it knows, each with its ``Rights``. Unless told otherwise: ``"sandbox-key"``, which may see all
        but today, ``"sandbox-intraday"``, which may see all, and ``"sandbox-basic"``, which has no own trades, no
        order books, one route, and neither EUA nor NBP.
    now
        The server's clock; the machine's unless given.
    faults
        What goes wrong, and when: see ``Fault``.
    monotonic
        What the limits count seconds by.
    **switches
        How it reads what the guide leaves open, such as ``until="inclusive"``: see ``Switches``.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        seed: int = 1,
        volume: int = 1,
        limits: bool = True,
        key: str = KEY,
        keys: Mapping[str, Rights] = KEYS,
        now: datetime.datetime | None = None,
        faults: Iterable[Fault] = (),
        monotonic: Callable[[], float] = time.monotonic,
        **switches: Any,
    ) -> None:
        _check(seed, volume, key, keys)
        self.key, self.keys = key, dict(keys)
        self.now = now
        self.switches = Switches.of(switches)
        self.seed, self.volume, self.limits = seed, volume, limits
        self._market = SimulatedMarket(seed, volume)
        self._limiter = Limiter(limits, self.switches.sustained, monotonic)
        self._script = Script(faults)
        self._record = Record()
        self._memory = Memory(_KEPT)
        self._revisions = Revisions()
        self._closed = False
        # One thread makes all answers, since many that did would take many times the room, and be no faster.
        self._maker = ThreadPoolExecutor(1, "trayport-sandbox-maker")
        self._server = Listener(port, self.answer, self._usual)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="trayport-sandbox", daemon=True
        )
        self._thread.start()

    # --- for its users -------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime.datetime | None:
        """Where its clock stands, if it was set; with None it goes on with the machine's."""
        return self._stands

    @now.setter
    def now(self, moment: datetime.datetime | None) -> None:
        if moment is not None and not isinstance(moment, datetime.datetime):
            raise ValueError(f"now={moment!r} must be a datetime, or None for the machine's clock")
        if moment is not None and moment.year not in _YEARS:
            raise ValueError(f"now={moment} must lie in the years {_YEARS.start} to {_YEARS.stop - 1}")
        self._stands = moment

    @property
    def clock(self) -> datetime.datetime:
        """The present moment of its clock in UTC, which a clock that was set without a zone is taken to show."""
        now = self._stands or datetime.datetime.now(datetime.UTC)
        now = now.astimezone(datetime.UTC) if now.tzinfo else now.replace(tzinfo=datetime.UTC)
        # However far the clock jumps, there it stops.
        return min(max(now + datetime.timedelta(seconds=self.jumped), _FIRST), _LAST)

    @property
    def jumped(self) -> float:
        """By how many seconds its clock has jumped, by faults that say so."""
        return self._script.clock

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
    def asked(self) -> list[Asked]:
        """Every request since the start, in the order of the answers; of very many, the younger half."""
        return list(self._record.asked)

    @property
    def answered(self) -> int:
        """How many requests there were since the start."""
        return self._record.count

    @property
    def violations(self) -> list[Violation]:
        """Every rule of the API that a request broke, an ignored parameter among them, in the same order."""
        return self._record.violations

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections have been opened to it, and how many of them are open now."""
        return self._server.accepted, self._server.open

    @property
    def settings(self) -> dict[str, str]:
        """What a ``Config`` needs to talk to it."""
        return {"api_key": self.key, "analytics_url": self.analytics_url, "reference_url": self.reference_url}

    def revise(
        self,
        venue_code: str,
        trade_id: str,
        *,
        price: float | Decimal | None = None,
        quantity: float | Decimal | None = None,
    ) -> None:
        """Change history now: amend a trade, or, with neither a price nor a quantity, delete it.

        From now on every answer knows, and ``/trades/activity`` counts it.

        >>> import trayport as tp
        >>> from trayport.testing import sandboxed
        >>> with sandboxed() as sandbox:
        ...     before = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        ...     sandbox.revise(before["venue_code"].iloc[0], before["trade_id"].iloc[0])
        ...     len(before) - len(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))
        1

        Raises
        ------
        ValueError
            There is no such trade, or no trade can have that price or quantity.
        """
        self._maker.submit(self._revise, venue_code, trade_id, price, quantity).result()

    def _revise(
        self, venue_code: str, trade_id: str, price: float | Decimal | None, quantity: float | Decimal | None
    ) -> None:
        before, at = self._revisions, self._nanoseconds()
        found = revisions.found(self._market, before, venue_code, trade_id, at, price, quantity)
        self._revisions = before.followed_by(found)

    def close(self) -> None:
        """Stop listening, and end the connections that are still open."""
        self._closed = True
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        self._maker.shutdown(cancel_futures=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- for the listener ----------------------------------------------------------------------------------------

    def answer(self, heard: HttpRequest) -> HttpResponse:
        """The answer to a request."""
        bare, _, query = heard.target.partition("?")
        api, route = _split(bare)
        if api == "" and route == "/" and heard.method == "GET":
            return self._guarded(heard, lambda: HttpResponse(200, page(self).encode(), "text/html"))
        pairs = _pairs(query)
        fault = self._script.meet(route)
        parameters = Parameters(pairs)
        broken: list[str] = []

        def honest() -> HttpResponse:
            try:
                return self._dispatch(heard, api, route, parameters, pairs)
            except Refused as refused:
                broken.append(refused.rule)
                return error_responses.answer(refused, self.switches, self.clock)

        def guarded() -> HttpResponse:
            return self._guarded(heard, honest)

        answer = guarded() if fault is None else struck(fault, guarded, self._worded)
        ignored = rules.ignored(route, parameters) if answer.status == 200 else frozenset()
        broken += [f"{name}: unknown parameter, ignored" for name in sorted(ignored)]
        self._record.add(Asked(api, route, pairs, answer.status, ignored, tuple(broken), fault is not None))
        return answer

    def _guarded(self, heard: HttpRequest, make: Callable[[], HttpResponse]) -> HttpResponse:
        """A fault of ours is an answer too, and is told to whoever runs the server."""
        try:
            return make()
        except Exception:
            if not self._closed:
                logger.exception("the sandbox failed at %s", heard.target)
            return self._worded(500)

    def _worded(self, status: int) -> HttpResponse:
        return error_responses.worded(status, self.switches)

    def _usual(self) -> dict[str, str]:
        """The headers of every answer: its own clock, and whether it counts."""
        date = {"Date": dated(int(self.clock.timestamp()))}
        return date if self.limits else date | {"X-Sandbox-Limits": "off"}

    def _dispatch(
        self, heard: HttpRequest, api: str, route: str, parameters: Parameters, pairs: tuple[tuple[str, str], ...]
    ) -> HttpResponse:
        if heard.method != "GET":
            raise Refused(405, "Method Not Allowed", f"{heard.method}: only GET is allowed")
        api_key = heard.headers.get("x-api-key", "").strip()
        rights = self.keys.get(api_key)
        if rights is None:
            raise unauthorized("X-API-KEY: missing, or no key of this server")
        self._limiter.count(api_key)
        caller = Caller(self._nanoseconds(), rights, self.switches.late)
        prefers_csv = api == ANALYTICS and _prefers_csv(heard.headers.get("accept"))
        revised = self._revisions.until(caller.now)
        key = (api, route, pairs, prefers_csv, rights, caller.today, revised)
        kept = self._memory.get(key)
        if kept is not None:
            return kept
        answer = self._made(api, route, parameters, View(self._market, caller, self.switches, revised), prefers_csv)
        is_settled = api == REFERENCE or _is_settled(route, parameters, caller)
        return self._memory.keep(key, answer) if is_settled else answer

    def _made(self, api: str, route: str, parameters: Parameters, view: View, prefers_csv: bool) -> HttpResponse:
        if api == ANALYTICS and route in _ANALYTICS:
            body = self._maker.submit(self._body, route, parameters, view, prefers_csv).result()
            # guide p. 37 has CSV for the Analytics API
            kind = "text/csv" if prefers_csv else "application/json"
            return HttpResponse(200, body if isinstance(body, bytes) else self._in_turn(body), kind)
        if api == REFERENCE:
            for pattern, act in _REFERENCE:
                if match := pattern.fullmatch(route):
                    ask = Reference(parameters, view.caller.today, self.switches.trading_dates)
                    return HttpResponse(200, act(ask, *match.groups()))
        raise not_found(f"the path {api}{route}")

    def _body(self, route: str, parameters: Parameters, view: View, in_csv: bool) -> bytes | Iterator[bytes]:
        rows = _ANALYTICS[route](parameters, view)
        rows = rows.shuffled() if self.switches.order == "shuffled" else rows
        return rows.csv() if in_csv else rows.json()

    def _in_turn(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces of a long answer, each made when it is wanted."""
        while (piece := self._maker.submit(next, pieces, None).result()) is not None:
            yield piece

    def _nanoseconds(self) -> int:
        return int(self.clock.timestamp()) * NS


def _check(seed: object, volume: object, key: str, keys: Mapping[str, Rights]) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed={seed!r} must be a whole number")
    if isinstance(volume, bool) or not isinstance(volume, int) or volume < 1:
        raise ValueError(f"volume={volume!r} must be a whole number from 1 on")
    wrong = [name for name, rights in keys.items() if not isinstance(rights, Rights)]
    if wrong:
        raise ValueError(f"keys[{wrong[0]!r}]={keys[wrong[0]]!r} must be Rights(...)")
    if key not in keys:
        raise ValueError(f"key={key!r} is none of {', '.join(map(repr, keys)) or 'the keys, of which there are none'}")


_ANALYTICS: dict[str, Callable[[Parameters, View], Payload]] = {
    "/trades": tape.trades,
    "/trades/private": tape.private,
    "/trades/last": tape.last,
    "/trades/ohlcv": candles.candles,
    "/trades/activity": activity.activity,
    "/orders/book/top": books.tops,
    "/orders/book": books.books,
    "/snapshots": snapshots.snapshots,
}

_NUMBER = "([0-9]{1,18})"
_REFERENCE: tuple[tuple[re.Pattern[str], Callable[..., bytes]], ...] = (
    (re.compile("/(instrument|market)s"), reference_data.products),
    (re.compile(f"/(instrument|market)s/{_NUMBER}"), reference_data.product),
    (re.compile(f"/(instrument|market)s/{_NUMBER}/sequences"), reference_data.sequences),
    (re.compile(f"/sequences/{_NUMBER}/sequenceItems"), reference_data.sequence_items),
    (re.compile(f"/sequences/{_NUMBER}/sequenceItems/{_NUMBER}"), reference_data.sequence_item),
)


def _pairs(query: str) -> tuple[tuple[str, str], ...]:
    """The parameters; each name and value is held once, whoever sends it again."""
    return tuple((intern(name), intern(value)) for name, value in parse_qsl(query, keep_blank_values=True))


def _is_settled(route: str, parameters: Parameters, caller: Caller) -> bool:
    """Does an answered question end so long ago that its answer is the same later on?"""
    name = "until" if "until" in PATHS[route].parameters else "at"
    end = parameters.one(name)
    return end is not None and moment(name, end) <= caller.known - _SETTLED


def _prefers_csv(accept: str | None) -> bool:
    kinds = liked(accept or "")
    before = kinds[: kinds.index("text/csv")] if "text/csv" in kinds else kinds
    return "text/csv" in kinds and not {"application/json", "application/*", "*/*"} & set(before)


def _split(path: str) -> tuple[str, str]:
    """The prefix that tells the two APIs apart, and the path below it; a whole URL is taken for its path."""
    decoded = unquote(re.sub(r"^https?://[^/]*", "", path))
    for prefix in (ANALYTICS, REFERENCE):
        if decoded == prefix or decoded.startswith(prefix + "/"):
            return prefix, decoded.removeprefix(prefix)
    return "", decoded
