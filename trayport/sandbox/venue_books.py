"""Venues with their clocks, ticks and lots, and the best order of each side of a venue book.

A venue book is one contract of one instrument at one venue. Each side of it changes every few seconds, around the
value of the delivery at that time. A trade takes the best order of the second before it, so its price was available
then.
"""

from __future__ import annotations

import datetime
from functools import cache, lru_cache

import numpy as np
from attrs import frozen

from . import calendar, hashing
from .hashing import Bools, Hashes, Integers
from .universe import Product

# All venues of the model, with the resolution of their clocks in nanoseconds.
VENUES = ("EEX", "EEX7", "ICE", "NDAQ", "TFS", "ICAP", "SPEC", "PREB", "GRFN", "GFI", "42FS")
RESOLUTIONS = np.array([1_000_000, 1, 1_000_000, 1_000, *(1_000_000, 1_000) * 3, 1_000_000], dtype=np.int64)
FIRST_BROKER = 4
EEX, T7 = 0, 1
BROKERS = VENUES[FIRST_BROKER:]
T7_FROM = calendar.day_number(datetime.date(2022, 4, 4))
"""First day on which EEX trades on the system T7, with the venue code EEX7."""

BID, ASK = -1, 1


# --- venues ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def home_venue(product: Product) -> int:
    """Return the index of the exchange that lists a product; -1 if brokers trade it."""
    return VENUES.index(product.venue) if product.venue in VENUES else -1


def venues_of(product: Product) -> tuple[str, ...]:
    """Return the codes of all venues at which a product was ever traded."""
    return {"EEX": ("EEX", "EEX7"), "ICE": ("ICE",), "NDAQ": ("NDAQ",)}.get(product.venue, BROKERS)


def venue_numbers(home: Integers, day: Integers, chance: Hashes) -> Integers:
    """Return the index of the venue of each trade: the product's exchange, or one of the brokers."""
    brokers = FIRST_BROKER + hashing.uniform_below(hashing.rehash(chance, 8), len(BROKERS))
    on_t7 = (home == EEX) & (day >= T7_FROM)
    return np.where(home < 0, brokers, np.where(on_t7, T7, home))


@frozen
class Terms:
    """Ticks and lots of a family in thousandths, by the index of the venue."""

    ticks: Integers
    lots: Integers


# Tick and lot at brokers and at exchanges, in thousandths. Exchanges have smaller ones.
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
    """Return the ticks and lots of a family."""
    brokers, exchanges = _TERMS[family]
    rows = [brokers if number >= FIRST_BROKER else exchanges for number in range(len(VENUES))]
    return Terms(*(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)))


# --- the best orders -----------------------------------------------------------------------------------------------


def book_keys(codes: Hashes, venue_numbers: Integers) -> Hashes:
    """Return the key of each venue book, from the code of its contract and the index of its venue."""
    return hashing.combine(codes, venue_numbers.astype(np.uint64))


def lifetimes(keys: Hashes, venue_numbers: Integers) -> Integers:
    """Return the milliseconds for which the orders of a side keep their distances; longer at brokers."""
    chance = (keys >> np.uint64(1)).astype(np.int64)
    return np.where(venue_numbers >= FIRST_BROKER, 15_000 + chance % 45_000, 2_000 + chance % 6_000)


def sides(keys: Hashes, lifetimes: Integers, signs: Integers, times: Integers) -> Hashes:
    """Return 64 bits for a side of each book at a time (ms since 1970); all its orders are derived from them."""
    return hashing.hash64(hashing.rehash(keys, 70) + signs.astype(np.uint64), times // lifetimes)


def is_there(sides: Hashes, thousandths: Integers) -> Bools:
    """Return True for each side with an order: never without a listing, and often not for illiquid contracts."""
    return (thousandths > 0) & (hashing.uniform_below(hashing.rehash(sides, 62), 3_000) < thousandths + 1_000)


def distances(sides: Hashes, thousandths: Integers) -> Integers:
    """Return the ticks between the value of a delivery and the best order; few for liquid contracts."""
    most = 2 + 18 * (20_000 - np.minimum(thousandths, 20_000)) // 20_000
    return hashing.uniform_below(hashing.rehash(sides, 61), most)


def prices(worth: Integers, ticks: Integers | int, signs: Integers | int, distance: Integers) -> Integers:
    """Return the prices of orders at a distance in ticks from the value, so that each bid is below each ask."""
    level: Integers = worth // ticks
    orders: Integers = np.where(np.equal(signs, BID), level - distance, level + 1 + distance)
    return np.multiply(orders, ticks)


def sizes(bits: Hashes, most: int) -> Integers:
    """Return the number of lots of each order, from 1 to ``most``."""
    return 1 + hashing.uniform_below(bits >> np.uint64(20), most)


def best_order(sides: Hashes) -> Hashes:
    """Return the 64 bits of the best order of each side."""
    return hashing.hash64(sides, np.zeros(len(sides), dtype=np.int64))
