"""CSV: it says what JSON says, where nothing is nested, and only to whoever likes it better."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from support.api import TRADES, TTF, ask, nanoseconds

from trayport.sandbox import Sandbox
from trayport.sandbox.wire import Column, Table

DAY = {"from": "2024-02-05", "until": "2024-02-06"}
GRID = {"interval": 30, "intervalUnit": "minute", "includeEmptyBuckets": "true"}
FLAT: dict[str, dict[str, Any]] = {
    "/trades": {**TRADES, "optionalFields": "route,routeId,fromBrokenSpread,aggressorSleeve"},
    "/trades/ohlcv": {**TRADES, **GRID, "optionalFields": "vwap,openTimestamp,closeTimestamp"},
    "/trades/last": {**TTF, "at": "2024-02-05T12:00"},
    "/trades/private": {**TRADES, "from": "2024-01-08", "routes": "all"},
    "/trades/activity": {**DAY, "optionalFields": "marketId,updateCount,deleteCount,route,routeId"},
    "/orders/book/top": {**TRADES, **GRID, "sequenceItemId": 262, "optionalFields": "venueCode,route"},
}


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def matches(cell: str, value: Any) -> bool:
    """Does a cell say what a value in JSON does?"""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", cell):
        return bool(nanoseconds(cell.removesuffix("Z")) == value)
    if value is None or isinstance(value, bool):
        return cell == ("" if value is None else str(value).lower())
    return cell == value if isinstance(value, str) else Decimal(cell) == value


@pytest.mark.parametrize("path", FLAT)
def test_it_says_the_same_as_json(sandbox: Sandbox, path: str) -> None:
    rows = ask(sandbox, f"/api{path}", FLAT[path]).json(parse_float=Decimal)
    got = ask(sandbox, f"/api{path}", FLAT[path], headers={"Accept": "text/csv"})
    told = table(got.text)

    assert "text/csv; charset=utf-8" == got.headers["Content-Type"]
    assert len(rows) == len(told) > 0
    for row, cells in zip(rows, told, strict=True):
        assert list(row) == list(cells)
        assert all(matches(cells[name], row[name]) for name in row)


def test_nothing_is_a_header_alone(sandbox: Sandbox) -> None:
    got = ask(sandbox, params={**TRADES, "from": "2024-02-10", "until": "2024-02-11"}, headers={"Accept": "text/csv"})

    assert "tradeId,venueCode,dealDate,price,quantity,aggressorBuy\r\n" == got.text


@pytest.mark.parametrize(
    "path, changes",
    [
        ("/trades", {"optionalFields": "contract"}),
        ("/trades", {"includePrivate": "true"}),
        ("/trades/private", {"contractType": None, "sequenceItemId": None}),
        ("/trades/last", {"optionalFields": "contract", "at": "2024-02-05T12:00"}),
        ("/orders/book", {"interval": 1, "intervalUnit": "hour"}),
        ("/snapshots", {}),
    ],
)
def test_what_is_nested_stays_json(sandbox: Sandbox, path: str, changes: dict[str, Any]) -> None:
    got = ask(sandbox, f"/api{path}", {**TRADES, **changes}, headers={"Accept": "text/csv"})

    assert (200, "application/json; charset=utf-8") == (got.status_code, got.headers["Content-Type"])
    assert got.json()


def test_reference_data_and_errors_stay_json(sandbox: Sandbox) -> None:
    csv_please = {"Accept": "text/csv"}
    markets = ask(sandbox, "/reference/markets", None, headers=csv_please)
    error = ask(sandbox, params={**TRADES, "until": None}, headers=csv_please)

    assert "application/json; charset=utf-8" == markets.headers["Content-Type"]
    assert (400, "application/problem+json; charset=utf-8") == (error.status_code, error.headers["Content-Type"])
    assert markets.json()
    assert ["until"] == list(error.json()["errors"])


@pytest.mark.parametrize(
    "accept, kind",
    [
        ("*/*", "json"),
        ("application/json", "json"),
        ("text/csv", "csv"),
        ("Text/CSV; q=0.9, */*;q=0.1", "csv"),
        ("application/json, text/csv", "json"),
        ("text/csv;q=0.5, application/json", "json"),
        ("text/csv, application/json;q=0.5", "csv"),
        ("text/csv;q=0", "json"),
        ("text/html", "json"),
    ],
)
def test_the_better_liked_of_the_two_is_sent(sandbox: Sandbox, accept: str, kind: str) -> None:
    assert kind in ask(sandbox, headers={"Accept": accept}).headers["Content-Type"]


def test_what_needs_quoting_is_quoted() -> None:
    columns = (Column("a,b", ['say "hi"', "x, y", "two\r\nlines"], "text"), Column("c", ["null", "1.5", "true"]))
    text = Table(columns).csv().decode()

    assert '"a,b",c\r\n"say ""hi""",\r\n"x, y",1.5\r\n"two\r\nlines",true\r\n' == text
    assert ['say "hi"', "x, y", "two\r\nlines"] == [row["a,b"] for row in table(text)]


def test_a_shuffled_server_shuffles_both_alike() -> None:
    with Sandbox(limits=False, order="shuffled") as odd:
        rows = [row["tradeId"] for row in ask(odd).json()]
        told = [row["tradeId"] for row in table(ask(odd, headers={"Accept": "text/csv"}).text)]

        assert rows == told
        assert rows != sorted(rows)
