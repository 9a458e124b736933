"""The API's own published examples: what is asked is what the client sends, what is answered is what it reads."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pytest
import responses
import yaml
from openapi_schema_validator import OAS31Validator

from trayport import BadRequest, Client, Config, Contract, Instrument, Market
from trayport._time import instant, wire
from trayport.endpoints import REFERENCE, TRADES

DATA = Path(__file__).parent / "data"
EXAMPLES = {e["id"]: e for e in json.loads((DATA / "examples.json").read_text(encoding="utf-8"))["examples"]}
DOCUMENT = yaml.safe_load((DATA / "openapi.yaml").read_text(encoding="utf-8"))
KEY = "example-key"

# Questions that this version does not answer yet; the day that one of their paths is in the table, this list is wrong.
LATER = {
    "l1_nbp_apr23": "/orders/book/top",
    "l2_ttf_apr23": "/orders/book",
    "ohlcv_eua_dec23": "/trades/ohlcv",
    "last_ttf_apr23": "/trades/last",
    "activity_1may23": "/trades/activity",
    "private_june23": "/trades/private",
    "snapshots_ttf": "/snapshots",
}
ANSWERED = sorted(set(EXAMPLES) - set(LATER))


def parameters(url: str) -> dict[str, list[str]]:
    """The parameters of a URL, so spelled that only a real difference shows: lists apart, times in full, no case."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, text in parse_qsl(urlsplit(url).query):
        found[name.lower()] += text.split(",")
    for name in ("from", "until", "startdate"):
        found |= {name: [wire(instant(text, "UTC")) for text in found[name]]} if name in found else {}
    return dict(found)


REFERENCE_DATA = {
    "/instruments": [{"id": 10002806, "name": "TTF Hi Cal 51.6 EEX"}],
    "/markets": [{"id": 10000065, "name": "TTF Hi Cal 51.6"}],
    "/markets/10000065/sequences": [{"id": 10000305, "name": "Gas - NG Months"}],
    "/instruments/10002806/sequences": [{"id": 10000305, "name": "Gas - NG Months"}],
    "/sequences/10000305/sequenceItems": [
        {"id": 202, "name": "Oct-20", "periodStart": "2020-10-01T00:00:00Z", "periodEnd": "2020-11-01T00:00:00Z"},
        {"id": 232, "name": "Apr-23", "periodStart": "2023-04-01T00:00:00Z", "periodEnd": "2023-05-01T00:00:00Z"},
    ],
}


@pytest.fixture
def client(tmp_path: Path) -> Any:
    """A client of the real hosts, which answer with the published examples."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire_:
        for path, body in REFERENCE_DATA.items():
            wire_.get(f"https://referencedata.trayport.com{path}", json=body)
        with Client(config=Config(KEY, cache_dir=tmp_path, attempts=1)) as made:
            made.wire = wire_  # type: ignore[attr-defined]
            yield made


def answer(client: Any, example: str, status: int = 200) -> None:
    """The published answer, at the published address."""
    url = EXAMPLES[example]["url"].partition("?")[0]
    known = any(call.url == url for call in client.wire.registered())
    (client.wire.replace if known else client.wire.add)(
        responses.GET, url, json=EXAMPLES[example]["response_sample"], status=status
    )


def sent(client: Any, example: str) -> dict[str, list[str]]:
    """The parameters of the last request to the example's path."""
    path = EXAMPLES[example]["url"].partition("?")[0]
    [*_, url] = [call.request.url for call in client.wire.calls if call.request.url.partition("?")[0] == path]
    assert all(call.request.headers["X-API-KEY"] == KEY for call in client.wire.calls)
    return parameters(url)


def ask_trades(client: Any) -> pd.DataFrame:
    return client.trades(
        "TTF* Apr-23", "2023-03-01T09", "2023-03-01T10", include_private=True,
        fields=["from_broken_spread", "initiator_sleeve"],
    )  # fmt: skip


def test_every_example_is_either_answered_or_listed_as_later() -> None:
    paths = {TRADES.path, *(endpoint.path for endpoint in REFERENCE.values())}

    assert set(LATER) <= set(EXAMPLES)
    assert set(LATER.values()).isdisjoint(paths)
    reference = "instrument_detail instruments_list market_sequences markets_list sequence_items"
    documented = f"error_range {reference} trades_ttf_apr23"
    assert documented.split() == ANSWERED


