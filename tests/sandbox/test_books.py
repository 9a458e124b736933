"""Order books of the sandbox are sorted, not crossed, and the same in every response.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import (
    CONTRACTS,
    EUA,
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

from trayport.sandbox import Sandbox

TOP, BOOK = "/orders/book/top", "/orders/book"
SECOND = 10**9
HOUR = {"from": "2024-02-05T09", "until": "2024-02-05T10", "interval": 1, "intervalUnit": "minute", **TTF}
NOW = datetime.datetime(2024, 2, 7, 12, 7, 30, tzinfo=datetime.UTC)
PROMPT = [{**TTF, "sequenceId": 10000302, "sequenceItemId": number} for number in (2, 4, 35)]
SIDES = ("bidPrice", "bidQuantity", "askPrice", "askQuantity")


def timestamps(rows: list[dict[str, Any]]) -> list[int]:
    return [row["timestamp"] for row in rows]


class TestTop:
    """Tests of ``/orders/book/top``."""

    def test_response_matches_the_document_with_a_point_at_each_interval_end(self, sandbox: Sandbox) -> None:
        rows = get_json(sandbox, TOP, HOUR)

        first = nanoseconds("2024-02-05T09:00")
        assert [first + minute * 60 * SECOND for minute in range(1, 61)] == timestamps(rows)
        for row in rows:
            validate("BookTop", row)
            assert {"timestamp", *SIDES} == set(row)

    @pytest.mark.parametrize("routes", [{}, {"routes": "Desk"}])
    def test_every_optional_field_is_returned_on_request(self, sandbox: Sandbox, routes: dict[str, str]) -> None:
        thin = {**HOUR, "until": "2024-02-05T17", "sequenceItemId": 262, "instrumentId": 10002806, "marketId": None}
        rows = get_json(
            sandbox, TOP, {**thin, **routes}, optionalFields=optional_fields(TOP), includeEmptyBuckets="true"
        )

        assert 480 == len(rows)
        for row in rows:
            validate("BookTop", row)
            assert {"timestamp", *SIDES, "bidVenueCode", "askVenueCode", "route", "routeId"} == set(row)
            for side in ("bid", "ask"):
                assert row[f"{side}VenueCode"] == (None if row[f"{side}Price"] is None else "EEX7")

    @examples(15)
    @given(
        contract=st.sampled_from(CONTRACTS),
        start=st.integers(0, 30 * 86_400),
        interval=st.sampled_from([(1, "second"), (15, "second"), (7, "minute"), (2, "hour")]),
        routes=st.sampled_from([{}, {"routes": "Desk"}, {"routes": "all"}]),
    )
    def test_top_is_the_best_of_the_book(
        self,
        sandbox: Sandbox,
        contract: dict[str, Any],
        start: int,
        interval: tuple[int, str],
        routes: dict[str, str],
    ) -> None:
        count, unit = interval
        first = nanoseconds("2024-02-01") + start * SECOND
        span = 200 * count * {"second": 1, "minute": 60, "hour": 3600}[unit] * SECOND
        asked = {"from": iso_time(first), "until": iso_time(first + span), "interval": count, "intervalUnit": unit,
                 "optionalFields": "venueCode", "includeEmptyBuckets": "true", **contract, **routes}  # fmt: skip
        books = get_json(sandbox, BOOK, asked)

        assert [best_of(book) for book in books] == [
            {name: row[name] for name in row if name not in ("route", "timestamp")}
            for row in get_json(sandbox, TOP, asked)
        ]

    def test_maximum_of_100_000_points_is_allowed(self, sandbox: Sandbox) -> None:
        asked = {**HOUR, "from": "2024-02-05T06:13:20", "until": "2024-02-06T10:00", "intervalUnit": "second"}

        assert 36_000 < len(get_json(sandbox, TOP, asked)) < 100_000
        assert ["until"] == refused_parameters(sandbox, TOP, {**asked, "until": "2024-02-06T10:00:01"})

    def test_each_route_has_a_row_without_deduplication(self, sandbox: Sandbox) -> None:
        asked = {**HOUR, "optionalFields": "routeId"}
        rows = get_json(sandbox, TOP, asked, routes="all", deduplicateRoutes="false")

        assert [("House", 652), ("Desk", 904)] * 60 == [(row["route"], row["routeId"]) for row in rows]
        assert rows[::2] == get_json(sandbox, TOP, asked, routes="all") == get_json(sandbox, TOP, asked, routes="House")
        assert rows[1::2] == get_json(sandbox, TOP, asked, routes="Desk")
        assert timestamps(rows) == sorted(timestamps(rows))

    def test_top_has_no_private_orders(self, sandbox: Sandbox) -> None:
        assert get_json(sandbox, TOP, HOUR) == get_json(sandbox, TOP, HOUR, includePrivate="true", depth=3)
        assert frozenset({"includeprivate", "depth"}) == sandbox.asked[-1].ignored


def best_of(book: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for side in ("bid", "ask"):
        best = book[f"{side}s"][0] if book[f"{side}s"] else {}
        for name in ("price", "quantity", "venueCode"):
            found[side + name[0].upper() + name[1:]] = best.get(name)
    return found


class TestBook:
    """Tests of ``/orders/book``."""

    @pytest.mark.parametrize("contract", CONTRACTS)
    def test_orders_are_sorted_on_ticks_and_not_crossed(self, sandbox: Sandbox, contract: dict[str, Any]) -> None:
        asked = {**HOUR, "marketId": None, **contract, "until": "2024-02-05T17"}
        books = get_json(sandbox, BOOK, asked, depth=100, optionalFields="venueCode")

        assert len(books) > 10
        for book in books:
            validate("Book", book)
            assert book["bids"] or book["asks"]
            bids, asks = ([order["price"] for order in book[side]] for side in ("bids", "asks"))
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            assert not bids or not asks or bids[0] < asks[0]
            for side in ("bids", "asks"):
                prices = [order["price"] for order in book[side]]
                # Exchanges report the sum of the orders at each price.
                assert len(set(prices)) == len(prices) or "marketId" in contract
                assert all(order["quantity"] > 0 for order in book[side])
                assert all(round(order["price"] * 1000) % 5 == 0 for order in book[side])

    @examples(30)
    @given(
        contract=st.sampled_from([*CONTRACTS, *PROMPT]),
        day=st.dates(datetime.date(2022, 2, 1), datetime.date(2024, 3, 27)),
        second=st.integers(7 * 3600, 17 * 3600),
        interval=st.integers(1, 60),
        private=st.sampled_from(["true", "false"]),
    )
    def test_levels_of_a_venue_are_sorted_and_not_crossed(
        self, sandbox: Sandbox, contract: dict[str, Any], day: datetime.date, second: int, interval: int, private: str
    ) -> None:
        first = nanoseconds(str(day)) + second * SECOND
        asked = {"from": iso_time(first), "until": iso_time(first + 10 * interval * SECOND), "interval": interval,
                 "intervalUnit": "second", "depth": 1000, "includePrivate": private,
                 "optionalFields": "venueCode", **contract}  # fmt: skip
        for book in get_json(sandbox, BOOK, asked, includeEmptyBuckets="true"):
            levels = {side: [(order["venueCode"], order["price"]) for order in book[side]] for side in ("bids", "asks")}
            for venue in {venue for found in levels.values() for venue, _ in found}:
                bids, asks = ([price for at, price in levels[side] if at == venue] for side in ("bids", "asks"))
                assert bids == sorted(bids, reverse=True)
                assert asks == sorted(asks)
                assert max(bids, default=-math.inf) < min(asks, default=math.inf)

    @pytest.mark.parametrize("depth", [1, 2, 10, 37])
    def test_depth_keeps_the_best_orders(self, sandbox: Sandbox, depth: int) -> None:
        deep = get_json(sandbox, BOOK, HOUR, depth=1000, optionalFields="venueCode")
        cut = get_json(sandbox, BOOK, HOUR, depth=depth, optionalFields="venueCode")

        assert max(len(book["bids"]) for book in deep) > 40
        for whole, book in zip(deep, cut, strict=True):
            assert (whole["bids"][:depth], whole["asks"][:depth]) == (book["bids"], book["asks"])
        assert (depth == 10) == (get_json(sandbox, BOOK, HOUR, optionalFields="venueCode") == cut)

    @pytest.mark.parametrize("percent", ["0", "0.05", "1"])
    @pytest.mark.parametrize("depth", [5, 100])
    def test_max_spread_is_the_distance_from_the_best_of_the_same_side(
        self, sandbox: Sandbox, percent: str, depth: int
    ) -> None:
        near = get_json(sandbox, BOOK, HOUR, depth=depth, maxSpread=percent)
        for whole, book in zip(get_json(sandbox, BOOK, HOUR, depth=depth), near, strict=True):
            for side in ("bids", "asks"):
                best = whole[side][0]["price"]
                within = [order for order in whole[side] if abs(order["price"] - best) <= best * float(percent) / 100]
                assert within == book[side]

    @pytest.mark.parametrize("most", ["1e9", "123456789e7", "999999999e9"])
    def test_very_large_max_spread_keeps_all_orders(self, sandbox: Sandbox, most: str) -> None:
        assert get_json(sandbox, BOOK, HOUR, depth=50) == get_json(sandbox, BOOK, HOUR, depth=50, maxSpread=most)

    def test_max_spread_works_with_negative_prices(self, sandbox: Sandbox) -> None:
        spread = {**HOUR, "contractType": "Spread", "sequenceItemId": 246, "secondSequenceItemId": 249}
        books = get_json(sandbox, BOOK, spread, maxSpread=10)

        assert books
        assert all(book[side][0]["price"] < 0 for book in books for side in ("bids", "asks") if book[side])

    def test_own_orders_are_marked_and_come_twice_from_private_feeds(self, sandbox: Sandbox) -> None:
        asked = {**HOUR, "depth": 1000, "optionalFields": "venueCode"}
        own, statuses = set(), set()
        for public, book in zip(
            get_json(sandbox, BOOK, asked), get_json(sandbox, BOOK, asked, includePrivate="true"), strict=True
        ):
            validate("Book", book)
            for side in ("bids", "asks"):
                plain = [{name: order[name] for name in order if name != "privateFields"} for order in book[side]]
                hidden = [
                    order
                    for order in book[side]
                    if "privateFields" in order and order["venueCode"] in ("ICE", "EEX7", "NDAQ")
                ]
                assert len(public[side]) + len(hidden) == len(book[side])
                assert all(order in plain for order in public[side])
                own |= {order["venueCode"] for order in book[side] if "privateFields" in order}
                statuses |= {order["privateFields"]["orderStatus"] for order in hidden}

        assert {"Firm", "Withheld"} == statuses
        assert own > {"ICE", "EEX7"}
        assert own & {"TFS", "ICAP", "SPEC", "PREB", "GRFN", "GFI", "42FS"}

    def test_there_are_no_private_orders_before_their_first_day(self, sandbox: Sandbox) -> None:
        asked = {**HOUR, **EUA, "includePrivate": "true", "intervalUnit": "second", "interval": 30}
        texts = [
            send(sandbox, f"/api{BOOK}", {**asked, "from": f"2021-{day}T08", "until": f"2021-{day}T16"}).text
            for day in ("01-29", "02-01")
        ]

        assert ["privateFields" in text for text in texts] == [False, True]

    def test_routes_select_orders(self, sandbox: Sandbox) -> None:
        def orders(**changes: str) -> list[Any]:
            asked = {**HOUR, "depth": 1000, "optionalFields": "route,routeId,venueCode", **changes}
            return [order for book in get_json(sandbox, BOOK, asked) for order in book["bids"]]

        house, desk, both = orders(), orders(routes="Desk"), orders(routes="all", deduplicateRoutes="false")
        assert ({"House"}, {"Desk"}) == ({each["route"] for each in house}, {each["route"] for each in desk})
        assert 0 < len(desk) < len(house)
        assert len(house) + len(desk) == len(both)
        assert house == orders(routes="all") == orders(routes="904,652")

    @pytest.mark.parametrize(
        "changes, parameter",
        [
            ({"depth": 0}, "depth"),
            ({"depth": "deep"}, "depth"),
            ({"maxSpread": "-1"}, "maxSpread"),
            ({"maxSpread": "nan"}, "maxSpread"),
            ({"includePrivate": "1"}, "includePrivate"),
        ],
    )
    def test_wrong_parameter_of_the_book_is_refused_with_400(
        self, sandbox: Sandbox, changes: dict[str, Any], parameter: str
    ) -> None:
        assert [parameter] == refused_parameters(sandbox, BOOK, {**HOUR, **changes})


@pytest.mark.parametrize("path", [TOP, BOOK])
class TestBoth:
    """Common properties of ``/orders/book`` and ``/orders/book/top``."""

    @examples(10)
    @given(cuts=st.lists(st.integers(0, 2880), min_size=2, max_size=4).map(sorted))
    def test_window_is_the_sum_of_its_parts(self, sandbox: Sandbox, path: str, cuts: list[int]) -> None:
        edges = [iso_time(nanoseconds("2024-02-05") + cut * 60 * SECOND) for cut in cuts]
        parts = [
            row
            for start, until in pairwise(edges)
            for row in get_json(sandbox, path, {**HOUR, "from": start, "until": until})
        ]

        assert parts == get_json(sandbox, path, {**HOUR, "from": edges[0], "until": edges[-1]})

    @pytest.mark.parametrize(
        "switches, first, last, count",
        [
            ({}, 1, 60, 60),
            ({"until": "inclusive"}, 1, 60, 60),
            ({"books": "start"}, 0, 59, 60),
            ({"books": "start", "until": "inclusive"}, 0, 60, 61),
            ({"books": "between"}, 1, 59, 59),
            ({"books": "between", "until": "inclusive"}, 1, 60, 60),
        ],
    )
    def test_switches_define_the_times_of_points(
        self, path: str, switches: Any, first: int, last: int, count: int
    ) -> None:
        with Sandbox(limits=False, **switches) as sandbox:
            rows = get_json(sandbox, path, HOUR)

        start = nanoseconds("2024-02-05T09:00")
        assert (start + first * 60 * SECOND, start + last * 60 * SECOND, count) == (
            *timestamps(rows)[:: len(rows) - 1],
            len(rows),
        )

    def test_remainder_shorter_than_the_interval_has_no_point(self, sandbox: Sandbox, path: str) -> None:
        rows = get_json(sandbox, path, {**HOUR, "interval": 25})

        assert [nanoseconds("2024-02-05T09:25"), nanoseconds("2024-02-05T09:50")] == timestamps(rows)

    @pytest.mark.parametrize(
        "changes",
        [
            {"from": "2024-02-10", "until": "2024-02-11"},  # a Saturday
            {"from": "2024-02-05T17:30", "until": "2024-02-06T06:59"},
            {"from": "2024-03-29", "until": "2024-03-30"},  # Good Friday
            {"from": "2020-01-20", "until": "2020-01-21"},  # before the first day of orders
            {"from": "2024-04-02", "until": "2024-04-03"},  # expired
            {"sequenceItemId": 300},  # not listed yet
            {"sequenceItemId": 99_999},
            {"contractType": "Spread", "secondSequenceItemId": 250},
            {"marketId": None, "instrumentId": 10009102},  # an instrument that is never traded
        ],
    )
    def test_there_are_no_orders_without_trading(self, sandbox: Sandbox, path: str, changes: dict[str, Any]) -> None:
        asked = {**HOUR, **changes}
        empty = get_json(sandbox, path, asked, includeEmptyBuckets="true")

        assert [] == get_json(sandbox, path, asked)
        assert len(empty) >= 60
        assert all(row.get("bids") == row.get("asks") == ([] if path == BOOK else None) for row in empty)
        assert all(row.get(name) is None for row in empty for name in SIDES)

    @pytest.mark.parametrize(
        "venue, date", [("ICE", "2020-02-03"), ("TFS", "2020-01-31"), ("NDAQ", "2021-02-01"), ("EEX", "2020-02-03")]
    )
    def test_orders_begin_on_the_day_in_the_guide(self, sandbox: Sandbox, path: str, venue: str, date: str) -> None:
        instrument = {"ICE": 10002228, "TFS": 10002096, "NDAQ": 10009113, "EEX": 10002806}[venue]
        after = datetime.date.fromisoformat(date) + datetime.timedelta(days=1)
        front = 12 * (after.year - 2004) + after.month + 1
        asked = {**HOUR, "marketId": None, "instrumentId": instrument, "sequenceItemId": front}

        assert get_json(sandbox, path, {**asked, "from": date, "until": str(after)})
        before = {**asked, "from": str(after - datetime.timedelta(days=21)), "until": date}
        assert [] == get_json(sandbox, path, before)

    def test_exchange_has_a_new_code_from_the_day_of_its_new_system(self, sandbox: Sandbox, path: str) -> None:
        asked = {
            **HOUR,
            "marketId": None,
            "instrumentId": 10002806,
            "sequenceItemId": 222,
            "optionalFields": "venueCode",
        }
        codes = [
            {code for code in ("EEX", "EEX7") if f'"{code}"' in send(sandbox, f"/api{path}", {**asked, **day}).text}
            for day in ({"from": "2022-04-01", "until": "2022-04-02"}, {"from": "2022-04-04", "until": "2022-04-05"})
        ]

        assert [{"EEX"}, {"EEX7"}] == codes

    @pytest.mark.parametrize(
        "changes, parameter",
        [
            ({"from": None}, "from"),
            ({"until": "2024-02-04"}, "until"),
            ({"until": "2024-04-05T09:01"}, "until"),
            ({"intervalUnit": "second", "until": "2024-02-10"}, "until"),
            ({"interval": None}, "interval"),
            ({"interval": 0}, "interval"),
            ({"interval": "1.5"}, "interval"),
            ({"intervalUnit": None}, "intervalUnit"),
            ({"intervalUnit": "day"}, "intervalUnit"),
            ({"sequenceItemId": "244,245"}, "sequenceItemId"),
            ({"sequenceItemId": None, "tradingItems": 1}, "sequenceItemId"),
            ({"secondSequenceItemId": 245}, "secondSequenceItemId"),
            ({"marketId": None}, "instrumentId"),
            ({"includeEmptyBuckets": "0"}, "includeEmptyBuckets"),
            ({"optionalFields": "contract"}, "optionalFields"),
            ({"routes": "Attic"}, "routes"),
        ],
    )
    def test_wrong_parameter_is_refused_with_400_and_its_name(
        self, sandbox: Sandbox, path: str, changes: dict[str, Any], parameter: str
    ) -> None:
        assert [parameter] == refused_parameters(sandbox, path, {**HOUR, **changes})

    def test_unknown_ids_are_refused_with_404(self, sandbox: Sandbox, path: str) -> None:
        assert 404 == send(sandbox, f"/api{path}", {**HOUR, "sequenceId": 10000400}).status_code

    @pytest.mark.parametrize("intraday", [False, True])
    def test_current_day_is_available_to_an_entitled_key_up_to_now(self, path: str, intraday: bool) -> None:
        with Sandbox(limits=False, now=NOW, key=KEY_OF[intraday]) as sandbox:
            got = send(sandbox, f"/api{path}", {**HOUR, "from": "2024-02-07T12", "until": "2024-02-07T13"})

            assert (200 if intraday else 401) == got.status_code
            if intraday:
                assert [nanoseconds(f"2024-02-07T12:0{minute}") for minute in range(1, 8)] == timestamps(got.json())


def test_another_seed_has_other_books() -> None:
    with Sandbox(limits=False, seed=2) as other, Sandbox(limits=False) as usual:
        assert get_json(other, TOP, HOUR) != get_json(usual, TOP, HOUR)


@pytest.mark.parametrize("switch", [{"books": "middle"}, {"until": "never"}, {"order": "random"}])
def test_a_switch_has_only_its_positions(switch: Any) -> None:
    with pytest.raises(ValueError, match="is none of"):
        Sandbox(**switch)
