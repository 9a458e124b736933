"""When the simulated markets trade: weekdays, holidays, and the hours of a Central European day."""

from __future__ import annotations

import datetime
from functools import lru_cache

import numpy as np

from .hashing import Integers

EPOCH = datetime.date(1970, 1, 1)
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = DAY_MS * NS_PER_MS
# From 08:00 to 18:30 in Amsterdam: the guide shows a trade at 16:02 UTC in summer (p. 18).
SESSION_NS = 630 * 60_000 * NS_PER_MS


def day_number(date: datetime.date) -> int:
    """Days since 1970."""
    return (date - EPOCH).days


def date_of(number: int) -> datetime.date:
    """The date so many days after 1970."""
    return EPOCH + datetime.timedelta(days=number)


def is_open(days: Integers) -> Integers:
    """1 for each day on which there is trading, else 0."""
    weekday = (days + 3) % 7  # 1970 began on a Thursday
    open_ = weekday < 5
    if len(days):
        first, last = date_of(int(days.min())).year, date_of(int(days.max())).year
        closed = [day for year in range(first, last + 1) for day in _holidays(year)]
        open_ &= ~np.isin(days, closed)
    return open_.astype(np.int64)


def session_start(days: Integers) -> Integers:
    """The milliseconds since 1970 at which trading begins: 08:00 in Amsterdam."""
    return days * DAY_MS + 8 * HOUR_MS - _offset(days) * HOUR_MS


def back(date: datetime.date, business_days: int) -> datetime.date:
    """The weekday so many weekdays before ``date``."""
    while business_days:
        date -= datetime.timedelta(days=1)
        business_days -= date.weekday() < 5
    return date


def _offset(days: Integers) -> Integers:
    """Hours that Central European time is ahead of UTC, by the Union's rule for the change of clocks."""
    hours = np.ones(len(days), dtype=np.int64)
    if len(days):
        for year in range(date_of(int(days.min())).year, date_of(int(days.max())).year + 1):
            first, last = (_last_sunday(year, month) for month in (3, 10))
            hours[(days >= first) & (days < last)] = 2
    return hours


def _last_sunday(year: int, month: int) -> int:
    date = datetime.date(year, month, 31)
    return day_number(date - datetime.timedelta(days=(date.weekday() + 1) % 7))


@lru_cache(maxsize=256)
def _holidays(year: int) -> tuple[int, ...]:
    """New Year, Good Friday, Easter Monday and Christmas, as day numbers; on 1 May there is trading (guide p. 20)."""
    easter = _easter(year)
    fixed = [datetime.date(year, month, day) for month, day in ((1, 1), (12, 25), (12, 26))]
    moving = [easter + datetime.timedelta(days=days) for days in (-2, 1)]
    return tuple(day_number(date) for date in (*fixed, *moving))


def _easter(year: int) -> datetime.date:
    """Easter Sunday of the Gregorian calendar (the anonymous computus)."""
    golden, century, rest = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    shift = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * shift + 114, 31)
    return datetime.date(year, month, day + 1)
