"""Responses about orders: ``/orders/book/top`` and ``/orders/book``."""

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
from .rules import BooksRequest, RowOptions
from .subjects import Subject
from .tape import route_columns
from .view import View

# Maximum number of orders of a side that are made together: a deep book has dozens at each of many times.
_MAX_ORDERS = 16_384

_RoutedBooks: TypeAlias = list[tuple[VenueBook, Route]]
"""Venue books, each with the route of its orders."""


def tops(parameters: Parameters, view: View) -> Payload:
    """Return the rows of ``/orders/book/top``.

    How rows name their routes is not documented. Here a row has one route, ``route`` and ``routeId`` as in
    trades: by default the row with the best orders of all requested routes, and with deduplicateRoutes=false one row
    for each route.
    """
    request = rules.tops(parameters, view.caller)
    times = _times(request, view)
    routes = request.options.selected_routes
    route_groups = [routes] if request.options.deduplicate or len(routes) == 1 else [(route,) for route in routes]

    def make(block: slice) -> PayloadTable:
        parts = [_tops(request, view, times[block], group) for group in route_groups]
        row_times = np.concatenate([part_times for part_times, _ in parts])
        order = np.argsort(row_times, kind="stable").tolist()
        columns = [PayloadColumn("timestamp", row_times[order].tolist(), "time")]
        for same_name in zip(*(columns for _, columns in parts), strict=True):
            cells = [cell for column in same_name for cell in column.cells]
            columns.append(PayloadColumn(same_name[0].name, [cells[row] for row in order], same_name[0].kind))
        return PayloadTable(tuple(columns))

    return Payload.blocks(len(times), make)


def _tops(
    request: BooksRequest, view: View, times: Integers, routes: tuple[Route, ...]
) -> tuple[Integers, list[PayloadColumn]]:
    """Return the times and the other columns of the rows with the best orders of some routes."""
    shown = _routed_books(view, request.subject, evolve(request.options, routes=routes, deduplicate=True))
    found = best(view, [book for book, _ in shown], times)
    rows = slice(None) if request.include_empty else found.exists.any(axis=0)
    found = Best(found.exists[:, rows], found.price[:, rows], found.quantity[:, rows], found.book[:, rows])
    columns = found.columns()
    if "venueCode" in request.options.fields:
        for name, exists, books in zip(("bid", "ask"), found.exists.tolist(), found.book.tolist(), strict=True):
            cells = [shown[book][0].venue if has_order else None for has_order, book in zip(exists, books, strict=True)]
            columns.append(PayloadColumn(f"{name}VenueCode", cells, "text"))
    route_ids = np.full(found.exists.shape[1], routes[0][0], dtype=np.int64)
    return times[rows], columns + route_columns(route_ids, request.options)


@frozen
class Best:
    """The best bid (row 0) and the best ask (row 1) at each time (columns)."""

    exists: Bools
    price: Integers
    quantity: Integers
    book: Integers
    """Index of the order's venue book."""

    def columns(self) -> list[PayloadColumn]:
        """Return the columns with price and quantity of both sides; a missing order is null."""
        columns = []
        for row, side in enumerate(("bid", "ask")):
            exists = self.exists[row].tolist()
            for name, values in (("Price", self.price[row]), ("Quantity", self.quantity[row])):
                cells = [cell if has_order else "null" for has_order, cell in zip(exists, numbers(values), strict=True)]
                columns.append(PayloadColumn(side + name, cells))
        return columns


