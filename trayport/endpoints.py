"""What the API's guide says, as data: paths, limits, and the columns of each answer.

``Endpoint`` is a row of the table; ``Request`` is one ask of one endpoint, which ``planner`` makes and
``transport`` sends.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import pandas as pd
from attrs import field, frozen

__all__ = [
    "ACTIVITY",
    "LAST_TRADE",
    "OHLCV",
    "ORDER_BOOK",
    "PRIVATE_TRADES",
    "REFERENCE",
    "SNAPSHOTS",
    "TOP_OF_BOOK",
    "TRADES",
    "Column",
    "Endpoint",
    "Request",
]

API: TypeAlias = Literal["analytics", "reference"]
DType: TypeAlias = Literal["time", "moment", "string", "float64", "boolean", "Int64", "int64"]
"""Of a frame's column: "time" is the index's, "moment" any other time."""
Group: TypeAlias = Literal["always", "optional", "private"]
Windows: TypeAlias = Literal["any", "candles", "points", "at", "before"]

_SECOND = pd.Timedelta(seconds=1)
_MINUTE = pd.Timedelta(minutes=1)
_DAY = pd.Timedelta(days=1)


@frozen
class Column:
    """One column of an answer: its name in frames, its name on the wire, its dtype, and when it is there.

    ``wire`` is a path below the row, with dots where objects are nested; ``field`` is what ``optionalFields`` calls
    it, where that is something else.
    """

    name: str
    wire: str
    dtype: DType
    group: Group = "always"
    field: str | None = None

    @property
    def asked_as(self) -> str:
        """Its name in ``optionalFields``."""
        return self.field or self.wire


@frozen
class Endpoint:
    """One path of the API with its limits and its columns.

    ``windows`` says what a request covers: any stretch of time, whole candles, points at the ends of intervals, one
    instant, or what came last before one. ``span`` is the widest window that one request may ask for, in elapsed time,
    ``coarse_span`` that of intervals from a day up, ``grain`` what its ends are multiples of, ``since`` the first
    moment that may be asked for, and ``points`` and ``batch`` the most points and sequence items; None where the
    endpoint knows no such thing.
    """

    name: str
    path: str
    api: API = "analytics"
    windows: Windows = "any"
    span: pd.Timedelta | None = None
    coarse_span: pd.Timedelta | None = None
    grain: pd.Timedelta = _SECOND
    since: pd.Timestamp | None = None
    points: int | None = None
    batch: int = 1
    columns: tuple[Column, ...] = ()
    list_field: str = ""
    """The name of the list, where it stands in an object whose time is that of all rows."""
    row_lists: tuple[str, ...] = ()
    """The lists in a row whose elements are the rows of the frame."""
    always_asked: tuple[str, ...] = ()
    """What ``optionalFields`` has to name for the columns that are always there."""
    options: tuple[str, ...] = ()
    """What else a question may say, beside contracts, times and fields."""
    needs_contract: bool = True
    """False if a request may be for all contracts."""
    per_contract: bool = True
    """Is each row of one contract, that the frame names?"""
    intraday_for_all: bool = False
    """May every key see the current day?"""
    zero_when_empty: str = ""
    """The column that is 0 in a row without a trade; what else the server writes there is not known."""

    def of(self, *groups: Group) -> tuple[Column, ...]:
        """The columns of these groups, in the table's order."""
        return tuple(column for column in self.columns if column.group in groups)

    def column(self, name: str) -> Column:
        """The column of this name in frames."""
        return next(column for column in self.columns if column.name == name)

    @property
    def instant(self) -> bool:
        """Is it asked about one moment, and not about a window?"""
        return self.windows in ("at", "before")

    @property
    def flat(self) -> bool:
        """Is an answer a plain table, as CSV can say it, unless nested columns are asked for?"""
        return not self.list_field and not self.row_lists


@frozen(repr=False)
class Request:
    """One HTTP ask: an endpoint, what fills its path, its parameters, the moment that it reaches up to, its format."""

    endpoint: Endpoint
    params: tuple[tuple[str, str], ...] = ()
    ids: tuple[int, ...] = ()
    until: pd.Timestamp | None = field(default=None)
    csv: bool = False

    @property
    def path(self) -> str:
        """The path below the API's base URL."""
        return self.endpoint.path.format(*self.ids)

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.params)
        return f"{self.path}?{query}" if query else self.path

    def __repr__(self) -> str:
        return f"<Request {self}{' as CSV' if self.csv else ''}>"


