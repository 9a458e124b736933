"""Answers about orders: ``/orders/book/top`` and ``/orders/book``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from attrs import evolve, frozen

from . import orders, rules
from .calendar import NS_PER_MS
from .hashing import Bools, Integers
from .keys import ROUTES, Route
from .orders import FIRM, PUBLIC, WITHHELD, Hours, Side, VenueBook
from .parameters import Parameters
from .payload import Payload, PayloadColumn, PayloadTable, decimal, nested, numbers
from .rules import BooksRequest, Shown
from .subjects import Subject
from .tape import route_columns
from .view import View

# So many orders of a side at once: a deep book of a market holds dozens at each moment.
_BLOCK = 16_384

_Seen: TypeAlias = list[tuple[VenueBook, Route]]
"""Desks, each with the route that its orders are shown by."""


def tops(parameters: Parameters, view: View) -> Payload:
    """``/orders/book/top``.

    How a row names its routes is not documented. Here it is one route a row, ``route`` and ``routeId`` as with
    trades: the best of all asked routes, or with deduplicateRoutes=false a row for each.
    """
    ask = rules.tops(parameters, view.caller)
    stamps = _stamps(ask, view)
    together = ask.shown.deduplicate or len(ask.shown.wanted) == 1
    asked = [ask.shown.wanted] if together else [(route,) for route in ask.shown.wanted]

    def make(block: slice) -> PayloadTable:
        parts = [_tops(ask, view, stamps[block], routes) for routes in asked]
        times = np.concatenate([times for times, _ in parts])
        order = np.argsort(times, kind="stable").tolist()
        columns = [PayloadColumn("timestamp", times[order].tolist(), "time")]
        for alike in zip(*(columns for _, columns in parts), strict=True):
            cells = [cell for column in alike for cell in column.cells]
            columns.append(PayloadColumn(alike[0].name, [cells[row] for row in order], alike[0].kind))
        return PayloadTable(tuple(columns))

    return Payload.blocks(len(stamps), make)


def _tops(
    ask: BooksRequest, view: View, stamps: Integers, routes: tuple[Route, ...]
) -> tuple[Integers, list[PayloadColumn]]:
    """The times and the other columns of the rows that show the best of some routes."""
    seen = _seen(view, ask.subject, evolve(ask.shown, routes=routes, deduplicate=True))
    found = best(view, [desk for desk, _ in seen], stamps)
    rows = slice(None) if ask.include_empty else found.there.any(axis=0)
    found = Best(found.there[:, rows], found.price[:, rows], found.quantity[:, rows], found.desk[:, rows])
    columns = found.columns()
    if "venueCode" in ask.shown.fields:
        for name, there, places in zip(("bid", "ask"), found.there.tolist(), found.desk.tolist(), strict=True):
            cells = [seen[place][0].venue if hit else None for hit, place in zip(there, places, strict=True)]
            columns.append(PayloadColumn(f"{name}VenueCode", cells, "text"))
    number = np.full(found.there.shape[1], routes[0][0], dtype=np.int64)
    return stamps[rows], columns + route_columns(number, ask.shown)


@frozen
class Best:
    """The best bid (in the first row) and the best ask (in the second) at each moment."""

    there: Bools
    price: Integers
    quantity: Integers
    desk: Integers

    def columns(self) -> list[PayloadColumn]:
        """Price and quantity of both sides; null where there is none."""
        found = []
        for row, name in enumerate(("bid", "ask")):
            there = self.there[row].tolist()
            for what, values in (("Price", self.price[row]), ("Quantity", self.quantity[row])):
                cells = [cell if hit else "null" for hit, cell in zip(there, numbers(values), strict=True)]
                found.append(PayloadColumn(name + what, cells))
        return found


def best(view: View, desks: list[VenueBook], stamps: Integers) -> Best:
    """The best orders of some desks at each moment (ns since 1970)."""
    nothing = np.zeros((2, len(stamps)), dtype=np.int64)
    found = Best(nothing > 0, nothing, nothing.copy(), nothing.copy())
    hours, is_open = Hours.of(stamps // NS_PER_MS)
    for row, side in enumerate(orders.sides(view.market, desks, hours, 1)):
        for name in ("there", "price", "quantity", "desk") if side.there.size else ():
            getattr(found, name)[row, is_open] = getattr(side, name)[:, 0]
    return found


def books(parameters: Parameters, view: View) -> Payload:
    """``/orders/book``."""
    ask = rules.books(parameters, view.caller)
    stamps = _stamps(ask, view)
    seen = _seen(view, ask.subject, ask.shown)
    leaves = ("price", "quantity", *_tail_fields(ask.shown))
    if ask.include_private:
        leaves += tuple(f"privateFields.{name}" for name in _private_fields("Firm"))

    def make(block: slice) -> PayloadTable:
        hours, is_open = Hours.of(stamps[block] // NS_PER_MS)
        texts = dict(_texts(ask, view, seen, hours, np.flatnonzero(is_open).tolist()))
        rows = list(range(len(is_open))) if ask.include_empty else sorted(texts)
        sides = [[f"[{texts.get(row, ('', ''))[side]}]" for row in rows] for side in (0, 1)]
        times = PayloadColumn("timestamp", stamps[block][rows].tolist(), "time")
        found = [
            PayloadColumn(name, cells, "orders", leaves) for name, cells in zip(("bids", "asks"), sides, strict=True)
        ]
        return PayloadTable((times, *found))

    return Payload.blocks(len(stamps), make, max(64, _BLOCK // max(1, min(ask.depth, 12 * len(seen)))))


def _texts(
    ask: BooksRequest, view: View, seen: _Seen, hours: Hours, rows: list[int]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """The orders of both sides at each moment at which there are any, by the moment's row."""
    tails = [_order_tail(desk, route, ask.shown) for desk, route in seen]
    desks = [desk for desk, _ in seen]
    found = orders.sides(view.market, desks, hours, ask.depth, ask.include_private)
    near = [side if ask.max_spread is None else side.within(ask.max_spread) for side in found]
    for row, bids, asks in zip(rows, *(_orders(side, tails) for side in near), strict=True):
        if bids or asks:
            yield row, (bids, asks)