def best(view: View, venue_books: list[VenueBook], times: Integers) -> Best:
    """Return the best orders of some venue books at each time, in nanoseconds since 1970."""
    zeros = np.zeros((2, len(times)), dtype=np.int64)
    found = Best(zeros > 0, zeros, zeros.copy(), zeros.copy())
    hours, is_open = Hours.of(times // NS_PER_MS)
    for row, side in enumerate(orders.sides(view.market, venue_books, hours, 1)):
        for name in ("exists", "price", "quantity", "book") if side.exists.size else ():
            getattr(found, name)[row, is_open] = getattr(side, name)[:, 0]
    return found


def books(parameters: Parameters, view: View) -> Payload:
    """Return the rows of ``/orders/book``."""
    request = rules.books(parameters, view.caller)
    times = _times(request, view)
    shown = _routed_books(view, request.subject, request.options)
    leaves = ("price", "quantity", *_tail_fields(request.options))
    if request.include_private:
        leaves += tuple(f"privateFields.{name}" for name in _private_fields("Firm"))

    def make(block: slice) -> PayloadTable:
        hours, is_open = Hours.of(times[block] // NS_PER_MS)
        texts = dict(_books(request, view, shown, hours, np.flatnonzero(is_open).tolist()))
        rows = list(range(len(is_open))) if request.include_empty else sorted(texts)
        columns = [PayloadColumn("timestamp", times[block][rows].tolist(), "time")]
        for side, name in enumerate(("bids", "asks")):
            cells = [f"[{texts.get(row, ('', ''))[side]}]" for row in rows]
            columns.append(PayloadColumn(name, cells, "orders", leaves))
        return PayloadTable(tuple(columns))

    orders_at_a_time = max(1, min(request.depth, 12 * len(shown)))
    return Payload.blocks(len(times), make, max(64, _MAX_ORDERS // orders_at_a_time))


def _books(
    request: BooksRequest, view: View, shown: _RoutedBooks, hours: Hours, rows: list[int]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the row and the orders of both sides, for each time with any order."""
    tails = [_order_tail(book, route, request.options) for book, route in shown]
    found = orders.sides(view.market, [book for book, _ in shown], hours, request.depth, request.include_private)
    near = [side if request.max_spread is None else side.near_best(request.max_spread) for side in found]
    for row, bids, asks in zip(rows, *(_orders(side, tails) for side in near), strict=True):
        if bids or asks:
            yield row, (bids, asks)


def _orders(side: Side, tails: list[str]) -> list[str]:
    """Return the orders of a side in JSON, one text for each time."""
    columns = (side.price, side.quantity, side.book, side.status)
    price, quantity, book, status = (column[side.exists].tolist() for column in columns)
    texts = [
        f'{{"price":{decimal(price)},"quantity":{decimal(quantity)}{tails[book]}{_PRIVATE[status]}}}'
        for price, quantity, book, status in zip(price, quantity, book, status, strict=True)
    ]
    ends = np.cumsum(side.exists.sum(axis=1)).tolist()
    return [",".join(texts[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _tail_fields(options: RowOptions) -> list[str]:
    """Return the fields of an order after its price and quantity."""
    names = ["venueCode"] if "venueCode" in options.fields else []
    return names + [column.name for column in route_columns(np.array([ROUTES[0][0]]), options)]


def _order_tail(book: VenueBook, route: Route, options: RowOptions) -> str:
    columns = route_columns(np.array([route[0]]), options)
    values = {"venueCode": nested(book.venue)} | {column.name: column.json()[0] for column in columns}
    return "".join(f',"{name}":{values[name]}' for name in _tail_fields(options))


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


def _routed_books(view: View, subject: Subject, options: RowOptions) -> _RoutedBooks:
    """Return the venue books on the selected routes: once each, or without deduplication once for each route."""
    shown: _RoutedBooks = []
    for book in orders.books_of(view.market, subject.contracts()):
        routes = [route for route in options.selected_routes if book.is_on(route)]
        shown += [(book, route) for route in (routes[:1] if options.deduplicate else routes)]
    return shown


def _times(request: BooksRequest, view: View) -> Integers:
    """Return the times of a request up to the end of the available data; ``Switches.books`` defines their position."""
    switches = view.switches
    first = request.start + (0 if switches.books == "start" else request.step)
    includes_until = switches.books == "end" or switches.until == "inclusive"
    stop = min(request.until + includes_until, view.caller.known + 1)
    return np.arange(first, stop, request.step, dtype=np.int64)
