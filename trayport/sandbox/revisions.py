"""Revisions: trades that a user of the sandbox deletes or amends while the server runs."""

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
    """A revision of one trade: a new price or quantity in thousandths, or a deletion if both are None."""

    venue_number: int
    day: int
    code: int
    serial: int
    leg: int
    at: int
    """Time of the revision, in nanoseconds since 1970."""
    price: int | None = None
    quantity: int | None = None

    @property
    def is_deletion(self) -> bool:
        """True if the trade is deleted."""
        return self.price is None and self.quantity is None

    def matches(self, rows: Trades | Inserted) -> Bools:
        """Return True for each row that is the revised trade."""
        found: Bools = self._same_trade(rows) & (rows.leg == self.leg)
        return found

    def is_leg_of(self, rows: Trades | Inserted) -> Bools:
        """Return True for each row that is a leg of the revised trade, if that is a spread."""
        found: Bools = self._same_trade(rows) & (rows.leg > 0) & (self.leg == 0)
        return found

    def prevents(self, rows: Trades | Inserted) -> Bools:
        """Return True for each leg that was never inserted, because its spread was deleted before it could break."""
        later: Bools = rows.time + delay(rows.chance, DELETION) > self.at
        return self.is_leg_of(rows) & later

    def _same_trade(self, rows: Trades | Inserted) -> Bools:
        found: Bools = (
            (short(rows.code) == np.uint64(self.code))
            & (rows.serial == self.serial)
            & (rows.time // NS_PER_DAY == self.day)
            & (rows.venue_number == self.venue_number)
        )
        return found


@frozen
class Revisions:
    """All revisions of a sandbox, in order."""

    listed: tuple[Revision, ...] = ()

    def followed_by(self, revision: Revision) -> Revisions:
        """Return these revisions and one more."""
        return Revisions((*self.listed, revision))

    def until(self, now: int) -> Revisions:
        """Return the revisions that were made by ``now``."""
        return Revisions(tuple(revision for revision in self.listed if revision.at <= now))

    def applied(self, trades: Trades) -> Trades:
        """Return trades after these revisions."""
        for revision in self.listed:
            rows = revision.matches(trades)
            if revision.is_deletion:
                trades = trades.take(~(rows | revision.prevents(trades)))
                continue
            price = trades.price if revision.price is None else np.where(rows, revision.price, trades.price)
            quantity = (
                trades.quantity if revision.quantity is None else np.where(rows, revision.quantity, trades.quantity)
            )
            trades = evolve(trades, price=price, quantity=quantity)
        return trades

    def last_updated(self, trades: Trades, updated: Integers) -> Integers:
        """Return the time at which each trade was last amended, given its time without these revisions."""
        for revision in self.listed:
            updated = np.where(revision.matches(trades), np.maximum(updated, revision.at), updated)
        return updated

    def inserted(self, rows: Inserted) -> Bools:
        """Return True for each row that was inserted in spite of these revisions."""
        kept = np.ones(len(rows), dtype=bool)
        for revision in self.listed:
            if revision.is_deletion:
                kept &= ~revision.prevents(rows)
        return kept

    def deletion_times(self, rows: Inserted) -> Integers:
        """Return the time at which each row was deleted by a revision; the largest integer for all others."""
        times = np.full(len(rows), np.iinfo(np.int64).max)
        for revision in self.listed:
            if revision.is_deletion:
                times[revision.matches(rows)] = revision.at
        return times

    def counts(self, rows: Inserted) -> tuple[Integers, Integers]:
        """Return the number of amendments and of deletions of each row."""
        counts = np.zeros((2, len(rows)), dtype=np.int64)
        for revision in self.listed:
            counts[int(revision.is_deletion)] += revision.matches(rows)
        return counts[0], counts[1]


def revision_of(
    market: SimulatedMarket,
    revisions: Revisions,
    venue_code: str,
    trade_id: str,
    at: int,
    price: float | Decimal | None,
    quantity: float | Decimal | None,
) -> Revision:
    """Return the revision of a trade at the time ``at``; raise ValueError if there is no such trade then."""
    revision = _parse_id(str(venue_code), str(trade_id), at)
    if revision is not None and FIRST_DAY <= revision.day <= at // NS_PER_DAY:
        day = market.day(revision.day)
        rows = day.inserted.take(revision.matches(day.inserted))
        if len(revisions.applied(market.priced(day.contracts, rows).known(at))):
            return evolve(revision, price=_check_price(price), quantity=_check_quantity(quantity))
    raise ValueError(f"there is no trade {trade_id!r} at {venue_code!r}; take both from a response of this sandbox")


# Larger than any price and any quantity, and small enough for the products of both in 64 bits.
_MAX = 10**6


def _check_price(price: float | Decimal | None) -> int | None:
    found = _thousandths("price", price)
    if found is not None and abs(found) > _MAX * 1000:
        raise ValueError(f"price={price!r} must lie between -{_MAX:,} and {_MAX:,}")
    return found


def _check_quantity(quantity: float | Decimal | None) -> int | None:
    found = _thousandths("quantity", quantity)
    if found is not None and not 0 < found <= _MAX * 1000:
        raise ValueError(f"quantity={quantity!r} must lie above 0 and be at most {_MAX:,}")
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


def _parse_id(venue_code: str, trade_id: str, at: int) -> Revision | None:
    """Return the deletion of a trade at the time ``at``; None if the venue has no such ids."""
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
    code = int(parts["code"], 16 if number >= FIRST_BROKER else 10)
    return Revision(number, int(parts["day"]), code, serial, leg, at)
