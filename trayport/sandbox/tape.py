"""Answers about single trades: ``/trades``, ``/trades/private`` and ``/trades/last``."""

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
from .rules import Shown
from .subjects import Subject
from .view import View

_WIRE_KINDS: dict[Kind, str] = {"single": "SinglePeriod", "spread": "PeriodSpread", "range": "PeriodRange"}
_SEPARATE_FEED = np.array([VENUES[code].separate_private_feed for code in venue_books.VENUES])

# So many days back the last trade is looked for, wider and wider; within a year (guide p. 19).
_LOOKS = (2, 12, 60, 365)


def trades(parameters: Parameters, view: View) -> Payload:
    """``/trades``."""
    ask = rules.trades(parameters, view.caller)
    market = ask.subject.product.id if ask.subject.product.kind == "market" else None
    contracts = ask.subject.contracts()
    known = [nested(_parties(side)) for side in (0, 1)]

    def written(shown: Trades, routes: Integers, private: Bools) -> PayloadTable:
        columns = [*_columns(shown, private), *_flags(shown, ask.shown, private), *route_columns(routes, ask.shown)]
        if "contract" in ask.shown.fields:
            columns.append(_contracts(shown, market, view))
        if ask.include_private:
            sides = zip(_own_side(shown).tolist(), private.tolist(), strict=True)
            cells = [known[side] if hit else None for side, hit in sides]
            columns.append(PayloadColumn("privateFields", cells, "object", tuple(_parties(0))))
        return PayloadTable(tuple(columns))

    def tables(start: int, end: int) -> Iterator[PayloadTable]:
        found = view.trades(contracts, start, end)
        rows, routes = _copies(found, ask.shown)
        private = np.zeros(len(rows), dtype=bool)
        if ask.include_private:
            own = found.own[rows]
            # One's own come twice where the venue has a feed of its own for them: once private, once like any other.
            versions = np.stack([own, ~own | _SEPARATE_FEED[found.venue_number[rows]]], axis=1)
            copies, version = np.nonzero(versions)
            rows, routes, private = rows[copies], routes[copies], version == 0
        for block in _blocks(len(rows)):
            yield written(found.take(rows[block]), routes[block], private[block])

    end = view.end(ask.until)
    busiest = max(view.market.busy(contracts, at // NS_PER_DAY) for at in (ask.start, end))
    return Payload(_by_days(ask.start, end, max(1, _ROWS_AT_ONCE // max(1, busiest)), tables))


# The trades of so many days are looked for together that they are about so many.
_ROWS_AT_ONCE = 25_000


def _by_days(
    start: int, end: int, days: int, tables: Callable[[int, int], Iterator[PayloadTable]]
) -> Iterator[PayloadTable]:
    """Tables in order of time, from so many days at once: a long answer takes hardly more room than a short one."""
    first, last = start // NS_PER_DAY, max(-(-end // NS_PER_DAY), start // NS_PER_DAY + 1)
    for day in range(first, last, days):
        ends = day * NS_PER_DAY, (day + days) * NS_PER_DAY
        yield from tables(max(start, ends[0]), min(max(end, start), ends[1]))


def _blocks(count: int) -> Iterator[slice]:
    return (slice(first, first + BLOCK) for first in range(0, max(count, 1), BLOCK))


def private(parameters: Parameters, view: View) -> Payload:
    """``/trades/private``: one's own trades, with what is known of the parties flat beside the rest."""
    ask = rules.private(parameters, view.caller)
    market = ask.product.id if ask.product is not None and ask.product.kind == "market" else None
    pinned = ask.subject is not None and "contract" not in ask.shown.fields

    def written(shown: Trades, routes: Integers) -> PayloadTable:
        own = np.ones(len(shown), dtype=bool)
        head = _columns(shown, own)
        updated = PayloadColumn("lastUpdated", view.last_updated(shown).tolist(), "time")
        columns = [*head[:3], updated, *head[3:], *_flags(shown, ask.shown, own)]
        columns += [*route_columns(routes, ask.shown), *_party_columns(shown)]
        return PayloadTable(tuple(columns if pinned else [*columns, _contracts(shown, market, view)]))

    def tables(start: int, end: int) -> Iterator[PayloadTable]:
        found = _everywhere(ask, view, start, end) if ask.subject is None else _own(ask.subject, view, start, end)
        rows, routes = _copies(found, ask.shown)
        for block in _blocks(len(rows)):
            yield written(found.take(rows[block]), routes[block])

    days = 32 if ask.subject is not None else max(1, 8 // view.market.volume)
    return Payload(_by_days(ask.start, view.end(ask.until, own=True), days, tables))


def _own(subject: Subject, view: View, start: int, end: int) -> Trades:
    found = view.trades(subject.contracts(), start, end)
    return found.take(found.own)


def _everywhere(ask: rules.PrivateTradesRequest, view: View, start: int, end: int) -> Trades:
    """One's own trades of whatever the question leaves open."""
    wanted = None if ask.product is None else {member.id for member in subjects.members(ask.product, view.caller)}

    def fits(contract: SimulatedContract) -> bool:
        product, delivery = contract
        seen = product.id in wanted if wanted is not None else view.caller.rights.sees(product)
        return seen and ask.sequence in (None, delivery.sequence)

    def of(day: Day) -> Trades:
        fitting = np.array([fits(contract) for contract in day.contracts], dtype=bool)
        rows = lifecycle.is_own(day.inserted.chance)
        rows[rows] = fitting[day.inserted.place[rows]]
        return view.market.priced(day.contracts, day.inserted.take(rows))

    days = range(start // NS_PER_DAY, -(-end // NS_PER_DAY))
    return view.known(model.joined(of(view.market.day(day)) for day in days).between(start, end))


def last(parameters: Parameters, view: View) -> Payload:
    """``/trades/last``."""
    ask = rules.last(parameters, view.caller)
    found = last_before(view, ask.subject.contracts(), ask.at)
    columns = [PayloadColumn("price", numbers(found.price)), PayloadColumn("dealDate", found.time.tolist(), "time")]
    market = ask.subject.product.id if ask.subject.product.kind == "market" else None
    return Payload.of([*columns, _contracts(found, market, view)] if ask.fields else columns)


def last_before(view: View, contracts: list[SimulatedContract], at: int) -> Trades:
    """The last trade strictly before a moment, if there is one in the year before it."""
    found = model.NO_TRADES
    for days in _LOOKS:
        found = view.trades(contracts, at - days * NS_PER_DAY, min(at, view.caller.known))
        if len(found):
            break
    return found.take(slice(-1, None))


def contract(product: int | None, delivery: Delivery, market: int | None) -> dict[str, Any]:
    """A contract as answers tell it."""
    return {
        "contractType": wire_kind(delivery),
        "marketId": market,
        "instrumentId": product,
        "sequenceId": delivery.sequence.id,
        "sequenceItemId": delivery.ids[0],
        "secondSequenceItemId": delivery.ids[1] if len(delivery.ids) > 1 else None,
    }


CONTRACT_FIELDS = (
    "contractType",
    "marketId",
    "instrumentId",
    "sequenceId",
    "sequenceItemId",
    "secondSequenceItemId",
)


def wire_kind(delivery: Delivery) -> str:
    """The type of a contract in the answers' words, which are not the questions' (guide pp. 21, 28)."""
    return _WIRE_KINDS[delivery.kind]


# --- rows --------------------------------------------------------------------------------------------------------


def _copies(trades: Trades, shown: Shown) -> tuple[Integers, Integers]:
    """The number of a trade for every copy of it that is shown, and the id of that copy's route."""
    seen = np.stack([on_route(route, trades.on_second_route) for route in shown.wanted], axis=1)
    if shown.deduplicate:
        seen &= np.cumsum(seen, axis=1) == 1
    rows, places = np.nonzero(seen)
    return rows, np.array([number for number, _ in shown.wanted], dtype=np.int64)[places]


def on_route(route: Route, second: Bools) -> Bools:
    """Which rows are on a route: all on the first one, on the other those for which ``second`` says so."""
    return np.ones_like(second) if route == ROUTES[0] else second


def _columns(trades: Trades, private: Bools) -> tuple[PayloadColumn, ...]:
    """The columns that are always there; a private version's id does not say that it is public."""
    ids = [text.removesuffix(" Public") if hit else text for text, hit in zip(trades.id, private.tolist(), strict=True)]
    return (
        PayloadColumn("tradeId", ids, "text"),
        PayloadColumn("venueCode", list(trades.venue), "text"),
        PayloadColumn("dealDate", trades.time.tolist(), "time"),
        PayloadColumn("price", numbers(trades.price)),
        PayloadColumn("quantity", numbers(trades.quantity)),
        PayloadColumn("aggressorBuy", flags(trades.is_buy.tolist())),
    )


def _flags(trades: Trades, shown: Shown, private: Bools) -> list[PayloadColumn]:
    return [
        PayloadColumn(name, flags(_FLAGS[name](trades, private).tolist())) for name in shown.fields if name in _FLAGS
    ]


def _hits(salt: int, rarity: int) -> Callable[[Trades, Bools], Bools]:
    return lambda trades, _: hashing.one_in(trades.chance, salt, rarity)


# Sleeves are never shown on public trades (guide p. 13).
_FLAGS: dict[str, Callable[[Trades, Bools], Bools]] = {
    "fromBrokenSpread": lambda trades, _: trades.leg > 0,
    "initiatorOwnedSpread": _hits(32, 40),
    "aggressorOwnedSpread": _hits(33, 40),
    "aggressorSleeve": lambda trades, private: private & hashing.one_in(trades.chance, 34, 10),
    "initiatorSleeve": lambda trades, private: private & hashing.one_in(trades.chance, 35, 10),
}


def route_columns(routes: Integers, shown: Shown) -> list[PayloadColumn]:
    """The name and the id of each row's route, as far as they are shown."""
    listed = routes.tolist()
    names = [PayloadColumn("route", [_ROUTE_NAMES[number] for number in listed], "text")] if shown.with_name else []
    return names + ([PayloadColumn("routeId", list(map(str, listed)))] if "routeId" in shown.fields else [])


_ROUTE_NAMES = dict(ROUTES)


def _contracts(trades: Trades, market: int | None, view: View) -> PayloadColumn:
    """The contract of each row; a market's trades name the instrument that they are of."""
    texts = {}
    for place in np.unique(trades.place).tolist():
        product, delivery = trades.contracts[place]
        instrument = product.id if market is None or view.switches.instrument_ids != "null" else None
        texts[place] = nested(contract(instrument, delivery, universe.market_of(product) if market is None else market))
    return PayloadColumn("contract", [texts[place] for place in trades.place.tolist()], "object", CONTRACT_FIELDS)


def _own_side(trades: Trades) -> Integers:
    """0 where the key's owner was the aggressor, 1 where the initiator."""
    return ((trades.chance >> np.uint64(1)) & np.uint64(1)).astype(np.int64)


def _parties(own: int) -> dict[str, Any]:
    """Who dealt, as far as the owner may know: its own side."""
    fields: dict[str, Any] = {}
    for number, side in enumerate(("aggressor", "initiator")):
        ours = number == own
        fields[f"{side}CompanyId"] = 123 if ours else 0
        fields[f"{side}TraderCompanyName"] = "Sandbox Energy Ltd" if ours else ""
        fields[f"{side}TraderId"] = 4321 if ours else 0
        fields[f"{side}TraderName"] = "Sam Box" if ours else ""
        fields[f"{side}DerivativeIndicator"] = ours
    return {**fields, "productClassification": "RmMifid"}


def _party_columns(trades: Trades) -> list[PayloadColumn]:
    """The parties of each of one's own trades, a field a column."""
    parties = [_parties(side) for side in (0, 1)]
    sides = _own_side(trades).tolist()
    columns = []
    for name, value in parties[0].items():
        cells = [parties[side][name] for side in sides]
        is_text = isinstance(value, str)
        columns.append(
            PayloadColumn(name, cells, "text") if is_text else PayloadColumn(name, [nested(cell) for cell in cells])
        )
    return columns
