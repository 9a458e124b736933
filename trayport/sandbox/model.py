"""The simulated market: trades of each contract on each day, as a function of the seed.

A day of a contract depends on the seed, the model's version, the commodity, the product, the delivery and the day, and
on no earlier request or other state. Prices are multiples of the venue's tick in thousandths; all arithmetic is on
integers.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from attrs import evolve, fields_dict, frozen

from . import calendar, deliveries, hashing, levels, lifecycle, universe, venue_books
from .calendar import NS_PER_DAY
from .deliveries import Delivery
from .hashing import Bools, Hashes, Integers
from .insertions import Cells, Inserted, counts_of, insert, second_before, taken_sides
from .levels import FAMILIES
from .universe import GROUPS, Product
from .venue_books import VENUES

VERSION = 3
"""Raised by every change that alters a trade."""

# First day with trades; the API's own data begin at about this time.
FIRST_DAY = calendar.day_number(datetime.date(2010, 1, 1))


class SimulatedContract(NamedTuple):
    """A contract of the model: an instrument with a delivery."""

    product: Product
    delivery: Delivery


@frozen
class Trades:
    """Trades as columns of equal length, in order of time.

    ``price`` and ``quantity`` are in thousandths. ``chance`` has 64 bits for each trade, which define its lifecycle and
    its flags. ``code``, ``serial`` and ``leg`` identify a trade among all trades of its day and venue.
    """

    contracts: tuple[SimulatedContract, ...]
    place: Integers
    """Index of the trade's contract among ``contracts``."""
    time: Integers
    price: Integers
    quantity: Integers
    venue_number: Integers
    serial: Integers
    leg: Integers
    """0, or for a leg of a broken spread 1 or 2."""
    code: Hashes
    chance: Hashes

    def __len__(self) -> int:
        return len(self.time)

    @property
    def venue(self) -> tuple[str, ...]:
        """Code of each trade's venue."""
        return tuple(VENUES[number] for number in self.venue_number.tolist())

    @property
    def id(self) -> tuple[str, ...]:
        """Id of each trade in the style of its venue; unique at that venue only."""
        days = self.time // NS_PER_DAY
        dates = {number: calendar.date_of(number) for number in np.unique(days).tolist()}
        starts = {place: self.contracts[place].delivery.items[0].start for place in np.unique(self.place).tolist()}
        # Each date is formatted once, not in every row that has it.
        day_texts = {number: f"{date:%Y%m%d}" for number, date in dates.items()}
        months = {number: f"{date:%m%Y}" for number, date in dates.items()}
        first_months = {place: start and f"{start:%m%Y}" for place, start in starts.items()}
        columns = (self.place, self.venue_number, days, short(self.code), self.serial, self.leg + 1)
        return tuple(
            f"Eurex T7/{code:010X}{first_months[place] or months[day]}-{day_texts[day]}/{serial + 1}/{leg} Public"
            if venue == venue_books.T7
            else f"{day}{code:013d}{serial:05d}{leg}"
            if venue < venue_books.FIRST_BROKER
            else f"{day:05d}{code:010X}{serial:05d}{leg}"
            for place, venue, day, code, serial, leg in zip(*(column.tolist() for column in columns), strict=True)
        )

    @property
    def is_buy(self) -> Bools:
        """True for each trade whose aggressor bought; the buyer of a spread buys its first leg and sells its second."""
        found: Bools = lifecycle.is_buy(self.chance) ^ (self.leg == 2)
        return found

    @property
    def own(self) -> Bools:
        """True for each own trade of the key's owner."""
        return lifecycle.is_own(self.chance)

    @property
    def on_second_route(self) -> Bools:
        """True for each trade that is on both routes; the others are on the first only."""
        return lifecycle.is_on_second_route(self.chance)

    @property
    def is_spread(self) -> Bools:
        """True for each trade of a spread."""
        found: Bools = are_spreads(self.contracts)[self.place]
        return found

    def last_updated(self, now: int) -> Integers:
        """Return the time at which each trade was last amended, as known at ``now``, or made."""
        updated = lifecycle.is_amended(self.chance) & (self.leg == 0)
        later = self.time + lifecycle.delay(self.chance, lifecycle.AMENDMENT)
        seen: Integers = np.where(updated & (later <= now), later, self.time)
        return seen

    def take(self, rows: slice | Integers | Bools) -> Trades:
        """Return some of the trades."""
        return evolve(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    def between(self, start: int, end: int) -> Trades:
        """Return the trades in [start, end), in nanoseconds since 1970."""
        first, last = (int(place) for place in np.searchsorted(self.time, [start, end]))
        return self.take(slice(first, last))

    def known(self, now: int) -> Trades:
        """Return the trades in their state at ``now``, without deleted trades and with the legs of broken spreads."""
        is_removed = lifecycle.is_deleted(self.chance) | (self.is_spread & lifecycle.is_broken(self.chance))
        is_past = self.time + lifecycle.delay(self.chance, lifecycle.DELETION) <= now
        shown = self.take(np.where(self.leg == 0, ~(is_removed & is_past), is_past) & (self.time < now))
        later = shown.time + lifecycle.delay(shown.chance, lifecycle.AMENDMENT)
        is_wrong = lifecycle.is_amended(shown.chance) & (shown.leg == 0) & (later > now)
        factor = np.where(is_wrong, lifecycle.WRONG_QUANTITY_FACTOR, 1)
        return evolve(shown, quantity=shown.quantity * factor)


_COLUMNS = tuple(name for name in fields_dict(Trades) if name != "contracts")


def joined(parts: Iterable[Trades]) -> Trades:
    """Return the trades of all parts in order of time; trades of the same time keep the order of the parts."""
    listed = [part for part in parts if len(part)]
    if len(listed) < 2:
        return listed[0] if listed else NO_TRADES
    shifts = np.cumsum([0, *(len(part.contracts) for part in listed)])
    together = {name: np.concatenate([getattr(part, name) for part in listed]) for name in _COLUMNS}
    together["place"] = np.concatenate([part.place + shift for part, shift in zip(listed, shifts, strict=False)])
    contracts = tuple(contract for part in listed for contract in part.contracts)
    return Trades(contracts, **together).take(np.argsort(together["time"], kind="stable"))


def short(code: Hashes) -> Hashes:
    """Return the part of each code that is in a trade id."""
    return code & np.uint64(0xFFFFFFFFFF)


def are_spreads(contracts: Sequence[SimulatedContract]) -> Bools:
    """Return True for each contract that is a spread."""
    return np.array([contract.delivery.kind == "spread" for contract in contracts] or [False], dtype=np.bool_)


_NOTHING = np.zeros(0, dtype=np.int64)
_NO_BITS = np.zeros(0, dtype=np.uint64)
NO_TRADES = Trades((), *(_NOTHING,) * 7, _NO_BITS, _NO_BITS)


@frozen
class Day:
    """All trades that were inserted on a day."""

    contracts: tuple[SimulatedContract, ...]
    inserted: Inserted


@frozen
class SimulatedMarket:
    """The model with one seed; ``volume`` multiplies the number of trades."""

    seed: int
    volume: int = 1

    def trades(self, contracts: Iterable[SimulatedContract], first: int, last: int) -> Trades:
        """Return all inserted trades of some contracts on the days [first, last), by time and then by contract."""
        requested = tuple(contracts)
        singles = {delivery for _, delivery in requested if delivery.kind == "single"}
        spreads = {delivery: deliveries.spreads_of(delivery) for delivery in singles}
        sources = [
            (place, SimulatedContract(product, spread), leg)
            for place, (product, delivery) in enumerate(requested)
            for spread, leg in (spreads.get(delivery, ()) if product.share else ())
        ]
        all_ = (*requested, *(contract for _, contract, _ in sources))
        days = np.arange(max(first, FIRST_DAY), last, dtype=np.int64)
        inserted = insert(self._cells(all_, days), self.volume)
        legs = np.array([0] * len(requested) + [leg for _, _, leg in sources], dtype=np.int64)
        places = np.array([*range(len(requested)), *(place for place, _, _ in sources)], dtype=np.int64)
        rows = (legs[inserted.source] == 0) | (
            lifecycle.is_broken(inserted.chance) & ~lifecycle.is_deleted(inserted.chance)
        )
        kept = inserted.take(rows)
        kept = evolve(kept, place=places[kept.source], leg=legs[kept.source])
        return evolve(self.priced(all_, kept), contracts=requested)

    def day(self, number: int) -> Day:
        """Return all trades that were inserted on a day."""
        # With a larger volume a day would take too much memory in the cache.
        return _day(self, number) if self.volume == 1 else _day.__wrapped__(self, number)

    def worth(self, family: str, delivery: Delivery, times: Integers) -> Integers:
        """Return the value of a delivery at each time (ms since 1970), in thousandths."""
        return levels.worth((self.seed, VERSION), family, delivery, times)

    def thousandths(self, product: Product, delivery: Delivery, days: Integers) -> Integers:
        """Return the average number of trades of a contract on each day in thousandths; 0 if it is not listed."""
        return _share(product, delivery.liquidity(days))

    def busy(self, contracts: Iterable[SimulatedContract], number: int) -> int:
        """Return the approximate number of trades of some contracts on a day."""
        cells = self._cells(tuple(contracts), np.array([number], dtype=np.int64))
        return int(cells.thousandths.sum()) * self.volume // 1000

    def codes(self, contracts: Sequence[SimulatedContract]) -> Hashes:
        """Return 64 bits that identify each contract with this seed."""
        products = _product_keys(self.seed, tuple(contract.product for contract in contracts))
        keys = {delivery: delivery.key for delivery in {contract.delivery for contract in contracts}}
        return hashing.combine(products, np.array([keys[contract.delivery] for contract in contracts], dtype=np.uint64))

    def priced(self, contracts: tuple[SimulatedContract, ...], inserted: Inserted) -> Trades:
        """Return inserted trades with their prices, by time and then by contract."""
        if not len(inserted):
            return NO_TRADES
        price = np.zeros(len(inserted), dtype=np.int64)
        quantity = np.zeros(len(inserted), dtype=np.int64)
        # A price depends on the family and the delivery only, so all contracts that share both are priced together.
        sources, source = np.unique(inserted.source, return_inverse=True)
        groups: dict[tuple[str, Delivery], int] = {}
        pairs = [(contracts[place].product.family, contracts[place].delivery) for place in sources.tolist()]
        group = np.array([groups.setdefault(pair, len(groups)) for pair in pairs])[source]
        order = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group))[:-1]
        for (family, delivery), rows in zip(groups, np.split(order, ends), strict=True):
            some = inserted.take(rows)
            price[rows], quantity[rows] = self._price_and_quantity(family, delivery, some)
            legs = np.flatnonzero(some.leg)
            if len(legs):
                price[rows[legs]] = self._leg_price(family, delivery, some.take(legs), price[rows[legs]])
        trades = Trades(
            contracts, inserted.place, inserted.time, price, quantity, inserted.venue_number, inserted.serial,
            inserted.leg, inserted.code, inserted.chance,
        )  # fmt: skip
        return trades.take(np.lexsort((inserted.leg > 0, inserted.place, inserted.time)))

    def _price_and_quantity(self, family: str, delivery: Delivery, rows: Inserted) -> tuple[Integers, Integers]:
        """Return price and quantity of each trade: those of the best order of the second before, or of a part of it."""
        signs, sides = taken_sides(rows)
        terms, distance = venue_books.terms(family), venue_books.distances(sides, rows.thousandths)
        worth = self.worth(family, delivery, second_before(rows))
        price = venue_books.prices(worth, terms.ticks[rows.venue_number], signs, distance)
        lots = venue_books.sizes(venue_books.best_order(sides), FAMILIES[family].max_lots)
        lots = 1 + hashing.uniform_below(hashing.rehash(rows.chance, 5), lots)
        return price, lots * terms.lots[rows.venue_number]

    def _leg_price(self, family: str, spread: Delivery, rows: Inserted, price: Integers) -> Integers:
        """Return the price of each leg: the value of the second, and for the first also the price of the spread."""
        second = Delivery(spread.sequence, spread.items[1:], "single")
        ticks = venue_books.terms(family).ticks[rows.venue_number]
        worth = self.worth(family, second, second_before(rows)) // ticks * ticks
        return np.where(rows.leg == 1, worth + price, worth)

    def _cells(self, contracts: Sequence[SimulatedContract], days: Integers) -> Cells:
        if not contracts or not len(days):
            return Cells(*(_NOTHING,) * 4, _NO_BITS)
        listed = {delivery: delivery.liquidity(days) for delivery in {contract.delivery for contract in contracts}}
        busy = np.stack([_share(product, listed[delivery]) for product, delivery in contracts])
        place, day = np.nonzero(busy)
        homes = np.array([venue_books.home_venue(contract.product) for contract in contracts], dtype=np.int64)
        return Cells(place, days[day], busy[place, day], homes[place], self.codes(contracts)[place])


