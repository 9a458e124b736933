"""JSON responses become frames with exact values and fixed columns; anything else is an error with its place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayport import ContractError, DecodeError
from trayport.decoding import ContractIds, Schema, decode, empty, join
from trayport.endpoints import ACTIVITY, OHLCV, ORDER_BOOK, SNAPSHOTS, TRADES

PLAIN = Schema(TRADES)
FULL = Schema(TRADES, TRADES.columns_of("optional"), include_private=True, tz="Europe/Amsterdam")
ALWAYS = {
    "contract": "string",
    "trade_id": "string",
    "venue_code": "string",
    "price": "float64",
    "quantity": "float64",
    "aggressor_buy": "boolean",
}


def trade(**changes: Any) -> dict[str, Any]:
    usual = {
        "tradeId": "12345678",
        "venueCode": "BRO1",
        "dealDate": 1677661222627634001,
        "price": 47.35,
        "quantity": 5,
        "aggressorBuy": True,
    }
    return {**usual, **changes}


def read(rows: Any, schema: Schema = PLAIN, naming: Any = "TTF* Apr-23") -> pd.DataFrame:
    return decode(json.dumps(rows).encode(), schema, naming)


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize("rows", [[], [trade()], [trade()] * 50], ids=["none", "one", "fifty"])
def test_columns_and_dtypes_do_not_depend_on_the_rows(rows: list[Any]) -> None:
    frame = read(rows)

    assert ALWAYS == dtypes(frame)
    assert ("timestamp", "datetime64[ns, UTC]", len(rows)) == (frame.index.name, str(frame.index.dtype), len(frame))


@pytest.mark.parametrize("rows", [[], [trade()], [trade(privateFields={})]], ids=["none", "public", "own"])
def test_fields_and_private_columns_follow_in_a_fixed_order(rows: list[Any]) -> None:
    frame = read(rows, FULL)
    party = {"company_id": "Int64", "trader_company_name": "string", "trader_id": "Int64", "trader_name": "string",
             "derivative_indicator": "boolean"}  # fmt: skip

    assert {
        **ALWAYS,
        "from_broken_spread": "boolean",
        "initiator_owned_spread": "boolean",
        "aggressor_owned_spread": "boolean",
        "aggressor_sleeve": "boolean",
        "initiator_sleeve": "boolean",
        "route": "string",
        "route_id": "Int64",
        "is_private": "boolean",
        "public_copy": "boolean",
        **{f"aggressor_{name}": dtype for name, dtype in party.items()},
        **{f"initiator_{name}": dtype for name, dtype in party.items()},
        "product_classification": "string",
    } == dtypes(frame)
    assert "datetime64[ns, Europe/Amsterdam]" == str(frame.index.dtype)
    assert dtypes(empty(FULL)) == dtypes(frame)
    assert list(empty(FULL).columns) == list(frame.columns)


def test_text_columns_have_one_dtype_on_every_version_of_pandas() -> None:
    frame = read([trade()])

    assert pd.StringDtype("pyarrow") == frame["trade_id"].dtype == empty(PLAIN)["trade_id"].dtype
    assert "string" == frame["trade_id"].dtype


def test_nanoseconds_are_exact() -> None:
    # A float of this size can only hold every 256th nanosecond.
    assert 1677661222627634001 == read([trade()]).index.asi8[0]  # type: ignore[attr-defined]


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text())))
def test_every_bit_of_a_value_is_kept(cells: list[tuple[int, float, str]]) -> None:
    frame = read([trade(dealDate=time, price=price, tradeId=text) for time, price, text in cells])

    assert [time for time, _, _ in cells] == frame.index.asi8.tolist()  # type: ignore[attr-defined]
    assert [np.float64(price).tobytes() for _, price, _ in cells] == [
        value.tobytes() for value in frame["price"].to_numpy()
    ]
    assert [text or None for _, _, text in cells] == frame["trade_id"].astype(object).replace({pd.NA: None}).tolist()


@pytest.mark.parametrize(
    "change, column, expected",
    [
        ({"price": 47}, "price", 47.0),
        ({"price": -0.125}, "price", -0.125),
        ({"tradeId": 12345678901234567890}, "trade_id", "12345678901234567890"),
        ({"unknown": {"a": [1]}}, "price", 47.35),
    ],
)
def test_harmless_differences_are_accepted(change: dict[str, Any], column: str, expected: object) -> None:
    assert [expected] == read([trade(**change)])[column].tolist()


@pytest.mark.parametrize(
    "column, wire", [("price", "price"), ("trade_id", "tradeId"), ("aggressor_buy", "aggressorBuy")]
)
@pytest.mark.parametrize("missing", [True, False], ids=["missing", "null"])
def test_missing_cell_is_a_gap(column: str, wire: str, missing: bool) -> None:
    row = trade(**{wire: None})
    if missing:
        del row[wire]
    frame = read([trade(), row])

    assert [False, True] == frame[column].isna().tolist()
    assert ALWAYS == dtypes(frame)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_white_space_key_order_and_bom_make_no_difference(indent: int | None, bom: bytes) -> None:
    row = dict(reversed(trade().items()))
    payload = bom + json.dumps([row, row], indent=indent).encode() + b"\n"

    pd.testing.assert_frame_equal(read([trade(), trade()]), decode(payload, PLAIN, "TTF* Apr-23"))


@pytest.mark.parametrize(
    "payload, path",
    [
        (b"{}", "$"),
        (b'{"title":"x"}', "$"),
        (b'[{"dealDate":1', "$"),
        (b"<html>", "$"),
        (b"", "$"),
        (b'[{"dealDate":1,"price":NaN}]', "$"),
        (b'[{"dealDate":1,"tradeId":"\xff"}]', "$"),
        (b'[{"dealDate":1},{"dealDate":1.5}]', "$[1].dealDate"),
        (b'[{"dealDate":"2023-01-01"}]', "$[0].dealDate"),
        (b'[{"dealDate":null}]', "$[0].dealDate"),
        (b'[{"price":1}]', "$[0]"),
        (b'[{"dealDate":1,"price":"1"}]', "$[0].price"),
        (b'[{"dealDate":1,"aggressorBuy":1}]', "$[0].aggressorBuy"),
        (json.dumps([trade(), trade(dealDate=2**63)]).encode(), "$[1].dealDate"),
        (b"[3]", "$[0]"),
    ],
)
def test_unexpected_response_is_an_error_with_its_place(payload: bytes, path: str) -> None:
    with pytest.raises(DecodeError, match="^trades: cannot read the response at") as caught:
        decode(payload, PLAIN, "TTF* Apr-23")

    assert path == caught.value.path


@pytest.mark.parametrize("wire", ["tradeId", "venueCode", "price", "quantity", "aggressorBuy"])
def test_column_that_no_row_has_is_an_error(wire: str) -> None:
    rows = [{name: cell for name, cell in trade().items() if name != wire}] * 3

    with pytest.raises(DecodeError, match=f"no row has the field `{wire}`"):
        read(rows)


def test_id_beyond_64_bits_is_an_error_with_its_place() -> None:
    with pytest.raises(DecodeError, match="does not fit 64 bits") as caught:
        read([trade(routeId=1), trade(routeId=2**64)], FULL)

    assert "$[1].routeId" == caught.value.path


class TestContracts:
    """Naming rows by their contract objects."""

    @staticmethod
    def contract(item: int, **changes: Any) -> dict[str, Any]:
        usual = {
            "contractType": "SinglePeriod",
            "marketId": 10000065,
            "instrumentId": None,
            "sequenceId": 10000305,
            "sequenceItemId": item,
            "secondSequenceItemId": None,
        }
        return {**usual, **changes}

    def test_rows_are_named_by_their_ids_and_equal_ids_are_named_once(self) -> None:
        seen: list[ContractIds] = []

        def name(ids: ContractIds) -> str:
            seen.append(ids)
            return f"M{ids.item_id}"

        frame = read([trade(contract=self.contract(item)) for item in (232, 233, 232)], naming=name)

        assert ["M232", "M233", "M232"] == frame["contract"].tolist()
        assert [ContractIds(10000305, item, None, "single", 10000065) for item in (232, 233)] == seen

    def test_both_spellings_of_spread_are_read(self) -> None:
        rows = [trade(contract=self.contract(1, contractType=kind, secondSequenceItemId=2))
                for kind in ("Spread", "PeriodSpread")]  # fmt: skip

        assert ["spread 2"] * 2 == read(rows, naming=lambda ids: f"{ids.kind} {ids.second_item_id}")[
            "contract"
        ].tolist()

    def test_response_without_rows_needs_no_names(self) -> None:
        assert ALWAYS == dtypes(read([], naming=lambda ids: "unused"))

    @pytest.mark.parametrize(
        "row, path",
        [(trade(), "$[1]"), (trade(contract=None), "$[1].contract"), (trade(contract={}), "$[1].contract"),
         (trade(contract={"contractType": "Strip", "sequenceId": 1, "sequenceItemId": 2}), "$[1].contract")],
        ids=["missing", "null", "empty", "unknown-type"],
    )  # fmt: skip
    def test_row_without_contract_ids_is_an_error(self, row: dict[str, Any], path: str) -> None:
        with pytest.raises(DecodeError) as caught:
            read([trade(contract=self.contract(232)), row], naming=lambda ids: "M")

        assert path == caught.value.path

    def test_contract_that_is_refused_is_an_error_with_its_row(self) -> None:
        def refuse(ids: ContractIds) -> str:
            raise ContractError("not asked for")

        with pytest.raises(DecodeError, match="not asked for") as caught:
            read([trade(contract=self.contract(232))], naming=refuse)

        assert "$[0].contract" == caught.value.path


PRIVATE = {
    "aggressorCompanyId": 123,
    "initiatorCompanyId": 0,
    "initiatorTraderName": "",
    "productClassification": "RmMifid",
}


class TestOwnTrades:
    """Own trades and their public copies."""

    def copies(self, *rows: dict[str, Any]) -> list[tuple[bool, bool]]:
        frame = read(list(rows), Schema(TRADES, include_private=True))
        return list(zip(frame["is_private"].tolist(), frame["public_copy"].tolist(), strict=True))

    def own(self, **changes: Any) -> dict[str, Any]:
        return trade(venueCode="EEX7", privateFields=PRIVATE, **changes)

    def public(self, **changes: Any) -> dict[str, Any]:
        return trade(venueCode="EEX7", **changes)

    def test_private_fields_become_columns_and_unknown_parties_are_gaps(self) -> None:
        frame = read([self.own(), self.public(tradeId="other", price=1)], Schema(TRADES, include_private=True))

        assert [123, 0] == [frame["aggressor_company_id"].iloc[0], frame["initiator_company_id"].iloc[0]]
        assert (True, "RmMifid") == (
            frame["initiator_trader_name"].isna().iloc[0],
            frame["product_classification"].iloc[0],
        )
        assert frame.filter(regex="^(aggressor|initiator)_(company|trader)").iloc[1].isna().all()

    def test_public_copy_is_marked_on_venues_with_a_separate_private_feed(self) -> None:
        assert [(True, False), (False, True)] == self.copies(self.own(tradeId="1"), self.public(tradeId="1 Public"))

    def test_public_copy_may_precede_the_own_trade(self) -> None:
        assert [(False, True), (True, False)] == self.copies(self.public(tradeId="1 Public"), self.own(tradeId="1"))

    def test_nothing_is_marked_on_other_venues(self) -> None:
        rows = trade(tradeId="1", privateFields=PRIVATE), trade(tradeId="1")

        assert [(True, False), (False, False)] == self.copies(*rows)

    @pytest.mark.parametrize("change", [{"price": 1.0}, {"quantity": 1.0}, {"dealDate": 5}, {"venueCode": "ICE"}])
    def test_trade_that_differs_is_not_a_copy(self, change: dict[str, Any]) -> None:
        assert [(True, False), (False, False)] == self.copies(self.own(), {**self.public(), **change})

    def test_ids_select_the_copy_among_equal_trades(self) -> None:
        rows = [self.public(tradeId="7 Public"), self.own(tradeId="8"), self.public(tradeId="8 Public"),
                self.public(tradeId="9 Public")]  # fmt: skip

        assert [(False, False), (True, False), (False, True), (False, False)] == self.copies(*rows)

    def test_first_equal_trade_is_the_copy_if_ids_do_not_match(self) -> None:
        rows = [self.own(tradeId="a"), self.public(tradeId="b"), self.public(tradeId="c")]

        assert [(True, False), (False, True), (False, False)] == self.copies(*rows)


class TestJoining:
    """Several frames joined to one."""

    @staticmethod
    def frame(*cells: tuple[int, str, str]) -> pd.DataFrame:
        rows = [trade(dealDate=time, tradeId=text, contract={"contractType": "SinglePeriod", "sequenceId": 1,
                "sequenceItemId": ord(name)}) for time, name, text in cells]  # fmt: skip
        return read(rows, naming=lambda ids: chr(ids.item_id))

    def joined(self, *frames: pd.DataFrame) -> list[tuple[int, str, str]]:
        whole = join(frames, PLAIN, ["b", "a"])
        return list(zip(whole.index.asi8.tolist(), whole["contract"], whole["trade_id"].fillna(""), strict=True))  # type: ignore[attr-defined]

    def test_rows_are_ordered_by_time_then_contract_then_arrival(self) -> None:
        one = self.frame((5, "a", "1"), (3, "a", "2"), (5, "b", "3"))
        other = self.frame((4, "b", "4"), (5, "a", "5"))

        assert [(3, "a", "2"), (4, "b", "4"), (5, "b", "3"), (5, "a", "1"), (5, "a", "5")] == self.joined(one, other)

    def test_equal_rows_are_kept(self) -> None:
        assert 4 == len(self.joined(self.frame((5, "a", "1"), (5, "a", "1")), self.frame((5, "a", "1"), (5, "a", "1"))))

    def test_joining_no_rows_gives_an_empty_frame_with_the_same_dtypes(self) -> None:
        for frames in ([], [empty(PLAIN), empty(PLAIN)]):
            assert ALWAYS == dtypes(join(frames, PLAIN, []))

    @given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.text("xyz", max_size=1)))))
    def test_joining_keeps_every_row_once_and_orders_all(self, parts: list[list[tuple[int, str, str]]]) -> None:
        joined = self.joined(*(self.frame(*part) for part in parts))
        cells = [cell for part in parts for cell in part]

        assert joined == sorted(cells, key=lambda cell: (cell[0], "ba".index(cell[1])))


class TestOtherEndpoints:
    """Books, snapshots, candles and counts."""

    BOOK = Schema(ORDER_BOOK, ORDER_BOOK.columns_of("optional"), include_private=True)
    ORDERS = st.lists(
        st.fixed_dictionaries(
            {"price": st.floats(-100, 100), "quantity": st.integers(0, 99)},
            optional={"venueCode": st.sampled_from(["ICE", "EEX7"]), "privateFields": st.just({"ownerUserId": 7})},
        ),
        max_size=3,
    )

    @given(st.lists(st.tuples(st.integers(0, 2**62), ORDERS, ORDERS), max_size=6))
    def test_order_book_has_one_row_per_order(self, points: list[Any]) -> None:
        body = [{"timestamp": time, "bids": bids, "asks": asks} for time, bids, asks in points]
        frame = read(body, self.BOOK)
        expected = [
            (time, side, level, order["price"], float(order["quantity"]), "privateFields" in order)
            for time, bids, asks in points
            for side, orders in (("bid", bids), ("ask", asks))
            for level, order in enumerate(orders, 1)
        ]

        columns = ["side", "level", "price", "quantity", "is_private"]
        assert expected == list(
            zip(pd.DatetimeIndex(frame.index).asi8.tolist(), *(frame[name].tolist() for name in columns), strict=True)
        )
        assert dtypes(empty(self.BOOK)) == dtypes(frame)
        assert [7 if own else None for *_, own in expected] == [
            None if pd.isna(cell) else cell for cell in frame["owner_user_id"]
        ]

    @pytest.mark.parametrize("empty_value", [None, {}, {"bidPrice": None, "price": None}])
    def test_contract_without_orders_or_trades_has_an_empty_row(self, empty_value: Any) -> None:
        contract = {"contractType": "SinglePeriod", "sequenceId": 7, "sequenceItemId": 9}
        body = {
            "timestamp": 10**18,
            "snapshots": [{"contract": contract, "bestOrders": empty_value, "lastTrade": empty_value}],
        }
        frame = read(body, Schema(SNAPSHOTS), lambda ids: "X")

        assert (1, ["X"]) == (len(frame), frame["contract"].tolist())
        assert frame.drop(columns="contract").isna().all(axis=None)

    @pytest.mark.parametrize(
        "empty_value",
        [
            {},
            dict.fromkeys(["open", "high", "low", "close", "volume"]),
            dict.fromkeys(["open", "high", "low", "close", "volume"], 0),
            {**dict.fromkeys(["open", "high", "low", "close"], 31.5), "volume": 0},
        ],
    )
    def test_requested_empty_candles_are_gaps(self, empty_value: dict[str, Any]) -> None:
        body = [{"fromTimestamp": 0, "toTimestamp": 60 * 10**9, **empty_value}]
        frame = read(body, Schema(OHLCV, include_empty=True))

        assert frame[["open", "high", "low", "close"]].isna().all(axis=None)
        assert [0.0] == frame["volume"].tolist()
        if not empty_value:
            with pytest.raises(DecodeError, match="no row has the field `open`"):
                read(body, Schema(OHLCV))

    @given(
        st.lists(
            st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([3, 4]), st.integers(0, 9), st.integers(0, 9)),
            min_size=1,
            max_size=8,
        ),
        st.integers(1, 4),
    )
    def test_counts_of_several_windows_are_added_up_and_sorted(self, rows: Any, cuts: int) -> None:
        schema = Schema(ACTIVITY, tuple(column for column in ACTIVITY.columns if column.name == "delete_count"))
        body = [
            {"marketId": market, "instrumentId": instrument, "sequenceId": 5, "sequenceItemId": 6,
             "secondSequenceItemId": None, "contractType": "SinglePeriod", "count": count, "deleteCount": deleted,
             "route": "House"}
            for market, instrument, count, deleted in rows
        ]  # fmt: skip
        whole = join([read(body[place::cuts], schema, "") for place in range(cuts)], schema, ())
        sums: dict[Any, list[int]] = {}
        for market, instrument, count, deleted in rows:
            pair = sums.setdefault((market, instrument), [0, 0])
            pair[0], pair[1] = pair[0] + count, pair[1] + deleted

        found = {
            (None if pd.isna(market) else market, instrument): [count, deleted]
            for market, instrument, count, deleted in zip(
                *(whole[name].tolist() for name in ("market_id", "instrument_id", "count", "delete_count")), strict=True
            )
        }
        assert sums == found
        assert whole["count"].is_monotonic_decreasing
        assert dtypes(empty(schema)) == dtypes(whole)
        assert isinstance(whole.index, pd.RangeIndex)

    @pytest.mark.parametrize("name, wire", [("count", "count"), ("delete_count", "deleteCount")])
    @pytest.mark.parametrize("missing", [True, False])
    def test_missing_count_is_an_error(self, name: str, wire: str, missing: bool) -> None:
        schema = Schema(ACTIVITY, (ACTIVITY.column("delete_count"),))
        whole = {column.wire: "x" if column.dtype == "string" else 1 for column in schema.columns}
        gap = {key: cell for key, cell in whole.items() if key != wire} if missing else {**whole, wire: None}
        with pytest.raises(DecodeError) as caught:
            read([whole, gap], schema, "")

        assert f"$[1].{wire}" == caught.value.path
        header = ",".join(whole)
        cells = [",".join("" if key == wire and row else str(cell) for key, cell in whole.items()) for row in (0, 1)]
        with pytest.raises(DecodeError, match="a count is missing"):
            decode("\n".join([header, *cells]).encode(), schema, "")

    @pytest.mark.parametrize(
        "schema, body, path",
        [
            (Schema(SNAPSHOTS), b"[]", "$"),
            (Schema(SNAPSHOTS), b'{"timestamp":1,"snapshots":[{"contract":{}}]}', "$.snapshots[0].contract"),
            (
                Schema(SNAPSHOTS),
                b'{"timestamp":1,"snapshots":[{"contract":{"contractType":"SinglePeriod","sequenceId":1,'
                b'"sequenceItemId":2},"bestOrders":{"bidPrice":"1"}}]}',
                "$.snapshots[0].bestOrders.bidPrice",
            ),
            (Schema(ORDER_BOOK), b'[{"timestamp":1,"bids":[]}]', "$[0]"),
            (Schema(ORDER_BOOK), b'[{"timestamp":99999999999999999999,"bids":[],"asks":[]}]', "$[0].timestamp"),
            (Schema(ORDER_BOOK), b'[{"timestamp":1,"bids":[{"price":null}],"asks":[]}]', "$[0]"),
            (Schema(OHLCV), b'[{"fromTimestamp":1,"toTimestamp":"soon"}]', "$[0].toTimestamp"),
        ],
    )
    def test_error_in_a_nested_value_has_its_place(self, schema: Schema, body: bytes, path: str) -> None:
        with pytest.raises(DecodeError) as caught:
            decode(body, schema, (lambda ids: "X") if schema.endpoint is SNAPSHOTS else "X")

        assert path == caught.value.path
