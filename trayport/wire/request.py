"""The parameters and headers of a request.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from decimal import Decimal
from typing import TypeAlias

import pandas as pd

from .._time import iso
from ..contracts import Contract, Kind, Product

__all__ = [
    "Params",
    "contract_params",
    "entitlement_params",
    "field_params",
    "front_params",
    "request_headers",
    "instant_params",
    "interval_params",
    "new_request_id",
    "option_params",
    "window_params",
]

Params: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of a query string, in order; a name may be repeated."""

# guide p. 28; responses spell two of them differently, see ``response.kind_of``.
_CONTRACT_TYPES: dict[Kind, str] = {"single": "SinglePeriod", "spread": "Spread", "range": "Range"}
_PRODUCTS = {"market": "marketId", "instrument": "instrumentId"}
# The parameters that an entitlement depends on: products, own orders and trades, routes. Dates and items need none.
_ENTITLEMENTS = frozenset({*_PRODUCTS.values(), "includePrivate", "routes"})


def request_headers(key: str, request_id: str, *, csv: bool) -> dict[str, str]:
    """Return the headers of one attempt: the key, the wanted format, and the id that Trayport can look up."""
    return {"X-API-KEY": key, "Accept": "text/csv" if csv else "application/json", "X-Request-ID": request_id}


def new_request_id() -> str:
    """Return a random id for one request: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def window_params(start: pd.Timestamp, until: pd.Timestamp) -> Params:
    """Return the parameters of a half-open window."""
    return ("from", iso(start)), ("until", iso(until))


def instant_params(at: pd.Timestamp | None) -> Params:
    """Return the parameter of an instant; none where the server is to choose it."""
    return () if at is None else (("at", iso(at)),)


def interval_params(count: int, unit: str) -> Params:
    """Return the parameters of an interval, such as 15 and "minute"."""
    return ("interval", str(count)), ("intervalUnit", unit)


def contract_params(*contracts: Contract) -> Params:
    """Return the parameters that name contracts: one, or several singles of one product and sequence.

    >>> from trayport import Contract, Market
    >>> april = Contract(Market(10000065), 10000305, 232)
    >>> may = Contract(Market(10000065), 10000305, 233)
    >>> contract_params(april.spread(may))
    (('marketId', '10000065'), ('sequenceId', '10000305'), ('sequenceItemId', '232'),
     ('secondSequenceItemId', '233'), ('contractType', 'Spread'))
    """
    first = contracts[0]
    second = () if first.second_item_id is None else (("secondSequenceItemId", str(first.second_item_id)),)
    return (
        (_PRODUCTS[first.product.kind], str(first.product.id)),
        ("sequenceId", str(first.sequence_id)),
        *(("sequenceItemId", str(contract.item_id)) for contract in contracts),
        *second,
        ("contractType", _CONTRACT_TYPES[first.kind]),
    )


def front_params(product: Product, sequence_id: int | str, count: int) -> Params:
    """Return the parameters that ask for the first ``count`` tradable items of a sequence."""
    return (
        (_PRODUCTS[product.kind], str(product.id)),
        ("sequenceId", str(sequence_id)),
        ("tradingItems", str(count)),
        ("contractType", _CONTRACT_TYPES["single"]),
    )


def option_params(
    *,
    depth: int | None = None,
    max_spread: float | None = None,
    include_private: bool = False,
    include_empty: bool = False,
    routes: Iterable[str] = (),
    deduplicate: bool | None = None,
) -> Params:
    """Return the parameters of the options that differ from the API's defaults.

    Parameters
    ----------
    depth : int, optional
        Maximum number of orders a side.
    max_spread : float, optional
        Distance from the best price, in per cent.
    include_private : bool, default False
        Whether own orders or trades are marked.
    include_empty : bool, default False
        Whether intervals without data have a row.
    routes : iterable of str, default ()
        Names or ids of routes.
    deduplicate : bool, optional
        Whether a row that several routes show comes once; None sends no parameter.
    """
    params: list[tuple[str, str]] = []
    if depth is not None:
        params.append(("depth", str(depth)))
    if max_spread is not None:  # without an exponent, which a server need not read
        params.append(("maxSpread", f"{Decimal(str(max_spread)):f}"))
    if include_private:
        params.append(("includePrivate", "true"))
    if include_empty:
        params.append(("includeEmptyBuckets", "true"))
    params += [("routes", route) for route in routes]
    if deduplicate is not None:
        params.append(("deduplicateRoutes", str(deduplicate).lower()))
    return tuple(params)


def field_params(names: Iterable[str], *, contract: bool = False) -> Params:
    """Return the parameters that ask for optional fields, each once, and with ``contract`` for each row's contract."""
    return tuple(("optionalFields", name) for name in dict.fromkeys((*names, *(["contract"] if contract else []))))


def entitlement_params(params: Params) -> Params:
    """Return the parameters that an entitlement depends on: a 403 for these concerns other windows and items, too."""
    return tuple(pair for pair in params if pair[0] in _ENTITLEMENTS)
