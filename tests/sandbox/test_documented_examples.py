"""The published examples of the API: the client sends their requests and decodes their responses."""

from __future__ import annotations

import json
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pytest
import responses
import yaml
from openapi_schema_validator import OAS31Validator
from support.fake import Clock

from trayport import BadRequest, Client, Config, Contract, Front, Instrument, Market, TrayportWarning
from trayport._time import instant, iso
from trayport.limits import RateLimiter

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = {e["id"]: e for e in json.loads((DATA / "examples.json").read_text(encoding="utf-8"))["examples"]}
DOCUMENT = yaml.safe_load((DATA / "openapi.yaml").read_text(encoding="utf-8"))
KEY = "example-key"


def parameters(url: str) -> dict[str, list[str]]:
    """Return the parameters of a URL in a normal form: lists split, times in full, names in lower case."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, text in parse_qsl(urlsplit(url).query):
        found[name.lower()] += text.split(",")
    for name in ("from", "until", "at", "startdate"):
        found |= {name: [iso(instant(text, "UTC")) for text in found[name]]} if name in found else {}
    return dict(found)


REFERENCE_DATA = {
    "/instruments": [{"id": 10002806, "name": "TTF Hi Cal 51.6 EEX"}, {"id": 10002071, "name": "NBP"}],
    "/markets": [{"id": 10000065, "name": "TTF Hi Cal 51.6"}, {"id": 10000016, "name": "EUA"}],
    "/markets/10000065/sequences": [{"id": 10000305, "name": "Gas - NG Months"}],
    "/markets/10000016/sequences": [{"id": 10000400, "name": "Emissions - EUA"}],
    "/instruments/10002806/sequences": [
        {"id": 10000305, "name": "Gas - NG Months"},
        {"id": 10000302, "name": "Prompt"},
    ],
    "/instruments/10002071/sequences": [{"id": 10000305, "name": "Gas - NG Months"}],
    "/sequences/10000305/sequenceItems": [
        {"id": 202, "name": "Oct-20", "periodStart": "2020-10-01T00:00:00Z", "periodEnd": "2020-11-01T00:00:00Z"},
        {"id": 232, "name": "Apr-23", "periodStart": "2023-04-01T00:00:00Z", "periodEnd": "2023-05-01T00:00:00Z"},
        {
            "id": 237,
            "name": "Sep-23",
            "periodStart": "2023-09-01T00:00:00Z",
            "periodEnd": "2023-10-01T00:00:00Z",
            "tradingEnd": "2023-08-30T00:00:00Z",
        },
        {
            "id": 238,
            "name": "Oct-23",
            "periodStart": "2023-10-01T00:00:00Z",
            "periodEnd": "2023-11-01T00:00:00Z",
            "tradingEnd": "2023-09-28T00:00:00Z",
        },
    ],
    "/sequences/10000302/sequenceItems": [{"id": 2, "name": "DA"}],
    "/sequences/10000400/sequenceItems": [
        {"id": 710, "name": "Dec-23", "periodStart": "2023-12-01T00:00:00Z", "periodEnd": "2024-01-01T00:00:00Z"},
    ],
}


@contextmanager
def open_client(folder: Path, **given: Any) -> Iterator[Any]:
    """Yield a client of the real hosts with published responses; its rate limits use a fake clock."""
    settings = {"cache_dir": folder, "attempts": 1, **given}
    now = {"clock": settings.pop("clock")} if "clock" in settings else {}
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire_:
        for path, body in REFERENCE_DATA.items():
            wire_.get(f"https://referencedata.trayport.com{path}", json=body)
        with Client(config=Config(KEY, **settings), **now) as made:
            clock = Clock()
            made.session.clock, made.session.wait, made.session.rate_limiter = clock, clock.wait, RateLimiter(clock)
            made.wire = wire_  # type: ignore[attr-defined]
            yield made


@pytest.fixture
def client(tmp_path: Path) -> Any:
    with open_client(tmp_path) as made:
        yield made


def publish(client: Any, example: str, status: int = 200) -> None:
    """Register the published response at its address."""
    url = EXAMPLES[example]["url"].partition("?")[0]
    known = any(call.url == url for call in client.wire.registered())
    (client.wire.replace if known else client.wire.add)(
        responses.GET, url, json=EXAMPLES[example]["response_sample"], status=status
    )


def sent_parameters(client: Any, example: str) -> dict[str, list[str]]:
    """Return the parameters of the last request to the example's path."""
    path = EXAMPLES[example]["url"].partition("?")[0]
    [*_, url] = [call.request.url for call in client.wire.calls if call.request.url.partition("?")[0] == path]
    assert all(call.request.headers["X-API-KEY"] == KEY for call in client.wire.calls)
    return parameters(url)


