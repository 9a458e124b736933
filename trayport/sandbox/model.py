"""The simulated market: what traded of a contract on a day, as a function of the seed and nothing else.

A day of a contract depends on the seed, the model's version, the commodity, the product, the delivery and the day; on
nothing that was asked before, and on no state. Prices are whole numbers of thousandths and land on the venue's
ticks; all arithmetic is on integers.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from attrs import evolve, frozen

from . import calendar, catalogue, deliveries, dice, levels
from .catalogue import GROUPS, Product
from .deliveries import Delivery
from .dice import Bools, Hashes, Integers
from .levels import FAMILIES

VERSION = 2
"""Counted up by every change that alters a single trade."""

# Days before this one saw no trade: the API's own data begin about here.
FIRST_DAY = calendar.day_number(datetime.date(2010, 1, 1))

NS_PER_MS = 1_000_000
NS_PER_DAY = calendar.DAY_MS * NS_PER_MS
SESSION_NS = 10 * calendar.HOUR_MS * NS_PER_MS

# One trade in so many was deleted later, and one in so many was changed.
_DELETED = 200
_UPDATED = 50
# Of so many trades, one is the key owner's own; one in three is on the second route, too.
_OWN = 50
_SECOND_ROUTE = 3


class Contract(NamedTuple):
    """A delivery of an instrument."""

    product: Product
    delivery: Delivery


@frozen
class Trades:
    """Trades as columns of equal length, each of one of the ``contracts``; in order of time, unless said otherwise.

    ``price`` and ``quantity`` are in thousandths; ``chance`` holds 64 bits of each trade, from which its flags
    are drawn; ``code`` and ``rank`` tell it from the other trades of its day.
    """

    contracts: tuple[Contract, ...]
    place: Integers
    """Which of the contracts a trade is of."""
    time: Integers
    price: Integers
    quantity: Integers
    venue_number: Integers
    rank: Integers
    code: Hashes
    chance: Hashes

    def __len__(self) -> int:
        return len(self.time)

    @property
    def venue(self) -> tuple[str, ...]:
        """The code of each trade's venue."""
        return tuple(VENUES[number] for number in self.venue_number.tolist())

    @property
    def id(self) -> tuple[str, ...]:
        """Each trade's id in its venue's own style; unique at a venue, and only there."""
        starts = [contract.delivery.items[0].start for contract in self.contracts]
        days = self.time // NS_PER_DAY
        dates = {number: calendar.date_of(number) for number in np.unique(days).tolist()}
        columns = (self.place, self.venue_number, days, self.code & np.uint64(0xFFFFFFFFFF), self.rank)
        return tuple(
            f"Eurex T7/{code:010X}{starts[place] or dates[day]:%m%Y}-{dates[day]:%Y%m%d}/{rank + 1}/1 Public"
            if venue == _T7
            else f"{day}{code:013d}{rank:04d}"
            if venue < _FIRST_BROKER
            else f"{VENUES[venue][:2]}{day:05d}{code:010X}{rank:04d}"
            for place, venue, day, code, rank in zip(*(column.tolist() for column in columns), strict=True)
        )

    @property
    def own(self) -> Bools:
        """Which trades are the key owner's."""
        return is_own(self.chance)

    @property
    def on_second_route(self) -> Bools:
        """Which trades are on both routes; the others are on the first one alone."""
        return is_on_second_route(self.chance)

    @property
    def last_updated(self) -> Integers:
        """When each trade was last changed: in the hour after it was made, if ever."""
        later = (dice.reroll(self.chance, 44) % np.uint64(3_600 * 10**9)).astype(np.int64)
        updated: Integers = self.time + np.where(is_updated(self.chance), later // 10**6 * 10**6, 0)
        return updated

    def take(self, rows: slice | Integers | Bools) -> Trades:
        """Some of the trades."""
        names = ("place", "time", "price", "quantity", "venue_number", "rank", "code", "chance")
        return evolve(self, **{name: getattr(self, name)[rows] for name in names})

    def between(self, start: int, end: int) -> Trades:
        """The trades at ``start`` or later, and before ``end``, in nanoseconds."""
        first, last = (int(place) for place in np.searchsorted(self.time, [start, end]))
        return self.take(slice(first, last))


def joined(parts: Iterable[Trades]) -> Trades:
    """The trades of all parts in order of time; what came at the same time stays in the order of the parts."""
    listed = [part for part in parts if len(part)]
    if len(listed) < 2:
        return listed[0] if listed else NO_TRADES
    shifts = np.cumsum([0, *(len(part.contracts) for part in listed)])
    together = Trades(
        tuple(contract for part in listed for contract in part.contracts),
        np.concatenate([part.place + shift for part, shift in zip(listed, shifts, strict=False)]),
        np.concatenate([part.time for part in listed]),
        np.concatenate([part.price for part in listed]),
        np.concatenate([part.quantity for part in listed]),
        np.concatenate([part.venue_number for part in listed]),
        np.concatenate([part.rank for part in listed]),
        np.concatenate([part.code for part in listed]),
        np.concatenate([part.chance for part in listed]),
    )
    return together.take(np.argsort(together.time, kind="stable"))


def is_deleted(chance: Hashes) -> Bools:
    """Which trades were deleted after they were inserted."""
    return dice.hits(chance, 41, _DELETED)


def is_updated(chance: Hashes) -> Bools:
    """Which trades were changed, once, after they were inserted."""
    return dice.hits(chance, 43, _UPDATED)


def is_own(chance: Hashes) -> Bools:
    """Which trades are the key owner's."""
    return dice.hits(chance, 21, _OWN)


def is_on_second_route(chance: Hashes) -> Bools:
    """Which trades are on both routes."""
    return dice.hits(chance, 22, _SECOND_ROUTE)


@frozen
class Inserted:
    """What was inserted, later deleted trades among it, cell by cell: a cell is a day of a contract."""

    cell: Integers
    rank: Integers
    time: Integers
    venue_number: Integers
    code: Hashes
    chance: Hashes

    def take(self, rows: Bools) -> Inserted:
        """Some of the rows."""
        return Inserted(
            self.cell[rows],
            self.rank[rows],
            self.time[rows],
            self.venue_number[rows],
            self.code[rows],
            self.chance[rows],
        )


_NOTHING = np.zeros(0, dtype=np.int64)
_NO_BITS = np.zeros(0, dtype=np.uint64)
NO_TRADES = Trades((), *(_NOTHING,) * 6, _NO_BITS, _NO_BITS)


@frozen
class Day:
    """Everything that was inserted on a day; a row's cell is its place among the contracts."""

    contracts: tuple[Contract, ...]
    inserted: Inserted


@frozen
class Market:
    """The model with one seed."""

    seed: int

    def trades(self, product: Product, delivery: Delivery, first: int, last: int) -> Trades:
        """What traded of an instrument's delivery from the day ``first`` up to ``last``, itself left out."""
        days = np.arange(max(first, FIRST_DAY), last, dtype=np.int64)
        thousandths = self.thousandths(product, delivery, days)
        if not thousandths.any():
            return NO_TRADES
        codes = dice.join(_product_keys(self.seed, (product,)), np.array([delivery.key], dtype=np.uint64))
        codes = np.repeat(codes, len(days))
        inserted = _inserted(codes, days, _counts(thousandths, codes, days), np.repeat(_homes((product,)), len(days)))
        shown = inserted.take(~is_deleted(inserted.chance))
        return self._priced(Contract(product, delivery), shown)

    def all(self, contracts: Iterable[Contract], first: int, last: int) -> Trades:
        """What traded of several contracts, in order of time."""
        return joined(self.trades(product, delivery, first, last) for product, delivery in contracts)

    def day(self, number: int) -> Day:
        """Everything that was inserted on a day."""
        return _day(self.seed, number)

    def some(self, day: Day, rows: Bools) -> Trades:
        """Of a day, the chosen rows that were not deleted, as trades in order of time."""
        inserted = day.inserted.take(rows & ~is_deleted(day.inserted.chance))
        return joined(
            self._priced(day.contracts[cell], inserted.take(inserted.cell == cell))
            for cell in np.unique(inserted.cell).tolist()
        )

    def worth(self, family: str, delivery: Delivery, moments: Integers) -> Integers:
        """What a delivery is worth at each moment (ms since 1970), in whole ticks of its family."""
        return levels.worth((self.seed, VERSION), family, delivery, moments) // FAMILIES[family].tick

    def thousandths(self, product: Product, delivery: Delivery, days: Integers) -> Integers:
        """How many thousandths of a trade an instrument's delivery sees on an average day; 0 if it is not listed."""
        return delivery.liquidity(days) * product.share // 1000 * FAMILIES[product.family].liquidity // 1000

    def _priced(self, contract: Contract, inserted: Inserted) -> Trades:
        family, chance = FAMILIES[contract.product.family], inserted.chance
        worth = self.worth(contract.product.family, contract.delivery, inserted.time // NS_PER_MS)
        return Trades(
            (contract,),
            np.zeros(len(chance), dtype=np.int64),
            inserted.time,
            (worth + dice.below(dice.reroll(chance, 7), 5) - 2) * family.tick,
            family.lot * (1 + dice.below(dice.reroll(chance, 5), family.lots)),
            inserted.venue_number,
            inserted.rank,
            inserted.code,
            chance,
        )


# --- a day of everything -----------------------------------------------------------------------------------------


@lru_cache(maxsize=40)  # a private question spans 32 days; one day is about a megabyte
def _day(seed: int, number: int) -> Day:
    parts = [_day_of_group(seed, group, number) for group in sorted(set(GROUPS.values()))]
    contracts = tuple(contract for found, _ in parts for contract in found)
    cells = [cells for _, cells in parts]
    codes, counts, homes = (np.concatenate([cell[column] for cell in cells]) for column in range(3))
    days = np.full(len(counts), number, dtype=np.int64)
    return Day(contracts, _inserted(codes.astype(np.uint64), days, counts, homes))


def _day_of_group(seed: int, group: str, number: int) -> tuple[list[Contract], tuple[Hashes, Integers, Integers]]:
    """A commodity's contracts that see trades on a day, with each one's code, count and venue."""
    products, shares, liquidities = _traders(group)
    if number < FIRST_DAY:
        return [], (_NO_BITS, _NOTHING, _NOTHING)
    listing = deliveries.on(group, number)
    thousandths = listing.liquidity[None, :] * shares[:, None] // 1000 * liquidities[:, None] // 1000
    rows, columns = np.nonzero(thousandths)
    codes = dice.join(_product_keys(seed, products)[rows], listing.keys[columns])
    counts = _counts(thousandths[rows, columns], codes, np.full(len(codes), number, dtype=np.int64))
    busy = np.flatnonzero(counts)
    pairs = zip(rows[busy].tolist(), columns[busy].tolist(), strict=True)
    contracts = [Contract(products[row], listing.deliveries[column]) for row, column in pairs]
    return contracts, (codes[busy], counts[busy], _homes(products)[rows[busy]])


@lru_cache(maxsize=8)
def _traders(group: str) -> tuple[tuple[Product, ...], Integers, Integers]:
    """A commodity's instruments that ever trade, their shares, and their families' liquidity."""
    found = [
        product
        for product in catalogue.products().values()
        if product.kind == "instrument" and product.share and GROUPS[product.family] == group
    ]
    shares = np.array([product.share for product in found], dtype=np.int64)
    return tuple(found), shares, np.array([FAMILIES[product.family].liquidity for product in found], dtype=np.int64)


@lru_cache(maxsize=64)
def _product_keys(seed: int, products: tuple[Product, ...]) -> Hashes:
    keys = [dice.key(seed, VERSION, "trades", product.family, product.id) for product in products]
    return np.array(keys, dtype=np.uint64)


# --- how many ----------------------------------------------------------------------------------------------------


def _counts(thousandths: Integers, codes: Hashes, days: Integers) -> Integers:
    """Trades in each cell: busiest at the front, none outside of trading days."""
    chance = dice.roll(codes ^ np.uint64(0xA5A5), days)
    busy = 512 + dice.below(chance, 1024)
    dither = dice.below(dice.reroll(chance, 1), 1000)
    counts: Integers = (thousandths * busy // 1024 + dither) // 1000 * calendar.is_open(days) * (thousandths > 0)
    return counts


# --- when and where ----------------------------------------------------------------------------------------------


def _inserted(codes: Hashes, days: Integers, counts: Integers, homes: Integers) -> Inserted:
    """The trades of each cell, from its contract's code, its day, how many it has, and its product's venue."""
    cell = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    rank = np.arange(len(cell), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    code, day = codes[cell], days[cell]
    chance = dice.roll(code, day * 1_000_003 + rank)
    time, venue = _times(cell, day, rank, chance, homes[cell])
    return Inserted(cell, rank, time, venue, code, chance)


def _times(cell: Integers, day: Integers, rank: Integers, chance: Hashes, home: Integers) -> tuple[Integers, Integers]:
    """Each trade's moment in order, to the precision of its venue, and the venue."""
    part = dice.below(dice.reroll(chance, 2), 100)
    within = (dice.reroll(chance, 3) % np.uint64(SESSION_NS)).astype(np.int64)
    # Most of a day's trades come in its first and its last quarter.
    quarter = SESSION_NS // 4
    within = np.where(part < 35, within % quarter, np.where(part < 65, 3 * quarter + within % quarter, within))
    exact = calendar.session_start(day) * NS_PER_MS + within
    exact = exact[np.lexsort((exact, cell))]
    # Now and then one order takes several others at once.
    alone = (dice.below(dice.reroll(chance, 4), 16) > 0) | (rank == 0)
    exact = exact[np.maximum.accumulate(np.where(alone, np.arange(len(exact)), 0))]
    venue = _venue_numbers(home, day, chance)
    whole_second = (venue >= _FIRST_BROKER) & (dice.below(dice.reroll(chance, 6), 10) == 0)
    grain = np.where(whole_second, 1_000_000_000, _GRAINS[venue])
    time = exact // grain * grain
    order = np.lexsort((time, cell))
    return time[order], venue[order]


# Every venue that the model knows, with the grain of its clock in nanoseconds.
VENUES = ("EEX", "EEX7", "ICE", "NDAQ", "TFS", "ICAP", "SPEC", "PREB", "GRFN", "GFI", "42FS")
_GRAINS = np.array([1_000_000, 1, 1_000_000, 1_000, *(1_000_000, 1_000) * 3, 1_000_000], dtype=np.int64)
_FIRST_BROKER = 4
_T7 = 1
BROKERS = VENUES[_FIRST_BROKER:]
T7_FROM = calendar.day_number(datetime.date(2022, 4, 4))
"""The day from which on EEX is another system, with another code."""


@lru_cache(maxsize=64)
def _homes(products: tuple[Product, ...]) -> Integers:
    """The venue that each product is traded at; -1 for any broker."""
    homes = [VENUES.index(product.venue) if product.venue in VENUES else -1 for product in products]
    return np.array(homes, dtype=np.int64)


def _venue_numbers(home: Integers, day: Integers, chance: Hashes) -> Integers:
    brokers = _FIRST_BROKER + dice.below(dice.reroll(chance, 8), len(BROKERS))
    moved = (home == 0) & (day >= T7_FROM)
    return np.where(home < 0, brokers, np.where(moved, _T7, home))
