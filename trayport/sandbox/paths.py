"""The paths of the Analytics API with their parameters and limits, transcribed from the guide.

The client has a transcription of its own. This one does not use it, so that an error in either fails a test. Page
numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime

from attrs import frozen

from .parameters import MINUTE, NS, Parameters

_PRODUCT = ("instrumentId", "marketId", "sequenceId")
_ONE_CONTRACT = (*_PRODUCT, "sequenceItemId", "secondSequenceItemId", "contractType")
_SEVERAL_CONTRACTS = (*_ONE_CONTRACT, "tradingItems")
_ROUTES = ("routes", "deduplicateRoutes")
_RANGE = ("from", "until")
_GRID = (*_RANGE, "interval", "intervalUnit", "includeEmptyBuckets")
TRADE_FIELDS = (
    "contract",
    "route",
    "routeId",
    "fromBrokenSpread",
    "initiatorOwnedSpread",
    "aggressorOwnedSpread",
    "aggressorSleeve",
    "initiatorSleeve",
)
BOOK_FIELDS = ("route", "routeId", "venueCode")


@frozen
class Path:
    """A path of the API: its parameters, the values of optionalFields, and its limits."""

    parameters: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    days: int | None = None
    """Maximum range in days."""
    long_days: int | None = None
    """Maximum range in days for intervals of a day or more."""
    points: int | None = None
    """Maximum number of intervals in the range."""
    items: int = 1
    """Maximum number of sequence items."""
    resolution: int = NS
    """Times are rounded down to a multiple of this number of nanoseconds."""
    since: datetime.date | None = None
    """First day with data."""

    @property
    def names(self) -> frozenset[str]:
        """Names of all parameters in lower case."""
        more = ("optionalFields",) if self.fields else ()
        return frozenset(name.lower() for name in (*self.parameters, *more))


PATHS: dict[str, Path] = {
    # guide pp. 12-13
    "/trades": Path((*_RANGE, *_SEVERAL_CONTRACTS, "includePrivate", *_ROUTES), TRADE_FIELDS, days=32, items=50),
    # guide pp. 21-22
    "/trades/private": Path((*_RANGE, *_ONE_CONTRACT, *_ROUTES), TRADE_FIELDS, days=32),
    # guide pp. 16-17
    "/trades/ohlcv": Path(
        (*_GRID, *_ONE_CONTRACT), ("vwap", "openTimestamp", "closeTimestamp"), days=92, long_days=1827
    ),
    # guide pp. 18-19
    "/trades/last": Path(("at", *_ONE_CONTRACT), ("contract",)),
    # guide pp. 19-20
    "/trades/activity": Path(
        (*_RANGE, "routes"),
        ("route", "routeId", "marketId", "updateCount", "deleteCount"),
        days=7,
        resolution=MINUTE,
        since=datetime.date(2023, 4, 10),
    ),
    # guide pp. 6-7
    "/orders/book/top": Path((*_GRID, *_ONE_CONTRACT, *_ROUTES), BOOK_FIELDS, days=60, points=100_000),
    # guide pp. 8-9
    "/orders/book": Path(
        (*_GRID, *_ONE_CONTRACT, "depth", "maxSpread", "includePrivate", *_ROUTES),
        BOOK_FIELDS,
        days=60,
        points=100_000,
    ),
    # guide p. 24
    "/snapshots": Path(("at", *_SEVERAL_CONTRACTS), items=50, resolution=MINUTE),
}
"""Paths of the Analytics API."""

# guide p. 36
_ITEMS = Path(("count", "startDate"))

REFERENCE_PATHS: dict[str, Path] = {
    "/instruments": Path(),
    "/instruments/{id}": Path(),
    "/instruments/{id}/sequences": Path(),
    "/markets": Path(),
    "/markets/{id}": Path(),
    "/markets/{id}/sequences": Path(),
    "/sequences/{id}/sequenceItems": _ITEMS,
    "/sequences/{id}/sequenceItems/{itemId}": Path(),
}
"""Paths of the Reference Data API."""


def ignored(path: str, parameters: Parameters) -> frozenset[str]:
    """Return the parameters that a path does not have; the API ignores them silently (guide p. 37)."""
    known = _ITEMS if path.endswith("/sequenceItems") else PATHS.get(path, Path())
    return parameters.names - known.names