def ask_trades(client: Any) -> pd.DataFrame:
    return client.trades(
        "TTF* Apr-23", "2023-03-01T09", "2023-03-01T10", include_private=True,
        fields=["from_broken_spread", "initiator_sleeve"],
    )  # fmt: skip


def test_request_for_trades_is_that_of_the_guide(client: Any) -> None:
    publish(client, "trades_ttf_apr23")
    ask_trades(client)

    assert parameters(EXAMPLES["trades_ttf_apr23"]["url"]) == sent_parameters(client, "trades_ttf_apr23")
    # The exact query: times in full, lists repeated as also shown in the guide, and no other parameter.
    assert (
        "from=2023-03-01T09%3A00%3A00Z&until=2023-03-01T10%3A00%3A00Z&marketId=10000065&sequenceId=10000305"
        "&sequenceItemId=232&contractType=SinglePeriod&includePrivate=true&optionalFields=fromBrokenSpread"
        "&optionalFields=initiatorSleeve"
    ) == urlsplit(client.wire.calls[-1].request.url).query


def test_guides_trades_become_the_documented_frame(client: Any) -> None:
    publish(client, "trades_ttf_apr23")
    frame = ask_trades(client)

    assert [1677661222627000000, 1677661222627634000] == pd.DatetimeIndex(frame.index).asi8.tolist()
    assert ["TTF Hi Cal 51.6* Apr-23"] * 2 == frame["contract"].tolist()
    assert [("12345678", "BRO1", 47.35, 5.0, True), ("ABC123", "BRO2", 47.35, 5.0, False)] == list(
        frame[["trade_id", "venue_code", "price", "quantity", "aggressor_buy"]].itertuples(index=False, name=None)
    )
    own = frame.iloc[1]
    assert ([False, True], [False, False]) == (frame["is_private"].tolist(), frame["public_copy"].tolist())
    assert own["initiator_trader_name"] is pd.NA  # an empty text in the sample
    assert (123, "ACME Trading Ltd", 4321, "Joe Bloggs", True, 0, "RmMifid") == (
        own["aggressor_company_id"],
        own["aggressor_trader_company_name"],
        own["aggressor_trader_id"],
        own["aggressor_trader_name"],
        own["aggressor_derivative_indicator"],
        own["initiator_company_id"],
        own["product_classification"],
    )
    assert [False, False] == frame["from_broken_spread"].tolist() == frame["initiator_sleeve"].tolist()


def test_refusal_of_a_long_range_has_the_servers_message(client: Any) -> None:
    publish(client, "error_range", status=400)
    # The client never sends such a long range, so a shorter one is used here.
    with pytest.raises(BadRequest) as caught:
        client.trades(Contract(Instrument(10002806), 10000305, 202), "2020-01-01", "2020-01-02")

    asked, example = sent_parameters(client, "error_range"), parameters(EXAMPLES["error_range"]["url"])
    assert {name: text for name, text in example.items() if name != "until"} == {
        name: text for name, text in asked.items() if name != "until"
    }
    assert "until: Maximum query range is 32 days." == caught.value.detail


@pytest.mark.parametrize("example, call", [("instruments_list", "instruments"), ("markets_list", "markets")])
def test_products_are_listed(client: Any, example: str, call: str) -> None:
    publish(client, example)
    frame = getattr(client, call)()

    assert {} == sent_parameters(client, example)
    [sample] = EXAMPLES[example]["response_sample"]
    assert sample["name"] == frame.loc[sample["id"], "name"]


