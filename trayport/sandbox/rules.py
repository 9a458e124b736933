"""The API's rules, transcribed once more from the guide: what a request must be, and how it is refused.

Nothing here comes from the client's own table, so that a slip in the one shows against the other.
"""

from __future__ import annotations

import datetime
import re
from fractions import Fraction

from attrs import evolve, frozen

from . import subjects
from .keys import Caller, Route
from .parameters import DAY, HOUR, MINUTE, NS, Parameters, bad_request, date_at, forbidden, midnight, moment
from .subjects import Subject
from .universe import Product, Sequence

_PRODUCT = ("instrumentId", "marketId", "sequenceId")
_ONE = (*_PRODUCT, "sequenceItemId", "secondSequenceItemId", "contractType")
_SEVERAL = (*_ONE, "tradingItems")
_ROUTES = ("routes", "deduplicateRoutes")
_TRADE_FIELDS = (
    "contract",
    "route",
    "routeId",
    "fromBrokenSpread",
    "initiatorOwnedSpread",
    "aggressorOwnedSpread",
    "aggressorSleeve",
    "initiatorSleeve",
)
_BOOK_FIELDS = ("route", "routeId", "venueCode")


@frozen
class Path:
    """What the guide says of one path: parameters beside optionalFields, the values of that, and the limits."""

    parameters: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    days: int | None = None
    """The widest range."""
    long_days: int | None = None
    """The widest range of intervals from a day up."""
    points: int | None = None
    items: int = 1
    grain: int = NS
    """What its times are cut to."""
    since: datetime.date | None = None

    @property
    def names(self) -> frozenset[str]:
        """Every parameter, in small letters."""
        more = ("optionalFields",) if self.fields else ()
        return frozenset(name.lower() for name in (*self.parameters, *more))


_RANGE = ("from", "until")
_GRID = (*_RANGE, "interval", "intervalUnit", "includeEmptyBuckets")
PATHS: dict[str, Path] = {
    # guide pp. 12-13
    "/trades": Path((*_RANGE, *_SEVERAL, "includePrivate", *_ROUTES), _TRADE_FIELDS, days=32, items=50),
    # guide pp. 21-22
    "/trades/private": Path((*_RANGE, *_ONE, *_ROUTES), _TRADE_FIELDS, days=32),
    # guide pp. 16-17
    "/trades/ohlcv": Path((*_GRID, *_ONE), ("vwap", "openTimestamp", "closeTimestamp"), days=92, long_days=1827),
    # guide pp. 18-19
    "/trades/last": Path(("at", *_ONE), ("contract",)),
    # guide pp. 19-20
    "/trades/activity": Path(
        (*_RANGE, "routes"),
        ("route", "routeId", "marketId", "updateCount", "deleteCount"),
        days=7,
        grain=MINUTE,
        since=datetime.date(2023, 4, 10),
    ),
    # guide pp. 6-7
    "/orders/book/top": Path((*_GRID, *_ONE, *_ROUTES), _BOOK_FIELDS, days=60, points=100_000),
    # guide pp. 8-9
    "/orders/book": Path(
        (*_GRID, *_ONE, "depth", "maxSpread", "includePrivate", *_ROUTES), _BOOK_FIELDS, days=60, points=100_000
    ),
    # guide p. 24
    "/snapshots": Path(("at", *_SEVERAL), items=50, grain=MINUTE),
}
"""The paths of the Analytics API, transcribed once more from the guide."""

# guide p. 36
ITEMS = Path(("count", "startDate"))
"""``/sequences/{id}/sequenceItems``, of the Reference Data API, where no other path takes parameters."""
_DEPTH = 10


def ignored(path: str, parameters: Parameters) -> frozenset[str]:
    """The parameters that a path does not know; it drops them without a word (guide p. 37)."""
    known = ITEMS if path.endswith("/sequenceItems") else PATHS.get(path, Path())
    return parameters.names - known.names


@frozen
class Shown:
    """Which routes' rows a question wants to see, and with which optional fields."""

    routes: tuple[Route, ...]
    """Empty unless asked for."""
    default: tuple[Route, ...]
    """What counts then: the key's route with the lowest id."""
    deduplicate: bool
    fields: tuple[str, ...]

    @property
    def wanted(self) -> tuple[Route, ...]:
        """The routes that count."""
        return self.routes or self.default

    @property
    def with_name(self) -> bool:
        """Is a route's name shown? It comes by itself when routes were asked for (guide p. 31)."""
        return bool(self.routes) or "route" in self.fields


# --- trades ------------------------------------------------------------------------------------------------------


@frozen
class TradesRequest:
    """A question about trades, as the server understands it."""

    subject: Subject
    start: int
    until: int
    include_private: bool
    shown: Shown


def trades(parameters: Parameters, caller: Caller) -> TradesRequest:
    """``/trades``."""
    start, until = _range(parameters, PATHS["/trades"])
    caller.check("until", until)
    return TradesRequest(
        subjects.subject(parameters, start, until, caller),
        start,
        until,
        parameters.flag("includePrivate", False) and caller.rights.private,
        _shown(parameters, _TRADE_FIELDS, caller),
    )


