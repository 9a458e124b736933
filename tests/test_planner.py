"""Plans: which requests a question makes, without making any."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_queries import Questions

from trayport import Config, Contract, Front, Instrument, Market
from trayport.planner import Plan, plan

RATES = Config().rates
TTF = Market(10000065, "TTF Hi Cal 51.6")


def month(number: int, product: Market | Instrument = TTF, sequence: int = 10000305) -> Contract:
    return Contract(product, sequence, number, name=f"{product.label} M{number}")


def make(contracts: list[Contract] | Front, start: str, end: str, **options: Any) -> Plan:
    return plan(Questions().trades("x", start, end, **options), contracts, RATES)


@pytest.mark.parametrize(
    "end, sent",
    [
        pytest.param("2023-01-01", 0, id="nothing-is-no-request"),
        pytest.param("2023-01-01T00:00:01", 1, id="a-second-is-one"),
        pytest.param("2023-02-02", 1, id="32-days-is-one"),
        pytest.param("2023-02-02T00:00:01", 2, id="a-second-more-is-two"),
        pytest.param("2023-03-06", 2, id="64-days-is-two"),
    ],
)
def test_a_window_is_cut_to_what_one_request_may_ask(end: str, sent: int) -> None:
    assert sent == len(make([month(232)], "2023-01-01", end))


def test_the_limit_is_elapsed_time_whatever_the_clocks_do() -> None:
    # 32 local days with the change to summer time are an hour short of 32 days, and one request.
    question = Questions("Europe/Amsterdam").trades("x", "2023-03-10", "2023-04-11")

    assert 1 == len(plan(question, [month(232)]))


def test_the_documented_examples_of_the_house() -> None:
    assert 8 == len(make([month(244)], "2023-06-01", "2024-02-10"))
    assert 4 == len(make([month(200 + number) for number in range(75)], "2023-06-01", "2023-07-31"))


def test_pieces_come_by_window_then_by_group_in_the_order_asked() -> None:
    contracts = [month(233), month(10, Instrument(5, "EUA")), month(232)]
    made = make(contracts, "2023-01-01", "2023-02-12")

    assert [
        ("2023-01-01", "TTF Hi Cal 51.6* M233, TTF Hi Cal 51.6* M232"),
        ("2023-01-01", "EUA M10"),
        ("2023-02-02", "TTF Hi Cal 51.6* M233, TTF Hi Cal 51.6* M232"),
        ("2023-02-02", "EUA M10"),
    ] == [(f"{piece.window.start:%Y-%m-%d}", piece.label) for piece in made.pieces]


def test_spreads_and_ranges_are_requests_of_their_own() -> None:
    contracts = [month(232), month(233), month(232).spread(month(233)), month(232).range(month(234))]
    requests = make(contracts, "2023-01-01", "2023-01-02").requests

    assert ["SinglePeriod", "Spread", "Range"] == [dict(request.params)["contractType"] for request in requests]
    assert [2, 1, 1] == [sum(name == "sequenceItemId" for name, _ in request.params) for request in requests]


def test_a_contract_named_twice_is_asked_once() -> None:
    [request] = make([month(232), month(233), month(232)], "2023-01-01", "2023-01-02").requests

    assert ["232", "233"] == [value for name, value in request.params if name == "sequenceItemId"]


def test_rows_of_several_contracts_are_told_apart_by_asking_for_the_contract() -> None:
    several = make([month(232), month(233)], "2023-01-01", "2023-01-02")
    single = make([month(232)], "2023-01-01", "2023-01-02")

    assert ("optionalFields", "contract") in several.requests[0].params
    assert ("optionalFields", "contract") not in single.requests[0].params
    assert (True, False) == (several.pieces[0].tells_apart, single.pieces[0].tells_apart)


def test_options_are_sent_in_the_wires_words_and_only_if_they_say_something() -> None:
    plain = make([month(232)], "2023-01-01", "2023-01-02").requests[0].params
    full = make(
        [month(232)], "2023-01-01", "2023-01-02", include_private=True, routes=["House", 904], deduplicate=False,
        fields=["route_id", "aggressor_sleeve"],
    ).requests[0].params  # fmt: skip

    assert (
        ("from", "2023-01-01T00:00:00Z"),
        ("until", "2023-01-02T00:00:00Z"),
        ("marketId", "10000065"),
        ("sequenceId", "10000305"),
        ("sequenceItemId", "232"),
        ("contractType", "SinglePeriod"),
    ) == plain
    assert (
        ("includePrivate", "true"),
        ("routes", "House"),
        ("routes", "904"),
        ("deduplicateRoutes", "false"),
        ("optionalFields", "aggressorSleeve"),
        ("optionalFields", "routeId"),
    ) == full[len(plain) :]


def test_a_front_is_cut_at_the_first_of_each_month_in_utc() -> None:
    made = make(Front(TTF, 10000305, 12), "2023-01-20T12:00", "2023-04-01")

    assert ["2023-01-20 12:00:00 to 2023-02-01", "2023-02-01 to 2023-03-01", "2023-03-01 to 2023-04-01"] == [
        str(piece.window) for piece in made.pieces
    ]
    assert {"tradingItems": "12", "contractType": "SinglePeriod"}.items() <= dict(made.requests[0].params).items()
    assert ("optionalFields", "contract") in made.requests[0].params
    assert "sequenceItemId" not in dict(made.requests[0].params)


def test_an_empty_front_is_no_request() -> None:
    assert 0 == len(make(Front(TTF, 10000305, 12), "2023-01-20", "2023-01-20"))


def test_a_front_that_starts_on_a_first_is_not_cut_there() -> None:
    assert 1 == len(make(Front(TTF, 10000305, 12), "2023-02-01", "2023-03-01"))


def test_a_front_by_name_has_to_be_resolved_first() -> None:
    with pytest.raises(TypeError, match="resolved"):
        make(Front("TTF", "Months", 12), "2023-02-01", "2023-03-01")


def test_a_request_knows_how_far_it_reaches() -> None:
    made = make([month(232)], "2023-01-01", "2023-02-12")

    assert [piece.window.end for piece in made.pieces] == [request.until for request in made.requests]


@pytest.mark.parametrize(
    "requests, seconds", [(0, 0.0), (1, 0.0), (3, 0.0), (4, 0.5), (7, 1.0), (361, 60.0), (1000, 166.5)]
)
def test_a_plan_knows_the_least_time_that_the_limits_allow(requests: int, seconds: float) -> None:
    # Several contracts of different products are as many requests in one short window.
    contracts = [month(232, Instrument(number)) for number in range(1, requests + 1)]
    made = make(contracts or [month(232)], "2023-01-01", "2023-01-02" if contracts else "2023-01-01")

    assert (requests, seconds) == (len(made), made.seconds)


def test_without_limits_a_plan_takes_no_time() -> None:
    assert 0.0 == plan(Questions().trades("x", "2000-01-01", "2020-01-01"), [month(232)]).seconds


def test_a_plan_prints_what_it_will_ask() -> None:
    made = make([month(232 + number) for number in range(3)], "2023-01-01", "2023-02-12")

    assert (
        "Plan: trades, 2 requests, at least 0 s at the limit\n"
        "     1  2023-01-01 to 2023-02-02  TTF Hi Cal 51.6* M232 and 2 more\n"
        "     2  2023-02-02 to 2023-02-12  TTF Hi Cal 51.6* M232 and 2 more"
    ) == repr(made)
    assert "1 request," in repr(make([month(1)], "2023-01-01", "2023-01-02"))


def test_a_plan_of_thousands_prints_on_one_screen() -> None:
    lines = repr(make([month(232)], "1990-01-01", "2026-01-01")).splitlines()

    assert 22 == len(lines)
    assert "   ...  (391 more)" == lines[11]


moments = st.integers(0, 40_000_000).map(
    lambda second: pd.Timestamp("2022-01-01", tz="UTC") + pd.Timedelta(seconds=second)
)
contracts = st.lists(
    st.builds(
        month, st.integers(1, 400), st.sampled_from([TTF, Market(10000016, "EUA"), Instrument(10000065, "X")]),
        st.sampled_from([10000305, 10000306]),
    ),
    min_size=1,
    max_size=130,
)  # fmt: skip


@given(moments, moments, contracts)
def test_pieces_cover_the_window_and_the_contracts_once_each_within_the_limits(
    one: pd.Timestamp, other: pd.Timestamp, asked: list[Contract]
) -> None:
    start, end = sorted([one, other])
    made = plan(Questions().trades("x", start, end), asked, RATES)

    cells = [(contract, piece.window) for piece in made.pieces for contract in piece.contracts]
    assert len(cells) == len(set(cells))
    for contract in set(asked):
        windows = [window for each, window in cells if each == contract]
        edges = [start, *(window.end for window in windows)]
        assert edges[-1] == end
        assert [(window.start, window.end) for window in windows] == list(itertools.pairwise(edges))
    for piece in made.pieces:
        assert pd.Timedelta(0) < piece.window.end - piece.window.start <= pd.Timedelta(days=32)
        assert 1 <= len(piece.contracts) <= 50
        assert 1 == len({(contract.product, contract.sequence_id) for contract in piece.contracts})
