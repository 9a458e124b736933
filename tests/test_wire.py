"""The room that spells the API: its parameters, headers and objects, and that no other room spells them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import trayport
from trayport import Contract, ContractError, Instrument, Market
from trayport.wire import (
    CONTRACT_OBJECT,
    contract_params,
    entitlement_params,
    error_detail,
    field_params,
    front_params,
    instant_params,
    interval_params,
    kind_of,
    option_params,
    request_headers,
    window_params,
)

PACKAGE = Path(trayport.__file__).parent
DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data" / "openapi.yaml").read_text(encoding="utf-8"))
TTF = Market(10000065, "TTF Hi Cal 51.6")
APRIL = Contract(TTF, 10000305, 232, name="TTF Hi Cal 51.6* Apr-23")
MAY = Contract(TTF, 10000305, 233, name="TTF Hi Cal 51.6* May-23")


def test_window_is_half_open_and_in_utc_seconds() -> None:
    start = pd.Timestamp("2024-02-05", tz="UTC")

    assert (("from", "2024-02-05T00:00:00Z"), ("until", "2024-02-05T00:01:00Z")) == window_params(
        start, start + pd.Timedelta(minutes=1)
    )


def test_instant_that_the_server_chooses_has_no_parameter() -> None:
    assert () == instant_params(None)
    assert (("at", "2024-02-05T16:00:00Z"),) == instant_params(pd.Timestamp("2024-02-05T16:00", tz="UTC"))


def test_interval_is_a_count_and_a_unit() -> None:
    assert (("interval", "15"), ("intervalUnit", "minute")) == interval_params(15, "minute")


def test_single_period_is_named_by_its_ids() -> None:
    assert (
        ("marketId", "10000065"),
        ("sequenceId", "10000305"),
        ("sequenceItemId", "232"),
        ("contractType", "SinglePeriod"),
    ) == contract_params(APRIL)


def test_several_single_periods_repeat_the_item() -> None:
    assert (
        ("marketId", "10000065"),
        ("sequenceId", "10000305"),
        ("sequenceItemId", "232"),
        ("sequenceItemId", "233"),
        ("contractType", "SinglePeriod"),
    ) == contract_params(APRIL, MAY)


@pytest.mark.parametrize(
    "kind, contract_type, name", [("spread", "Spread", "Apr-23/May-23"), ("range", "Range", "Apr-23..May-23")]
)
def test_two_periods_have_a_second_item_and_the_short_type(kind: str, contract_type: str, name: str) -> None:
    joined = getattr(APRIL, kind)(MAY)

    assert {"secondSequenceItemId": "233", "contractType": contract_type}.items() <= dict(
        contract_params(joined)
    ).items()
    assert f"TTF Hi Cal 51.6* {name}" == joined.name


def test_instrument_is_named_by_its_own_parameter() -> None:
    assert "instrumentId" == contract_params(Contract(Instrument(10002806), 10000305, 232))[0][0]


def test_front_is_a_number_of_tradable_items() -> None:
    assert (
        ("instrumentId", "5"),
        ("sequenceId", "7"),
        ("tradingItems", "12"),
        ("contractType", "SinglePeriod"),
    ) == front_params(Instrument(5), 7, 12)


def test_options_have_parameters_only_where_they_differ_from_the_defaults_of_the_api() -> None:
    assert () == option_params()
    assert (
        ("depth", "3"),
        ("maxSpread", "0.0000001"),
        ("includePrivate", "true"),
        ("includeEmptyBuckets", "true"),
        ("routes", "House"),
        ("routes", "904"),
        ("deduplicateRoutes", "false"),
    ) == option_params(
        depth=3, max_spread=1e-7, include_private=True, include_empty=True, routes=["House", "904"], deduplicate=False
    )


def test_fields_are_asked_for_once_each() -> None:
    assert (("optionalFields", "venueCode"), ("optionalFields", "contract")) == field_params(
        ["venueCode", "venueCode"], contract=True
    )


def test_entitlements_depend_on_products_own_data_and_routes() -> None:
    params = (*contract_params(APRIL), *option_params(depth=3, include_private=True, routes=["House"]))

    assert (("marketId", "10000065"), ("includePrivate", "true"), ("routes", "House")) == entitlement_params(params)


@pytest.mark.parametrize("csv, accepted", [(False, "application/json"), (True, "text/csv")])
def test_headers_are_the_key_the_format_and_the_id(csv: bool, accepted: str) -> None:
    assert {"X-API-KEY": "key", "Accept": accepted, "X-Request-ID": "id-1"} == request_headers("key", "id-1", csv=csv)


@pytest.mark.parametrize("contract_type", [None, 5])
def test_contract_type_that_is_no_text_is_an_error(contract_type: object) -> None:
    with pytest.raises(ContractError, match="contract type"):
        kind_of(contract_type)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "contract_type, kind",
    [("SinglePeriod", "single"), ("Spread", "spread"), ("PeriodSpread", "spread"), ("periodrange", "range")],
)
def test_both_spellings_of_a_contract_type_are_read(contract_type: str, kind: str) -> None:
    assert kind == kind_of(contract_type)


def test_unknown_contract_type_is_an_error() -> None:
    with pytest.raises(ContractError, match="'Strip'"):
        kind_of("Strip")


@pytest.mark.parametrize(
    "body, detail",
    [
        ("", ""),
        ("  too early \n", "too early"),
        ("<html><p>Bad gateway</p></html>", "an HTML page instead of an answer"),
        ('{"title": "Bad Request", "message": "other"}', "Bad Request"),
        ('{"errors": {"from": ["is missing.", "is late."], "at": "odd"}}', "from: is missing. is late.; at: odd"),
        ("{}", ""),
        ("[]", ""),
        ('["one"]', "['one']"),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=["empty", "text", "html", "problem", "errors", "empty-object", "empty-list", "list", "deep"],
)  # fmt: skip
def test_message_is_found_in_an_error_body_of_any_shape(body: str, detail: str) -> None:
    assert detail == error_detail(body)


# --- no other room spells the API -------------------------------------------------------------------------------------


def of_document() -> tuple[set[str], set[str]]:
    """Return the document's names of parameters, and its names that are in camelCase."""
    parameters, names = set(), set(CONTRACT_OBJECT.values())

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            if "name" in node and "in" in node and node["in"] == "query":
                parameters.add(node["name"])
            names.update(map(str, node.get("properties", {})))
            names.update(map(str, node.get("enum", ())))
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            visit(child)

    visit(DOCUMENT)
    return parameters, {name for name in names | parameters if re.fullmatch(r"[A-Z]?[a-z]+([A-Z][a-z]+)+", name)}


