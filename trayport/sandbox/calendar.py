"""Trading days and hours of the simulated markets.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from dateutil.easter import easter  # type: ignore[import-untyped]

from .hashing import Bools, Integers

EPOCH = datetime.date(1970, 1, 1)
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = DAY_MS * NS_PER_MS
# Trading hours are 08:00 to 18:30 in Amsterdam; the guide has a trade at 16:02 UTC in summer (guide p. 18).
_OPENING = datetime.time(8, tzinfo=ZoneInfo("Europe/Amsterdam"))
SESSION_NS = 630 * 60_000 * NS_PER_MS


def day_number(date: datetime.date) -> int:
    """Return the number of days since 1970."""
    return (date - EPOCH).days


def date_of(number: int) -> datetime.date:
    """Return the date with a number of days since 1970."""
    return EPOCH + datetime.timedelta(days=number)


def is_open(days: Integers) -> Bools:
    """Return True for each day on which the markets trade."""
    if not len(days):
        return np.zeros(0, dtype=np.bool_)
    first, last = date_of(int(days.min())).year, date_of(int(days.max())).year
    holidays = [holiday for year in range(first, last + 1) for holiday in _holidays(year)]
    return np.is_busday(days.astype("datetime64[D]"), holidays=holidays)


def session_start(days: Integers) -> Integers:
    """Return the time at which trading begins on each day, 08:00 in Amsterdam, in milliseconds since 1970."""
    distinct, places = np.unique(days, return_inverse=True)
    starts: Integers = np.array([_session_start(day) for day in distinct.tolist()], dtype=np.int64)
    return starts[places]


@lru_cache(maxsize=4096)
def _session_start(day: int) -> int:
    return int(datetime.datetime.combine(date_of(day), _OPENING).timestamp()) * 1000


def back(date: datetime.date, business_days: int) -> datetime.date:
    """Return the weekday that is a number of weekdays before a date."""
    while business_days:
        date -= datetime.timedelta(days=1)
        business_days -= date.weekday() < 5
    return date


@lru_cache(maxsize=256)
def _holidays(year: int) -> tuple[datetime.date, ...]:
    """Return New Year, Good Friday, Easter Monday and Christmas; on 1 May there is trading (guide p. 20)."""
    day = datetime.timedelta(days=1)
    fixed = (datetime.date(year, 1, 1), datetime.date(year, 12, 25), datetime.date(year, 12, 26))
    return (*fixed, easter(year) - 2 * day, easter(year) + day)
