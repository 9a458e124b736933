"""CSV answers: the same frames as JSON, whatever the order and the case of the columns."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport import DecodeError, TrayportWarning
from trayport.decoding import Schema, decode, empty
from trayport.endpoints import ACTIVITY, LAST_TRADE, OHLCV, PRIVATE_TRADES, TOP_OF_BOOK, TRADES, Column, Endpoint

FLAT = [TRADES, PRIVATE_TRADES, OHLCV, LAST_TRADE, ACTIVITY, TOP_OF_BOOK]
NANOSECONDS = st.integers(1_400_000_000 * 10**9, 1_800_000_000 * 10**9)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "time": NANOSECONDS,
    "moment": NANOSECONDS | st.none(),
    "string": st.text("aZ09,;\"' /-\u00e9", min_size=1, max_size=9).map(str.strip).filter(bool) | st.none(),
    "float64": st.floats(-1e9, 1e9) | st.integers(-1000, 1000) | st.none(),
    "boolean": st.booleans() | st.none(),
    "Int64": st.integers(0, 2**62) | st.none(),
    "int64": st.integers(0, 2**40),
}


def schema(endpoint: Endpoint) -> Schema:
    return Schema(endpoint, endpoint.columns_of("optional"), include_private=endpoint is PRIVATE_TRADES)


def text(cell: Any, column: Column) -> str:
    if cell is None:
        return ""
    if column.dtype in ("time", "moment"):
        return f"{pd.Timestamp(cell, tz='UTC').isoformat()}"
    return str(cell).lower() if isinstance(cell, bool) else repr(cell) if isinstance(cell, float) else str(cell)


def table(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("endpoint", FLAT, ids=lambda endpoint: endpoint.name)
@given(data=st.data())
def test_csv_reads_as_the_frame_that_json_reads_as(endpoint: Endpoint, data: st.DataObject) -> None:
    shape = schema(endpoint)
    rows = data.draw(st.lists(st.tuples(*(CELLS[column.dtype] for column in shape.columns)), max_size=5))
    places = data.draw(st.permutations(range(len(shape.columns))))
    turn = data.draw(st.sampled_from([str.lower, str.upper, str]))
    header = [turn(shape.columns[place].wire) for place in places]
    cells = [[text(row[place], shape.columns[place]) for place in places] for row in rows]
    objects = [{column.wire: cell for column, cell in zip(shape.columns, row, strict=True)} for row in rows]

    expected = decode(json.dumps(objects).encode(), shape, "X")
    pd.testing.assert_frame_equal(expected, decode(table([header, *cells]), shape, "X"))


@pytest.mark.parametrize("endpoint", FLAT, ids=lambda endpoint: endpoint.name)
def test_a_header_alone_is_an_empty_frame(endpoint: Endpoint) -> None:
    shape = schema(endpoint)
    header = table([[column.wire for column in shape.columns]])

    pd.testing.assert_frame_equal(empty(shape), decode(header, shape, "X"))


LAST = b"dealDate,price\r\n"


@pytest.mark.parametrize(
    "time", ["2024-02-05T09:00:00.123456789Z", "2024-02-05T10:00:00.123456789+01:00", "1707123600123456789",
             "2024-02-05T09:00:00.123456789"]
)  # fmt: skip
def test_times_are_exact_in_every_way_to_write_them(time: str) -> None:
    frame = decode(LAST + f"{time},1\r\n".encode(), Schema(LAST_TRADE), "X")

    assert [1707123600123456789] == pd.DatetimeIndex(frame.index).asi8.tolist()


@pytest.mark.parametrize("body", [b"[]", b'[{"dealDate":1,"price":2}]'])
def test_a_server_that_answers_json_all_the_same_is_understood(body: bytes) -> None:
    assert body.count(b"dealDate") == len(decode(body, Schema(LAST_TRADE), "X"))


@pytest.mark.parametrize("cell, expected", [("true", True), ("FALSE", False), ("1", True), ("0", False), ("", None)])
def test_yes_and_no_are_read(cell: str, expected: bool | None) -> None:
    [found] = decode(flagged(cell), Schema(TRADES), "X")["aggressor_buy"].tolist()

    assert expected == (None if pd.isna(found) else found)


@pytest.mark.parametrize("cell", ["2", "-1", "yes", "1.0"])
def test_nothing_else_is_taken_for_yes_or_no(cell: str) -> None:
    with pytest.raises(DecodeError, match=f"line 2, aggressorBuy: '{cell}' is not true or false"):
        decode(flagged(cell), Schema(TRADES), "X")


def flagged(cell: str) -> bytes:
    return f"tradeId,venueCode,dealDate,price,quantity,aggressorBuy\nx,ICE,1,1,1,{cell}\n".encode()


def test_an_unknown_column_is_kept_out_and_told_once() -> None:
    body = b"\xef\xbb\xbfprice,colour,dealDate,shape\n1,red,1,round\n2,blue,2,square\n"
    with pytest.warns(TrayportWarning, match="are left out: colour, shape") as told:
        frame = decode(body, Schema(LAST_TRADE), "X")

    assert (1, ["contract", "price"], [1.0, 2.0]) == (len(told), list(frame), frame["price"].tolist())


@pytest.mark.parametrize(
    "body, path",
    [
        (b"price\n1\n", "line 1"),
        (LAST + b"2024-02-05,1,2\r\n", "line 2"),
        (LAST + b"2024-02-05,1\r\n,1\r\n", "line 3, dealDate"),
        (LAST + b"soon,1\r\n", "line 2, dealDate"),
        (LAST + b"NaT,1\r\n", "line 2, dealDate"),
        (LAST + b"2024-02-05,nan\r\n", "line 2, price"),
        (LAST + b"2024-02-05,1e999\r\n", "line 2, price"),
        (LAST + b'2024-02-05,"1\r\n', "$"),
        (b"\xff\xfe", "$"),
        (b"", "$"),
    ],
)
def test_what_is_no_such_table_is_an_error_with_its_place(body: bytes, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body, Schema(LAST_TRADE), "X")

    assert path == caught.value.path
