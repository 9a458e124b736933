"""Reference calls return frames with the right types, and named values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from trayport import (
    Client,
    ContractError,
    Instrument,
    Market,
    QueryError,
    Specification,
    TrayportWarning,
    UnknownContract,
)


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_every_instrument_is_listed(client: Client) -> None:
    frame = client.instruments()

    assert ("instrument_id", "int64", {"name": "string"}) == (frame.index.name, str(frame.index.dtype), dtypes(frame))
    assert 14_000 < len(frame)
    assert "TTF Hi Cal 51.6 EEX" == frame.loc[10002806, "name"]


def test_names_of_markets_have_no_star(client: Client) -> None:
    frame = client.markets()

    assert ("market_id", {"name": "string"}) == (frame.index.name, dtypes(frame))
    assert ("TTF Hi Cal 51.6", "EUA") == (frame.loc[10000065, "name"], frame.loc[10000016, "name"])


def test_search_lists_the_nearest_products_first(client: Client) -> None:
    frame = client.search("ttf", limit=3)

    assert {"kind": "string", "id": "int64", "name": "string", "score": "float64"} == dtypes(frame)
    assert ["market", 10000065, "TTF Hi Cal 51.6*", 1.0] == frame.iloc[0].tolist()
    assert (3, True) == (len(frame), frame["score"].is_monotonic_decreasing)


def test_empty_search_result_has_the_same_columns(client: Client) -> None:
    frame = client.search("qqqqqq")

    assert (0, dtypes(client.search("ttf"))) == (len(frame), dtypes(frame))


@pytest.mark.parametrize(
    "call", [{"text": ""}, {"text": 3}, {"text": "ttf", "limit": 0}, {"text": "ttf", "limit": True}]
)
def test_search_without_a_text_is_refused(client: Client, call: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match="text|limit"):
        client.search(**call)


@pytest.mark.parametrize("product", ["TTF", Market(10000065), "TTF Hi Cal 51.6*"])
def test_sequences_of_a_product_are_listed(client: Client, product: Any) -> None:
    frame = client.sequences(product)

    assert ("sequence_id", {"name": "string", "display_name": "string"}) == (frame.index.name, dtypes(frame))
    assert "Gas - NG Months" == frame.loc[10000305, "name"]


def test_items_of_a_sequence_are_listed(client: Client) -> None:
    frame = client.sequence_items(10000305, start="2010-01-15", count=2)

    assert {
        "name": "string",
        "period_start": "datetime64[ns, UTC]",
        "period_end": "datetime64[ns, UTC]",
        "trading_start": "datetime64[ns, UTC]",
        "trading_end": "datetime64[ns, UTC]",
    } == dtypes(frame)
    assert ("sequence_item_id", [73, 74]) == (frame.index.name, frame.index.tolist())
    assert ["Jan-10", "2010-01-01", "2010-02-01", "2007-01-01", "2009-12-30"] == [
        str(cell)[:10] for cell in frame.loc[73]
    ]


def test_items_without_trading_dates_have_missing_values(client: Client) -> None:
    frame = client.sequence_items("TTF Prompt")

    assert "datetime64[ns, UTC]" == str(frame["trading_end"].dtype)
    assert frame["trading_end"].isna().all()
    assert frame["period_start"].notna().all()


@pytest.mark.parametrize("call", [{"count": 0}, {"count": "3"}, {"start": "tomorrow"}])
def test_wrong_arguments_for_items_are_refused(client: Client, call: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        client.sequence_items(10000305, **call)


@pytest.mark.parametrize(
    "product, expected",
    [
        ("TTF", Specification("EUR", "MW", "EUR", "MWh")),
        (Instrument(10003008), Specification("EUR", "kt", "EUR", "t")),
    ],
)
def test_specification_has_currencies_and_units(client: Client, product: Any, expected: Specification) -> None:
    assert expected == client.specification(product)


def test_venues_make_no_request() -> None:
    frame = Client("none").venues()

    assert {
        "name": "string",
        "venue_id": "int64",
        "active": "bool",
        "kind": "string",
        "levels": "string",
        "separate_private_feed": "bool",
        "orders_from": "datetime64[ns]",
    } == dtypes(frame)
    assert ("venue_code", 66) == (frame.index.name, len(frame))
    assert ["EEX7", 1441, True, "exchange", "levels", True, "2020-02-01"] == [
        frame.loc["EEX7"].to_dict().get(name, "EEX7") if name != "orders_from" else str(frame.loc["EEX7", name])[:10]
        for name in ("name", "venue_id", "active", "kind", "levels", "separate_private_feed", "orders_from")
    ]
    assert (45, 21) == (len(Client("none").venues(active=True)), len(Client("none").venues(active=False)))


def test_venues_are_selected_by_activity(client: Client) -> None:
    with pytest.raises(QueryError, match="active"):
        client.venues(active="yes")  # type: ignore[arg-type]


def test_name_resolves_to_a_contract_with_its_delivery(client: Client) -> None:
    contract = client.resolve("TTF Apr-24")

    assert (Market(10000065), 10000305, 244) == (contract.product, contract.sequence_id, contract.item_id)
    assert ("2024-04-01", "2024-05-01") == (str(contract.period_start)[:10], str(contract.period_end)[:10])


def test_relative_names_count_from_a_day(client: Client) -> None:
    assert "TTF Hi Cal 51.6* Jul-23" == client.resolve("TTF M+1", at="2023-06-15").name


@pytest.mark.parametrize("name", ["", None, 3, ["TTF Apr-24"]])
def test_value_that_is_not_a_name_is_refused(client: Client, name: Any) -> None:
    with pytest.raises(QueryError, match="'TTF Apr-24'"):
        client.resolve(name)


@pytest.mark.parametrize(
    "call",
    [lambda client: client.sequences(10000065), lambda client: client.specification(10000065)],
    ids=["sequences", "specification"],
)
def test_product_id_without_a_type_is_refused(client: Client, call: Callable[[Client], object]) -> None:
    with pytest.raises(ContractError, match=r"Market\(10000065\)"):
        call(client)


def test_unknown_product_comes_with_the_nearest_names(client: Client) -> None:
    with pytest.raises(UnknownContract) as caught:
        client.sequences("Germnay Baseload")

    assert "Germany Baseload*" in caught.value.near


class TestLabel:
    """Canonical names for the rows of a frame with ids."""

    FRAME = pd.DataFrame(
        {
            "market_id": [10000016, None, 10000065],
            "instrument_id": [10003007, 10002228, None],
            "sequence_id": [10000400, 10000305, 10000305],
            "sequence_item_id": [710, 234, 234],
            "second_sequence_item_id": [None, 235, 235],
            "contract_type": ["SinglePeriod", "PeriodSpread", "PeriodRange"],
            "count": [6454, 3593, 1],
        },
        index=[7, 7, 9],
    ).astype(dict.fromkeys(("market_id", "instrument_id", "second_sequence_item_id"), "Int64"))

    def test_first_column_has_the_names_of_the_ids(self, client: Client) -> None:
        labelled = client.label(self.FRAME)

        assert [
            "EUA ICE ENDEX Dec-23",
            "TTF Hi Cal 51.6 ICE Jun-23/Jul-23",
            "TTF Hi Cal 51.6* Jun-23..Jul-23",
        ] == labelled["contract"].tolist()
        assert (["contract", *self.FRAME.columns], "string") == (list(labelled), str(labelled["contract"].dtype))
        pd.testing.assert_frame_equal(self.FRAME, labelled.drop(columns="contract"))

    def test_labelling_twice_gives_the_same_frame(self, client: Client) -> None:
        once = client.label(self.FRAME)

        pd.testing.assert_frame_equal(once, client.label(once))

    def test_empty_frame_is_labelled(self, client: Client) -> None:
        labelled = client.label(self.FRAME.iloc[:0])

        assert (0, "string") == (len(labelled), str(labelled["contract"].dtype))

    def test_names_of_unknown_ids_are_empty_with_one_warning(self, client: Client) -> None:
        frame = self.FRAME.assign(instrument_id=[5, 5, 10002228], sequence_item_id=[710, 710, None])
        with pytest.warns(TrayportWarning, match="3 of 3 contracts are not in the reference data") as warned:
            labelled = client.label(frame)

        assert (1, True) == (len(warned), labelled["contract"].isna().all())

    @pytest.mark.parametrize(
        "change",
        [
            {"market_id": [1.5, None, "x"], "instrument_id": None},
            {"sequence_item_id": [-1, 0, True]},
            {"contract_type": ["Strip", 3, object()]},
            {"second_sequence_item_id": [None, None, 234]},
        ],
    )
    def test_name_of_an_impossible_contract_is_empty(self, client: Client, change: dict[str, Any]) -> None:
        frame = self.FRAME.astype(object).assign(**change)
        with pytest.warns(TrayportWarning, match="are not in the reference data"):
            labelled = client.label(frame)

        assert labelled["contract"].isna().any()
        assert list(frame.index) == list(labelled.index)

    def test_ids_that_missing_values_made_floats_are_read(self, client: Client) -> None:
        columns = ["market_id", "instrument_id", "sequence_item_id", "second_sequence_item_id"]
        floats = self.FRAME.astype(dict.fromkeys(columns, "float64"))

        assert client.label(self.FRAME)["contract"].tolist() == client.label(floats)["contract"].tolist()

    @pytest.mark.parametrize("frame", [[1], FRAME["market_id"], pd.concat([FRAME, FRAME[["sequence_id"]]], axis=1)])
    def test_frame_without_ids_is_refused(self, client: Client, frame: Any) -> None:
        with pytest.raises(QueryError, match="label (takes a DataFrame|needs)"):
            client.label(frame)

    @pytest.mark.parametrize(
        "columns, match",
        [
            (["instrument_id", "sequence_id"], "needs the columns"),
            (["sequence_id", "sequence_item_id"], "needs the columns"),
            (
                ["instrument_id", "sequence_id", "sequence_item_id", "second_sequence_item_id"],
                "distinguish spreads from ranges",
            ),
        ],
    )
    def test_frame_without_some_id_columns_is_refused(self, client: Client, columns: list[str], match: str) -> None:
        with pytest.raises(QueryError, match=match):
            client.label(self.FRAME[columns])