def test_details_of_a_product_become_its_specification(client: Any) -> None:
    client.wire.replace(
        responses.GET,
        "https://referencedata.trayport.com/instruments",
        json=[{"id": 10002096, "name": "TTF Hi Cal 51.6"}],
    )
    publish(client, "instrument_detail")
    specification = client.specification(Instrument(10002096))

    assert ("EUR", "MW", "EUR", "MWh") == (
        specification.price_currency,
        specification.quantity_unit,
        specification.notional_currency,
        specification.notional_quantity_unit,
    )


def test_sequences_of_a_market_are_listed(client: Any) -> None:
    publish(client, "market_sequences")

    assert "Gas - NG Months" == client.sequences(Market(10000065)).loc[10000305, "name"]


def test_items_are_requested_by_count_and_start_date(client: Any) -> None:
    publish(client, "sequence_items")
    frame = client.sequence_items(10000305, start="2010-01-01", count=10)

    assert parameters(EXAMPLES["sequence_items"]["url"]) == sent_parameters(client, "sequence_items")
    assert ("Jan-10", "2009-12-30") == (frame.loc[73, "name"], str(frame.loc[73, "trading_end"])[:10])


@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_samples_match_the_document(example: str) -> None:
    """The samples and the schemas, both from the guide, must agree before other tests can use them."""
    sample = EXAMPLES[example]["response_sample"]
    path = urlsplit(EXAMPLES[example]["url"]).path.removeprefix("/api")
    documented = next(name for name in DOCUMENT["paths"] if re.fullmatch(re.sub(r"\{\w+\}", r"\\d+", name), path))
    if example == "error_range":
        schema: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    else:
        schema = DOCUMENT["paths"][documented]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(sample)


# --- the other queries -----------------------------------------------------------------------------------------------


def at(moment: str) -> int:
    return int(pd.Timestamp(moment, tz="UTC").value)


QUERIES: dict[str, Callable[[Any], pd.DataFrame]] = {
    "l1_nbp_apr23": lambda client: client.top_of_book("NBP Apr-23", "2023-03-01T09", "2023-03-01T16", "15s"),
    "l2_ttf_apr23": lambda client: client.order_book(
        "TTF* Apr-23", "2023-03-01T09", "2023-03-01T10", "15s", depth=2, include_private=True
    ),
    "ohlcv_eua_dec23": lambda client: client.ohlcv("EUA Dec-23", "2023-03-27", "2023-03-28", "15min", fields=["vwap"]),
    "last_ttf_apr23": lambda client: client.last_trade("TTF Apr-23", at="2023-03-27T16:30"),
    "activity_1may23": lambda client: client.activity("2023-05-01", "2023-05-02", routes="all", fields="delete_count"),
    "private_june23": lambda client: client.private_trades(
        "2023-06-01", "2023-06-03", routes="all", fields=["from_broken_spread"]
    ),
    "snapshots_ttf": lambda client: client.snapshots(Front("TTF", "Months", 2)),
}
# Parameters that the example leaves to the server and the client sends.
ALSO_SENT = {
    "activity_1may23": {"optionalfields": ["marketId", "route", "deleteCount"]},
    "private_june23": {"optionalfields": ["fromBrokenSpread", "contract"]},
}


@pytest.fixture
def intraday_client(tmp_path: Path) -> Any:
    """A client at the time of the snapshot with the entitlement to it; the example's request has no time."""
    now = pd.Timestamp("2023-08-15T15:30:20", tz="UTC")
    with open_client(tmp_path, intraday=True, clock=lambda: now) as made:
        yield made


def run_query(example: str, client: Any) -> pd.DataFrame:
    publish(client, example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrayportWarning)
        return QUERIES[example](client)


@pytest.mark.parametrize("example", [name for name in QUERIES if name != "snapshots_ttf"])
def test_requests_are_those_of_the_guide(client: Any, example: str) -> None:
    run_query(example, client)

    assert {**parameters(EXAMPLES[example]["url"]), **ALSO_SENT.get(example, {})} == {
        **sent_parameters(client, example), **ALSO_SENT.get(example, {})
    }  # fmt: skip
    sent_fields = sent_parameters(client, example).get("optionalfields", [])
    assert sorted(ALSO_SENT.get(example, {}).get("optionalfields", sent_fields)) == sorted(sent_fields)


