"""Snapshots of the sandbox: the last trade and the best orders at one time."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import (
    CONTRACTS,
    KEY_OF,
    TTF,
    get_json,
    iso_time,
    nanoseconds,
    refused_parameters,
    send,
    validate,
)
from support.profiles import examples

from trayport.sandbox import Sandbox

TOP, SNAPSHOTS = "/orders/book/top", "/snapshots"
SECOND = 10**9
NOW = datetime.datetime(2024, 2, 7, 12, 7, 30, tzinfo=datetime.UTC)
FRONT = {"marketId": 10000065, "sequenceId": 10000305, "contractType": "SinglePeriod", "at": "2024-02-05T12:00"}
SIDES = ("bidPrice", "bidQuantity", "askPrice", "askQuantity")


def test_response_matches_the_document(sandbox: Sandbox) -> None:
    got = get_json(sandbox, SNAPSHOTS, FRONT, tradingItems=50)

    validate("SnapshotSet", got)
    assert nanoseconds("2024-02-05T12:00") == got["timestamp"]
    assert list(range(243, 279)) == [each["contract"]["sequenceItemId"] for each in got["snapshots"]]
    assert {(10000065, None)} == {
        (each["contract"]["marketId"], each["contract"]["instrumentId"]) for each in got["snapshots"]
    }


@examples(15)
@given(minute=st.integers(0, 10 * 1440), contract=st.sampled_from(CONTRACTS))
def test_snapshot_has_last_trade_and_best_orders(sandbox: Sandbox, minute: int, contract: dict[str, Any]) -> None:
    at = nanoseconds("2024-02-01") + minute * 60 * SECOND
    (snapshot,) = get_json(sandbox, SNAPSHOTS, contract, at=iso_time(at + 59 * SECOND))["snapshots"]
    last = get_json(sandbox, "/trades/last", contract, at=iso_time(at))
    window = {"from": iso_time(at - 60 * SECOND), "until": iso_time(at), "interval": 1, "intervalUnit": "minute"}
    tops = get_json(sandbox, TOP, {**contract, **window})

    assert (last or [None]) == [snapshot["lastTrade"]]
    assert [{name: row[name] for name in SIDES} for row in tops] == [
        best for best in [snapshot["bestOrders"]] if best is not None
    ]


def test_contracts_are_in_the_requested_order_without_duplicates(sandbox: Sandbox) -> None:
    got = get_json(sandbox, SNAPSHOTS, FRONT, sequenceItemId="250,244,250,262")

    assert [250, 244, 262] == [each["contract"]["sequenceItemId"] for each in got["snapshots"]]


def test_missing_values_are_null_and_the_contract_is_always_given(sandbox: Sandbox) -> None:
    asked = {**FRONT, "sequenceItemId": 390, "instrumentId": 10002228, "marketId": None}
    (snapshot,) = get_json(sandbox, SNAPSHOTS, asked)["snapshots"]

    assert (None, None) == (snapshot["lastTrade"], snapshot["bestOrders"])
    assert (10000065, 10002228, 390) == tuple(
        snapshot["contract"][name] for name in ("marketId", "instrumentId", "sequenceItemId")
    )


def test_time_is_the_parameter_at_and_others_are_ignored(sandbox: Sandbox) -> None:
    asked = {**FRONT, "at": None, "sequenceItemId": 244}
    got = get_json(sandbox, SNAPSHOTS, asked, snapshotDate="2024-02-05", optionalFields="contract")

    assert got["timestamp"] > nanoseconds("2026-01-01")
    assert frozenset({"snapshotdate", "optionalfields"}) == sandbox.asked[-1].ignored


@pytest.mark.parametrize("intraday, moment", [(False, "2024-02-07"), (True, "2024-02-07T12:07")])
def test_default_time_is_the_end_of_the_available_range(intraday: bool, moment: str) -> None:
    with Sandbox(limits=False, now=NOW, key=KEY_OF[intraday]) as sandbox:
        got = get_json(sandbox, SNAPSHOTS, TTF)

        assert nanoseconds(moment) == got["timestamp"]
        assert intraday == (got["snapshots"][0]["bestOrders"] is not None)
        later = send(sandbox, f"/api{SNAPSHOTS}", {**TTF, "at": "2024-02-07T00:01"})
        assert (200 if intraday else 401) == later.status_code
        assert 200 == send(sandbox, f"/api{SNAPSHOTS}", {**TTF, "at": "2024-02-07T00:00:59"}).status_code


@pytest.mark.parametrize(
    "changes, parameter",
    [
        ({"at": "now"}, "at"),
        ({"tradingItems": 51}, "tradingItems"),
        ({"tradingItems": 3, "sequenceItemId": 244}, "sequenceItemId"),
        ({"sequenceItemId": list(range(200, 251))}, "sequenceItemId"),
        ({"sequenceItemId": "244,245", "contractType": "Spread", "secondSequenceItemId": 246}, "sequenceItemId"),
        ({"tradingItems": 3, "sequenceId": 10000302}, "tradingItems"),
        ({"sequenceItemId": 244, "contractType": "Range"}, "secondSequenceItemId"),
    ],
)
def test_wrong_parameter_is_refused_with_400_and_its_name(
    sandbox: Sandbox, changes: dict[str, Any], parameter: str
) -> None:
    assert [parameter] == refused_parameters(sandbox, SNAPSHOTS, {**FRONT, **changes})
