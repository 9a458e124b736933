"""The API's document as the judge of the stand-in: schemathesis asks all that it allows, and much that it forbids."""

from __future__ import annotations

import copy
import datetime
import math
import re
from collections.abc import Iterator
from itertools import cycle
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from support.api import DOCUMENT

from trayport.sandbox import Sandbox

PATHS: dict[str, Any] = DOCUMENT["paths"]
REFERENCE = {path for path, item in PATHS.items() if "servers" in item}
"""The paths that belong to the other API, as the document says."""

SESSION = requests.Session()
"""Keeps its connection, since there are thousands of requests."""


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """One whose clock stands, and so whose answers are always the same."""
    with Sandbox(limits=False, now=datetime.datetime(2024, 2, 7, 12, tzinfo=datetime.UTC)) as sandbox, SESSION:
        yield sandbox


def judge(
    document: dict[str, Any], examples: int, mode: str = "all", *, coverage: bool = True, **checks: dict[str, Any]
) -> Any:
    """What asks by a document and judges the answers; the same seed and no database, so always the same requests."""
    generation = {"deterministic": True, "database": "none", "max-examples": examples, "mode": mode}
    config = {
        "seed": 1,
        "generation": {**generation, "with-security-parameters": False},
        # That keys are asked for has its own test; here it would ask everything three times.
        "checks": {"ignored_auth": {"enabled": False}, **checks},
        # The phase that goes through every limit of every parameter; other methods have their own test.
        "phases": {"coverage": {"enabled": coverage, "unexpected-methods": []}},
    }
    return schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(config))


def ask(case: schemathesis.Case, server: Sandbox, **headers: str) -> Any:
    """The answer, which every check that is switched on finds in order."""
    base = server.reference_url if case.path in REFERENCE else server.analytics_url
    return case.call_and_validate(base, SESSION, {"X-API-KEY": server.key, **headers})


# --- whatever the document says ----------------------------------------------------------------------------------

# Which parameters go together and how long a range may be is said in prose only (guide pp. 6, 12, 27): much of what
# the schemas allow is rightly 400.
everything = judge(copy.deepcopy(DOCUMENT), 15, coverage=False, positive_data_acceptance={"enabled": False})


@everything.parametrize()
def test_whatever_is_asked_the_answer_is_one_that_the_document_has(case: schemathesis.Case, server: Sandbox) -> None:
    ask(case, server)


# --- questions of real contracts ---------------------------------------------------------------------------------

# Each parameter with values that go together in any mixture; one with None does not go with the others.
Known = dict[str, list[Any] | None]

MONTHS: Known = {"sequenceId": [10000305], "sequenceItemId": [244, 245, 262], "tradingItems": None}
SINGLE: Known = {"contractType": ["SinglePeriod"], "secondSequenceItemId": None}
MARKET: Known = {"instrumentId": None, "marketId": [10000065], **MONTHS, **SINGLE}
INSTRUMENT: Known = {"instrumentId": [10002096, 10002806, 10002228], "marketId": None, **MONTHS, **SINGLE}
EMISSIONS: Known = {**MARKET, "marketId": [10000016], "sequenceId": [10000400], "sequenceItemId": [750, 790]}
JOINED: Known = {
    **MARKET,
    "sequenceItemId": [244],
    "secondSequenceItemId": [245, 247],
    "contractType": ["Spread", "Range"],
}
FIRST: Known = {**MARKET, "sequenceItemId": None, "tradingItems": [1, 3, 50]}
ALL: Known = dict.fromkeys(MARKET)

