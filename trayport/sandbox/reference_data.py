"""Answers of the Reference Data API: products, sequences and items. They are JSON, whatever is accepted."""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Any

from attrs import frozen

from . import rules, universe
from .parameters import Parameters, not_found
from .payload import document
from .switches import Dates
from .universe import Item, Product


@frozen
class Reference:
    """A question's parameters, the day on which it is asked, and how dates look that are not there."""

    parameters: Parameters
    today: datetime.date
    dates: Dates


def products(_: Reference, kind: str) -> bytes:
    """``/instruments`` and ``/markets``."""
    return _product_list(kind)


def product(_: Reference, kind: str, number: str) -> bytes:
    """``/instruments/{id}`` and ``/markets/{id}``."""
    found = _product(kind, number)
    return document({**_entry(found), "tradingSpecifications": universe.specification(found)})


def sequences(_: Reference, kind: str, number: str) -> bytes:
    """``/instruments/{id}/sequences`` and ``/markets/{id}/sequences``."""
    found = universe.sequences_of(_product(kind, number))
    return document([{"id": s.id, "name": s.name, "sequenceItems": f"/sequences/{s.id}/sequenceItems"} for s in found])


def sequence_items(about: Reference, number: str) -> bytes:
    """``/sequences/{id}/sequenceItems``: from the period that ends after startDate."""
    ask = rules.sequence_items(about.parameters, about.today)
    late = [item for item in _listed(number, about) if item.end is not None and item.end > ask.since]
    return document([_item(item, number, about) for item in late[: ask.count]])


def sequence_item(about: Reference, number: str, item_id: str) -> bytes:
    """``/sequences/{id}/sequenceItems/{itemId}``."""
    for item in _listed(number, about):
        if item.id == int(item_id):
            return document(_item(item, number, about))
    raise not_found(f"item {item_id} of sequence {number}")


@lru_cache(maxsize=2)
def _product_list(kind: str) -> bytes:
    return document([_entry(product) for product in universe.products().values() if product.kind == kind])


def _entry(product: Product) -> dict[str, Any]:
    return {"id": product.id, "name": product.name, "sequences": f"/{product.kind}s/{product.id}/sequences"}


def _product(kind: str, number: str) -> Product:
    product = universe.products().get((kind, int(number)))
    if product is None:
        raise not_found(f"{kind} {number}")
    return product


def _listed(number: str, about: Reference) -> tuple[Item, ...]:
    if int(number) not in universe.SEQUENCES:
        raise not_found(f"sequence {number}")
    return universe.items(int(number), about.today)


def _item(item: Item, number: str, about: Reference) -> dict[str, Any]:
    """An item with its dates; of trading there are none where it rolls, and for emissions (guide p. 29)."""
    traded = universe.SEQUENCES[int(number)].tenor not in ("prompt", "expiry")
    known = {
        "periodStart": item.start,
        "periodEnd": item.end,
        "tradingStart": item.first if traded else None,
        "tradingEnd": item.last if traded else None,
    }
    written = {name: None if date is None else f"{date}T00:00:00Z" for name, date in known.items()}
    shown = {name: date for name, date in written.items() if date is not None or about.dates == "null"}
    return {"id": item.id, "name": item.name, **shown}
