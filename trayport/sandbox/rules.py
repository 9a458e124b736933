"""The API's rules for requests to the Analytics API: values and ranges of parameters, and the resulting refusals.

Nothing here comes from the client's own table, so that an error in either fails a test. Page numbers refer to the API
guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import re
from fractions import Fraction

from attrs import evolve, frozen

from . import subjects
from .keys import Caller, Route
from .parameters import DAY, HOUR, MINUTE, NS, Parameters, bad_request, date_at, forbidden, midnight, moment
from .paths import PATHS, TRADE_FIELDS, Path
from .subjects import Subject
from .universe import Product, Sequence

# guide pp. 8-9
_DEFAULT_DEPTH = 10
# Larger than any range, and small enough for nanoseconds in 64 bits.
_MAX_INTERVALS = 1_000_000


@frozen
class RowOptions:
    """Routes and optional fields of the rows of a response."""

    routes: tuple[Route, ...]
    """Requested routes; empty if the request names none."""
    default: tuple[Route, ...]
    """The key's route with the lowest id, used if the request names none."""
    deduplicate: bool
    fields: tuple[str, ...]

    @property
    def selected_routes(self) -> tuple[Route, ...]:
        """The requested routes, or the default."""
        return self.routes or self.default

    @property
    def has_route_name(self) -> bool:
        """True if rows contain the name of the route, which is also the case if routes are requested (guide p. 31)."""
        return bool(self.routes) or "route" in self.fields


# --- trades ------------------------------------------------------------------------------------------------------


@frozen
class TradesRequest:
    """A request for trades."""

    subject: Subject
    start: int
    until: int
    include_private: bool
    options: RowOptions


def trades(parameters: Parameters, caller: Caller) -> TradesRequest:
    """Parse a request to ``/trades``."""
    start, until = _range(parameters, PATHS["/trades"])
    caller.check("until", until)
    return TradesRequest(
        subjects.subject(parameters, start, until, caller),
        start,
        until,
        parameters.flag("includePrivate", False) and caller.rights.private,
        _row_options(parameters, TRADE_FIELDS, caller),
    )


@frozen
class PrivateTradesRequest:
    """A request for own trades: of one contract, or of all contracts of a product, a sequence, both or neither."""

    subject: Subject | None
    product: Product | None
    sequence: Sequence | None
    start: int
    until: int
    options: RowOptions


def private_trades(parameters: Parameters, caller: Caller) -> PrivateTradesRequest:
    """Parse a request to ``/trades/private``; the current day needs no entitlement (guide p. 22)."""
    if not caller.rights.private:
        raise forbidden("the key is not entitled to private trades")
    start, until = _range(parameters, PATHS["/trades/private"])
    subject = subjects.one_contract(parameters, caller) if subjects.has_contract(parameters) else None
    product, sequence = (
        subjects.product_and_sequence(parameters, caller) if subject is None else (subject.product, subject.sequence)
    )
    return PrivateTradesRequest(
        subject, product, sequence, start, until, _row_options(parameters, TRADE_FIELDS, caller)
    )


@frozen
class LastTradeRequest:
    """A request for the last trade before a time."""

    subject: Subject
    at: int
    fields: tuple[str, ...]


def last_trade(parameters: Parameters, caller: Caller) -> LastTradeRequest:
    """Parse a request to ``/trades/last``."""
    path = PATHS["/trades/last"]
    return LastTradeRequest(
        subjects.one_contract(parameters, caller), _at(parameters, caller, path), _fields(parameters, path.fields)
    )


@frozen
class SnapshotsRequest:
    """A request for snapshots of some contracts at a time."""

    subject: Subject
    at: int


def snapshots(parameters: Parameters, caller: Caller) -> SnapshotsRequest:
    """Parse a request to ``/snapshots``; the time is rounded down to a whole minute (guide p. 24)."""
    at = _at(parameters, caller, PATHS["/snapshots"])
    return SnapshotsRequest(subjects.subject(parameters, at, at + 1, caller), at)


@frozen
class ActivityRequest:
    """A request for the activity of all contracts."""

    start: int
    until: int
    options: RowOptions


def activity(parameters: Parameters, caller: Caller) -> ActivityRequest:
    """Parse a request to ``/trades/activity``; seconds are ignored (guide p. 19)."""
    path = PATHS["/trades/activity"]
    start, until = _range(parameters, path)
    if path.since and start < midnight(path.since):
        raise bad_request({"from": [f"Must not be before {path.since}."]})
    caller.check("until", until)
    fields = _fields(parameters, path.fields)
    return ActivityRequest(start, until, RowOptions(_routes(parameters, caller), caller.routes[:1], True, fields))


# --- candles -----------------------------------------------------------------------------------------------------

# guide p. 16: nanoseconds and allowed counts of each unit; months differ in length
_CANDLES = {
    "minute": (MINUTE, (1, 5, 15, 30)),
    "hour": (HOUR, (1, 4)),
    "day": (DAY, (1, 7)),
    "month": (None, (1,)),
}
# Weeks begin on Monday (assumed, not documented); 1 January 1970 was a Thursday.
_MONDAY = 4 * DAY


@frozen
class CandlesRequest:
    """A request for candles; ``step`` is the width of a candle in nanoseconds, None for a month."""

    subject: Subject
    start: int
    until: int
    step: int | None
    include_empty: bool
    fields: tuple[str, ...]


def candles(parameters: Parameters, caller: Caller) -> CandlesRequest:
    """Parse a request to ``/trades/ohlcv``."""
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
        subjects.one_contract(parameters, caller),
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
    """A request for order books."""

    subject: Subject
    start: int
    until: int
    step: int
    include_empty: bool
    options: RowOptions
    depth: int = 1
    max_spread: tuple[int, int] | None = None
    """Percentage as numerator and denominator."""
    include_private: bool = False


