"""Plans: the requests of a query, without sending any."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_queries import CheckedQueries

from trayport import Config, Contract, Front, Instrument, Market
from trayport._time import Window
from trayport.planner import Plan, plan
from trayport.queries import Query, book_interval, candle_interval
from trayport.spans import Spans

RATES = Config().rates
TTF = Market(10000065, "TTF Hi Cal 51.6")


def month(number: int, product: Market | Instrument = TTF, sequence: int = 10000305) -> Contract:
    return Contract(product, sequence, number, name=f"{product.label} M{number}")


def window(query: Query, start: str, end: str) -> Window:
    return Window(pd.Timestamp(start, tz=query.tz), pd.Timestamp(end, tz=query.tz))


def make(contracts: list[Contract] | Front, start: str, end: str, **options: Any) -> Plan:
    query = CheckedQueries().trades("x", start, end, **options)
    return plan(query, contracts, [query.window], RATES)


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
def test_long_window_is_split_into_requests(end: str, sent: int) -> None:
    assert sent == len(make([month(232)], "2023-01-01", end))


def test_limit_of_a_window_is_elapsed_time_also_where_the_clocks_change() -> None:
    # 32 local days with the change to summer time are an hour shorter than 32 days, and so one request.
    query = CheckedQueries("Europe/Amsterdam").trades("x", "2023-03-10", "2023-04-11")

    assert 1 == len(plan(query, [month(232)], [query.window]))


def test_two_examples_have_the_documented_number_of_requests() -> None:
    assert 8 == len(make([month(244)], "2023-06-01", "2024-02-10"))
    assert 4 == len(make([month(200 + number) for number in range(75)], "2023-06-01", "2023-07-31"))


def test_pieces_are_in_the_order_of_windows_then_of_contracts() -> None:
    contracts = [month(233), month(10, Instrument(5, "EUA")), month(232)]
    result = make(contracts, "2023-01-01", "2023-02-12")

    assert [
        ("2023-01-01", "TTF Hi Cal 51.6* M233, TTF Hi Cal 51.6* M232"),
        ("2023-01-01", "EUA M10"),
        ("2023-02-02", "TTF Hi Cal 51.6* M233, TTF Hi Cal 51.6* M232"),
        ("2023-02-02", "EUA M10"),
    ] == [(f"{piece.window.start:%Y-%m-%d}", piece.label) for piece in result.pieces]


def test_spreads_and_ranges_are_requests_of_their_own() -> None:
    contracts = [month(232), month(233), month(232).spread(month(233)), month(232).range(month(234))]
    requests = make(contracts, "2023-01-01", "2023-01-02").requests

    assert ["SinglePeriod", "Spread", "Range"] == [dict(request.params)["contractType"] for request in requests]
    assert [2, 1, 1] == [sum(name == "sequenceItemId" for name, _ in request.params) for request in requests]


def test_contract_given_twice_is_requested_once() -> None:
    [request] = make([month(232), month(233), month(232)], "2023-01-01", "2023-01-02").requests

    assert ["232", "233"] == [value for name, value in request.params if name == "sequenceItemId"]


def test_requests_for_several_contracts_request_the_contract_of_each_row() -> None:
    several = make([month(232), month(233)], "2023-01-01", "2023-01-02")
    single = make([month(232)], "2023-01-01", "2023-01-02")

    assert ("optionalFields", "contract") in several.requests[0].params
    assert ("optionalFields", "contract") not in single.requests[0].params
    assert (True, False) == (several.pieces[0].needs_contract_column, single.pieces[0].needs_contract_column)


def test_options_are_sent_only_if_they_differ_from_the_defaults_of_the_api() -> None:
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


def test_front_is_split_at_the_first_of_each_month_in_utc() -> None:
    result = make(Front(TTF, 10000305, 12), "2023-01-20T12:00", "2023-04-01")

    assert ["2023-01-20 12:00:00 to 2023-02-01", "2023-02-01 to 2023-03-01", "2023-03-01 to 2023-04-01"] == [
        str(piece.window) for piece in result.pieces
    ]
    assert {"tradingItems": "12", "contractType": "SinglePeriod"}.items() <= dict(result.requests[0].params).items()
    assert ("optionalFields", "contract") in result.requests[0].params
    assert "sequenceItemId" not in dict(result.requests[0].params)


def test_front_with_an_empty_window_needs_no_request() -> None:
    assert 0 == len(make(Front(TTF, 10000305, 12), "2023-01-20", "2023-01-20"))


def test_front_that_starts_on_a_first_is_not_split_there() -> None:
    assert 1 == len(make(Front(TTF, 10000305, 12), "2023-02-01", "2023-03-01"))


def test_front_by_name_has_to_be_resolved_first() -> None:
    with pytest.raises(TypeError, match="resolved"):
        make(Front("TTF", "Months", 12), "2023-02-01", "2023-03-01")


def test_gaps_of_an_archive_are_planned_without_the_windows_between() -> None:
    query = CheckedQueries().trades("x", "2023-01-01", "2023-06-01")
    covered = Spans.of([window(query, "2022-12-01", "2023-01-05"), window(query, "2023-01-06", "2023-03-01"),
                        window(query, "2023-04-10", "2023-07-01")])  # fmt: skip
    gaps = covered.gaps(query.window)
    result = plan(query, [month(232)], gaps, RATES)
    front = plan(query, Front(TTF, 10000305, 12), gaps, RATES)

    assert ["2023-01-05 to 2023-01-06", "2023-03-01 to 2023-04-02", "2023-04-02 to 2023-04-10"] == [
        str(piece.window) for piece in result.pieces
    ]
    assert ["2023-01-05 to 2023-01-06", "2023-03-01 to 2023-04-01", "2023-04-01 to 2023-04-10"] == [
        str(piece.window) for piece in front.pieces
    ]
    assert 0 == len(plan(query, [month(232)], [], RATES))


def test_counts_of_gaps_are_requested_for_their_whole_minutes() -> None:
    query = CheckedQueries().trades("x", "2023-05-01", "2023-06-01", verify=True)
    gaps = [window(query, "2023-05-02T00:00:01", "2023-05-03"), window(query, "2023-05-10", "2023-05-11T12:00:30")]
    result = plan(query, [month(232)], gaps, RATES)

    assert ["2023-05-02 00:01:00 to 2023-05-03", "2023-05-10 to 2023-05-11 12:00:00"] == [
        str(piece.window) for piece in result.pieces if piece.verifies
    ]


def test_requests_have_the_end_of_their_window() -> None:
    result = make([month(232)], "2023-01-01", "2023-02-12")

    assert [piece.window.end for piece in result.pieces] == [request.until for request in result.requests]


@pytest.mark.parametrize(
    "requests, seconds", [(0, 0.0), (1, 0.0), (3, 0.0), (4, 0.5), (7, 1.0), (361, 60.0), (1000, 166.5)]
)
def test_plan_has_the_minimum_time_within_the_limits(requests: int, seconds: float) -> None:
    # Contracts of different products are one request each in a short window.
    contracts = [month(232, Instrument(number)) for number in range(1, requests + 1)]
    result = make(contracts or [month(232)], "2023-01-01", "2023-01-02" if contracts else "2023-01-01")

    assert (requests, seconds) == (len(result), result.seconds)


def test_plan_without_limits_takes_no_time() -> None:
    query = CheckedQueries().trades("x", "2000-01-01", "2020-01-01")

    assert 0.0 == plan(query, [month(232)], [query.window]).seconds


def test_plan_prints_its_requests() -> None:
    result = make([month(232 + number) for number in range(3)], "2023-01-01", "2023-02-12")

    assert (
        "Plan: trades, 2 requests, at least 0 s at the limit\n"
        "     1  2023-01-01 to 2023-02-02  TTF Hi Cal 51.6* M232 and 2 more\n"
        "     2  2023-02-02 to 2023-02-12  TTF Hi Cal 51.6* M232 and 2 more"
    ) == repr(result)
    assert "1 request," in repr(make([month(1)], "2023-01-01", "2023-01-02"))


def test_plan_of_thousands_prints_on_one_screen() -> None:
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
    one: pd.Timestamp, other: pd.Timestamp, given: list[Contract]
) -> None:
    start, end = sorted([one, other])
    query = CheckedQueries().trades("x", start, end)
    result = plan(query, given, [query.window], RATES)

    cells = [(contract, piece.window) for piece in result.pieces for contract in piece.contracts]
    assert len(cells) == len(set(cells))
    for contract in set(given):
        windows = [window for each, window in cells if each == contract]
        edges = [start, *(window.end for window in windows)]
        assert edges[-1] == end
        assert [(window.start, window.end) for window in windows] == list(itertools.pairwise(edges))
    for piece in result.pieces:
        assert pd.Timedelta(0) < piece.window.end - piece.window.start <= pd.Timedelta(days=32)
        assert 1 <= len(piece.contracts) <= 50
        assert 1 == len({(contract.product, contract.sequence_id) for contract in piece.contracts})


class TestOtherQueries:
    """Plans of candles, books, instants and counts."""

    APRIL, MAY = month(244), month(245)

    def plan(self, query: Query, *contracts: Contract, csv: bool = False) -> Plan:
        return plan(query, contracts, [query.window], RATES, csv=csv)

    @given(
        st.sampled_from(["1min", "5min", "15min", "30min", "1h", "4h", "1d", "7d", "1mo"]),
        st.integers(0, 5000),
        st.integers(0, 5000),
    )
    def test_candles_are_split_on_their_grid_within_the_limits(self, text: str, offset: int, length: int) -> None:
        interval = candle_interval(text)
        start = interval.shift(interval.floor(pd.Timestamp("2009-12-28", tz="UTC")), 1)
        first = interval.shift(start, offset if not interval.is_coarse else offset % 100)
        last = interval.shift(first, length if text != "1mo" else length % 190)
        known = interval.floor(pd.Timestamp("2026-11-01", tz="UTC"))
        query = CheckedQueries().ohlcv("x", first, max(first, min(last, known)), text)
        result = self.plan(query, self.APRIL)

        edges = [piece.window.start for piece in result.pieces] + [query.window.end]
        assert edges[0] == query.window.start
        assert [piece.window.end for piece in result.pieces] == edges[1:]
        assert all(interval.floor(edge) == edge for edge in edges)
        limit = pd.Timedelta(days=1827 if interval.is_coarse else 92)
        spans = [piece.window.end - piece.window.start for piece in result.pieces]
        assert all(pd.Timedelta(0) < span <= limit for span in spans)
        # The number of requests is minimal: each but the last is as long as allowed.
        assert all(interval.shift(piece.window.end, 1) - piece.window.start > limit for piece in result.pieces[:-1])

    @given(st.sampled_from(["1s", "7s", "15s", "1min", "1h", "30h", "700h", "720h"]), st.integers(0, 40 * 10**6))
    def test_books_are_split_with_one_interval_more_at_seams(self, text: str, seconds: int) -> None:
        start = pd.Timestamp("2024-02-05T09:00", tz="UTC")
        interval = book_interval(text)
        query = CheckedQueries().top_of_book("x", start, start + pd.Timedelta(seconds=seconds), text)
        result = self.plan(query, self.APRIL)

        assert [start] * bool(seconds) == [piece.window.start for piece in result.pieces[:1]]
        for piece, following in itertools.zip_longest(result.pieces, result.pieces[1:]):
            reach = piece.request.until - piece.window.start
            assert reach // interval.length <= 99_999
            assert reach <= pd.Timedelta(days=60)
            assert (piece.window.start - start) % interval.length == pd.Timedelta(0)
            if following:
                assert piece.window.end == following.window.start
                assert piece.request.until == piece.window.end + interval.length
            else:
                assert piece.request.until == piece.window.end == query.window.end

    def test_endpoints_of_one_contract_get_a_request_for_each(self) -> None:
        query = CheckedQueries().ohlcv(["x", "y"], "2024-01-01", "2024-01-03")
        requests = self.plan(query, self.APRIL, self.MAY).requests

        assert [("sequenceItemId", "244"), ("sequenceItemId", "245")] == [request.params[6] for request in requests]
        assert (("interval", "1"), ("intervalUnit", "day")) == requests[0].params[2:4]
        assert not any(name == "optionalFields" for request in requests for name, _ in request.params)

    def test_snapshots_share_a_request_and_have_their_contract_by_default(self) -> None:
        query = CheckedQueries().snapshots(["x"] * 3, at="2024-02-05T16:00")
        months = [month(200 + number) for number in range(75)]
        result = self.plan(query, *months)

        assert [50, 25] == [len(piece.contracts) for piece in result.pieces]
        assert {"at", "marketId", "sequenceId", "sequenceItemId", "contractType"} == {
            name for request in result.requests for name, _ in request.params
        }

    @pytest.mark.parametrize(
        "percent, sent",
        [(1, "1"), (1.5, "1.5"), (0.1234567, "0.1234567"), (1e-7, "0.0000001"), (1e16, "10000000000000000")],
    )
    def test_percentage_is_sent_exactly_and_without_an_exponent(self, percent: float, sent: str) -> None:
        query = CheckedQueries().order_book("x", "2024-01-01", "2024-01-02", max_spread=percent)
        [request] = self.plan(query, self.APRIL).requests

        assert ("maxSpread", sent) in request.params

    def test_counts_are_of_all_contracts_with_the_fields_of_default_columns(self) -> None:
        query = CheckedQueries().activity("2024-01-01", "2024-01-10", fields=["delete_count"])
        [first, second] = self.plan(query).requests

        assert [
            ("from", "2024-01-01T00:00:00Z"),
            ("until", "2024-01-08T00:00:00Z"),
            ("optionalFields", "marketId"),
            ("optionalFields", "route"),
            ("optionalFields", "deleteCount"),
        ] == list(first.params)
        assert ("until", "2024-01-10T00:00:00Z") == second.params[1]

    def test_own_trades_may_be_of_all_contracts_and_of_today(self) -> None:
        query = CheckedQueries().private_trades("2026-11-01")
        [request] = self.plan(query).requests

        assert [
            ("from", "2026-11-01T00:00:00Z"),
            ("until", "2026-11-20T10:00:00Z"),
            ("optionalFields", "contract"),
        ] == list(request.params)
        assert request.until is None  # as no entitlement to today is needed

    @pytest.mark.parametrize(
        "start, end, checks",
        [
            ("2023-06-01", "2023-06-08", ["2023-06-01T00:00:00Z 2023-06-08T00:00:00Z"]),
            ("2023-04-01", "2023-04-12", ["2023-04-10T00:00:00Z 2023-04-12T00:00:00Z"]),
            ("2023-06-01T00:00:01", "2023-06-01T00:02:59", ["2023-06-01T00:01:00Z 2023-06-01T00:02:00Z"]),
            ("2023-06-01T00:00:01", "2023-06-01T00:01:30", []),
            ("2023-01-01", "2023-02-01", []),
            ("2023-04-05", "2023-04-20", ["2023-04-10T00:00:00Z 2023-04-17T00:00:00Z",
                                          "2023-04-17T00:00:00Z 2023-04-20T00:00:00Z"]),
        ],
    )  # fmt: skip
    def test_counts_that_verify_trades_are_in_the_plan(self, start: str, end: str, checks: list[str]) -> None:
        result = self.plan(CheckedQueries().trades("x", start, end, verify=True), self.APRIL)
        counts = [piece.request for piece in result.pieces if piece.verifies]

        assert len(result) == len(result.requests) == 1 + len(checks)
        assert checks == [f"{dict(request.params)['from']} {dict(request.params)['until']}" for request in counts]
        assert all(("optionalFields", "deleteCount") in request.params for request in counts)

    @pytest.mark.parametrize(
        "ask, as_csv",
        [
            (lambda q: q.trades("x", "2024-01-01", "2024-01-02"), True),
            (lambda q: q.trades("x", "2024-01-01", "2024-01-02", include_private=True), False),
            (lambda q: q.trades(["x", "y"], "2024-01-01", "2024-01-02"), False),
            (lambda q: q.private_trades("2024-01-01", "2024-01-02", contract="x"), True),
            (lambda q: q.ohlcv("x", "2024-01-01", "2024-01-02"), True),
            (lambda q: q.last_trade("x", at="2024-01-02"), True),
            (lambda q: q.top_of_book("x", "2024-01-01", "2024-01-02"), True),
            (lambda q: q.order_book("x", "2024-01-01", "2024-01-02"), False),
            (lambda q: q.snapshots("x", at="2024-01-02"), False),
        ],
    )
    def test_csv_is_requested_where_it_can_hold_the_response(self, ask: Any, as_csv: bool) -> None:
        query = ask(CheckedQueries())
        contracts = [self.APRIL, self.MAY][: len(query.contracts)]

        result = self.plan(query, *contracts, csv=True)
        assert {as_csv} == {request.csv for request in result.requests}
        assert as_csv == ("as CSV" in repr(result))
        assert {False} == {request.csv for request in self.plan(query, *contracts).requests}
