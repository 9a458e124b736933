"""History that changes after the fact: trades that somebody deletes or amends while the server runs."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal

import numpy as np
from attrs import evolve, frozen

from . import calendar
from .calendar import NS_PER_DAY
from .hashing import Bools, Integers
from .insertions import Inserted
from .lifecycle import DELETION, delay
from .model import FIRST_DAY, SimulatedMarket, Trades, short
from .venue_books import FIRST_BROKER, T7, VENUES


@frozen
class Revision:
    """What became of one trade at a moment: a new price or quantity in thousandths, or, with neither, its end."""

    venue_number: int
    day: int
    code: int
    serial: int
    leg: int
    at: int
    price: int | None = None
    quantity: int | None = None

    @property
    def is_deletion(self) -> bool:
        """Is the trade gone?"""
        return self.price is None and self.quantity is None

    def of(self, rows: Trades | Inserted) -> Bools:
        """Which rows are that trade."""
        found: Bools = self._named(rows) & (rows.leg == self.leg)
        return found

    def left_of(self, rows: Trades | Inserted) -> Bools:
        """Which rows are the legs that the trade, a spread, would have left."""
        found: Bools = self._named(rows) & (rows.leg > 0) & (self.leg == 0)
        return found

    def _named(self, rows: Trades | Inserted) -> Bools:
        found: Bools = (
            (short(rows.code) == np.uint64(self.code))
            & (rows.serial == self.serial)
            & (rows.time // NS_PER_DAY == self.day)
            & (rows.venue_number == self.venue_number)
        )
        return found


@frozen
class Revisions:
    """All that was revised, in order."""

    listed: tuple[Revision, ...] = ()

    def followed_by(self, revision: Revision) -> Revisions:
        """These, and one more."""
        return Revisions((*self.listed, revision))

    def until(self, now: int) -> Revisions:
        """Those that have come about by a moment."""
        return Revisions(tuple(revision for revision in self.listed if revision.at <= now))

    def applied(self, trades: Trades) -> Trades:
        """Trades as they are after it; what was deleted before it would have broken leaves no legs."""
        for revision in self.listed:
            rows = revision.of(trades)
            if revision.is_deletion:
                trades = trades.take(~(rows | self._never(revision, trades)))
                continue
            price = trades.price if revision.price is None else np.where(rows, revision.price, trades.price)
            quantity = (
                trades.quantity if revision.quantity is None else np.where(rows, revision.quantity, trades.quantity)
            )
            trades = evolve(trades, price=price, quantity=quantity)
        return trades

    def last_updated(self, trades: Trades, updated: Integers) -> Integers:
        """When each trade was last changed, these changes among them."""
        for revision in self.listed:
            updated = np.where(revision.of(trades), np.maximum(updated, revision.at), updated)
        return updated

    def inserted(self, rows: Inserted) -> Bools:
        """Which rows were inserted at all, in spite of it."""
        kept = np.ones(len(rows), dtype=bool)
        for revision in self.listed:
            if revision.is_deletion:
                kept &= ~self._never(revision, rows)
        return kept

    def ended(self, rows: Inserted) -> Integers:
        """When each row was deleted by it; the end of time for all others."""
        found = np.full(len(rows), np.iinfo(np.int64).max)
        for revision in self.listed:
            if revision.is_deletion:
                found[revision.of(rows)] = revision.at
        return found

    def counts(self, rows: Inserted) -> tuple[Integers, Integers]:
        """How often each row was amended and deleted by it."""
        found = np.zeros((2, len(rows)), dtype=np.int64)
        for revision in self.listed:
            found[int(revision.is_deletion)] += revision.of(rows)
        return found[0], found[1]

    @staticmethod
    def _never(revision: Revision, rows: Trades | Inserted) -> Bools:
        """The legs of a spread that was deleted before it could break."""
        later: Bools = rows.time + delay(rows.chance, DELETION) > revision.at
        return revision.left_of(rows) & later


def found(
    market: SimulatedMarket,
    revisions: Revisions,
    venue_code: str,
    trade_id: str,
    at: int,
    price: float | Decimal | None,
    quantity: float | Decimal | None,
) -> Revision:
    """What is to become of the trade with this id at ``at``; ``ValueError`` if there is none to see."""
    revision = _parsed(str(venue_code), str(trade_id), at)
    if revision is not None and FIRST_DAY <= revision.day <= at // NS_PER_DAY:
        day = market.day(revision.day)
        rows = day.inserted.take(revision.of(day.inserted))
        if len(revisions.applied(market.priced(day.contracts, rows).known(at))):
            return evolve(revision, price=_price(price), quantity=_quantity(quantity))
    raise ValueError(f"there is no trade {trade_id!r} at {venue_code!r}; take both from an answer of this sandbox")


# Far beyond any price and any trade, and small enough for what is worked out from both.
_MOST = 10**6


def _price(price: float | Decimal | None) -> int | None:
    found = _thousandths("price", price)
    if found is not None and abs(found) > _MOST * 1000:
        raise ValueError(f"price={price!r} must lie between -{_MOST:,} and {_MOST:,}")
    return found


def _quantity(quantity: float | Decimal | None) -> int | None:
    found = _thousandths("quantity", quantity)
    if found is not None and not 0 < found <= _MOST * 1000:
        raise ValueError(f"quantity={quantity!r} must lie above 0 and be at most {_MOST:,}")
    return found


def _thousandths(name: str, value: float | Decimal | None) -> int | None:
    if value is None:
        return None
    try:
        number = Decimal(str(value)) * 1000
        if isinstance(value, bool) or not number.is_finite() or number != int(number):
            raise ValueError
    except (ArithmeticError, ValueError):
        raise ValueError(f"{name}={value!r} must be a number of at most three decimals") from None
    return int(number)


_T7_ID = re.compile(r"Eurex T7/(?P<code>[0-9A-F]{10})\d{6}-(?P<date>\d{8})/(?P<serial>\d+)/(?P<leg>[1-3])(?: Public)?")
_EXCHANGE_ID = re.compile(r"(?P<day>\d{5})(?P<code>\d{13})(?P<serial>\d{5})(?P<leg>[1-3])")
_BROKER_ID = re.compile(r"(?P<day>\d{5})(?P<code>[0-9A-F]{10})(?P<serial>\d{5})(?P<leg>[1-3])")


def _parsed(venue_code: str, trade_id: str, at: int) -> Revision | None:
    """The deletion of the trade with this id at ``at``; None if the venue gives no such ids."""
    number = VENUES.index(venue_code) if venue_code in VENUES else -1
    pattern = _T7_ID if number == T7 else _BROKER_ID if number >= FIRST_BROKER else _EXCHANGE_ID
    match = pattern.fullmatch(trade_id)
    if match is None or number < 0:
        return None
    parts = match.groupdict()
    serial, leg = int(parts["serial"]), int(parts["leg"]) - 1
    if number == T7:
        try:
            day = calendar.day_number(datetime.datetime.strptime(parts["date"], "%Y%m%d").date())  # noqa: DTZ007
        except ValueError:
            return None
        return Revision(number, day, int(parts["code"], 16), serial - 1, leg, at)
    return Revision(
        number, int(parts["day"]), int(parts["code"], 16 if number >= FIRST_BROKER else 10), serial, leg, at
    )