PARAMETERS, CAMEL = of_document()
# Words that are only the API's: anything in camelCase, its headers, and the contract types that are one word.
SPELLINGS = CAMEL | {"X-API-KEY", "X-Request-ID", "Spread", "Range"}


def spellings(source: str) -> Iterator[str]:
    """Yield each spelling of the API in a module: as a name, a text, or the name in a parameter's pair."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) | ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text):
                if text in SPELLINGS:
                    yield text
            case ast.keyword(arg=str(text)) if text in SPELLINGS:
                yield text
            case ast.Tuple(elts=[ast.Constant(value=str(text)), ast.Call()]) if text in PARAMETERS:
                yield text


@pytest.mark.parametrize(
    "source, found",
    [
        ("x = {'marketId': 1}", ["marketId"]),
        ("contract.sequenceItemId", ["sequenceItemId"]),
        ("(('from', iso(start)),)", ["from"]),
        ("headers['X-API-KEY']", ["X-API-KEY"]),
        ("kind = 'PeriodSpread'", ["PeriodSpread"]),
        ("x = {'market_id': 1, 'from': 2}", []),
        ("'''The parameter marketId.'''", []),
    ],
)
def test_spellings_of_the_api_are_found(source: str, found: list[str]) -> None:
    assert found == list(spellings(source))


def test_spellings_of_the_document_are_complete() -> None:
    assert {"from", "until", "at", "interval", "depth", "routes", "count"} <= PARAMETERS
    assert {
        "optionalFields",
        "dealDate",
        "tradeId",
        "SinglePeriod",
        "PeriodRange",
        "intervalUnit",
        "maxSpread",
    } <= CAMEL


SPELLERS = {"wire", "endpoints.py", "sandbox"}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in SPELLERS
        and path.relative_to(PACKAGE).as_posix() != "cli/sandbox.py"
    ],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_no_other_room_spells_the_api(path: Path) -> None:
    assert [] == list(spellings(path.read_text(encoding="utf-8")))
