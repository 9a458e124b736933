"""From a name such as ``TTF Hi Cal 51.6 Apr-23`` to a contract, and from a contract's ids to its name.

``readings`` takes a name apart in every possible way, a look-up elsewhere finds the products and the listings, and
``choose`` picks the one contract. Nothing in this module makes a request.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import difflib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeAlias, TypeVar

from attrs import evolve, field, frozen

from ..errors import AmbiguousContract, ContractError, UnknownContract
from .contract import JOINTS, QUALIFIER, Contract, Kind, Product, normalize_name, workaround
from .periods import Period

__all__ = [
    "Candidate",
    "Listing",
    "Reading",
    "Readings",
    "SequenceItem",
    "choose",
    "name_of",
    "readings",
]

_K = TypeVar("_K")


# --- listings ----------------------------------------------------------------------------------------------


@frozen
class SequenceItem:
    """One delivery period of a sequence, as the Reference Data API lists it.

    Rolling items and those of emissions have no trading dates (guide p. 29).
    """

    id: int
    name: str
    period_start: datetime.datetime | None = None
    period_end: datetime.datetime | None = None
    trading_start: datetime.datetime | None = None
    trading_end: datetime.datetime | None = None

    @cached_property
    def period(self) -> Period | None:
        """The delivery period that the name spells; None if no spelling that we know fits."""
        return _period(self.name)

    @property
    def is_rolling(self) -> bool:
        """True for rolling periods (DA, BOM): their delivery dates change daily."""
        return self.period is None or self.period.start is None

    @cached_property
    def label(self) -> str:
        """The canonical name of its period; the vendor's own name if we cannot read it."""
        return self.period.name if self.period else self.name or str(self.id)


@frozen
class Listing:
    """The items of one sequence whose delivery ends after ``since``, in order of delivery."""

    sequence_id: int
    name: str
    since: datetime.date
    items: tuple[SequenceItem, ...]
    _by_id: dict[int, SequenceItem] = field(init=False, repr=False, eq=False)
    _by_name: dict[str, tuple[SequenceItem, ...]] = field(init=False, repr=False, eq=False)
    _by_delivery: dict[tuple[datetime.date, datetime.date], tuple[SequenceItem, ...]] = field(
        init=False, repr=False, eq=False
    )

    @_by_id.default
    def _index_ids(self) -> dict[int, SequenceItem]:
        return {item.id: item for item in self.items}

    @_by_name.default
    def _index_names(self) -> dict[str, tuple[SequenceItem, ...]]:
        names = ((item, {normalize_name(item.name), normalize_name(item.label)}) for item in self.items)
        return _grouped((name, item) for item, spellings in names for name in spellings)

    @_by_delivery.default
    def _index_deliveries(self) -> dict[tuple[datetime.date, datetime.date], tuple[SequenceItem, ...]]:
        # Items without an end of trading roll (guide p. 29): their present delivery is not that of their past trades,
        # so they are found by name only.
        return _grouped(
            ((_delivery_date(item.period_start), _delivery_date(item.period_end)), item)
            for item in self.items
            if item.period_start is not None and item.period_end is not None and item.trading_end is not None
        )

    def item(self, item_id: int) -> SequenceItem | None:
        """Return the item with this id, if there is one."""
        return self._by_id.get(item_id)

    def named(self, text: str, period: Period | None) -> tuple[SequenceItem, ...]:
        """Return the items with this name, or else with the canonical name of ``period``."""
        found = self._by_name.get(normalize_name(text))
        if found is None and period is not None:
            found = self._by_name.get(normalize_name(period.name))
        return found or ()

    def delivering(self, period: Period | None) -> tuple[SequenceItem, ...]:
        """Return the items that deliver in exactly this period."""
        if period is None or period.start is None or period.end is None:
            return ()
        return self._by_delivery.get((period.start, period.end), ())


def _grouped(pairs: Iterable[tuple[_K, SequenceItem]]) -> dict[_K, tuple[SequenceItem, ...]]:
    groups: dict[_K, list[SequenceItem]] = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return {key: tuple(items) for key, items in groups.items()}


def _delivery_date(moment: datetime.datetime) -> datetime.date:
    """Return the date of the nearest midnight: gas days begin at 06:00, British ones on the evening before."""
    return (moment + datetime.timedelta(hours=12)).date()


# --- from a name to a contract -----------------------------------------------------------------------------


@frozen
class Term:
    """One period of a contract's name: its text, and the period if we can read it."""

    text: str
    period: Period | None = None


