"""Intervals: the grid of candles, and how many fit."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport import QueryError
from trayport.queries.intervals import candle, step

CANDLES = ["1min", "5min", "15min", "30min", "1h", "4h", "1d", "7d", "1mo"]
MOMENTS = st.integers(0, 2**32).map(lambda seconds: pd.Timestamp(seconds, unit="s", tz="UTC"))


@pytest.mark.parametrize("text", ["2min", "1w", "1M", "1D", "15s", "60min", "", None, 1, pd.Timedelta("1h")])
def test_only_the_documented_candles_are_asked_for(text: Any) -> None:
    with pytest.raises(QueryError, match=r"is none of '1min', .*'1mo'"):
        candle(text)


@pytest.mark.parametrize("text", ["1d", "0s", "1.5s", "-1s", "15", "s", "1 min", "٣s", "", None, 15])
def test_a_book_takes_whole_seconds_minutes_and_hours(text: Any) -> None:
    with pytest.raises(QueryError, match="such as '15s' or '2h'"):
        step(text)


def test_a_step_fits_twice_into_what_one_request_may_ask() -> None:
    assert pd.Timedelta(days=30) == step("720h").length
    with pytest.raises(QueryError, match="longer than 720h"):
        step("721h")


@pytest.mark.parametrize(
    "text, count, unit, seconds",
    [("15s", 15, "second", 15), ("90s", 90, "second", 90), ("2h", 2, "hour", 7200), ("1min", 1, "minute", 60)],
)
def test_a_step_goes_on_the_wire_as_a_count_and_a_unit(text: str, count: int, unit: str, seconds: int) -> None:
    read = step(text)

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
def test_the_grid_is_that_of_utc_with_weeks_from_mondays(text: str, moment: str, floor: str) -> None:
    assert pd.Timestamp(floor, tz="UTC") == candle(text).floor(pd.Timestamp(moment, tz="UTC"))


@given(st.sampled_from(CANDLES), MOMENTS, st.integers(1, 50))
def test_the_grid_is_walked_point_by_point(text: str, moment: pd.Timestamp, count: int) -> None:
    interval = candle(text)
    floor = interval.floor(moment)

    assert floor <= moment < interval.shift(floor, 1)
    points = [interval.shift(floor, number) for number in range(count)]
    assert points == [interval.floor(point) for point in points]
    assert interval.shift(floor, count) == interval.shift(points[-1], 1)


@given(st.sampled_from(CANDLES), MOMENTS, st.integers(1, 2000))
def test_as_many_as_fit_and_no_more(text: str, moment: pd.Timestamp, days: int) -> None:
    interval, span = candle(text), pd.Timedelta(days=days)
    start = interval.floor(moment)
    count = interval.count_within(span, start)

    assert count >= 1
    assert count == 1 or interval.shift(start, count) - start <= span
    assert interval.shift(start, count + 1) - start > span
