"""Intervals: the widths of candles, and the steps between points of a book."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import pandas as pd
from attrs import field, frozen

from ..errors import QueryError

__all__ = ["Interval", "candle", "step"]

Unit: TypeAlias = Literal["second", "minute", "hour", "day", "month"]

_UNITS: dict[str, Unit] = {"s": "second", "min": "minute", "h": "hour", "d": "day", "mo": "month"}
_SECONDS: dict[Unit, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
# guide p. 16
_CANDLES = ("1min", "5min", "15min", "30min", "1h", "4h", "1d", "7d", "1mo")
_LONGEST_STEP = pd.Timedelta(days=30)
# A Monday: weeks are taken to begin there, which the guide leaves open.
_ORIGIN = pd.Timestamp("1970-01-05", tz="UTC")


@frozen
class Interval:
    """So many units of time; months are walked on the calendar, all others have a length."""

    count: int
    unit: Unit
    text: str
    length: pd.Timedelta = field(init=False, eq=False, repr=False)
    """How long it lasts in elapsed time; of a month, the shortest."""

    @length.default
    def _lasting(self) -> pd.Timedelta:
        seconds = 28 * 86_400 if self.unit == "month" else _SECONDS[self.unit]
        return pd.Timedelta(seconds=self.count * seconds)

    @property
    def is_coarse(self) -> bool:
        """Is it a day or longer, so that its grid is that of UTC days?"""
        return self.unit in ("day", "month")

    def floor(self, moment: pd.Timestamp) -> pd.Timestamp:
        """The grid's last point at ``moment`` or before it."""
        if self.unit == "month":
            return moment.normalize().replace(day=1)
        return moment - (moment - _ORIGIN) % self.length

    def shift(self, moment: pd.Timestamp, count: int) -> pd.Timestamp:
        """So many intervals later."""
        if self.unit == "month":
            return moment + pd.DateOffset(months=count * self.count)
        return moment + count * self.length

    def count_within(self, span: pd.Timedelta, moment: pd.Timestamp) -> int:
        """How many whole intervals from ``moment`` on last no longer than ``span``; at least one."""
        count = max(1, span // self.length)
        while self.unit == "month" and count > 1 and self.shift(moment, count) - moment > span:
            count -= 1  # counted in the shortest of months
        return count

    def __str__(self) -> str:
        return self.text


def candle(text: object) -> Interval:
    """One of the documented widths of a candle (guide p. 16)."""
    if not isinstance(text, str) or text not in _CANDLES:
        raise QueryError(f"interval {text!r} is none of {', '.join(map(repr, _CANDLES))}")
    return _read(text)


def step(text: object) -> Interval:
    """Any whole number of seconds, minutes or hours (guide p. 6)."""
    if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d{0,6}(s|min|h)", text, re.ASCII):
        raise QueryError(f"interval {text!r} is no whole number of seconds, minutes or hours, such as '15s' or '2h'")
    interval = _read(text)
    if interval.length > _LONGEST_STEP:
        raise QueryError(f"interval {text!r} is longer than 720h: no request holds two points of it (guide p. 6)")
    return interval


def _read(text: str) -> Interval:
    number = re.match(r"\d+", text)
    count = number[0] if number else ""
    return Interval(int(count), _UNITS[text.removeprefix(count)], text)