def _orders(side: Side, tails: list[str]) -> list[str]:
    """The orders of a side in JSON, one text for each moment."""
    columns = (side.price, side.quantity, side.desk, side.status)
    price, quantity, desk, status = (column[side.there].tolist() for column in columns)
    texts = [
        f'{{"price":{decimal(price)},"quantity":{decimal(quantity)}{tails[desk]}{_PRIVATE[status]}}}'
        for price, quantity, desk, status in zip(price, quantity, desk, status, strict=True)
    ]
    ends = np.cumsum(side.there.sum(axis=1)).tolist()
    return [",".join(texts[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _tail_fields(shown: Shown) -> list[str]:
    """What an order says beside its price and quantity."""
    names = ["venueCode"] if "venueCode" in shown.fields else []
    return names + [column.name for column in route_columns(np.array([ROUTES[0][0]]), shown)]


def _order_tail(desk: VenueBook, route: Route, shown: Shown) -> str:
    columns = route_columns(np.array([route[0]]), shown)
    said = {"venueCode": nested(desk.venue)} | {column.name: column.json()[0] for column in columns}
    return "".join(f',"{name}":{said[name]}' for name in _tail_fields(shown))


def _private_fields(status: str) -> dict[str, Any]:
    return {
        "clientOrderId": "",
        "orderStatus": status,
        "lastModifierUserId": 4321,
        "hiddenQuantity": 0,
        "ownerUserId": 4321,
        "ownerCompanyId": 123,
        "originalHiddenQuantity": 0,
        "hiddenQtyPriceDelta": 0,
    }


_PRIVATE = {PUBLIC: ""} | {
    number: f',"privateFields":{nested(_private_fields(status))}'
    for number, status in ((FIRM, "Firm"), (WITHHELD, "Withheld"))
}


def _seen(view: View, subject: Subject, shown: Shown) -> _Seen:
    """The desks that are on the routes asked for, once for each route, or once at all."""
    seen: _Seen = []
    for desk in orders.books_of(view.market, subject.contracts()):
        routes = [route for route in shown.wanted if desk.is_on(route)]
        seen += [(desk, route) for route in (routes[:1] if shown.deduplicate else routes)]
    return seen


def _stamps(ask: BooksRequest, view: View) -> Integers:
    """The moments that a question asks for, as far as the key may see them; ``Sandbox`` says how they are read."""
    switches = view.switches
    first = ask.start + (0 if switches.books == "start" else ask.step)
    with_until = switches.books == "end" or switches.until == "inclusive"
    stop = min(ask.until + with_until, view.caller.known + 1)
    return np.arange(first, stop, ask.step, dtype=np.int64)
