"""Candles of the sandbox are aggregates of its trades, on the API's grids and within its limits."""

from __future__ import annotations

import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import (
    EUA,
    KEY_OF,
    TTF,
    get_json,
    iso_time,
    nanoseconds,
    optional_fields,
    refused_parameters,
    send,
    validate,
)
from support.profiles import examples

from trayport.sandbox import Sandbox

PATH = "/trades/ohlcv"
DAY = 86_400 * 10**9
CANDLES = {"from": "2024-02-05", "until": "2024-02-06", "interval": 15, "intervalUnit": "minute", **TTF}
CANDLE = {"fromTimestamp", "toTimestamp", "open", "high", "low", "close", "volume"}
SPREAD = {**TTF, "contractType": "Spread", "secondSequenceItemId": 245}
GRIDS = [("minute", 1), ("minute", 5), ("minute", 15), ("minute", 30), ("hour", 1), ("hour", 4), ("day", 1)]


def candles(sandbox: Sandbox, **changes: Any) -> Any:
    return get_json(sandbox, PATH, CANDLES, **changes)


def aggregate(trades: list[dict[str, Any]], edges: list[int]) -> list[dict[str, Any]]:
    """Return the candles of some trades, computed without code of the sandbox."""
    rows = []
    for start, end in pairwise(edges):
        inside = [trade for trade in trades if start <= trade["dealDate"] < end]
        if inside:
            prices = [trade["price"] for trade in inside]
            volume = sum(trade["quantity"] for trade in inside)
            rows.append(
                {
                    "fromTimestamp": start,
                    "toTimestamp": end,
                    "open": prices[0],
                    "high": max(prices),
                    "low": min(prices),
                    "close": prices[-1],
                    "volume": pytest.approx(volume),
                    "vwap": pytest.approx(
                        sum(trade["price"] * trade["quantity"] for trade in inside) / volume, abs=5.1e-5
                    ),
                    "openTimestamp": inside[0]["dealDate"],
                    "closeTimestamp": inside[-1]["dealDate"],
                }
            )
    return rows


def test_response_matches_the_document(sandbox: Sandbox) -> None:
    rows = candles(sandbox)

    assert len(rows) > 20
    for row in rows:
        validate("Candle", row)
        assert set(row) == CANDLE
        assert row["toTimestamp"] - row["fromTimestamp"] == 15 * 60 * 10**9


@pytest.mark.parametrize("empty", ["false", "true"])
def test_every_optional_field_is_returned_on_request(sandbox: Sandbox, empty: str) -> None:
    for row in candles(sandbox, optionalFields=optional_fields(PATH), includeEmptyBuckets=empty):
        validate("Candle", row)
        assert set(row) == CANDLE | set(optional_fields(PATH))


@examples(25)
@given(
    contract=st.sampled_from([TTF, EUA, SPREAD]),
    grid=st.sampled_from(GRIDS),
    day=st.integers(0, 25),
    days=st.integers(1, 3),
)
def test_candles_are_aggregates_of_the_trades(
    sandbox: Sandbox, contract: dict[str, Any], grid: tuple[str, int], day: int, days: int
) -> None:
    unit, count = grid
    start = nanoseconds("2024-02-01") + day * DAY
    end = start + days * DAY
    window = {"from": iso_time(start), "until": iso_time(end), **contract}
    trades = get_json(sandbox, "/trades", window)
    asked = {**window, "interval": count, "intervalUnit": unit, "optionalFields": ",".join(optional_fields(PATH))}
    step = count * {"minute": 60, "hour": 3600, "day": 86_400}[unit] * 10**9

    assert aggregate(trades, list(range(start, end + 1, step))) == get_json(sandbox, PATH, asked)


