"""The API's guide as data: the paths, the limits of a request, and the columns of a response.

``Endpoint`` is a row of the table; ``Request`` is one HTTP request of an endpoint, which ``planner`` makes and
``transport`` sends. Page numbers refer to the API guide, see docs/sources.md.
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
"""The dtype of a column in frames: "time" is that of the index, "moment" that of any other time."""
Group: TypeAlias = Literal["always", "optional", "private"]
Windows: TypeAlias = Literal["any", "candles", "points", "at", "before"]

_SECOND = pd.Timedelta(seconds=1)
_MINUTE = pd.Timedelta(minutes=1)
_DAY = pd.Timedelta(days=1)


@frozen
class Column:
    """A column of a response: its name and dtype in frames, its name in the API, and when it is there."""

    name: str
    wire: str
    """Its path in a row of the response, with dots between nested names."""
    dtype: DType
    group: Group = "always"
    """Always there, on request ("optional"), or with own orders and trades ("private")."""
    field: str | None = None
    """Its name in ``optionalFields``, if that is not ``wire``."""

    @property
    def field_name(self) -> str:
        """The name in ``optionalFields``."""
        return self.field or self.wire


@frozen
class Endpoint:
    """A path of the API with its limits and columns; a limit is None if the endpoint has none."""

    name: str
    path: str
    api: API = "analytics"
    windows: Windows = "any"
    """The times of a request: any window, whole candles, points at the ends of intervals, one instant, or the last row
    before one."""
    span: pd.Timedelta | None = None
    """The widest window of one request, in elapsed time."""
    coarse_span: pd.Timedelta | None = None
    """The same for intervals of a day or longer."""
    grain: pd.Timedelta = _SECOND
    """The unit that times have to be whole multiples of."""
    since: pd.Timestamp | None = None
    """The first moment with data."""
    points: int | None = None
    """Maximum number of intervals in one request."""
    batch: int = 1
    """Maximum number of sequence items in one request."""
    columns: tuple[Column, ...] = ()
    list_field: str = ""
    """The name of the list of rows, if a response is an object with that list and one time for all rows."""
    row_lists: tuple[str, ...] = ()
    """The names of the lists in an element of a response, if their members are the rows of the frame."""
    default_fields: tuple[str, ...] = ()
    """The names in ``optionalFields`` that every request has, for columns that frames always have."""
    options: tuple[str, ...] = ()
    """The arguments of a query beside contracts, times and fields."""
    needs_contract: bool = True
    """False if a request may be for all contracts."""
    per_contract: bool = True
    """True if each row is of one contract, which the frame names."""
    intraday_for_all: bool = False
    """True if every key is entitled to data of today."""
    zero_when_empty: str = ""
    """The column that is 0 in a candle without a trade; the other cells of such a row are not documented."""

    def columns_of(self, *groups: Group) -> tuple[Column, ...]:
        """Return the columns of some groups, in the order of the table."""
        return tuple(column for column in self.columns if column.group in groups)

    def column(self, name: str) -> Column:
        """Return the column with a name of ours."""
        return next(column for column in self.columns if column.name == name)

    @property
    def is_instant(self) -> bool:
        """True if a request is for one moment, and not for a window."""
        return self.windows in ("at", "before")

    @property
    def is_flat(self) -> bool:
        """True if a response is a plain table, which CSV can hold, unless nested columns are requested."""
        return not self.list_field and not self.row_lists


@frozen(repr=False)
class Request:
    """One HTTP request of an endpoint."""

    endpoint: Endpoint
    params: tuple[tuple[str, str], ...] = ()
    ids: tuple[int, ...] = ()
    """The ids in the path."""
    until: pd.Timestamp | None = field(default=None)
    """The end of its window or its instant; None if every key is entitled to data of any time."""
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
    """Return the columns of both parties of a trade, nested in an object of the response, or flat for ``below=""``."""
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
    # guide p. 12 gives 50 for tradingItems. Lists of ids have no documented limit, and get the same.
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
    grain=_MINUTE,  # seconds by the guide (p. 18), but whole minutes by the vendor's notebook
    columns=(Column("timestamp", "dealDate", "time"), Column("price", "price", "float64")),
    options=("at",),
)

ACTIVITY = Endpoint(
    "activity",
    "/trades/activity",
    span=7 * _DAY,  # guide p. 19, as for the next two lines
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
    default_fields=("marketId", "route"),
    options=("routes",),
    needs_contract=False,
    per_contract=False,
)

# --- orders ---------------------------------------------------------------------------------------------------

# guide p. 6: the shorter of 60 days and 100,000 points. A response of 100,000 may have been cut off, so that a request
# is for one point less.
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
