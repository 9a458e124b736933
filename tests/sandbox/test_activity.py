"""Activity, own trades and the last trade agree with ``/trades``."""

from __future__ import annotations

import datetime
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import (
    KEY_OF,
    TTF,
    get_json,
    iso_time,
    nanoseconds,
    optional_fields,
    refused_parameters,
    send,
    validate,
)
from support.profiles import examples

from trayport.sandbox import Sandbox, calendar, deliveries
from trayport.sandbox.universe import products

ACTIVITY, PRIVATE, LAST = "/trades/activity", "/trades/private", "/trades/last"
DAY = {"from": "2024-02-05", "until": "2024-02-06"}
NOW = datetime.datetime(2024, 2, 7, 12, 7, 30, tzinfo=datetime.UTC)
ROW = {"instrumentId", "sequenceId", "sequenceItemId", "secondSequenceItemId", "contractType", "count"}
IDS = ("instrumentId", "sequenceId", "sequenceItemId", "secondSequenceItemId", "contractType")
OWN = {"tradeId", "venueCode", "dealDate", "lastUpdated", "price", "quantity", "aggressorBuy"}


def contract_params(row: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters for the contract of a row of activity."""
    return {name: row[name] for name in IDS if row[name] is not None}


class TestActivity:
    """Tests of ``/trades/activity``."""

    def test_response_matches_the_document_sorted_by_count(self, sandbox: Sandbox) -> None:
        rows = get_json(sandbox, ACTIVITY, DAY)

        assert len(rows) > 1000
        assert all(set(row) == ROW for row in rows)
        for row in rows[:200]:
            validate("Activity", row)
        counts = [row["count"] for row in rows]
        assert counts == sorted(counts, reverse=True)
        assert {"SinglePeriod", "PeriodSpread", "PeriodRange"} == {row["contractType"] for row in rows}

    def test_every_optional_field_is_returned_on_request(self, sandbox: Sandbox) -> None:
        rows = get_json(sandbox, ACTIVITY, DAY, routes="all", optionalFields=optional_fields(ACTIVITY))

        for row in rows:
            assert set(row) == ROW | set(optional_fields(ACTIVITY))
        for row in rows[:200]:
            validate("Activity", row)
        assert {("House", 652), ("Desk", 904)} == {(row["route"], row["routeId"]) for row in rows}
        assert {None, 10000065, 10000016} <= {row["marketId"] for row in rows}
        assert sum(row["deleteCount"] for row in rows) > 20
        assert sum(row["updateCount"] for row in rows) > 100
        keys = [(*(row[name] for name in IDS), row["route"]) for row in rows]
        assert len(keys) == len(set(keys))

    @examples(20)
    @given(
        start=st.integers(0, 30 * 1440),
        minutes=st.integers(1, 2 * 1440),
        route=st.sampled_from(["House", "Desk"]),
        place=st.integers(0, 10**6),
    )
    def test_counts_without_deletions_are_the_numbers_of_trades(
        self, sandbox: Sandbox, start: int, minutes: int, route: str, place: int
    ) -> None:
        first = nanoseconds("2024-01-08") + start * 60 * 10**9
        window = {"from": iso_time(first), "until": iso_time(first + minutes * 60 * 10**9), "routes": route}
        rows = get_json(sandbox, ACTIVITY, window, optionalFields="deleteCount")

        for row in rows[:3] + [rows[(place + number) % len(rows)] for number in range(5) if rows]:
            trades = get_json(sandbox, "/trades", {**window, **contract_params(row)})
            assert row["count"] - row["deleteCount"] == len(trades)

    @pytest.mark.parametrize("sequence, offset", [(10000305, 1), (10000306, 3), (10000400, 40), (10000302, 2)])
    @pytest.mark.parametrize("kind", ["SinglePeriod", "Spread", "Range"])
    def test_every_traded_contract_has_a_row(self, sandbox: Sandbox, sequence: int, offset: int, kind: str) -> None:
        market = 10000016 if sequence == 10000400 else 10000065
        rows = get_json(sandbox, ACTIVITY, DAY, optionalFields="marketId,deleteCount")
        wire = {"SinglePeriod": kind}.get(kind, f"Period{kind}")
        told = {
            tuple(row[name] for name in IDS[:-1]): row["count"] - row["deleteCount"]
            for row in rows
            if (row["marketId"], row["sequenceId"], row["contractType"]) == (market, sequence, wire)
            and (kind == "SinglePeriod" or row["secondSequenceItemId"] == row["sequenceItemId"] + offset)
        }
        group = "emissions" if sequence == 10000400 else "gas"
        listed = deliveries.on(group, calendar.day_number(datetime.date(2024, 2, 5))).deliveries
        items = [each.ids[0] for each in listed if each.sequence.id == sequence and each.kind == "single"]
        asked = {**DAY, "marketId": market, "sequenceId": sequence, "contractType": kind, "optionalFields": "contract"}
        questions: list[dict[str, Any]] = (
            [{"sequenceItemId": items[:50]}]
            if kind == "SinglePeriod"
            else [{"sequenceItemId": item, "secondSequenceItemId": item + offset} for item in items]
        )
        trades = [trade for question in questions for trade in get_json(sandbox, "/trades", {**asked, **question})]
        shown = Counter(tuple(trade["contract"][name] for name in IDS[:-1]) for trade in trades)

        assert shown == {key: count for key, count in told.items() if count}
        assert shown or kind == "Range" or sequence == 10000306

    def test_two_days_are_the_sum_of_each_and_seconds_are_ignored(self, sandbox: Sandbox) -> None:
        def counts(start: str, until: str) -> Counter[Any]:
            rows = get_json(sandbox, ACTIVITY, {"from": start, "until": until})
            return Counter({tuple(row[name] for name in IDS): row["count"] for row in rows})

        both = counts("2024-02-05T10:30", "2024-02-06T09:15")
        assert both == counts("2024-02-05T10:30", "2024-02-05T13:00") + counts("2024-02-05T13:00", "2024-02-06T09:15")
        assert both == counts("2024-02-05T10:30:59", "2024-02-06T09:15:30")

    def test_weekends_have_no_activity(self, sandbox: Sandbox) -> None:
        assert [] == get_json(sandbox, ACTIVITY, {"from": "2024-02-10", "until": "2024-02-12"})

    def test_unknown_parameters_are_ignored(self, sandbox: Sandbox) -> None:
        rows = get_json(sandbox, ACTIVITY, DAY, marketId=10000065, deduplicateRoutes="false")

        assert rows == get_json(sandbox, ACTIVITY, DAY)
        assert frozenset({"marketid", "deduplicateroutes"}) == sandbox.asked[-2].ignored

    @pytest.mark.parametrize(
        "changes, parameter",
        [
            ({"from": None}, "from"),
            ({"until": None}, "until"),
            ({"from": "2023-04-09", "until": "2023-04-11"}, "from"),
            ({"from": "2023-04-09T23:59:59"}, "until"),
            ({"until": "2024-02-12T00:01"}, "until"),
            ({"until": "2024-02-04"}, "until"),
            ({"optionalFields": "contract"}, "optionalFields"),
            ({"routes": "Attic"}, "routes"),
        ],
    )
    def test_wrong_parameter_is_refused_with_400_and_its_name(
        self, sandbox: Sandbox, changes: dict[str, Any], parameter: str
    ) -> None:
        assert [parameter] == refused_parameters(sandbox, ACTIVITY, {**DAY, **changes})

    @pytest.mark.parametrize(
        "window", [("2023-04-10", "2023-04-17"), ("2024-02-05", "2024-02-12T00:00:59"), ("2024-02-05", "2024-02-05")]
    )
    def test_requests_at_the_limits_are_allowed(self, sandbox: Sandbox, window: tuple[str, str]) -> None:
        assert 200 == send(sandbox, f"/api{ACTIVITY}", dict(zip(("from", "until"), window, strict=True))).status_code

    @pytest.mark.parametrize(
        "until, intraday, status",
        [("2024-02-07", False, 200), ("2024-02-07T00:00:59", False, 200), ("2024-02-07T00:01", False, 401),
         ("2024-02-08", True, 200)],
    )  # fmt: skip
    def test_current_day_needs_the_entitlement(self, until: str, intraday: bool, status: int) -> None:
        with Sandbox(limits=False, now=NOW, key=KEY_OF[intraday]) as sandbox:
            window = {"from": "2024-02-07" if intraday else "2024-02-06", "until": until}
            assert status == send(sandbox, f"/api{ACTIVITY}", window).status_code
            if intraday:
                so_far = get_json(sandbox, ACTIVITY, {"from": "2024-02-07", "until": "2024-02-07T12:08"})
                assert so_far == get_json(sandbox, ACTIVITY, window)


class TestPrivate:
    """Tests of ``/trades/private``."""

    def private_rows(self, sandbox: Sandbox, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the private rows of ``/trades`` with flat fields."""
        rows = get_json(sandbox, "/trades", params, includePrivate="true")
        return [
            {**{name: row[name] for name in row if name != "privateFields"}, **row["privateFields"]}
            for row in rows
            if "privateFields" in row
        ]

    @pytest.mark.parametrize("routes", [{}, {"routes": "all"}, {"routes": "all", "deduplicateRoutes": "false"}])
    @pytest.mark.parametrize("contract", [TTF, {**TTF, "contractType": "Spread", "secondSequenceItemId": 245}])
    def test_rows_are_the_private_rows_of_trades_with_flat_fields(
        self, sandbox: Sandbox, contract: dict[str, Any], routes: dict[str, str]
    ) -> None:
        asked = {
            "from": "2024-01-08",
            "until": "2024-02-06",
            **contract,
            **routes,
            "optionalFields": optional_fields(PRIVATE),
        }
        rows = get_json(sandbox, PRIVATE, asked)

        assert len(rows) > 2
        assert self.private_rows(sandbox, asked) == [
            {name: row[name] for name in row if name != "lastUpdated"} for row in rows
        ]
        for row in rows:
            validate("PrivateTrade", row)
            assert 0 <= row["lastUpdated"] - row["dealDate"] < 3600 * 10**9
        assert any(row["lastUpdated"] > row["dealDate"] for row in rows) or "Spread" in contract.values()

    def test_requested_contract_is_not_repeated_in_every_row(self, sandbox: Sandbox) -> None:
        rows = get_json(sandbox, PRIVATE, {**DAY, **TTF})

        assert all(row.keys() >= OWN and "contract" not in row for row in rows)
        assert len(rows) > 2

    @pytest.mark.parametrize(
        "asked",
        [
            {},
            {"marketId": 10000065},
            {"instrumentId": 10002228},
            {"marketId": 10000065, "sequenceId": 10000305},
            {"sequenceId": 10000305},
            {"sequenceId": 10000100},
        ],
    )
    def test_request_without_a_contract_returns_all_contracts(self, sandbox: Sandbox, asked: dict[str, int]) -> None:
        everything = get_json(sandbox, PRIVATE, DAY)
        rows = get_json(sandbox, PRIVATE, DAY, **asked)

        assert rows == [
            row for row in everything if all(row["contract"][name] == value for name, value in asked.items())
        ]
        assert len(rows) > 2 or asked == {"sequenceId": 10000100}
        times = [row["dealDate"] for row in rows]
        assert times == sorted(times)
        for row in rows:
            validate("PrivateTrade", row)

    def test_rows_of_all_contracts_are_those_of_each_contract(self, sandbox: Sandbox) -> None:
        everything = get_json(sandbox, PRIVATE, DAY, optionalFields="fromBrokenSpread,route", routes="all")
        for row in everything[::15]:
            contract = contract_params(row["contract"])
            one = get_json(
                sandbox, PRIVATE, {**DAY, **contract}, optionalFields="fromBrokenSpread,contract", routes="all"
            )
            assert row in one
            assert all(each in everything for each in one)

    @examples(10)
    @given(cuts=st.lists(st.integers(0, 2 * 1440), min_size=2, max_size=4).map(sorted))
    def test_window_is_the_sum_of_its_parts(self, sandbox: Sandbox, cuts: list[int]) -> None:
        edges = [iso_time(nanoseconds("2024-02-05") + cut * 60 * 10**9) for cut in cuts]
        parts = [
            row
            for start, until in pairwise(edges)
            for row in get_json(sandbox, PRIVATE, {"from": start, "until": until})
        ]

        assert parts == get_json(sandbox, PRIVATE, {"from": edges[0], "until": edges[-1]})

    def test_own_trades_of_today_need_no_entitlement(self) -> None:
        with Sandbox(limits=False, now=NOW) as sandbox:
            rows = get_json(sandbox, PRIVATE, {"from": "2024-02-07", "until": "2024-02-08"})

            assert len(rows) > 20
            assert max(row["dealDate"] for row in rows) < nanoseconds("2024-02-07T12:07:30")
            assert max(row["lastUpdated"] for row in rows) <= nanoseconds("2024-02-07T12:07:30")
            assert 401 == send(sandbox, params={**TTF, "from": "2024-02-07", "until": "2024-02-08"}).status_code

    @pytest.mark.parametrize(
        "asked, parameter",
        [
            ({"from": None}, "from"),
            ({"until": "2024-03-08T00:00:01"}, "until"),
            ({"instrumentId": 10002228, "marketId": 10000065}, "instrumentId"),
            ({"sequenceItemId": 244}, "instrumentId"),
            ({"marketId": 10000065, "sequenceItemId": 244}, "sequenceId"),
            ({"marketId": 10000065, "sequenceId": 10000305, "sequenceItemId": 244}, "contractType"),
            ({"marketId": 10000065, "sequenceId": 10000305, "contractType": "SinglePeriod"}, "sequenceItemId"),
            ({**TTF, "sequenceItemId": "244,245"}, "sequenceItemId"),
            ({**TTF, "secondSequenceItemId": 245}, "secondSequenceItemId"),
            ({"optionalFields": "vwap"}, "optionalFields"),
            ({"deduplicateRoutes": "maybe"}, "deduplicateRoutes"),
        ],
    )
    def test_wrong_parameter_is_refused_with_400_and_its_name(
        self, sandbox: Sandbox, asked: dict[str, Any], parameter: str
    ) -> None:
        assert [parameter] == refused_parameters(sandbox, PRIVATE, {**DAY, **asked})

    @pytest.mark.parametrize(
        "asked", [{"marketId": 5}, {"sequenceId": 5}, {"marketId": 10000065, "sequenceId": 10000400}]
    )
    def test_unknown_ids_are_refused_with_404(self, sandbox: Sandbox, asked: dict[str, int]) -> None:
        assert 404 == send(sandbox, f"/api{PRIVATE}", {**DAY, **asked}).status_code


class TestLast:
    """Tests of ``/trades/last``."""

    @examples(25)
    @given(seconds=st.integers(0, 5 * 86_400), item=st.sampled_from([244, 250, 280]))
    def test_response_is_the_last_trade_before_the_time(self, sandbox: Sandbox, seconds: int, item: int) -> None:
        at = nanoseconds("2024-02-01") + seconds * 10**9
        asked = {**TTF, "sequenceItemId": item, "optionalFields": "contract"}
        trades = get_json(
            sandbox, "/trades", {"from": iso_time(at - 31 * 86_400 * 10**9), "until": iso_time(at), **asked}
        )
        last = get_json(sandbox, LAST, {**asked, "at": iso_time(at)})

        assert [{name: trade[name] for name in ("price", "dealDate", "contract")} for trade in trades[-1:]] == last
        for row in last:
            validate("LastTrade", row)

    def test_time_is_exclusive(self, sandbox: Sandbox) -> None:
        whole = next(row for row in get_json(sandbox, "/trades", {**DAY, **TTF}) if row["dealDate"] % 10**9 == 0)
        at = whole["dealDate"]

        assert get_json(sandbox, LAST, TTF, at=iso_time(at))[0]["dealDate"] < at
        assert get_json(sandbox, LAST, TTF, at=iso_time(at + 10**9))[0]["dealDate"] >= at

    def test_search_goes_back_one_year(self, sandbox: Sandbox) -> None:
        (last,) = get_json(sandbox, LAST, TTF, at="2024-04-15")
        year = 365 * 86_400 * 10**9

        assert [last] == get_json(sandbox, LAST, TTF, at=iso_time(last["dealDate"] + year))
        assert [] == get_json(sandbox, LAST, TTF, at=iso_time(last["dealDate"] + year + 10**9))

    def test_year_ends_at_the_requested_time(self) -> None:
        with Sandbox(limits=False, now=NOW, key="sandbox-intraday") as sandbox:
            assert 1 == len(get_json(sandbox, LAST, TTF, at="2025-02-06"))
            assert [] == get_json(sandbox, LAST, TTF, at="2025-02-07")

    @pytest.mark.parametrize("intraday, moment", [(False, "2024-02-07"), (True, "2024-02-07T12:07:30")])
    def test_default_time_is_the_end_of_the_available_range(self, intraday: bool, moment: str) -> None:
        with Sandbox(limits=False, now=NOW, key=KEY_OF[intraday]) as sandbox:
            assert get_json(sandbox, LAST, TTF, at=moment) == get_json(sandbox, LAST, TTF)
            later = send(sandbox, f"/api{LAST}", {**TTF, "at": "2024-02-07T00:00:01"})
            assert (200 if intraday else 401) == later.status_code

    @pytest.mark.parametrize(
        "changes, parameter",
        [
            ({"at": "soon"}, "at"),
            ({"at": "2024-02-05T12:00:00.5Z"}, "at"),
            ({"sequenceItemId": "244,245"}, "sequenceItemId"),
            ({"marketId": None}, "instrumentId"),
            ({"optionalFields": "route"}, "optionalFields"),
        ],
    )
    def test_wrong_parameter_is_refused_with_400_and_its_name(
        self, sandbox: Sandbox, changes: dict[str, Any], parameter: str
    ) -> None:
        assert [parameter] == refused_parameters(sandbox, LAST, {**TTF, **changes})


@pytest.mark.parametrize("items", [(244, 248), (245, 244), (244, 245)])
def test_spreads_join_near_periods_in_forward_order(sandbox: Sandbox, items: tuple[int, int]) -> None:
    first, second = items
    spread = {**TTF, "contractType": "Spread", "sequenceItemId": first, "secondSequenceItemId": second}

    assert (items == (244, 245)) == bool(get_json(sandbox, "/trades", {**DAY, **spread}))


def test_most_instruments_are_never_traded(sandbox: Sandbox) -> None:
    rows = get_json(sandbox, ACTIVITY, {"from": "2024-02-05", "until": "2024-02-10"})
    instruments = {row["instrumentId"] for row in rows}

    assert 400 < len(instruments) < 1000 < len(products())
