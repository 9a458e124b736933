"""The table of the API, against its document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from trayport.endpoints import REFERENCE, TRADES, Endpoint, Request

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data" / "openapi.yaml").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
JSON_TYPES = {"time": "integer", "string": "string", "float64": "number", "boolean": "boolean", "Int64": "integer"}


def parameter_names(path: str) -> set[str]:
    parameters = DOCUMENT["paths"][path]["get"]["parameters"]
    resolved = [
        DOCUMENT["components"]["parameters"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        for each in parameters
    ]
    return {each["name"] for each in resolved}


def test_the_limits_of_trades_are_the_guides() -> None:
    assert (pd.Timedelta(days=32), 50) == (TRADES.span, TRADES.batch)


def test_every_column_of_trades_is_in_the_document_with_its_type() -> None:
    core, parties = SCHEMAS["TradeCore"]["properties"], SCHEMAS["TradeParties"]["properties"]
    for column in TRADES.columns:
        schema = (parties if column.group == "private" else core)[column.wire]
        if "$ref" in schema:
            schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]

        assert JSON_TYPES[column.dtype] == schema["type"], column.name


def test_every_property_of_the_document_is_a_column_of_trades() -> None:
    documented = {*SCHEMAS["TradeCore"]["properties"], *SCHEMAS["TradeParties"]["properties"]} - {"contract"}

    assert documented == {column.wire for column in TRADES.columns}


def test_the_optional_fields_are_those_of_the_document() -> None:
    documented = DOCUMENT["components"]["parameters"]["TradeOptionalFields"]["schema"]["items"]["enum"]

    assert set(documented) - {"contract"} == {column.wire for column in TRADES.of("optional")}


def test_columns_are_the_wires_words_in_snake_case_but_for_the_index() -> None:
    for column in TRADES.columns[1:]:
        first, *others = column.name.split("_")

        assert column.wire == first + "".join(word.title() for word in others)
    assert ("timestamp", "dealDate") == (TRADES.columns[0].name, TRADES.columns[0].wire)


@pytest.mark.parametrize("endpoint", [TRADES, *REFERENCE.values()], ids=lambda endpoint: endpoint.name)
def test_every_path_is_in_the_document(endpoint: Endpoint) -> None:
    documented = {path.replace("{", "").replace("}", "") for path in DOCUMENT["paths"]}
    filled = endpoint.path.format("instrumentId", "sequenceItemId")
    names = {filled, filled.replace("instrumentId", "marketId"), filled.replace("instrumentId", "sequenceId")}

    assert names & documented


def test_a_request_fills_its_path_and_prints_as_the_url_that_it_asks_for() -> None:
    request = Request(REFERENCE["sequence items"], (("startDate", "2024-01-01"), ("count", "5")), ids=(10000305,))

    assert "/sequences/10000305/sequenceItems?startDate=2024-01-01&count=5" == str(request)
    assert "/instruments" == str(Request(REFERENCE["instruments"]))


def test_the_parameters_of_trades_are_the_documents() -> None:
    known = {"from", "until", "instrumentId", "marketId", "sequenceId", "sequenceItemId", "tradingItems",
             "secondSequenceItemId", "contractType", "includePrivate", "routes", "deduplicateRoutes",
             "optionalFields"}  # fmt: skip

    assert known == parameter_names("/trades")
