"""Deliveries: single periods, spreads and ranges of a sequence, with their liquidity."""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias

import numpy as np
from attrs import frozen

from . import calendar, hashing, universe
from .hashing import Hashes, Integers
from .universe import SEQUENCES, Item, Sequence

Kind: TypeAlias = Literal["single", "spread", "range"]

# The second period of a spread or range is at most three places after the first; no other pair is ever traded, so the
# number of tradable contracts stays small.
_MAX_DISTANCE = 3


@frozen(cache_hash=True)
class Delivery:
    """A period of a sequence, or two of them as a spread or a range."""

    sequence: Sequence
    items: tuple[Item, ...]
    kind: Kind

    @property
    def key(self) -> int:
        """64 bits that identify the delivery."""
        return hashing.key(self.sequence.id, self.kind, *self.ids)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Ids of the items."""
        return tuple(item.id for item in self.items)

    def liquidity(self, days: Integers) -> Integers:
        """Return the average trades on each day in thousandths, for the most liquid family with all its instruments."""
        if self.kind != "single" and not 1 <= _distance(self.sequence, *self.ids) <= _MAX_DISTANCE:
            return np.zeros(len(days), dtype=np.int64)
        rarer: Integers = np.minimum.reduce([_liquidity(self.sequence, item, days) for item in self.items])
        return rarer // _RARITY[self.kind]


def spreads_of(delivery: Delivery) -> list[tuple[Delivery, int]]:
    """Return the spreads that have a single period as a leg, each with 1 if it is the first leg, 2 if the second."""
    sequence, (item,) = delivery.sequence, delivery.items
    step = universe.numbering(sequence).step
    found = []
    for places in range(1, _MAX_DISTANCE + 1):
        for other, leg in ((item.id + places * step, 1), (item.id - places * step, 2)):
            partner = universe.item(sequence, other)
            if partner is not None:
                items = (item, partner) if leg == 1 else (partner, item)
                found.append((Delivery(sequence, items, "spread"), leg))
    return found


# Divisor of the liquidity, relative to the less liquid item.
_RARITY: dict[Kind, int] = {"single": 1, "spread": 8, "range": 30}


def _distance(sequence: Sequence, first: int, second: int) -> int:
    """Return the number of places from the first item to the second."""
    return (second - first) // universe.numbering(sequence).step


# Trades a day at the front in thousandths, days of distance for one rank, decay by rank.
_LIQUIDITY: dict[str, tuple[int, int, int]] = {
    "day": (60_000, 1, 1),
    "weekend": (40_000, 7, 1),
    "week": (40_000, 7, 1),
    "month": (900_000, 30, 1),
    "quarter": (120_000, 91, 1),
    "season": (90_000, 183, 2),
    "year": (120_000, 365, 2),
    "expiry": (900_000, 365, 8),
}
_PROMPT_LIQUIDITY = {"WD": 90_000, "DA": 250_000, "W/END": 50_000, "BOM": 60_000, "BOW": 20_000}


def _liquidity(sequence: Sequence, item: Item, days: Integers) -> Integers:
    if sequence.tenor == "prompt":
        return np.full(len(days), _PROMPT_LIQUIDITY.get(item.name, 5_000), dtype=np.int64)
    base, days_a_rank, falloff = _LIQUIDITY[sequence.tenor]
    start, first, last = (calendar.day_number(date) for date in (item.start, item.first, item.last) if date)
    rank = np.maximum(start - days, 0) // days_a_rank
    listed = (days >= first) & (days <= last)
    return np.where(listed, base // (1 + rank + falloff * rank * rank // 2), 0)


@frozen
class DayListing:
    """Deliveries of a commodity that are tradable on a day, as columns."""

    deliveries: tuple[Delivery, ...]
    keys: Hashes
    liquidity: Integers


@lru_cache(maxsize=96)
def on(group: str, day: int) -> DayListing:
    """Return the deliveries of a commodity that are tradable on a day."""
    date, days = calendar.date_of(day), np.array([day], dtype=np.int64)
    sequences = [sequence for sequence in SEQUENCES.values() if sequence.group == group]
    found = [delivery for sequence in sequences for delivery in _combinations(sequence, _tradable(sequence, date))]
    return DayListing(
        tuple(found),
        np.array([delivery.key for delivery in found], dtype=np.uint64),
        np.array([delivery.liquidity(days)[0] for delivery in found], dtype=np.int64),
    )


def _tradable(sequence: Sequence, date: datetime.date) -> list[Item]:
    """Return the items that trade on a day; first and last day of trading rise with the id."""
    if sequence.tenor == "prompt":
        return [item for item in (universe.item(sequence, number) for number in universe.PROMPT) if item]
    ids = universe.numbering(sequence)

    def last(number: int) -> datetime.date:
        item = universe.item(sequence, number)
        return (item and item.last) or datetime.date.max

    found = []
    for number in ids[bisect.bisect_left(ids, date, key=last) :]:
        item = universe.item(sequence, number)
        if item is None or item.first is None or item.first > date:
            break
        found.append(item)
    return found


def _combinations(sequence: Sequence, items: list[Item]) -> Iterator[Delivery]:
    for place, item in enumerate(items):
        yield Delivery(sequence, (item,), "single")
        for other in items[place + 1 : place + 1 + _MAX_DISTANCE]:
            yield Delivery(sequence, (item, other), "spread")
            yield Delivery(sequence, (item, other), "range")
