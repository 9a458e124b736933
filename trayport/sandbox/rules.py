"""The API's rules, transcribed once more from the guide: what a request must be, and how it is refused.

Nothing here comes from the client's own table, so that a slip in the one shows against the other.
"""

from __future__ import annotations

import datetime
import re
from typing import TypeAlias

from attrs import evolve, frozen

from . import subjects
from .catalogue import Product, Sequence
from .parameters import DAY, NS, Parameters, bad_request, date_at, midnight, moment, unauthorized
from .subjects import Subject

MINUTE = 60 * NS
HOUR = 60 * MINUTE

# guide pp. 6, 12, 16, 19
_TRADES_DAYS = 32
_CANDLES_DAYS, _LONG_CANDLES_DAYS = 92, 1827
_ACTIVITY_DAYS = 7
_ACTIVITY_FROM = datetime.date(2023, 4, 10)
_BOOKS_DAYS, _BOOKS_POINTS = 60, 100_000
_DEPTH = 10

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

Route: TypeAlias = tuple[int, str]
ROUTES: tuple[Route, ...] = ((652, "House"), (904, "Desk"))
"""The routes that there are, by rising id: the first is the one that is shown unless others are asked for."""


@frozen
class Clock:
    """The present moment, in nanoseconds since 1970, and whether the key may see the day that it lies in."""

    now: int
    intraday: bool

    @property
    def today(self) -> datetime.date:
        """The present day in UTC."""
        return date_at(self.now)

    @property
    def horizon(self) -> int:
        """The end of what the key may see."""
        return self.now if self.intraday else midnight(self.today)

    def check(self, end: int) -> None:
        """401 to what reaches into today without the right to it."""
        if end > midnight(self.today) and not self.intraday:
            raise unauthorized()


@frozen
class Shown:
    """Which routes' rows a question wants to see, and with which optional fields."""

    routes: tuple[Route, ...]
    """Empty unless asked for."""
    deduplicate: bool
    fields: tuple[str, ...]

    @property
    def wanted(self) -> tuple[Route, ...]:
        """The routes that count."""
        return self.routes or ROUTES[:1]

    @property
    def with_name(self) -> bool:
        """Is a route's name shown? It comes by itself when routes were asked for (guide p. 31)."""
        return bool(self.routes) or "route" in self.fields


# --- trades ------------------------------------------------------------------------------------------------------


@frozen
class Trades:
    """A question about trades, as the server understands it."""

    subject: Subject
    start: int
    until: int
    include_private: bool
    shown: Shown


def trades(parameters: Parameters, clock: Clock) -> Trades:
    """``/trades``."""
    start, until = _range(parameters, _TRADES_DAYS)
    clock.check(until)
    return Trades(
        subjects.subject(parameters, start, until, clock.today),
        start,
        until,
        parameters.flag("includePrivate", False),
        _shown(parameters, _TRADE_FIELDS),
    )


@frozen
class Private:
    """A question about one's own trades: of one contract, or of all of a product, a sequence, both or neither."""

    subject: Subject | None
    product: Product | None
    sequence: Sequence | None
    start: int
    until: int
    shown: Shown


def private(parameters: Parameters, clock: Clock) -> Private:
    """``/trades/private``; today's are seen without the right to today (guide p. 22)."""
    start, until = _range(parameters, _TRADES_DAYS)
    subject = subjects.one(parameters, clock.today) if subjects.is_pinned(parameters) else None
    product, sequence = subjects.part(parameters) if subject is None else (subject.product, subject.sequence)
    return Private(subject, product, sequence, start, until, _shown(parameters, _TRADE_FIELDS))


@frozen
class Last:
    """A question about the last trade before a moment."""

    subject: Subject
    at: int
    fields: tuple[str, ...]


def last(parameters: Parameters, clock: Clock) -> Last:
    """``/trades/last``."""
    at = _at(parameters, clock, NS)
    return Last(subjects.one(parameters, clock.today), at, _fields(parameters, ("contract",)))


@frozen
class Snapshots:
    """A question about some contracts at a moment."""

    subject: Subject
    at: int


def snapshots(parameters: Parameters, clock: Clock) -> Snapshots:
    """``/snapshots``; seconds are cut off, since only whole minutes are known (guide p. 24)."""
    at = _at(parameters, clock, MINUTE)
    return Snapshots(subjects.subject(parameters, at, at + 1, clock.today), at)


@frozen
class Activity:
    """A question about what traded at all."""

    start: int
    until: int
    shown: Shown


def activity(parameters: Parameters, clock: Clock) -> Activity:
    """``/trades/activity``; seconds are ignored (guide p. 19)."""
    start, until = _range(parameters, _ACTIVITY_DAYS, MINUTE)
    if start < midnight(_ACTIVITY_FROM):
        raise bad_request({"from": [f"Must not be before {_ACTIVITY_FROM}."]})
    clock.check(until)
    fields = _fields(parameters, ("route", "routeId", "marketId", "updateCount", "deleteCount"))
    return Activity(start, until, Shown(_routes(parameters), True, fields))


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
class Candles:
    """A question about candles; ``step`` is the width of one in nanoseconds, None for a month."""

    subject: Subject
    start: int
    until: int
    step: int | None
    include_empty: bool
    fields: tuple[str, ...]