def tops(parameters: Parameters, caller: Caller) -> BooksRequest:
    """Parse a request to ``/orders/book/top``."""
    if not caller.rights.books:
        raise forbidden("the key is not entitled to order books")
    count, unit = _interval(parameters, tuple(_BOOKS))
    path = PATHS["/orders/book/top"]
    start, until = _range(parameters, path)
    step = count * _BOOKS[unit]
    if path.points and until - start > path.points * step:
        raise bad_request({"until": [f"Maximum number of points is {path.points}."]})
    caller.check("until", until)
    return BooksRequest(
        subjects.one_contract(parameters, caller),
        start,
        until,
        step,
        parameters.flag("includeEmptyBuckets", False),
        _row_options(parameters, path.fields, caller),
    )


def books(parameters: Parameters, caller: Caller) -> BooksRequest:
    """Parse a request to ``/orders/book``."""
    request = tops(parameters, caller)
    depth = parameters.number("depth")
    if depth is not None and depth < 1:
        raise bad_request({"depth": ["Must be at least 1."]})
    return evolve(
        request,
        depth=_DEFAULT_DEPTH if depth is None else depth,
        max_spread=_percent(parameters, "maxSpread"),
        include_private=parameters.flag("includePrivate", False) and caller.rights.private,
    )


# A larger percentage includes every order; more digits would not fit into 64 bits.
_MAX_PERCENT = Fraction(10**6)
_DECIMAL = re.compile(r"\+?(\d{0,9}\.?\d{0,9})(?:e([+-]?\d))?", re.ASCII | re.IGNORECASE)


def _percent(parameters: Parameters, name: str) -> tuple[int, int] | None:
    value = parameters.one(name)
    if value is None:
        return None
    try:
        if _DECIMAL.fullmatch(value) is None:
            raise ValueError
        return min(Fraction(value).limit_denominator(10**4), _MAX_PERCENT).as_integer_ratio()
    except ValueError:
        raise bad_request({name: [f"The value '{value}' is not valid."]}) from None


# --- shared parameters ----------------------------------------------------------------------------------


def _range(parameters: Parameters, path: Path) -> tuple[int, int]:
    """Return from and until, rounded down to the path's resolution, and check the range."""
    parameters.required("from", "until")
    start, until = (_moment(parameters, name) // path.resolution * path.resolution for name in ("from", "until"))
    if until < start:
        raise bad_request({"until": ["Must not be before from."]})
    if path.days and until - start > path.days * DAY:
        raise bad_request({"until": [f"Maximum query range is {path.days} days."]})
    return start, until


def _moment(parameters: Parameters, name: str) -> int:
    return moment(name, parameters.one(name) or "")


def _at(parameters: Parameters, caller: Caller, path: Path) -> int:
    """Return the parameter ``at``; without it, the end of the range that the key may request (guide pp. 19, 24)."""
    at = caller.horizon if parameters.one("at") is None else _moment(parameters, "at")
    at -= at % path.resolution
    caller.check("at", at)
    return at


def _interval(parameters: Parameters, units: tuple[str, ...]) -> tuple[int, str]:
    parameters.required("interval", "intervalUnit")
    unit = (parameters.one("intervalUnit") or "").lower()
    if unit not in units:
        raise bad_request({"intervalUnit": [f"Must be one of {', '.join(units)}."]})
    count = parameters.number("interval") or 0
    if not 1 <= count <= _MAX_INTERVALS:
        raise bad_request({"interval": [f"Must be between 1 and {_MAX_INTERVALS}."]})
    return count, unit


def _row_options(parameters: Parameters, allowed: tuple[str, ...], caller: Caller) -> RowOptions:
    routes, deduplicate = _routes(parameters, caller), parameters.flag("deduplicateRoutes", True)
    return RowOptions(routes, caller.routes[:1], deduplicate, _fields(parameters, allowed))


def _routes(parameters: Parameters, caller: Caller) -> tuple[Route, ...]:
    values = parameters.all("routes")
    if any(name.lower() == "all" for name in values):
        return caller.routes
    names = {text: route for route in caller.routes for text in (str(route[0]), route[1].lower())}
    unknown = [name for name in values if name.lower() not in names]
    if unknown:
        raise bad_request({"routes": [f"The value '{unknown[0]}' is not valid."]})
    return tuple(sorted({names[name.lower()] for name in values}))


def _fields(parameters: Parameters, allowed: tuple[str, ...]) -> tuple[str, ...]:
    spellings = {name.lower(): name for name in allowed}
    values = parameters.all("optionalFields")
    unknown = [name for name in values if name.lower() not in spellings]
    if unknown:
        raise bad_request({"optionalFields": [f"The value '{unknown[0]}' is not valid."]})
    chosen = {spellings[name.lower()] for name in values}
    return tuple(name for name in allowed if name in chosen)


# --- reference data ----------------------------------------------------------------------------------------------


@frozen
class ItemsRequest:
    """A request for items of a sequence: their number, and the day after which their delivery ends."""

    count: int
    since: datetime.date


def sequence_items(parameters: Parameters, today: datetime.date) -> ItemsRequest:
    """Parse a request for sequence items; a time and a zone in startDate are ignored (guide p. 36)."""
    count = parameters.number("count")
    if count is not None and count < 1:
        raise bad_request({"count": ["Must be at least 1."]})
    text = parameters.one("startDate")
    if text is None:
        return ItemsRequest(100 if count is None else count, today)
    since = date_at(moment("startDate", text.upper().partition("T")[0]))
    return ItemsRequest(100 if count is None else count, since)
