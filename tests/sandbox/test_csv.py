"""CSV: it says what JSON says, and only to whoever likes it better."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from support.api import TRADES, TTF, ask, nanoseconds

from trayport.sandbox import Sandbox
from trayport.sandbox.payload import Payload, PayloadColumn

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


NESTED: dict[str, dict[str, Any]] = {
    "/trades": {**TRADES, "optionalFields": "contract,routeId", "includePrivate": "true"},
    "/trades/private": {**TRADES, "contractType": None, "sequenceItemId": None},
    "/trades/last": {**TTF, "optionalFields": "contract", "at": "2024-02-05T12:00"},
}


def leaves(row: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """What a row holds, each with its path."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def agree(told: list[dict[str, str]], rows: list[dict[str, Any]]) -> None:
    """Each line says what its row does, and nothing else."""
    assert len(rows) == len(told) > 0
    for row, cells in zip(rows, told, strict=True):
        said = dict(leaves(row))
        assert set(said) <= set(cells)
        assert all(matches(cell, said.get(name)) for name, cell in cells.items())


@pytest.mark.parametrize("path", NESTED)
def test_what_is_nested_is_told_with_dots(sandbox: Sandbox, path: str) -> None:
    rows = ask(sandbox, f"/api{path}", NESTED[path]).json(parse_float=Decimal)

    agree(table(ask(sandbox, f"/api{path}", NESTED[path], headers={"Accept": "text/csv"}).text), rows)


def test_a_snapshot_tells_its_moment_in_each_line(sandbox: Sandbox) -> None:
    params = {**TTF, "sequenceItemId": "244,262,290", "at": "2024-02-05T12:00"}
    said = ask(sandbox, "/api/snapshots", params).json(parse_float=Decimal)
    rows = [{"timestamp": said["timestamp"], **row} for row in said["snapshots"]]
    told = table(ask(sandbox, "/api/snapshots", params, headers={"Accept": "text/csv"}).text)

    assert {None, dict} <= {row["lastTrade"] and type(row["lastTrade"]) for row in rows}
    agree(told, [{name: value for name, value in row.items() if value is not None} for row in rows])


def test_a_book_tells_each_order_in_a_line(sandbox: Sandbox) -> None:
    hour = {"from": "2024-02-05T16:30", "until": "2024-02-05T17:30", "interval": 1, "intervalUnit": "minute"}
    params = {
        **TTF,
        **hour,
        "optionalFields": "venueCode,route",
        "includePrivate": "true",
        "includeEmptyBuckets": "true",
    }
    books = ask(sandbox, "/api/orders/book", params).json(parse_float=Decimal)
    orders = [
        {"timestamp": book["timestamp"], **({"side": name} | order if order else {})}
        for book in books
        for name, order in [
            *(("bid", order) for order in book["bids"]),
            *(("ask", order) for order in book["asks"]),
            *([("", None)] * (not book["bids"] and not book["asks"])),
        ]
    ]
    told = table(ask(sandbox, "/api/orders/book", params, headers={"Accept": "text/csv"}).text)

    assert {True, False} == {"side" in order for order in orders}
    assert any("privateFields" in order for order in orders)
    agree([{**line, "side": line["side"]} for line in told], orders)


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
        ("text/csv;q=0.5, */*", "json"),
        ("text/html", "json"),
    ],
)
def test_the_better_liked_of_the_two_is_sent(sandbox: Sandbox, accept: str, kind: str) -> None:
    assert kind in ask(sandbox, headers={"Accept": accept}).headers["Content-Type"]


def test_what_needs_quoting_is_quoted() -> None:
    columns = (
        PayloadColumn("a,b", ['say "hi"', "x, y", "two\r\nlines"], "text"),
        PayloadColumn("c", ["null", "1.5", "true"]),
    )
    text = Payload.of(columns).csv()

    assert isinstance(text, bytes)
    text = text.decode()
    assert '"a,b",c\r\n"say ""hi""",\r\n"x, y",1.5\r\n"two\r\nlines",true\r\n' == text
    assert ['say "hi"', "x, y", "two\r\nlines"] == [row["a,b"] for row in table(text)]


def test_a_shuffled_server_shuffles_both_alike() -> None:
    with Sandbox(limits=False, order="shuffled") as odd:
        rows = [row["tradeId"] for row in ask(odd).json()]
        told = [row["tradeId"] for row in table(ask(odd, headers={"Accept": "text/csv"}).text)]

        assert rows == told
        assert rows != sorted(rows)