WEEK: Known = {
    "from": ["2024-02", "2024-02-01", "2024-02-05T06", "2024-02-05T08:15:00Z"],
    "until": ["2024-02-06", "2024-02-06T17:00:00+01:00", "2024-02-07T00:00:00Z"],
}
DAY: Known = {
    "from": ["2024-02-05", "2024-02-05T01:23:45-07:00"],
    "until": ["2024-02-06", "2024-02-05T17:00", "2024-02-06T00:00:59Z"],
}
MORNING: Known = {
    "from": ["2024-02-05T08", "2024-02-05T08:30", "2024-02-05T08:15:00Z", "2024-02-05T10:15+01:00"],
    "until": ["2024-02-05T11", "2024-02-05T11:20:30", "2024-02-05T10:00:00Z", "2024-02-05T05:00:00-05:00"],
}
MINUTES: Known = {**MORNING, "intervalUnit": ["minute", "hour"], "interval": [1, 5, 60]}
SECONDS: Known = {**MORNING, "intervalUnit": ["second"], "interval": [15, 60, 1000]}
AT: Known = {"at": ["2024-02-06", "2024-02-06T10", "2024-02-05T16:30", "2024-02-06T11:31:00+01:00"]}
CANDLES: dict[str, Known] = {
    "minute": {
        "interval": [1, 5, 15, 30],
        "from": ["2024-02-05T08", "2024-02-05T08:30"],
        "until": ["2024-02-05T10:30:00Z", "2024-02-05T12"],
    },
    "hour": {
        "interval": [1, 4],
        "from": ["2024-02-05", "2024-02-05T08", "2024-02-05T09:00+01:00"],
        "until": ["2024-02-06", "2024-02-06T16:00"],
    },
    "day": {"interval": [1, 7], "from": ["2024-01-01", "2024-01-08"], "until": ["2024-02-05", "2024-01-29"]},
    "month": {"interval": [1], "from": ["2023-12", "2024-01-01"], "until": ["2024-02", "2024-02-01T00:00:00Z"]},
}
COMMON: Known = {
    "routes": ["all", "House", "desk", "904", "652"],
    "depth": [10, 1, 3, 100],
    "maxSpread": [0.5, 2],
    "count": [9, 1, 500],
    "startDate": ["2010-01-01", "2024-02-01T00:00:00Z", "2023-09", "2010-01-31T23:00:00-05:00"],
}


def questions(contract: Known, book: Known, candles: str) -> dict[str, Known]:
    """What to ask each path about a contract."""
    asked = {
        "/orders/book/top": book,
        "/orders/book": book,
        "/trades": WEEK,
        "/trades/ohlcv": {"intervalUnit": [candles], **CANDLES[candles]},
        "/trades/last": AT,
        "/trades/private": WEEK,
        "/snapshots": AT,
    }
    return {path: {**COMMON, **contract, **more} for path, more in asked.items()}


def narrowed(questions: dict[str, Known], to: str) -> dict[str, Any]:
    """The document of these paths, with the parameters that go together: to known values, or with one as example."""
    paths = copy.deepcopy({path: PATHS[path] for path in questions})
    for path, known in questions.items():
        operation = paths[path]["get"]
        operation["parameters"] = [
            _narrowed(each, known.get(each["name"], []), to)
            for each in map(_resolved, operation.get("parameters", []))
            if known.get(each["name"], []) is not None
        ]
    return {**copy.deepcopy(DOCUMENT), "paths": paths}