@frozen
class PrivateTradesRequest:
    """A question about one's own trades: of one contract, or of all of a product, a sequence, both or neither."""

    subject: Subject | None
    product: Product | None
    sequence: Sequence | None
    start: int
    until: int
    shown: Shown


def private(parameters: Parameters, caller: Caller) -> PrivateTradesRequest:
    """``/trades/private``; today's are seen without the right to today (guide p. 22)."""
    if not caller.rights.private:
        raise forbidden("the key has no right to private trades")
    start, until = _range(parameters, PATHS["/trades/private"])
    subject = subjects.one(parameters, caller) if subjects.is_pinned(parameters) else None
    product, sequence = subjects.part(parameters, caller) if subject is None else (subject.product, subject.sequence)
    return PrivateTradesRequest(subject, product, sequence, start, until, _shown(parameters, _TRADE_FIELDS, caller))


@frozen
class LastTradeRequest:
    """A question about the last trade before a moment."""

    subject: Subject
    at: int
    fields: tuple[str, ...]


def last(parameters: Parameters, caller: Caller) -> LastTradeRequest:
    """``/trades/last``."""
    path = PATHS["/trades/last"]
    return LastTradeRequest(
        subjects.one(parameters, caller), _at(parameters, caller, path), _fields(parameters, path.fields)
    )


@frozen
class SnapshotsRequest:
    """A question about some contracts at a moment."""

    subject: Subject
    at: int


def snapshots(parameters: Parameters, caller: Caller) -> SnapshotsRequest:
    """``/snapshots``; seconds are cut off, since only whole minutes are known (guide p. 24)."""
    at = _at(parameters, caller, PATHS["/snapshots"])
    return SnapshotsRequest(subjects.subject(parameters, at, at + 1, caller), at)


@frozen
class ActivityRequest:
    """A question about what traded at all."""

    start: int
    until: int
    shown: Shown


def activity(parameters: Parameters, caller: Caller) -> ActivityRequest:
    """``/trades/activity``; seconds are ignored (guide p. 19)."""
    path = PATHS["/trades/activity"]
    start, until = _range(parameters, path)
    if path.since and start < midnight(path.since):
        raise bad_request({"from": [f"Must not be before {path.since}."]})
    caller.check("until", until)
    fields = _fields(parameters, path.fields)
    return ActivityRequest(start, until, Shown(_routes(parameters, caller), caller.routes[:1], True, fields))


# --- candles -----------------------------------------------------------------------------------------------------

# guide p. 16; a month has no length in nanoseconds
_CANDLES = {
    "minute": (MINUTE, (1, 5, 15, 30)),
    "hour": (HOUR, (1, 4)),
    "day": (DAY, (1, 7)),
    "month": (None, (1,)),
}
# Where weeks begin: 1970 began on a Thursday, they on a Monday (assumed; the guide does not say).
_MONDAY = 4 * DAY


@frozen
class CandlesRequest:
    """A question about candles; ``step`` is the width of one in nanoseconds, None for a month."""

    subject: Subject
    start: int
    until: int
    step: int | None
    include_empty: bool
    fields: tuple[str, ...]


def candles(parameters: Parameters, caller: Caller) -> CandlesRequest:
    """``/trades/ohlcv``."""
    count, unit = _interval(parameters, tuple(_CANDLES))
    width, counts = _CANDLES[unit]
    if count not in counts:
        raise bad_request({"interval": [f"Must be one of {', '.join(map(str, counts))} with the unit {unit}."]})
    step = width and width * count
    path = PATHS["/trades/ohlcv"]
    start, until = _range(parameters, path if step and step < DAY else evolve(path, days=path.long_days))
    for name, edge in (("from", start), ("until", until)):
        if not _is_on_grid(edge, step):
            raise bad_request({name: ["Must be aligned to the interval."]})
    caller.check("until", until)
    return CandlesRequest(
        subjects.one(parameters, caller),
        start,
        until,
        step,
        parameters.flag("includeEmptyBuckets", False),
        _fields(parameters, path.fields),
    )


def _is_on_grid(edge: int, step: int | None) -> bool:
    if step is None:
        return edge % DAY == 0 and date_at(edge).day == 1
    return (edge - (_MONDAY if step == 7 * DAY else 0)) % step == 0


# --- books -------------------------------------------------------------------------------------------------------

_BOOKS = {"second": NS, "minute": MINUTE, "hour": HOUR}


@frozen
class BooksRequest:
    """A question about order books."""

    subject: Subject
    start: int
    until: int
    step: int
    include_empty: bool
    shown: Shown
    depth: int = 1
    max_spread: tuple[int, int] | None = None
    """Per cent, as numerator and denominator."""
    include_private: bool = False


def tops(parameters: Parameters, caller: Caller) -> BooksRequest:
    """``/orders/book/top``."""
    if not caller.rights.books:
        raise forbidden("the key has no right to order books")
    count, unit = _interval(parameters, tuple(_BOOKS))
    path = PATHS["/orders/book/top"]
    start, until = _range(parameters, path)
    step = count * _BOOKS[unit]
    if path.points and until - start > path.points * step:
        raise bad_request({"until": [f"Maximum number of points is {path.points}."]})
    caller.check("until", until)
    return BooksRequest(
        subjects.one(parameters, caller),
        start,
        until,
        step,
        parameters.flag("includeEmptyBuckets", False),
        _shown(parameters, path.fields, caller),
    )


