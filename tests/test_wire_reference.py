"""The objects of the Reference Data API are read into values, and wrong ones are refused with their path."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from trayport import DecodeError, Specification
from trayport.contracts import SequenceItem
from trayport.refdata.catalogue import Items
from trayport.wire import ProductDetail, ProductEntry, SequenceEntry, parse_json, structure

EXAMPLES = {
    example["id"]: example
    for example in json.loads((Path(__file__).parent / "data" / "examples.json").read_text(encoding="utf-8"))[
        "examples"
    ]
}


def utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(f"{text}T00:00:00+00:00")


@pytest.mark.parametrize(
    "example, kind, expected",
    [
        ("instruments_list", list[ProductEntry], [ProductEntry(10002806, "TTF Hi Cal 51.6 EEX")]),
        ("markets_list", list[ProductEntry], [ProductEntry(10000065, "TTF Hi Cal 51.6")]),
        ("market_sequences", list[SequenceEntry], [SequenceEntry(10000305, "Gas - NG Months")]),
        (
            "sequence_items",
            list[SequenceItem],
            [SequenceItem(73, "Jan-10", utc("2010-01-01"), utc("2010-02-01"), utc("2007-01-01"), utc("2009-12-30"))],
        ),
        ("instrument_detail", ProductDetail, ProductDetail(10002096, Specification("EUR", "MW", "EUR", "MWh"))),
    ],
)
def test_documented_responses_are_read(example: str, kind: Any, expected: object) -> None:
    assert expected == structure(EXAMPLES[example]["response_sample"], kind, "test")


@pytest.mark.parametrize(
    "document",
    [
        {"id": 1, "name": "DA"},
        {"id": 1, "name": "DA", "periodStart": None, "tradingEnd": None},
        {"id": 1, "name": "DA", "surprise": {"a": 1}},
    ],
)
def test_dates_may_be_absent_or_null_and_unknown_fields_are_ignored(document: dict[str, Any]) -> None:
    assert SequenceItem(1, "DA") == structure(document, SequenceItem, "test")


def test_product_without_a_name_does_not_make_the_others_unreadable() -> None:
    assert [ProductEntry(1, ""), ProductEntry(2, "TTF")] == structure(
        [{"id": 1, "name": None}, {"id": 2, "name": "TTF"}], list[ProductEntry], "t"
    )
    assert "7" == structure({"id": 7, "name": None}, SequenceItem, "test").label


@pytest.mark.parametrize("key", ["periodStart", "periodEnd", "tradingStart", "tradingEnd"])
@pytest.mark.parametrize(
    "text",
    [
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+14:00",
        "2999-01-01",
    ],
)
def test_placeholder_for_never_is_none(key: str, text: str) -> None:
    assert SequenceItem(1, "x") == structure({"id": 1, "name": "x", key: text}, SequenceItem, "test")


@pytest.mark.parametrize(
    "text, expected",
    [("2010-01-01T05:00:00Z", 5), ("2010-01-01T05:00:00+02:00", 3), ("2010-01-01T05:00:00", 5)],
)
def test_date_without_a_zone_is_utc(text: str, expected: int) -> None:
    start = structure({"id": 1, "name": "x", "periodStart": text}, SequenceItem, "test").period_start

    assert start is not None
    assert expected == start.astimezone(datetime.UTC).hour


@pytest.mark.parametrize(
    "value", [{"id": 1}, {"id": 1, "tradingSpecifications": None}, {"id": 1, "tradingSpecifications": {}}]
)
def test_product_may_have_no_specification(value: dict[str, Any]) -> None:
    assert structure(value, ProductDetail, "test").trading_specifications in (None, Specification())


def test_display_name_is_read() -> None:
    assert "Months" == structure({"id": 1, "name": "x", "displayName": "Months"}, SequenceEntry, "test").display_name


@pytest.mark.parametrize(
    "document, kind, path",
    [
        ({"title": "no"}, list[ProductEntry], "$"),
        (3, list[ProductEntry], "$"),
        ([{"name": "x"}], list[ProductEntry], "$[0].id"),
        ([{"id": 1, "name": "x"}, {"id": "2", "name": "y"}], list[ProductEntry], "$[1].id"),
        ([{"id": True, "name": "x"}], list[ProductEntry], "$[0].id"),
        ([{"id": 1, "name": 5}], list[ProductEntry], "$[0].name"),
        ([{"id": 1, "name": "x", "periodStart": "soon"}], list[SequenceItem], "$[0].periodStart"),
        ([{"id": 1, "name": "x", "periodStart": ""}], list[SequenceItem], "$[0].periodStart"),
        ([{"id": 1, "name": "x", "tradingEnd": 1672531200000}], list[SequenceItem], "$[0].tradingEnd"),
        ([{"id": 1, "name": "x"}, None], list[SequenceItem], "$[1]"),
        ([["id", "name"]], list[SequenceEntry], "$[0]"),
        ([{"id": 1.0, "name": "x"}], list[SequenceEntry], "$[0].id"),
        ([{"id": 1, "name": "x", "displayName": 5}], list[SequenceEntry], "$[0].displayName"),
        ("TTF", list[ProductEntry], "$"),
        (None, list[SequenceItem], "$"),
        ([], ProductDetail, "$"),
        (None, ProductDetail, "$"),
        ({"id": 1, "tradingSpecifications": [1]}, ProductDetail, "$.tradingSpecifications"),
        (
            {"id": 1, "tradingSpecifications": {"priceCurrency": 5}},
            ProductDetail,
            "$.tradingSpecifications.priceCurrency",
        ),
        ({"items": []}, Items, "$.since"),
        ({"since": "soon", "items": []}, Items, "$.since"),
        ({"since": "2024-01-01", "items": [{"id": 1}]}, Items, "$.items[0].name"),
    ],
)
def test_unexpected_value_is_an_error_with_its_path(document: object, kind: Any, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        structure(document, kind, "test")

    assert path == caught.value.path


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1", b"\xff\xfe"])
def test_body_that_is_not_json_is_an_error(body: bytes) -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        parse_json(body, "test")
