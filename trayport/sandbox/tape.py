"""Answers about single trades: ``/trades``, ``/trades/private`` and ``/trades/last``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..venues import VENUES
from . import catalogue, dice, model, rules, subjects
from .deliveries import Delivery, Kind
from .dice import Bools, Integers
from .model import NS_PER_DAY, Contract, Day, Trades
from .parameters import Parameters
from .rules import ROUTES, Route, Shown
from .view import View
from .wire import Column, Table, flags, nested, numbers

_WIRE_KINDS: dict[Kind, str] = {"single": "SinglePeriod", "spread": "PeriodSpread", "range": "PeriodRange"}
_SEPARATE_FEED = np.array([VENUES[code].separate_private_feed for code in model.VENUES])

# Each flag with its bits, and how many trades there are to one that has it; sleeves are never set on public trades
# (guide p. 13).
_FLAGS = {"fromBrokenSpread": (31, 80), "initiatorOwnedSpread": (32, 40), "aggressorOwnedSpread": (33, 40)}

# So many days back the last trade is looked for, wider and wider; within a year (guide p. 19).
_LOOKS = (2, 12, 60, 365)


def trades(parameters: Parameters, view: View) -> Table:
    """``/trades``."""
    ask = rules.trades(parameters, view.clock)
    found = view.trades(ask.subject.contracts(), ask.start, view.end(ask.until))
    rows, routes = _copies(found, ask.shown)
    private = np.zeros(len(rows), dtype=bool)
    if ask.include_private:
        own = found.own[rows]
        # One's own come twice where the venue has a feed of its own for them: once private, and once like any other.
        versions = np.stack([own, ~own | _SEPARATE_FEED[found.venue_number[rows]]], axis=1)
        copies, version = np.nonzero(versions)
        rows, routes, private = rows[copies], [routes[copy] for copy in copies.tolist()], version == 0
    shown = found.take(rows)
    tails = [""] * len(rows)
    if "contract" in ask.shown.fields:
        tails = _contracts(shown, ask.subject.product.id if ask.subject.product.kind == "market" else None)
    if ask.include_private:
        known = [f',"privateFields":{nested(_parties(side))}' for side in (0, 1)]
        sides = _own_side(shown).tolist()
        tails = [
            tail + known[side] if hit else tail for tail, side, hit in zip(tails, sides, private.tolist(), strict=True)
        ]
    columns = (*_columns(shown, private), *_flags(shown, ask.shown), *route_columns(routes, ask.shown))
    return Table(columns, tails if ask.include_private or "contract" in ask.shown.fields else None)


def private(parameters: Parameters, view: View) -> Table:
    """``/trades/private``: one's own trades, with what is known of the parties flat beside the rest."""
    ask = rules.private(parameters, view.clock)
    end = view.end(ask.until)
    if ask.subject is not None:
        found = view.trades(ask.subject.contracts(), ask.start, end)
        found = found.take(found.own)
    else:
        found = _everywhere(ask, view, end)
    rows, routes = _copies(found, ask.shown)
    shown = found.take(rows)
    head = list(_columns(shown, np.ones(len(rows), dtype=bool)))
    updated = np.where(shown.last_updated <= view.clock.now, shown.last_updated, shown.time)
    head.insert(3, Column("lastUpdated", updated.tolist(), "time"))
    parties = [_parties(side) for side in (0, 1)]
    sides = _own_side(shown).tolist()
    known = [_party_column(name, [parties[side][name] for side in sides]) for name in parties[0]]
    columns = (*head, *_flags(shown, ask.shown), *route_columns(routes, ask.shown), *known)
    market = ask.product.id if ask.product is not None and ask.product.kind == "market" else None
    pinned = ask.subject is not None and "contract" not in ask.shown.fields
    return Table(columns, None if pinned else _contracts(shown, market))