# --- trades ---------------------------------------------------------------------------------------------------

_TRADE = (
    Column("timestamp", "dealDate", "time"),
    Column("trade_id", "tradeId", "string"),
    Column("venue_code", "venueCode", "string"),
    Column("price", "price", "float64"),
    Column("quantity", "quantity", "float64"),
    Column("aggressor_buy", "aggressorBuy", "boolean"),
    Column("from_broken_spread", "fromBrokenSpread", "boolean", "optional"),
    Column("initiator_owned_spread", "initiatorOwnedSpread", "boolean", "optional"),
    Column("aggressor_owned_spread", "aggressorOwnedSpread", "boolean", "optional"),
    Column("aggressor_sleeve", "aggressorSleeve", "boolean", "optional"),
    Column("initiator_sleeve", "initiatorSleeve", "boolean", "optional"),
)
_ROUTE = (
    Column("route", "route", "string", "optional"),
    Column("route_id", "routeId", "Int64", "optional"),
)
_PARTY: tuple[tuple[str, str, DType], ...] = (
    ("company_id", "CompanyId", "Int64"),
    ("trader_company_name", "TraderCompanyName", "string"),
    ("trader_id", "TraderId", "Int64"),
    ("trader_name", "TraderName", "string"),
    ("derivative_indicator", "DerivativeIndicator", "boolean"),
)


def _parties(below: str) -> tuple[Column, ...]:
    """Who dealt: nested in one answer, flat in the other."""
    sides = tuple(
        Column(f"{party}_{name}", f"{below}{party}{wire}", dtype, "private")
        for party in ("aggressor", "initiator")
        for name, wire, dtype in _PARTY
    )
    return (*sides, Column("product_classification", f"{below}productClassification", "string", "private"))


TRADES = Endpoint(
    "trades",
    "/trades",
    span=32 * _DAY,  # guide p. 12
    # guide p. 12 gives 50 for tradingItems; lists of ids have no documented limit, so the same for them
    batch=50,
    columns=(*_TRADE, *_ROUTE, *_parties("privateFields.")),
    options=("include_private", "routes", "deduplicate", "verify"),
)

PRIVATE_TRADES = Endpoint(
    "private_trades",
    "/trades/private",
    span=32 * _DAY,  # guide p. 21
    columns=(*_TRADE, *_ROUTE, *_parties(""), Column("last_updated", "lastUpdated", "moment", "private")),
    options=("routes", "deduplicate"),
    needs_contract=False,
    intraday_for_all=True,  # guide p. 22
)

OHLCV = Endpoint(
    "ohlcv",
    "/trades/ohlcv",
    windows="candles",
    span=92 * _DAY,  # guide p. 16
    coarse_span=1827 * _DAY,
    columns=(
        Column("timestamp", "fromTimestamp", "time"),
        Column("to_timestamp", "toTimestamp", "moment"),
        *(Column(name, name, "float64") for name in ("open", "high", "low", "close", "volume")),
        Column("vwap", "vwap", "float64", "optional"),
        Column("open_timestamp", "openTimestamp", "moment", "optional"),
        Column("close_timestamp", "closeTimestamp", "moment", "optional"),
    ),
    options=("interval", "include_empty"),
    zero_when_empty="volume",
)

LAST_TRADE = Endpoint(
    "last_trade",
    "/trades/last",
    windows="before",
    grain=_MINUTE,  # the guide says seconds (p. 18), the vendor's notebook whole minutes
    columns=(Column("timestamp", "dealDate", "time"), Column("price", "price", "float64")),
    options=("at",),
)

ACTIVITY = Endpoint(
    "activity",
    "/trades/activity",
    span=7 * _DAY,  # guide p. 19, as the two below
    grain=_MINUTE,
    since=pd.Timestamp("2023-04-10", tz="UTC"),
    columns=(
        Column("market_id", "marketId", "Int64"),
        Column("instrument_id", "instrumentId", "Int64"),
        Column("sequence_id", "sequenceId", "Int64"),
        Column("sequence_item_id", "sequenceItemId", "Int64"),
        Column("second_sequence_item_id", "secondSequenceItemId", "Int64"),
        Column("contract_type", "contractType", "string"),
        Column("count", "count", "int64"),
        Column("route", "route", "string"),
        Column("update_count", "updateCount", "int64", "optional"),
        Column("delete_count", "deleteCount", "int64", "optional"),
        Column("route_id", "routeId", "Int64", "optional"),
    ),
    always_asked=("marketId", "route"),
    options=("routes",),
    needs_contract=False,
    per_contract=False,
)

