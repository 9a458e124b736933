"""Simulated order books: the orders of each venue at a time, as a function of the seed.

No order has a history, but the same time always has the same book, and its best orders are those at which ``model``
makes trades. Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

import numpy as np
from attrs import frozen

from ..venues import VENUES
from . import calendar, hashing, venue_books
from .deliveries import Delivery
from .hashing import Bools, Hashes, Integers
from .keys import ROUTES, Route
from .levels import FAMILIES
from .model import SimulatedContract, SimulatedMarket
from .universe import Product
from .venue_books import ASK, BID, FIRST_BROKER

PUBLIC, FIRM, WITHHELD = 0, 1, 2
"""Status of an order: another company's, or the key owner's own, firm or withheld."""

# guide p. 32
_PRIVATE_FROM = calendar.day_number(datetime.date(2021, 2, 1))
# One order in 40 is the key owner's own; one in 4 of those at a venue with a private feed is withheld.
_OWN = 40
_WITHHELD = 4
# One venue book in 3 is not on the second route.
_NOT_ON_SECOND_ROUTE = 3
_NEVER = 1 << 40
_SESSION_MS = calendar.SESSION_NS // calendar.NS_PER_MS


@frozen
class VenueBook:
    """Order book of one contract of one instrument at one venue."""

    product: Product
    delivery: Delivery
    venue: str
    key: int

    @property
    def number(self) -> int:
        """Index of the venue."""
        return venue_books.VENUES.index(self.venue)

    def is_on(self, route: Route) -> bool:
        """Return True if the book is on a route; all are on the first."""
        return route == ROUTES[0] or self.key % _NOT_ON_SECOND_ROUTE > 0

    @property
    def days(self) -> tuple[int, int]:
        """First day with orders, and the first day after the last one."""
        since = VENUES[self.venue].orders_from
        first = _NEVER if since is None else calendar.day_number(datetime.date.fromisoformat(since))
        if self.venue == "EEX7":
            return max(first, venue_books.T7_FROM), _NEVER
        return first, venue_books.T7_FROM if self.venue == "EEX" else _NEVER

    @property
    def max_orders(self) -> int:
        """Maximum number of orders on a side."""
        return 4 if self.number >= FIRST_BROKER else 12

    def sides(self, sign: int, times: Integers) -> Hashes:
        """Return the 64 bits of one side at each time, in milliseconds since 1970."""
        keys = np.array([self.key], dtype=np.uint64)
        lifetimes = venue_books.lifetimes(keys, np.array([self.number]))
        return venue_books.sides(keys, lifetimes, np.array([sign]), times)


def books_of(market: SimulatedMarket, contracts: Iterable[SimulatedContract]) -> list[VenueBook]:
    """Return the venue books of some contracts, which have one delivery."""
    traded = [contract for contract in contracts if contract.product.share]
    listings = [(contract, venue) for contract in traded for venue in venue_books.venues_of(contract.product)]
    if not listings:
        return []
    codes = market.codes([contract for contract, _ in listings])
    keys = venue_books.book_keys(codes, np.array([venue_books.VENUES.index(venue) for _, venue in listings]))
    return [VenueBook(*contract, venue, key) for (contract, venue), key in zip(listings, keys.tolist(), strict=True)]


@frozen
class Side:
    """One side of the books: a row for each time, a column for each order, best first."""

    exists: Bools
    """False in columns after the last order of a row."""
    price: Integers
    quantity: Integers
    book: Integers
    """Index of the order's venue book."""
    status: Integers

    def near_best(self, percent: tuple[int, int]) -> Side:
        """Return the side without the orders whose distance from the best price is larger than a percentage.

        ``percent`` is a fraction, as numerator and denominator.
        """
        numerator, denominator = percent
        best = self.price[:, :1]
        is_near = abs(self.price - best) * 100 * denominator <= numerator * abs(best)
        return Side(self.exists & is_near, self.price, self.quantity, self.book, self.status)