def _everywhere(ask: rules.Private, view: View, end: int) -> Trades:
    """One's own trades of whatever the question leaves open."""
    wanted = None if ask.product is None else {member.id for member in subjects.members(ask.product)}

    def fits(contract: Contract) -> bool:
        product, delivery = contract
        return (wanted is None or product.id in wanted) and ask.sequence in (None, delivery.sequence)

    def of(day: Day) -> Trades:
        fitting = np.array([fits(contract) for contract in day.contracts], dtype=bool)
        rows = model.is_own(day.inserted.chance)
        rows[rows] = fitting[day.inserted.cell[rows]]
        return view.market.some(day, rows)

    days = range(ask.start // NS_PER_DAY, -(-end // NS_PER_DAY))
    return model.joined(of(view.market.day(day)) for day in days).between(ask.start, end)


def last(parameters: Parameters, view: View) -> Table:
    """``/trades/last``."""
    ask = rules.last(parameters, view.clock)
    found = last_before(view, ask.subject.contracts(), ask.at)
    columns = (Column("price", numbers(found.price)), Column("dealDate", found.time.tolist(), "time"))
    market = ask.subject.product.id if ask.subject.product.kind == "market" else None
    return Table(columns, _contracts(found, market) if ask.fields else None)


def last_before(view: View, contracts: list[Contract], at: int) -> Trades:
    """The last trade strictly before a moment, if there is one in the year before it."""
    at = min(at, view.clock.now)
    found = model.NO_TRADES
    for days in _LOOKS:
        found = view.trades(contracts, at - days * NS_PER_DAY, at)
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


def wire_kind(delivery: Delivery) -> str:
    """The type of a contract in the answers' words, which are not the questions' (guide pp. 21, 28)."""
    return _WIRE_KINDS[delivery.kind]


# --- rows --------------------------------------------------------------------------------------------------------


def _copies(trades: Trades, shown: Shown) -> tuple[Integers, list[Route]]:
    """The number of a trade for every copy of it that is shown, and that copy's route."""
    seen = np.stack([on_route(route, trades.on_second_route) for route in shown.wanted], axis=1)
    if shown.deduplicate:
        seen &= np.cumsum(seen, axis=1) == 1
    rows, places = np.nonzero(seen)
    return rows, [shown.wanted[place] for place in places.tolist()]


def on_route(route: Route, second: Bools) -> Bools:
    """Which rows are on a route: all on the first one, on the other those for which ``second`` says so."""
    return np.ones_like(second) if route == ROUTES[0] else second


def _columns(trades: Trades, private: Bools) -> tuple[Column, ...]:
    """The columns that are always there; a private version's id does not say that it is public."""
    ids = [text.removesuffix(" Public") if hit else text for text, hit in zip(trades.id, private.tolist(), strict=True)]
    return (
        Column("tradeId", ids, "text"),
        Column("venueCode", list(trades.venue), "text"),
        Column("dealDate", trades.time.tolist(), "time"),
        Column("price", numbers(trades.price)),
        Column("quantity", numbers(trades.quantity)),
        Column("aggressorBuy", flags((trades.chance & np.uint64(1)).astype(bool).tolist())),
    )


def _flags(trades: Trades, shown: Shown) -> list[Column]:
    columns = []
    for name in shown.fields:
        if name in _FLAGS:
            salt, rarity = _FLAGS[name]
            hits = dice.hits(trades.chance, salt, rarity)
        elif name.endswith("Sleeve"):
            hits = np.zeros(len(trades), dtype=bool)
        else:
            continue
        columns.append(Column(name, flags(hits.tolist())))
    return columns


def route_columns(routes: list[Route], shown: Shown) -> list[Column]:
    """The name and the id of each row's route, as far as they are shown."""
    names = [Column("route", [name for _, name in routes], "text")] if shown.with_name else []
    return names + ([Column("routeId", [str(number) for number, _ in routes])] if "routeId" in shown.fields else [])


def _contracts(trades: Trades, market: int | None) -> list[str]:
    """The contract of each row; a market's trades name the instrument that they are of."""
    texts = [
        nested(contract(product.id, delivery, catalogue.market_of(product) if market is None else market))
        for product, delivery in trades.contracts
    ]
    return [f',"contract":{texts[place]}' for place in trades.place.tolist()]


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


def _party_column(name: str, values: list[Any]) -> Column:
    texts = all(isinstance(value, str) for value in values)
    return Column(name, values, "text") if texts else Column(name, [nested(value) for value in values])
