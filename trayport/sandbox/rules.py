"""The API's rules, transcribed once more from the guide: what a request must be, and how it is refused.

Nothing here comes from the client's own table, so that a slip in the one shows against the other.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from attrs import frozen

from . import catalogue
from .catalogue import Item, Product, Sequence
from .dice import key

NS = 1_000_000_000
_DAY = 86_400 * NS

# guide pp. 12, 28, 30
_RANGE_DAYS = 32
_MOST_ITEMS = 50
_KINDS: dict[str, Literal["single", "spread", "range"]] = {
    "singleperiod": "single",
    "spread": "spread",
    "periodspread": "spread",
    "range": "range",
    "periodrange": "range",
}
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


class Refused(Exception):
    """A request that gets something else than 200: the status, and the body as JSON.

    The shape of a 400's body was seen by a user; that the others look alike is a guess.
    """

    def __init__(self, status: int, title: str, **more: Any) -> None:
        super().__init__(status, title)
        self.status = status
        # The trace is made of what it traces, so that the same request gets the same bytes.
        trace = f"{key(status, title, more):016x}"
        self.body = {
            "type": f"https://httpstatuses.io/{status}",
            "title": title,
            "status": status,
            "traceId": f"00-{trace}{trace}-{trace}-00",
            **more,
        }


def bad_request(errors: Mapping[str, Iterable[str]]) -> Refused:
    """400. The message of the range limit was seen by a user; the other texts are our own."""
    listed = {name: list(messages) for name, messages in errors.items()}
    return Refused(400, "One or more validation errors occurred.", errors=listed)


def not_found(what: str) -> Refused:
    """404, for ids and paths."""
    return Refused(404, "Not Found", detail=what)


def unauthorized() -> Refused:
    """401, for a key that is not known, and for today's data without the right to them."""
    return Refused(401, "Unauthorized")


