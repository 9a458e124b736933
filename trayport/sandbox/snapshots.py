"""Answers of ``/snapshots``: the last trade and the best orders of some contracts at one moment."""

from __future__ import annotations

import numpy as np

from . import books, orders, rules
from .catalogue import market_of
from .deliveries import Delivery
from .model import Contract
from .parameters import Parameters
from .subjects import Subject
from .tape import contract, last_before
from .view import View
from .wire import decimal, nested


def snapshots(parameters: Parameters, view: View) -> bytes:
    """``/snapshots``; what is not there is null, and a market's contracts name no instrument (guide p. 25)."""
    ask = rules.snapshots(parameters, view.clock)
    rows = ",".join(_snapshot(ask.subject, delivery, ask.at, view) for delivery in ask.subject.deliveries)
    return f'{{"timestamp":{ask.at},"snapshots":[{rows}]}}'.encode()


def _snapshot(subject: Subject, delivery: Delivery, at: int, view: View) -> str:
    product = subject.product
    ids = (None, product.id) if product.kind == "market" else (product.id, market_of(product))
    said = nested(contract(ids[0], delivery, ids[1]))
    last, best = _last_trade(subject, delivery, at, view), _best_orders(subject, delivery, at, view)
    return f'{{"contract":{said},"lastTrade":{last},"bestOrders":{best}}}'


def _last_trade(subject: Subject, delivery: Delivery, at: int, view: View) -> str:
    found = last_before(view, [Contract(member, delivery) for member in subject.members], at)
    if not len(found):
        return "null"
    return f'{{"price":{decimal(int(found.price[0]))},"dealDate":{int(found.time[0])}}}'


def _best_orders(subject: Subject, delivery: Delivery, at: int, view: View) -> str:
    stamps = np.array([min(at, view.clock.now)], dtype=np.int64)
    found = books.best(view, delivery, orders.desks(view.market, subject.members, delivery), stamps)
    fields = ",".join(f'"{column.name}":{column.cells[0]}' for column in found.columns())
    return f"{{{fields}}}" if found.there.any() else "null"