def _resolved(parameter: dict[str, Any]) -> dict[str, Any]:
    named = DOCUMENT["components"]["parameters"]
    return copy.deepcopy(named[parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter)


def _narrowed(parameter: dict[str, Any], values: list[Any], to: str) -> dict[str, Any]:
    schema, is_list = parameter["schema"], parameter["schema"].get("type") == "array"
    if not values:
        return parameter
    if to == "examples":
        schema["examples"] = [values[:1] if is_list else values[0]]
    elif is_list:
        schema |= {"items": {"enum": values}, "minItems": 1, "maxItems": len(values)}
    else:
        parameter["schema"] = {"enum": values}
    # What says which contract is meant is needed, though the document cannot say so.
    return {**parameter, "required": parameter.get("required", False) or parameter["name"] in MARKET}


ITEMS, ITEM = "/sequences/{sequenceId}/sequenceItems", "/sequences/{sequenceId}/sequenceItems/{sequenceItemId}"
SUBJECTS: dict[str, dict[str, Known]] = {
    "market": questions(MARKET, SECONDS, "minute"),
    "instrument": questions(INSTRUMENT, MINUTES, "hour"),
    "emissions": questions(EMISSIONS, SECONDS, "month"),
    "joined": questions(JOINED, MINUTES, "day"),
    "others": {
        "/trades": {**COMMON, **FIRST, **WEEK},
        "/snapshots": {**FIRST, **AT},
        "/trades/private": {**COMMON, **ALL, **DAY},
        "/trades/activity": {**COMMON, **DAY},
        "/instruments/{instrumentId}": {"instrumentId": [10002096, 10001126, 10003007, 10700000]},
        "/instruments/{instrumentId}/sequences": {"instrumentId": [10002096, 10001126, 10003007, 10700000]},
        "/markets": {},
        "/markets/{marketId}": {"marketId": [10000065, 10000016]},
        "/markets/{marketId}/sequences": {"marketId": [10000065, 10000016]},
        ITEMS: {**COMMON, "sequenceId": [10000305, 10000302, 10000400, 10000100]},
        ITEM: {"sequenceId": [10000305], "sequenceItemId": [73, 232, 244, 262]},
    },
}

ANSWERED = {"positive_data_acceptance": {"expected-statuses": [200]}}
answered = {name: judge(narrowed(asked, "enum"), 6, "positive", **ANSWERED) for name, asked in SUBJECTS.items()}
KINDS = cycle(["*/*", "application/json", "text/csv"])


@answered["market"].parametrize()
def test_questions_about_a_market_are_answered(case: schemathesis.Case, server: Sandbox) -> None:
    ask(case, server, Accept=next(KINDS))


@answered["instrument"].parametrize()
def test_questions_about_instruments_are_answered(case: schemathesis.Case, server: Sandbox) -> None:
    ask(case, server, Accept=next(KINDS))


@answered["emissions"].parametrize()
def test_questions_about_emissions_are_answered(case: schemathesis.Case, server: Sandbox) -> None:
    ask(case, server, Accept=next(KINDS))


@answered["joined"].parametrize()
def test_questions_about_spreads_and_ranges_are_answered(case: schemathesis.Case, server: Sandbox) -> None:
    ask(case, server, Accept=next(KINDS))


@answered["others"].parametrize()
def test_questions_that_name_no_contract_are_answered(case: schemathesis.Case, server: Sandbox) -> None:
    ask(case, server, Accept=next(KINDS))


def test_these_questions_find_something(server: Sandbox) -> None:
    asked = [(path, known) for questions in SUBJECTS.values() for path, known in questions.items()]
    for path, known in asked:
        given = {name: values[0] for name, values in known.items() if values}
        assert found(server, path.format_map(given), **given), path


def found(server: Sandbox, path: str, **parameters: Any) -> Any:
    base = server.reference_url if path.startswith(("/instruments", "/markets", "/sequences")) else server.analytics_url
    return SESSION.get(base + path, params=parameters, headers={"X-API-KEY": server.key}).json()


# --- and what is wrong with them ---------------------------------------------------------------------------------

# schemathesis has a check of its own for this, which lets a wrong parameter of a query pass if another one is right
# (4.32). So they are looked at here as they were sent.
spoilt = {name: judge(narrowed(asked, "examples"), 1, "negative") for name, asked in SUBJECTS.items()}


def refuse(case: schemathesis.Case, server: Sandbox) -> None:
    """Ask, and see it refused if a parameter is not what the document says."""
    answer = ask(case, server)
    sent = parse_qs(urlsplit(answer.request.url).query, keep_blank_values=True)
    parameters = map(_resolved, PATHS[case.path]["get"].get("parameters", []))
    wrong = {
        each["name"] for each in parameters if each["in"] == "query" and is_wrong(each, sent.get(each["name"], []))
    }
    if not all(str(value).isdigit() for value in case.path_parameters.values()):
        assert 404 == answer.status_code
    elif wrong:
        # Which of two faults is told is not documented; the sandbox looks ids up before it misses parameters.
        assert answer.status_code in (400, 404), wrong


def is_wrong(parameter: dict[str, Any], sent: list[str]) -> bool:
    """Is a parameter missing, or there too often, or not of its kind? An empty value is none."""
    schema, is_list = parameter["schema"], parameter["schema"].get("type") == "array"
    if parameter["name"] == "routes":  # the document cannot know which there are
        schema = {"items": {"enum": COMMON["routes"]}}
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    given = [text.strip() for value in sent for text in value.split(",") if text.strip()]
    if (parameter.get("required") and not given) or (len(given) > 1 and not is_list):
        return True
    return not all(_fits(text, schema["items"] if is_list else schema) for text in given)


def _fits(text: str, schema: dict[str, Any]) -> bool:
    if "enum" in schema:  # without regard to case, says the document
        return text.lower() in [str(value).lower() for value in schema["enum"]]
    if schema["type"] == "boolean":
        return text.lower() in ("true", "false")
    if schema["type"] == "integer":
        return bool(re.fullmatch("-?[0-9]+", text)) and schema.get("minimum", -math.inf) <= int(text) <= schema.get(
            "maximum", math.inf
        )
    return True  # of text the document says no more in its schemas


# Its best orders are asked for like its book.
@spoilt["market"].exclude(path="/orders/book/top").parametrize()
def test_one_wrong_parameter_of_a_market_is_refused(case: schemathesis.Case, server: Sandbox) -> None:
    refuse(case, server)


@spoilt["joined"].include(path=["/trades", "/trades/last", "/snapshots"]).parametrize()
def test_one_wrong_parameter_of_a_spread_is_refused(case: schemathesis.Case, server: Sandbox) -> None:
    refuse(case, server)


# There is nothing that could be wrong with a question without parameters.
@spoilt["others"].exclude(path="/markets").parametrize()
def test_one_wrong_parameter_of_the_others_is_refused(case: schemathesis.Case, server: Sandbox) -> None:
    refuse(case, server)


# --- of every path -----------------------------------------------------------------------------------------------


def request(server: Sandbox, method: str, path: str, **headers: str) -> requests.Response:
    """A request to a path of the document, with numbers where it has names."""
    base = server.reference_url if path in REFERENCE else server.analytics_url
    numbers = {"instrumentId": 10002096, "marketId": 10000065, "sequenceId": 10000305, "sequenceItemId": 232}
    return SESSION.request(method, base + path.format_map(numbers), headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_wants_a_key(server: Sandbox, path: str) -> None:
    assert 401 == request(server, "GET", path).status_code
    assert 401 == request(server, "GET", path, **{"X-API-KEY": ""}).status_code
    assert 401 == request(server, "GET", path, **{"X-API-KEY": server.key.upper()}).status_code
    assert request(server, "GET", path, **{"X-API-KEY": server.key}).status_code in (200, 400)


# The document has no 405: what it does not list is not there. RFC 9110 wants the answer to say what is.
@pytest.mark.parametrize("path", PATHS)
def test_no_path_knows_another_method(server: Sandbox, path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"):
        answer = request(server, method, path, **{"X-API-KEY": server.key})

        assert (405, "GET") == (answer.status_code, answer.headers.get("Allow")), method


@pytest.mark.parametrize("method", ["QUERY", "PROPFIND"])
def test_no_path_knows_a_method_that_hardly_anybody_knows(server: Sandbox, method: str) -> None:
    answer = request(server, method, "/trades", **{"X-API-KEY": server.key})

    assert (405, "GET") == (answer.status_code, answer.headers.get("Allow"))
