"""Insertions: number of trades of each contract on a day, with their times and venues."""

from __future__ import annotations

import numpy as np
from attrs import evolve, fields_dict, frozen

from . import calendar, hashing, lifecycle, venue_books
from .hashing import Bools, Hashes, Integers
from .venue_books import ASK, BID, FIRST_BROKER


@frozen
class Inserted:
    """Inserted trades as columns, by contract and day, deleted ones included.

    A trade that is a leg of a broken spread has the columns of the spread's trade, except ``place`` and ``leg``.
    """

    place: Integers
    """Index of the trade's contract."""
    source: Integers
    """Index of the contract that was traded: of the spread if the trade is a leg, else ``place``."""
    leg: Integers
    """0, or for a leg of a broken spread 1 or 2."""
    serial: Integers
    """Number of the trade within its contract and day; unique at a venue."""
    time: Integers
    """Nanoseconds since 1970."""
    venue_number: Integers
    code: Hashes
    chance: Hashes
    thousandths: Integers
    """Average number of trades of the contract on that day, in thousandths."""

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: Bools | Integers) -> Inserted:
        """Return some of the rows."""
        return evolve(self, **{name: getattr(self, name)[rows] for name in fields_dict(Inserted)})

    def followed_by(self, other: Inserted) -> Inserted:
        """Return these rows and the rows of ``other``."""
        return Inserted(
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in fields_dict(Inserted)}
        )


@frozen
class Cells:
    """Pairs of contract and day as columns."""

    place: Integers
    """Index of the contract."""
    day: Integers
    thousandths: Integers
    """Average number of trades, in thousandths."""
    home: Integers
    """Index of the venue; -1 if brokers trade the contract."""
    code: Hashes


def counts_of(thousandths: Integers, codes: Hashes, days: Integers, volume: int) -> Integers:
    """Return the number of trades of each pair of contract and day; 0 on days without trading."""
    chance = hashing.hash64(codes ^ np.uint64(0xA5A5), days)
    factor = 512 + hashing.uniform_below(chance, 1024)
    dither = hashing.uniform_below(hashing.rehash(chance, 1), 1000)
    counts: Integers = (thousandths * factor // 1024 * volume + dither) // 1000
    return counts * calendar.is_open(days) * (thousandths > 0)


def insert(cells: Cells, volume: int) -> Inserted:
    """Return the trades of each pair of contract and day; a trade that finds no order is left out."""
    counts = counts_of(cells.thousandths, cells.code, cells.day, volume)
    cell = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    rank = np.arange(len(cell), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    place, code, day = cells.place[cell], cells.code[cell], cells.day[cell]
    chance = hashing.hash64(code, day * 1_000_003 + rank)
    time, venue, chance = _times(cell, day, rank, chance, cells.home[cell])
    serial = _serials(rank, venue)
    found = Inserted(place, place, np.zeros_like(place), serial, time, venue, code, chance, cells.thousandths[cell])
    _, sides = taken_sides(found)
    return found.take(venue_books.is_there(sides, found.thousandths))


def taken_sides(rows: Inserted) -> tuple[Integers, Hashes]:
    """Return the sign and the 64 bits of the side whose best order each trade takes."""
    signs = np.where(lifecycle.is_buy(rows.chance), ASK, BID)
    keys = venue_books.book_keys(rows.code, rows.venue_number)
    lifetimes = venue_books.lifetimes(keys, rows.venue_number)
    return signs, venue_books.sides(keys, lifetimes, signs, second_before(rows))


def second_before(rows: Inserted) -> Integers:
    """Return the last whole second before each trade, in milliseconds since 1970."""
    return (rows.time - 1) // calendar.NS_PER_SECOND * 1000


def _times(
    cell: Integers, day: Integers, rank: Integers, chance: Hashes, home: Integers
) -> tuple[Integers, Integers, Hashes]:
    """Return the time of each trade in the resolution of its venue, the venue, and the bits of the trade.

    The rows of each cell are in order of time.
    """
    part = hashing.uniform_below(hashing.rehash(chance, 2), 100)
    # In the first second of a session there is no earlier order to take.
    session = calendar.SESSION_NS - calendar.NS_PER_SECOND
    offset = (hashing.rehash(chance, 3) % np.uint64(session)).astype(np.int64)
    # 35 % of the trades come in the first quarter of the session, 30 % in the last.
    quarter = session // 4
    offset = np.where(part < 35, offset % quarter, np.where(part < 65, 3 * quarter + offset % quarter, offset))
    exact = calendar.session_start(day) * calendar.NS_PER_MS + calendar.NS_PER_SECOND + offset
    exact = exact[np.lexsort((exact, cell))]
    # One trade in 16 is made by the order that made the trade before it: same time, venue and side.
    is_alone = (hashing.uniform_below(hashing.rehash(chance, 4), 16) > 0) | (rank == 0)
    leader = np.maximum.accumulate(np.where(is_alone, np.arange(len(exact)), 0))
    exact = exact[leader]
    venue = venue_books.venue_numbers(home, day, chance)[leader]
    # Brokers report one trade in 10 with whole seconds only.
    is_whole = (venue >= FIRST_BROKER) & (hashing.uniform_below(hashing.rehash(chance, 6), 10) == 0)[leader]
    resolution = np.where(is_whole, calendar.NS_PER_SECOND, venue_books.RESOLUTIONS[venue])
    time = exact // resolution * resolution
    one = np.uint64(1)
    chance = (chance & ~one) | (chance[leader] & one)
    order = np.lexsort((time, cell))
    return time[order], venue[order], chance[order]


def _serials(rank: Integers, venue: Integers) -> Integers:
    """Return numbers of a day's trades that are unique at each venue; two venues may give the same number."""
    previous = np.append(-1, venue[:-1])[: len(venue)]
    serials: Integers = rank - ((rank % 2 == 1) & (venue >= FIRST_BROKER) & (venue != previous))
    return serials
