"""What of a product can be traded: its periods, alone or two of them joined, and how much each is traded."""

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

# Two periods are joined only if the second comes at most so many places after the first: what lies further apart, or
# the other way round, never trades. So everything that trades can be counted up.
_WIDEST = 3


@frozen(cache_hash=True)
class Delivery:
    """A period of a sequence, or two of them as a spread or a range."""

    sequence: Sequence
    items: tuple[Item, ...]
    kind: Kind

    @property
    def key(self) -> int:
        """64 bits that stand for it."""
        return hashing.key(self.sequence.id, self.kind, *self.ids)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The ids of its items."""
        return tuple(item.id for item in self.items)

    def liquidity(self, days: Integers) -> Integers:
        """Thousandths of a trade on each day, of all the instruments of the most liquid family together."""
        if self.kind != "single" and not 1 <= _places(self.sequence, *self.ids) <= _WIDEST:
            return np.zeros(len(days), dtype=np.int64)
        rarer: Integers = np.minimum.reduce([_liquidity(self.sequence, item, days) for item in self.items])
        return rarer // _RARITY[self.kind]


def spreads_of(delivery: Delivery) -> list[tuple[Delivery, int]]:
    """The spreads that are traded of which a single period is the first or the second leg, and which it is."""
    sequence, (item,) = delivery.sequence, delivery.items
    step = universe.numbering(sequence).step
    found = []
    for places in range(1, _WIDEST + 1):
        for other, leg in ((item.id + places * step, 1), (item.id - places * step, 2)):
            partner = universe.item(sequence, other)
            if partner is not None:
                items = (item, partner) if leg == 1 else (partner, item)
                found.append((Delivery(sequence, items, "spread"), leg))
    return found


# How much rarer than its rarer period a joined delivery is traded.
_RARITY: dict[Kind, int] = {"single": 1, "spread": 8, "range": 30}


def _places(sequence: Sequence, first: int, second: int) -> int:
    """How many places the second item comes after the first."""
    return (second - first) // universe.numbering(sequence).step


# base thousandths of trades a day at the front, days of distance that make a rank, how fast they thin out
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
    """All that can be traded of a commodity on a day, as columns."""

    deliveries: tuple[Delivery, ...]
    keys: Hashes
    liquidity: Integers


@lru_cache(maxsize=96)
def on(group: str, day: int) -> DayListing:
    """What can be traded of a commodity on a day."""
    date, days = calendar.date_of(day), np.array([day], dtype=np.int64)
    sequences = [sequence for sequence in SEQUENCES.values() if sequence.group == group]
    found = [delivery for sequence in sequences for delivery in _joined(sequence, _tradable(sequence, date))]
    return DayListing(
        tuple(found),
        np.array([delivery.key for delivery in found], dtype=np.uint64),
        np.array([delivery.liquidity(days)[0] for delivery in found], dtype=np.int64),
    )


def _tradable(sequence: Sequence, date: datetime.date) -> list[Item]:
    """The items that trade on a day; first and last day of trading rise with the number."""
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


def _joined(sequence: Sequence, items: list[Item]) -> Iterator[Delivery]:
    for place, item in enumerate(items):
        yield Delivery(sequence, (item,), "single")
        for other in items[place + 1 : place + 1 + _WIDEST]:
            yield Delivery(sequence, (item, other), "spread")
            yield Delivery(sequence, (item, other), "range")