@frozen
class Reading:
    """One way to read a name: a product, and one or two periods; without periods, the whole name is the product's."""

    product: str
    kind: Kind = "single"
    terms: tuple[Term, ...] = ()

    @property
    def periods(self) -> str:
        """The periods as the name spells them."""
        return JOINTS.get(self.kind, "").join(term.text for term in self.terms)

    @property
    def since(self) -> datetime.date | None:
        """The first delivery date of the periods; None if they have no dates."""
        return min((term.period.start for term in self.terms if term.period and term.period.start), default=None)


@frozen
class Readings:
    """Every way to read a name: ``text`` is the name without its qualifier, which is the id of a sequence.

    ``dated`` has periods of a spelling that we know, shortest product first. ``two_contracts`` is the kind of a name
    with a product in each half, as in ``TTF Apr-24/EUA Dec-24``.
    """

    name: str
    text: str
    sequence_id: int | None
    dated: tuple[Reading, ...]
    is_period: bool
    two_contracts: Kind | None

    @property
    def since(self) -> datetime.date | None:
        """The first delivery date in any dated reading; None if there is none."""
        return min((reading.since for reading in self.dated if reading.since), default=None)

    @property
    def literal(self) -> Iterator[Reading]:
        """The readings whose periods are the vendor's own names of items; the longest product first."""
        yield Reading(self.text)
        if not self.is_period:
            for product, rest in reversed(list(_splits(self.text))):
                for kind, parts in _shapes(rest):
                    yield Reading(product, kind, tuple(Term(part) for part in parts))


@frozen
class Candidate:
    """A reading whose product exists, and that product's sequences."""

    reading: Reading
    product: Product
    listings: Sequence[Listing]


def readings(name: str, at: datetime.date) -> Readings:
    """Return every way to read a contract's name; ``M+1`` and the like count from ``at``."""
    text, sequence_id = " ".join(name.split()), None
    if match := QUALIFIER.search(text):
        text, sequence_id = text[: match.start()], int(match["sequence"])
    two_contracts = [
        kind
        for kind, parts in _shapes(text)
        if len(parts) > 1 and all(any(_dated_readings(part, at)) for part in parts)
    ]
    return Readings(
        name,
        text,
        sequence_id,
        tuple(_dated_readings(text, at)),
        _period(text, at) is not None,
        two_contracts[0] if two_contracts else None,
    )


def _dated_readings(text: str, at: datetime.date) -> Iterator[Reading]:
    for product, rest in _splits(text):
        for kind, (first, *others) in _shapes(rest):
            # Some write the product before both periods: 'TTF Apr-23/TTF May-23'.
            parts = [first, *(_without_prefix(other, f"{product} ") for other in others)]
            terms = tuple(Term(part, _period(part, at)) for part in parts)
            if all(term.period for term in terms):
                yield Reading(product, kind, terms)


def _without_prefix(text: str, prefix: str) -> str:
    return text[len(prefix) :] if text.casefold().startswith(prefix.casefold()) else text


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Yield every way to cut ``text`` in two at a space."""
    words = text.split(" ")
    for cut in range(1, len(words)):
        yield " ".join(words[:cut]), " ".join(words[cut:])


def _shapes(text: str) -> Iterator[tuple[Kind, tuple[str, ...]]]:
    """Yield ``text`` as one period, then as two: 'Apr-23/May-23', 'Apr-23 x May-23', 'Q1-24..Q4-24'."""
    yield "single", (text,)
    joints: tuple[tuple[Kind, str], ...] = (("range", r"\.\."), ("spread", r" ?/ ?| x "))
    for kind, joint in joints:
        for match in re.finditer(joint, text, re.IGNORECASE):  # try each: 'W/END' contains one
            parts = text[: match.start()].strip(), text[match.end() :].strip()
            if all(parts):
                yield kind, parts


def _period(text: str, at: datetime.date | None = None) -> Period | None:
    try:
        return Period.parse(text, at=at)
    except ContractError:
        return None


def choose(readings: Readings, candidates: Sequence[Candidate]) -> Contract:
    """Return the contract that a name means, with its canonical name and its delivery.

    ``candidates`` are the readings with a product that exists, the preferred one first. Raises ``UnknownContract``
    with the nearest items, ``AmbiguousContract`` with an exact name for each meaning, and ``ContractError`` for a name
    without a period, without a product, or with two periods that make no contract.
    """
    if not candidates:
        if readings.is_period:
            raise ContractError(
                f"{readings.name!r} names a delivery period without a product", f"write it like 'TTF {readings.text}'"
            )
        raise UnknownContract(readings.name)
    for candidate in candidates:
        if found := _matches(candidate.reading.terms, candidate.listings, readings.sequence_id):
            return _single_match(readings.name, candidate, found)
    reading, product, listings = candidates[0].reading, candidates[0].product, candidates[0].listings
    if not reading.terms:
        example = f"{product.label} Apr-23"
        raise ContractError(
            f"{readings.name!r} names a product without a delivery period", f"add one, as in {example!r}"
        )
    if reading not in readings.dated and readings.two_contracts:
        raise ContractError(
            f"{readings.name!r}: a {readings.two_contracts} joins two periods of one product. The API has no such "
            "contract",
            workaround(readings.two_contracts),
        )
    for term in reading.terms:
        if not _matches((term,), listings, readings.sequence_id):
            raise UnknownContract(readings.name, _nearest_items(term, product, listings))
    raise ContractError(
        f"{readings.name!r}: the two periods of a {reading.kind} must belong to one sequence, and no sequence of "
        f"{product.label} has both",
        workaround(reading.kind),
    )


_Match: TypeAlias = tuple[Listing, tuple[SequenceItem, ...]]


def _matches(terms: tuple[Term, ...], listings: Sequence[Listing], sequence_id: int | None) -> list[_Match]:
    """Return the listings with all the terms, and the terms' items: found by name, and only then by delivery."""
    among = [listing for listing in listings if sequence_id in (None, listing.sequence_id)] if terms else []
    named = [
        (listing, items)
        for listing in among
        for items in itertools.product(*(listing.named(term.text, term.period) for term in terms))
    ]
    return named or [
        (listing, items)
        for listing in among
        for items in itertools.product(
            *(listing.named(term.text, term.period) or listing.delivering(term.period) for term in terms)
        )
    ]


