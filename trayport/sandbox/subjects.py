"""The rules of contract specifiers: which product, sequence and items a request is about (guide pp. 27-29)."""

from __future__ import annotations

import datetime

from attrs import frozen

from . import universe
from .deliveries import Delivery, Kind
from .keys import Caller
from .model import SimulatedContract
from .parameters import Parameters, bad_request, date_at, not_found
from .universe import Product, Sequence

_MOST_ITEMS = 50
_KINDS: dict[str, Kind] = {
    "singleperiod": "single",
    "spread": "spread",
    "periodspread": "spread",
    "range": "range",
    "periodrange": "range",
}


@frozen
class Subject:
    """What a question is about; a delivery that the numbering does not know has been left out."""

    product: Product
    members: tuple[Product, ...]
    """The instruments whose trades and orders are shown."""
    sequence: Sequence
    deliveries: tuple[Delivery, ...]

    def contracts(self) -> list[SimulatedContract]:
        """Every instrument's contract that is shown: a market shows those of its members."""
        return [SimulatedContract(member, delivery) for member in self.members for delivery in self.deliveries]


def members(product: Product, caller: Caller) -> tuple[Product, ...]:
    """The instruments that a product shows to a key: a market its members, an instrument itself."""
    all_of_it = universe.members(product.id) if product.kind == "market" else (product,)
    return tuple(member for member in all_of_it if caller.rights.sees(member))


def subject(parameters: Parameters, start: int, until: int, caller: Caller) -> Subject:
    """One contract, or several items of a sequence: listed, or as the first that trade within the range."""
    product, sequence = _pair(parameters, caller)
    kind = _kind(parameters)
    deliveries = _deliveries(parameters, sequence, kind, (start, until), caller.today)
    return Subject(product, members(product, caller), sequence, deliveries)


def one(parameters: Parameters, caller: Caller) -> Subject:
    """A single contract."""
    product, sequence = _pair(parameters, caller)
    kind = _kind(parameters)
    parameters.required("sequenceItemId")
    if len(parameters.numbers("sequenceItemId")) > 1:
        raise bad_request({"sequenceItemId": ["Only one value is allowed."]})
    deliveries = _deliveries(parameters, sequence, kind, None, caller.today)
    return Subject(product, members(product, caller), sequence, deliveries)


def is_pinned(parameters: Parameters) -> bool:
    """Is a single contract asked for, where less would do? Then the whole of its specifiers is."""
    given = [parameters.all(name) for name in ("sequenceItemId", "secondSequenceItemId", "contractType")]
    return any(given)


def part(parameters: Parameters, caller: Caller) -> tuple[Product | None, Sequence | None]:
    """A product, a sequence, both or neither."""
    product = _product(parameters, caller) if parameters.all("instrumentId") + parameters.all("marketId") else None
    number = parameters.number("sequenceId")
    if number is None:
        return product, None
    if product is not None:
        return product, _sequence(product, number)
    if number not in universe.SEQUENCES:
        raise not_found(f"sequence {number}")
    return None, universe.SEQUENCES[number]


def _pair(parameters: Parameters, caller: Caller) -> tuple[Product, Sequence]:
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
    parameters: Parameters, sequence: Sequence, kind: Kind, within: tuple[int, int] | None, today: datetime.date
) -> tuple[Delivery, ...]:
    """The deliveries asked for; ``within`` is the range that tradingItems looks at, None where it is unknown."""
    ids, second = parameters.numbers("sequenceItemId"), parameters.number("secondSequenceItemId")
    front = None if within is None else parameters.number("tradingItems")
    if (second is None) != (kind == "single"):
        rule = "Required with Spread and Range, and only with them."
        raise bad_request({"secondSequenceItemId": [rule]})
    if bool(ids) == (front is not None):
        raise bad_request({"sequenceItemId": ["Exactly one of sequenceItemId and tradingItems is required."]})
    if within is not None and front is not None:
        return _tradable(sequence, kind, front, within, today)
    if len(ids) > 1 and kind != "single":
        raise bad_request({"sequenceItemId": ["Several items are allowed with SinglePeriod only."]})
    if len(set(ids)) > _MOST_ITEMS:
        raise bad_request({"sequenceItemId": [f"At most {_MOST_ITEMS} items are allowed."]})
    if second in ids:
        raise bad_request({"secondSequenceItemId": ["Must differ from sequenceItemId."]})
    wanted = [(number,) for number in dict.fromkeys(ids)] if second is None else [(ids[0], second)]
    found = [[universe.item(sequence, number) for number in numbers] for numbers in wanted]
    known = [tuple(item for item in items if item is not None) for items in found if None not in items]
    return tuple(Delivery(sequence, items, kind) for items in known)


def _tradable(
    sequence: Sequence, kind: Kind, count: int, within: tuple[int, int], today: datetime.date
) -> tuple[Delivery, ...]:
    """The first ``count`` items that trade within the range (guide p. 29)."""
    if kind != "single":
        raise bad_request({"tradingItems": ["Allowed with SinglePeriod only."]})
    if not 1 <= count <= _MOST_ITEMS:
        raise bad_request({"tradingItems": [f"Must be between 1 and {_MOST_ITEMS}."]})
    if sequence.tenor in ("prompt", "expiry"):
        raise bad_request({"tradingItems": ["Not supported for sequences without an end of trading."]})
    start, until = within
    first, last = (date_at(at) for at in (start, max(start, until - 1)))  # what trades at `until` is not asked for
    listed = universe.items(sequence.id, max(today, last))
    found = [item for item in listed if item.first and item.last and item.first <= last and item.last >= first]
    return tuple(Delivery(sequence, (item,), "single") for item in found[:count])
