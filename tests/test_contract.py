"""Contracts and products have typed ids, and names that are not compared."""

from __future__ import annotations

import datetime
import pickle
import re
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from trayport import Contract, ContractError, Front, Instrument, Market

TTF = Market(10000065, "TTF Hi Cal 51.6")
APRIL = Contract(TTF, 10000305, 232, name="TTF Hi Cal 51.6* Apr-23")
MAY = Contract(TTF, 10000305, 233, name="TTF Hi Cal 51.6* May-23")


def test_names_and_deliveries_are_not_compared() -> None:
    assert Contract(Market(10000065), 10000305, 232) == APRIL
    assert 1 == len({Contract(Market(10000065), 10000305, 232), APRIL})


def test_market_and_instrument_with_one_id_differ() -> None:
    assert Market(1) != Instrument(1)


@pytest.mark.parametrize(
    "product, label",
    [
        (TTF, "TTF Hi Cal 51.6*"),
        (Instrument(10002806, "TTF Hi Cal 51.6 EEX"), "TTF Hi Cal 51.6 EEX"),
        (Market(5), "market:5"),
        (Instrument(5), "instrument:5"),
    ],
)
def test_label_has_the_star_of_a_market_and_an_id_if_there_is_no_name(product: Market | Instrument, label: str) -> None:
    assert label == product.label


def test_label_of_a_contract_without_a_name_has_its_ids() -> None:
    assert "market:5 7:9" == Contract(Market(5), 7, 9).label
    assert "market:5 7:9, 10" == Contract(Market(5), 7, 9, 10, "spread").label


def test_spread_of_contracts_without_names_has_no_name() -> None:
    assert Contract(Market(5), 7, 9).spread(Contract(Market(5), 7, 10)).name is None


@pytest.mark.parametrize("value", [0, -1, True, "10000065", 1.0, None])
@pytest.mark.parametrize("kind", [Market, Instrument])
def test_ids_are_whole_numbers(kind: type, value: object) -> None:
    with pytest.raises(ContractError, match="is not an id"):
        kind(value)


def test_ids_of_numpy_types_become_ints() -> None:
    contract = Contract(Market(np.int64(10000065)), np.int32(10000305), np.int64(232), np.uint16(233), "spread")

    assert Contract(Market(10000065), 10000305, 232, 233, "spread") == contract
    assert {int} == {type(each) for each in (contract.product.id, contract.item_id, contract.second_item_id)}
    with pytest.raises(ContractError):
        Market(np.bool_(True))


def test_product_id_without_a_type_is_refused_with_both_types() -> None:
    with pytest.raises(ContractError, match=r"write Market\(10000065\) or Instrument\(10000065\)"):
        Contract(10000065, 10000305, 232)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "second, kind, match",
    [
        (233, "single", "kind='spread' or 'range'"),
        (None, "spread", "second_item_id None is not an id"),
        (232, "range", "two different periods"),
        (233, "strip", "none of 'single', 'spread' and 'range'"),
        (233, ["spread"], "none of 'single', 'spread' and 'range'"),
    ],
)
def test_impossible_contract_is_refused(second: int | None, kind: str, match: str) -> None:
    with pytest.raises(ContractError, match=match):
        Contract(TTF, 10000305, 232, second, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [Contract(TTF, 10000306, 80), Contract(Market(10000016), 10000305, 233)],
    ids=["another-sequence", "another-product"],
)
def test_spread_needs_one_product_and_sequence(other: Contract) -> None:
    with pytest.raises(ContractError, match="take the difference"):
        APRIL.spread(other)


def test_range_runs_forward_in_time() -> None:
    one, other = (
        evolve(contract, period_start=datetime.datetime(2023, month, 1, tzinfo=datetime.UTC))
        for contract, month in ((APRIL, 4), (MAY, 5))
    )

    assert "range" == one.range(other).kind
    assert "spread" == other.spread(one).kind
    with pytest.raises(ContractError, match=r"runs forward in time; write 'TTF Hi Cal 51.6\* Apr-23..May-23'"):
        other.range(one)


