"""Keys with and without each right, and what the server writes down of those who break its rules."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from support.api import EUA, TRADES, TTF, ask

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


def by(desk: Sandbox, key: str, path: str, params: Any, **more: Any) -> requests.Response:
    """A question asked with one of the keys."""
    return ask(desk, f"/api{path}", {**params, **more}, headers={"X-API-KEY": key})


def test_each_key_has_its_own_rights_to_today(desk: Sandbox) -> None:
    today = {**TRADES, "until": "2024-02-08"}

    assert [200, 401] == [by(desk, key, "/trades", today).status_code for key in ("all", "no-private")]


def test_without_the_right_there_is_nothing_private(desk: Sandbox) -> None:
    own = [by(desk, key, "/trades/private", DAY).status_code for key in ("all", "no-private")]
    rows = [by(desk, key, "/trades", TRADES, includePrivate="true").json() for key in ("all", "no-private")]
    books = [
        by(desk, key, "/orders/book", TRADES, **GRID, depth=50, includePrivate="true").text
        for key in ("all", "no-private")
    ]

    assert [200, 403] == own
    assert [True, False] == [any("privateFields" in row for row in each) for each in rows]
    assert [True, False] == ["privateFields" in each for each in books]
    assert by(desk, "no-private", "/trades", TRADES).json() == rows[1]


@pytest.mark.parametrize("path", ["/orders/book", "/orders/book/top"])
def test_without_the_right_there_are_no_books(desk: Sandbox, path: str) -> None:
    assert [200, 403] == [by(desk, key, path, TRADES, **GRID).status_code for key in ("all", "no-books")]


def test_a_snapshot_without_the_right_to_books_has_its_last_trade(desk: Sandbox) -> None:
    rows = [
        by(desk, key, "/snapshots", TTF, at="2024-02-05T12:00").json()["snapshots"][0] for key in ("all", "no-books")
    ]

    assert [True, False] == [row["bestOrders"] is not None for row in rows]
    assert rows[0]["lastTrade"] == rows[1]["lastTrade"]


def test_a_market_outside_is_not_found_and_its_instruments_are_empty(desk: Sandbox) -> None:
    market = by(desk, "no-ttf", "/trades", TRADES)
    instruments = [
        by(desk, "no-ttf", path, {**TTF, "marketId": None, "instrumentId": number, **DAY}, **GRID)
        for number in TTF_INSTRUMENTS
        for path in ("/trades", "/trades/ohlcv", "/orders/book")
    ]

    assert 404 == market.status_code
    assert {(200, "[]")} == {(each.status_code, each.text) for each in instruments}
    assert by(desk, "no-ttf", "/trades", {**EUA, **DAY}).json()


def test_what_is_outside_is_in_no_list(desk: Sandbox) -> None:
    for path in ("/trades/activity", "/trades/private"):
        more = {"optionalFields": "marketId"} if path.endswith("activity") else {}
        seen = [by(desk, key, path, DAY, **more).json() for key in ("all", "no-ttf")]
        ids = [{(row.get("contract") or row)["instrumentId"] for row in rows} for rows in seen]

        assert ids[0] & TTF_INSTRUMENTS
        assert not ids[1] & TTF_INSTRUMENTS
        assert ids[1] < ids[0]


def test_a_market_shows_the_instruments_that_are_not_outside(desk: Sandbox) -> None:
    alone = by(desk, "all", "/trades", {**TRADES, "marketId": None, "instrumentId": 10002228}).json()
    whole, part = (by(desk, key, "/trades", TRADES).json() for key in ("all", "no-ice"))

    assert len(alone) > 100
    assert [row for row in whole if row not in alone] == part


def test_a_key_sees_its_own_routes(desk: Sandbox) -> None:
    alone = by(desk, "one-route", "/trades", TRADES, optionalFields="route").json()
    both = by(desk, "all", "/trades", TRADES, routes="Desk").json()

    assert both == alone
    assert {"Desk"} == {row["route"] for row in alone}
    assert by(desk, "one-route", "/trades", TRADES, routes="all").json() == alone
    assert ["routes"] == list(by(desk, "one-route", "/trades", TRADES, routes="House").json()["errors"])
    for path in ("/trades/activity", "/orders/book/top"):
        asked = {**TRADES, **GRID} if path.startswith("/orders") else DAY
        rows = by(desk, "one-route", path, asked, optionalFields="route").json()
        assert {"Desk"} == {row["route"] for row in rows}


def test_what_takes_no_routes_shows_what_is_on_any_of_the_keys(desk: Sandbox) -> None:
    trades = by(desk, "one-route", "/trades", TRADES).json()
    (candle,) = by(desk, "one-route", "/trades/ohlcv", TRADES, interval=1, intervalUnit="day").json()
    last = by(desk, "one-route", "/trades/last", {**TTF, "at": "2024-02-06"}).json()[0]
    minute = {"from": "2024-02-05T11:59", "until": "2024-02-05T12:00", "interval": 1, "intervalUnit": "minute"}
    (top,) = by(desk, "one-route", "/orders/book/top", {**TTF, **minute}).json()
    shown = by(desk, "one-route", "/snapshots", TTF, at="2024-02-05T12:00").json()["snapshots"][0]

    assert round(sum(row["quantity"] for row in trades), 6) == candle["volume"]
    assert (trades[-1]["price"], trades[-1]["dealDate"]) == (last["price"], last["dealDate"])
    assert {name: top[name] for name in shown["bestOrders"]} == shown["bestOrders"]


def test_the_keys_that_it_knows_unless_told_otherwise() -> None:
    with Sandbox(limits=False) as sandbox:
        assert "sandbox-key" == sandbox.settings["api_key"]
        assert {200} == {ask(sandbox, headers={"x-api-key": key}).status_code for key in KEYS}
        assert 404 == by(sandbox, "sandbox-basic", "/trades", {**EUA, **DAY}).status_code


def test_each_key_has_limits_of_its_own() -> None:
    with Sandbox(monotonic=lambda: 0.0) as sandbox:
        statuses = [
            ask(sandbox, "/reference/markets", headers={"x-api-key": key}).status_code for key in KEYS for _ in range(9)
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
def test_what_makes_no_sense_is_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


# --- what is written down --------------------------------------------------------------------------------------------


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
def test_every_rule_that_a_request_breaks_is_written_down(
    path: str, params: Any, headers: dict[str, str], rules: list[str]
) -> None:
    with Sandbox(limits=False, now=NOW) as sandbox:
        ask(sandbox, path, params, headers=headers)

        assert rules == [violation.rule for violation in sandbox.violations]
        assert [tuple(rules)] == [asked.broken for asked in sandbox.asked]
        assert all(violation.asked == sandbox.asked[0] for violation in sandbox.violations)


def test_what_is_too_fast_and_what_is_no_get_are_written_down() -> None:
    with Sandbox(monotonic=lambda: 0.0) as sandbox:
        requests.post(sandbox.analytics_url + "/trades", headers={"x-api-key": sandbox.key}, timeout=10)
        for _ in range(9):
            ask(sandbox, "/reference/markets", None)

        assert ["/trades: POST: only GET is allowed", "/markets: more than 8 requests in 1 s"] == list(
            map(str, sandbox.violations)
        )


def test_a_moving_answer_does_not_stick_whatever_else_is_said() -> None:
    asked = {**TTF, "until": "2020-01-01", "from": "soon"}
    with Sandbox(limits=False, now=NOW.replace(hour=10), key="sandbox-intraday") as sandbox:
        for path in ("/api/trades/last", "/api/snapshots"):
            sandbox.now = NOW.replace(hour=10)
            before = ask(sandbox, path, asked).json()
            sandbox.now = NOW.replace(hour=15)

            assert before != ask(sandbox, path, asked).json() == ask(sandbox, path, TTF).json()


@pytest.mark.parametrize("far", [1e9, -1e9])
def test_however_far_the_clock_jumps_there_is_an_answer(far: float) -> None:
    jumps = [Fault(clock=min(max(far, -3e8), 3e8), times=None)]
    with Sandbox(limits=False, key="sandbox-intraday", faults=jumps) as sandbox:
        for _ in range(40):
            ask(sandbox, "/reference/markets", None)

        for path in ("/trades/activity", "/trades/private"):
            today = sandbox.clock.date()
            window = {"from": f"{today - datetime.timedelta(days=5)}", "until": f"{today}"}
            assert {200, 400} >= {ask(sandbox, f"/api{path}", window).status_code}
        assert 200 == requests.get(sandbox.url, timeout=10).status_code


def test_a_long_history_of_large_requests_is_forgotten_before_it_fills_the_memory() -> None:
    heavy = {f"name{number}": "x" * 1000 for number in range(50)}
    with Sandbox(limits=False) as sandbox:
        answer = HttpRequest("GET", "/reference/markets?" + urlencode(heavy), {"x-api-key": sandbox.key})
        for _ in range(1000):
            sandbox.respond(answer)

        assert 1000 == sandbox.answered
        assert len(sandbox.asked) < 800


def test_without_limits_every_answer_says_so() -> None:
    with Sandbox(limits=False) as free, Sandbox() as limited:
        for path in ("/reference/markets", "/api/nonsense"):
            assert ["off", None] == [ask(each, path).headers.get("X-Sandbox-Limits") for each in (free, limited)]
