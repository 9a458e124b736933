"""Switches for unknown properties of the service: effects of each position, and defaults."""

from __future__ import annotations

import datetime
import email.utils
import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import requests
from support.api import EUA, TRADES, TTF, get_json, send
from support.fake import Clock

from trayport.sandbox import Sandbox
from trayport.sandbox.switches import OTHERS, Switches

NOW = datetime.datetime(2024, 2, 7, 12, 7, 30, tzinfo=datetime.UTC)
FIELDS = attrs.fields_dict(Switches)
THE_FOUR: dict[int, dict[str, Any]] = {
    401: {"headers": {"x-api-key": "nonsense"}},
    403: {"path": "/api/orders/book/top", "headers": {"x-api-key": "sandbox-basic"}},
    404: {"path": "/api/nonsense"},
    429: {},
}


def send_wrong_request(sandbox: Sandbox, status: int) -> requests.Response:
    """Send a request that is refused with a status."""
    for _ in range(9 if status == 429 else 1):
        got = send(sandbox, **THE_FOUR[status])
    assert status == got.status_code
    return got


def send_until_throttled(count: int, **switches: Any) -> requests.Response:
    """Return the response to the last of several requests in one second."""
    with Sandbox(now=NOW, monotonic=Clock(), **switches) as sandbox:
        for _ in range(count):
            got = send(sandbox, "/reference/markets")
        return got


def test_defaults_are_the_safest_reading() -> None:
    # contract.md, 4 and 6: defaults of a simulator
    expected = {
        "until": "exclusive", "books": "end", "order": "sorted", "throttling": 429, "retry_after": "absent",
        "sustained": 0, "refusals": "problem", "empty_candles": "null", "trading_dates": "absent",
        "instrument_ids": "documented", "late": 0,
    }  # fmt: skip

    assert expected == attrs.asdict(Switches())


def test_other_settings_contain_all_positions_but_the_defaults() -> None:
    for name, field in FIELDS.items():
        others = field.metadata["others"]

        assert set(others) == {setting[name] for setting in OTHERS}
        assert field.default not in others
        assert field.metadata["evidence"]
    assert all(Switches.of(setting) for setting in OTHERS)