def test_name_of_a_spread_has_one_qualifier_at_the_end() -> None:
    one, other = (evolve(contract, name=f"{contract.name} [10000305]") for contract in (APRIL, MAY))

    assert "TTF Hi Cal 51.6* Apr-23/May-23 [10000305]" == one.spread(other).name


@pytest.mark.parametrize("other", [APRIL, "TTF Apr-23", None])
def test_contract_is_not_joined_with_itself_or_a_name(other: Any) -> None:
    with pytest.raises(ContractError, match=r"Apr-23 comes twice|trayport.resolve\("):
        APRIL.spread(other)


def test_contract_prints_as_its_name() -> None:
    assert "TTF Hi Cal 51.6* Apr-23" == str(APRIL)
    assert "datetime" not in repr(evolve(APRIL, period_start=datetime.datetime(2023, 4, 1, tzinfo=datetime.UTC)))


def test_spread_of_a_spread_is_refused() -> None:
    with pytest.raises(ContractError, match="joins two single periods"):
        APRIL.spread(MAY).range(MAY)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "12"])
def test_front_needs_a_whole_number_of_items(count: object) -> None:
    with pytest.raises(ContractError, match="whole number from 1 up"):
        Front("TTF", "Months", count)  # type: ignore[arg-type]


@pytest.mark.parametrize("product, sequence", [(10000065, "Months"), ("", "Months"), (None, "Months"), ("TTF", None),
                                               ("TTF", ""), ("TTF", 1.5), ("TTF", True), ("TTF", -3)])  # fmt: skip
def test_front_needs_a_product_and_a_sequence(product: object, sequence: object) -> None:
    with pytest.raises(ContractError, match="Market\\(|Front"):
        Front(product, sequence, 3)  # type: ignore[arg-type]


def test_front_accepts_ids_of_numpy_types() -> None:
    assert Front("TTF", 10000305, 3) == Front("TTF", np.int64(10000305), np.int64(3))


def test_label_of_a_front_has_product_count_and_sequence() -> None:
    assert "TTF front 12 of Months" == Front("TTF", "Months", 12).label
    assert "TTF Hi Cal 51.6* front 12 of 10000305" == Front(TTF, 10000305, 12).label


ids = st.integers(1, 10**19 - 1)


@given(st.sampled_from([Market, Instrument]), ids, ids, ids, ids, st.sampled_from(["single", "spread", "range"]))
def test_token_of_a_contract_is_one_plain_word_and_reads_back(
    product: Any, product_id: int, sequence: int, item: int, second: int, kind: Any
) -> None:
    second += second == item
    contract = Contract(product(product_id), sequence, item, None if kind == "single" else second, kind)

    assert re.fullmatch("[a-z0-9_-]+", contract.token)
    assert contract == Contract.from_token(contract.token)
    assert contract.token == Contract.from_token(contract.token).token


@pytest.mark.parametrize(
    "token",
    [
        "", "m1", "m1-2", "x1-2-3", "m1-2-3-4", "m1-2-3_", "m1-2-3-to-", "m1-2-3-to-4-to-5", "m1-2-3_4_5", "m0-2-3",
        "m01-2-3", "m1-2-3 ", "m1-2-3\n", " m1-2-3", "M1-2-3", "m1--2-3", "m-1-2-3", "m1-2-٣", "m1-2-3_3",
        "m1-2-3-to-3", "m1-2-3/../4", "m" + "9" * 5000 + "-2-3", "market:1 2:3", None, 5,
    ],
)  # fmt: skip
def test_malformed_token_is_refused(token: Any) -> None:
    with pytest.raises(ContractError, match="is not the token of a contract|two different periods"):
        Contract.from_token(token)


def test_contracts_pickle() -> None:
    assert repr(APRIL) == repr(pickle.loads(pickle.dumps(APRIL)))