def _single_match(name: str, candidate: Candidate, found: Sequence[_Match]) -> Contract:
    contracts = [_named(candidate.product, candidate.reading.kind, *match, candidate.listings) for match in found]
    if len(contracts) > 1:
        raise AmbiguousContract(name, tuple(contract.label for contract in contracts))
    return contracts[0]


def _nearest_items(term: Term, product: Product, listings: Sequence[Listing]) -> tuple[str, ...]:
    """Return the product's items nearest to the term: in delivery, its own tenor first; else in spelling."""
    periods = {item.label: item.period for listing in listings for item in listing.items}
    wanted = term.period
    if wanted is None or wanted.start is None:
        near = difflib.get_close_matches(term.text, periods, n=3, cutoff=0.4) or list(periods)[:3]
    else:
        tenor, start = wanted.tenor, wanted.start
        distances = {
            label: (period.tenor != tenor, abs((period.start - start).days))
            for label, period in periods.items()
            if period and period.start
        }
        near = sorted(distances, key=lambda label: distances[label])[:3]
    return tuple(f"{product.label} {label}" for label in near)


# --- from a contract to its name ---------------------------------------------------------------------------


def name_of(contract: Contract, listings: Sequence[Listing]) -> Contract:
    """Return ``contract`` with its canonical name and its delivery, from all sequences of its product.

    Raises ``ContractError`` if the sequence is not one of the product's, or an item not one of the sequence's.
    """
    listing = next((listing for listing in listings if listing.sequence_id == contract.sequence_id), None)
    if listing is None:
        own = ", ".join(f"{listing.sequence_id} ({listing.name})" for listing in listings)
        raise ContractError(
            f"{contract.product.label} has no sequence {contract.sequence_id}", f"choose from {own}" if own else None
        )
    ids = [contract.item_id, *([contract.second_item_id] if contract.second_item_id else [])]
    items = []
    for item_id in ids:
        item = listing.item(item_id)
        if item is None:
            raise ContractError(
                f"sequence {listing.sequence_id} ({listing.name}) has no item {item_id}",
                f"trayport.sequence_items({listing.sequence_id}, start='2000-01-01') lists its items",
            )
        items.append(item)
    return _named(contract.product, contract.kind, listing, tuple(items), listings)


def _named(
    product: Product, kind: Kind, listing: Listing, items: tuple[SequenceItem, ...], listings: Sequence[Listing]
) -> Contract:
    """Return the contract of these items; if another sequence has such items too, its name has a qualifier."""
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
    contract = singles[0]
    if kind != "single":
        if any(item.is_rolling for item in items):
            # Their present delivery is not in the order of the delivery of their past trades.
            singles = [evolve(single, period_start=None, period_end=None) for single in singles]
        contract = singles[0].spread(singles[1]) if kind == "spread" else singles[0].range(singles[1])
    labels = [item.label for item in items]
    others = (other for other in listings if other is not listing)
    if any(all(other.named(label, None) for label in labels) for other in others):
        return evolve(contract, name=f"{contract.name} [{listing.sequence_id}]")
    return contract
