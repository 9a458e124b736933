"""JSON read in slices gives the same frame as the naive way, for every cut and for every division into pieces."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport import DecodeError
from trayport.decoding import STRING, MemoryLimits, Naming, Rows, Schema, decode, read
from trayport.decoding.slices import JsonSlicer
from trayport.endpoints import (
    ACTIVITY,
    LAST_TRADE,
    OHLCV,
    ORDER_BOOK,
    PRIVATE_TRADES,
    SNAPSHOTS,
    TOP_OF_BOOK,
    TRADES,
    Column,
    Endpoint,
)

ENDPOINTS = [TRADES, PRIVATE_TRADES, OHLCV, LAST_TRADE, ACTIVITY, TOP_OF_BOOK, ORDER_BOOK, SNAPSHOTS]
SIZES = st.sampled_from([1, 7, 64, 300, 1 << 20])

# --- responses -----------------------------------------------------------------------------------------------

TIMES = st.integers(0, 2**63 - 1)
# Texts that look like the border of an element or of a text.
TEXTS = st.text(max_size=5) | st.sampled_from(['},{"tradeId":"', '"},{"', "}, {", "]}", "\\", '\\"', '},{\\"price\\":'])
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "time": TIMES,
    "moment": TIMES | st.none(),
    "string": TEXTS | st.integers(0, 2**70) | st.none(),
    "float64": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60) | st.none(),
    "boolean": st.booleans() | st.none(),
    "Int64": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "int64": st.integers(0, 2**40),
}
CONTRACT = st.builds(
    lambda item: {"contractType": "SinglePeriod", "sequenceId": 5, "sequenceItemId": item, "later": [{}]},
    st.integers(1, 3),
)


def schema_of(endpoint: Endpoint) -> Schema:
    return Schema(endpoint, endpoint.columns_of("optional"), include_private=bool(endpoint.columns_of("private")))


def cell(column: Column, endpoint: Endpoint) -> st.SearchStrategy[Any]:
    # The price of a candle without a trade is a gap, whichever value the response holds.
    if endpoint.zero_when_empty and column.dtype == "float64":
        return st.floats(0.5, 1e9) | st.integers(1, 2**60)
    return CELLS[column.dtype]


def shares_times(endpoint: Endpoint) -> bool:
    """Return True if rows share the time of an element."""
    return bool(endpoint.row_lists or endpoint.list_field)


@st.composite
def rows(draw: st.DrawFn, schema: Schema, least: int = 0) -> list[dict[str, Any]]:
    """Return objects with keys in any order, some missing, some unknown; the first object has all required keys."""
    found: list[dict[str, Any]] = []
    for number in range(draw(st.integers(least, 6))):
        row: dict[str, Any] = {}
        for column in draw(st.permutations(schema.columns)):
            exact = column.dtype in ("time", "int64") or (schema.endpoint.zero_when_empty and column.dtype == "float64")
            needed = exact or (column.group == "always" and not number)
            if (shares_times(schema.endpoint) and column.dtype == "time") or not (needed or draw(st.booleans())):
                continue
            head, dot, rest = column.wire.partition(".")
            (row.setdefault(head, {}) if dot else row)[rest or head] = draw(cell(column, schema.endpoint))
        if draw(st.booleans()):
            row["unknown"] = [{next(iter(row), "x"): 1}, {next(iter(row), "x"): draw(TEXTS)}]
        found.append(row | ({"contract": draw(CONTRACT)} if schema.endpoint in (TRADES, SNAPSHOTS) else {}))
    return found


@st.composite
def responses(draw: st.DrawFn, endpoint: Endpoint) -> Any:
    schema = schema_of(endpoint)
    if endpoint.list_field:
        return {"timestamp": draw(TIMES), endpoint.list_field: draw(rows(schema))}
    if not endpoint.row_lists:
        return draw(rows(schema))
    # At least one row of a book has each field.
    return [
        {"timestamp": draw(TIMES), **{side: draw(rows(schema, least=1)) for side in endpoint.row_lists}}
        for _ in range(draw(st.integers(0, 4)))
    ]


@st.composite
def texts(draw: st.DrawFn, response: Any) -> bytes:
    """Return the response as JSON, dense or pretty-printed, with or without a BOM."""
    dense: Any = {"separators": (",", ":")}
    layout = draw(st.sampled_from([dense, {}, {"indent": 2}, {"indent": "\t", "separators": (" ,\r\n", " : ")}]))
    text = json.dumps(response, ensure_ascii=draw(st.booleans()), **layout)
    return draw(st.sampled_from(["", "\ufeff"])).encode() + text.encode() + draw(st.sampled_from([b"", b" \n"]))


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def rows_of(text: Iterator[bytes], schema: Schema, naming: Naming, **more: Any) -> Rows:
    return read(text, schema, needs_contract_column=callable(naming), **more)


# --- the naive way -------------------------------------------------------------------------------------------


def naive_frame(text: bytes, schema: Schema) -> pd.DataFrame:
    """Return the frame of a whole response, made with the standard library and pandas only."""
    endpoint, response = schema.endpoint, json.loads(text.decode("utf-8-sig"))
    if endpoint.list_field:
        found = [{**row, "timestamp": response["timestamp"]} for row in response[endpoint.list_field]]
    elif endpoint.row_lists:
        found = [
            {**row, "timestamp": point["timestamp"], "side": side.removesuffix("s"), "level": level}
            for point in response
            for side in endpoint.row_lists
            for level, row in enumerate(point[side], 1)
        ]
    else:
        found = response
    data: dict[str, Any] = {}
    if endpoint.per_contract:
        data["contract"] = pd.array([contract_name(row) for row in found], dtype=STRING)
    if endpoint.row_lists:
        data["side"] = pd.array([row["side"] for row in found], dtype=STRING)
        data["level"] = pd.Series([row["level"] for row in found], dtype="int64").array
    for column in schema.columns:
        if column.group == "private" and "is_private" not in data:
            flat = "." not in column.wire
            data["is_private"] = pd.array([flat or "privateFields" in row for row in found], dtype="boolean")
        data[column.name] = column_of([value_at(row, column.wire) for row in found], column)
    times = [column.name for column in schema.columns if column.dtype == "time"]
    index = pd.DatetimeIndex(data.pop(times[0]), name=times[0]) if times else pd.RangeIndex(len(found))
    return pd.DataFrame(data, index=index)


def contract_name(row: dict[str, Any]) -> str:
    return f"M{row['contract']['sequenceItemId']}" if "contract" in row else "X"


def value_at(row: Any, path: str) -> Any:
    for key in path.split("."):
        row = (row or {}).get(key)
    return row


def column_of(cells: list[Any], column: Column) -> Any:
    if column.dtype in ("time", "moment"):
        moments = [pd.NaT if each is None else pd.Timestamp(each, unit="ns", tz="UTC") for each in cells]
        return pd.array(moments, dtype="datetime64[ns, UTC]")
    if column.dtype == "string":
        return pd.array([None if each in (None, "") else str(each) for each in cells], dtype=STRING)
    if column.dtype == "float64":
        return pd.Series([float("nan") if each is None else float(each) for each in cells], dtype="float64").array
    return pd.array([pd.NA if each is None else each for each in cells], dtype=column.dtype)


# --- equality -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
@given(data=st.data())
def test_slices_of_any_size_give_the_frame_of_the_naive_way(endpoint: Endpoint, data: st.DataObject) -> None:
    schema = schema_of(endpoint)
    text = data.draw(data.draw(responses(endpoint).map(texts)))
    naming: Any = (lambda ids: f"M{ids.item_id}") if endpoint in (TRADES, SNAPSHOTS) else "X"
    size = data.draw(SIZES)
    frame = decode(text, schema, naming, size=size).drop(columns="public_copy", errors="ignore")
    expected = naive_frame(text, schema)

    pd.testing.assert_frame_equal(expected, frame, check_exact=True)
    for column in expected.select_dtypes("float64"):  # -0.0 is equal to 0.0
        assert expected[column].to_numpy().tobytes() == frame[column].to_numpy().tobytes()
    streamed = rows_of(pieces(text, data.draw(SIZES)), schema, naming, size=size).frame(naming)
    pd.testing.assert_frame_equal(frame, streamed.drop(columns="public_copy", errors="ignore"), check_exact=True)


def test_frame_can_be_written_to() -> None:
    frame = decode(last_trades(1), Schema(LAST_TRADE), "X")
    frame.loc[frame.index[0], "price"] = 5.0

    assert [5.0] == frame["price"].tolist()


# --- parts ---------------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.integers(1, 20),
    st.sampled_from([0, 60, 500, math.inf]),
    st.sampled_from([1, 100, 400]),
)
def test_frames_with_limited_rows_add_up_to_the_whole_frame(
    steps: list[int], most: int, cells: float, size: int
) -> None:
    row = {"tradeId": "1", "venueCode": "x", "price": 1, "quantity": 1, "aggressorBuy": True}
    times = list(itertools.accumulate(steps))
    body = [
        {**row, "dealDate": time, "contract": {"contractType": "SinglePeriod", "sequenceId": 1, "sequenceItemId": time}}
        for time in times
    ]
    text, schema = json.dumps(body).encode(), schema_of(TRADES)
    naming: Any = lambda ids: f"M{ids.item_id}"  # noqa: E731
    rows = rows_of(pieces(text, 64), schema, naming, size=size, limits=MemoryLimits(most, cells))
    frames = list(rows.frames(naming))

    pd.testing.assert_frame_equal(decode(text, schema, naming), pd.concat(frames))
    for before, after in itertools.pairwise(frames):
        assert before.index[-1] < after.index[0]
    slice_ = 2 + 2 * size // len(json.dumps(row))
    same = max((times.count(time) for time in times), default=0)
    assert all(len(frame) <= most + slice_ + same for frame in frames)


def test_unordered_rows_come_in_one_frame_from_memory_and_from_disk() -> None:
    text = json.dumps([{"price": 1.5, "dealDate": 100 - number} for number in range(100)]).encode()
    limits = MemoryLimits(frame_rows=10, packed_bytes=100)
    [frame] = rows_of(pieces(text, 64), Schema(LAST_TRADE), "X", size=100, limits=limits).frames("X")

    pd.testing.assert_frame_equal(decode(text, Schema(LAST_TRADE), "X"), frame)


# --- cuts ----------------------------------------------------------------------------------------------------


def last_trades(count: int) -> bytes:
    return json.dumps([{"price": 1.5, "dealDate": number} for number in range(count)]).encode()


@given(st.integers(1, 500), st.integers(1, 400), st.integers(1, 100))
def test_buffer_holds_at_most_two_slices_and_a_piece(count: int, size: int, piece: int) -> None:
    slicer = JsonSlicer(pieces(last_trades(count), piece), size)
    read: list[bytes] = []
    buffered: list[int] = []

    def take(slice_: bytes) -> None:
        read.append(slice_)
        buffered.append(len(slicer.buffer))

    slicer.feed_to(take)

    assert list(range(count)) == [row["dealDate"] for slice_ in read for row in json.loads(slice_)]
    # One element, and the text that shows the beginning of the next.
    longest = len('{"price": 1.5, "dealDate": 500}, {"price":')
    assert max(buffered) <= 4 * max(size, longest) + piece
    assert max(map(len, read)) <= 4 * max(size, longest)


def test_elements_longer_than_a_slice_and_lists_in_elements_are_not_cut() -> None:
    row = {"dealDate": 1, "price": 2, "legs": [{"dealDate": number, "price": "x" * 50} for number in range(50)]}

    assert [2.0] * 20 == decode(json.dumps([row] * 20).encode(), Schema(LAST_TRADE), "X", size=100)["price"].tolist()


# --- refused responses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 100, 5000, 1 << 20])
@pytest.mark.parametrize("number", [0, 1, 27, 59])
@pytest.mark.parametrize(
    "wrong, path",
    [
        ({"price": "1"}, ".price"),
        ({"dealDate": None}, ".dealDate"),
        ({"dealDate": 2**63}, ".dealDate"),
        ({"routeId": 2**63}, ".routeId"),
        ({"contract": {"contractType": 1}}, ".contract.contractType"),
        ({"contract": None}, ".contract"),
        ({"contract": {"contractType": "Strip", "sequenceId": 1, "sequenceItemId": 1}}, ".contract"),
        ({"privateFields": {"initiatorTraderId": True}}, ".privateFields.initiatorTraderId"),
        ({"privateFields": {"initiatorTraderId": 2**64}}, ".privateFields.initiatorTraderId"),
    ],
)  # fmt: skip
def test_error_has_its_place_in_the_whole_response(wrong: dict[str, Any], path: str, number: int, size: int) -> None:
    contract = {"contractType": "SinglePeriod", "sequenceId": 1, "sequenceItemId": 2}
    usual = {"tradeId": "1", "venueCode": "x", "dealDate": 5, "price": 1, "quantity": 1, "aggressorBuy": True,
             "contract": contract}  # fmt: skip
    body = [{**usual, **wrong} if row == number else usual for row in range(60)]
    with pytest.raises(DecodeError) as caught:
        decode(json.dumps(body).encode(), schema_of(TRADES), lambda ids: "X", size=size)

    assert f"$[{number}]{path}" == caught.value.path


@pytest.mark.parametrize("size", [1, 300, 1 << 20])
@pytest.mark.parametrize(
    "wrong, path",
    [
        ({"timestamp": 2**63}, "$[41].timestamp"),
        ({"timestamp": None}, "$[41].timestamp"),
        ({"asks": [{"price": 1, "quantity": 1}, {"price": 1, "quantity": "1"}]}, "$[41].asks[1].quantity"),
        ({"asks": [{"price": 1, "quantity": 1}, {"price": 1, "quantity": 1, "routeId": 2**63}]},
         "$[41].asks[1].routeId"),
        ({"bids": [{"price": 1, "quantity": 1, "privateFields": {"ownerUserId": 2**63}}]},
         "$[41].bids[0].privateFields.ownerUserId"),
    ],
)  # fmt: skip
def test_error_in_an_order_has_its_place_in_the_whole_response(wrong: dict[str, Any], path: str, size: int) -> None:
    usual = {"timestamp": 5, "bids": [{"price": 1, "quantity": 1}] * 3, "asks": [{"price": 1, "quantity": 1}] * 2}
    body = [{**usual, **wrong} if point == 41 else usual for point in range(60)]
    with pytest.raises(DecodeError) as caught:
        decode(json.dumps(body).encode(), schema_of(ORDER_BOOK), "X", size=size)

    assert path == caught.value.path


def test_errors_in_the_time_and_the_rows_of_snapshots_have_their_places() -> None:
    contract = {"contractType": "SinglePeriod", "sequenceId": 1, "sequenceItemId": 2}
    late = {"contract": contract, "lastTrade": {"price": 1, "dealDate": 2**63}}
    for body, path in (
        ({"timestamp": 2**63, "snapshots": []}, "$.timestamp"),
        ({"timestamp": 1, "snapshots": [{"contract": contract}, late]}, "$.snapshots[1].lastTrade.dealDate"),
    ):
        with pytest.raises(DecodeError) as caught:
            decode(json.dumps(body).encode(), Schema(SNAPSHOTS), lambda ids: "X")

        assert path == caught.value.path


@pytest.mark.parametrize("size", [1, 50, 1 << 20])
def test_truncated_response_is_refused_at_every_length(size: int) -> None:
    whole = last_trades(9)
    for end in range(1, len(whole)):
        with pytest.raises(DecodeError) as caught:
            decode(whole[:end], Schema(LAST_TRADE), "X", size=size)

        assert "$" == caught.value.path


@pytest.mark.parametrize("size", [1, 50, 1 << 20])
@pytest.mark.parametrize("more", [b"x", b"[]", b',{"price":1,"dealDate":1}]', b"]", b"\x00", last_trades(3)])
def test_text_after_the_response_is_refused(more: bytes, size: int) -> None:
    with pytest.raises(DecodeError, match="trailing characters"):
        decode(last_trades(30) + more, Schema(LAST_TRADE), "X", size=size)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("size", [1, 50, 1000, 1 << 20])
@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"1.", b"'1'", b""])
def test_malformed_json_is_refused_with_its_byte(word: bytes, size: int, bom: bytes) -> None:
    text = bom + last_trades(30).replace(b'1.5, "dealDate": 17', b'%b, "dealDate": 17' % word)
    with pytest.raises(DecodeError, match="malformed") as caught:
        decode(text, Schema(LAST_TRADE), "X", size=size)

    assert "$" == caught.value.path
    [byte] = re.findall(r"\(byte (\d+)\)", caught.value.detail)
    place = text.index(word + b', "dealDate": 17')
    assert place <= int(byte) <= place + len(word) + 1


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_object_instead_of_a_list_is_refused(size: int) -> None:
    rows = json.loads(last_trades(30))
    for body in ({"trades": rows}, {"dealDate": 1, "price": 2, "more": rows}, {"title": "x"}):
        with pytest.raises(DecodeError, match="Expected `array`, got `object`") as caught:
            decode(json.dumps(body).encode(), Schema(LAST_TRADE), "X", size=size)

        assert "$" == caught.value.path


def test_field_that_only_the_last_row_has_is_a_gap_in_all_others() -> None:
    body = [*({"dealDate": number} for number in range(50)), {"dealDate": 50, "price": 1}]
    frame = decode(json.dumps(body).encode(), Schema(LAST_TRADE), "X", size=1)

    assert 50 == frame["price"].isna().sum()
    with pytest.raises(DecodeError, match="no row has the field `price`"):
        decode(json.dumps(body[:-1]).encode(), Schema(LAST_TRADE), "X", size=1)


@pytest.mark.parametrize("size", [1, 4, 1 << 20])
def test_csv_and_empty_bodies_may_arrive_in_pieces(size: int) -> None:
    table = b"\xef\xbb\xbf\r\ndealDate,price\r\n1,2\r\n".replace(b"\r\n", b"", 1)
    body = decode(table, Schema(LAST_TRADE), "X")

    pd.testing.assert_frame_equal(body, rows_of(pieces(table, size), Schema(LAST_TRADE), "X").frame("X"))
    for blank in (b"", b" ", b"\xef\xbb\xbf"):
        with pytest.raises(DecodeError):
            rows_of(pieces(blank, size), Schema(LAST_TRADE), "X")


FORKED = """
import os, sys
import pyarrow as pa
from trayport import QueryError
from trayport.decoding import MemoryLimits, Schema, read
from trayport.endpoints import LAST_TRADE

