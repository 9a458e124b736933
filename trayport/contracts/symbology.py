"""From a name such as ``TTF Hi Cal 51.6 Apr-23`` to a contract, given anything that looks names up."""

from __future__ import annotations

import datetime
import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from attrs import evolve, frozen

from ..errors import AmbiguousContract, ContractError, UnknownContract
from .contract import JOINTS, QUALIFIER, Contract, Kind, Product, workaround
from .listing import Listing, SequenceItem
from .periods import Period

__all__ = ["Lookup", "earliest", "name_of", "resolve"]


class Lookup(Protocol):
    """What names are looked up in; a dict behind three methods will do."""

    def exactly(self, text: str) -> Product | None:
        """The product of just this name or alias; None if there is none."""
        ...

    def find(self, text: str) -> Product | None:
        """As ``exactly``, or the only product whose name begins so; ``AmbiguousContract`` if there are several."""
        ...

    def near(self, text: str) -> tuple[str, ...]:
        """The canonical names of the products nearest to ``text``."""
        ...

    def listings(self, product: Product, since: datetime.date | None) -> Sequence[Listing]:
        """The product's own sequences, with all items that deliver after ``since``; from today for None."""
        ...


@frozen
class _Term:
    """One period of a contract's name, as written and as read."""

    text: str
    period: Period | None


@frozen
class _Reading:
    """One way to take a contract's name apart."""

    product: str
    kind: Kind
    terms: tuple[_Term, ...]

    @property
    def periods(self) -> str:
        """Its periods as a name spells them."""
        return JOINTS.get(self.kind, "").join(term.text for term in self.terms)

    @property
    def since(self) -> datetime.date | None:
        starts = [term.period.start for term in self.terms if term.period and term.period.start]
        return min(starts, default=None)


_FIRST = datetime.date(2000, 1, 1)


def resolve(name: str, lookup: Lookup, at: datetime.date, since: datetime.date | None = None) -> Contract:
    """The contract that ``name`` means; ``M+1`` and its like count from ``at``.

    ``since`` asks ``lookup`` for items from this date on, for the sake of other names that will follow.
    Raises ``UnknownContract`` with the nearest names, ``AmbiguousContract`` with the candidates, and
    ``ContractError`` for a spread or a range whose periods belong to different sequences.
    """
    text, sequence_id = _qualified(name)
    readings = list(_readings(text, at))
    # An exact name in any reading wins over the beginning of one in another, and the longer of two exact ones.
    for look, ordered in ((lookup.exactly, readings[::-1]), (lookup.find, readings)):
        found, ambiguous = _products(ordered, look)
        for reading, product in found:
            dates = [date for date in (reading.since, since) if date]
            listings = lookup.listings(product, min(dates, default=None))
            if len(found) == 1 or _matches(reading.terms, listings, sequence_id):
                return _choose(name, reading, product, listings, sequence_id)
        if found:
            reading, product = found[0]
            return _choose(name, reading, product, lookup.listings(product, reading.since), sequence_id)
        if ambiguous is not None:
            raise ambiguous
    return _by_item_name(name, text, readings, lookup, sequence_id, at)


def earliest(names: Iterable[str], at: datetime.date) -> datetime.date | None:
    """The first day that any of these names delivers, so that one look at a sequence serves them all."""
    readings = (reading for name in names for reading in _readings(_qualified(name)[0], at))
    return min((reading.since for reading in readings if reading.since), default=None)


def name_of(contract: Contract, listings: Sequence[Listing]) -> Contract:
    """``contract`` with its canonical name and its delivery, from its product's listings.

    Raises ``ContractError`` if the sequence is none of the product's, or the item none of the sequence's.
    """
    listing = _own(contract, listings)
    ids = [contract.item_id] + ([contract.second_item_id] if contract.second_item_id else [])
    items = tuple(_item(listing, item_id) for item_id in ids)
    return _named(contract.product, contract.kind, listing, items, listings)


# --- taking a name apart -----------------------------------------------------------------------------------


def _qualified(name: str) -> tuple[str, int | None]:
    text = " ".join(name.split())
    if match := QUALIFIER.search(text):
        return text[: match.start()], int(match["sequence"])
    return text, None


