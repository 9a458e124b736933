"""Consistency of the simulated market's responses, and changes of history."""

from __future__ import annotations

import datetime
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import CONTRACTS, EUA, TTF, get_json, iso_time, nanoseconds
from support.profiles import examples

from trayport.sandbox import Sandbox

SECOND = 10**9
SPREAD = {**TTF, "contractType": "Spread", "secondSequenceItemId": 245}
FIFTH = {"from": "2024-02-05", "until": "2024-02-06"}
MONTHS = [{**TTF, "sequenceItemId": number} for number in (244, 245)]


def traded(sandbox: Sandbox, contract: dict[str, Any], start: str, until: str, **more: Any) -> list[dict[str, Any]]:
    return list(get_json(sandbox, "/trades", contract, **{"from": start, "until": until}, **more))


def identity(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["venueCode"], row["tradeId"], row["dealDate"], row["price"], row["quantity"]


def moment(nanoseconds: int, **later: float) -> datetime.datetime:
    """Return the whole second after a time."""
    return datetime.datetime.fromtimestamp(nanoseconds // SECOND + 1, datetime.UTC) + datetime.timedelta(**later)


@pytest.fixture(scope="module")
def timed() -> Iterator[Sandbox]:
    """A sandbox with a clock set by the test, and a key entitled to the current day."""
    with Sandbox(limits=False, key="sandbox-intraday", volume=10) as sandbox:
        yield sandbox


# --- consistency -----------------------------------------------------------------------------------------------------


@examples(12)
@given(minute=st.integers(0, 4 * 1440), contract=st.sampled_from([*CONTRACTS, SPREAD]))
def test_trade_takes_an_order_from_its_venues_book_of_the_second_before(
    sandbox: Sandbox, minute: int, contract: dict[str, Any]
) -> None:
    start = nanoseconds("2024-02-05") + minute * 60 * SECOND
    window = {"from": iso_time(start), "until": iso_time(start + 3 * 3600 * SECOND)}
    trades = get_json(sandbox, "/trades", contract, **window, optionalFields="fromBrokenSpread")
    deep = {"interval": 1, "intervalUnit": "second", "depth": 100, "optionalFields": "venueCode"}
    for trade in [trade for trade in trades if not trade["fromBrokenSpread"]][:25]:
        before = (trade["dealDate"] - 1) // SECOND * SECOND
        (book,) = get_json(
            sandbox,
            "/orders/book",
            contract,
            **{"from": iso_time(before - SECOND), "until": iso_time(before)},
            **deep,
        )
        side = book["asks" if trade["aggressorBuy"] else "bids"]
        there = [
            order for order in side if (order["venueCode"], order["price"]) == (trade["venueCode"], trade["price"])
        ]

        assert before == book["timestamp"]
        assert trade["quantity"] <= max(order["quantity"] for order in there)


@examples(12)
@given(hour=st.integers(0, 24 * 300), market=st.sampled_from([TTF, EUA, SPREAD, {**TTF, "sequenceItemId": 250}]))
def test_trades_of_a_market_are_those_of_its_instruments(sandbox: Sandbox, hour: int, market: dict[str, Any]) -> None:
    start = nanoseconds("2023-04-10") + hour * 3600 * SECOND
    window = iso_time(start), iso_time(start + 24 * 3600 * SECOND)
    active = get_json(
        sandbox, "/trades/activity", {"from": window[0], "until": window[1], "optionalFields": "marketId"}
    )
    members = {row["instrumentId"] for row in active if row["marketId"] == market["marketId"]}
    apart = [
        identity(row)
        for member in members
        for row in traded(sandbox, {**market, "marketId": None, "instrumentId": member}, *window)
    ]
    together = [identity(row) for row in traded(sandbox, market, *window)]

    assert sorted(apart) == sorted(together)
    assert len(together) == len(set(together))


def test_trade_id_is_unique_at_its_venue_only(sandbox: Sandbox) -> None:
    rows = traded(sandbox, TTF, "2024-02-05", "2024-02-10")
    at_a_venue = Counter((row["venueCode"], row["tradeId"]) for row in rows)
    venues = defaultdict(set)
    for row in rows:
        venues[row["tradeId"]].add(row["venueCode"])

    assert {1} == set(at_a_venue.values())
    assert {1, 2} == {len(each) for each in venues.values()}


def test_trades_at_one_time_have_one_venue_and_side(sandbox: Sandbox) -> None:
    instants = defaultdict(list)
    for row in traded(sandbox, {**TTF, "marketId": None, "instrumentId": 10002806}, "2024-02-05", "2024-02-20"):
        instants[row["dealDate"]].append((row["venueCode"], row["aggressorBuy"], row["price"]))
    together = [rows for rows in instants.values() if len(rows) > 1]

    assert len(together) > 10
    assert {1} == {len(set(rows)) for rows in together}


WEEK = {"from": "2024-02-05", "until": "2024-02-11"}  # Monday to Saturday
GAS, POWER = ({"marketId": market, "contractType": "SinglePeriod"} for market in (10000065, 10009003))


@pytest.mark.parametrize(
    "contract, until",
    [
        pytest.param({**GAS, "sequenceId": 10000302, "sequenceItemId": 2}, 5, id="DA"),
        pytest.param({**GAS, "sequenceId": 10000302, "sequenceItemId": 4}, 5, id="W/END"),
        pytest.param({**GAS, "sequenceId": 10000302, "sequenceItemId": 5}, 5, id="WDNW"),
        pytest.param({**GAS, "sequenceId": 10000302, "sequenceItemId": 35}, 5, id="BOM"),
        pytest.param({**POWER, "sequenceId": 10000100, "sequenceItemId": 7777}, 2, id="Wed 07/02/24"),
        pytest.param({**POWER, "sequenceId": 10000101, "sequenceItemId": 1154}, 5, id="W/END 10-Feb-24"),
        pytest.param({**POWER, "sequenceId": 10000102, "sequenceItemId": 1155}, 5, id="Week 07-24"),
    ],
)
def test_near_deliveries_trade_on_each_working_day_before(
    sandbox: Sandbox, contract: dict[str, Any], until: int
) -> None:
    rows = traded(sandbox, contract, WEEK["from"], WEEK["until"])
    totals = [
        row["count"] - row["deleteCount"]
        for row in get_json(sandbox, "/trades/activity", WEEK, optionalFields="marketId,deleteCount")
        if contract == {name: row[name] for name in contract}
    ]
    month = {**contract, "sequenceId": 10000305, "sequenceItemId": 243}
    month = month if contract["marketId"] == GAS["marketId"] else {**month, "sequenceId": 10000104}
    (front,) = get_json(sandbox, "/trades/last", month, at=WEEK["from"])

    assert set(range(until)) == {moment(row["dealDate"]).weekday() for row in rows}
    assert len(rows) == sum(totals)
    assert all(0.7 < row["price"] / front["price"] < 1.4 for row in rows)


def test_prices_of_a_commodity_move_together_and_winter_costs_more(sandbox: Sandbox) -> None:
    window = {"from": "2023-06-01", "until": "2024-02-01", "interval": 1, "intervalUnit": "day"}
    closes = [
        {
            row["fromTimestamp"]: row["close"]
            for row in get_json(sandbox, "/trades/ohlcv", {**TTF, "sequenceItemId": item}, **window)
        }
        for item in (244, 245, 252)
    ]
    days = sorted(set.intersection(*map(set, closes)))
    changes = [np.diff(np.log([prices[day] for day in days])) for prices in closes]

    assert len(days) > 100
    assert np.corrcoef(changes)[0, 1] > 0.9
    assert np.mean([closes[2][day] > closes[0][day] for day in days]) > 0.9


@pytest.mark.parametrize("date, is_backward", [("2022-08-24", True), ("2020-06-24", False)])
def test_front_price_is_high_in_a_crisis_and_low_in_a_surplus(sandbox: Sandbox, date: str, is_backward: bool) -> None:
    near, far = (
        get_json(sandbox, "/trades/last", {**TTF, "sequenceId": 10000309, "sequenceItemId": item}, at=date)[0]["price"]
        for item in (int(date[:4]) - 2003 + 1, int(date[:4]) - 2003 + 3)
    )

    assert is_backward == (near > far)


def test_sleeves_are_shown_on_own_trades_only(sandbox: Sandbox) -> None:
    more = {"includePrivate": "true", "optionalFields": "aggressorSleeve,initiatorSleeve"}
    rows = traded(sandbox, TTF, "2024-01-08", "2024-02-08", **more)
    sleeves = {("privateFields" in row, row["aggressorSleeve"] or row["initiatorSleeve"]) for row in rows}

    assert {(False, False), (True, False), (True, True)} == sleeves


# --- lifecycle of trades ---------------------------------------------------------------------------------------------


def totals(sandbox: Sandbox, start: int, until: int) -> Counter[str]:
    """Return the numbers of insertions, amendments and deletions of April's trades."""
    window = {
        "from": iso_time(start),
        "until": iso_time(until),
        "optionalFields": "updateCount,deleteCount,marketId",
    }
    found: Counter[str] = Counter()
    for row in get_json(sandbox, "/trades/activity", window):
        if (row["marketId"], row["sequenceItemId"], row["secondSequenceItemId"]) == (10000065, 244, None):
            found.update({name: row[name] for name in ("count", "updateCount", "deleteCount")})
    return found


def test_trades_are_deleted_and_amended_within_hours(timed: Sandbox) -> None:
    start, until = nanoseconds("2024-02-05T07:00"), nanoseconds("2024-02-05T08:30")
    window = (iso_time(start), iso_time(until))
    timed.now = moment(until)
    young, few = (
        {identity(row)[:4]: row for row in traded(timed, TTF, *window)},
        totals(timed, start, until),
    )
    timed.now = moment(until, hours=5)
    old, more = (
        {identity(row)[:4]: row for row in traded(timed, TTF, *window)},
        totals(timed, start, until),
    )
    changed = [key for key in set(young) & set(old) if young[key] != old[key]]

    assert len(set(young) - set(old)) == more["deleteCount"] - few["deleteCount"]
    assert len(changed) <= more["updateCount"] - few["updateCount"]
    assert changed
    assert {10} == {round(young[key]["quantity"] / old[key]["quantity"], 9) for key in changed}
    assert more["count"] - more["deleteCount"] == len(old)
    timed.now = None
    assert traded(timed, TTF, *window) == list(old.values())


def stem(row: dict[str, Any]) -> tuple[str, str]:
    """Return the common part of the trade ids of a spread and its legs."""
    return row["venueCode"], row["tradeId"].removesuffix(" Public")[:-1]


def test_broken_spread_is_replaced_by_its_legs(timed: Sandbox) -> None:
    flags = {"optionalFields": "fromBrokenSpread"}
    legs = [
        {stem(row): row for row in traded(timed, month, "2024-01-08", "2024-01-13", **flags) if row["fromBrokenSpread"]}
        for month in MONTHS
    ]
    both = sorted(set(legs[0]) & set(legs[1]))
    assert len(both) > 3
    for name in both[:4]:
        first, second = legs[0][name], legs[1][name]
        window = (iso_time(first["dealDate"]), iso_time(first["dealDate"] + SECOND))

        def shown(contract: dict[str, Any]) -> list[dict[str, Any]]:
            return [row for row in traded(timed, contract, *window) if stem(row) == name]  # noqa: B023

        timed.now = moment(first["dealDate"])
        (spread,) = shown(SPREAD)
        assert [[], []] == [shown(month) for month in MONTHS]
        timed.now = moment(first["dealDate"], hours=5)

        assert [[], 1, 1] == [shown(SPREAD), *(len(shown(month)) for month in MONTHS)]
        assert round(first["price"] - second["price"], 6) == spread["price"]
        assert {spread["quantity"]} == {first["quantity"], second["quantity"]}
        assert (spread["aggressorBuy"], not spread["aggressorBuy"]) == (first["aggressorBuy"], second["aggressorBuy"])
        assert {spread["dealDate"]} == {first["dealDate"], second["dealDate"]}
        timed.now = None


# --- revisions -------------------------------------------------------------------------------------------------------


@pytest.fixture
def revised() -> Iterator[Sandbox]:
    with Sandbox(limits=False) as sandbox:
        yield sandbox


@pytest.mark.parametrize("venue", ["ICE", "EEX7", "TFS"])
def test_deleted_trade_is_missing_from_every_response_and_counted(revised: Sandbox, venue: str) -> None:
    window = (nanoseconds("2024-02-05"), nanoseconds("2024-02-06"))
    before = traded(revised, TTF, *map(iso_time, window))
    first, counts = next(row for row in before if row["venueCode"] == venue), totals(revised, *window)
    revised.revise(first["venueCode"], first["tradeId"])

    after = traded(revised, TTF, *map(iso_time, window))
    candles = get_json(revised, "/trades/ohlcv", TTF, **FIFTH, interval=1, intervalUnit="day")
    assert [row for row in before if row != first] == after
    assert round(sum(row["quantity"] for row in after), 6) == candles[0]["volume"]
    assert counts + Counter(deleteCount=1) == totals(revised, *window)
    with pytest.raises(ValueError, match="no trade"):
        revised.revise(first["venueCode"], first["tradeId"])


def test_amended_trade_is_the_same_in_every_response_and_counted(revised: Sandbox) -> None:
    window = (nanoseconds("2024-02-05"), nanoseconds("2024-02-06"))
    before, counts = traded(revised, TTF, *map(iso_time, window)), totals(revised, *window)
    last = before[-1]
    revised.revise(last["venueCode"], last["tradeId"], price=99.125, quantity=7)

    after = traded(revised, TTF, *map(iso_time, window))
    assert [*before[:-1], {**last, "price": 99.125, "quantity": 7}] == after
    assert 99.125 == get_json(revised, "/trades/last", TTF, at="2024-02-06")[0]["price"]
    assert 99.125 == get_json(revised, "/snapshots", TTF, at="2024-02-06")["snapshots"][0]["lastTrade"]["price"]
    (candle,) = get_json(revised, "/trades/ohlcv", TTF, **FIFTH, interval=1, intervalUnit="day")
    assert (99.125, 99.125) == (candle["high"], candle["close"])
    assert counts + Counter(updateCount=1) == totals(revised, *window)


def test_amended_own_trade_has_the_time_of_the_amendment(revised: Sandbox) -> None:
    window = {"from": "2024-02-05", "until": "2024-02-10", **TTF}
    first = get_json(revised, "/trades/private", window)[0]
    revised.now = datetime.datetime(2024, 6, 3, 12, tzinfo=datetime.UTC)
    revised.revise(first["venueCode"], first["tradeId"], quantity=0.5)

    again = get_json(revised, "/trades/private", window)[0]
    assert {**first, "quantity": 0.5, "lastUpdated": nanoseconds("2024-06-03T12:00")} == again


def test_deleted_trade_has_no_later_events(timed: Sandbox) -> None:
    start, until = nanoseconds("2024-02-05T07:00"), nanoseconds("2024-02-05T09:00")
    window = (iso_time(start), iso_time(until))
    with Sandbox(limits=False, key="sandbox-intraday", volume=10, now=moment(until)) as sandbox:
        young = traded(sandbox, TTF, *window)
        sandbox.now = moment(until, hours=5)
        old = {row["tradeId"] for row in traded(sandbox, TTF, *window)}
        doomed = [row for row in young if row["tradeId"] not in old][:3]
        counts = totals(sandbox, start, until)
        sandbox.now = moment(until)
        for row in doomed:
            sandbox.revise(row["venueCode"], row["tradeId"])
        sandbox.now = moment(until, hours=5)

        assert doomed
        assert counts == totals(sandbox, start, until)
        assert old == {row["tradeId"] for row in traded(sandbox, TTF, *window)}


def test_deleted_spread_leaves_no_legs(timed: Sandbox) -> None:
    flags = {"optionalFields": "fromBrokenSpread"}
    legs = [row for row in traded(timed, TTF, "2024-01-08", "2024-01-10", **flags) if row["fromBrokenSpread"]]
    for leg in legs:
        window = (iso_time(leg["dealDate"]), iso_time(leg["dealDate"] + SECOND))
        with Sandbox(limits=False, key="sandbox-intraday", volume=10, now=moment(leg["dealDate"])) as sandbox:
            spreads = [row for row in traded(sandbox, SPREAD, *window) if stem(row) == stem(leg)]
            if not spreads:
                continue
            sandbox.revise(spreads[0]["venueCode"], spreads[0]["tradeId"])
            sandbox.now = moment(leg["dealDate"], hours=5)

            assert not any(stem(row) == stem(leg) for month in MONTHS for row in traded(sandbox, month, *window))
            start = leg["dealDate"] // (60 * SECOND) * 60 * SECOND
            inserted = totals(sandbox, start, start + 60 * SECOND)["count"]
            assert inserted == totals(timed, start, start + 60 * SECOND)["count"] - 1
            return
    raise AssertionError("no spread of these days was broken")


def test_revision_is_visible_from_its_time_on(revised: Sandbox) -> None:
    revised.now = datetime.datetime(2024, 6, 3, 12, tzinfo=datetime.UTC)
    before = traded(revised, TTF, "2024-02-05", "2024-02-06")
    revised.revise(before[0]["venueCode"], before[0]["tradeId"])
    assert before[1:] == traded(revised, TTF, "2024-02-05", "2024-02-06")

    revised.now = datetime.datetime(2024, 6, 3, 11, tzinfo=datetime.UTC)
    assert before == traded(revised, TTF, "2024-02-05", "2024-02-06")


def test_trade_is_deleted_once_by_several_threads(revised: Sandbox) -> None:
    first = traded(revised, TTF, "2024-02-05", "2024-02-06")[0]
    done: list[bool] = []

    def delete() -> None:
        try:
            revised.revise(first["venueCode"], first["tradeId"])
            done.append(True)
        except ValueError:
            done.append(False)

    threads = [threading.Thread(target=delete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [False] * 7 + [True] == sorted(done)


@pytest.mark.parametrize(
    "venue, trade, changes",
    [
        ("ICE", "nonsense", {}),
        ("NOPE", "197580760487203238000001", {}),
        ("ICE", "197580000000000000000001", {}),
        ("TFS", "197580760487203238000001", {}),
        ("EEX7", "Eurex T7/8903EC7C9A042024-20241305/1/1 Public", {}),
        ("TFS", "999990000000000000001", {}),
        ("TFS", 5, {}),
    ],
)
def test_unknown_trade_cannot_be_revised(revised: Sandbox, venue: str, trade: str, changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no trade .* take both from a response"):
        revised.revise(venue, trade, **changes)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        *(({"price": price}, "at most three decimals") for price in (1.2345, float("nan"), float("inf"), "abc", True)),
        ({"price": 1e30}, "must lie between -1,000,000 and 1,000,000"),
        ({"quantity": 0}, "must lie above 0 and be at most 1,000,000"),
        ({"quantity": 1e9}, "must lie above 0 and be at most 1,000,000"),
    ],
)
def test_invalid_price_or_quantity_is_refused(revised: Sandbox, changes: dict[str, Any], complaint: str) -> None:
    first = traded(revised, TTF, "2024-02-05", "2024-02-06")[0]

    with pytest.raises(ValueError, match=complaint):
        revised.revise(first["venueCode"], first["tradeId"], **changes)
