"""Where the trading happens: the venues' clocks, ticks and lots, and the best order of each side of a desk.

A desk is one contract of one instrument at one venue. Each side of its book is made anew every few seconds, around what
the delivery is worth at the very moment. A trade takes the best order of the second before it, so that its price was
there to be had.
"""

from __future__ import annotations

import datetime
from functools import cache, lru_cache

import numpy as np
from attrs import frozen

from . import calendar, hashing
from .hashing import Bools, Hashes, Integers
from .universe import Product

# Every venue that the model knows, with the grain of its clock in nanoseconds.
VENUES = ("EEX", "EEX7", "ICE", "NDAQ", "TFS", "ICAP", "SPEC", "PREB", "GRFN", "GFI", "42FS")
GRAINS = np.array([1_000_000, 1, 1_000_000, 1_000, *(1_000_000, 1_000) * 3, 1_000_000], dtype=np.int64)
FIRST_BROKER = 4
EEX, T7 = 0, 1
BROKERS = VENUES[FIRST_BROKER:]
T7_FROM = calendar.day_number(datetime.date(2022, 4, 4))
"""The day from which on EEX is another system, with another code."""

BID, ASK = -1, 1


# --- venues ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def home(product: Product) -> int:
    """The venue that a product is traded at; -1 for any broker."""
    return VENUES.index(product.venue) if product.venue in VENUES else -1


def venues_of(product: Product) -> tuple[str, ...]:
    """Every venue that a product was ever traded at."""
    return {"EEX": ("EEX", "EEX7"), "ICE": ("ICE",), "NDAQ": ("NDAQ",)}.get(product.venue, BROKERS)


def venue_numbers(home: Integers, day: Integers, chance: Hashes) -> Integers:
    """Where each trade is made: at its product's venue, or at one of the brokers."""
    brokers = FIRST_BROKER + hashing.uniform_below(hashing.rehash(chance, 8), len(BROKERS))
    moved = (home == EEX) & (day >= T7_FROM)
    return np.where(home < 0, brokers, np.where(moved, T7, home))


@frozen
class Terms:
    """How a family is traded at each venue, by the venue's number: ticks and lots, in thousandths."""

    ticks: Integers
    lots: Integers


# Tick and lot at brokers and at exchanges, in thousandths: the latter deal in smaller steps of both.
_TERMS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "ttf": ((25, 5_000), (5, 1_000)),
    "the": ((25, 5_000), (5, 1_000)),
    "nbp": ((25, 25_000), (10, 1_000)),
    "peg": ((25, 240_000), (5, 24_000)),
    "gas": ((50, 5_000), (25, 1_000)),
    "de": ((50, 5_000), (10, 1_000)),
    "de_peak": ((50, 5_000), (10, 1_000)),
    "fr": ((50, 5_000), (10, 1_000)),
    "power": ((50, 5_000), (10, 1_000)),
    "spread": ((50, 5_000), (10, 1_000)),
    "eua": ((10, 5_000), (10, 1_000)),
}


@cache
def terms(family: str) -> Terms:
    """The ticks and lots of a family."""
    brokers, exchanges = _TERMS[family]
    each = [brokers if number >= FIRST_BROKER else exchanges for number in range(len(VENUES))]
    return Terms(*(np.array(column, dtype=np.int64) for column in zip(*each, strict=True)))


# --- the best orders -----------------------------------------------------------------------------------------------


def keys(codes: Hashes, venue_numbers: Integers) -> Hashes:
    """What tells each desk from any other, from its contract's code."""
    return hashing.combine(codes, venue_numbers.astype(np.uint64))


def periods(keys: Hashes, venue_numbers: Integers) -> Integers:
    """Milliseconds for which a side stays as it is, but for its level: longer at brokers."""
    chance = (keys >> np.uint64(1)).astype(np.int64)
    return np.where(venue_numbers >= FIRST_BROKER, 15_000 + chance % 45_000, 2_000 + chance % 6_000)


def sides(keys: Hashes, periods: Integers, signs: Integers, moments: Integers) -> Hashes:
    """64 bits for each desk's side at a moment (ms since 1970), from which all of its orders are drawn."""
    return hashing.hash64(hashing.rehash(keys, 70) + signs.astype(np.uint64), moments // periods)


def is_there(sides: Hashes, thousandths: Integers) -> Bools:
    """Which sides have any order: never where nothing is listed, and often not where little is traded."""
    return (thousandths > 0) & (hashing.uniform_below(hashing.rehash(sides, 62), 3_000) < thousandths + 1_000)


def distances(sides: Hashes, thousandths: Integers) -> Integers:
    """Ticks from what a delivery is worth to the best order: few where much is traded."""
    return hashing.uniform_below(
        hashing.rehash(sides, 61), 2 + 18 * (20_000 - np.minimum(thousandths, 20_000)) // 20_000
    )


def prices(worth: Integers, ticks: Integers | int, signs: Integers | int, away: Integers) -> Integers:
    """What orders so many ticks away from the best possible one cost; so that bids always lie below offers."""
    level: Integers = worth // ticks
    orders: Integers = np.where(np.equal(signs, BID), level - away, level + 1 + away)
    return np.multiply(orders, ticks)


def sizes(bits: Hashes, most: int) -> Integers:
    """How many lots an order is for."""
    return 1 + hashing.uniform_below(bits >> np.uint64(20), most)


def first(sides: Hashes) -> Hashes:
    """64 bits for the best order of a side."""
    return hashing.hash64(sides, np.zeros(len(sides), dtype=np.int64))