def _readings(text: str, at: datetime.date) -> Iterator[_Reading]:
    """Every way to read ``text`` as a product and periods of a known spelling, longest period first."""
    for product, rest in _splits(text):
        for kind, (first, *others) in _shapes(rest):
            # Some write the product before both periods: 'TTF Apr-23/TTF May-23'.
            terms = tuple(_term(part, at) for part in (first, *(_without(product, other) for other in others)))
            if all(term.period for term in terms):
                yield _Reading(product, kind, terms)


def _without(product: str, text: str) -> str:
    """``text`` without ``product`` before it."""
    return text[len(product) + 1 :] if text.casefold().startswith(f"{product} ".casefold()) else text


def _splits(text: str) -> Iterator[tuple[str, str]]:
    words = text.split(" ")
    for cut in range(1, len(words)):
        yield " ".join(words[:cut]), " ".join(words[cut:])


def _shapes(text: str) -> Iterator[tuple[Kind, tuple[str, ...]]]:
    """``text`` as one period, then as two: 'Apr-23/May-23', 'Apr-23 x May-23', 'Q1-24..Q4-24'."""
    yield "single", (text,)
    for kind, joint in (("range", r"\.\."), ("spread", r" ?/ ?| x ")):
        for match in re.finditer(joint, text, re.IGNORECASE):  # each of them: 'W/END' has one of its own
            parts = text[: match.start()].strip(), text[match.end() :].strip()
            if all(parts):
                yield ("range" if kind == "range" else "spread"), parts


def _term(text: str, at: datetime.date) -> _Term:
    try:
        return _Term(text, Period.parse(text, at=at))
    except ContractError:
        return _Term(text, None)


# --- putting a contract together ---------------------------------------------------------------------------


def _products(
    readings: Sequence[_Reading], look: Callable[[str], Product | None]
) -> tuple[list[tuple[_Reading, Product]], AmbiguousContract | None]:
    """The readings whose product is found, and the first whose product may be one of several."""
    found: list[tuple[_Reading, Product]] = []
    ambiguous = None
    for reading in readings:
        try:
            product = look(reading.product)
        except AmbiguousContract as error:
            ambiguous = ambiguous or _whole(reading, error)
            continue
        if product is not None:
            found.append((reading, product))
    return found, ambiguous


def _whole(reading: _Reading, error: AmbiguousContract) -> AmbiguousContract:
    """What a product may be, as what the contract may be."""
    candidates = tuple(f"{candidate} {reading.periods}" for candidate in error.candidates)
    return AmbiguousContract(f"{reading.product} {reading.periods}", candidates)


def _choose(
    name: str, reading: _Reading, product: Product, listings: Sequence[Listing], sequence_id: int | None
) -> Contract:
    """The one contract that the reading means among the product's listings."""
    found = _matches(reading.terms, listings, sequence_id)
    if len(found) == 1:
        return _named(product, reading.kind, *found[0], listings)
    if found:
        candidates = (_named(product, reading.kind, *match, listings).label for match in found)
        raise AmbiguousContract(name, tuple(candidates))
    for term in reading.terms:
        if not _matches((term,), listings, sequence_id):
            raise UnknownContract(name, _near_items(term, product, listings))
    raise ContractError(
        f"{name!r}: the two periods of a {reading.kind} must belong to one sequence, and no sequence of "
        f"{product.label} has both; {workaround(reading.kind)}"
    )


_Match: TypeAlias = tuple[Listing, tuple[SequenceItem, ...]]


def _matches(terms: tuple[_Term, ...], listings: Sequence[Listing], sequence_id: int | None) -> list[_Match]:
    """Every listing that has all the terms, with the items that they are: by name, and only then by delivery."""
    among = [listing for listing in listings if sequence_id in (None, listing.sequence_id)]
    named = [
        (listing, items)
        for listing in among
        for items in itertools.product(*(listing.named(term.text, term.period) for term in terms))
    ]
    return named or [
        (listing, items)
        for listing in among
        for items in itertools.product(*(_either(listing, term) for term in terms))
    ]


def _either(listing: Listing, term: _Term) -> tuple[SequenceItem, ...]:
    return listing.named(term.text, term.period) or listing.delivering(term.period)