class Parameters:
    """The parameters of a request: names in any case, values repeated or with commas, unknown ones ignored."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        self.used: set[str] = set()
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).extend(value.split(","))

    @property
    def ignored(self) -> set[str]:
        """What was sent and never looked at."""
        return set(self._values) - self.used

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        self.used.add(name.lower())
        return [value.strip() for value in self._values.get(name.lower(), ()) if value.strip()]

    def one(self, name: str) -> str | None:
        """The value of a parameter that takes only one."""
        values = self.all(name)
        if len(values) > 1:
            raise bad_request({name: ["Only one value is allowed."]})
        return values[0] if values else None

    def numbers(self, name: str) -> list[int]:
        """The values of a parameter of whole numbers."""
        values = self.all(name)
        for value in values:
            if not value.isascii() or not value.isdigit() or len(value) > 18:
                raise bad_request({name: [f"The value '{value}' is not valid."]})
        return [int(value) for value in values]

    def number(self, name: str) -> int | None:
        """The value of a parameter that takes one whole number."""
        return None if self.one(name) is None else self.numbers(name)[0]

    def flag(self, name: str, default: bool) -> bool:
        """The value of a parameter that takes true or false."""
        value = self.one(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise bad_request({name: [f"The value '{value}' is not valid."]})
        return value.lower() == "true"

    def moment(self, name: str) -> int | None:
        """The value of a parameter that takes a time, in nanoseconds since 1970."""
        value = self.one(name)
        return None if value is None else _moment(name, value)


@frozen
class Ask:
    """A question about trades, as the server understands it."""

    product: Product
    sequence: Sequence
    items: tuple[Item, ...]
    """One for each contract; of a spread or a range, its two."""
    kind: Literal["single", "spread", "range"]
    start: int
    until: int
    include_private: bool
    routes: tuple[Route, ...]
    """Empty unless asked for."""
    deduplicate: bool
    fields: tuple[str, ...]


def trades(parameters: Parameters, now: datetime.datetime, *, intraday: bool) -> Ask:
    """What a request for trades asks for, or ``Refused``; without the right to today, an end in it is 401."""
    start, until = _range(parameters)
    today = now.date()
    if until > _nanoseconds(today) and not intraday:
        raise unauthorized()
    product, sequence = _product(parameters)
    kind = _kind(parameters)
    return Ask(
        product,
        sequence,
        _items(parameters, sequence, kind, start, until, today),
        kind,
        start,
        until,
        parameters.flag("includePrivate", False),
        _routes(parameters),
        parameters.flag("deduplicateRoutes", True),
        _fields(parameters, _TRADE_FIELDS),
    )


def _range(parameters: Parameters) -> tuple[int, int]:
    start, until = parameters.moment("from"), parameters.moment("until")
    if start is None or until is None:
        missing = [name for name, value in (("from", start), ("until", until)) if value is None]
        raise bad_request({name: [f"The {name} field is required."] for name in missing})
    if until < start:
        raise bad_request({"until": ["Must not be before from."]})
    if until - start > _RANGE_DAYS * _DAY:
        raise bad_request({"until": ["Maximum query range is 32 days."]})
    return start, until


def _product(parameters: Parameters) -> tuple[Product, Sequence]:
    instrument, market = parameters.number("instrumentId"), parameters.number("marketId")
    if (instrument is None) == (market is None):
        raise bad_request({"instrumentId": ["Exactly one of instrumentId and marketId is required."]})
    kind, number = ("instrument", instrument) if instrument is not None else ("market", market)
    product = catalogue.products().get((kind, number)) if number is not None else None
    if product is None:
        raise not_found(f"{kind} {number}")
    sequence_id = parameters.number("sequenceId")
    if sequence_id is None:
        raise bad_request({"sequenceId": ["The sequenceId field is required."]})
    for sequence in catalogue.sequences_of(product):
        if sequence.id == sequence_id:
            return product, sequence
    raise not_found(f"sequence {sequence_id} of {kind} {number}")


def _kind(parameters: Parameters) -> Literal["single", "spread", "range"]:
    value = parameters.one("contractType")
    if value is None:
        raise bad_request({"contractType": ["The contractType field is required."]})
    if value.lower() not in _KINDS:
        raise bad_request({"contractType": [f"The value '{value}' is not valid."]})
    return _KINDS[value.lower()]


def _items(
    parameters: Parameters, sequence: Sequence, kind: str, start: int, until: int, today: datetime.date
) -> tuple[Item, ...]:
    ids, second, front = (
        parameters.numbers("sequenceItemId"),
        parameters.number("secondSequenceItemId"),
        parameters.number("tradingItems"),
    )
    if (second is None) != (kind == "single"):
        rule = "Required with Spread and Range, and only with them."
        raise bad_request({"secondSequenceItemId": [rule]})
    if bool(ids) == (front is not None):
        raise bad_request({"sequenceItemId": ["Exactly one of sequenceItemId and tradingItems is required."]})
    if front is not None:
        return _tradable(sequence, kind, front, start, until, today)
    if len(ids) > 1 and kind != "single":
        raise bad_request({"sequenceItemId": ["Several items are allowed with SinglePeriod only."]})
    if len(set(ids)) > _MOST_ITEMS:
        raise bad_request({"sequenceItemId": [f"At most {_MOST_ITEMS} items are allowed."]})
    wanted = dict.fromkeys([*ids, *([second] if second is not None else [])])
    found = [catalogue.item(sequence, item_id) for item_id in wanted]
    if kind != "single" and len(wanted) == 1:
        raise bad_request({"secondSequenceItemId": ["Must differ from sequenceItemId."]})
    return tuple(item for item in found if item is not None)


def _tradable(
    sequence: Sequence, kind: str, count: int, start: int, until: int, today: datetime.date
) -> tuple[Item, ...]:
    """The first ``count`` items that trade within the range (guide p. 29)."""
    if kind != "single":
        raise bad_request({"tradingItems": ["Allowed with SinglePeriod only."]})
    if not 1 <= count <= _MOST_ITEMS:
        raise bad_request({"tradingItems": [f"Must be between 1 and {_MOST_ITEMS}."]})
    if sequence.tenor in ("prompt", "expiry"):
        raise bad_request({"tradingItems": ["Not supported for sequences without an end of trading."]})
    first, last = (_date(at) for at in (start, max(start, until - 1)))  # what trades at `until` is not asked for
    listed = catalogue.items(sequence.id, max(today, last))
    return tuple(item for item in listed if item.first and item.last and item.first <= last and item.last >= first)[
        :count
    ]


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
    moment = parameters.moment("startDate")  # refuses what is no time, though only its date counts
    since = today if moment is None else _date_of(parameters.all("startDate")[0])
    return Items(100 if count is None else count, since)


def _date_of(text: str) -> datetime.date:
    return _date(_moment("startDate", text.upper().partition("T")[0]))


# ISO 8601 without fractions of a second; what is left out is the start of its unit (guide p. 6).
_TIME = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?)?)?",
    re.IGNORECASE | re.ASCII,
)
_UNITS = (("year", 0), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))
_YEARS = range(1970, 2200)
_WIDEST_OFFSET = 14 * 3600
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _moment(name: str, text: str) -> int:
    """A time in nanoseconds since 1970."""
    match = _TIME.fullmatch(text)
    parts = match.groupdict() if match else {}
    try:
        numbers = [int(parts[unit] or least) for unit, least in _UNITS]
        moment = datetime.datetime(*numbers, tzinfo=datetime.UTC)  # type: ignore[arg-type, misc]
        offset = _offset(parts["zone"])
        if moment.year not in _YEARS:
            raise ValueError
    except (KeyError, ValueError):
        raise bad_request({name: [f"The value '{text}' is not valid."]}) from None
    return (int((moment - _EPOCH).total_seconds()) - offset) * NS


def _offset(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    if seconds > _WIDEST_OFFSET or int(digits[2:]) > 59:
        raise ValueError(zone)
    return seconds if zone[0] == "+" else -seconds


def _date(nanoseconds: int) -> datetime.date:
    return (_EPOCH + datetime.timedelta(seconds=nanoseconds // NS)).date()


def _nanoseconds(date: datetime.date) -> int:
    return (date - _EPOCH.date()).days * _DAY
