"""What the API's guide says, as data: paths, limits, and the columns of each answer.

``Endpoint`` is a row of the table; ``Request`` is one ask of one endpoint, which ``planner`` makes and
``transport`` sends.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import pandas as pd
from attrs import field, frozen

__all__ = ["REFERENCE", "TRADES", "Column", "Endpoint", "Request"]

API: TypeAlias = Literal["analytics", "reference"]
DType: TypeAlias = Literal["time", "string", "float64", "boolean", "Int64"]
Group: TypeAlias = Literal["always", "optional", "private"]


@frozen
class Column:
    """One column of an answer: its name in frames, its name on the wire, its dtype, and when it is there."""

    name: str
    wire: str
    dtype: DType
    group: Group = "always"


@frozen
class Endpoint:
    """One path of the API with its limits and its columns.

    ``span`` is the widest window that one request may ask for, in elapsed time, and ``batch`` the most
    sequence items; None where the endpoint knows no such thing.
    """

    name: str
    path: str
    api: API = "analytics"
    span: pd.Timedelta | None = None
    batch: int = 1
    columns: tuple[Column, ...] = ()

    def of(self, *groups: Group) -> tuple[Column, ...]:
        """The columns of these groups, in the table's order."""
        return tuple(column for column in self.columns if column.group in groups)


@frozen(repr=False)
class Request:
    """One HTTP ask: an endpoint, what fills its path, its parameters, and the moment that it reaches up to."""

    endpoint: Endpoint
    params: tuple[tuple[str, str], ...] = ()
    ids: tuple[int, ...] = ()
    until: pd.Timestamp | None = field(default=None)

    @property
    def path(self) -> str:
        """The path below the API's base URL."""
        return self.endpoint.path.format(*self.ids)

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.params)
        return f"{self.path}?{query}" if query else self.path

    def __repr__(self) -> str:
        return f"<Request {self}>"


_PARTY: tuple[tuple[str, str, DType], ...] = (
    ("company_id", "CompanyId", "Int64"),
    ("trader_company_name", "TraderCompanyName", "string"),
    ("trader_id", "TraderId", "Int64"),
    ("trader_name", "TraderName", "string"),
    ("derivative_indicator", "DerivativeIndicator", "boolean"),
)
_PARTIES = tuple(
    Column(f"{party}_{name}", f"{party}{wire}", dtype, "private")
    for party in ("aggressor", "initiator")
    for name, wire, dtype in _PARTY
)

TRADES = Endpoint(
    "trades",
    "/trades",
    span=pd.Timedelta(days=32),  # guide p. 12
    # guide p. 12 gives 50 for tradingItems; lists of ids have no documented limit, so the same for them
    batch=50,
    columns=(
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
        Column("route", "route", "string", "optional"),
        Column("route_id", "routeId", "Int64", "optional"),
        *_PARTIES,
        Column("product_classification", "productClassification", "string", "private"),
    ),
)


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