def _named(
    product: Product, kind: Kind, listing: Listing, items: tuple[SequenceItem, ...], listings: Sequence[Listing]
) -> Contract:
    """The contract with its canonical name, made exact where another sequence has such an item too."""
    singles = [
        Contract(
            product,
            listing.sequence_id,
            item.id,
            name=f"{product.label} {item.label}",
            period_start=item.period_start,
            period_end=item.period_end,
        )
        for item in items
    ]
    if kind != "single" and any(item.rolls for item in items):
        # What it delivers today says nothing of the order in which it delivered when it traded.
        singles = [evolve(single, period_start=None, period_end=None) for single in singles]
    contract = singles[0] if kind == "single" else getattr(singles[0], kind)(singles[1])
    others = [other for other in listings if other.sequence_id != listing.sequence_id]
    shared = any(all(other.named(item.label, None) for item in items) for other in others)
    return evolve(contract, name=f"{contract.name} [{listing.sequence_id}]") if shared else contract


def _near_items(term: _Term, product: Product, listings: Sequence[Listing]) -> tuple[str, ...]:
    """The product's items nearest to the term: in delivery, those of its tenor first; else in spelling."""
    items = {item.label: item.period for listing in listings for item in listing.items}
    start = term.period.start if term.period else None
    if term.period is None or start is None:
        near = difflib.get_close_matches(term.text, items, n=3, cutoff=0.4) or list(items)[:3]
    else:
        tenor = term.period.tenor
        dated = {label: other for label, other in items.items() if other and other.start}
        near = sorted(dated, key=lambda label: _distance(dated[label], tenor, start))[:3]
    return tuple(f"{product.label} {label}" for label in near)


def _distance(period: Period, tenor: str, start: datetime.date) -> tuple[bool, int]:
    return period.tenor != tenor, abs(((period.start or start) - start).days)


def _by_item_name(
    name: str, text: str, readings: Sequence[_Reading], lookup: Lookup, sequence_id: int | None, at: datetime.date
) -> Contract:
    """For items whose names no grammar reads: the vendor's own spelling, to the letter."""
    if product := _found(text, lookup):
        example = f"{product.label} Apr-23"
        raise ContractError(f"{name!r} names a product without a delivery period; add one, as in {example!r}")
    if _term(text, at).period:
        raise ContractError(f"{name!r} names a delivery period without a product; write it like {f'TTF {text}'!r}")
    for product_text, rest in reversed(list(_splits(text))):
        product = _found(product_text, lookup)
        if product is None:
            continue
        literal = [
            _Reading(product_text, kind, tuple(_Term(part, None) for part in parts)) for kind, parts in _shapes(rest)
        ]
        for since in (None, _FIRST):  # current items first: only then is the whole past worth a request
            listings = lookup.listings(product, since)
            for reading in literal:
                if _matches(reading.terms, listings, sequence_id):
                    return _choose(name, reading, product, listings, sequence_id)
        _refuse_two_products(name, text, at)
        # Where the end of the name is a period, it is the words before it that are not understood.
        near = _near_products(readings, lookup) or _near_items(literal[0].terms[0], product, listings)
        raise UnknownContract(name, near)
    raise UnknownContract(name, _near_products(readings, lookup) or lookup.near(text))


def _refuse_two_products(name: str, text: str, at: datetime.date) -> None:
    for kind, parts in _shapes(text):
        if len(parts) > 1 and all(any(_readings(part, at)) for part in parts):
            raise ContractError(
                f"{name!r}: a {kind} joins two periods of one product. The API has no such contract: {workaround(kind)}"
            )


def _near_products(readings: Sequence[_Reading], lookup: Lookup) -> tuple[str, ...]:
    """The products nearest to what stands before the periods, with these."""
    for reading in readings:
        return tuple(f"{product} {reading.periods}" for product in lookup.near(reading.product))
    return ()


def _found(text: str, lookup: Lookup) -> Product | None:
    try:
        return lookup.find(text)
    except AmbiguousContract:
        return None


# --- from ids ----------------------------------------------------------------------------------------------


def _own(contract: Contract, listings: Sequence[Listing]) -> Listing:
    for listing in listings:
        if listing.sequence_id == contract.sequence_id:
            return listing
    own = ", ".join(f"{listing.sequence_id} ({listing.name})" for listing in listings)
    raise ContractError(
        f"sequence {contract.sequence_id} is none of {contract.product.label}'s; it has {own or 'none'}"
    )


def _item(listing: Listing, item_id: int) -> SequenceItem:
    item = listing.item(item_id)
    if item is None:
        raise ContractError(
            f"item {item_id} is none of sequence {listing.sequence_id} ({listing.name}); "
            f"trayport.sequence_items({listing.sequence_id}, start='2000-01-01') lists what it has"
        )
    return item