def candles(parameters: Parameters, clock: Clock) -> Candles:
    """``/trades/ohlcv``."""
    count, unit = _interval(parameters, tuple(_CANDLES))
    width, counts = _CANDLES[unit]
    if count not in counts:
        raise bad_request({"interval": [f"Must be one of {', '.join(map(str, counts))} with the unit {unit}."]})
    step = width and width * count
    start, until = _range(parameters, _CANDLES_DAYS if step and step < DAY else _LONG_CANDLES_DAYS)
    for name, edge in (("from", start), ("until", until)):
        if not _is_on_grid(edge, step):
            raise bad_request({name: ["Must be aligned to the interval."]})
    clock.check(until)
    return Candles(
        subjects.one(parameters, clock.today),
        start,
        until,
        step,
        parameters.flag("includeEmptyBuckets", False),
        _fields(parameters, ("vwap", "openTimestamp", "closeTimestamp")),
    )


def _is_on_grid(edge: int, step: int | None) -> bool:
    if step is None:
        return edge % DAY == 0 and date_at(edge).day == 1
    return (edge - (_MONDAY if step == 7 * DAY else 0)) % step == 0


# --- books -------------------------------------------------------------------------------------------------------

_BOOKS = {"second": NS, "minute": MINUTE, "hour": HOUR}


@frozen
class Books:
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


def tops(parameters: Parameters, clock: Clock) -> Books:
    """``/orders/book/top``."""
    count, unit = _interval(parameters, tuple(_BOOKS))
    start, until = _range(parameters, _BOOKS_DAYS)
    step = count * _BOOKS[unit]
    if until - start > _BOOKS_POINTS * step:
        raise bad_request({"until": [f"Maximum number of points is {_BOOKS_POINTS}."]})
    clock.check(until)
    return Books(
        subjects.one(parameters, clock.today),
        start,
        until,
        step,
        parameters.flag("includeEmptyBuckets", False),
        _shown(parameters, ("route", "routeId", "venueCode")),
    )


def books(parameters: Parameters, clock: Clock) -> Books:
    """``/orders/book``."""
    plain = tops(parameters, clock)
    depth = parameters.number("depth")
    if depth is not None and depth < 1:
        raise bad_request({"depth": ["Must be at least 1."]})
    return evolve(
        plain,
        depth=_DEPTH if depth is None else depth,
        max_spread=_percent(parameters, "maxSpread"),
        include_private=parameters.flag("includePrivate", False),
    )


_DECIMAL = re.compile(r"(\d{1,6})(?:\.(\d{1,6}))?", re.ASCII)


def _percent(parameters: Parameters, name: str) -> tuple[int, int] | None:
    value = parameters.one(name)
    if value is None:
        return None
    match = _DECIMAL.fullmatch(value)
    if match is None:
        raise bad_request({name: [f"The value '{value}' is not valid."]})
    return int(match[1] + (match[2] or "").ljust(6, "0")), 10**6


# --- what several of them share ----------------------------------------------------------------------------------


def _range(parameters: Parameters, days: int, grain: int = NS) -> tuple[int, int]:
    """From and until, cut to the grain, at most so many days apart."""
    parameters.required("from", "until")
    start, until = (_moment(parameters, name) // grain * grain for name in ("from", "until"))
    if until < start:
        raise bad_request({"until": ["Must not be before from."]})
    if until - start > days * DAY:
        raise bad_request({"until": [f"Maximum query range is {days} days."]})
    return start, until


def _moment(parameters: Parameters, name: str) -> int:
    return moment(name, parameters.one(name) or "")


def _at(parameters: Parameters, clock: Clock, grain: int) -> int:
    """The moment that is asked for; the end of what the key may see unless one is given (guide pp. 19, 24)."""
    at = clock.horizon if parameters.one("at") is None else _moment(parameters, "at")
    at -= at % grain
    clock.check(at)
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


def _shown(parameters: Parameters, allowed: tuple[str, ...]) -> Shown:
    routes, deduplicate = _routes(parameters), parameters.flag("deduplicateRoutes", True)
    return Shown(routes, deduplicate, _fields(parameters, allowed))


def _routes(parameters: Parameters) -> tuple[Route, ...]:
    asked = parameters.all("routes")
    if any(name.lower() == "all" for name in asked):
        return ROUTES
    names = {text: route for route in ROUTES for text in (str(route[0]), route[1].lower())}
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
class Items:
    """A question about a sequence's items: how many, and from which end of delivery on."""

    count: int
    since: datetime.date


def sequence_items(parameters: Parameters, today: datetime.date) -> Items:
    """What a request for items asks for; a time and a zone in startDate are ignored (guide p. 36)."""
    count = parameters.number("count")
    if count is not None and count < 1:
        raise bad_request({"count": ["Must be at least 1."]})
    text = parameters.one("startDate")
    if text is None:
        return Items(100 if count is None else count, today)
    moment("startDate", text)  # refuses what is no time, though only its date counts
    since = date_at(moment("startDate", text.upper().partition("T")[0]))
    return Items(100 if count is None else count, since)