def test_guides_snapshot_is_requested_and_decoded(intraday_client: Any) -> None:
    frame = run_query("snapshots_ttf", intraday_client)

    assert parameters(EXAMPLES["snapshots_ttf"]["url"]) == sent_parameters(intraday_client, "snapshots_ttf")
    assert ["TTF Hi Cal 51.6* Sep-23", "TTF Hi Cal 51.6* Oct-23"] == frame["contract"].tolist()
    assert [at("2023-08-15T15:30")] * 2 == pd.DatetimeIndex(frame.index).asi8.tolist()
    assert [(38.88, 1, 39.1, 1, 39.25), (43.96, 3, 44.175, 3, 43.905)] == list(
        frame.iloc[:, 1:6].itertuples(index=False, name=None)
    )
    assert [1692113368492000000, 1692113093180583338] == pd.DatetimeIndex(frame["last_timestamp"]).asi8.tolist()


def test_guides_top_of_book_is_decoded(client: Any) -> None:
    frame = run_query("l1_nbp_apr23", client)

    assert [at("2023-03-01T11:50:15"), at("2023-03-01T11:50:30")] == pd.DatetimeIndex(frame.index).asi8.tolist()
    assert [118.0, 118.0] == frame["bid_price"].tolist()
    assert frame[["ask_price", "ask_quantity"]].isna().all(axis=None)


def test_guides_order_book_is_decoded_with_a_row_for_each_order(client: Any) -> None:
    frame = run_query("l2_ttf_apr23", client)

    assert [("bid", 1, 47.305), ("bid", 2, 47.255), ("ask", 1, 47.35), ("ask", 2, 47.35)] == list(
        frame[["side", "level", "price"]].itertuples(index=False, name=None)
    )
    assert [False, False, False, True] == frame["is_private"].tolist()
    own = frame.iloc[3]
    assert own["client_order_id"] is pd.NA  # an empty text in the sample
    assert ("Firm", 12345, 987, 0.0) == (
        own["order_status"],
        own["last_modifier_user_id"],
        own["owner_company_id"],
        own["hidden_quantity"],
    )


def test_guides_candles_are_decoded(client: Any) -> None:
    frame = run_query("ohlcv_eua_dec23", client)

    assert [(88.02, 89.0, 88.02, 88.22, 305.0, 88.5361), (88.22, 88.53, 88.22, 88.31, 132.0, 88.3709)] == list(
        frame[["open", "high", "low", "close", "volume", "vwap"]].itertuples(index=False, name=None)
    )
    assert [at("2023-03-27T06:15"), at("2023-03-27T06:30")] == pd.DatetimeIndex(frame["to_timestamp"]).asi8.tolist()


def test_guides_last_trade_is_decoded(client: Any) -> None:
    frame = run_query("last_ttf_apr23", client)

    assert ([1679932931000000000], [41.5]) == (pd.DatetimeIndex(frame.index).asi8.tolist(), frame["price"].tolist())


def test_guides_activity_is_decoded(client: Any) -> None:
    frame = run_query("activity_1may23", client)

    assert [(10000016, 10003007, 6454, "House", 0), (10000065, 10002228, 3593, "House", 0)] == list(
        frame[["market_id", "instrument_id", "count", "route", "delete_count"]].itertuples(index=False, name=None)
    )
    assert frame["second_sequence_item_id"].isna().all()


def test_guides_own_trades_are_decoded(client: Any) -> None:
    frame = run_query("private_june23", client)

    [own] = frame.to_dict("records")
    assert ("TTF Hi Cal 51.6 EEX DA", "BRO1", "House", True, False) == (
        own["contract"], own["venue_code"], own["route"], own["is_private"], own["public_copy"]
    )  # fmt: skip
    assert ("ACME Trading Ltd", 98765, 1685600903935000000) == (
        own["initiator_trader_company_name"],
        own["initiator_trader_id"],
        own["last_updated"].value,
    )
    assert frame["product_classification"].isna().all()
