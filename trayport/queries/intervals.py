"""Intervals: the widths of candles, and the steps between the points of a book.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import pandas as pd
from attrs import field, frozen

from ..errors import QueryError

__all__ = ["Interval", "book_interval", "candle_interval"]

Unit: TypeAlias = Literal["second", "minute", "hour", "day", "month"]

_UNITS: dict[str, Unit] = {"s": "second", "min": "minute", "h": "hour", "d": "day", "mo": "month"}
_SECONDS: dict[Unit, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
# guide p. 16
_CANDLES = ("1min", "5min", "15min", "30min", "1h", "4h", "1d", "7d", "1mo")
# Half of the 60 days that one request may span (guide p. 6), so that each request has at least two points.
_LONGEST_STEP = pd.Timedelta(days=30)
# A Monday. The guide does not give the first day of a week.
_ORIGIN = pd.Timestamp("1970-01-05", tz="UTC")


@frozen
class Interval:
    """A number of units of time. Months follow the calendar, all other units have a fixed length."""

    count: int
    unit: Unit
    text: str
    length: pd.Timedelta = field(init=False, eq=False, repr=False)
    """Elapsed time; of a month, that of the shortest, 28 days."""

    @length.default
    def _default_length(self) -> pd.Timedelta:
        seconds = 28 * 86_400 if self.unit == "month" else _SECONDS[self.unit]
        return pd.Timedelta(seconds=self.count * seconds)

    @property
    def is_coarse(self) -> bool:
        """True for a day or longer: the grid is then that of UTC days."""
        return self.unit in ("day", "month")

    def floor(self, moment: pd.Timestamp) -> pd.Timestamp:
        """Return the last point of the grid at or before a moment."""
        if self.unit == "month":
            return moment.normalize().replace(day=1)
        return moment - (moment - _ORIGIN) % self.length

    def shift(self, moment: pd.Timestamp, count: int) -> pd.Timestamp:
        """Return the moment that is ``count`` intervals later."""
        if self.unit == "month":
            return moment + pd.DateOffset(months=count * self.count)
        return moment + count * self.length

    def count_within(self, span: pd.Timedelta, start: pd.Timestamp) -> int:
        """Return the number of whole intervals from ``start`` on that last at most ``span``; at least 1."""
        count = max(1, span // self.length)
        # Months were counted as the shortest, so that there may be too many.
        while self.unit == "month" and count > 1 and self.shift(start, count) - start > span:
            count -= 1
        return count

    def __str__(self) -> str:
        return self.text


def candle_interval(text: object) -> Interval:
    """Return the width of a candle; the guide lists them (p. 16)."""
    if not isinstance(text, str) or text not in _CANDLES:
        raise QueryError(f"interval {text!r} is none of {', '.join(map(repr, _CANDLES))}")
    return _parse(text)


def book_interval(text: object) -> Interval:
    """Return the step between points of a book: a whole number of seconds, minutes or hours (guide p. 6)."""
    if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d{0,6}(s|min|h)", text, re.ASCII):
        problem = f"interval {text!r} is not a whole number of seconds, minutes or hours"
        raise QueryError(problem, "write one such as '15s' or '2h'")
    interval = _parse(text)
    if interval.length > _LONGEST_STEP:
        raise QueryError(f"interval {text!r} is longer than 720h", "a request must have two points within 60 days")
    return interval


def _parse(text: str) -> Interval:
    unit = text.lstrip("0123456789")
    return Interval(int(text.removesuffix(unit)), _UNITS[unit], text)
