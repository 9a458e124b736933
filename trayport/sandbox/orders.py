"""The simulated order books: what stands at each venue at a moment, as a function of the seed and nothing else.

No order has a history, but the same moment always shows the same book, and its best orders are those that ``model``
makes trades at.
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
"""Whose an order is, and how an own one stands."""

# guide p. 32
_PRIVATE_FROM = calendar.day_number(datetime.date(2021, 2, 1))
# Of so many orders, one is the key owner's own; of so many of those on a feed of their own, one is held back.
_OWN = 40
_HELD = 4
# The second route does not see one desk in so many.
_UNSEEN = 3
_NEVER = 1 << 40
_SESSION_MS = calendar.SESSION_NS // calendar.NS_PER_MS


@frozen
class VenueBook:
    """The book of one contract of one instrument at one venue."""

    product: Product
    delivery: Delivery
    venue: str
    key: int

    @property
    def number(self) -> int:
        """The venue's number."""
        return venue_books.VENUES.index(self.venue)

    def is_on(self, route: Route) -> bool:
        """Is it on a route? All are on the first."""
        return route == ROUTES[0] or self.key % _UNSEEN > 0

    @property
    def days(self) -> tuple[int, int]:
        """The first day that orders are kept from, and the first from which there are none any more."""
        since = VENUES[self.venue].orders_from
        first = _NEVER if since is None else calendar.day_number(datetime.date.fromisoformat(since))
        if self.venue == "EEX7":
            return max(first, venue_books.T7_FROM), _NEVER
        return first, venue_books.T7_FROM if self.venue == "EEX" else _NEVER

    @property
    def most(self) -> int:
        """The orders on a side, at the most."""
        return 4 if self.number >= FIRST_BROKER else 12

    def sides(self, sign: int, moments: Integers) -> Hashes:
        """64 bits for one side at each moment."""
        keys = np.array([self.key], dtype=np.uint64)
        periods = venue_books.periods(keys, np.array([self.number]))
        return venue_books.sides(keys, periods, np.array([sign]), moments)


def books_of(market: SimulatedMarket, contracts: Iterable[SimulatedContract]) -> list[VenueBook]:
    """Every desk at which some contracts, which are of one delivery, are traded."""
    traded = [contract for contract in contracts if contract.product.share]
    places = [(contract, venue) for contract in traded for venue in venue_books.venues_of(contract.product)]
    if not places:
        return []
    codes = market.codes([contract for contract, _ in places])
    keys = venue_books.keys(codes, np.array([venue_books.VENUES.index(venue) for _, venue in places]))
    return [VenueBook(*contract, venue, key) for (contract, venue), key in zip(places, keys.tolist(), strict=True)]


@frozen
class Side:
    """One side of the books at some moments: a row a moment, a column an order, best first; ``there`` says which
    orders there are."""

    there: Bools
    price: Integers
    quantity: Integers
    desk: Integers
    """The place of each order's desk among those asked for."""
    status: Integers

    def within(self, spread: tuple[int, int]) -> Side:
        """Only what lies within so many per cent (numerator, denominator) of the best price."""
        numerator, denominator = spread
        best = self.price[:, :1]
        near = abs(self.price - best) * 100 * denominator <= numerator * abs(best)
        return Side(self.there & near, self.price, self.quantity, self.desk, self.status)


