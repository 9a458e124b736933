"""CSV responses: the same frames as JSON, for every order and case of the columns; errors with line and column."""

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
from trayport.decoding import Schema, decode, empty, read
from trayport.endpoints import ACTIVITY, LAST_TRADE, OHLCV, PRIVATE_TRADES, TOP_OF_BOOK, TRADES, Column, Endpoint

FLAT = [TRADES, PRIVATE_TRADES, OHLCV, LAST_TRADE, ACTIVITY, TOP_OF_BOOK]
NANOSECONDS = st.integers(1_400_000_000 * 10**9, 1_800_000_000 * 10**9)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "time": NANOSECONDS,
    "moment": NANOSECONDS | st.none(),
    "string": st.text("aZ09,;\"' /-\u00e9\r\n", max_size=9) | st.none(),
    "float64": st.floats(-1e9, 1e9) | st.integers(-1000, 1000) | st.none(),
    "boolean": st.booleans() | st.none(),
    "Int64": st.integers(0, 2**62) | st.none(),
    "int64": st.integers(0, 2**40),
}


def schema_of(endpoint: Endpoint) -> Schema:
    return Schema(endpoint, endpoint.columns_of("optional"), include_private=endpoint is PRIVATE_TRADES)


def csv_cell(cell: Any, column: Column, time_format: str) -> str:
    if cell is None:
        return ""
    if column.dtype in ("time", "moment"):
        time = pd.Timestamp(cell, tz=None if time_format == "without offset" else "UTC")
        return str(cell) if time_format == "integer" else time.isoformat()
    return str(cell).lower() if isinstance(cell, bool) else repr(cell) if isinstance(cell, float) else str(cell)


