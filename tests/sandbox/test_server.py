"""The API's rules in the sandbox, with plain requests as real users send them.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import gzip
import json
import socket
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import brotli
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from support.api import DOCUMENT, KEY_OF, TRADES, send, validate
from support.profiles import examples

from trayport.sandbox import Sandbox
from trayport.sandbox.keys import ROUTES

FIELDS = DOCUMENT["components"]["parameters"]["TradeOptionalFields"]["schema"]["items"]["enum"]
TRADE = {"tradeId", "venueCode", "dealDate", "price", "quantity", "aggressorBuy"}


# --- responses -------------------------------------------------------------------------------------------------------


def test_trades_match_the_document(sandbox: Sandbox) -> None:
    answer = send(sandbox)

    assert (200, "application/json; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    assert len(answer.json()) > 100
    for trade in answer.json():
        validate("Trade", trade)
        assert set(trade) == TRADE


def test_every_optional_field_is_returned_on_request(sandbox: Sandbox) -> None:
    answer = send(sandbox, params={**TRADES, "optionalFields": FIELDS, "includePrivate": "true"}).json()

    for trade in answer:
        validate("Trade", trade)
        assert set(trade) - {"privateFields"} == TRADE | set(FIELDS)
    assert any("privateFields" in trade for trade in answer)
    # guide p. 13: sleeves are shown on own trades only
    assert {("privateFields" in trade) for trade in answer if trade["aggressorSleeve"]} <= {True}
    assert any(trade["fromBrokenSpread"] for trade in answer)


@pytest.mark.parametrize("field", FIELDS)
def test_field_has_the_same_values_alone_and_with_all_others(sandbox: Sandbox, field: str) -> None:
    among, alone = (
        send(sandbox, params={**TRADES, "until": "2024-02-10", "optionalFields": fields}).json()
        for fields in (FIELDS, field)
    )

    assert [{name: row[name] for name in (*TRADE, field)} for row in among] == alone
    if field.endswith("Spread"):
        assert {True, False} == {row[field] for row in alone}


@pytest.mark.parametrize(
    "instrument, others, own",
    [
        pytest.param(10002806, [(" Public", False)], [("", True), (" Public", False)], id="eex7"),
        pytest.param(10002228, [("", False)], [("", False), ("", True)], id="ice"),
        pytest.param(10002096, [("", False)], [("", True)], id="brokers"),
    ],
)
def test_own_trades_come_twice_from_venues_with_a_private_feed(
    sandbox: Sandbox, instrument: int, others: list[tuple[str, bool]], own: list[tuple[str, bool]]
) -> None:
    params = {**TRADES, "marketId": None, "instrumentId": instrument, "until": "2024-03-01"}
    copies: dict[tuple[str, ...], list[tuple[str, bool]]] = defaultdict(list)
    for row in send(sandbox, params={**params, "includePrivate": "true"}).json():
        name, public, _ = row["tradeId"].partition(" Public")
        copies[row["venueCode"], name, row["dealDate"], row["price"]].append((public, "privateFields" in row))

    assert {tuple(others), tuple(own)} == {tuple(sorted(each)) for each in copies.values()}
    assert len(copies) == len(send(sandbox, params=params).json())


@pytest.mark.parametrize(
    "path, schema",
    [
        ("/instruments", "ProductListItem"),
        ("/markets", "ProductListItem"),
        ("/instruments/10002096", "ProductDetail"),
        ("/markets/10000065", "ProductDetail"),
        ("/instruments/10002096/sequences", "Sequence"),
        ("/markets/10000016/sequences", "Sequence"),
        ("/sequences/10000305/sequenceItems", "SequenceItem"),
        ("/sequences/10000302/sequenceItems", "SequenceItem"),
        ("/sequences/10000400/sequenceItems", "SequenceItem"),
        ("/sequences/10000305/sequenceItems/232", "SequenceItem"),
    ],
)
def test_reference_data_match_the_document(sandbox: Sandbox, path: str, schema: str) -> None:
    document = send(sandbox, f"/reference{path}", params=None).json()
    for each in (document if isinstance(document, list) else [document])[:200]:
        validate(schema, each)


def test_links_are_relative_to_the_base_url(sandbox: Sandbox) -> None:
    market = next(each for each in send(sandbox, "/reference/markets").json() if each["name"] == "TTF Hi Cal 51.6")
    sequence = send(sandbox, "/reference" + market["sequences"]).json()[1]
    items = send(sandbox, "/reference" + sequence["sequenceItems"], params=None).json()

    assert "/sequences/10000305/sequenceItems" == sequence["sequenceItems"]
    assert 37 == len(items)


@pytest.mark.parametrize(
    "params, first, count",
    [
        ({}, "Nov-26", 37),
        ({"count": 3}, "Nov-26", 3),
        ({"StartDate": "2010-01-01T00:00:00Z", "Count": "10"}, "Jan-10", 10),
        ({"startDate": "2010-02-01"}, "Feb-10", 100),
        ({"startDate": "2010-01-31T23:00"}, "Jan-10", 100),
        # guide p. 36: time and zone are ignored, although it is February in UTC.
        ({"startDate": "2010-01-31T23:00:00-05:00"}, "Jan-10", 100),
        ({"startDate": "2010-01-01", "count": 1}, "Jan-10", 1),
        ({"startDate": "2010-01-01", "count": 150}, "Jan-10", 150),
    ],
)
def test_items_begin_with_the_period_that_ends_after_the_start_date(params: Any, first: str, count: int) -> None:
    now = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
    with Sandbox(limits=False, now=now) as sandbox:
        items = send(sandbox, "/reference/sequences/10000305/sequenceItems", params=params).json()

        assert (first, count) == (items[0]["name"], len(items))


@pytest.mark.parametrize("today, last, status", [("2024-02-29", "Feb-27", 404), ("2024-03-01", "Mar-27", 200)])
def test_item_is_listed_from_its_first_trading_day_on(today: str, last: str, status: int) -> None:
    items, march_27 = "/reference/sequences/10000305/sequenceItems", 279
    now = datetime.datetime.fromisoformat(today).replace(tzinfo=datetime.UTC)
    with Sandbox(limits=False, now=now) as sandbox:
        assert last == send(sandbox, items, params=None).json()[-1]["name"]
        assert status == send(sandbox, f"{items}/{march_27}", params=None).status_code
        # A contract that is not listed yet is no error; it has no trades.
        trades = send(sandbox, params={**TRADES, "sequenceItemId": march_27})
        assert (200, []) == (trades.status_code, trades.json())


def test_contract_type_of_a_spread_is_spelled_as_in_responses(sandbox: Sandbox) -> None:
    params = {**TRADES, "contractType": "Spread", "secondSequenceItemId": 245, "optionalFields": "contract",
              "from": "2024-01-08", "until": "2024-02-06"}  # fmt: skip
    rows = send(sandbox, params=params).json()

    assert {"PeriodSpread"} == {row["contract"]["contractType"] for row in rows}
    assert {(244, 245)} == {
        (row["contract"]["sequenceItemId"], row["contract"]["secondSequenceItemId"]) for row in rows
    }
    assert rows == send(sandbox, params={**params, "contractType": "periodspread"}).json()


def test_spellings_of_real_users_are_accepted(sandbox: Sandbox) -> None:
    usual = send(
        sandbox, params={**TRADES, "sequenceItemId": [244, 245], "optionalFields": ["contract", "route"]}
    ).json()
    odd = send(
        sandbox,
        params=[
            ("FROM", "2024-02-05T00"),
            ("Until", "2024-02-06T00:00"),
            ("MARKETID", 10000065),
            ("sequenceid", 10000305),
            ("SequenceItemId", "244,245"),
            ("ContractType", "singleperiod"),
            ("optionalfields", "Contract,ROUTE"),
        ],
    ).json()

    assert usual == odd
    assert len(usual) > 100


@pytest.mark.parametrize(
    "start, until",
    [
        ("2024-02", "2024-03"),
        ("2024-02-01T00:00:00", "2024-03-01T00:00:00Z"),
        ("2024-02-01T01:00:00+01:00", "2024-02-29T19:00-05:00"),
    ],
)
def test_times_may_be_incomplete_and_have_a_zone(sandbox: Sandbox, start: str, until: str) -> None:
    plain = send(sandbox, params={**TRADES, "from": "2024-02-01", "until": "2024-03-01"}).content

    assert plain == send(sandbox, params={**TRADES, "from": start, "until": until}).content


def test_unknown_parameters_are_ignored_and_recorded(sandbox: Sandbox) -> None:
    plain = send(sandbox).content

    assert plain == send(sandbox, params={**TRADES, "snapshotDate": "2020-01-01"}).content
    assert frozenset({"snapshotdate"}) == sandbox.asked[-1].ignored


@pytest.mark.parametrize("until", ["exclusive", "inclusive"])
def test_until_is_exclusive_or_inclusive_by_the_switch(sandbox: Sandbox, until: Any) -> None:
    whole = next(
        trade
        for trade in send(sandbox, params={**TRADES, "until": "2024-02-10"}).json()
        if trade["dealDate"] % 10**9 == 0
    )
    moment = datetime.datetime.fromtimestamp(whole["dealDate"] // 10**9, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with Sandbox(limits=False, until=until) as odd:
        trades = send(odd, params={**TRADES, "until": moment}).json()

        assert (until == "inclusive") == (whole in trades)
        assert whole in send(odd, params={**TRADES, "from": moment}).json()


def test_shuffled_response_has_the_same_trades(sandbox: Sandbox) -> None:
    with Sandbox(limits=False, order="shuffled") as odd:
        shuffled, usual = send(odd).json(), send(sandbox).json()

    assert shuffled != usual
    assert usual == sorted(usual, key=lambda trade: trade["dealDate"])
    assert sorted(map(str, usual)) == sorted(map(str, shuffled))


@pytest.mark.parametrize(
    "asked, names", [("all", {"House"}), ("Desk", {"Desk"}), ("904,652", {"House"}), ("904", {"Desk"})]
)
def test_routes_select_trades(sandbox: Sandbox, asked: str, names: set[str]) -> None:
    rows = send(sandbox, params={**TRADES, "routes": asked}).json()

    assert names == {row["route"] for row in rows}
    ids = [(row["venueCode"], row["tradeId"]) for row in rows]
    double = send(sandbox, params={**TRADES, "routes": asked, "deduplicateRoutes": "false"}).json()
    assert len(ids) == len(set(ids)) == len({(row["venueCode"], row["tradeId"]) for row in double})
    assert (len(double) > len(ids)) == (len(asked) == 7 or asked == "all")


def test_default_route_has_the_lowest_id() -> None:
    assert sorted(ROUTES)[0] == ROUTES[0] == (652, "House")


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, parameter",
    [
        ({"from": None}, "from"),
        ({"until": None}, "until"),
        ({"from": "2024-02-05T00:00:00.5Z"}, "from"),
        ({"from": "05/02/2024"}, "from"),
        ({"from": "2024-02-31"}, "from"),
        ({"from": "now"}, "from"),
        ({"from": "0001-01-01", "until": "0001-01-02"}, "from"),
        ({"until": "2024-02-04"}, "until"),
        ({"until": "2024-03-08T00:00:01"}, "until"),
        ({"from": ["2024-02-05", "2024-02-06"]}, "from"),
        ({"marketId": None}, "instrumentId"),
        ({"instrumentId": 10002096}, "instrumentId"),
        ({"sequenceId": None}, "sequenceId"),
        ({"sequenceId": [10000305, 10000306]}, "sequenceId"),
        ({"sequenceItemId": None}, "sequenceItemId"),
        ({"sequenceItemId": "abc"}, "sequenceItemId"),
        ({"sequenceItemId": "-1"}, "sequenceItemId"),
        ({"sequenceItemId": "9" * 30}, "sequenceItemId"),
        ({"sequenceItemId": "２４４"}, "sequenceItemId"),
        ({"sequenceItemId": "²"}, "sequenceItemId"),
        ({"tradingItems": 3}, "sequenceItemId"),
        ({"sequenceItemId": list(range(200, 251))}, "sequenceItemId"),
        ({"contractType": None}, "contractType"),
        ({"contractType": "Strip"}, "contractType"),
        ({"contractType": "Spread"}, "secondSequenceItemId"),
        ({"secondSequenceItemId": 245}, "secondSequenceItemId"),
        ({"contractType": "Spread", "secondSequenceItemId": 244}, "secondSequenceItemId"),
        ({"contractType": "Spread", "sequenceItemId": "244,245", "secondSequenceItemId": 246}, "sequenceItemId"),
        ({"sequenceItemId": None, "tradingItems": 0}, "tradingItems"),
        ({"sequenceItemId": None, "tradingItems": 51}, "tradingItems"),
        (
            {"sequenceItemId": None, "tradingItems": 3, "contractType": "Range", "secondSequenceItemId": 1},
            "tradingItems",
        ),
        ({"sequenceItemId": None, "tradingItems": 3, "sequenceId": 10000302}, "tradingItems"),
        ({"includePrivate": "maybe"}, "includePrivate"),
        ({"deduplicateRoutes": "1"}, "deduplicateRoutes"),
        ({"optionalFields": "colour"}, "optionalFields"),
        ({"routes": "Attic"}, "routes"),
    ],
)
def test_wrong_parameter_is_refused_with_400_and_its_name(
    sandbox: Sandbox, changes: dict[str, Any], parameter: str
) -> None:
    answer = send(sandbox, params={**TRADES, **changes})

    assert 400 == answer.status_code
    validate("Problem", answer.json())
    assert [parameter] == list(answer.json()["errors"])


def test_message_known_from_a_user_is_identical(sandbox: Sandbox) -> None:
    answer = send(sandbox, params={**TRADES, "from": "2020-01-01T00:00:00Z", "until": "2020-03-01T00:00:00Z"})

    assert {"until": ["Maximum query range is 32 days."]} == answer.json()["errors"]


def test_32_days_and_50_items_are_allowed(sandbox: Sandbox) -> None:
    params = {**TRADES, "until": "2024-03-08", "sequenceItemId": list(range(240, 290))}

    assert 200 == send(sandbox, params=params).status_code


@pytest.mark.parametrize(
    "name, value", [("count", 0), ("count", "x"), ("startDate", "soon"), ("startDate", "sometime")]
)
def test_wrong_parameter_of_items_is_refused_with_400(sandbox: Sandbox, name: str, value: object) -> None:
    answer = send(sandbox, "/reference/sequences/10000305/sequenceItems", params={name: value})

    assert (400, [name]) == (answer.status_code, list(answer.json()["errors"]))


@pytest.mark.parametrize(
    "path, params",
    [
        ("/api/trades", {**TRADES, "marketId": 5}),
        ("/api/trades", {**TRADES, "sequenceId": 10000105}),
        ("/api/nonsense", None),
        ("/api", None),
        ("/nonsense", None),
        ("/reference/sequences", None),
        ("/reference/instruments/5", None),
        ("/reference/markets/10002096", None),
        ("/reference/markets/5/sequences", None),
        ("/reference/sequences/5/sequenceItems", None),
        ("/reference/sequences/10000305/sequenceItems/99999", None),
        ("/reference/sequences/10000305/items", None),
    ],
)
def test_unknown_ids_and_paths_are_refused_with_404(sandbox: Sandbox, path: str, params: Any) -> None:
    assert 404 == send(sandbox, path, params=params).status_code


@pytest.mark.parametrize("headers", [{}, {"X-API-KEY": "wrong"}, {"Authorization": "Bearer sandbox-key"}])
@pytest.mark.parametrize("path", ["/api/trades", "/reference/markets"])
def test_unknown_key_is_refused_with_401(sandbox: Sandbox, headers: dict[str, str], path: str) -> None:
    assert 401 == requests.get(sandbox.url + path, params=TRADES, headers=headers, timeout=30).status_code


@pytest.mark.parametrize(
    "until, intraday, status",
    [("2024-02-07", False, 200), ("2024-02-07T00:00:01", False, 401), ("2024-02-08", True, 200)],
)
def test_range_into_the_current_day_without_entitlement_is_401(until: str, intraday: bool, status: int) -> None:
    now = datetime.datetime(2024, 2, 7, 12)  # noqa: DTZ001  a naive time is UTC
    with Sandbox(limits=False, now=now, key=KEY_OF[intraday]) as sandbox:
        answer = send(sandbox, params={**TRADES, "until": until})

        assert status == answer.status_code
        if status == 200:
            noon = int(now.replace(tzinfo=datetime.UTC).timestamp()) * 10**9
            assert max(trade["dealDate"] for trade in answer.json()) < noon


@pytest.mark.parametrize("now", ["2024-02-08T03:00+05:00", "2024-02-06T21:00-05:00"])
def test_current_day_is_the_utc_day_for_any_zone_of_the_clock(now: str) -> None:
    with Sandbox(limits=False, now=datetime.datetime.fromisoformat(now)) as sandbox:
        ends = ("2024-02-07", "2024-02-07T00:00:01")

        assert [200, 401] == [send(sandbox, params={**TRADES, "until": end}).status_code for end in ends]


KNOWN = st.sampled_from([10000302, 10000305, 10000309, 10002096, 244])
NUMBERS = st.integers(0, 10**6) | st.integers(-(10**20), 10**20)
VALUES: st.SearchStrategy[Any] = st.one_of(
    KNOWN,
    NUMBERS,
    st.text(max_size=10),
    st.text("٣１²Ⅷ", min_size=1, max_size=3),
    st.binary(max_size=6),
    st.datetimes().map(datetime.datetime.isoformat),
    st.dates().map(str),
    st.sampled_from(["", ",", "-1", "1e9", "nan", "true", "Spread", "Range", "all", "House", "contract"]),
    st.sampled_from(["1970", "1970-01-01T00:00+14:00", "2199-12-31T23:59:59-14:00", "2024-02-06T24:00", "0000-00"]),
)
MORE = "instrumentId secondSequenceItemId tradingItems includePrivate routes deduplicateRoutes optionalFields".split()
ODDITIES = st.dictionaries(
    st.sampled_from([*TRADES, *MORE, "count", "startDate"]), VALUES | st.lists(VALUES, max_size=3), max_size=3
)
GARBAGE = st.dictionaries(st.text(max_size=8), VALUES, max_size=1)
REFERENCES = st.sampled_from(
    "{} instruments/{} markets/{}/sequences sequences/{}/sequenceItems sequences/10000305/sequenceItems/{}".split()
)


@examples(150)
@given(odd=ODDITIES, garbage=GARBAGE, reference=REFERENCES, segment=KNOWN | NUMBERS | st.text(max_size=8))
def test_random_input_never_causes_a_500(
    sandbox: Sandbox, odd: dict[str, Any], garbage: dict[str, Any], reference: str, segment: int | str
) -> None:
    path = "/reference/" + reference.format(quote(str(segment), safe=""))

    assert send(sandbox, params={**TRADES, **odd, **garbage}).status_code in (200, 400, 401, 404)
    assert send(sandbox, path, params=odd | garbage).status_code in (200, 400, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get_is_allowed(sandbox: Sandbox, method: str) -> None:
    answer = requests.request(method, sandbox.url + "/api/trades", data=b"x" * 10, timeout=30)

    assert (405, "GET") == (answer.status_code, answer.headers["Allow"])


def test_ninth_request_in_a_second_is_429() -> None:
    with Sandbox() as sandbox:
        statuses = [send(sandbox, "/reference/markets", params=None).status_code for _ in range(10)]
        assert [200] * 8 + [429] * 2 == statuses

        time.sleep(1.05)
        assert 200 == send(sandbox).status_code


Burst = Callable[..., list[int]]


@pytest.fixture
def burst() -> Iterator[Burst]:
    """Return a function that sends requests at a time of the limits' clock and returns their statuses."""
    clock = [0.0]
    with Sandbox(monotonic=lambda: clock[0]) as sandbox:

        def send_at(moment: float, count: int, **headers: str) -> list[int]:
            clock[0] = moment
            path = "/reference/markets/10000065"
            return [send(sandbox, path, params=None, headers=headers).status_code for _ in range(count)]

        yield send_at


