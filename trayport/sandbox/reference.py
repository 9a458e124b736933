"""Answers of the Reference Data API: products, sequences and items. They are JSON, whatever is accepted."""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Any

from . import catalogue, rules
from .catalogue import Item, Product
from .parameters import Parameters, not_found
from .wire import document


def products(kind: str) -> bytes:
    """``/instruments`` and ``/markets``."""
    return _product_list(kind)


def product(kind: str, number: int) -> bytes:
    """``/instruments/{id}`` and ``/markets/{id}``."""
    found = _product(kind, number)
    return document({**_entry(found), "tradingSpecifications": catalogue.specification(found)})


def sequences(kind: str, number: int) -> bytes:
    """``/instruments/{id}/sequences`` and ``/markets/{id}/sequences``."""
    found = catalogue.sequences_of(_product(kind, number))
    return document([{"id": s.id, "name": s.name, "sequenceItems": f"/sequences/{s.id}/sequenceItems"} for s in found])


def sequence_items(number: int, parameters: Parameters, today: datetime.date) -> bytes:
    """``/sequences/{id}/sequenceItems``: from the period that ends after startDate."""
    ask = rules.sequence_items(parameters, today)
    late = [item for item in _listed(number, today) if item.end is not None and item.end > ask.since]
    tenor = catalogue.SEQUENCES[number].tenor
    return document([_item(item, tenor) for item in late[: ask.count]])


def sequence_item(number: int, item_id: int, today: datetime.date) -> bytes:
    """``/sequences/{id}/sequenceItems/{itemId}``."""
    for item in _listed(number, today):
        if item.id == item_id:
            return document(_item(item, catalogue.SEQUENCES[number].tenor))
    raise not_found(f"item {item_id} of sequence {number}")


@lru_cache(maxsize=2)
def _product_list(kind: str) -> bytes:
    return document([_entry(product) for product in catalogue.products().values() if product.kind == kind])


def _entry(product: Product) -> dict[str, Any]:
    return {"id": product.id, "name": product.name, "sequences": f"/{product.kind}s/{product.id}/sequences"}


def _product(kind: str, number: int) -> Product:
    product = catalogue.products().get((kind, number))
    if product is None:
        raise not_found(f"{kind} {number}")
    return product


def _listed(number: int, today: datetime.date) -> tuple[Item, ...]:
    if number not in catalogue.SEQUENCES:
        raise not_found(f"sequence {number}")
    return catalogue.items(number, today)


def _item(item: Item, tenor: str) -> dict[str, Any]:
    """An item with its dates; those of trading are absent where it rolls, and for emissions (guide p. 29)."""
    said: dict[str, Any] = {"id": item.id, "name": item.name}
    traded = tenor not in ("prompt", "expiry")
    dates = {
        "periodStart": item.start,
        "periodEnd": item.end,
        "tradingStart": item.first if traded else None,
        "tradingEnd": item.last if traded else None,
    }
    return said | {name: f"{date}T00:00:00Z" for name, date in dates.items() if date is not None}