@pytest.mark.parametrize(
    "switch, value, message",
    [
        ("until", "sometimes", "until='sometimes' is none of 'exclusive', 'inclusive'"),
        ("throttling", 500, "throttling=500 is none of 429, 403"),
        ("late", -1, "late=-1 must be a whole number from 0 to 10000"),
        ("late", 1.5, "late=1.5 must be a whole number"),
        ("sustained", True, "sustained=True must be a whole number"),
        ("untill", "inclusive", "there is no switch 'untill'; choose from until, books"),
    ],
)
def test_unknown_position_is_refused(switch: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sandbox(**{switch: value})


@pytest.mark.parametrize("status", [429, 403])
def test_throttled_request_has_the_status_of_the_switch(status: Any) -> None:
    assert status == send_until_throttled(9, throttling=status).status_code


@pytest.mark.parametrize(
    "retry_after, header", [("absent", None), ("seconds", "1"), ("date", "Wed, 07 Feb 2024 12:07:31 GMT")]
)
def test_throttled_response_has_the_header_of_the_switch(retry_after: Any, header: str | None) -> None:
    assert header == send_until_throttled(9, retry_after=retry_after).headers.get("Retry-After")


def test_retry_after_is_sufficient_and_not_too_long() -> None:
    clock = Clock()
    with Sandbox(monotonic=clock, retry_after="seconds") as sandbox:
        for _ in range(60):
            clock.now += 1
            assert {200} == {send(sandbox, "/reference/markets").status_code for _ in range(8)}
        got = send(sandbox, "/reference/markets")
        assert (429, "1") == (got.status_code, got.headers["Retry-After"])
        assert 429 == send(sandbox, "/reference/markets").status_code
        clock.now += float(got.headers["Retry-After"])
        assert 200 == send(sandbox, "/reference/markets").status_code


def test_sustained_limit_refuses_with_403() -> None:
    clock = Clock()
    with Sandbox(monotonic=clock, sustained=20, retry_after="seconds") as sandbox:
        statuses = []
        for _ in range(21):
            got = send(sandbox, "/reference/markets")
            statuses.append(got.status_code)
            clock.now += 1

        assert [200] * 20 + [403] == statuses
        assert "580" == got.headers["Retry-After"]
        assert "more than 20 requests in 600 s" in sandbox.violations[-1].rule
        clock.now += 579
        assert 200 == send(sandbox, "/reference/markets").status_code


def test_sustained_limit_is_off_without_limits() -> None:
    with Sandbox(limits=False, sustained=2) as sandbox:
        assert {200} == {send(sandbox, "/reference/markets").status_code for _ in range(5)}


SHAPES: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    "problem": ("application/problem+json", lambda body: json.loads(body)["title"] != ""),
    "message": ("application/json", lambda body: list(json.loads(body)) == ["message"]),
    "text": ("text/plain", lambda body: body.strip().isascii() and b"{" not in body),
    "html": ("text/html", lambda body: body.startswith(b"<html>")),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", THE_FOUR)
def test_body_of_a_refusal_has_the_shape_of_the_switch(shape: Any, status: int) -> None:
    kind, fits = SHAPES[shape]
    with Sandbox(now=NOW, monotonic=Clock(), refusals=shape) as sandbox:
        got = send_wrong_request(sandbox, status)

        assert f"{kind}; charset=utf-8" == got.headers["Content-Type"]
        assert fits(got.content)
        assert sandbox.key not in got.text


@pytest.mark.parametrize("shape", SHAPES)
def test_body_of_a_400_is_the_known_one_in_every_position(shape: Any) -> None:
    with Sandbox(limits=False, refusals=shape) as sandbox:
        got = send(sandbox, params={**TRADES, "until": "2024-06-01"})

        assert {"until": ["Maximum query range is 32 days."]} == got.json()["errors"]


NUMBERS = ("open", "high", "low", "close", "vwap")
TIMES = ("openTimestamp", "closeTimestamp")


@pytest.mark.parametrize(
    "empty, expected",
    [
        ("null", dict.fromkeys((*NUMBERS, *TIMES)) | {"volume": 0}),
        ("zero", dict.fromkeys((*NUMBERS, *TIMES, "volume"), 0)),
        ("absent", {}),
    ],
)
def test_values_of_an_empty_candle(empty: Any, expected: dict[str, Any]) -> None:
    window = {"from": "2024-02-05", "until": "2024-02-06", "interval": 1, "intervalUnit": "hour"}
    asked = {**TTF, **window, "includeEmptyBuckets": "true", "optionalFields": "vwap,openTimestamp,closeTimestamp"}
    with Sandbox(limits=False, empty_candles=empty) as sandbox:
        rows = get_json(sandbox, "/trades/ohlcv", asked)
        full = [row for row in rows if row.get("volume")]

        assert expected == {
            name: value for name, value in rows[0].items() if name not in ("fromTimestamp", "toTimestamp")
        }
        assert (24, 11) == (len(rows), len(full))
        assert {"fromTimestamp", "toTimestamp", "volume", *NUMBERS, *TIMES} == set(full[0])


@pytest.mark.parametrize("dates", ["absent", "null"])
@pytest.mark.parametrize("sequence, number, has", [(10000302, 2, False), (10000400, 870, False), (10000305, 276, True)])
def test_missing_trading_dates(dates: Any, sequence: int, number: int, has: bool) -> None:
    path = f"/reference/sequences/{sequence}/sequenceItems"
    with Sandbox(limits=False, now=NOW.replace(year=2025), trading_dates=dates) as sandbox:
        for item in (
            send(sandbox, path, None).json()[0],
            send(sandbox, f"{path}/{number}", None).json(),
        ):
            assert (has or dates == "null") == ("tradingEnd" in item)
            assert has == (item.get("tradingEnd") is not None)


@pytest.mark.parametrize(
    "ids, trade, snapshot", [("documented", True, False), ("filled", True, True), ("null", False, False)]
)
def test_instrument_ids_in_responses_about_a_market(ids: Any, trade: bool, snapshot: bool) -> None:
    with Sandbox(limits=False, instrument_ids=ids) as sandbox:
        rows = get_json(sandbox, "/trades", TRADES, optionalFields="contract")
        last = get_json(sandbox, "/trades/last", EUA, at="2024-02-06", optionalFields="contract")
        shown = get_json(sandbox, "/snapshots", TTF, at="2024-02-05T12:00")["snapshots"]

        assert {trade} == {row["contract"]["instrumentId"] is not None for row in (*rows, *last)}
        assert {snapshot} == {row["contract"]["instrumentId"] is not None for row in shown}
        assert {10000065} == {row["contract"]["marketId"] for row in (*rows, *shown)}
        # Responses about an instrument, and own trades of all contracts, always contain the id.
        own = get_json(sandbox, "/trades/private", {"from": "2024-02-05", "until": "2024-02-06"})
        assert all(row["contract"]["instrumentId"] for row in own)


@pytest.mark.parametrize(
    "hour, late, day",
    [
        (12, 0, "2024-02-06"),
        (12, 8, "2024-02-06"),
        (7, 8, "2024-02-05"),
        (12, 36, "2024-02-05"),
        (11, 60, "2024-02-02"),
    ],
)
def test_previous_day_becomes_available_late_without_an_error(hour: int, late: int, day: str) -> None:
    window = {"from": "2024-02-01", "until": "2024-02-07"}
    grid = {"interval": 1, "intervalUnit": "hour"}
    with Sandbox(limits=False, now=NOW.replace(hour=hour), late=late) as sandbox:
        trades = get_json(sandbox, "/trades", TTF, **window)
        candles = get_json(sandbox, "/trades/ohlcv", TTF, **window, **grid)
        tops = get_json(sandbox, "/orders/book/top", TTF, **window, **grid)
        last = get_json(sandbox, "/trades/last", TTF)
        counts = get_json(sandbox, "/trades/activity", window)
        everything = (trades[-1]["dealDate"], candles[-1]["fromTimestamp"], tops[-1]["timestamp"], last[0]["dealDate"])

        days = {datetime.datetime.fromtimestamp(each // 10**9, datetime.UTC).date().isoformat() for each in everything}
        assert {day} == days
        assert counts


def test_current_day_and_own_trades_are_never_late() -> None:
    window = {"from": "2024-02-06", "until": "2024-02-07"}
    with Sandbox(limits=False, now=NOW, late=36) as sandbox:
        own = get_json(sandbox, "/trades/private", window)
        seen = send(sandbox, params={**TRADES, **window}, headers={"x-api-key": "sandbox-intraday"}).json()

        assert ([], True, True) == (get_json(sandbox, "/trades", TTF, **window), len(own) > 0, len(seen) > 0)


def test_switch_order_shuffles_every_list() -> None:
    window = {"from": "2024-02-05", "until": "2024-02-06"}
    questions: dict[str, dict[str, Any]] = {
        "/trades": {**TTF, **window},
        "/trades/ohlcv": {**TTF, **window, "interval": 15, "intervalUnit": "minute"},
        "/trades/activity": window,
        "/orders/book/top": {**TTF, **window, "interval": 15, "intervalUnit": "second"},
        "/snapshots": {**TTF, "sequenceItemId": "244,245,246,247,248", "at": "2024-02-05T12:00"},
    }
    with Sandbox(limits=False) as plain, Sandbox(limits=False, order="shuffled") as odd:
        for path, asked in questions.items():
            rows, mixed = (get_json(each, path, asked) for each in (plain, odd))
            if path == "/snapshots":
                rows, mixed = rows["snapshots"], mixed["snapshots"]

            assert rows != mixed
            assert sorted(map(json.dumps, rows)) == sorted(map(json.dumps, mixed))


def test_date_header_is_the_time_of_the_servers_clock() -> None:
    with Sandbox(now=NOW) as sandbox:
        assert NOW == email.utils.parsedate_to_datetime(send(sandbox).headers["Date"])