# --- orders ---------------------------------------------------------------------------------------------------

# guide p. 6: the shorter of 60 days and 100 000 points; a full answer may be a cut one, so one point less is asked for
_BOOK_SPAN = 60 * _DAY
_BOOK_POINTS = 99_999

_OWN_ORDER: tuple[tuple[str, str, DType], ...] = (
    ("client_order_id", "clientOrderId", "string"),
    ("order_status", "orderStatus", "string"),
    ("last_modifier_user_id", "lastModifierUserId", "Int64"),
    ("hidden_quantity", "hiddenQuantity", "float64"),
    ("owner_user_id", "ownerUserId", "Int64"),
    ("owner_company_id", "ownerCompanyId", "Int64"),
    ("original_hidden_quantity", "originalHiddenQuantity", "float64"),
    ("hidden_qty_price_delta", "hiddenQtyPriceDelta", "float64"),
)

TOP_OF_BOOK = Endpoint(
    "top_of_book",
    "/orders/book/top",
    windows="points",
    span=_BOOK_SPAN,
    points=_BOOK_POINTS,
    columns=(
        Column("timestamp", "timestamp", "time"),
        Column("bid_price", "bidPrice", "float64"),
        Column("bid_quantity", "bidQuantity", "float64"),
        Column("ask_price", "askPrice", "float64"),
        Column("ask_quantity", "askQuantity", "float64"),
        Column("bid_venue_code", "bidVenueCode", "string", "optional", "venueCode"),
        Column("ask_venue_code", "askVenueCode", "string", "optional", "venueCode"),
        *_ROUTE,
    ),
    options=("interval", "include_empty", "routes", "deduplicate"),
)

ORDER_BOOK = Endpoint(
    "order_book",
    "/orders/book",
    windows="points",
    span=_BOOK_SPAN,
    points=_BOOK_POINTS,
    columns=(
        Column("timestamp", "timestamp", "time"),
        Column("price", "price", "float64"),
        Column("quantity", "quantity", "float64"),
        Column("venue_code", "venueCode", "string", "optional"),
        *_ROUTE,
        *(Column(name, f"privateFields.{wire}", dtype, "private") for name, wire, dtype in _OWN_ORDER),
    ),
    options=("interval", "depth", "max_spread", "include_private", "include_empty", "routes", "deduplicate"),
    row_lists=("bids", "asks"),
)

SNAPSHOTS = Endpoint(
    "snapshots",
    "/snapshots",
    windows="at",
    grain=_MINUTE,
    batch=50,  # guide p. 24
    columns=(
        Column("timestamp", "timestamp", "time"),
        Column("bid_price", "bestOrders.bidPrice", "float64"),
        Column("bid_quantity", "bestOrders.bidQuantity", "float64"),
        Column("ask_price", "bestOrders.askPrice", "float64"),
        Column("ask_quantity", "bestOrders.askQuantity", "float64"),
        Column("last_price", "lastTrade.price", "float64"),
        Column("last_timestamp", "lastTrade.dealDate", "moment"),
    ),
    options=("at",),
    list_field="snapshots",
)

# --- reference data -------------------------------------------------------------------------------------------


def _reference(name: str, path: str) -> Endpoint:
    return Endpoint(name, path, api="reference")


# guide pp. 35-36
REFERENCE = {
    endpoint.name: endpoint
    for endpoint in (
        _reference("instruments", "/instruments"),
        _reference("markets", "/markets"),
        _reference("instrument", "/instruments/{}"),
        _reference("market", "/markets/{}"),
        _reference("instrument sequences", "/instruments/{}/sequences"),
        _reference("market sequences", "/markets/{}/sequences"),
        _reference("sequence items", "/sequences/{}/sequenceItems"),
        _reference("sequence item", "/sequences/{}/sequenceItems/{}"),
    )
}
