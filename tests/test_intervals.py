"""Intervals: the texts that are allowed, the grid of candles, and the number that fits into a span."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport import QueryError
from trayport.queries import book_interval, candle_interval

CANDLES = ["1min", "5min", "15min", "30min", "1h", "4h", "1d", "7d", "1mo"]
MOMENTS = st.integers(0, 2**32).map(lambda seconds: pd.Timestamp(seconds, unit="s", tz="UTC"))


@pytest.mark.parametrize("text", ["2min", "1w", "1M", "1D", "15s", "60min", "", None, 1, pd.Timedelta("1h")])
def test_other_candles_than_the_documented_are_refused(text: Any) -> None:
    with pytest.raises(QueryError, match=r"is none of '1min', .*'1mo'"):
        candle_interval(text)


@pytest.mark.parametrize("text", ["1d", "0s", "1.5s", "-1s", "15", "s", "1 min", "٣s", "", None, 15])
def test_book_intervals_are_whole_seconds_minutes_or_hours(text: Any) -> None:
    with pytest.raises(QueryError, match="such as '15s' or '2h'"):
        book_interval(text)


def test_book_interval_fits_twice_into_one_request() -> None:
    assert pd.Timedelta(days=30) == book_interval("720h").length
    with pytest.raises(QueryError, match="longer than 720h"):
        book_interval("721h")


@pytest.mark.parametrize(
    "text, count, unit, seconds",
    [("15s", 15, "second", 15), ("90s", 90, "second", 90), ("2h", 2, "hour", 7200), ("1min", 1, "minute", 60)],
)
def test_book_interval_is_a_count_and_a_unit(text: str, count: int, unit: str, seconds: int) -> None:
    read = book_interval(text)

    assert (count, unit, seconds, text) == (read.count, read.unit, read.length.total_seconds(), str(read))


@pytest.mark.parametrize(
    "text, moment, floor",
    [
        ("15min", "2024-02-05T09:29:59", "2024-02-05T09:15"),
        ("4h", "2024-02-05T11:00", "2024-02-05T08:00"),
        ("1d", "2024-02-05T23:59", "2024-02-05"),
        ("7d", "2024-02-04T23:59", "2024-01-29"),
        ("7d", "2024-02-05", "2024-02-05"),
        ("1mo", "2024-02-29", "2024-02-01"),
    ],
)
def test_grid_is_in_utc_with_weeks_from_mondays(text: str, moment: str, floor: str) -> None:
    assert pd.Timestamp(floor, tz="UTC") == candle_interval(text).floor(pd.Timestamp(moment, tz="UTC"))


@given(st.sampled_from(CANDLES), MOMENTS, st.integers(1, 50))
def test_shifts_along_the_grid_reach_every_point(text: str, moment: pd.Timestamp, count: int) -> None:
    interval = candle_interval(text)
    floor = interval.floor(moment)

    assert floor <= moment < interval.shift(floor, 1)
    points = [interval.shift(floor, number) for number in range(count)]
    assert points == [interval.floor(point) for point in points]
    assert interval.shift(floor, count) == interval.shift(points[-1], 1)


@given(st.sampled_from(CANDLES), MOMENTS, st.integers(1, 2000))
def test_count_within_a_span_is_the_largest_that_fits(text: str, moment: pd.Timestamp, days: int) -> None:
    interval, span = candle_interval(text), pd.Timedelta(days=days)
    start = interval.floor(moment)
    count = interval.count_within(span, start)

    assert count >= 1
    assert count == 1 or interval.shift(start, count) - start <= span
    assert interval.shift(start, count + 1) - start > span
