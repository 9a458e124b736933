"""Queries: their arguments are read and checked before anything is sent."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from trayport import Contract, ContractError, Front, Market, QueryError, TrayportWarning
from trayport._time import iso
from trayport.queries import Queries, Query, QueryContext

APRIL = Contract(Market(10000065), 10000305, 232)


class CheckedQueries(Queries[Query]):
    """Queries that return the checked ``Query``."""

    def __init__(self, tz: str = "UTC", intraday: bool = False) -> None:
        self.tz, self.intraday = tz, intraday

    def _context(self) -> QueryContext:
        return QueryContext(self.tz, pd.Timestamp("2026-11-20T10:00", tz="UTC"), self.intraday)

    def _ask(self, query: Query) -> Query:
        return query


def ask(contract: Any = "TTF Apr-24", start: Any = "2024-01-01", end: Any = "2024-01-02", **options: Any) -> Query:
    return CheckedQueries().trades(contract, start, end, **options)


@pytest.mark.parametrize(
    "contract, expected",
    [
        ("TTF Apr-24", ("TTF Apr-24",)),
        (APRIL, (APRIL,)),
        (["TTF Apr-24", APRIL], ("TTF Apr-24", APRIL)),
        (("a b" for _ in range(2)), ("a b", "a b")),
        (pd.Series(["TTF Apr-24"]), ("TTF Apr-24",)),
        (Front("TTF", "Months", 50), Front("TTF", "Months", 50)),
    ],
    ids=["name", "contract", "list", "generator", "series", "front"],
)
def test_contract_is_one_or_several_or_a_front(contract: Any, expected: Any) -> None:
    assert expected == ask(contract).contracts


@pytest.mark.parametrize("contract", [10000065, [10000065], ["TTF Apr-24", 232], True])
def test_bare_ids_are_refused_with_both_alternatives(contract: Any) -> None:
    with pytest.raises(ContractError, match=r"bare id.*'TTF Apr-24'.*Contract\(Market\(10000065\), 10000305, 232\)"):
        ask(contract)


@pytest.mark.parametrize("contract", [None, "", "  ", ["TTF Apr-24", ""], 1.5, [Front("TTF", "Months", 2)]])
def test_other_values_than_contracts_are_refused(contract: Any) -> None:
    with pytest.raises(ContractError, match="neither a name"):
        ask(contract)


def test_empty_list_of_contracts_is_refused() -> None:
    with pytest.raises(QueryError, match="contract is empty"):
        ask([])


def test_front_of_more_than_fifty_is_refused_with_the_alternative() -> None:
    with pytest.raises(QueryError, match="51 is more than 50.*name the contracts instead"):
        ask(Front("TTF", "Months", 51))


@pytest.mark.parametrize(
    "fields, names",
    [
        ((), []),
        (["route_id", "from_broken_spread"], ["from_broken_spread", "route_id"]),
        (["routeId", "fromBrokenSpread"], ["from_broken_spread", "route_id"]),
        ("aggressor_sleeve", ["aggressor_sleeve"]),
        (["route", "route"], ["route"]),
        (["price", "contract", "timestamp", "dealDate", "tradeId"], []),
    ],
)
def test_fields_have_our_names_or_those_of_the_api_in_the_order_of_the_table(fields: Any, names: list[str]) -> None:
    assert names == [column.name for column in ask(fields=fields).fields]


@pytest.mark.parametrize(
    "field, hint",
    [
        ("aggresor_sleeve", "did you mean 'aggressor_sleeve'"),
        ("is_private", "hoose from"),
        ("aggressor_trader_id", "hoose from"),
        (3, "hoose from"),
        ("", "hoose from"),
        ("public_copy", "hoose from"),
    ],
)
def test_unknown_field_is_refused_with_the_known_ones(field: Any, hint: str) -> None:
    with pytest.raises(QueryError, match=f"no field {field!r};.*{hint}"):
        ask(fields=[field])


@pytest.mark.parametrize(
    "routes, expected",
    [
        ((), ()),
        ("all", ("all",)),
        (["House", 904], ("House", "904")),
        (652, ("652",)),
        (["House", "House"], ("House",)),
    ],
)
def test_routes_are_names_or_ids(routes: Any, expected: tuple[str, ...]) -> None:
    assert expected == ask(routes=routes).routes


def test_routes_append_the_column_route() -> None:
    assert ["route"] == [column.name for column in ask(routes="all").fields]


@pytest.mark.parametrize("routes", [[""], ["a,b"], [1.5], [True], [0], [None]])
def test_other_values_than_routes_are_refused(routes: Any) -> None:
    with pytest.raises(QueryError, match="neither the name nor the id of a route"):
        ask(routes=routes)


def test_all_routes_together_with_others_are_refused() -> None:
    with pytest.raises(QueryError, match="'all' and others; give routes='all' alone"):
        ask(routes=["all", "House"])


@pytest.mark.parametrize("name", ["include_private", "deduplicate"])
@pytest.mark.parametrize("value", [None, 1, "true"])
def test_flags_are_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(QueryError, match=f"{name}={value!r} must be True or False"):
        ask(**{name: value})


def test_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        ask(include_pirvate=True)


def test_naive_times_are_read_in_the_zone_that_frames_have() -> None:
    query = CheckedQueries("Europe/Amsterdam").trades("TTF Apr-24", "2024-01-02", "2024-07-01")

    assert ("2024-01-01 23:00", "2024-06-30 22:00") == (
        f"{query.window.start:%Y-%m-%d %H:%M}",
        f"{query.window.end:%Y-%m-%d %H:%M}",
    )
    assert "Europe/Amsterdam" == query.tz


def test_description_of_a_query_is_plain_json() -> None:
    described = ask(["TTF Apr-24", APRIL], fields=["route_id"], routes="all").describe()

    assert described == json.loads(json.dumps(described))
    assert ["TTF Apr-24", "market:10000065 10000305:232"] == described["contract"]
    assert ["route", "route_id"] == described["fields"]
    assert ["TTF front 3 of Months"] == ask(Front("TTF", "Months", 3)).describe()["contract"]


class TestOtherQueries:
    """Candles, books, instants and counts."""

    @pytest.mark.parametrize("interval", ["1d", "7d", "1mo"])
    def test_dates_of_coarse_candles_are_days_in_utc(self, interval: Any) -> None:
        query = CheckedQueries("Europe/Amsterdam").ohlcv("x", "2024-01-01", "2024-07-01", interval)

        assert ("2024-01-01", "2024-07-01") == (f"{query.window.start:%F}", f"{query.window.end:%F}")
        assert query.window.start == query.window.start.normalize()

    def test_dates_of_fine_candles_are_days_in_the_zone(self) -> None:
        query = CheckedQueries("Europe/Amsterdam").ohlcv("x", "2024-01-01", "2024-01-02", "1h")

        assert "2023-12-31T23:00:00Z" == iso(query.window.start)

    @pytest.mark.parametrize(
        "start, end, interval, match",
        [
            ("2024-01-01T00:01", "2024-01-02", "15min", "start .*T00:01:00Z is not on the UTC grid of 15min.*00:15"),
            ("2024-01-01", "2024-01-02T02:00", "4h", "end .*use 2024-01-02T00:00:00Z or 2024-01-02T04:00:00Z, "),
            ("2024-01-02", "2024-01-15", "7d", "2024-01-01T00:00:00Z or 2024-01-08"),
            ("2024-01-01", "2024-01-15", "1mo", "2024-01-01T00:00:00Z or 2024-02-01"),
        ],
    )  # fmt: skip
    def test_candles_start_and_end_on_their_grid(self, start: str, end: str, interval: Any, match: str) -> None:
        with pytest.raises(QueryError, match=match):
            CheckedQueries().ohlcv("x", start, end, interval)

    @pytest.mark.parametrize(
        "interval, end",
        [("1d", "2026-11-20"), ("7d", "2026-11-16"), ("1mo", "2026-11-01"), ("4h", "2026-11-20")],
    )
    def test_candles_without_an_end_stop_after_the_last_whole_one(self, interval: Any, end: str) -> None:
        start = "2026-01-05" if interval == "7d" else "2026-01-01"

        assert end == f"{CheckedQueries().ohlcv('x', start, None, interval).window.end:%F}"

    def test_book_without_an_end_stops_after_the_last_whole_interval(self) -> None:
        query = CheckedQueries(intraday=True).top_of_book("x", "2026-11-19T08:00:01", None, "1h")

        assert "2026-11-20T09:00:01Z" == iso(query.window.end)

    @pytest.mark.parametrize("name", ["top_of_book", "order_book"])
    def test_windows_before_the_first_orders_are_refused_or_warned_about(self, name: str) -> None:
        ask = getattr(CheckedQueries(), name)
        with pytest.raises(QueryError, match="before the first orders; start at 2020-01-31T00:00:00Z or later"):
            ask("x", "2020-01-01", "2020-01-31")
        with pytest.warns(TrayportWarning, match="orders of EPEX, GMEG, .*NODX begin after 2021-01-31"):
            ask("x", "2021-01-31", "2021-02-02")
        ask("x", "2021-02-01", "2021-02-02")

    @pytest.mark.parametrize(
        "start, end, match",
        [
            (
                "2023-04-09",
                "2023-04-12",
                "is before the first counts; start at 2023-04-10T00:00:00Z",
            ),
            ("2024-01-01T00:00:30", "2024-01-02", "start .* whole minute"),
            ("2024-01-01", "2024-01-02T00:00:01", "end .* whole minute"),
        ],
    )
    def test_activity_is_in_whole_minutes_from_its_first_day_on(self, start: str, end: str, match: str) -> None:
        with pytest.raises(QueryError, match=match):
            CheckedQueries().activity(start, end)

    def test_own_trades_are_available_at_once(self) -> None:
        assert "2026-11-20T10:00:00Z" == iso(CheckedQueries().private_trades("2026-11-20").window.end)
        assert "2026-11-21T00:00:00Z" == iso(CheckedQueries().private_trades("2026-11-20", "2026-11-21").window.end)

    def test_snapshots_without_a_time_are_refused_with_a_useful_one(self) -> None:
        with pytest.raises(QueryError, match="such as at='2026-11-19T16:00:00Z'"):
            CheckedQueries().snapshots("x")

        assert CheckedQueries(intraday=True).snapshots("x").at is None
        assert CheckedQueries().last_trade("x").at is None

    @pytest.mark.parametrize("name", ["last_trade", "snapshots"])
    @pytest.mark.parametrize(
        "at, match",
        [("2026-11-20T00:01", "intraday entitlement"), ("2024-01-01T00:00:30", "whole minute"), (5, "no")],
    )
    def test_instant_is_a_whole_minute_within_the_data(self, name: str, at: Any, match: str) -> None:
        with pytest.raises(QueryError, match=match):
            getattr(CheckedQueries(), name)("x", at=at)

    @pytest.mark.parametrize("name", ["ohlcv", "top_of_book", "order_book"])
    def test_endpoints_of_one_contract_per_request_refuse_a_front(self, name: str) -> None:
        with pytest.raises(QueryError, match=f"{name} takes one contract per request"):
            getattr(CheckedQueries(), name)(Front("TTF", "Months", 3), "2024-01-01", "2024-01-02")

    @pytest.mark.parametrize(
        "option", [{"depth": 0}, {"depth": 1.5}, {"depth": True}, {"max_spread": 0}, {"max_spread": "1"},
                   {"max_spread": True}, {"include_empty": 1}, {"interval": "1d"}, {"fields": ["vwap"]}]
    )  # fmt: skip
    def test_invalid_options_of_a_book_are_refused(self, option: dict[str, Any]) -> None:
        with pytest.raises(QueryError, match=next(iter(option)).removesuffix("s")):
            CheckedQueries().order_book("x", "2024-01-01", "2024-01-02", **option)

    def test_one_field_of_the_api_may_be_two_columns(self) -> None:
        for fields in ("venueCode", ["bid_venue_code", "ask_venue_code"]):
            query = CheckedQueries().top_of_book("x", "2024-01-01", "2024-01-02", fields=fields)

            assert ["bid_venue_code", "ask_venue_code"] == [column.name for column in query.fields]

    @pytest.mark.parametrize(
        "name, given",
        [
            ("trades", {"contract": "x", "start": "2024-01-01", "end": "2024-01-02"}),
            ("trades", {"contract": "x", "start": "2024-01-01", "verify": True, "deduplicate": False}),
            ("private_trades", {"start": "2024-01-01"}),
            ("activity", {"start": "2024-01-01"}),
            ("top_of_book", {"contract": "x", "start": "2024-01-01"}),
            ("order_book", {"contract": "x", "start": "2024-01-01"}),
        ],
    )
    def test_iterators_are_read_once(self, name: str, given: dict[str, Any]) -> None:
        query = getattr(CheckedQueries(), name)(
            **given, routes=(name for name in ["House", 904]), fields=(name for name in ["route_id"])
        )

        assert (("House", "904"), True) == (query.routes, "route_id" in [column.name for column in query.fields])

    def test_verify_needs_trades_that_activity_counts(self) -> None:
        with pytest.raises(QueryError, match="deduplicate=False"):
            ask(verify=True, routes="all")

        assert ask(verify=True, routes="all", deduplicate=False).verify
        with pytest.raises(QueryError, match="only the response names those of a Front"):
            ask(Front("TTF", "Months", 3), verify=True)

    def test_description_of_a_book_has_all_its_options(self) -> None:
        query = CheckedQueries().order_book("x", "2024-01-01", "2024-01-02", "15s", depth=3, max_spread=1.5)

        assert {
            "query": "order_book",
            "contract": ["x"],
            "start": "2024-01-01T00:00:00+00:00",
            "end": "2024-01-02T00:00:00+00:00",
            "interval": "15s",
            "depth": 3,
            "max_spread": 1.5,
            "include_private": False,
            "include_empty": False,
            "routes": [],
            "deduplicate": True,
            "fields": [],
        } == json.loads(json.dumps(query.describe()))
        assert "2024-02-05T16:00:00+00:00" == CheckedQueries().snapshots("x", at="2024-02-05T16").describe()["at"]