text = b"[" + b",".join(b'{"price":1.5,"dealDate":%d}' % number for number in range(500)) + b"]"

def forking():
    for at in range(0, len(text), 100):
        if at == 5000 and os.fork() == 0:
            sys.exit()  # as a child does that leaves the parent's responses alone
        yield text[at : at + 100]

rows = read(forking(), Schema(LAST_TRADE), needs_contract_column=False, limits=MemoryLimits(50, 0), size=500)
frames = rows.frames("X")
count = len(next(frames))
child = os.fork()
if child == 0:
    try:
        next(frames)
    except QueryError as error:
        print(error, flush=True)
    sys.exit()
os.waitpid(child, 0)
print(count + sum(map(len, frames)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on Windows")
def test_forked_child_does_not_change_rows_that_wait_on_disk() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)

    message = "a stream cannot continue in a forked process; run the query in the child process"
    assert [message, "500"] == done.stdout.splitlines(), done.stderr


FULL = """
import resource
from trayport.decoding import MemoryLimits, Schema, read
from trayport.endpoints import LAST_TRADE

resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
text = b"[" + b",".join(b'{"price":1.5,"dealDate":%d}' % number for number in range(5000)) + b"]"
try:
    read([text], Schema(LAST_TRADE), needs_contract_column=False, limits=MemoryLimits(50, 0), size=500)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no limit for the size of files")
def test_full_disk_is_an_error_with_the_folder_and_the_purpose_of_the_file() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, timeout=60)

    assert "rows of a long response are kept in a temporary file here; free some space, or set TMPDIR" in done.stdout
    assert tempfile.gettempdir() in done.stdout
    assert "" == done.stderr
