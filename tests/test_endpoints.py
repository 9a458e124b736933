"""The table of endpoints, compared with the OpenAPI document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from trayport.endpoints import (
    ACTIVITY,
    LAST_TRADE,
    OHLCV,
    ORDER_BOOK,
    PRIVATE_TRADES,
    REFERENCE,
    SNAPSHOTS,
    TOP_OF_BOOK,
    TRADES,
    Column,
    Endpoint,
    Request,
)

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data" / "openapi.yaml").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
ANALYTICS = [TRADES, PRIVATE_TRADES, OHLCV, LAST_TRADE, ACTIVITY, TOP_OF_BOOK, ORDER_BOOK, SNAPSHOTS]
# The schemas of rows in the document; for books, of an order.
ROWS = ["Trade", "PrivateTrade", "Candle", "LastTrade", "Activity", "BookTop", "Order", "Snapshot"]
JSON_TYPES = {
    "time": "integer",
    "moment": "integer",
    "string": "string",
    "float64": "number",
    "boolean": "boolean",
    "Int64": "integer",
    "int64": "integer",
}
by_name = pytest.mark.parametrize("endpoint", ANALYTICS, ids=lambda endpoint: endpoint.name)


def parameters(endpoint: Endpoint) -> dict[str, Any]:
    """Return the parameters of an endpoint in the document, by name."""
    listed = DOCUMENT["paths"][endpoint.path]["get"]["parameters"]
    resolved = [
        DOCUMENT["components"]["parameters"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        for each in listed
    ]
    return {each["name"]: each for each in resolved}


def properties(schema: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return every property of a row, by its path with dots."""
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    if "properties" not in schema and not any(key in schema for key in ("allOf", "oneOf", "anyOf")):
        return {path: schema} if path else {}
    found: dict[str, Any] = {}
    for part in [part for key in ("allOf", "oneOf", "anyOf") for part in schema.get(key, ())]:
        found |= properties(part, path)
    for name, each in schema.get("properties", {}).items():
        found |= properties(each, f"{path}.{name}" if path else name)
    return found


def types(schema: dict[str, Any]) -> set[str]:
    found = schema.get("type", [])
    return set([found] if isinstance(found, str) else found) - {"null"}


def columns(endpoint: Endpoint) -> list[Column]:
    """Return the columns that are in each row of a response."""
    shared = bool(endpoint.row_lists or endpoint.list_field)
    return [column for column in endpoint.columns if not (shared and column.dtype == "time")]


@pytest.mark.parametrize("endpoint, row", list(zip(ANALYTICS, ROWS, strict=True)), ids=ROWS)
def test_columns_and_their_types_are_those_of_the_document(endpoint: Endpoint, row: str) -> None:
    found = properties(SCHEMAS[row])
    documented = {
        path: schema
        for path, schema in found.items()
        if "contract" not in path.split(".") and not any(other.startswith(f"{path}.") for other in found)
    }
    ours = {column.wire: JSON_TYPES[column.dtype] for column in columns(endpoint)}
    if endpoint is TOP_OF_BOOK:  # the names of the routes of both sides are not documented
        ours = {path: kind for path, kind in ours.items() if not path.startswith("route")}

    assert set(documented) == set(ours)
    assert {} == {
        path: (ours[path], schema)
        for path, schema in documented.items()
        if types(schema) and ours[path] not in types(schema) and not {"integer", "string"} <= types(schema)
    }


@by_name
def test_optional_fields_are_those_of_the_document(endpoint: Endpoint) -> None:
    field = parameters(endpoint).get("optionalFields", {}).get("schema", {})
    documented = set(field.get("items", {}).get("enum", ())) - {"contract"}

    names = {column.field_name for column in endpoint.columns_of("optional")}
    assert documented == names | set(endpoint.default_fields)


@by_name
def test_columns_are_the_names_of_the_api_in_snake_case_except_for_times(endpoint: Endpoint) -> None:
    renamed = {"timestamp": ("dealDate", "fromTimestamp", "timestamp"), "last_timestamp": ("lastTrade.dealDate",),
               "last_price": ("lastTrade.price",)}  # fmt: skip
    for column in endpoint.columns:
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", column.wire.rpartition(".")[2]).lower()

        assert snake == column.name or column.wire in renamed[column.name]


@pytest.mark.parametrize("endpoint", [*ANALYTICS, *REFERENCE.values()], ids=lambda endpoint: endpoint.name)
def test_every_path_is_in_the_document(endpoint: Endpoint) -> None:
    documented = {path.replace("{", "").replace("}", "") for path in DOCUMENT["paths"]}
    filled = endpoint.path.format("instrumentId", "sequenceItemId")
    names = {filled, filled.replace("instrumentId", "marketId"), filled.replace("instrumentId", "sequenceId")}

    assert names & documented


@by_name
def test_options_are_parameters_of_the_document(endpoint: Endpoint) -> None:
    wire = {
        "include_private": "includePrivate",
        "deduplicate": "deduplicateRoutes",
        "include_empty": "includeEmptyBuckets",
        "max_spread": "maxSpread",
    }
    ours = {wire.get(option, option) for option in endpoint.options} - {"verify"}
    others = {"from", "until", "intervalUnit", "instrumentId", "marketId", "sequenceId", "sequenceItemId",
              "secondSequenceItemId", "contractType", "tradingItems", "optionalFields"}  # fmt: skip

    assert ours == set(parameters(endpoint)) - others


def test_limits_are_those_of_the_guide() -> None:
    days = {endpoint.name: endpoint.span and endpoint.span.days for endpoint in ANALYTICS}

    assert {
        "trades": 32,
        "private_trades": 32,
        "ohlcv": 92,
        "last_trade": None,
        "activity": 7,
        "top_of_book": 60,
        "order_book": 60,
        "snapshots": None,
    } == days
    assert pd.Timedelta(days=1827) == OHLCV.coarse_span
    assert (99_999, 99_999) == (TOP_OF_BOOK.points, ORDER_BOOK.points)
    assert pd.Timestamp("2023-04-10", tz="UTC") == ACTIVITY.since
    assert {"trades": 50, "snapshots": 50} == {
        endpoint.name: endpoint.batch for endpoint in ANALYTICS if endpoint.batch > 1
    }


def test_request_fills_its_path_and_prints_as_its_url() -> None:
    request = Request(REFERENCE["sequence items"], (("startDate", "2024-01-01"), ("count", "5")), ids=(10000305,))

    assert "/sequences/10000305/sequenceItems?startDate=2024-01-01&count=5" == str(request)
    assert "/instruments" == str(Request(REFERENCE["instruments"]))
    assert "<Request /trades as CSV>" == repr(Request(TRADES, csv=True))
