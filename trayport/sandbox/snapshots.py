"""Response of ``/snapshots``: the last trade and the best orders of some contracts at one time.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import numpy as np

from . import order_books, orders, rules
from .deliveries import Delivery
from .model import SimulatedContract
from .parameters import Parameters
from .payload import Payload, PayloadColumn, decimal, nested
from .subjects import Subject
from .tape import CONTRACT_FIELDS, contract_object, last_trade_before
from .universe import market_of
from .view import View

_SIDES = ("bidPrice", "bidQuantity", "askPrice", "askQuantity")


def snapshots(parameters: Parameters, view: View) -> Payload:
    """Return the rows of ``/snapshots``; missing values are null."""
    request = rules.snapshots(parameters, view.caller)
    subject, deliveries = request.subject, request.subject.deliveries
    contracts = [_contract(subject, delivery, view) for delivery in deliveries]
    last_trades = [_last_trade(subject, delivery, request.at, view) for delivery in deliveries]
    best_orders = [_best_orders(subject, delivery, request.at, view) for delivery in deliveries]
    columns = [
        PayloadColumn("timestamp", [request.at] * len(deliveries), "time", before_rows=True),
        PayloadColumn("contract", contracts, "object", CONTRACT_FIELDS),
        PayloadColumn("lastTrade", last_trades, "object", ("price", "dealDate")),
        PayloadColumn("bestOrders", best_orders, "object", _SIDES),
    ]
    return Payload.of(columns, f'{{"timestamp":{request.at},"snapshots":[', "]}")


def _contract(subject: Subject, delivery: Delivery, view: View) -> str:
    """Return the contract of a row; a market has no instrument (guide p. 25), or by the switch its first one."""
    product = subject.product
    if product.kind == "instrument":
        return nested(contract_object(product.id, delivery, market_of(product)))
    has_instrument = view.switches.instrument_ids == "filled" and subject.members
    return nested(contract_object(subject.members[0].id if has_instrument else None, delivery, product.id))


def _last_trade(subject: Subject, delivery: Delivery, at: int, view: View) -> str:
    found = last_trade_before(view, [SimulatedContract(member, delivery) for member in subject.members], at)
    if not len(found):
        return "null"
    return f'{{"price":{decimal(int(found.price[0]))},"dealDate":{int(found.time[0])}}}'


def _best_orders(subject: Subject, delivery: Delivery, at: int, view: View) -> str:
    if not view.caller.rights.books:
        return "null"
    times = np.array([min(at, view.caller.known)], dtype=np.int64)
    listed = orders.books_of(view.market, [SimulatedContract(member, delivery) for member in subject.members])
    shown = [book for book in listed if any(book.is_on(route) for route in view.caller.routes)]
    best = order_books.best(view, shown, times)
    fields = ",".join(f'"{column.name}":{column.cells[0]}' for column in best.columns())
    return f"{{{fields}}}" if best.exists.any() else "null"