def _share(product: Product, liquidity: Integers) -> Integers:
    """Return an instrument's share of the trades of a delivery."""
    return liquidity * product.share // 1000 * FAMILIES[product.family].liquidity // 1000


# --- a day of everything -----------------------------------------------------------------------------------------


@lru_cache(maxsize=8)  # a day takes about 1 MB
def _day(market: SimulatedMarket, number: int) -> Day:
    listed = [_day_of_group(market, group, number) for group in sorted(set(GROUPS.values()))]
    contracts = tuple(contract for found, _ in listed for contract in found)
    columns = [np.concatenate(column) for column in zip(*(cells for _, cells in listed), strict=True)]
    codes, thousandths, homes = columns
    days = np.full(len(codes), number, dtype=np.int64)
    places = np.arange(len(codes), dtype=np.int64)
    inserted = insert(Cells(places, days, thousandths, homes, codes), market.volume)
    return _with_legs(contracts, inserted)


def _day_of_group(
    market: SimulatedMarket, group: str, number: int
) -> tuple[list[SimulatedContract], tuple[Hashes, Integers, Integers]]:
    """Return the contracts of a commodity that are traded on a day, with their codes, average trades and venues."""
    products, shares, liquidities = _traded_instruments(group)
    if number < FIRST_DAY:
        return [], (_NO_BITS, _NOTHING, _NOTHING)
    listing = deliveries.on(group, number)
    thousandths = listing.liquidity[None, :] * shares[:, None] // 1000 * liquidities[:, None] // 1000
    rows, columns = np.nonzero(thousandths)
    busy = thousandths[rows, columns]
    codes = hashing.combine(_product_keys(market.seed, products)[rows], listing.keys[columns])
    seen = np.flatnonzero(counts_of(busy, codes, np.full(len(codes), number, dtype=np.int64), market.volume))
    pairs = zip(rows[seen].tolist(), columns[seen].tolist(), strict=True)
    contracts = [SimulatedContract(products[row], listing.deliveries[column]) for row, column in pairs]
    homes = np.array([venue_books.home_venue(product) for product in products], dtype=np.int64)
    return contracts, (codes[seen], busy[seen], homes[rows[seen]])


