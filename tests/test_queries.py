"""Questions as they are asked: every slip is caught before anything is sent."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from trayport import Contract, ContractError, Front, Market, QueryError
from trayport.queries import Queries, Query, Scene

APRIL = Contract(Market(10000065), 10000305, 232)


class Questions(Queries[Query]):
    """Answers each question with itself."""

    def __init__(self, tz: str = "UTC", intraday: bool = False) -> None:
        self.tz, self.intraday = tz, intraday

    def _scene(self) -> Scene:
        return Scene(self.tz, pd.Timestamp("2026-11-20T10:00", tz="UTC"), self.intraday)

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
