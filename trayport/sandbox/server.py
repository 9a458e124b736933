"""The sandbox: both APIs over HTTP on the loopback interface, with keys, rate limits and faults.

Page numbers refer to the API guide, see docs/sources.md.
"""

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
from . import activity, candles, error_responses, order_books, paths, reference_data, revisions, snapshots, tape
from .compression import accepted_values
from .fault_injection import Fault, Script, inject
from .keys import KEY, KEYS, Caller, Rights
from .listener import HttpRequest, HttpResponse, Listener, http_date
from .model import SimulatedMarket
from .page import page
from .parameters import NS, Parameters, Refused, not_found, unauthorized
from .payload import Payload
from .record import Asked, Record, Violation
from .reference_data import ReferenceRequest
from .revisions import Revisions
from .switches import Switches
from .throttle import Throttle
from .view import View

__all__ = ["Asked", "Sandbox", "Violation"]

logger = _redact.logger(__name__)

ANALYTICS = "/api"
REFERENCE = "/reference"

# The simulated market begins in 2010, and no delivery period is listed after 2089.
_YEARS = range(2010, 2090)
_FIRST, _LAST = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (_YEARS.start, _YEARS.stop))


class Sandbox:
    """A server for both APIs on a loopback port, with simulated data.

    >>> with Sandbox() as sandbox:
    ...     sandbox.analytics_url
    'http://127.0.0.1:.../api'

    Parameters
    ----------
    port : int, default 0
        The port to listen on; 0 for any free one.
    seed : int, default 1
        Seed of the simulated market. The same seed gives the same bytes on every computer.
    volume : int, default 1
        Factor for the number of trades. 10 gives about nine thousand trades a day in the front gas month.
    limits : bool, default True
        If True, more than 8 requests a second or 480 a minute of one key are answered with 429. If False, every
        response has the header ``X-Sandbox-Limits: off``.
    key : str, default "sandbox-key"
        The key in ``settings``.
    keys : Mapping of str to Rights
        All known keys with their entitlements. The default has ``"sandbox-key"``, entitled to all but the current
        day, ``"sandbox-intraday"``, entitled to all, and ``"sandbox-basic"``, without own trades, order books, one of
        the two routes, EUA and NBP.
    now : datetime, optional
        Fixed time of the server's clock, UTC if naive; the computer's clock by default.
    faults : iterable of Fault, optional
        Failures to inject.
    monotonic : callable, default time.monotonic
        Clock of the rate limits, in seconds.
    **switches
        Readings of points that the guide leaves open, such as ``until="inclusive"``: see ``Switches``.

    Raises
    ------
    ValueError
        A value that is not allowed.
    OSError
        The port is in use.
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
        self._throttle = Throttle(limits, self.switches.sustained, monotonic)
        self._script = Script(faults)
        self._record = Record()
        self._revisions = Revisions()
        self._is_closed = False
        # One thread makes all bodies: several would need several times the memory, and the GIL would make none faster.
        self._maker = ThreadPoolExecutor(1, "trayport-sandbox-maker")
        self._server = Listener(port, self.respond, self._common_headers)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="trayport-sandbox", daemon=True
        )
        self._thread.start()

    # --- for users -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime.datetime | None:
        """Fixed time of the server's clock; None if it follows the computer's clock."""
        return self._now

    @now.setter
    def now(self, moment: datetime.datetime | None) -> None:
        if moment is not None and not isinstance(moment, datetime.datetime):
            raise ValueError(f"now={moment!r} must be a datetime, or None for the computer's clock")
        if moment is not None and moment.year not in _YEARS:
            raise ValueError(f"now={moment} must lie in the years {_YEARS.start} to {_YEARS.stop - 1}")
        self._now = moment

    @property
    def clock(self) -> datetime.datetime:
        """Current time of the server's clock in UTC, with the jumps of faults."""
        now = self._now or datetime.datetime.now(datetime.UTC)
        now = now.astimezone(datetime.UTC) if now.tzinfo else now.replace(tzinfo=datetime.UTC)
        return min(max(now + datetime.timedelta(seconds=self.jumped), _FIRST), _LAST)

    @property
    def jumped(self) -> float:
        """Seconds by which faults have moved the server's clock."""
        return self._script.clock

    @property
    def url(self) -> str:
        """Address of the server, such as ``http://127.0.0.1:8585``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def analytics_url(self) -> str:
        """Base URL of the Analytics API."""
        return self.url + ANALYTICS

    @property
    def reference_url(self) -> str:
        """Base URL of the Reference Data API."""
        return self.url + REFERENCE

    @property
    def asked(self) -> list[Asked]:
        """Requests since the start, in the order of the responses; after about 60,000, the older half is dropped."""
        return list(self._record.asked)

    @property
    def answered(self) -> int:
        """Number of requests since the start."""
        return self._record.count

    @property
    def violations(self) -> list[Violation]:
        """Rules of the API that requests broke, unknown parameters included, in the order of the responses."""
        return self._record.violations

    @property
    def connections(self) -> tuple[int, int]:
        """Number of connections opened since the start, and number of connections open now."""
        return self._server.accepted, self._server.open

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a ``Config`` that connects a client to this server: the key and both base URLs."""
        return {"api_key": self.key, "analytics_url": self.analytics_url, "reference_url": self.reference_url}

    def revise(
        self,
        venue_code: str,
        trade_id: str,
        *,
        price: float | Decimal | None = None,
        quantity: float | Decimal | None = None,
    ) -> None:
        """Amend a trade, or delete it if neither a price nor a quantity is given.

        All later responses contain the change, and ``/trades/activity`` counts it.

        >>> import trayport as tp
        >>> from trayport.testing import sandboxed
        >>> with sandboxed() as sandbox:
        ...     before = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
        ...     sandbox.revise(before["venue_code"].iloc[0], before["trade_id"].iloc[0])
        ...     len(before) - len(tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06"))
        1

        Parameters
        ----------
        venue_code, trade_id : str
            The trade, as a response of this sandbox names it.
        price, quantity : float or Decimal, optional
            The new values, with at most three decimals.

        Raises
        ------
        ValueError
            There is no such trade, or the price or quantity is not allowed.
        """
        self._maker.submit(self._revise, venue_code, trade_id, price, quantity).result()

    def _revise(
        self, venue_code: str, trade_id: str, price: float | Decimal | None, quantity: float | Decimal | None
    ) -> None:
        before, at = self._revisions, self._nanoseconds()
        revision = revisions.revision_of(self._market, before, venue_code, trade_id, at, price, quantity)
        self._revisions = before.followed_by(revision)

    def close(self) -> None:
        """Stop listening and close all connections."""
        self._is_closed = True
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        self._maker.shutdown(cancel_futures=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- for the listener ----------------------------------------------------------------------------------------

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Return the response to a request and record it."""
        target, _, query = request.target.partition("?")
        api, route = _split(target)
        if api == "" and route == "/" and request.method == "GET":
            return self._guarded(request, lambda: HttpResponse(200, page(self).encode(), "text/html"))
        parameters = Parameters(_pairs(query))
        fault = self._script.next_fault(route)
        broken: list[str] = []

        def regular() -> HttpResponse:
            try:
                return self._dispatch(request, api, route, parameters)
            except Refused as refused:
                broken.append(refused.rule)
                return error_responses.response_to(refused, self.switches, self.clock)

        def guarded() -> HttpResponse:
            return self._guarded(request, regular)

        response = guarded() if fault is None else inject(fault, guarded, self._error_response)
        ignored = paths.ignored(route, parameters) if response.status == 200 else frozenset()
        broken += [f"{name}: unknown parameter, ignored" for name in sorted(ignored)]
        self._record.add(
            Asked(api, route, parameters.pairs, response.status, ignored, tuple(broken), fault is not None)
        )
        return response

    def _guarded(self, request: HttpRequest, make: Callable[[], HttpResponse]) -> HttpResponse:
        """Return the response that ``make`` makes; an error of the sandbox itself is logged and becomes a 500."""
        try:
            return make()
        except Exception:
            if not self._is_closed:
                logger.exception("the sandbox failed at %s", request.target)
            return self._error_response(500)

    def _error_response(self, status: int) -> HttpResponse:
        return error_responses.with_status(status, self.switches)

    def _common_headers(self) -> dict[str, str]:
        """Return the headers of every response: the server's own time, and whether its rate limits are off."""
        date = {"Date": http_date(int(self.clock.timestamp()))}
        return date if self.limits else date | {"X-Sandbox-Limits": "off"}

    def _dispatch(self, request: HttpRequest, api: str, route: str, parameters: Parameters) -> HttpResponse:
        if request.method != "GET":
            raise Refused(405, "Method Not Allowed", f"{request.method}: only GET is allowed")
        api_key = request.headers.get("x-api-key", "").strip()
        rights = self.keys.get(api_key)
        if rights is None:
            raise unauthorized("X-API-KEY: missing, or no key of this server")
        self._throttle.count(api_key)
        caller = Caller(self._nanoseconds(), rights, self.switches.late)
        view = View(self._market, caller, self.switches, self._revisions.until(caller.now))
        # guide p. 37: CSV exists for the Analytics API only
        prefers_csv = api == ANALYTICS and _prefers_csv(request.headers.get("accept"))
        return self._make(api, route, parameters, view, prefers_csv)

    def _make(self, api: str, route: str, parameters: Parameters, view: View, prefers_csv: bool) -> HttpResponse:
        if api == ANALYTICS and route in _ANALYTICS:
            body = self._maker.submit(self._body, route, parameters, view, prefers_csv).result()
            kind = "text/csv" if prefers_csv else "application/json"
            return HttpResponse(200, body if isinstance(body, bytes) else self._pieces(body), kind)
        if api == REFERENCE:
            for pattern, make in _REFERENCE:
                if match := pattern.fullmatch(route):
                    asked = ReferenceRequest(parameters, view.caller.today, self.switches.trading_dates)
                    return HttpResponse(200, make(asked, *match.groups()))
        raise not_found(f"the path {api}{route}")

    def _body(self, route: str, parameters: Parameters, view: View, in_csv: bool) -> bytes | Iterator[bytes]:
        payload = _ANALYTICS[route](parameters, view)
        payload = payload.shuffled() if self.switches.order == "shuffled" else payload
        return payload.csv() if in_csv else payload.json()

    def _pieces(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces of a long body; each is made by the maker's thread when it is needed."""
        while (piece := self._maker.submit(next, pieces, None).result()) is not None:
            yield piece

    def _nanoseconds(self) -> int:
        return int(self.clock.timestamp()) * NS


def _check(seed: object, volume: object, key: str, keys: Mapping[str, Rights]) -> None:
    """Raise ValueError for an argument of ``Sandbox`` that is not allowed."""
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
    "/trades/private": tape.private_trades,
    "/trades/last": tape.last_trade,
    "/trades/ohlcv": candles.candles,
    "/trades/activity": activity.activity,
    "/orders/book/top": order_books.tops,
    "/orders/book": order_books.books,
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
    """Return the parameters of a query string; interned, since the record holds the same texts many times."""
    return tuple((intern(name), intern(value)) for name, value in parse_qsl(query, keep_blank_values=True))


def _prefers_csv(accept: str | None) -> bool:
    kinds = accepted_values(accept or "")
    before = kinds[: kinds.index("text/csv")] if "text/csv" in kinds else kinds
    return "text/csv" in kinds and not {"application/json", "application/*", "*/*"} & set(before)


def _split(target: str) -> tuple[str, str]:
    """Return the prefix of the API and the path below it; of an absolute URL, only the path counts."""
    decoded = unquote(re.sub(r"^https?://[^/]*", "", target))
    for prefix in (ANALYTICS, REFERENCE):
        if decoded == prefix or decoded.startswith(prefix + "/"):
            return prefix, decoded.removeprefix(prefix)
    return "", decoded
