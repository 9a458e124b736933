"""Contract specifiers: product, sequence and items of a request (guide pp. 27-29).

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime

from attrs import frozen

from . import universe
from .deliveries import Delivery, Kind
from .keys import Caller
from .model import SimulatedContract
from .parameters import Parameters, bad_request, date_at, not_found
from .universe import Product, Sequence

_MAX_ITEMS = 50
_KINDS: dict[str, Kind] = {
    "singleperiod": "single",
    "spread": "spread",
    "periodspread": "spread",
    "range": "range",
    "periodrange": "range",
}


@frozen
class Subject:
    """Contracts of a request; deliveries with unknown item ids are left out."""

    product: Product
    members: tuple[Product, ...]
    """Instruments whose trades and orders are in the response."""
    sequence: Sequence
    deliveries: tuple[Delivery, ...]

    def contracts(self) -> list[SimulatedContract]:
        """Return the contracts of the response: all deliveries of each instrument."""
        return [SimulatedContract(member, delivery) for member in self.members for delivery in self.deliveries]


def members(product: Product, caller: Caller) -> tuple[Product, ...]:
    """Return the entitled instruments of a product: the members of a market, or the instrument itself."""
    instruments = universe.members(product.id) if product.kind == "market" else (product,)
    return tuple(member for member in instruments if caller.rights.sees(member))


def subject(parameters: Parameters, start: int, until: int, caller: Caller) -> Subject:
    """Return one contract or several items of a sequence, given by id or as the first that trade in the range."""
    product, sequence = _product_and_sequence(parameters, caller)
    kind = _kind(parameters)
    deliveries = _deliveries(parameters, sequence, kind, (start, until), caller.today)
    return Subject(product, members(product, caller), sequence, deliveries)


def one_contract(parameters: Parameters, caller: Caller) -> Subject:
    """Return a single contract."""
    product, sequence = _product_and_sequence(parameters, caller)
    kind = _kind(parameters)
    parameters.required("sequenceItemId")
    if len(parameters.numbers("sequenceItemId")) > 1:
        raise bad_request({"sequenceItemId": ["Only one value is allowed."]})
    deliveries = _deliveries(parameters, sequence, kind, None, caller.today)
    return Subject(product, members(product, caller), sequence, deliveries)


def has_contract(parameters: Parameters) -> bool:
    """Return True if the request names a single contract; all of its specifiers are then required."""
    return any(parameters.all(name) for name in ("sequenceItemId", "secondSequenceItemId", "contractType"))


def product_and_sequence(parameters: Parameters, caller: Caller) -> tuple[Product | None, Sequence | None]:
    """Return a product, a sequence, both or neither."""
    product = _product(parameters, caller) if parameters.all("instrumentId") + parameters.all("marketId") else None
    number = parameters.number("sequenceId")
    if number is None:
        return product, None
    if product is not None:
        return product, _sequence(product, number)
    if number not in universe.SEQUENCES:
        raise not_found(f"sequence {number}")
    return None, universe.SEQUENCES[number]


def _product_and_sequence(parameters: Parameters, caller: Caller) -> tuple[Product, Sequence]:
    product = _product(parameters, caller)
    parameters.required("sequenceId")
    return product, _sequence(product, parameters.number("sequenceId"))


def _product(parameters: Parameters, caller: Caller) -> Product:
    instrument, market = parameters.number("instrumentId"), parameters.number("marketId")
    if (instrument is None) == (market is None):
        raise bad_request({"instrumentId": ["Exactly one of instrumentId and marketId is required."]})
    kind, number = ("instrument", instrument) if instrument is not None else ("market", market)
    product = universe.products().get((kind, number)) if number is not None else None
    if product is None or (product.kind == "market" and not caller.rights.sees(product)):
        raise not_found(f"{kind} {number}")
    return product


def _sequence(product: Product, number: int | None) -> Sequence:
    for sequence in universe.sequences_of(product):
        if sequence.id == number:
            return sequence
    raise not_found(f"sequence {number} of {product.kind} {product.id}")


def _kind(parameters: Parameters) -> Kind:
    parameters.required("contractType")
    value = parameters.one("contractType") or ""
    if value.lower() not in _KINDS:
        raise bad_request({"contractType": [f"The value '{value}' is not valid."]})
    return _KINDS[value.lower()]


def _deliveries(
    parameters: Parameters, sequence: Sequence, kind: Kind, window: tuple[int, int] | None, today: datetime.date
) -> tuple[Delivery, ...]:
    """Return the requested deliveries; ``window`` is the range for tradingItems, None where it is not allowed."""
    ids, second = parameters.numbers("sequenceItemId"), parameters.number("secondSequenceItemId")
    front = None if window is None else parameters.number("tradingItems")
    if (second is None) != (kind == "single"):
        rule = "Required with Spread and Range, and only with them."
        raise bad_request({"secondSequenceItemId": [rule]})
    if bool(ids) == (front is not None):
        raise bad_request({"sequenceItemId": ["Exactly one of sequenceItemId and tradingItems is required."]})
    if window is not None and front is not None:
        return _tradable(sequence, kind, front, window, today)
    if len(ids) > 1 and kind != "single":
        raise bad_request({"sequenceItemId": ["Several items are allowed with SinglePeriod only."]})
    if len(set(ids)) > _MAX_ITEMS:
        raise bad_request({"sequenceItemId": [f"At most {_MAX_ITEMS} items are allowed."]})
    if second in ids:
        raise bad_request({"secondSequenceItemId": ["Must differ from sequenceItemId."]})
    id_pairs = [(number,) for number in dict.fromkeys(ids)] if second is None else [(ids[0], second)]
    found = [[universe.item(sequence, number) for number in numbers] for numbers in id_pairs]
    known = [tuple(item for item in items if item is not None) for items in found if None not in items]
    return tuple(Delivery(sequence, items, kind) for items in known)


def _tradable(
    sequence: Sequence, kind: Kind, count: int, window: tuple[int, int], today: datetime.date
) -> tuple[Delivery, ...]:
    """Return the first ``count`` items that trade in the range (guide p. 29)."""
    if kind != "single":
        raise bad_request({"tradingItems": ["Allowed with SinglePeriod only."]})
    if not 1 <= count <= _MAX_ITEMS:
        raise bad_request({"tradingItems": [f"Must be between 1 and {_MAX_ITEMS}."]})
    if sequence.tenor in ("prompt", "expiry"):
        raise bad_request({"tradingItems": ["Not supported for sequences without an end of trading."]})
    start, until = window
    first, last = (date_at(at) for at in (start, max(start, until - 1)))  # `until` is exclusive
    listed = universe.items(sequence.id, max(today, last))
    found = [item for item in listed if item.first and item.last and item.first <= last and item.last >= first]
    return tuple(Delivery(sequence, (item,), "single") for item in found[:count])
