"""Value of a delivery at each time, from the commodity's level, the season, the long-run price and own noise."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable
from functools import cache

import numpy as np
from attrs import frozen

from . import calendar, hashing
from .deliveries import Delivery
from .hashing import Integers
from .universe import Item, Sequence

# Approximate prices of the front of each commodity, in thousandths of its unit, with the crisis of 2021 and 2022.
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

# Price of a far delivery in thousandths. Its weight is one half at a distance of 730 days and falls to 0 at the front.
_LONG_RUN = {"gas": 24_000, "power": 70_000, "emissions": 80_000}
_HALF_WEIGHT_DAYS = 730

# Price of each delivery month relative to the mean of the year, in 1024ths, from January.
_SEASON = {
    "gas": (1110, 1100, 1045, 985, 960, 955, 965, 970, 985, 1010, 1055, 1090),
    "power": (1110, 1085, 1010, 950, 915, 940, 975, 970, 1005, 1040, 1100, 1080),
    "emissions": (1024,) * 12,
}

_DAY = calendar.DAY_MS
# Octaves of noise: period in ms, amplitude in 65536ths. With half the period the amplitude is smaller by the square
# root of two, as in a random walk.
_LEVEL_NOISE = tuple(
    (period, amplitude)
    for period, amplitude in (
        (64 * _DAY, 7800), (32 * _DAY, 5500), (16 * _DAY, 3900), (8 * _DAY, 2760), (4 * _DAY, 1950), (2 * _DAY, 1380),
        (_DAY, 975), (_DAY // 2, 690), (_DAY // 4, 488), (_DAY // 8, 345), (_DAY // 16, 244), (_DAY // 32, 172),
        (_DAY // 64, 122), (_DAY // 512, 60),
    )
)  # fmt: skip
# The same for the noise of one family and item.
_OWN_NOISE = tuple(
    (period, amplitude) for period, amplitude in ((16 * _DAY, 600), (4 * _DAY, 300), (_DAY, 150), (_DAY // 8, 60))
)


@frozen
class Family:
    """Price level, order size and liquidity of a family of products."""

    ratio: int
    """Price in thousandths of the commodity's level."""
    max_lots: int
    """Size of the largest order in lots."""
    liquidity: int
    """Number of trades in thousandths of the most liquid family's."""


FAMILIES: dict[str, Family] = {
    "ttf": Family(1000, 6, 1000),
    "the": Family(1015, 4, 300),
    "nbp": Family(2520, 4, 250),
    "peg": Family(990, 3, 150),
    "gas": Family(1030, 3, 100),
    "de": Family(1000, 10, 500),
    "de_peak": Family(1260, 5, 120),
    "fr": Family(1040, 10, 260),
    "power": Family(1010, 5, 60),
    "spread": Family(45, 5, 30),
    "eua": Family(1000, 15, 1000),
}


def worth(key: tuple[int, int], family: str, delivery: Delivery, times: Integers) -> Integers:
    """Return the value of a delivery of a family's products at each time (ms since 1970), in thousandths.

    ``key`` is the model's seed and version. The value of a spread is the first item's less the second's, the value of
    a range is the mean of both.
    """
    level = _level(key, delivery.sequence.group, times)
    first, *others = (_value(key, family, delivery.sequence, item, times, level) for item in delivery.items)
    if delivery.kind == "spread":
        return first - others[0]
    return (first + others[0]) // 2 if delivery.kind == "range" else first


def _level(key: tuple[int, int], group: str, times: Integers) -> Integers:
    """Return the level of a commodity at each moment, in thousandths."""
    level = _anchored(group, times)
    level += (level * hashing.noise(hashing.key(*key, "level", group), times, _LEVEL_NOISE)) >> 16
    return level


def _value(
    key: tuple[int, int], family: str, sequence: Sequence, item: Item, times: Integers, level: Integers
) -> Integers:
    group = sequence.group
    near, far = _weights(group, item, times // _DAY)
    value = (level * near + _LONG_RUN[group] * far) >> 22
    value = value * FAMILIES[family].ratio // 1000
    own_key = hashing.key(*key, "own", family, sequence.id, item.id)
    with_noise: Integers = value + (value * hashing.noise(own_key, times, _OWN_NOISE) >> 16)
    return with_noise


def _anchored(group: str, times: Integers) -> Integers:
    """Return the linear interpolation between the anchors, in thousandths."""
    anchors, levels = _anchors(group)
    place = np.clip(np.searchsorted(anchors, times, side="right") - 1, 0, len(anchors) - 2)
    since, span = times - anchors[place], anchors[place + 1] - anchors[place]
    # In minutes, so that the product fits into 64 bits.
    level: Integers = levels[place] + (levels[place + 1] - levels[place]) * (since // 60_000) // (span // 60_000)
    return level


@cache
def _anchors(group: str) -> tuple[Integers, Integers]:
    days = [calendar.day_number(datetime.date.fromisoformat(day)) for day, _ in _ANCHORS[group]]
    return np.array(days, dtype=np.int64) * _DAY, np.array([level for _, level in _ANCHORS[group]], dtype=np.int64)


def _weights(group: str, item: Item, days: Integers) -> tuple[Integers, Integers]:
    """Return the weights of the current level and of the long-run price in an item's value, in 4194304ths.

    They are the means over the months of the item.
    """
    if group == "emissions" and item.start is not None:
        # A storable commodity costs its current price plus interest until delivery, about 3 % a year.
        ahead = np.maximum(calendar.day_number(item.start) - days, 0)
        near = 4_194_304 + 4_194_304 * 3 * ahead // 36_500
        return near, np.zeros_like(near)
    season = np.array(_SEASON[group], dtype=np.int64)
    if item.start is None or item.end is None or (item.end - item.start).days < 28:
        # Days, weeks and rolling items are delivered soon, so their season is that of the trading day.
        month, day = _month_and_day(days)
        current, following = season[month - 1], season[month % 12]
        near = (current * np.maximum(30 - day, 0) + following * np.minimum(day, 30)) * 4096 // 30
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
    """Return the months in [start, end): day number of the first day, and number of the month."""
    firsts = ((count // 12, count % 12 + 1) for count in itertools.count(start.year * 12 + start.month - 1))
    dates: Iterable[datetime.date] = (datetime.date(year, month, 1) for year, month in firsts)
    return [(calendar.day_number(date), date.month) for date in itertools.takewhile(lambda date: date < end, dates)]


def _month_and_day(days: Integers) -> tuple[Integers, Integers]:
    """Return the month of each day from 1, and its day of the month from 0."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    return months.astype(np.int64) % 12 + 1, (dates - months.astype("datetime64[D]")).astype(np.int64)
