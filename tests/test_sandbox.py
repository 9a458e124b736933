"""The stand-in, asked with plain requests in the ways that real users ask: it keeps the API's rules."""

from __future__ import annotations

import datetime
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import brotli
import pytest
import requests
import yaml
from openapi_schema_validator import OAS31Validator

from trayport.sandbox import Sandbox
from trayport.sandbox.rules import ROUTES

DOCUMENT = yaml.safe_load((Path(__file__).parent / "data" / "openapi.yaml").read_text(encoding="utf-8"))
TRADES = {
    "from": "2024-02-05",
    "until": "2024-02-06",
    "marketId": 10000065,
    "sequenceId": 10000305,
    "sequenceItemId": 244,
    "contractType": "SinglePeriod",
}
TRADE = {"tradeId", "venueCode", "dealDate", "price", "quantity", "aggressorBuy"}


def ask(sandbox: Sandbox, path: str = "/api/trades", params: Any = TRADES, **options: Any) -> requests.Response:
    headers = {"x-api-key": sandbox.key, **options.pop("headers", {})}
    return requests.get(sandbox.url + path, params=params, headers=headers, timeout=30, **options)


@cache
def validator(schema: str) -> Any:
    return OAS31Validator({"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]})


def check(schema: str, document: object) -> None:
    """Against the API's document."""
    validator(schema).validate(document)


# --- answers -------------------------------------------------------------------------------------------------


def test_trades_are_what_the_document_promises(sandbox: Sandbox) -> None:
    answer = ask(sandbox)

    assert (200, "application/json; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    assert len(answer.json()) > 100
    for trade in answer.json():
        check("Trade", trade)
        assert set(trade) == TRADE


def test_every_optional_field_is_there_when_asked_for(sandbox: Sandbox) -> None:
    fields = DOCUMENT["components"]["parameters"]["TradeOptionalFields"]["schema"]["items"]["enum"]
    answer = ask(sandbox, params={**TRADES, "optionalFields": fields, "includePrivate": "true"}).json()

    for trade in answer:
        check("Trade", trade)
        assert set(trade) - {"privateFields"} == TRADE | set(fields)
    assert any("privateFields" in trade for trade in answer)
    assert not any(trade["aggressorSleeve"] for trade in answer)
    assert any(trade["fromBrokenSpread"] for trade in answer)


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
def test_reference_data_are_what_the_document_promises(sandbox: Sandbox, path: str, schema: str) -> None:
    document = ask(sandbox, f"/reference{path}", params=None).json()
    for each in (document if isinstance(document, list) else [document])[:200]:
        check(schema, each)


def test_links_lead_on_from_the_base(sandbox: Sandbox) -> None:
    market = next(each for each in ask(sandbox, "/reference/markets").json() if each["name"] == "TTF Hi Cal 51.6")
    sequence = ask(sandbox, "/reference" + market["sequences"]).json()[1]
    items = ask(sandbox, "/reference" + sequence["sequenceItems"], params=None).json()

    assert "/sequences/10000305/sequenceItems" == sequence["sequenceItems"]
    assert 37 == len(items)


@pytest.mark.parametrize(
    "params, first, count",
    [
        ({}, "Nov-26", 36),
        ({"count": 3}, "Nov-26", 3),
        ({"StartDate": "2010-01-01T00:00:00Z", "Count": "10"}, "Jan-10", 10),
        ({"startDate": "2010-02-01"}, "Feb-10", 100),
        ({"startDate": "2010-01-31T23:00"}, "Jan-10", 100),
    ],
)
def test_items_begin_with_the_period_that_ends_after_the_start_date(params: Any, first: str, count: int) -> None:
    now = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
    with Sandbox(limits=False, now=now) as sandbox:
        items = ask(sandbox, "/reference/sequences/10000305/sequenceItems", params=params).json()

        assert (first, count) == (items[0]["name"], len(items) if count == 100 else min(len(items), count))


def test_a_spread_is_answered_in_the_answers_own_words(sandbox: Sandbox) -> None:
    params = {**TRADES, "contractType": "Spread", "secondSequenceItemId": 245, "optionalFields": "contract",
              "from": "2024-01-08", "until": "2024-02-06"}  # fmt: skip
    rows = ask(sandbox, params=params).json()

    assert {"PeriodSpread"} == {row["contract"]["contractType"] for row in rows}
    assert {(244, 245)} == {
        (row["contract"]["sequenceItemId"], row["contract"]["secondSequenceItemId"]) for row in rows
    }
    assert rows == ask(sandbox, params={**params, "contractType": "periodspread"}).json()


def test_names_values_and_lists_are_taken_as_real_users_spell_them(sandbox: Sandbox) -> None:
    usual = ask(
        sandbox, params={**TRADES, "sequenceItemId": [244, 245], "optionalFields": ["contract", "route"]}
    ).json()
    odd = ask(
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
def test_times_may_be_coarse_and_have_a_zone_or_none(sandbox: Sandbox, start: str, until: str) -> None:
    plain = ask(sandbox, params={**TRADES, "from": "2024-02-01", "until": "2024-03-01"}).content

    assert plain == ask(sandbox, params={**TRADES, "from": start, "until": until}).content


def test_unknown_parameters_are_ignored_without_a_word_and_noted(sandbox: Sandbox) -> None:
    plain = ask(sandbox).content

    assert plain == ask(sandbox, params={**TRADES, "snapshotDate": "2020-01-01"}).content
    assert frozenset({"snapshotdate"}) == sandbox.asked[-1].ignored


@pytest.mark.parametrize("until", ["exclusive", "inclusive"])
def test_until_is_read_either_way(sandbox: Sandbox, until: Any) -> None:
    whole = next(
        trade
        for trade in ask(sandbox, params={**TRADES, "until": "2024-02-10"}).json()
        if trade["dealDate"] % 10**9 == 0
    )
    moment = datetime.datetime.fromtimestamp(whole["dealDate"] // 10**9, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with Sandbox(limits=False, until=until) as odd:
        trades = ask(odd, params={**TRADES, "until": moment}).json()

        assert (until == "inclusive") == (whole in trades)
        assert whole in ask(odd, params={**TRADES, "from": moment}).json()


def test_a_shuffled_server_answers_with_the_same_trades(sandbox: Sandbox) -> None:
    with Sandbox(limits=False, order="shuffled") as odd:
        shuffled, usual = ask(odd).json(), ask(sandbox).json()

    assert shuffled != usual
    assert usual == sorted(usual, key=lambda trade: trade["dealDate"])
    assert sorted(map(str, usual)) == sorted(map(str, shuffled))


@pytest.mark.parametrize(
    "asked, names", [("all", {"House"}), ("Desk", {"Desk"}), ("904,652", {"House"}), ("904", {"Desk"})]
)
def test_routes(sandbox: Sandbox, asked: str, names: set[str]) -> None:
    rows = ask(sandbox, params={**TRADES, "routes": asked}).json()

    assert names == {row["route"] for row in rows}
    ids = [row["tradeId"] for row in rows]
    double = ask(sandbox, params={**TRADES, "routes": asked, "deduplicateRoutes": "false"}).json()
    assert len(ids) == len(set(ids)) == len({row["tradeId"] for row in double})
    assert (len(double) > len(ids)) == (len(asked) == 7 or asked == "all")


def test_the_house_route_is_the_one_with_the_lowest_id() -> None:
    assert sorted(ROUTES)[0] == ROUTES[0] == (652, "House")


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, parameter",
    [
        ({"from": None}, "from"),
        ({"until": None}, "until"),
        ({"from": "2024-02-05T00:00:00.5Z"}, "from"),
        ({"from": "05/02/2024"}, "from"),
        ({"from": "2024-02-31"}, "from"),
        ({"from": "now"}, "from"),
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
def test_what_breaks_a_rule_is_400_with_the_parameter(
    sandbox: Sandbox, changes: dict[str, Any], parameter: str
) -> None:
    answer = ask(sandbox, params={**TRADES, **changes})

    assert 400 == answer.status_code
    check("Problem", answer.json())
    assert [parameter] == list(answer.json()["errors"])


def test_the_one_message_that_a_user_saw_is_the_same_to_the_letter(sandbox: Sandbox) -> None:
    answer = ask(sandbox, params={**TRADES, "from": "2020-01-01T00:00:00Z", "until": "2020-03-01T00:00:00Z"})

    assert {"until": ["Maximum query range is 32 days."]} == answer.json()["errors"]


def test_thirty_two_days_and_fifty_items_are_just_allowed(sandbox: Sandbox) -> None:
    params = {**TRADES, "until": "2024-03-08", "sequenceItemId": list(range(240, 290))}

    assert 200 == ask(sandbox, params=params).status_code


@pytest.mark.parametrize("name, value", [("count", 0), ("count", "x"), ("startDate", "soon")])
def test_what_breaks_a_rule_of_items_is_400(sandbox: Sandbox, name: str, value: object) -> None:
    answer = ask(sandbox, "/reference/sequences/10000305/sequenceItems", params={name: value})

    assert (400, [name]) == (answer.status_code, list(answer.json()["errors"]))


@pytest.mark.parametrize(
    "path, params",
    [
        ("/api/trades", {**TRADES, "marketId": 5}),
        ("/api/trades", {**TRADES, "sequenceId": 10000105}),
        ("/api/nonsense", None),
        ("/api", None),
        ("/", None),
        ("/reference/sequences", None),
        ("/reference/instruments/5", None),
        ("/reference/markets/10002096", None),
        ("/reference/markets/5/sequences", None),
        ("/reference/sequences/5/sequenceItems", None),
        ("/reference/sequences/10000305/sequenceItems/99999", None),
        ("/reference/sequences/10000305/items", None),
    ],
)
def test_what_is_not_there_is_404(sandbox: Sandbox, path: str, params: Any) -> None:
    assert 404 == ask(sandbox, path, params=params).status_code


@pytest.mark.parametrize("headers", [{}, {"X-API-KEY": "wrong"}, {"Authorization": "Bearer sandbox-key"}])
@pytest.mark.parametrize("path", ["/api/trades", "/reference/markets"])
def test_without_the_right_key_it_is_401(sandbox: Sandbox, headers: dict[str, str], path: str) -> None:
    assert 401 == requests.get(sandbox.url + path, params=TRADES, headers=headers, timeout=30).status_code


@pytest.mark.parametrize(
    "until, intraday, status",
    [("2024-02-07", False, 200), ("2024-02-07T00:00:01", False, 401), ("2024-02-08", True, 200)],
)
def test_reaching_into_today_is_401_without_the_right(until: str, intraday: bool, status: int) -> None:
    now = datetime.datetime(2024, 2, 7, 12)  # noqa: DTZ001  one without a zone is UTC
    with Sandbox(limits=False, now=now, intraday=intraday) as sandbox:
        answer = ask(sandbox, params={**TRADES, "until": until})

        assert status == answer.status_code
        if status == 200:
            noon = int(now.replace(tzinfo=datetime.UTC).timestamp()) * 10**9
            assert max(trade["dealDate"] for trade in answer.json()) < noon


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get_is_known(sandbox: Sandbox, method: str) -> None:
    answer = requests.request(method, sandbox.url + "/api/trades", data=b"x" * 10, timeout=30)

    assert (405, "GET") == (answer.status_code, answer.headers["Allow"])


def test_the_ninth_request_in_a_second_is_429() -> None:
    with Sandbox() as sandbox:
        statuses = [ask(sandbox, "/reference/markets", params=None).status_code for _ in range(10)]
        assert [200] * 8 + [429] * 2 == statuses

        time.sleep(1.05)
        assert 200 == ask(sandbox).status_code


def test_without_limits_there_is_no_429(sandbox: Sandbox) -> None:
    assert {200} == {ask(sandbox, "/reference/markets", params=None).status_code for _ in range(30)}


# --- the wire ------------------------------------------------------------------------------------------------


@pytest.fixture
def line(sandbox: Sandbox) -> Iterator[socket.socket]:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def raw(line: socket.socket, target: str, *headers: str) -> tuple[dict[str, str], bytes]:
    """One request on an open connection: the answer's headers and its body as it came."""
    line.sendall(
        "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", "X-API-KEY: sandbox-key", *headers, "", ""]).encode()
    )
    received = b""
    while b"\r\n\r\n" not in received:
        received += line.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(text.split(": ", 1) for text in head.decode().splitlines()[1:])
    while len(body) < int(fields["Content-Length"]):
        body += line.recv(65536)
    return fields, body


@pytest.mark.parametrize(
    "headers, encoding, unpack",
    [
        ((), "br", brotli.decompress),
        (("Accept-Encoding: br, gzip, deflate",), "br", brotli.decompress),
        (("Accept-Encoding: gzip;q=1.0, br;q=0.5",), "gzip", gzip.decompress),
        (("Accept-Encoding: deflate",), "deflate", zlib.decompress),
        (("Accept-Encoding: identity",), None, bytes),
        (("Accept-Encoding: zstd",), None, bytes),
    ],
    ids=["nothing-said", "br", "gzip", "deflate", "identity", "unknown"],
)
def test_a_body_is_encoded_as_the_client_takes_it_and_in_brotli_unasked(
    line: socket.socket, headers: tuple[str, ...], encoding: str | None, unpack: Any
) -> None:
    fields, body = raw(line, "/reference/instruments", *headers)

    assert encoding == fields.get("Content-Encoding")
    assert len(json.loads(unpack(body))) > 14_000


def test_a_connection_is_kept_for_the_next_request(line: socket.socket) -> None:
    for _ in range(3):
        _, body = raw(line, "/reference/markets/10000065", "Accept-Encoding: identity")
        assert 10000065 == json.loads(body)["id"]


def test_what_it_was_asked_is_written_down(sandbox: Sandbox) -> None:
    ask(sandbox, params={**TRADES, "sequenceItemId": [244, 245]})
    asked = sandbox.asked[-1]

    assert ("/api", "/trades", 200) == (asked.api, asked.path, asked.status)
    assert [("sequenceItemId", "244"), ("sequenceItemId", "245")] == [
        pair for pair in asked.params if pair[0] == "sequenceItemId"
    ]


def test_two_sandboxes_stand_side_by_side_and_closing_one_ends_its_connections() -> None:
    with Sandbox(limits=False) as one, Sandbox(limits=False) as other:
        assert one.url != other.url
        session = requests.Session()
        session.get(one.url + "/reference/markets", headers={"X-API-KEY": one.key}, timeout=10)
        one.close()
        with pytest.raises(requests.ConnectionError):
            session.get(one.url + "/reference/markets", timeout=1)
        assert 200 == ask(other).status_code
        session.close()
    assert "trayport-sandbox" not in {thread.name for thread in threading.enumerate() if not thread.is_alive()}


def test_a_port_that_is_taken_is_an_os_error(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(int(sandbox.url.rpartition(":")[2]))


def test_a_client_that_hangs_up_in_the_middle_does_no_harm(sandbox: Sandbox, line: socket.socket) -> None:
    line.sendall(b"GET /reference/instruments HTTP/1.1\r\nX-API-KEY: sandbox-key\r\n\r\n")
    line.close()

    assert 200 == ask(sandbox).status_code
