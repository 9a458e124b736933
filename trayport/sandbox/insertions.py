"""What was ever inserted: how many trades each contract saw on a day, when, and where."""

from __future__ import annotations

import numpy as np
from attrs import evolve, fields_dict, frozen

from . import calendar, hashing, lifecycle, venue_books
from .hashing import Bools, Hashes, Integers
from .venue_books import ASK, BID


@frozen
class Inserted:
    """What was ever inserted, by contract and day; later deleted trades are among it.

    ``place`` is the contract's, and ``source`` the same unless a trade is the leg of a broken spread: then it is the
    spread's, and all but ``place`` and ``leg`` is its trade's.
    """

    place: Integers
    source: Integers
    leg: Integers
    serial: Integers
    time: Integers
    venue_number: Integers
    code: Hashes
    chance: Hashes
    thousandths: Integers
    """How busy the contract is."""

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: Bools | Integers) -> Inserted:
        """Some of the rows."""
        return evolve(self, **{name: getattr(self, name)[rows] for name in fields_dict(Inserted)})

    def followed_by(self, other: Inserted) -> Inserted:
        """These rows, and then others."""
        return Inserted(
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in fields_dict(Inserted)}
        )


@frozen
class Cells:
    """Days of contracts, as columns: the contract's place, the day, how busy it is, its venue (-1 for the brokers),
    and its code."""

    place: Integers
    day: Integers
    thousandths: Integers
    home: Integers
    code: Hashes


def counts_of(thousandths: Integers, codes: Hashes, days: Integers, volume: int) -> Integers:
    """Trades in each cell: busiest at the front, none outside of trading days."""
    chance = hashing.hash64(codes ^ np.uint64(0xA5A5), days)
    busy = 512 + hashing.uniform_below(chance, 1024)
    dither = hashing.uniform_below(hashing.rehash(chance, 1), 1000)
    counts: Integers = (thousandths * busy // 1024 * volume + dither) // 1000
    return counts * calendar.is_open(days) * (thousandths > 0)


def insert(cells: Cells, volume: int) -> Inserted:
    """The trades of each cell; only those that find an order to take."""
    counts = counts_of(cells.thousandths, cells.code, cells.day, volume)
    cell = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    rank = np.arange(len(cell), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    place, code, day = cells.place[cell], cells.code[cell], cells.day[cell]
    chance = hashing.hash64(code, day * 1_000_003 + rank)
    time, venue, chance = _times(cell, day, rank, chance, cells.home[cell])
    serial = _serials(rank, venue)
    found = Inserted(place, place, np.zeros_like(place), serial, time, venue, code, chance, cells.thousandths[cell])
    _, sides = taken(found)
    return found.take(venue_books.is_there(sides, found.thousandths))


def taken(rows: Inserted) -> tuple[Integers, Hashes]:
    """The side that each trade takes its order from: its sign, and its 64 bits."""
    signs = np.where(lifecycle.is_buy(rows.chance), ASK, BID)
    keys = venue_books.keys(rows.code, rows.venue_number)
    return signs, venue_books.sides(keys, venue_books.periods(keys, rows.venue_number), signs, before(rows))


def before(rows: Inserted) -> Integers:
    """The whole second before each trade, in milliseconds since 1970."""
    return (rows.time - 1) // calendar.NS_PER_SECOND * 1000


def _times(
    cell: Integers, day: Integers, rank: Integers, chance: Hashes, home: Integers
) -> tuple[Integers, Integers, Hashes]:
    """Each trade's moment in order, to the precision of its venue, the venue, and the trade's bits."""
    part = hashing.uniform_below(hashing.rehash(chance, 2), 100)
    # The first second passes before there is an order to take.
    session = calendar.SESSION_NS - calendar.NS_PER_SECOND
    within = (hashing.rehash(chance, 3) % np.uint64(session)).astype(np.int64)
    # Most of a day's trades come in its first and its last quarter.
    quarter = session // 4
    within = np.where(part < 35, within % quarter, np.where(part < 65, 3 * quarter + within % quarter, within))
    exact = calendar.session_start(day) * calendar.NS_PER_MS + calendar.NS_PER_SECOND + within
    exact = exact[np.lexsort((exact, cell))]
    # Now and then one order takes several others at once: then all of them are at one venue and on one side.
    alone = (hashing.uniform_below(hashing.rehash(chance, 4), 16) > 0) | (rank == 0)
    leader = np.maximum.accumulate(np.where(alone, np.arange(len(exact)), 0))
    exact = exact[leader]
    venue = venue_books.venue_numbers(home, day, chance)[leader]
    whole_second = (venue >= venue_books.FIRST_BROKER) & (hashing.uniform_below(hashing.rehash(chance, 6), 10) == 0)[
        leader
    ]
    grain = np.where(whole_second, calendar.NS_PER_SECOND, venue_books.GRAINS[venue])
    time = exact // grain * grain
    one = np.uint64(1)
    chance = (chance & ~one) | (chance[leader] & one)
    order = np.lexsort((time, cell))
    return time[order], venue[order], chance[order]


def _serials(rank: Integers, venue: Integers) -> Integers:
    """Numbers of a day's trades that are unique at each venue; now and then two venues give the same one."""
    last = np.append(-1, venue[:-1])[: len(venue)]
    found: Integers = rank - ((rank % 2 == 1) & (venue >= venue_books.FIRST_BROKER) & (venue != last))
    return found
