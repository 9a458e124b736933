"""Responses of the Reference Data API: products, sequences and items, always in JSON.

Page numbers refer to the API guide, see docs/sources.md.
"""

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
class ReferenceRequest:
    """The parameters of a request, the current day of the server, and the spelling of missing dates."""

    parameters: Parameters
    today: datetime.date
    dates: Dates


def products(_: ReferenceRequest, kind: str) -> bytes:
    """Return the body of ``/instruments`` and ``/markets``."""
    return _product_list(kind)


def product(_: ReferenceRequest, kind: str, number: str) -> bytes:
    """Return the body of ``/instruments/{id}`` and ``/markets/{id}``."""
    found = _product(kind, number)
    return document({**_entry(found), "tradingSpecifications": universe.specification(found)})


def sequences(_: ReferenceRequest, kind: str, number: str) -> bytes:
    """Return the body of ``/instruments/{id}/sequences`` and ``/markets/{id}/sequences``."""
    found = universe.sequences_of(_product(kind, number))
    return document([{"id": s.id, "name": s.name, "sequenceItems": f"/sequences/{s.id}/sequenceItems"} for s in found])


def sequence_items(request: ReferenceRequest, number: str) -> bytes:
    """Return the body of ``/sequences/{id}/sequenceItems``, from the first period that ends after startDate on."""
    asked = rules.sequence_items(request.parameters, request.today)
    found = [item for item in _listed(number, request) if item.end is not None and item.end > asked.since]
    return document([_item(item, number, request) for item in found[: asked.count]])


def sequence_item(request: ReferenceRequest, number: str, item_id: str) -> bytes:
    """Return the body of ``/sequences/{id}/sequenceItems/{itemId}``."""
    for item in _listed(number, request):
        if item.id == int(item_id):
            return document(_item(item, number, request))
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


def _listed(number: str, request: ReferenceRequest) -> tuple[Item, ...]:
    if int(number) not in universe.SEQUENCES:
        raise not_found(f"sequence {number}")
    return universe.items(int(number), request.today)


def _item(item: Item, number: str, request: ReferenceRequest) -> dict[str, Any]:
    """Return an item with its dates; rolling items and emissions have no dates of trading (guide p. 29)."""
    has_trading_dates = universe.SEQUENCES[int(number)].tenor not in ("prompt", "expiry")
    known = {
        "periodStart": item.start,
        "periodEnd": item.end,
        "tradingStart": item.first if has_trading_dates else None,
        "tradingEnd": item.last if has_trading_dates else None,
    }
    written = {name: None if date is None else f"{date}T00:00:00Z" for name, date in known.items()}
    shown = {name: date for name, date in written.items() if date is not None or request.dates == "null"}
    return {"id": item.id, "name": item.name, **shown}