@frozen
class Hours:
    """Times within trading hours in milliseconds since 1970, with the index of each time's day among ``days``."""

    times: Integers
    days: Integers
    day: Integers

    @classmethod
    def of(cls, times: Integers) -> tuple[Hours, Bools]:
        """Return the times that are in trading hours, and True for each of them among ``times``."""
        days, day = np.unique(times // calendar.DAY_MS, return_inverse=True)
        since_start = times - calendar.session_start(days)[day]
        is_open = calendar.is_open(days)[day] & (since_start >= 0) & (since_start < _SESSION_MS)
        return cls(times[is_open], days, day[is_open]), is_open


def sides(
    market: SimulatedMarket, books: list[VenueBook], hours: Hours, depth: int, include_private: bool = False
) -> tuple[Side, Side]:
    """Return bids and asks with at most ``depth`` orders.

    With ``include_private``, own orders have their status. At a venue with a private feed they come twice, once public
    and once private.
    """
    families = {book.product.family: book.delivery for book in books}
    worth = {family: market.worth(family, delivery, hours.times) for family, delivery in families.items()}
    products = {book.product: book.delivery for book in books}
    listed = {
        product: market.thousandths(product, delivery, hours.days)[hours.day] for product, delivery in products.items()
    }
    found = []
    for sign in (BID, ASK):
        parts: list[_Orders] = []
        for index, book in enumerate(books):
            product = book.product
            parts += _orders(book, sign, index, hours, worth[product.family], listed[product], depth, include_private)
        found.append(_best(parts, len(hours.times), depth))
    return found[0], found[1]


@frozen
class _Orders:
    """Orders of one venue book at each time, best first; orders of several books are sorted by ``rank``."""

    exists: Bools
    price: Integers
    quantity: Integers
    book: Integers
    status: Integers
    rank: Integers


def _orders(
    book: VenueBook,
    sign: int,
    index: int,
    hours: Hours,
    worth: Integers,
    thousandths: Integers,
    depth: int,
    include_private: bool,
) -> Iterator[_Orders]:
    family, terms, venue = FAMILIES[book.product.family], venue_books.terms(book.product.family), VENUES[book.venue]
    tick, lot = int(terms.ticks[book.number]), int(terms.lots[book.number])
    base = book.sides(sign, hours.times)
    level = np.arange(min(depth, book.max_orders), dtype=np.int64)[None, :]
    bits = hashing.hash64(base[:, None], level)
    # Venues that report levels have each price once; at the others several orders may have the same price.
    steps = hashing.uniform_below(bits, 3) + (venue.levels == "levels")
    steps[:, 0] = venue_books.distances(base, thousandths)
    price = venue_books.prices(worth[:, None], tick, sign, np.cumsum(steps, axis=1))
    quantity = lot * venue_books.sizes(bits, family.max_lots)
    exists = _count(book, base, hours, thousandths)[:, None] > level
    # The better price comes first, then the older order; within a book an order at a deeper level is never older.
    rank = (sign * price << 26) + ((base >> np.uint64(44)).astype(np.int64)[:, None] << 6) + level
    books = np.full_like(price, index)
    status = _status(bits, hours) if include_private else np.zeros_like(price)
    if not venue.separate_private_feed:
        yield _Orders(exists, price, quantity, books, np.minimum(status, FIRM), rank)
        return
    yield _Orders(exists, price, quantity, books, np.zeros_like(status), rank)
    if include_private:
        # An own order is a part of the public level, so its quantity is at most one lot.
        yield _Orders(exists & (status > PUBLIC), price, np.minimum(quantity, lot), books, status, rank)


def _count(book: VenueBook, base: Hashes, hours: Hours, thousandths: Integers) -> Integers:
    """Return the number of orders of a side at each time: 0 outside the listing, few for illiquid contracts."""
    first, end = book.days
    days = hours.days[hours.day]
    exists = (days >= first) & (days < end) & venue_books.is_there(base, thousandths)
    missing = hashing.uniform_below(hashing.rehash(base, 63), 3)
    count = 1 + (book.max_orders - 1) * np.minimum(thousandths, 40_000) // 40_000 - missing
    return np.where(exists, np.maximum(count, 1), 0)


def _status(bits: Hashes, hours: Hours) -> Integers:
    has_private = (hours.days >= _PRIVATE_FROM)[hours.day]
    own = hashing.one_in(bits, 9, _OWN) & has_private[:, None]
    withheld = hashing.one_in(bits, 10, _WITHHELD)
    return np.where(own, np.where(withheld, WITHHELD, FIRM), PUBLIC)


def _best(parts: list[_Orders], count: int, depth: int) -> Side:
    """Return the best orders of several venue books at ``count`` times."""
    if not parts:
        zeros = np.zeros((count, 0), dtype=np.int64)
        return Side(zeros > 0, zeros, zeros, zeros, zeros)
    names = ("exists", "price", "quantity", "book", "status", "rank")
    columns = {name: np.concatenate([getattr(part, name) for part in parts], axis=1) for name in names}
    rank = np.where(columns["exists"], columns.pop("rank"), np.iinfo(np.int64).max)
    order = np.argsort(rank, axis=1, kind="stable")[:, :depth]
    return Side(**{name: np.take_along_axis(column, order, axis=1) for name, column in columns.items()})
