"""Answers of ``/snapshots``: the last trade and the best orders of some contracts at one moment."""

from __future__ import annotations

import numpy as np

from . import books, orders, rules
from .deliveries import Delivery
from .model import SimulatedContract
from .parameters import Parameters
from .payload import Payload, PayloadColumn, decimal, nested
from .subjects import Subject
from .tape import CONTRACT_FIELDS, contract, last_before
from .universe import market_of
from .view import View

_SIDES = ("bidPrice", "bidQuantity", "askPrice", "askQuantity")


def snapshots(parameters: Parameters, view: View) -> Payload:
    """``/snapshots``; what is not there is null."""
    ask = rules.snapshots(parameters, view.caller)
    subject, listed = ask.subject, ask.subject.deliveries
    columns = [
        PayloadColumn("timestamp", [ask.at] * len(listed), "time", once=True),
        PayloadColumn(
            "contract", [_contract(subject, delivery, view) for delivery in listed], "object", CONTRACT_FIELDS
        ),
        PayloadColumn(
            "lastTrade",
            [_last_trade(subject, delivery, ask.at, view) for delivery in listed],
            "object",
            ("price", "dealDate"),
        ),
        PayloadColumn(
            "bestOrders", [_best_orders(subject, delivery, ask.at, view) for delivery in listed], "object", _SIDES
        ),
    ]
    return Payload.of(columns, f'{{"timestamp":{ask.at},"snapshots":[', "]}")


def _contract(subject: Subject, delivery: Delivery, view: View) -> str:
    """A market has no one instrument: the sample says null (guide p. 25), and where it is filled, its first is."""
    product = subject.product
    if product.kind == "instrument":
        return nested(contract(product.id, delivery, market_of(product)))
    filled = view.switches.instrument_ids == "filled" and subject.members
    return nested(contract(subject.members[0].id if filled else None, delivery, product.id))


def _last_trade(subject: Subject, delivery: Delivery, at: int, view: View) -> str:
    found = last_before(view, [SimulatedContract(member, delivery) for member in subject.members], at)
    if not len(found):
        return "null"
    return f'{{"price":{decimal(int(found.price[0]))},"dealDate":{int(found.time[0])}}}'


def _best_orders(subject: Subject, delivery: Delivery, at: int, view: View) -> str:
    if not view.caller.rights.books:
        return "null"
    stamps = np.array([min(at, view.caller.known)], dtype=np.int64)
    desks = orders.books_of(view.market, [SimulatedContract(member, delivery) for member in subject.members])
    seen = [desk for desk in desks if any(desk.is_on(route) for route in view.caller.routes)]
    found = books.best(view, seen, stamps)
    fields = ",".join(f'"{column.name}":{column.cells[0]}' for column in found.columns())
    return f"{{{fields}}}" if found.there.any() else "null"