def books(parameters: Parameters, caller: Caller) -> BooksRequest:
    """``/orders/book``."""
    plain = tops(parameters, caller)
    depth = parameters.number("depth")
    if depth is not None and depth < 1:
        raise bad_request({"depth": ["Must be at least 1."]})
    return evolve(
        plain,
        depth=_DEPTH if depth is None else depth,
        max_spread=_percent(parameters, "maxSpread"),
        include_private=parameters.flag("includePrivate", False) and caller.rights.private,
    )


# So many per cent of a price are far from any other; more digits would not fit 64 bits beside it.
_ALL = Fraction(10**6)
_DECIMAL = re.compile(r"\+?(\d{0,9}\.?\d{0,9})(?:e([+-]?\d))?", re.ASCII | re.IGNORECASE)


def _percent(parameters: Parameters, name: str) -> tuple[int, int] | None:
    value = parameters.one(name)
    if value is None:
        return None
    try:
        if _DECIMAL.fullmatch(value) is None:
            raise ValueError
        return min(Fraction(value).limit_denominator(10**4), _ALL).as_integer_ratio()
    except ValueError:
        raise bad_request({name: [f"The value '{value}' is not valid."]}) from None


# --- what several of them share ----------------------------------------------------------------------------------


def _range(parameters: Parameters, path: Path) -> tuple[int, int]:
    """From and until, cut to the grain, not too far apart."""
    parameters.required("from", "until")
    start, until = (_moment(parameters, name) // path.grain * path.grain for name in ("from", "until"))
    if until < start:
        raise bad_request({"until": ["Must not be before from."]})
    if path.days and until - start > path.days * DAY:
        raise bad_request({"until": [f"Maximum query range is {path.days} days."]})
    return start, until


def _moment(parameters: Parameters, name: str) -> int:
    return moment(name, parameters.one(name) or "")


def _at(parameters: Parameters, caller: Caller, path: Path) -> int:
    """The moment that is asked for; the end of what the key may see unless one is given (guide pp. 19, 24)."""
    at = caller.horizon if parameters.one("at") is None else _moment(parameters, "at")
    at -= at % path.grain
    caller.check("at", at)
    return at


def _interval(parameters: Parameters, units: tuple[str, ...]) -> tuple[int, str]:
    parameters.required("interval", "intervalUnit")
    unit = (parameters.one("intervalUnit") or "").lower()
    if unit not in units:
        raise bad_request({"intervalUnit": [f"Must be one of {', '.join(units)}."]})
    count = parameters.number("interval") or 0
    if not 1 <= count <= _MOST_UNITS:
        raise bad_request({"interval": [f"Must be between 1 and {_MOST_UNITS}."]})
    return count, unit


# Far beyond any range, and small enough for 64 bits.
_MOST_UNITS = 1_000_000


def _shown(parameters: Parameters, allowed: tuple[str, ...], caller: Caller) -> Shown:
    routes, deduplicate = _routes(parameters, caller), parameters.flag("deduplicateRoutes", True)
    return Shown(routes, caller.routes[:1], deduplicate, _fields(parameters, allowed))


def _routes(parameters: Parameters, caller: Caller) -> tuple[Route, ...]:
    asked = parameters.all("routes")
    if any(name.lower() == "all" for name in asked):
        return caller.routes
    names = {text: route for route in caller.routes for text in (str(route[0]), route[1].lower())}
    unknown = [name for name in asked if name.lower() not in names]
    if unknown:
        raise bad_request({"routes": [f"The value '{unknown[0]}' is not valid."]})
    return tuple(sorted({names[name.lower()] for name in asked}))


def _fields(parameters: Parameters, allowed: tuple[str, ...]) -> tuple[str, ...]:
    spelled = {name.lower(): name for name in allowed}
    asked = parameters.all("optionalFields")
    unknown = [name for name in asked if name.lower() not in spelled]
    if unknown:
        raise bad_request({"optionalFields": [f"The value '{unknown[0]}' is not valid."]})
    chosen = {spelled[name.lower()] for name in asked}
    return tuple(name for name in allowed if name in chosen)


# --- reference data ----------------------------------------------------------------------------------------------


@frozen
class ItemsRequest:
    """A question about a sequence's items: how many, and from which end of delivery on."""

    count: int
    since: datetime.date


def sequence_items(parameters: Parameters, today: datetime.date) -> ItemsRequest:
    """What a request for items asks for; a time and a zone in startDate are ignored (guide p. 36)."""
    count = parameters.number("count")
    if count is not None and count < 1:
        raise bad_request({"count": ["Must be at least 1."]})
    text = parameters.one("startDate")
    if text is None:
        return ItemsRequest(100 if count is None else count, today)
    since = date_at(moment("startDate", text.upper().partition("T")[0]))
    return ItemsRequest(100 if count is None else count, since)