def test_eight_requests_a_second_are_allowed_for_more_than_a_minute(burst: Burst) -> None:
    assert [[200] * 8] * 60 == [burst(second, 8) for second in range(60)]
    # The 481st request in a minute is always the ninth in its second: one limit is sixty times the other.
    assert [429] == burst(59.99, 1)
    assert [200] * 8 + [429] == burst(60, 9)


def test_refused_requests_are_not_counted(burst: Burst) -> None:
    assert [401] * 10 == burst(0, 10, **{"x-api-key": "wrong"})
    assert [200] * 8 + [429] * 10 == burst(0, 18)
    assert [429] * 10 == burst(0.99, 10)
    assert [200] * 8 + [429] == burst(1, 9)


def test_without_limits_there_is_no_429(sandbox: Sandbox) -> None:
    assert {200} == {send(sandbox, "/reference/markets", params=None).status_code for _ in range(30)}


# --- HTTP ------------------------------------------------------------------------------------------------------------


def connect(sandbox: Sandbox) -> socket.socket:
    host, port = sandbox.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


@pytest.fixture
def line(sandbox: Sandbox) -> Iterator[socket.socket]:
    with connect(sandbox) as connection:
        yield connection


def request(target: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", "X-API-KEY: sandbox-key", *headers, "", body]).encode()


def raw(line: socket.socket, target: str, *headers: str, body: str = "") -> tuple[dict[str, str], bytes]:
    """Send a request on an open connection; return the headers and the raw body of the response."""
    line.sendall(request(target, *headers, body=body))
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(line)
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(text.split(": ", 1) for text in head.decode().splitlines()[1:])
    while len(body) < int(fields["Content-Length"]):
        body += more(line)
    return fields, body


def more(line: socket.socket) -> bytes:
    received = line.recv(65536)
    assert received, "the sandbox hung up"
    return received


@pytest.mark.parametrize(
    "headers, encoding, unpack",
    [
        ((), "br", brotli.decompress),
        (("Accept-Encoding: br, gzip, deflate",), "br", brotli.decompress),
        (("Accept-Encoding: gzip;q=1.0, br;q=0.5",), "gzip", gzip.decompress),
        (("Accept-Encoding: deflate",), "deflate", zlib.decompress),
        (("Accept-Encoding: identity",), None, bytes),
        (("Accept-Encoding: zstd",), None, bytes),
        (("Accept-Encoding: br;q=0, gzip",), "gzip", gzip.decompress),
        (("Accept-Encoding: BR; Q=0.000, deflate;q=0.001, gzip; q=0",), "deflate", zlib.decompress),
        (("Accept-Encoding: br;q=0, *;q=0",), None, bytes),
        (("Accept-Encoding: ,;q=,br;q=1.2.3,gzip;q=0.5",), "gzip", gzip.decompress),
    ],
    ids=["nothing-said", "br", "gzip", "deflate", "identity", "unknown", "no-br", "one-left", "nothing", "garbage"],
)
def test_encoding_is_the_accepted_one_and_brotli_by_default(
    line: socket.socket, headers: tuple[str, ...], encoding: str | None, unpack: Any
) -> None:
    fields, body = raw(line, "/reference/instruments", *headers)

    assert encoding == fields.get("Content-Encoding")
    assert len(json.loads(unpack(body))) > 14_000


def test_connection_is_reused_for_the_next_request(line: socket.socket) -> None:
    for _ in range(3):
        _, body = raw(line, "/reference/markets/10000065", "Accept-Encoding: identity")
        assert 10000065 == json.loads(body)["id"]


def test_session_of_many_requests_opens_one_connection() -> None:
    with Sandbox(limits=False) as sandbox, requests.Session() as session:
        for _ in range(20):
            session.get(sandbox.url + "/reference/markets", headers={"X-API-KEY": sandbox.key}, timeout=10)

        assert (20, (1, 1)) == (len(sandbox.asked), sandbox.connections)


def is_closed(line: socket.socket) -> bool:
    """Return True if the server has closed the connection."""
    try:
        return line.recv(1) == b""
    except ConnectionError:
        return True


SECOND = request("/reference/markets/10000016").decode()


@pytest.mark.parametrize(
    "header, body",
    [
        (f"Content-Length: {len(SECOND)}", SECOND),
        ("Transfer-Encoding: chunked", f"{len(SECOND):x}\r\n{SECOND}\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
def test_body_of_a_request_is_not_read_as_the_next_request(line: socket.socket, header: str, body: str) -> None:
    fields, answer = raw(line, "/reference/markets/10000065", "Accept-Encoding: identity", header, body=body)

    assert (10000065, "close") == (json.loads(answer)["id"], fields["Connection"])
    assert is_closed(line)


def test_requests_are_recorded(sandbox: Sandbox) -> None:
    send(sandbox, params={**TRADES, "sequenceItemId": [244, 245]})
    asked = sandbox.asked[-1]

    assert ("/api", "/trades", 200) == (asked.api, asked.path, asked.status)
    assert [("sequenceItemId", "244"), ("sequenceItemId", "245")] == [
        pair for pair in asked.params if pair[0] == "sequenceItemId"
    ]


def test_closing_one_of_two_sandboxes_closes_its_connections_only() -> None:
    before = set(threading.enumerate())
    with Sandbox(limits=False) as one, Sandbox(limits=False) as other:
        assert one.url != other.url
        session = requests.Session()
        session.get(one.url + "/reference/markets", headers={"X-API-KEY": one.key}, timeout=10)
        one.close()
        with pytest.raises(requests.ConnectionError):
            session.get(one.url + "/reference/markets", timeout=1)
        assert 200 == send(other).status_code
        session.close()
    assert "trayport-sandbox" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_closing_ends_connections_and_threads() -> None:
    before = set(threading.enumerate())
    with Sandbox(limits=False) as sandbox, connect(sandbox) as line:
        raw(line, "/reference/markets/10000065")
        threads = set(threading.enumerate()) - before
        sandbox.close()

        assert is_closed(line)
        assert 2 == len(threads)  # the thread of the listener, and the thread of the connection
        for thread in threads:
            thread.join(2)
            assert not thread.is_alive()


def test_port_in_use_raises_os_error(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(int(sandbox.url.rpartition(":")[2]))


def test_client_may_close_its_connection_during_a_response(sandbox: Sandbox, line: socket.socket) -> None:
    line.sendall(b"GET /reference/instruments HTTP/1.1\r\nX-API-KEY: sandbox-key\r\n\r\n")
    line.close()

    assert 200 == send(sandbox).status_code
