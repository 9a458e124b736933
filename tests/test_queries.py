"""Questions as they are asked: every slip is caught before anything is sent."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from trayport import Contract, ContractError, Front, Market, QueryError, TrayportWarning
from trayport._time import iso
from trayport.queries import Queries, Query, QueryContext

APRIL = Contract(Market(10000065), 10000305, 232)


class Questions(Queries[Query]):
    """Answers each question with itself."""

    def __init__(self, tz: str = "UTC", intraday: bool = False) -> None:
        self.tz, self.intraday = tz, intraday

    def _context(self) -> QueryContext:
        return QueryContext(self.tz, pd.Timestamp("2026-11-20T10:00", tz="UTC"), self.intraday)

    def _ask(self, query: Query) -> Query:
        return query


def ask(contract: Any = "TTF Apr-24", start: Any = "2024-01-01", end: Any = "2024-01-02", **options: Any) -> Query:
    return Questions().trades(contract, start, end, **options)


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
def test_one_contract_or_several_or_a_front_may_be_asked_for(contract: Any, expected: Any) -> None:
    assert expected == ask(contract).contracts


@pytest.mark.parametrize("contract", [10000065, [10000065], ["TTF Apr-24", 232], True])
def test_bare_ids_are_refused_with_both_ways_to_say_it(contract: Any) -> None:
    with pytest.raises(ContractError, match=r"bare id.*'TTF Apr-24'.*Contract\(Market\(10000065\), 10000305, 232\)"):
        ask(contract)


@pytest.mark.parametrize("contract", [None, "", "  ", ["TTF Apr-24", ""], 1.5, [Front("TTF", "Months", 2)]])
def test_what_is_no_contract_is_refused(contract: Any) -> None:
    with pytest.raises(ContractError, match="neither a name"):
        ask(contract)


def test_no_contract_at_all_is_refused() -> None:
    with pytest.raises(QueryError, match="contract is empty"):
        ask([])


def test_more_than_fifty_in_front_are_refused_with_the_way_out() -> None:
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
def test_fields_are_columns_or_the_wires_names_in_the_tables_order(fields: Any, names: list[str]) -> None:
    assert names == [column.name for column in ask(fields=fields).fields]


@pytest.mark.parametrize(
    "field, hint",
    [
        ("aggresor_sleeve", "did you mean 'aggressor_sleeve'"),
        ("is_private", "it has"),
        ("aggressor_trader_id", "it has"),
        (3, "it has"),
        ("", "it has"),
        ("public_copy", "it has"),
    ],
)
def test_an_unknown_field_is_refused_with_those_that_there_are(field: Any, hint: str) -> None:
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


def test_asking_for_routes_brings_the_column_along() -> None:
    assert ["route"] == [column.name for column in ask(routes="all").fields]


@pytest.mark.parametrize("routes", [[""], ["a,b"], [1.5], [True], [0], [None]])
def test_what_is_no_route_is_refused(routes: Any) -> None:
    with pytest.raises(QueryError, match="neither the name nor the id of a route"):
        ask(routes=routes)


def test_all_routes_and_others_beside_are_refused() -> None:
    with pytest.raises(QueryError, match="'all' stands alone"):
        ask(routes=["all", "House"])


@pytest.mark.parametrize("name", ["include_private", "deduplicate"])
@pytest.mark.parametrize("value", [None, 1, "true"])
def test_switches_are_true_or_false_and_nothing_else(name: str, value: Any) -> None:
    with pytest.raises(QueryError, match=f"{name}={value!r} must be True or False"):
        ask(**{name: value})


def test_an_option_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        ask(include_pirvate=True)


def test_naive_times_are_read_in_the_zone_and_frames_come_back_in_it() -> None:
    query = Questions("Europe/Amsterdam").trades("TTF Apr-24", "2024-01-02", "2024-07-01")

    assert ("2024-01-01 23:00", "2024-06-30 22:00") == (
        f"{query.window.start:%Y-%m-%d %H:%M}",
        f"{query.window.end:%Y-%m-%d %H:%M}",
    )
    assert "Europe/Amsterdam" == query.tz


def test_a_question_describes_itself_in_plain_json() -> None:
    said = ask(["TTF Apr-24", APRIL], fields=["route_id"], routes="all").describe()

    assert said == json.loads(json.dumps(said))
    assert ["TTF Apr-24", "market:10000065 10000305:232"] == said["contract"]
    assert ["route", "route_id"] == said["fields"]
    assert ["TTF front 3 of Months"] == ask(Front("TTF", "Months", 3)).describe()["contract"]


class TestOtherQuestions:
    """What each of the other questions refuses, and what it makes of what it takes."""

    LATE = "2026-11-19T12:00:00"

    @pytest.mark.parametrize("interval", ["1d", "7d", "1mo"])
    def test_dates_of_coarse_candles_are_days_in_utc(self, interval: Any) -> None:
        asked = Questions("Europe/Amsterdam").ohlcv("x", "2024-01-01", "2024-07-01", interval)

        assert ("2024-01-01", "2024-07-01") == (f"{asked.window.start:%F}", f"{asked.window.end:%F}")
        assert asked.window.start == asked.window.start.normalize()

    def test_dates_of_fine_candles_are_days_of_the_zone(self) -> None:
        asked = Questions("Europe/Amsterdam").ohlcv("x", "2024-01-01", "2024-01-02", "1h")

        assert "2023-12-31T23:00:00Z" == iso(asked.window.start)

    @pytest.mark.parametrize(
        "start, end, interval, match",
        [
            ("2024-01-01T00:01", "2024-01-02", "15min", "start .*T00:01:00Z is not on the grid of 15min.*00:15"),
            ("2024-01-01", "2024-01-02T02:00", "4h", "end .*nearest points are 2024-01-02T00:00:00Z and 2024-01-02T04"),
            ("2024-01-02", "2024-01-15", "7d", "2024-01-01T00:00:00Z and 2024-01-08"),
            ("2024-01-01", "2024-01-15", "1mo", "2024-01-01T00:00:00Z and 2024-02-01"),
        ],
    )  # fmt: skip
    def test_candles_begin_and_end_on_their_grid(self, start: str, end: str, interval: Any, match: str) -> None:
        with pytest.raises(QueryError, match=match):
            Questions().ohlcv("x", start, end, interval)

    @pytest.mark.parametrize(
        "interval, end",
        [("1d", "2026-11-20"), ("7d", "2026-11-16"), ("1mo", "2026-11-01"), ("4h", "2026-11-20")],
    )
    def test_no_end_is_that_of_the_last_candle_that_is_whole(self, interval: Any, end: str) -> None:
        start = "2026-01-05" if interval == "7d" else "2026-01-01"

        assert end == f"{Questions().ohlcv('x', start, None, interval).window.end:%F}"

    def test_no_end_of_a_book_is_that_of_the_last_whole_interval(self) -> None:
        asked = Questions(intraday=True).top_of_book("x", "2026-11-19T08:00:01", None, "1h")

        assert "2026-11-20T09:00:01Z" == iso(asked.window.end)

    @pytest.mark.parametrize("question", ["top_of_book", "order_book"])
    def test_before_there_were_orders_nothing_is_asked(self, question: str) -> None:
        ask = getattr(Questions(), question)
        with pytest.raises(QueryError, match="from which on there are orders"):
            ask("x", "2020-01-01", "2020-01-31")
        with pytest.warns(TrayportWarning, match="the books of EPEX, GMEG, .*NODX begin only after 2021-01-31"):
            ask("x", "2021-01-31", "2021-02-02")
        ask("x", "2021-02-01", "2021-02-02")

    @pytest.mark.parametrize(
        "start, end, match",
        [
            ("2023-04-09", "2023-04-12", "before 2023-04-10T00:00:00Z, where activity begins"),
            ("2024-01-01T00:00:30", "2024-01-02", "start .* whole minute"),
            ("2024-01-01", "2024-01-02T00:00:01", "end .* whole minute"),
        ],
    )
    def test_activity_is_of_whole_minutes_from_its_first_day_on(self, start: str, end: str, match: str) -> None:
        with pytest.raises(QueryError, match=match):
            Questions().activity(start, end)

    def test_own_trades_are_there_at_once(self) -> None:
        assert "2026-11-20T10:00:00Z" == iso(Questions().private_trades("2026-11-20").window.end)
        assert "2026-11-21T00:00:00Z" == iso(Questions().private_trades("2026-11-20", "2026-11-21").window.end)

    def test_a_snapshot_without_its_minute_is_refused_with_one_that_makes_sense(self) -> None:
        with pytest.raises(QueryError, match="such as at='2026-11-19T16:00:00Z'"):
            Questions().snapshots("x")

        assert Questions(intraday=True).snapshots("x").at is None
        assert Questions().last_trade("x").at is None

    @pytest.mark.parametrize("question", ["last_trade", "snapshots"])
    @pytest.mark.parametrize(
        "at, match",
        [("2026-11-20T00:01", "intraday rights"), ("2024-01-01T00:00:30", "whole minute"), (5, "no")],
    )
    def test_the_minute_is_whole_and_known(self, question: str, at: Any, match: str) -> None:
        with pytest.raises(QueryError, match=match):
            getattr(Questions(), question)("x", at=at)

    @pytest.mark.parametrize("question", ["ohlcv", "top_of_book", "order_book"])
    def test_one_contract_a_request_means_no_front(self, question: str) -> None:
        with pytest.raises(QueryError, match=f"{question} takes one contract a request"):
            getattr(Questions(), question)(Front("TTF", "Months", 3), "2024-01-01", "2024-01-02")

    @pytest.mark.parametrize(
        "option", [{"depth": 0}, {"depth": 1.5}, {"depth": True}, {"max_spread": 0}, {"max_spread": "1"},
                   {"max_spread": True}, {"include_empty": 1}, {"interval": "1d"}, {"fields": ["vwap"]}]
    )  # fmt: skip
    def test_a_wrong_option_of_a_book_is_refused(self, option: dict[str, Any]) -> None:
        with pytest.raises(QueryError, match=next(iter(option)).removesuffix("s")):
            Questions().order_book("x", "2024-01-01", "2024-01-02", **option)

    def test_a_field_may_stand_for_two_columns(self) -> None:
        for fields in ("venueCode", ["bid_venue_code", "ask_venue_code"]):
            asked = Questions().top_of_book("x", "2024-01-01", "2024-01-02", fields=fields)

            assert ["bid_venue_code", "ask_venue_code"] == [column.name for column in asked.fields]

    @pytest.mark.parametrize(
        "question, given",
        [
            ("trades", {"contract": "x", "start": "2024-01-01", "end": "2024-01-02"}),
            ("trades", {"contract": "x", "start": "2024-01-01", "verify": True, "deduplicate": False}),
            ("private_trades", {"start": "2024-01-01"}),
            ("activity", {"start": "2024-01-01"}),
            ("top_of_book", {"contract": "x", "start": "2024-01-01"}),
            ("order_book", {"contract": "x", "start": "2024-01-01"}),
        ],
    )
    def test_what_can_be_walked_but_once_is_walked_but_once(self, question: str, given: dict[str, Any]) -> None:
        asked = getattr(Questions(), question)(
            **given, routes=(name for name in ["House", 904]), fields=(name for name in ["route_id"])
        )

        assert (("House", "904"), True) == (asked.routes, "route_id" in [column.name for column in asked.fields])

    def test_verifying_needs_what_activity_counts(self) -> None:
        with pytest.raises(QueryError, match="deduplicate=False"):
            ask(verify=True, routes="all")

        assert ask(verify=True, routes="all", deduplicate=False).verify
        with pytest.raises(QueryError, match="of a Front only the answer says it"):
            ask(Front("TTF", "Months", 3), verify=True)

    def test_what_was_asked_is_said_in_plain_values(self) -> None:
        asked = Questions().order_book("x", "2024-01-01", "2024-01-02", "15s", depth=3, max_spread=1.5)

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
        } == json.loads(json.dumps(asked.describe()))
        assert "2024-02-05T16:00:00+00:00" == Questions().snapshots("x", at="2024-02-05T16").describe()["at"]