def table(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("endpoint", FLAT, ids=lambda endpoint: endpoint.name)
@given(data=st.data())
def test_csv_and_json_of_the_same_rows_give_the_same_frame(endpoint: Endpoint, data: st.DataObject) -> None:
    schema = schema_of(endpoint)
    rows = data.draw(st.lists(st.tuples(*(CELLS[column.dtype] for column in schema.columns)), max_size=5))
    places = data.draw(st.permutations(range(len(schema.columns))))
    change_case = data.draw(st.sampled_from([str.lower, str.upper, str]))
    time_format = data.draw(st.sampled_from(["offset", "without offset", "integer"]))
    header = [change_case(schema.columns[place].wire) for place in places]
    cells = [[csv_cell(row[place], schema.columns[place], time_format) for place in places] for row in rows]
    objects = [{column.wire: cell for column, cell in zip(schema.columns, row, strict=True)} for row in rows]

    expected = decode(json.dumps(objects).encode(), schema, "X")
    pd.testing.assert_frame_equal(expected, decode(table([header, *cells]), schema, "X"))


@pytest.mark.parametrize("line_end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("endpoint", FLAT, ids=lambda endpoint: endpoint.name)
def test_header_without_rows_is_an_empty_frame(endpoint: Endpoint, line_end: str) -> None:
    schema = schema_of(endpoint)
    header = ",".join(column.wire for column in schema.columns) + line_end

    pd.testing.assert_frame_equal(empty(schema), decode(header.encode(), schema, "X"))


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("endpoint", FLAT, ids=lambda endpoint: endpoint.name)
def test_empty_body_has_no_rows_if_csv_was_requested(endpoint: Endpoint, body: bytes) -> None:
    schema = schema_of(endpoint)
    rows = read([body], schema, needs_contract_column=False, empty_is_valid=True)

    pd.testing.assert_frame_equal(empty(schema), rows.frame("X"))
    with pytest.raises(DecodeError):
        read([body], schema, needs_contract_column=False)


# --- text and gaps -------------------------------------------------------------------------------------------

TRADE = {"dealDate": 1, "tradeId": "x", "venueCode": "ICE", "price": 1, "quantity": 1, "aggressorBuy": True}


def trade_csv(**changes: str) -> bytes:
    cells = {name: str(cell) for name, cell in TRADE.items()} | changes
    return f"{','.join(cells)}\n{','.join(cells.values())}\n".encode()


@pytest.mark.parametrize("cell", ["", '""'])
def test_empty_text_is_a_gap_in_both_formats(cell: str) -> None:
    from_csv = decode(trade_csv(venueCode=cell), Schema(TRADES), "X")
    from_json = decode(json.dumps([{**TRADE, "venueCode": ""}]).encode(), Schema(TRADES), "X")

    assert [True] == from_csv["venue_code"].isna().tolist()
    pd.testing.assert_frame_equal(from_json, from_csv)


@pytest.mark.parametrize("text", [" x", "x ", " ", "NA", "null", "nan", "N/A", "1"])
def test_text_is_unchanged_in_both_formats(text: str) -> None:
    from_csv = decode(trade_csv(tradeId=text), Schema(TRADES), "X")
    from_json = decode(json.dumps([{**TRADE, "tradeId": text}]).encode(), Schema(TRADES), "X")

    assert [text] == from_csv["trade_id"].tolist()
    pd.testing.assert_frame_equal(from_json, from_csv)


# --- cells ---------------------------------------------------------------------------------------------------

LAST = b"dealDate,price\r\n"


@pytest.mark.parametrize(
    "time", ["2024-02-05T09:00:00.123456789Z", "2024-02-05T10:00:00.123456789+01:00", "1707123600123456789",
             "2024-02-05T09:00:00.123456789"]
)  # fmt: skip
def test_times_are_exact_in_every_format(time: str) -> None:
    frame = decode(LAST + f"{time},1\r\n".encode(), Schema(LAST_TRADE), "X")

    assert [1707123600123456789] == pd.DatetimeIndex(frame.index).asi8.tolist()


@pytest.mark.parametrize("body", [b"[]", b'[{"dealDate":1,"price":2}]'])
def test_json_in_reply_to_a_request_for_csv_is_read_as_json(body: bytes) -> None:
    assert body.count(b"dealDate") == len(decode(body, Schema(LAST_TRADE), "X"))


@pytest.mark.parametrize("cell, expected", [("true", True), ("FALSE", False), ("1", True), ("0", False), ("", None)])
def test_flags_are_words_or_digits(cell: str, expected: bool | None) -> None:
    [found] = decode(trade_csv(aggressorBuy=cell), Schema(TRADES), "X")["aggressor_buy"].tolist()

    assert expected == (None if pd.isna(found) else found)


@pytest.mark.parametrize("cell", ["2", "-1", "yes", "1.0", " true"])
def test_other_flags_are_refused(cell: str) -> None:
    with pytest.raises(DecodeError, match=f"line 2, aggressorBuy: '{cell}' is not true or false"):
        decode(trade_csv(aggressorBuy=cell), Schema(TRADES), "X")


@pytest.mark.parametrize(
    "cell", [" 1", "1 ", "\t1", "inf", "-Infinity", "NaN", "null", "NA", "1e999", "1,5", "0x10", "1_0"]
)
def test_padded_infinite_and_missing_numbers_in_words_are_refused(cell: str) -> None:
    with pytest.raises(DecodeError, match="line 2, price: .* is not a number"):
        decode(table([["dealDate", "price"], ["1", cell]]), Schema(LAST_TRADE), "X")


@pytest.mark.parametrize("cell", [" 1", "1 ", "0x10", "1.0", "1e3", str(2**63), "many"])
def test_ids_and_counts_are_plain_whole_numbers(cell: str) -> None:
    row = {column.wire: "x" if column.dtype == "string" else "1" for column in Schema(ACTIVITY).columns}
    for name in ("sequenceId", "count"):
        with pytest.raises(DecodeError, match=f"line 2, {name}: .* is not a whole number"):
            decode(table([list(row), list({**row, name: cell}.values())]), Schema(ACTIVITY), "X")


@pytest.mark.parametrize(
    "cell", ["soon", "NaT", "2024-02-05T09:00:00.1234567891Z", "2300-01-01", "0001-01-01T00:00:00Z", " 2024-02-05"]
)
def test_other_times_are_refused(cell: str) -> None:
    with pytest.raises(DecodeError, match="line 2, dealDate: .* is not a time"):
        decode(LAST + f"{cell},1\r\n".encode(), Schema(LAST_TRADE), "X")


def test_all_times_of_a_column_have_one_format() -> None:
    with pytest.raises(DecodeError, match="line 4, dealDate: '3' is not a time .* in the format of the rows above"):
        decode(LAST + b"2024-02-05,1\r\n2024-02-06,1\r\n3,1\r\n2024-02-07,1\r\n", Schema(LAST_TRADE), "X")


# --- columns and lines ---------------------------------------------------------------------------------------


def test_unknown_columns_are_left_out_with_one_warning() -> None:
    body = b"\xef\xbb\xbfprice,colour,dealDate,shape\n1,red,1,round\n2,blue,2,square\n"
    with pytest.warns(TrayportWarning, match="are left out: colour, shape") as caught:
        frame = decode(body, Schema(LAST_TRADE), "X")

    assert (1, ["contract", "price"], [1.0, 2.0]) == (len(caught), list(frame), frame["price"].tolist())


@pytest.mark.parametrize(
    "body, path",
    [
        (b"price\n1\n", "line 1"),
        (b"dealDate,price,Price\n1,1,1\n", "line 1"),
        (LAST + b"2024-02-05,1,2\r\n", "line 2"),
        (LAST + b"2024-02-05,1\r\n2024-02-05\r\n", "line 3"),
        (LAST + b"2024-02-05,1\r\n,1\r\n", "line 3, dealDate"),
        (LAST + b"2024-02-05,1\r\n\r\n2024-02-05,1\r\n", "line 3, dealDate"),
        (LAST + b"soon,1\r\n", "line 2, dealDate"),
        (LAST + b"NaT,1\r\n", "line 2, dealDate"),
        (LAST + b"2024-02-05,nan\r\n", "line 2, price"),
        (LAST + b"2024-02-05,1e999\r\n", "line 2, price"),
        (LAST + b'2024-02-05,"1\r\n', "$"),
        (LAST + b'2024-02-05,"1"x\r\n', "$"),
        (LAST + b"2024-02-05,\xff\r\n", "$"),
        (b"\xff\xfe", "$"),
        (b"", "$"),
    ],
)
def test_malformed_table_is_an_error_with_its_place(body: bytes, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body, Schema(LAST_TRADE), "X")

    assert path == caught.value.path


@pytest.mark.parametrize("row", [0, 1, 2047, 99_998, 99_999])
@pytest.mark.parametrize(
    "wrong, path", [("2,x", "line {}, price"), ("2", "line {}"), ("2,1,1", "line {}"), (",1", "line {}, dealDate")]
)
def test_error_in_a_long_table_has_its_line(wrong: str, path: str, row: int) -> None:
    lines = ["1707123600123456789,31.475"] * 100_000
    lines[row] = wrong
    with pytest.raises(DecodeError) as caught:
        decode(LAST + "\r\n".join(lines).encode(), Schema(LAST_TRADE), "X")

    assert path.format(row + 2) == caught.value.path


def test_text_with_a_line_break_is_one_line() -> None:
    body = table([[*TRADE], ["1", "x\r\ny", "ICE", "1", "1", "true"], ["1", "z", "ICE", "one", "1", "true"]])
    with pytest.raises(DecodeError) as caught:
        decode(body, Schema(TRADES), "X")

    assert "line 3, price" == caught.value.path