@frozen
class Hours:
    """Moments of trading, in milliseconds since 1970, each with its day's place among the days."""

    moments: Integers
    days: Integers
    day: Integers

    @classmethod
    def of(cls, moments: Integers) -> tuple[Hours, Bools]:
        """Those of the moments that lie in trading hours, and which they are."""
        days, day = np.unique(moments // calendar.DAY_MS, return_inverse=True)
        within = moments - calendar.session_start(days)[day]
        is_open = calendar.is_open(days)[day] & (within >= 0) & (within < _SESSION_MS)
        return cls(moments[is_open], days, day[is_open]), is_open


def sides(
    market: SimulatedMarket, at: list[VenueBook], hours: Hours, depth: int, private: bool = False
) -> tuple[Side, Side]:
    """Bids and asks, at most ``depth`` orders deep; with one's own ones marked, or doubled where they come twice."""
    families = {desk.product.family: desk.delivery for desk in at}
    worth = {family: market.worth(family, delivery, hours.moments) for family, delivery in families.items()}
    products = {desk.product: desk.delivery for desk in at}
    listed = {
        product: market.thousandths(product, delivery, hours.days)[hours.day] for product, delivery in products.items()
    }
    found = []
    for sign in (BID, ASK):
        parts = [
            part
            for place, desk in enumerate(at)
            for part in _orders(
                desk, sign, place, hours, worth[desk.product.family], listed[desk.product], depth, private
            )
        ]
        found.append(_best(parts, len(hours.moments), depth))
    return found[0], found[1]


@frozen
class _Orders:
    """Some orders of one desk at each moment, from the best on; ``rank`` sorts them among others, lower is better."""

    there: Bools
    price: Integers
    quantity: Integers
    desk: Integers
    status: Integers
    rank: Integers


def _orders(
    desk: VenueBook,
    sign: int,
    place: int,
    hours: Hours,
    worth: Integers,
    thousandths: Integers,
    depth: int,
    private: bool,
) -> Iterator[_Orders]:
    family, terms, venue = FAMILIES[desk.product.family], venue_books.terms(desk.product.family), VENUES[desk.venue]
    tick, lot = int(terms.ticks[desk.number]), int(terms.lots[desk.number])
    base = desk.sides(sign, hours.moments)
    level = np.arange(min(depth, desk.most), dtype=np.int64)[None, :]
    bits = hashing.hash64(base[:, None], level)
    # Where prices are summed by level, each price comes once; single orders may share one.
    steps = hashing.uniform_below(bits, 3) + (venue.levels == "levels")
    steps[:, 0] = venue_books.distances(base, thousandths)
    price = venue_books.prices(worth[:, None], tick, sign, np.cumsum(steps, axis=1))
    quantity = lot * venue_books.sizes(bits, family.most)
    there = _count(desk, base, hours, thousandths)[:, None] > level
    # The better price first, then the older order; of one desk, what lies deeper is never older.
    rank = (sign * price << 26) + ((base >> np.uint64(44)).astype(np.int64)[:, None] << 6) + level
    places = np.full_like(price, place)
    status = _status(bits, hours) if private else np.zeros_like(price)
    if not venue.separate_private_feed:
        yield _Orders(there, price, quantity, places, np.minimum(status, FIRM), rank)
        return
    yield _Orders(there, price, quantity, places, np.zeros_like(status), rank)
    if private:  # One's own orders once more, by name; of a level that sums up several, they are a part.
        yield _Orders(there & (status > PUBLIC), price, np.minimum(quantity, lot), places, status, rank)


def _count(desk: VenueBook, base: Hashes, hours: Hours, thousandths: Integers) -> Integers:
    """How many orders a side has: none where nothing is listed, and often none where little is traded."""
    first, end = desk.days
    days = hours.days[hours.day]
    kept = (days >= first) & (days < end) & venue_books.is_there(base, thousandths)
    count = (
        1
        + (desk.most - 1) * np.minimum(thousandths, 40_000) // 40_000
        - hashing.uniform_below(hashing.rehash(base, 63), 3)
    )
    return np.where(kept, np.maximum(count, 1), 0)


def _status(bits: Hashes, hours: Hours) -> Integers:
    kept = (hours.days >= _PRIVATE_FROM)[hours.day]
    own = hashing.one_in(bits, 9, _OWN) & kept[:, None]
    held = hashing.one_in(bits, 10, _HELD)
    return np.where(own, np.where(held, WITHHELD, FIRM), PUBLIC)


def _best(parts: list[_Orders], count: int, depth: int) -> Side:
    """The best orders of all desks."""
    if not parts:
        nothing = np.zeros((count, 0), dtype=np.int64)
        return Side(nothing > 0, nothing, nothing, nothing, nothing)
    names = ("there", "price", "quantity", "desk", "status", "rank")
    columns = {name: np.concatenate([getattr(part, name) for part in parts], axis=1) for name in names}
    rank = np.where(columns["there"], columns.pop("rank"), np.iinfo(np.int64).max)
    order = np.argsort(rank, axis=1, kind="stable")[:, :depth]
    return Side(**{name: np.take_along_axis(column, order, axis=1) for name, column in columns.items()})