def test_monthly_and_weekly_candles_are_aggregates_of_the_trades(sandbox: Sandbox) -> None:
    months = [nanoseconds(f"2024-{month:02d}-01") for month in (1, 2, 3, 4)]
    trades = [
        trade
        for start, end in pairwise(months)
        for trade in get_json(sandbox, "/trades", {"from": iso_time(start), "until": iso_time(end), **TTF})
    ]
    asked = {**TTF, "intervalUnit": "month", "interval": 1, "optionalFields": optional_fields(PATH)}

    made = get_json(sandbox, PATH, {**asked, "from": "2024-01", "until": "2024-04"})
    assert aggregate(trades, months) == made
    weeks = list(range(nanoseconds("2024-01-01"), nanoseconds("2024-04-01") + 1, 7 * DAY))
    weekly = {**asked, "intervalUnit": "day", "interval": 7, "from": "2024-01-01", "until": "2024-04-01"}
    assert aggregate(trades, weeks) == get_json(sandbox, PATH, weekly)


@pytest.mark.parametrize(
    "grid, start, until, count",
    [
        (("minute", 1), "2024-02-05", "2024-02-06", 1440),
        (("hour", 4), "2024-02-05T08", "2024-02-06T04", 5),
        (("day", 7), "2024-01-29", "2024-02-12", 2),
        (("month", 1), "2023-11", "2024-03", 4),
        (("day", 1), "2024-02-10", "2024-02-12", 2),
        (("day", 1), "2024-02-10", "2024-02-10", 0),
    ],
)
def test_empty_candles_are_returned_on_request(
    sandbox: Sandbox, grid: tuple[str, int], start: str, until: str, count: int
) -> None:
    changes = {"from": start, "until": until, "intervalUnit": grid[0], "interval": grid[1]}
    full = candles(sandbox, **changes, includeEmptyBuckets="true")

    assert count == len(full)
    assert [row["fromTimestamp"] for row in full[1:]] == [row["toTimestamp"] for row in full[:-1]]
    assert candles(sandbox, **changes) == [row for row in full if row["volume"]]
    assert {(None, 0)} >= {(row["close"], row["volume"]) for row in full if row["open"] is None}


@examples(20)
@given(cuts=st.lists(st.integers(0, 48), min_size=2, max_size=5).map(sorted), empty=st.sampled_from(["true", "false"]))
def test_window_is_the_sum_of_its_parts(sandbox: Sandbox, cuts: list[int], empty: str) -> None:
    edges = [iso_time(nanoseconds("2024-02-05") + cut * 3600 * 10**9) for cut in cuts]
    asked = {"interval": 30, "includeEmptyBuckets": empty}
    parts = [
        row for start, until in pairwise(edges) for row in candles(sandbox, **{"from": start, "until": until}, **asked)
    ]

    assert parts == candles(sandbox, **{"from": edges[0], "until": edges[-1]}, **asked)


def test_contract_without_trades_has_no_candles(sandbox: Sandbox) -> None:
    assert [] == candles(sandbox, sequenceItemId=99_999)
    assert [] == candles(sandbox, **{"from": "2024-02-10", "until": "2024-02-11"})


@pytest.mark.parametrize("until", ["exclusive", "inclusive"])
def test_candle_at_until_is_returned_if_until_is_inclusive(until: Any) -> None:
    with Sandbox(limits=False, until=until) as sandbox:
        rows = candles(sandbox, until="2024-02-05T10:00")
        whole = candles(sandbox)

        assert rows == whole[: len(rows)]
        assert (rows[-1]["fromTimestamp"] == nanoseconds("2024-02-05T10:00")) == (until == "inclusive")