def _with_legs(contracts: tuple[SimulatedContract, ...], inserted: Inserted) -> Day:
    """Return a day with the legs of the broken spreads."""
    spreads = are_spreads(contracts)[inserted.source]
    broken = inserted.take(spreads & lifecycle.is_broken(inserted.chance) & ~lifecycle.is_deleted(inserted.chance))
    places = {_identity(contract): place for place, contract in enumerate(contracts)}
    more = list(contracts)
    for leg in (1, 2):
        found = []
        for source in broken.source.tolist():
            product, spread = contracts[source]
            contract = SimulatedContract(product, Delivery(spread.sequence, (spread.items[leg - 1],), "single"))
            place = places.setdefault(_identity(contract), len(more))
            more += [contract] * (place == len(more))
            found.append(place)
        legs = evolve(broken, place=np.array(found, dtype=np.int64), leg=np.full(len(found), leg, dtype=np.int64))
        inserted = inserted.followed_by(legs)
    return Day(tuple(more), inserted)


def _identity(contract: SimulatedContract) -> tuple[int, int, str, tuple[int, ...]]:
    delivery = contract.delivery
    return contract.product.id, delivery.sequence.id, delivery.kind, delivery.ids


@lru_cache(maxsize=8)
def _traded_instruments(group: str) -> tuple[tuple[Product, ...], Integers, Integers]:
    """Return the traded instruments of a commodity, their shares, and the liquidity of their families."""
    found = [
        product
        for product in universe.products().values()
        if product.kind == "instrument" and product.share and GROUPS[product.family] == group
    ]
    shares = np.array([product.share for product in found], dtype=np.int64)
    return tuple(found), shares, np.array([FAMILIES[product.family].liquidity for product in found], dtype=np.int64)


@lru_cache(maxsize=64)
def _product_keys(seed: int, products: tuple[Product, ...]) -> Hashes:
    keys = {
        product.id: hashing.key(seed, VERSION, "trades", product.family, product.id)
        for product in dict.fromkeys(products)
    }
    return np.array([keys[product.id] for product in products], dtype=np.uint64)
