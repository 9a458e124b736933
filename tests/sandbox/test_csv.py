"""CSV has the same values as JSON, and is sent only to clients that prefer it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from support.api import TRADES, TTF, nanoseconds, send

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


def is_equal(cell: str, value: Any) -> bool:
    """Return True if a cell has the value of a field in JSON."""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", cell):
        return bool(nanoseconds(cell.removesuffix("Z")) == value)
    if value is None or isinstance(value, bool):
        return cell == ("" if value is None else str(value).lower())
    return cell == value if isinstance(value, str) else Decimal(cell) == value


@pytest.mark.parametrize("path", FLAT)
def test_csv_has_the_same_values_as_json(sandbox: Sandbox, path: str) -> None:
    rows = send(sandbox, f"/api{path}", FLAT[path]).json(parse_float=Decimal)
    got = send(sandbox, f"/api{path}", FLAT[path], headers={"Accept": "text/csv"})
    told = table(got.text)

    assert "text/csv; charset=utf-8" == got.headers["Content-Type"]
    assert len(rows) == len(told) > 0
    for row, cells in zip(rows, told, strict=True):
        assert list(row) == list(cells)
        assert all(is_equal(cells[name], row[name]) for name in row)


def test_response_without_rows_is_a_header(sandbox: Sandbox) -> None:
    got = send(sandbox, params={**TRADES, "from": "2024-02-10", "until": "2024-02-11"}, headers={"Accept": "text/csv"})

    assert "tradeId,venueCode,dealDate,price,quantity,aggressorBuy\r\n" == got.text


NESTED: dict[str, dict[str, Any]] = {
    "/trades": {**TRADES, "optionalFields": "contract,routeId", "includePrivate": "true"},
    "/trades/private": {**TRADES, "contractType": None, "sequenceItemId": None},
    "/trades/last": {**TTF, "optionalFields": "contract", "at": "2024-02-05T12:00"},
}


def flatten(row: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Return all values of a row by their paths."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{above}{name}.")
        else:
            yield above + name, value


def check_line(told: list[dict[str, str]], rows: list[dict[str, Any]]) -> None:
    """Check that each line has the values of its row and no others."""
    assert len(rows) == len(told) > 0
    for row, cells in zip(rows, told, strict=True):
        said = dict(flatten(row))
        assert set(said) <= set(cells)
        assert all(is_equal(cell, said.get(name)) for name, cell in cells.items())


@pytest.mark.parametrize("path", NESTED)
def test_nested_fields_have_names_with_dots(sandbox: Sandbox, path: str) -> None:
    rows = send(sandbox, f"/api{path}", NESTED[path]).json(parse_float=Decimal)

    check_line(table(send(sandbox, f"/api{path}", NESTED[path], headers={"Accept": "text/csv"}).text), rows)


def test_each_line_of_a_snapshot_has_its_time(sandbox: Sandbox) -> None:
    params = {**TTF, "sequenceItemId": "244,262,290", "at": "2024-02-05T12:00"}
    said = send(sandbox, "/api/snapshots", params).json(parse_float=Decimal)
    rows = [{"timestamp": said["timestamp"], **row} for row in said["snapshots"]]
    told = table(send(sandbox, "/api/snapshots", params, headers={"Accept": "text/csv"}).text)

    assert {None, dict} <= {row["lastTrade"] and type(row["lastTrade"]) for row in rows}
    check_line(told, [{name: value for name, value in row.items() if value is not None} for row in rows])


def test_each_order_of_a_book_has_a_line(sandbox: Sandbox) -> None:
    hour = {"from": "2024-02-05T16:30", "until": "2024-02-05T17:30", "interval": 1, "intervalUnit": "minute"}
    params = {
        **TTF,
        **hour,
        "optionalFields": "venueCode,route",
        "includePrivate": "true",
        "includeEmptyBuckets": "true",
    }
    books = send(sandbox, "/api/orders/book", params).json(parse_float=Decimal)
    orders = [
        {"timestamp": book["timestamp"], **({"side": name} | order if order else {})}
        for book in books
        for name, order in [
            *(("bid", order) for order in book["bids"]),
            *(("ask", order) for order in book["asks"]),
            *([("", None)] * (not book["bids"] and not book["asks"])),
        ]
    ]
    told = table(send(sandbox, "/api/orders/book", params, headers={"Accept": "text/csv"}).text)

    assert {True, False} == {"side" in order for order in orders}
    assert any("privateFields" in order for order in orders)
    check_line([{**line, "side": line["side"]} for line in told], orders)


def test_reference_data_and_errors_are_always_json(sandbox: Sandbox) -> None:
    csv_please = {"Accept": "text/csv"}
    markets = send(sandbox, "/reference/markets", None, headers=csv_please)
    error = send(sandbox, params={**TRADES, "until": None}, headers=csv_please)

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
def test_accept_header_selects_the_format(sandbox: Sandbox, accept: str, kind: str) -> None:
    assert kind in send(sandbox, headers={"Accept": accept}).headers["Content-Type"]


def test_special_characters_are_quoted() -> None:
    columns = (
        PayloadColumn("a,b", ['say "hi"', "x, y", "two\r\nlines"], "text"),
        PayloadColumn("c", ["null", "1.5", "true"]),
    )
    text = Payload.of(columns).csv()

    assert isinstance(text, bytes)
    text = text.decode()
    assert '"a,b",c\r\n"say ""hi""",\r\n"x, y",1.5\r\n"two\r\nlines",true\r\n' == text
    assert ['say "hi"', "x, y", "two\r\nlines"] == [row["a,b"] for row in table(text)]


def test_switch_order_shuffles_both_formats_alike() -> None:
    with Sandbox(limits=False, order="shuffled") as odd:
        rows = [row["tradeId"] for row in send(odd).json()]
        told = [row["tradeId"] for row in table(send(odd, headers={"Accept": "text/csv"}).text)]

        assert rows == told
        assert rows != sorted(rows)
