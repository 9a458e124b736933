"""The simulated market: what traded of a contract on a day, as a function of the seed and nothing else.

A day of a contract depends on the seed, the model's version, the commodity, the product, the item and the day; on
nothing that was asked before, and on no state. Prices are whole numbers of thousandths and land on the venue's
ticks; all arithmetic is on integers.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable
from functools import cache

import numpy as np
from attrs import frozen

from . import calendar, dice
from .catalogue import Item, Product, Sequence
from .dice import Integers

VERSION = 1
"""Counted up by every change that alters a single trade."""

# Days before this one saw no trade: the API's own data begin about here.
FIRST_DAY = calendar.day_number(datetime.date(2010, 1, 1))

NS_PER_MS = 1_000_000
SESSION_NS = 10 * calendar.HOUR_MS * NS_PER_MS


@frozen
class Trades:
    """Trades as columns of equal length, in order of time.

    ``price`` and ``quantity`` are in thousandths; ``chance`` holds 64 bits of each trade, from which its flags
    are drawn.
    """

    time: Integers
    price: Integers
    quantity: Integers
    venue: tuple[str, ...]
    id: tuple[str, ...]
    chance: dice.Hashes

    def __len__(self) -> int:
        return len(self.time)

    def between(self, start: int, end: int) -> Trades:
        """The trades at ``start`` or later, and before ``end``, in nanoseconds."""
        first, last = (int(place) for place in np.searchsorted(self.time, [start, end]))
        return Trades(
            self.time[first:last],
            self.price[first:last],
            self.quantity[first:last],
            self.venue[first:last],
            self.id[first:last],
            self.chance[first:last],
        )


NO_TRADES = Trades(*(np.zeros(0, dtype=np.int64),) * 3, (), (), np.zeros(0, dtype=np.uint64))


# --- levels ------------------------------------------------------------------------------------------------------
# Roughly what the front of each commodity cost, in thousandths of its price unit, with the crisis of 2021 and 2022.
_ANCHORS: dict[str, tuple[tuple[str, int], ...]] = {
    "gas": (
        ("2010-01-01", 13_000), ("2012-06-01", 25_000), ("2014-07-01", 17_000), ("2016-03-01", 12_000),
        ("2018-09-20", 27_000), ("2020-05-25", 4_500), ("2020-12-01", 16_000), ("2021-06-15", 28_000),
        ("2021-10-05", 96_000), ("2021-12-21", 130_000), ("2022-02-15", 72_000), ("2022-03-08", 170_000),
        ("2022-05-25", 87_000), ("2022-08-26", 290_000), ("2022-10-28", 110_000), ("2023-01-15", 60_000),
        ("2023-03-01", 46_500), ("2023-06-01", 27_000), ("2023-10-15", 48_000), ("2024-02-23", 23_500),
        ("2024-11-15", 45_000), ("2025-02-10", 55_000), ("2025-05-01", 34_000), ("2025-12-01", 29_000),
        ("2026-06-01", 33_000), ("2026-12-01", 30_000), ("2032-01-01", 25_000),
    ),
    "power": (
        ("2010-01-01", 45_000), ("2012-01-01", 48_000), ("2016-02-01", 23_000), ("2018-09-20", 52_000),
        ("2020-04-01", 26_000), ("2020-12-01", 45_000), ("2021-06-15", 76_000), ("2021-12-21", 290_000),
        ("2022-04-01", 190_000), ("2022-08-26", 640_000), ("2022-11-15", 280_000), ("2023-03-01", 125_000),
        ("2023-10-15", 118_000), ("2024-02-23", 62_000), ("2024-12-01", 102_000), ("2025-06-01", 78_000),
        ("2026-06-01", 84_000), ("2032-01-01", 72_000),
    ),
    "emissions": (
        ("2010-01-01", 13_500), ("2013-04-15", 3_500), ("2017-06-01", 5_000), ("2018-09-10", 23_000),
        ("2020-03-18", 17_500), ("2021-06-01", 51_000), ("2021-12-08", 86_000), ("2022-03-07", 62_000),
        ("2022-08-19", 95_000), ("2023-02-21", 97_000), ("2023-03-27", 88_300), ("2023-12-15", 69_000),
        ("2024-02-23", 54_000), ("2025-01-20", 78_000), ("2026-01-15", 84_000), ("2032-01-01", 110_000),
    ),
}  # fmt: skip

# What a far delivery costs, whatever the front does; the nearer the delivery, the less it weighs.
_LONG_RUN = {"gas": 24_000, "power": 70_000, "emissions": 80_000}
_HALF_WEIGHT_DAYS = 730

# Price of a delivery month against the year's mean, in 1024ths, from January.
_SEASON = {
    "gas": (1110, 1100, 1045, 985, 960, 955, 965, 970, 985, 1010, 1055, 1090),
    "power": (1110, 1085, 1010, 950, 915, 940, 975, 970, 1005, 1040, 1100, 1080),
    "emissions": (1024,) * 12,
}

_DAY = calendar.DAY_MS
# (period in ms, amplitude in 65536ths): halving the period takes the amplitude down by the square root of two, which
# is how a random walk looks at every scale.
_WANDER = tuple(
    (period, amplitude)
    for period, amplitude in (
        (64 * _DAY, 7800), (32 * _DAY, 5500), (16 * _DAY, 3900), (8 * _DAY, 2760), (4 * _DAY, 1950), (2 * _DAY, 1380),
        (_DAY, 975), (_DAY // 2, 690), (_DAY // 4, 488), (_DAY // 8, 345), (_DAY // 16, 244), (_DAY // 32, 172),
        (_DAY // 64, 122), (_DAY // 512, 60),
    )
)  # fmt: skip
# The same for what a family or a contract does alone.
_OWN = tuple(
    (period, amplitude) for period, amplitude in ((16 * _DAY, 600), (4 * _DAY, 300), (_DAY, 150), (_DAY // 8, 60))
)


@frozen
class Family:
    """How a product's prices and sizes look: a share of the commodity's level, the tick, the lots, the liquidity."""

    ratio: int
    """Thousandths of the commodity's level."""
    tick: int
    """Thousandths."""
    lot: int
    """Thousandths."""
    lots: int
    """The largest trade, in lots."""
    liquidity: int
    """Thousandths of the most liquid family's trades."""