def test_trades_are_asked_for_as_the_guide_does(client: Any) -> None:
    answer(client, "trades_ttf_apr23")
    ask_trades(client)

    assert parameters(EXAMPLES["trades_ttf_apr23"]["url"]) == sent(client, "trades_ttf_apr23")
    # To the letter: times in full, lists repeated, which the guide shows too, and nothing else.
    assert (
        "from=2023-03-01T09%3A00%3A00Z&until=2023-03-01T10%3A00%3A00Z&marketId=10000065&sequenceId=10000305"
        "&sequenceItemId=232&contractType=SinglePeriod&includePrivate=true&optionalFields=fromBrokenSpread"
        "&optionalFields=initiatorSleeve"
    ) == urlsplit(client.wire.calls[-1].request.url).query


def test_the_guides_trades_become_the_promised_frame(client: Any) -> None:
    answer(client, "trades_ttf_apr23")
    frame = ask_trades(client)

    assert [1677661222627000000, 1677661222627634000] == pd.DatetimeIndex(frame.index).asi8.tolist()
    assert ["TTF Hi Cal 51.6* Apr-23"] * 2 == frame["contract"].tolist()
    assert [("12345678", "BRO1", 47.35, 5.0, True), ("ABC123", "BRO2", 47.35, 5.0, False)] == list(
        frame[["trade_id", "venue_code", "price", "quantity", "aggressor_buy"]].itertuples(index=False, name=None)
    )
    own = frame.iloc[1]
    assert ([False, True], [False, False]) == (frame["is_private"].tolist(), frame["public_copy"].tolist())
    assert (123, "ACME Trading Ltd", 4321, "Joe Bloggs", True, 0, "", "RmMifid") == (
        own["aggressor_company_id"],
        own["aggressor_trader_company_name"],
        own["aggressor_trader_id"],
        own["aggressor_trader_name"],
        own["aggressor_derivative_indicator"],
        own["initiator_company_id"],
        own["initiator_trader_name"],
        own["product_classification"],
    )
    assert [False, False] == frame["from_broken_spread"].tolist() == frame["initiator_sleeve"].tolist()


def test_the_refusal_of_a_long_range_reads_as_the_server_said_it(client: Any) -> None:
    answer(client, "error_range", status=400)
    # The client itself never asks for so much, so a shorter question stands in.
    with pytest.raises(BadRequest) as caught:
        client.trades(Contract(Instrument(10002806), 10000305, 202), "2020-01-01", "2020-01-02")

    asked, example = sent(client, "error_range"), parameters(EXAMPLES["error_range"]["url"])
    assert {name: text for name, text in example.items() if name != "until"} == {
        name: text for name, text in asked.items() if name != "until"
    }
    assert "until: Maximum query range is 32 days." == caught.value.detail


@pytest.mark.parametrize("example, call", [("instruments_list", "instruments"), ("markets_list", "markets")])
def test_products_are_listed(client: Any, example: str, call: str) -> None:
    answer(client, example)
    frame = getattr(client, call)()

    assert {} == sent(client, example)
    [sample] = EXAMPLES[example]["response_sample"]
    assert sample["name"] == frame.loc[sample["id"], "name"]


def test_a_products_page_becomes_its_specification(client: Any) -> None:
    client.wire.replace(
        responses.GET,
        "https://referencedata.trayport.com/instruments",
        json=[{"id": 10002096, "name": "TTF Hi Cal 51.6"}],
    )
    answer(client, "instrument_detail")
    specification = client.specification(Instrument(10002096))

    assert ("EUR", "MW", "EUR", "MWh") == (
        specification.price_currency,
        specification.quantity_unit,
        specification.notional_currency,
        specification.notional_quantity_unit,
    )


def test_a_markets_sequences_are_listed(client: Any) -> None:
    answer(client, "market_sequences")

    assert "Gas - NG Months" == client.sequences(Market(10000065)).loc[10000305, "name"]


def test_items_are_asked_for_by_count_and_start_date(client: Any) -> None:
    answer(client, "sequence_items")
    frame = client.sequence_items(10000305, start="2010-01-01", count=10)

    assert parameters(EXAMPLES["sequence_items"]["url"]) == sent(client, "sequence_items")
    assert ("Jan-10", "2009-12-30") == (frame.loc[73, "name"], str(frame.loc[73, "trading_end"])[:10])


@pytest.mark.parametrize("example", ANSWERED)
def test_the_documented_answers_fit_the_document(example: str) -> None:
    """The judge is judged: where its schema and its examples disagree, neither could be trusted."""
    sample = EXAMPLES[example]["response_sample"]
    path = urlsplit(EXAMPLES[example]["url"]).path.removeprefix("/api")
    documented = next(name for name in DOCUMENT["paths"] if re.fullmatch(re.sub(r"\{\w+\}", r"\\d+", name), path))
    if example == "error_range":
        schema: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    else:
        schema = DOCUMENT["paths"][documented]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(sample)