@pytest.mark.parametrize(
    "changes, parameter",
    [
        ({"interval": None}, "interval"),
        ({"intervalUnit": None}, "intervalUnit"),
        ({"intervalUnit": "week"}, "intervalUnit"),
        ({"intervalUnit": "second"}, "intervalUnit"),
        ({"interval": "x"}, "interval"),
        ({"interval": 0}, "interval"),
        ({"interval": 10}, "interval"),
        ({"intervalUnit": "hour", "interval": 2}, "interval"),
        ({"intervalUnit": "day", "interval": 2}, "interval"),
        ({"intervalUnit": "month", "interval": 2}, "interval"),
        ({"from": "2024-02-05T00:05"}, "from"),
        ({"from": "2024-02-05T00:00:15"}, "from"),
        ({"until": "2024-02-05T12:07"}, "until"),
        ({"intervalUnit": "hour", "interval": 4, "from": "2024-02-05T01"}, "from"),
        ({"intervalUnit": "day", "interval": 1, "until": "2024-02-06T01"}, "until"),
        ({"intervalUnit": "day", "interval": 7, "from": "2024-02-06", "until": "2024-02-13"}, "from"),
        ({"intervalUnit": "day", "interval": 7, "until": "2024-02-11"}, "until"),
        ({"intervalUnit": "month", "interval": 1, "from": "2024-01-02", "until": "2024-02"}, "from"),
        ({"intervalUnit": "month", "interval": 1, "from": "2024-01", "until": "2024-02-01T01"}, "until"),
        ({"until": "2024-05-07T00:15"}, "until"),
        ({"intervalUnit": "day", "interval": 1, "until": "2029-02-06"}, "until"),
        ({"until": "2024-02-04"}, "until"),
        ({"until": None}, "until"),
        ({"sequenceItemId": "244,245"}, "sequenceItemId"),
        ({"sequenceItemId": None}, "sequenceItemId"),
        ({"sequenceItemId": None, "tradingItems": 1}, "sequenceItemId"),
        ({"contractType": "Spread"}, "secondSequenceItemId"),
        ({"contractType": "Spread", "secondSequenceItemId": 244}, "secondSequenceItemId"),
        ({"contractType": None}, "contractType"),
        ({"instrumentId": 10002096}, "instrumentId"),
        ({"includeEmptyBuckets": "yes"}, "includeEmptyBuckets"),
        ({"optionalFields": "contract"}, "optionalFields"),
    ],
)
def test_wrong_parameter_is_refused_with_400_and_its_name(
    sandbox: Sandbox, changes: dict[str, Any], parameter: str
) -> None:
    assert [parameter] == refused_parameters(sandbox, PATH, {**CANDLES, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"from": "2024-01-01", "until": "2024-04-02"},
        {"from": "2020-01-01", "until": "2025-01-01", "intervalUnit": "day", "interval": 1},
        {"from": "2020-01-01", "until": "2025-01-01", "intervalUnit": "MONTH", "interval": 1},
    ],
)
def test_requests_at_the_limits_are_allowed(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    assert len(candles(sandbox, **changes)) > 10


@pytest.mark.parametrize("intraday", [False, True])
def test_current_day_is_available_to_an_entitled_key_up_to_now(intraday: bool) -> None:
    now = datetime.datetime(2024, 2, 7, 12, 7, tzinfo=datetime.UTC)
    with Sandbox(limits=False, now=now, key=KEY_OF[intraday]) as sandbox:
        got = send(sandbox, f"/api{PATH}", {**CANDLES, "until": "2024-02-08", "includeEmptyBuckets": "true"})

        assert (200 if intraday else 401) == got.status_code
        if intraday:
            assert nanoseconds("2024-02-07T12:15") == got.json()[-1]["toTimestamp"]
            trades = get_json(sandbox, "/trades", {"from": "2024-02-07T12:00", "until": "2024-02-08", **TTF})
            assert sum(trade["quantity"] for trade in trades) == got.json()[-1]["volume"]


def test_previous_day_is_complete_for_both_readings_of_until() -> None:
    now = datetime.datetime(2024, 2, 7, 12, 7, tzinfo=datetime.UTC)
    with Sandbox(limits=False, now=now, until="inclusive") as sandbox:
        rows = candles(sandbox, until="2024-02-07", interval=1, intervalUnit="day", includeEmptyBuckets="true")

        assert [nanoseconds("2024-02-05"), nanoseconds("2024-02-06")] == [row["fromTimestamp"] for row in rows]


def test_five_years_of_the_most_liquid_contract_do_not_overflow(sandbox: Sandbox) -> None:
    years = {"from": "2019-12-01", "until": "2024-12-01", "intervalUnit": "month", "interval": 1}
    rows = candles(sandbox, **EUA, **years, optionalFields="vwap")

    assert all(row["low"] <= row["vwap"] <= row["high"] for row in rows)
    assert np.all(np.array([row["volume"] for row in rows]) > 0)