_FAMILIES: dict[str, Family] = {
    "ttf": Family(1000, 5, 5_000, 6, 1000),
    "the": Family(1015, 5, 5_000, 4, 300),
    "nbp": Family(2520, 5, 15_000, 4, 250),
    "peg": Family(990, 25, 240_000, 3, 150),
    "gas": Family(1030, 25, 5_000, 3, 100),
    "de": Family(1000, 10, 1_000, 10, 500),
    "de_peak": Family(1260, 10, 1_000, 5, 120),
    "fr": Family(1040, 10, 1_000, 10, 260),
    "power": Family(1010, 10, 1_000, 5, 60),
    "spread": Family(45, 10, 1_000, 5, 30),
    "eua": Family(1000, 10, 1_000, 15, 1000),
}


@frozen
class Market:
    """The model with one seed."""

    seed: int

    def trades(
        self, product: Product, sequence: Sequence, items: tuple[Item, ...], kind: str, first: int, last: int
    ) -> Trades:
        """What traded of an instrument's contract from the day ``first`` up to ``last``, itself left out.

        One item makes a single period, two of them a spread or a range.
        """
        days = np.arange(max(first, FIRST_DAY), last, dtype=np.int64)
        name = (product.family, product.id, sequence.id, kind, *(item.id for item in items))
        own = dice.key(self.seed, VERSION, "trades", *name)
        counts = self._counts(product, sequence, items, kind, own, days)
        if not counts.any():
            return NO_TRADES
        day = np.repeat(days, counts)
        rank = np.arange(len(day), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        chance = dice.roll(own, day * 1_000_003 + rank)
        time, venue = self._times(product, day, rank, chance)
        price = self._prices(product, sequence, items, kind, time, chance)
        family = _FAMILIES[product.family]
        quantity = family.lot * (1 + dice.below(dice.reroll(chance, 5), family.lots))
        return Trades(time, price, quantity, venue, _ids(venue, items, own, day, rank), chance)

    # --- how many ------------------------------------------------------------------------------------------------

    def _counts(
        self, product: Product, sequence: Sequence, items: tuple[Item, ...], kind: str, own: int, days: Integers
    ) -> Integers:
        """Trades on each day: busiest at the front, none outside of trading days."""
        liquidity = np.minimum.reduce([_liquidity(sequence, item, days) for item in items])
        liquidity //= {"single": 1, "spread": 8, "range": 30}[kind]
        thousandths = liquidity * product.share // 1000 * _FAMILIES[product.family].liquidity // 1000
        chance = dice.roll(own ^ 0xA5A5, days)
        busy = 512 + dice.below(chance, 1024)
        dither = dice.below(dice.reroll(chance, 1), 1000)
        counts: Integers = (thousandths * busy // 1024 + dither) // 1000 * calendar.is_open(days) * (thousandths > 0)
        return counts

    # --- when and where ------------------------------------------------------------------------------------------

    def _times(
        self, product: Product, day: Integers, rank: Integers, chance: dice.Hashes
    ) -> tuple[Integers, tuple[str, ...]]:
        """Each trade's moment in order, to the precision of its venue."""
        part = dice.below(dice.reroll(chance, 2), 100)
        within = (dice.reroll(chance, 3) % np.uint64(SESSION_NS)).astype(np.int64)
        # Most of a day's trades come in its first and its last quarter.
        quarter = SESSION_NS // 4
        within = np.where(part < 35, within % quarter, np.where(part < 65, 3 * quarter + within % quarter, within))
        exact = np.sort(calendar.session_start(day) * NS_PER_MS + within)
        # Now and then one order takes several others at once.
        alone = (dice.below(dice.reroll(chance, 4), 16) > 0) | (rank == 0)
        exact = exact[np.maximum.accumulate(np.where(alone, np.arange(len(exact)), 0))]
        code = _venue_numbers(product, day, chance)
        grain = _GRAINS[code]
        whole_second = (code >= _FIRST_BROKER) & (dice.below(dice.reroll(chance, 6), 10) == 0)
        grain = np.where(whole_second, 1_000_000_000, grain)
        time = exact // grain * grain
        order = np.argsort(time, kind="stable")
        return time[order], tuple(_VENUES[number] for number in code[order])

    # --- at what price -------------------------------------------------------------------------------------------

    def _prices(
        self,
        product: Product,
        sequence: Sequence,
        items: tuple[Item, ...],
        kind: str,
        time: Integers,
        chance: dice.Hashes,
    ) -> Integers:
        moments = time // NS_PER_MS
        first, *others = (self._value(product, sequence, item, moments) for item in items)
        if kind == "spread":
            first = first - others[0]
        elif kind == "range":
            first = (first + others[0]) // 2
        tick = _FAMILIES[product.family].tick
        return (first // tick + dice.below(dice.reroll(chance, 7), 5) - 2) * tick

    def _value(self, product: Product, sequence: Sequence, item: Item, moments: Integers) -> Integers:
        """What an item is worth at each moment, in thousandths."""
        group = sequence.group
        level = _anchored(group, moments)
        level += (level * dice.noise(dice.key(self.seed, VERSION, "level", group), moments, _WANDER)) >> 16
        near, far = _weights(group, item, moments // _DAY)
        value = (level * near + _LONG_RUN[group] * far) >> 22
        value = value * _FAMILIES[product.family].ratio // 1000
        own_key = dice.key(self.seed, VERSION, "own", product.family, sequence.id, item.id)
        return value + (value * dice.noise(own_key, moments, _OWN) >> 16)


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
    """Thousandths of a trade a day, of all the family's instruments together."""
    if sequence.tenor == "prompt":
        return np.full(len(days), _PROMPT_LIQUIDITY.get(item.name, 5_000), dtype=np.int64)
    base, days_a_rank, falloff = _LIQUIDITY[sequence.tenor]
    start, first, last = (calendar.day_number(date) for date in (item.start, item.first, item.last) if date)
    rank = np.maximum(start - days, 0) // days_a_rank
    listed = (days >= first) & (days <= last)
    return np.where(listed, base // (1 + rank + falloff * rank * rank // 2), 0)


# Every venue that the model knows, with the grain of its clock in nanoseconds.
_VENUES = ("EEX", "EEX7", "ICE", "NDAQ", "TFS", "ICAP", "SPEC", "PREB", "GRFN", "GFI", "42FS")
_GRAINS = np.array([1_000_000, 1, 1_000_000, 1_000, *(1_000_000, 1_000) * 3, 1_000_000], dtype=np.int64)
_FIRST_BROKER = 4
_T7_FROM = calendar.day_number(datetime.date(2022, 4, 4))


def _venue_numbers(product: Product, day: Integers, chance: dice.Hashes) -> Integers:
    if product.venue == "EEX":  # it moved to another system in spring 2022, and changed its code
        return np.where(day < _T7_FROM, 0, 1)
    if product.venue in _VENUES:
        return np.full(len(day), _VENUES.index(product.venue), dtype=np.int64)
    return _FIRST_BROKER + dice.below(dice.reroll(chance, 8), len(_VENUES) - _FIRST_BROKER)


def _ids(venue: tuple[str, ...], items: tuple[Item, ...], own: int, day: Integers, rank: Integers) -> tuple[str, ...]:
    """Trade ids in each venue's own style; unique at a venue, and only there."""
    code = own & 0xFFFFFFFFFF
    dates = {int(number): calendar.date_of(int(number)) for number in np.unique(day)}
    return tuple(
        f"Eurex T7/{code:010X}{items[0].start or dates[number]:%m%Y}-{dates[number]:%Y%m%d}/{count + 1}/1 Public"
        if at == "EEX7"
        else f"{number}{code:013d}{count:04d}"
        if at in ("EEX", "ICE", "NDAQ")
        else f"{at[:2]}{number:05d}{code:010X}{count:04d}"
        for at, number, count in zip(venue, day.tolist(), rank.tolist(), strict=True)
    )


def _anchored(group: str, moments: Integers) -> Integers:
    """Straight lines between the anchors, in thousandths."""
    times, levels = _anchors(group)
    place = np.clip(np.searchsorted(times, moments, side="right") - 1, 0, len(times) - 2)
    since, span = moments - times[place], times[place + 1] - times[place]
    # In minutes, so that the product stays within 64 bits.
    level: Integers = levels[place] + (levels[place + 1] - levels[place]) * (since // 60_000) // (span // 60_000)
    return level


@cache
def _anchors(group: str) -> tuple[Integers, Integers]:
    days = [calendar.day_number(datetime.date.fromisoformat(day)) for day, _ in _ANCHORS[group]]
    return np.array(days, dtype=np.int64) * _DAY, np.array([level for _, level in _ANCHORS[group]], dtype=np.int64)


def _weights(group: str, item: Item, days: Integers) -> tuple[Integers, Integers]:
    """How much of today's level and of the long run is in an item, in 4194304ths: its months', averaged."""
    if group == "emissions" and item.start is not None:
        # What can be stored costs what it costs today, and the interest until delivery: about three per cent a year.
        ahead = np.maximum(calendar.day_number(item.start) - days, 0)
        near = 4_194_304 + 4_194_304 * 3 * ahead // 36_500
        return near, np.zeros_like(near)
    season = np.array(_SEASON[group], dtype=np.int64)
    if item.start is None or item.end is None or (item.end - item.start).days < 28:
        # Days, weeks and rolling items deliver at once: the season is that of the day they trade on.
        month, day = _month_and_day(days)
        here, there = season[month - 1], season[month % 12]
        near = (here * np.maximum(30 - day, 0) + there * np.minimum(day, 30)) * 4096 // 30
        return near, np.zeros_like(near)
    near, far = np.zeros_like(days), np.zeros_like(days)
    months = _months(item.start, item.end)
    for start, month_number in months:
        ahead = np.maximum(start - days, 0)
        weight = 4096 * _HALF_WEIGHT_DAYS // (_HALF_WEIGHT_DAYS + ahead)
        near += weight * season[month_number - 1]
        far += (4096 - weight) * season[month_number - 1]
    return near // len(months), far // len(months)


def _months(start: datetime.date, end: datetime.date) -> list[tuple[int, int]]:
    """The months from ``start`` to ``end``: day number of the first, and number of the month."""
    firsts = ((count // 12, count % 12 + 1) for count in itertools.count(start.year * 12 + start.month - 1))
    dates: Iterable[datetime.date] = (datetime.date(year, month, 1) for year, month in firsts)
    return [(calendar.day_number(date), date.month) for date in itertools.takewhile(lambda date: date < end, dates)]


def _month_and_day(days: Integers) -> tuple[Integers, Integers]:
    """The month of each day from 1, and the days that have passed of it."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    return months.astype(np.int64) % 12 + 1, (dates - months.astype("datetime64[D]")).astype(np.int64)
