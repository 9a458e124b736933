"""Keys with and without each entitlement, and the record of broken rules."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from support.api import EUA, TRADES, TTF, send

from trayport.sandbox import Fault, Sandbox
from trayport.sandbox.keys import KEYS, Rights
from trayport.sandbox.listener import HttpRequest

NOW = datetime.datetime(2024, 2, 7, 12, 7, 30, tzinfo=datetime.UTC)
DAY = {"from": "2024-02-05", "until": "2024-02-06"}
GRID = {"interval": 1, "intervalUnit": "hour"}
TTF_INSTRUMENTS = {10002096, 10002228, 10002806}
RIGHTS = {
    "all": Rights(intraday=True),
    "no-private": Rights(private=False),
    "no-books": Rights(books=False),
    "one-route": Rights(routes=("Desk",)),
    "no-ttf": Rights(outside={"TTF Hi Cal 51.6"}),
    "no-ice": Rights(outside={"TTF Hi Cal 51.6 ICE"}),
}


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    with Sandbox(limits=False, now=NOW, key="all", keys=RIGHTS) as sandbox:
        yield sandbox


def send_as(desk: Sandbox, key: str, path: str, params: Any, **more: Any) -> requests.Response:
    """Send a request with a key."""
    return send(desk, f"/api{path}", {**params, **more}, headers={"X-API-KEY": key})


def test_entitlement_to_the_current_day_depends_on_the_key(desk: Sandbox) -> None:
    today = {**TRADES, "until": "2024-02-08"}

    assert [200, 401] == [send_as(desk, key, "/trades", today).status_code for key in ("all", "no-private")]


def test_key_without_private_data_has_no_private_rows(desk: Sandbox) -> None:
    own = [send_as(desk, key, "/trades/private", DAY).status_code for key in ("all", "no-private")]
    rows = [send_as(desk, key, "/trades", TRADES, includePrivate="true").json() for key in ("all", "no-private")]
    books = [
        send_as(desk, key, "/orders/book", TRADES, **GRID, depth=50, includePrivate="true").text
        for key in ("all", "no-private")
    ]

    assert [200, 403] == own
    assert [True, False] == [any("privateFields" in row for row in each) for each in rows]
    assert [True, False] == ["privateFields" in each for each in books]
    assert send_as(desk, "no-private", "/trades", TRADES).json() == rows[1]


@pytest.mark.parametrize("path", ["/orders/book", "/orders/book/top"])
def test_key_without_books_is_refused(desk: Sandbox, path: str) -> None:
    assert [200, 403] == [send_as(desk, key, path, TRADES, **GRID).status_code for key in ("all", "no-books")]


def test_snapshot_without_books_has_the_last_trade(desk: Sandbox) -> None:
    rows = [
        send_as(desk, key, "/snapshots", TTF, at="2024-02-05T12:00").json()["snapshots"][0]
        for key in ("all", "no-books")
    ]

    assert [True, False] == [row["bestOrders"] is not None for row in rows]
    assert rows[0]["lastTrade"] == rows[1]["lastTrade"]


def test_market_without_entitlement_is_404_and_its_instruments_have_no_rows(desk: Sandbox) -> None:
    market = send_as(desk, "no-ttf", "/trades", TRADES)
    instruments = [
        send_as(desk, "no-ttf", path, {**TTF, "marketId": None, "instrumentId": number, **DAY}, **GRID)
        for number in TTF_INSTRUMENTS
        for path in ("/trades", "/trades/ohlcv", "/orders/book")
    ]

    assert 404 == market.status_code
    assert {(200, "[]")} == {(each.status_code, each.text) for each in instruments}
    assert send_as(desk, "no-ttf", "/trades", {**EUA, **DAY}).json()


def test_products_without_entitlement_are_in_no_response(desk: Sandbox) -> None:
    for path in ("/trades/activity", "/trades/private"):
        more = {"optionalFields": "marketId"} if path.endswith("activity") else {}
        seen = [send_as(desk, key, path, DAY, **more).json() for key in ("all", "no-ttf")]
        ids = [{(row.get("contract") or row)["instrumentId"] for row in rows} for rows in seen]

        assert ids[0] & TTF_INSTRUMENTS
        assert not ids[1] & TTF_INSTRUMENTS
        assert ids[1] < ids[0]


def test_market_contains_the_entitled_instruments_only(desk: Sandbox) -> None:
    alone = send_as(desk, "all", "/trades", {**TRADES, "marketId": None, "instrumentId": 10002228}).json()
    whole, part = (send_as(desk, key, "/trades", TRADES).json() for key in ("all", "no-ice"))

    assert len(alone) > 100
    assert [row for row in whole if row not in alone] == part


def test_rows_are_on_the_routes_of_the_key(desk: Sandbox) -> None:
    alone = send_as(desk, "one-route", "/trades", TRADES, optionalFields="route").json()
    both = send_as(desk, "all", "/trades", TRADES, routes="Desk").json()

    assert both == alone
    assert {"Desk"} == {row["route"] for row in alone}
    assert send_as(desk, "one-route", "/trades", TRADES, routes="all").json() == alone
    assert ["routes"] == list(send_as(desk, "one-route", "/trades", TRADES, routes="House").json()["errors"])
    for path in ("/trades/activity", "/orders/book/top"):
        asked = {**TRADES, **GRID} if path.startswith("/orders") else DAY
        rows = send_as(desk, "one-route", path, asked, optionalFields="route").json()
        assert {"Desk"} == {row["route"] for row in rows}


def test_paths_without_routes_contain_all_routes_of_the_key(desk: Sandbox) -> None:
    trades = send_as(desk, "one-route", "/trades", TRADES).json()
    (candle,) = send_as(desk, "one-route", "/trades/ohlcv", TRADES, interval=1, intervalUnit="day").json()
    last = send_as(desk, "one-route", "/trades/last", {**TTF, "at": "2024-02-06"}).json()[0]
    minute = {"from": "2024-02-05T11:59", "until": "2024-02-05T12:00", "interval": 1, "intervalUnit": "minute"}
    (top,) = send_as(desk, "one-route", "/orders/book/top", {**TTF, **minute}).json()
    shown = send_as(desk, "one-route", "/snapshots", TTF, at="2024-02-05T12:00").json()["snapshots"][0]

    assert round(sum(row["quantity"] for row in trades), 6) == candle["volume"]
    assert (trades[-1]["price"], trades[-1]["dealDate"]) == (last["price"], last["dealDate"])
    assert {name: top[name] for name in shown["bestOrders"]} == shown["bestOrders"]


def test_default_keys() -> None:
    with Sandbox(limits=False) as sandbox:
        assert "sandbox-key" == sandbox.settings["api_key"]
        assert {200} == {send(sandbox, headers={"x-api-key": key}).status_code for key in KEYS}
        assert 404 == send_as(sandbox, "sandbox-basic", "/trades", {**EUA, **DAY}).status_code


def test_rate_limits_count_each_key_separately() -> None:
    with Sandbox(monotonic=lambda: 0.0) as sandbox:
        statuses = [
            send(sandbox, "/reference/markets", headers={"x-api-key": key}).status_code
            for key in KEYS
            for _ in range(9)
        ]

        assert ([200] * 8 + [429]) * 3 == statuses


@pytest.mark.parametrize(
    "make, complaint",
    [
        (lambda: Sandbox(key="nobody"), "key='nobody' is none of 'sandbox-key'"),
        (lambda: Sandbox(volume=0), "volume=0 must be a whole number from 1 on"),
        (lambda: Sandbox(now=datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)), "must lie in the years 2010 to 2089"),
        (lambda: Sandbox(now="2024-02-07"), "now='2024-02-07' must be a datetime"),
        (lambda: Sandbox(seed=1.5), "seed=1.5 must be a whole number"),
        (lambda: Sandbox(keys={}), "is none of the keys, of which there are none"),
        (lambda: Sandbox(key="a", keys={"a": None}), r"keys\['a'\]=None must be Rights"),
        (lambda: Sandbox(faults=[{"status": 500}]), "which is no Fault; write Fault"),
        (lambda: Rights(intraday="no"), "intraday='no' must be True or False"),
        (lambda: Rights(routes="Hose"), "must name one or more of House, Desk"),
        (lambda: Rights(routes=("Hose",)), "must name one or more of House, Desk"),
        (lambda: Rights(routes=()), "must name one or more of House, Desk"),
        (lambda: Rights(outside={"EUAA"}), "outside contains 'EUAA', which is no product's name"),
    ],
)
def test_invalid_arguments_are_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


# --- record ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, params, headers, rules",
    [
        ("/api/trades", {**TRADES, "snapshotDate": "2024-02-05"}, {}, ["snapshotdate: unknown parameter, ignored"]),
        ("/api/trades", {**TRADES, "until": "2024-06-01"}, {}, ["until: Maximum query range is 32 days."]),
        ("/api/trades", {**TRADES, "marketId": 5}, {}, ["market 5 is not there"]),
        ("/api/nonsense", None, {}, ["the path /api/nonsense is not there"]),
        ("/nonsense", None, {}, ["the path /nonsense is not there"]),
        ("/api/trades", TRADES, {"x-api-key": "nonsense"}, ["X-API-KEY: missing, or no key of this server"]),
        ("/api/trades/private", DAY, {"x-api-key": "sandbox-basic"}, ["the key is not entitled to private trades"]),
        (
            "/api/trades",
            {**TRADES, "until": "2024-02-08"},
            {},
            ["until: reaches into the current day, to which the key is not entitled"],
        ),
        (
            "/api/snapshots",
            {**TTF, "at": "2024-02-08"},
            {},
            ["at: reaches into the current day, to which the key is not entitled"],
        ),
        ("/api/trades", TRADES, {}, []),
    ],
)
def test_broken_rules_are_recorded(path: str, params: Any, headers: dict[str, str], rules: list[str]) -> None:
    with Sandbox(limits=False, now=NOW) as sandbox:
        send(sandbox, path, params, headers=headers)

        assert rules == [violation.rule for violation in sandbox.violations]
        assert [tuple(rules)] == [asked.broken for asked in sandbox.asked]
        assert all(violation.asked == sandbox.asked[0] for violation in sandbox.violations)


def test_throttled_requests_and_other_methods_are_recorded() -> None:
    with Sandbox(monotonic=lambda: 0.0) as sandbox:
        requests.post(sandbox.analytics_url + "/trades", headers={"x-api-key": sandbox.key}, timeout=10)
        for _ in range(9):
            send(sandbox, "/reference/markets", None)

        assert ["/trades: POST: only GET is allowed", "/markets: more than 8 requests in 1 s"] == list(
            map(str, sandbox.violations)
        )


def test_response_about_the_present_changes_with_the_clock() -> None:
    asked = {**TTF, "until": "2020-01-01", "from": "soon"}
    with Sandbox(limits=False, now=NOW.replace(hour=10), key="sandbox-intraday") as sandbox:
        for path in ("/api/trades/last", "/api/snapshots"):
            sandbox.now = NOW.replace(hour=10)
            before = send(sandbox, path, asked).json()
            sandbox.now = NOW.replace(hour=15)

            assert before != send(sandbox, path, asked).json() == send(sandbox, path, TTF).json()


@pytest.mark.parametrize("far", [1e9, -1e9])
def test_clock_jumps_of_any_size_have_a_response(far: float) -> None:
    jumps = [Fault(clock=min(max(far, -3e8), 3e8), times=None)]
    with Sandbox(limits=False, key="sandbox-intraday", faults=jumps) as sandbox:
        for _ in range(40):
            send(sandbox, "/reference/markets", None)

        for path in ("/trades/activity", "/trades/private"):
            today = sandbox.clock.date()
            window = {"from": f"{today - datetime.timedelta(days=5)}", "until": f"{today}"}
            assert {200, 400} >= {send(sandbox, f"/api{path}", window).status_code}
        assert 200 == requests.get(sandbox.url, timeout=10).status_code


def test_memory_of_recorded_requests_is_bounded() -> None:
    heavy = {f"name{number}": "x" * 1000 for number in range(50)}
    with Sandbox(limits=False) as sandbox:
        answer = HttpRequest("GET", "/reference/markets?" + urlencode(heavy), {"x-api-key": sandbox.key})
        for _ in range(1000):
            sandbox.respond(answer)

        assert 1000 == sandbox.answered
        assert len(sandbox.asked) < 800


def test_every_response_without_limits_has_a_header() -> None:
    with Sandbox(limits=False) as free, Sandbox() as limited:
        for path in ("/reference/markets", "/api/nonsense"):
            assert ["off", None] == [send(each, path).headers.get("X-Sandbox-Limits") for each in (free, limited)]
