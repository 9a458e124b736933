"""Scripts of real users against the sandbox, which must return the known responses of the service.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import brotli
import pytest
import requests
from support.api import nanoseconds
from urllib3.util import SKIP_HEADER

from trayport.sandbox import Sandbox

EXAMPLES = {
    send_example["id"]: send_example
    for send_example in json.loads((Path(__file__).parents[1] / "data" / "examples.json").read_text(encoding="utf-8"))[
        "examples"
    ]
}
EUA_DEC_24 = {"marketId": 10000016, "sequenceId": 10000400, "sequenceItemId": 750, "contractType": "SinglePeriod"}
TTF_EEX = {"instrumentId": 10002806, "sequenceId": 10000305, "contractType": "SinglePeriod"}
MAY_24, JUN_24, JUL_24 = 245, 246, 247


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    """A sandbox on a Wednesday at noon; these users are entitled to data up to the previous day."""
    with Sandbox(limits=False, now=datetime.datetime(2024, 2, 7, 12, tzinfo=datetime.UTC)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def get(desk: Sandbox) -> Iterator[Callable[..., requests.Response]]:
    """A function as in such scripts: a base URL, the header of the key in lower case, and parameters unchanged."""
    with requests.Session() as session:
        session.headers["x-api-key"] = desk.key

        def get(path: str, **params: Any) -> requests.Response:
            return session.get(desk.analytics_url + path, params=params, timeout=30)

        yield get


Get = Callable[..., requests.Response]


# --- the notebook ----------------------------------------------------------------------------------------------------


def test_notebook_goes_from_a_market_to_its_front_month(desk: Sandbox) -> None:
    base, headers = desk.reference_url, {"X-API-KEY": desk.key}
    markets = requests.get(base + "/markets", headers=headers, timeout=30).json()
    [ttf] = [market for market in markets if market["name"] == "TTF Hi Cal 51.6*".rstrip("*")]
    sequences = requests.get(base + ttf["sequences"], headers=headers, timeout=30).json()
    [months] = [sequence for sequence in sequences if sequence["name"] == "Gas - NG Months"]
    items = requests.get(base + months["sequenceItems"], headers=headers, timeout=30).json()

    assert not any("*" in market["name"] for market in markets)
    assert (["Feb-24", "Mar-24"], 243) == ([item["name"] for item in items[:2]], items[1]["id"])
    # The notebook uses these parameters next; the detail page has the link as well.
    detail = requests.get(f"{base}/markets/{ttf['id']}", headers=headers, timeout=30).json()
    assert ttf["sequences"] == detail["sequences"]


def test_notebook_sends_count_and_start_date_in_capitals(desk: Sandbox) -> None:
    url = desk.reference_url + "/sequences/10000305/sequenceItems"
    plain, capitals = (
        requests.get(url, params=params, headers={"x-api-key": desk.key}, timeout=30).json()
        for params in ({"startDate": "2023-09", "count": 3}, {"StartDate": "2023-09-01T00:00:00Z", "Count": 3})
    )

    assert ["Sep-23", "Oct-23", "Nov-23"] == [item["name"] for item in capitals]
    assert plain == capitals


def test_notebook_requests_a_whole_month_by_its_name(get: Get) -> None:
    params = {"MarketId": 10000016, "SequenceId": 10000400, "SequenceItemId": 710, "ContractType": "SinglePeriod"}
    month = get("/trades", **params, From="2023-09", Until="2023-10", optionalFields="FromBrokenSpread")
    exact = get("/trades", **params, **{"from": "2023-09-01T00:00:00Z", "until": "2023-10-01T00:00:00Z"})

    assert len(exact.json()) == len(month.json()) > 1000
    assert {True, False} == {trade["fromBrokenSpread"] for trade in month.json()}


def test_notebook_sends_include_private_to_paths_without_it(desk: Sandbox, get: Get) -> None:
    params = {**EUA_DEC_24, "from": "2024-02-06T10", "until": "2024-02-06T11", "interval": 1, "intervalUnit": "minute"}
    plain = get("/orders/book/top", **params).json()
    tops = get("/orders/book/top", **params, includePrivate="true").json()

    assert plain == tops
    assert {"includeprivate"} == desk.asked[-1].ignored
    assert {"timestamp", "bidPrice", "bidQuantity", "askPrice", "askQuantity"} == set(tops[0])


# --- spellings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X-API-KEY", "x-api-key", "X-Api-Key"])
def test_header_of_the_key_is_case_insensitive(desk: Sandbox, name: str) -> None:
    assert 200 == requests.get(desk.reference_url + "/markets", headers={name: desk.key}, timeout=30).status_code


def test_lists_are_repeated_or_joined_by_commas_or_both(get: Get) -> None:
    params = {**TTF_EEX, "from": "2024-02-05", "until": "2024-02-06", "optionalFields": "contract"}
    items = [[245, 246, 247], "245,246,247", ["245,246", 247], ["245", " 246,247"], "245,246,247,245"]
    answers = [get("/trades", **params, sequenceItemId=each).json() for each in items]
    fields = [["contract", "route"], "Contract,Route", ["CONTRACT", "route,routeId"]]
    named = [get("/trades", **{**params, "optionalFields": each}, sequenceItemId="245,246").json() for each in fields]

    assert {245, 246, 247} == {trade["contract"]["sequenceItemId"] for trade in answers[0]}
    assert all(answer == answers[0] for answer in answers)
    assert named[0] == named[1] == [{k: v for k, v in trade.items() if k != "routeId"} for trade in named[2]]
    assert {"House"} == {trade["route"] for trade in named[0]}


@pytest.mark.parametrize(
    "start, end",
    [
        ("2024-02-05", "2024-02-06"),
        ("2024-02-05T00", "2024-02-06T00"),
        ("2024-02-05T00:00", "2024-02-06T00:00"),
        ("2024-02-05T00:00:00", "2024-02-06T00:00:00"),
        ("2024-02-05T00:00:00Z", "2024-02-06T00:00:00+00:00"),
        ("2024-02-05T01:00:00+01:00", "2024-02-06T01:00+01:00"),
    ],
)
def test_times_without_zone_seconds_or_minutes_are_utc(get: Get, start: str, end: str) -> None:
    trades = get("/trades", **EUA_DEC_24, **{"from": start, "until": end}).json()

    first, last = (nanoseconds(f"2024-02-{day}") for day in ("05", "06"))
    assert get("/trades", **EUA_DEC_24, **{"from": "2024-02-05", "until": "2024-02-06"}).json() == trades
    assert all(first <= trade["dealDate"] < last for trade in trades)
    assert len(trades) > 500


# --- the loader of history -------------------------------------------------------------------------------------------


def windows(start: str, end: str, days: int) -> Iterator[tuple[str, str]]:
    """Return adjacent windows, formatted without a zone."""
    left, last = (datetime.datetime.fromisoformat(each) for each in (start, end))
    while left < last:
        right = min(left + datetime.timedelta(days=days), last)
        yield left.strftime("%Y-%m-%dT%H:%M:%S"), right.strftime("%Y-%m-%dT%H:%M:%S")
        left = right


@pytest.mark.parametrize(
    "instrument, sequence, item",
    [pytest.param(10002806, 10000305, 246, id="ttf-eex"), pytest.param(10003008, 10000400, 750, id="eua-eex")],
)
def test_loader_of_30_day_windows_receives_every_trade_once(
    get: Get, instrument: int, sequence: int, item: int
) -> None:
    contract = {"instrumentId": instrument, "sequenceId": sequence, "sequenceItemId": item}

    def load(days: int) -> list[tuple[str, str, int]]:
        rows = []
        for left, right in windows("2023-10-01", "2024-02-07", days):
            answer = get("/trades", **contract, ContractType="SinglePeriod", **{"from": left, "until": right})
            answer.raise_for_status()
            rows += [(trade["venueCode"], trade["tradeId"], trade["dealDate"]) for trade in answer.json()]
        return rows

    loaded = load(30)
    seen = set(loaded)

    assert len(seen) == len(loaded) > 500  # no duplicates
    assert load(32) == load(7) == loaded  # no trade is missing for any length of the windows


def test_loader_with_too_long_windows_is_refused_and_reduces_them(get: Get) -> None:
    for days in range(35, 0, -1):
        start, end = next(windows("2024-01-01", "2024-02-07", days))
        answer = get("/trades", **EUA_DEC_24, **{"from": start, "until": end})
        if answer.status_code == 200:
            break
        assert (400, "Maximum query range is 32 days.") == (answer.status_code, answer.json()["errors"]["until"][0])

    assert (32, "2024-02-02T00:00:00") == (days, end)


def test_loader_of_contracts_without_trades_receives_empty_lists(get: Get) -> None:
    answer = get("/trades", **TTF_EEX, sequenceItemId=100, **{"from": "2024-01-01", "until": "2024-02-01"})

    assert (200, []) == (answer.status_code, answer.json())


def test_trade_id_of_the_t7_link_has_month_and_date(get: Get) -> None:
    trades = get("/trades", **TTF_EEX, sequenceItemId=MAY_24, **{"from": "2024-02-05", "until": "2024-02-06"}).json()

    assert {"EEX7"} == {trade["venueCode"] for trade in trades}
    for trade in trades:
        match = re.fullmatch(r"Eurex T7/\w+?(\d{6})-(\d{8})/(\d+)/(\d+) Public", trade["tradeId"])
        assert match is not None
        assert ("052024", "20240205") == match.groups()[:2]


def test_nanoseconds_do_not_fit_into_a_double(get: Get) -> None:
    trades = get("/trades", **TTF_EEX, sequenceItemId=MAY_24, **{"from": "2024-02-05", "until": "2024-02-06"})
    exact = [trade["dealDate"] for trade in trades.json()]
    rounded = [int(trade["dealDate"]) for trade in json.loads(trades.text, parse_int=float)]

    assert all(isinstance(moment, int) and moment > 2**53 for moment in exact)
    assert any(one != other for one, other in zip(exact, rounded, strict=True))
    assert all(abs(one - other) <= 128 for one, other in zip(exact, rounded, strict=True))


# --- several items and spreads ---------------------------------------------------------------------------------------


def test_two_ids_in_a_list_are_two_outrights_and_no_spread(get: Get) -> None:
    params = {**TTF_EEX, "from": "2024-01-08", "until": "2024-02-07", "optionalFields": "contract"}
    outrights = get("/trades", **params, sequenceItemId=[MAY_24, JUN_24]).json()
    spread = get(
        "/trades", **{**params, "contractType": "Spread"}, sequenceItemId=MAY_24, secondSequenceItemId=JUN_24
    ).json()

    assert {("SinglePeriod", MAY_24, None), ("SinglePeriod", JUN_24, None)} == set(map(kind, outrights))
    assert {("PeriodSpread", MAY_24, JUN_24)} == set(map(kind, spread))
    # The price of a spread is a difference.
    assert max(abs(trade["price"]) for trade in spread) < 5 < min(trade["price"] for trade in outrights)
    both = get("/trades", **{**params, "contractType": "Spread"}, sequenceItemId=f"{MAY_24},{JUN_24}")
    assert 400 == both.status_code


def kind(trade: dict[str, Any]) -> tuple[str, int, int | None]:
    contract = trade["contract"]
    return contract["contractType"], contract["sequenceItemId"], contract["secondSequenceItemId"]


def test_rows_of_several_items_have_no_contract_by_default(get: Get) -> None:
    params = {**TTF_EEX, "from": "2024-02-05", "until": "2024-02-06", "sequenceItemId": [MAY_24, JUN_24, JUL_24]}
    blind, told = get("/trades", **params).json(), get("/trades", **params, optionalFields="contract").json()

    assert {"tradeId", "venueCode", "dealDate", "price", "quantity", "aggressorBuy"} == {
        key for row in blind for key in row
    }
    assert {MAY_24, JUN_24, JUL_24} == {row["contract"]["sequenceItemId"] for row in told}
    assert blind == [{name: row[name] for name in blind[0]} for row in told]


def test_id_of_a_snapshot_is_in_its_contract(get: Get) -> None:
    params = {"marketId": 10000065, "sequenceId": 10000305, "contractType": "SinglePeriod", "at": "2024-02-06T10:30"}
    snapshots = get("/snapshots", **params, sequenceItemId=[MAY_24, JUN_24]).json()["snapshots"]

    assert {None} == {snapshot.get("sequenceItemId") for snapshot in snapshots}
    assert [MAY_24, JUN_24] == [snapshot["contract"]["sequenceItemId"] for snapshot in snapshots]


# --- snapshots -------------------------------------------------------------------------------------------------------


def test_snapshot_date_is_ignored_and_the_book_is_empty(desk: Sandbox, get: Get) -> None:
    plain = get("/snapshots", **TTF_EEX, sequenceItemId=MAY_24).json()
    for day in ("2024-01-15", "2024-01-16", "2023-06-01"):
        dated = get("/snapshots", **TTF_EEX, sequenceItemId=MAY_24, snapshotDate=day)
        assert plain == dated.json()
        assert {"snapshotdate"} == desk.asked[-1].ignored

    # Exchanges clear their orders at the close, and the default time is midnight.
    [snapshot] = plain["snapshots"]
    # Whether missing orders are null or an object of nulls is not documented.
    bid_and_ask = snapshot["bestOrders"] or {"bidPrice": None, "askPrice": None}
    assert nanoseconds("2024-02-07T00:00:00") == plain["timestamp"]
    assert {None} == set(bid_and_ask.values())
    assert nanoseconds("2024-02-06") < snapshot["lastTrade"]["dealDate"] < plain["timestamp"]


def test_parameter_at_returns_past_snapshots(get: Get) -> None:
    days = ["2024-01-15T10:30", "2024-01-16T10:30", "2023-11-01T10:30:00Z"]
    answers = [get("/snapshots", **TTF_EEX, sequenceItemId=MAY_24, at=day).json() for day in days]

    assert [nanoseconds(day.removesuffix("Z")) for day in days] == [answer["timestamp"] for answer in answers]
    assert 3 == len({answer["snapshots"][0]["lastTrade"]["price"] for answer in answers})
    for answer in answers:
        [snapshot] = answer["snapshots"]
        assert snapshot["bestOrders"]["bidPrice"] < snapshot["bestOrders"]["askPrice"]
        assert snapshot["lastTrade"]["dealDate"] < answer["timestamp"]


# --- books of a day --------------------------------------------------------------------------------------------------


def test_day_of_seconds_is_allowed_and_more_points_than_the_limit_are_not(get: Get) -> None:
    params = {
        **EUA_DEC_24,
        "interval": 1,
        "intervalUnit": "second",
        "includeEmptyBuckets": "true",
        "from": "2024-02-05",
    }
    whole = get("/orders/book/top", **params, until="2024-02-06T03:46:40")
    longer = get("/orders/book/top", **params, until="2024-02-06T03:46:41")

    assert (200, 400) == (whole.status_code, longer.status_code)
    assert ["until"] == list(longer.json()["errors"])
    stamps = [top["timestamp"] for top in whole.json()]
    start = nanoseconds("2024-02-05")
    assert list(range(start + 10**9, start + 100_001 * 10**9, 10**9)) == stamps


def test_first_point_of_a_book_is_one_interval_after_the_start(get: Get) -> None:
    params = {**EUA_DEC_24, "interval": 15, "intervalUnit": "second", "from": "2024-02-05T09", "until": "2024-02-05T10"}
    for path in ("/orders/book/top", "/orders/book"):
        stamps = [point["timestamp"] for point in get(path, **params).json()]
        assert [nanoseconds("2024-02-05T09:00:15"), nanoseconds("2024-02-05T10:00:00")] == [stamps[0], stamps[-1]]


def test_daily_job_receives_no_rows_on_weekends(get: Get) -> None:
    counts = {}
    for day in range(1, 7):
        params = {"from": f"2024-02-0{day}", "until": f"2024-02-0{day + 1}", "interval": 10, "intervalUnit": "minute"}
        counts[day] = len(get("/orders/book/top", **EUA_DEC_24, **params).json())

    assert [3, 4] == [day for day, count in counts.items() if count == 0]  # Saturday and Sunday
    assert 1 == len({count for count in counts.values() if count})


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, times",
    [
        ("/trades", {"from": "2024-02-05", "until": "2024-02-08"}),
        ("/trades/ohlcv", {"from": "2024-02-05", "until": "2024-02-08", "interval": 1, "intervalUnit": "day"}),
        ("/orders/book/top", {"from": "2024-02-07", "until": "2024-02-07T09", "interval": 1, "intervalUnit": "hour"}),
        ("/trades/last", {"at": "2024-02-07T09:00"}),
        ("/snapshots", {"at": "2024-02-07T09:00"}),
        ("/trades/activity", {"from": "2024-02-07", "until": "2024-02-08"}),
    ],
)
def test_current_day_and_wrong_key_are_both_401(desk: Sandbox, get: Get, path: str, times: dict[str, Any]) -> None:
    earlier = {name: str(value).replace("02-07", "02-05").replace("02-08", "02-06") for name, value in times.items()}
    bad = requests.get(desk.analytics_url + path, {**EUA_DEC_24, **times}, headers={"x-api-key": "nobody"}, timeout=30)

    assert [401, 401, 200] == [
        get(path, **EUA_DEC_24, **times).status_code,
        bad.status_code,
        get(path, **EUA_DEC_24, **earlier).status_code,
    ]


def test_own_trades_of_today_need_no_entitlement(get: Get) -> None:
    trades = get("/trades/private", **{"from": "2024-02-07", "until": "2024-02-08"}).json()

    assert trades
    assert all(nanoseconds("2024-02-07") <= trade["dealDate"] < nanoseconds("2024-02-07T12") for trade in trades)
    # The request names no contract, so each row has its own.
    assert all({"contract", "initiatorCompanyId", "lastUpdated"} <= set(trade) for trade in trades)


def test_unknown_market_is_404_although_its_instruments_exist(get: Get) -> None:
    params = {"sequenceId": 10000305, "sequenceItemId": MAY_24, "contractType": "SinglePeriod", "at": "2024-02-06T10"}

    # Ids of instruments are no ids of markets.
    assert 404 == get("/trades/last", **params, marketId=10002806).status_code
    assert 200 == get("/trades/last", **params, instrumentId=10002806).status_code


def test_sequence_of_another_product_is_404(desk: Sandbox, get: Get) -> None:
    params = {"instrumentId": 10001126, "sequenceItemId": 244, "contractType": "SinglePeriod", "at": "2024-02-06T10"}
    url = desk.reference_url + "/instruments/10001126/sequences"
    own = requests.get(url, headers={"x-api-key": desk.key}, timeout=30).json()

    assert 404 == get("/trades/last", **params, sequenceId=10000305).status_code
    assert 10000305 not in [sequence["id"] for sequence in own]
    assert {200} == {get("/trades/last", **params, sequenceId=sequence["id"]).status_code for sequence in own}


@pytest.mark.parametrize("path", ["/sequences", "/sequences/", "/sequences/10000305", "/sequences/10000305/items"])
def test_paths_invented_by_clients_are_404(desk: Sandbox, path: str) -> None:
    assert 404 == requests.get(desk.reference_url + path, headers={"x-api-key": desk.key}, timeout=30).status_code


# --- from instruments to markets -------------------------------------------------------------------------------------


def test_week_of_activity_maps_instruments_to_markets(desk: Sandbox, get: Get) -> None:
    params = {"from": "2024-01-29", "until": "2024-02-05", "optionalFields": "MarketId,deleteCount"}
    rows = get("/trades/activity", **params).json()
    home = {row["instrumentId"]: row["marketId"] for row in rows}
    field_names = {
        kind: {
            each["id"]: each["name"]
            for each in requests.get(f"{desk.reference_url}/{kind}", headers={"x-api-key": desk.key}, timeout=30).json()
        }
        for kind in ("instruments", "markets")
    }

    assert 10000065 == home[10002806] == home[10002096] == home[10002228]
    assert 10000016 == home[10003007] == home[10003008]
    assert None in home.values()
    assert set(home) <= set(field_names["instruments"])
    assert set(home.values()) - {None} <= set(field_names["markets"])
    # The market's trades are those of its instruments.
    assert {10003007, 10003008} == {instrument for instrument, market in home.items() if market == 10000016}
    traded = len(get("/trades", **EUA_DEC_24, **{"from": "2024-01-29", "until": "2024-02-05"}).json())
    assert traded == sum(
        row["count"] - row["deleteCount"]
        for row in rows
        if (row["marketId"], row["sequenceItemId"], row["contractType"]) == (10000016, 750, "SinglePeriod")
    )


def test_morning_job_receives_the_whole_previous_day() -> None:
    madrid = datetime.timezone(datetime.timedelta(hours=1))
    with Sandbox(limits=False, now=datetime.datetime(2024, 2, 7, 8, tzinfo=madrid)) as sandbox:
        params = {**EUA_DEC_24, "from": "2024-02-06T00:00:00", "until": "2024-02-07T00:00:00"}
        yesterday = requests.get(
            sandbox.analytics_url + "/trades", params, headers={"x-api-key": sandbox.key}, timeout=30
        ).json()

        assert yesterday[-1]["dealDate"] > nanoseconds("2024-02-06T16:45")


# --- HTTP ------------------------------------------------------------------------------------------------------------


def test_client_without_accept_encoding_receives_brotli(desk: Sandbox) -> None:
    params = {**EUA_DEC_24, "from": "2024-02-05", "until": "2024-02-06"}
    headers = {"x-api-key": desk.key, "Accept-Encoding": SKIP_HEADER}
    url = desk.analytics_url + "/trades"
    with requests.get(url, params, headers=headers, stream=True, timeout=30) as answer:
        packed = answer.raw.read(decode_content=False)
    plain = requests.get(url, params, headers={**headers, "Accept-Encoding": "identity"}, timeout=30)

    assert ("br", None) == (answer.headers["Content-Encoding"], plain.headers.get("Content-Encoding"))
    assert plain.content == brotli.decompress(packed)
    # No Accept either: JSON.
    assert "application/json" == answer.headers["Content-Type"].partition(";")[0]


def test_client_that_waits_after_429_succeeds() -> None:
    clock = [0.0]
    with Sandbox(monotonic=lambda: clock[0]) as sandbox:
        statuses = []
        for _ in range(20):
            while True:
                answer = requests.get(
                    sandbox.reference_url + "/markets", headers={"x-api-key": sandbox.key}, timeout=30
                )
                statuses.append(answer.status_code)
                if answer.status_code != 429:
                    break
                clock[0] += 1.0  # time.sleep(1)

    assert [200] * 8 + [429] + [200] * 8 + [429] + [200] * 4 == statuses


# --- the guide's own examples ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def summer_sandbox() -> Iterator[Sandbox]:
    """A sandbox at the time of the guide's snapshot, with an entitled key; the guide's request has no time."""
    now = datetime.datetime(2023, 8, 15, 15, 30, 20, tzinfo=datetime.UTC)
    with Sandbox(limits=False, now=now, key="sandbox-intraday") as sandbox:
        yield sandbox


def send_example(sandbox: Sandbox, name: str, **changes: str) -> requests.Response:
    """Return the response to a published request, with another host and some changed parameters."""
    parts = urlsplit(EXAMPLES[name]["url"])
    base = sandbox.url if parts.path.startswith("/api/") else sandbox.reference_url
    query = parts.query
    for parameter, value in changes.items():
        query = re.sub(rf"\b{parameter}=[^&]*", f"{parameter}={value}", query)
    return requests.get(f"{base}{parts.path}?{query}", headers={"X-API-KEY": sandbox.key}, timeout=30)


def field_names(*values: Any) -> Any:
    """Return the names of all fields in some values, with those of nested values."""
    inner = [each for value in values if isinstance(value, list) for each in value]
    fields = [value for value in values if isinstance(value, dict)]
    if inner:
        return [field_names(*inner)]
    found = dict.fromkeys(name for each in fields for name in each)
    return {name: field_names(*(each[name] for each in fields if name in each)) for name in found} or None


def restrict(found: Any, sample: Any) -> Any:
    """Return the found names that the sample has."""
    if isinstance(sample, dict):
        return {name: restrict(each, sample[name]) for name, each in found.items() if name in sample}
    return [restrict(found[0], sample[0])] if isinstance(sample, list) else found


# The hour of an example may have no own trade, but the whole day has one.
OWN = {"trades_ttf_apr23": {"until": "2023-03-01T17"}, "l2_ttf_apr23": {"until": "2023-03-01T17", "depth": "100"}}


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"error_range"}))
def test_responses_to_the_guides_requests_have_the_fields_of_its_samples(summer_sandbox: Sandbox, name: str) -> None:
    answer = send_example(summer_sandbox, name, **OWN.get(name, {}))
    sample = field_names(EXAMPLES[name]["response_sample"])

    assert 200 == answer.status_code
    assert sample == restrict(field_names(answer.json()), sample)


def test_range_error_of_the_guides_request_is_the_known_one(summer_sandbox: Sandbox) -> None:
    answer = send_example(summer_sandbox, "error_range")

    assert (400, EXAMPLES["error_range"]["response_sample"]["errors"]) == (answer.status_code, answer.json()["errors"])


def test_guides_snapshot_has_the_months_and_the_minute_of_its_sample(summer_sandbox: Sandbox) -> None:
    found, sample = send_example(summer_sandbox, "snapshots_ttf").json(), EXAMPLES["snapshots_ttf"]["response_sample"]

    assert sample["timestamp"] == found["timestamp"]
    assert [each["contract"] for each in sample["snapshots"]] == [each["contract"] for each in found["snapshots"]]


def test_guides_items_and_units_are_those_of_its_samples(summer_sandbox: Sandbox) -> None:
    [january] = EXAMPLES["sequence_items"]["response_sample"]
    items = send_example(summer_sandbox, "sequence_items").json()
    unit = EXAMPLES["instrument_detail"]["response_sample"]

    assert (10, january) == (len(items), items[0])
    assert unit == {name: send_example(summer_sandbox, "instrument_detail").json()[name] for name in unit}


def test_guides_request_for_50_quarters_returns_45(summer_sandbox: Sandbox) -> None:
    params = {"instrumentId": 10001126, "sequenceId": 10000105, "contractType": "SinglePeriod", "tradingItems": 50}
    url, headers = summer_sandbox.analytics_url, {"X-API-KEY": summer_sandbox.key}
    snapshots = requests.get(url + "/snapshots", {**params, "at": "2023-08-10"}, headers=headers, timeout=30).json()
    days = {"from": "2023-08-10", "until": "2023-08-12", "optionalFields": "contract"}
    trades = requests.get(url + "/trades", {**params, **days}, headers=headers, timeout=30).json()

    items = [snapshot["contract"]["sequenceItemId"] for snapshot in snapshots["snapshots"]]
    assert list(range(80, 125)) == items  # Q423 to Q434
    assert {trade["contract"]["sequenceItemId"] for trade in trades} <= set(items)
