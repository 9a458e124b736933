"""Responses about single trades: ``/trades``, ``/trades/private`` and ``/trades/last``.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..venues import VENUES
from . import hashing, lifecycle, model, rules, subjects, universe, venue_books
from .calendar import NS_PER_DAY
from .deliveries import Delivery, Kind
from .hashing import Bools, Integers
from .keys import ROUTES, Route
from .model import Day, SimulatedContract, Trades
from .parameters import Parameters
from .payload import BLOCK, Payload, PayloadColumn, PayloadTable, flags, nested, numbers
from .rules import RowOptions
from .subjects import Subject
from .view import View

# guide pp. 21, 28: responses spell these types differently from requests.
_CONTRACT_TYPES: dict[Kind, str] = {"single": "SinglePeriod", "spread": "PeriodSpread", "range": "PeriodRange"}
_HAS_PRIVATE_FEED = np.array([VENUES[code].separate_private_feed for code in venue_books.VENUES])

# The last trade is searched in the last 2 days, then 12, then 60, and at most one year (guide p. 19).
_LOOKBACK_DAYS = (2, 12, 60, 365)
# Approximate number of rows that are simulated together; it defines the number of days of a chunk.
_ROWS_PER_CHUNK = 25_000


def trades(parameters: Parameters, view: View) -> Payload:
    """Return the rows of ``/trades``."""
    request = rules.trades(parameters, view.caller)
    market = request.subject.product.id if request.subject.product.kind == "market" else None
    contracts = request.subject.contracts()
    private_fields = [nested(_parties(side)) for side in (0, 1)]

    def make_table(rows: Trades, routes: Integers, private: Bools) -> PayloadTable:
        columns = [*_common_columns(rows, private), *_flag_columns(rows, request.options, private)]
        columns += route_columns(routes, request.options)
        if "contract" in request.options.fields:
            columns.append(_contract_column(rows, market, view))
        if request.include_private:
            sides = zip(_own_side(rows).tolist(), private.tolist(), strict=True)
            cells = [private_fields[side] if is_private else None for side, is_private in sides]
            columns.append(PayloadColumn("privateFields", cells, "object", tuple(_parties(0))))
        return PayloadTable(tuple(columns))

    def tables(start: int, end: int) -> Iterator[PayloadTable]:
        found = view.trades(contracts, start, end)
        rows, routes = _copies(found, request.options)
        private = np.zeros(len(rows), dtype=bool)
        if request.include_private:
            own = found.own[rows]
            # An own trade has a private row, and at venues with a separate private feed a public row as well.
            versions = np.stack([own, ~own | _HAS_PRIVATE_FEED[found.venue_number[rows]]], axis=1)
            copies, version = np.nonzero(versions)
            rows, routes, private = rows[copies], routes[copies], version == 0
        for block in _blocks(len(rows)):
            yield make_table(found.take(rows[block]), routes[block], private[block])

    end = view.end(request.until)
    busiest = max(view.market.busy(contracts, at // NS_PER_DAY) for at in (request.start, end))
    return Payload(_in_chunks(request.start, end, max(1, _ROWS_PER_CHUNK // max(1, busiest)), tables))


def private_trades(parameters: Parameters, view: View) -> Payload:
    """Return the rows of ``/trades/private``: own trades, with the fields of the parties beside the others."""
    request = rules.private_trades(parameters, view.caller)
    market = request.product.id if request.product is not None and request.product.kind == "market" else None
    has_contract = request.subject is None or "contract" in request.options.fields

    def make_table(rows: Trades, routes: Integers) -> PayloadTable:
        own = np.ones(len(rows), dtype=bool)
        common = _common_columns(rows, own)
        updated = PayloadColumn("lastUpdated", view.last_updated(rows).tolist(), "time")
        columns = [*common[:3], updated, *common[3:], *_flag_columns(rows, request.options, own)]
        columns += [*route_columns(routes, request.options), *_party_columns(rows)]
        return PayloadTable(tuple([*columns, _contract_column(rows, market, view)] if has_contract else columns))

    def tables(start: int, end: int) -> Iterator[PayloadTable]:
        if request.subject is None:
            found = _own_trades_of_all(request, view, start, end)
        else:
            found = _own_trades(request.subject, view, start, end)
        rows, routes = _copies(found, request.options)
        for block in _blocks(len(rows)):
            yield make_table(found.take(rows[block]), routes[block])

    days = 32 if request.subject is not None else max(1, 8 // view.market.volume)
    return Payload(_in_chunks(request.start, view.end(request.until, own=True), days, tables))


def _own_trades(subject: Subject, view: View, start: int, end: int) -> Trades:
    found = view.trades(subject.contracts(), start, end)
    return found.take(found.own)


def _own_trades_of_all(request: rules.PrivateTradesRequest, view: View, start: int, end: int) -> Trades:
    """Return own trades of all contracts that match the product and the sequence of a request, if it has any."""
    product = request.product
    members = None if product is None else {member.id for member in subjects.members(product, view.caller)}

    def matches(contract: SimulatedContract) -> bool:
        product, delivery = contract
        is_entitled = product.id in members if members is not None else view.caller.rights.sees(product)
        return is_entitled and request.sequence in (None, delivery.sequence)

    def of(day: Day) -> Trades:
        matching = np.array([matches(contract) for contract in day.contracts], dtype=bool)
        rows = lifecycle.is_own(day.inserted.chance)
        rows[rows] = matching[day.inserted.place[rows]]
        return view.market.priced(day.contracts, day.inserted.take(rows))

    days = range(start // NS_PER_DAY, -(-end // NS_PER_DAY))
    return view.known(model.joined(of(view.market.day(day)) for day in days).between(start, end))


def last_trade(parameters: Parameters, view: View) -> Payload:
    """Return the row of ``/trades/last``."""
    request = rules.last_trade(parameters, view.caller)
    found = last_trade_before(view, request.subject.contracts(), request.at)
    columns = [PayloadColumn("price", numbers(found.price)), PayloadColumn("dealDate", found.time.tolist(), "time")]
    market = request.subject.product.id if request.subject.product.kind == "market" else None
    return Payload.of([*columns, _contract_column(found, market, view)] if request.fields else columns)


def last_trade_before(view: View, contracts: list[SimulatedContract], at: int) -> Trades:
    """Return the last trade strictly before a time, no rows if there is none in the year before it."""
    found = model.NO_TRADES
    for days in _LOOKBACK_DAYS:
        found = view.trades(contracts, at - days * NS_PER_DAY, min(at, view.caller.known))
        if len(found):
            break
    return found.take(slice(-1, None))


# --- rows --------------------------------------------------------------------------------------------------------


def _in_chunks(
    start: int, end: int, days: int, tables: Callable[[int, int], Iterator[PayloadTable]]
) -> Iterator[PayloadTable]:
    """Yield the tables of ``days`` days after another, so that the memory does not grow with the response."""
    first, last = start // NS_PER_DAY, max(-(-end // NS_PER_DAY), start // NS_PER_DAY + 1)
    for day in range(first, last, days):
        ends = day * NS_PER_DAY, (day + days) * NS_PER_DAY
        yield from tables(max(start, ends[0]), min(max(end, start), ends[1]))


def _blocks(count: int) -> Iterator[slice]:
    return (slice(first, first + BLOCK) for first in range(0, max(count, 1), BLOCK))


def _copies(trades: Trades, options: RowOptions) -> tuple[Integers, Integers]:
    """Return the index of the trade and the id of the route of each row."""
    on_routes = [is_on_route(route, trades.on_second_route) for route in options.selected_routes]
    shown = np.stack(on_routes, axis=1)
    if options.deduplicate:
        shown &= np.cumsum(shown, axis=1) == 1
    rows, places = np.nonzero(shown)
    return rows, np.array([number for number, _ in options.selected_routes], dtype=np.int64)[places]


def is_on_route(route: Route, on_second: Bools) -> Bools:
    """Return True for each trade on a route: all are on the first, some are also on the second."""
    return np.ones_like(on_second) if route == ROUTES[0] else on_second


# --- columns -----------------------------------------------------------------------------------------------------


def _common_columns(trades: Trades, private: Bools) -> tuple[PayloadColumn, ...]:
    """Return the columns of every response about trades; ids of private rows have no suffix "Public"."""
    ids = [
        trade_id.removesuffix(" Public") if is_private else trade_id
        for trade_id, is_private in zip(trades.id, private.tolist(), strict=True)
    ]
    return (
        PayloadColumn("tradeId", ids, "text"),
        PayloadColumn("venueCode", list(trades.venue), "text"),
        PayloadColumn("dealDate", trades.time.tolist(), "time"),
        PayloadColumn("price", numbers(trades.price)),
        PayloadColumn("quantity", numbers(trades.quantity)),
        PayloadColumn("aggressorBuy", flags(trades.is_buy.tolist())),
    )


def _flag_columns(trades: Trades, options: RowOptions, private: Bools) -> list[PayloadColumn]:
    names = [name for name in options.fields if name in _FLAGS]
    return [PayloadColumn(name, flags(_FLAGS[name](trades, private).tolist())) for name in names]


# Sleeves are never shown on public trades (guide p. 13).
_FLAGS: dict[str, Callable[[Trades, Bools], Bools]] = {
    "fromBrokenSpread": lambda trades, _: trades.leg > 0,
    "initiatorOwnedSpread": lambda trades, _: hashing.one_in(trades.chance, 32, 40),
    "aggressorOwnedSpread": lambda trades, _: hashing.one_in(trades.chance, 33, 40),
    "aggressorSleeve": lambda trades, private: private & hashing.one_in(trades.chance, 34, 10),
    "initiatorSleeve": lambda trades, private: private & hashing.one_in(trades.chance, 35, 10),
}


def route_columns(routes: Integers, options: RowOptions) -> list[PayloadColumn]:
    """Return the columns with name and id of each row's route that the options select."""
    columns, ids = [], routes.tolist()
    if options.has_route_name:
        route_names = dict(ROUTES)
        columns.append(PayloadColumn("route", [route_names[number] for number in ids], "text"))
    if "routeId" in options.fields:
        columns.append(PayloadColumn("routeId", list(map(str, ids))))
    return columns


def _contract_column(trades: Trades, market: int | None, view: View) -> PayloadColumn:
    """Return the contract of each row; in a response about a market, with the instrument of the trade."""
    texts = {}
    for place in np.unique(trades.place).tolist():
        product, delivery = trades.contracts[place]
        instrument = product.id if market is None or view.switches.instrument_ids != "null" else None
        parent = universe.market_of(product) if market is None else market
        texts[place] = nested(contract_object(instrument, delivery, parent))
    return PayloadColumn("contract", [texts[place] for place in trades.place.tolist()], "object", CONTRACT_FIELDS)


CONTRACT_FIELDS = (
    "contractType",
    "marketId",
    "instrumentId",
    "sequenceId",
    "sequenceItemId",
    "secondSequenceItemId",
)


def contract_object(product: int | None, delivery: Delivery, market: int | None) -> dict[str, Any]:
    """Return a contract as an object of a response."""
    return {
        "contractType": _CONTRACT_TYPES[delivery.kind],
        "marketId": market,
        "instrumentId": product,
        "sequenceId": delivery.sequence.id,
        "sequenceItemId": delivery.ids[0],
        "secondSequenceItemId": delivery.ids[1] if len(delivery.ids) > 1 else None,
    }


def _own_side(trades: Trades) -> Integers:
    """Return 0 for each trade whose aggressor is the key's owner, 1 where the owner is the initiator."""
    return ((trades.chance >> np.uint64(1)) & np.uint64(1)).astype(np.int64)


def _parties(own: int) -> dict[str, Any]:
    """Return the parties of an own trade; the owner sees only its own side, 0 for aggressor or 1 for initiator."""
    fields: dict[str, Any] = {}
    for number, side in enumerate(("aggressor", "initiator")):
        is_own = number == own
        fields[f"{side}CompanyId"] = 123 if is_own else 0
        fields[f"{side}TraderCompanyName"] = "Sandbox Energy Ltd" if is_own else ""
        fields[f"{side}TraderId"] = 4321 if is_own else 0
        fields[f"{side}TraderName"] = "Sam Box" if is_own else ""
        fields[f"{side}DerivativeIndicator"] = is_own
    return {**fields, "productClassification": "RmMifid"}


def _party_columns(trades: Trades) -> list[PayloadColumn]:
    """Return the parties of own trades, one column for each field."""
    parties = [_parties(side) for side in (0, 1)]
    sides = _own_side(trades).tolist()
    columns = []
    for name, value in parties[0].items():
        cells = [parties[side][name] for side in sides]
        if isinstance(value, str):
            columns.append(PayloadColumn(name, cells, "text"))
        else:
            columns.append(PayloadColumn(name, [nested(cell) for cell in cells]))
    return columns
