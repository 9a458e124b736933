"""Golden frames: every query has the same columns and dtypes, for no, few and many rows, formats and zones."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from attrs import field, frozen

import trayport as tp
from conftest import MakeClient
from trayport import Client, Config
from trayport.sandbox import Sandbox

Options = dict[str, Any]
Dtypes = dict[str, str]
Clients = dict[tuple[str, str], Client]

# --- the table -----------------------------------------------------------------------------------------------

# {tz} is replaced by the zone of the settings. The order is that of the columns.
MOMENT = "datetime64[ns, {tz}]"
ROUTE: Dtypes = {"route": "string", "route_id": "Int64"}
TRADE: Dtypes = {
    "contract": "string",
    "trade_id": "string",
    "venue_code": "string",
    "price": "float64",
    "quantity": "float64",
    "aggressor_buy": "boolean",
}
FLAGS: Dtypes = {
    "from_broken_spread": "boolean",
    "initiator_owned_spread": "boolean",
    "aggressor_owned_spread": "boolean",
    "aggressor_sleeve": "boolean",
    "initiator_sleeve": "boolean",
}
PARTIES: Dtypes = {
    "is_private": "boolean",
    "public_copy": "boolean",
    "aggressor_company_id": "Int64",
    "aggressor_trader_company_name": "string",
    "aggressor_trader_id": "Int64",
    "aggressor_trader_name": "string",
    "aggressor_derivative_indicator": "boolean",
    "initiator_company_id": "Int64",
    "initiator_trader_company_name": "string",
    "initiator_trader_id": "Int64",
    "initiator_trader_name": "string",
    "initiator_derivative_indicator": "boolean",
    "product_classification": "string",
}
CANDLE: Dtypes = {
    "contract": "string",
    "to_timestamp": MOMENT,
    "open": "float64",
    "high": "float64",
    "low": "float64",
    "close": "float64",
    "volume": "float64",
}
LAST: Dtypes = {"contract": "string", "price": "float64"}
COUNT: Dtypes = {
    "market_id": "Int64",
    "instrument_id": "Int64",
    "sequence_id": "Int64",
    "sequence_item_id": "Int64",
    "second_sequence_item_id": "Int64",
    "contract_type": "string",
    "count": "int64",
    "route": "string",
}
BEST: Dtypes = {
    "contract": "string",
    "bid_price": "float64",
    "bid_quantity": "float64",
    "ask_price": "float64",
    "ask_quantity": "float64",
}
ORDER: Dtypes = {
    "contract": "string",
    "side": "string",
    "level": "int64",
    "price": "float64",
    "quantity": "float64",
}
OWN_ORDER: Dtypes = {
    "is_private": "boolean",
    "client_order_id": "string",
    "order_status": "string",
    "last_modifier_user_id": "Int64",
    "hidden_quantity": "float64",
    "owner_user_id": "Int64",
    "owner_company_id": "Int64",
    "original_hidden_quantity": "float64",
    "hidden_qty_price_delta": "float64",
}


@frozen(eq=False)
class Golden:
    """A query with options, the columns of its frames, and three times to ask for."""

    name: str
    dtypes: Dtypes
    when: tuple[Options, Options, Options]
    """Options for a time without data, for a weekend, and for a busy time."""
    options: Options = field(factory=dict)

    @property
    def in_one_request(self) -> bool:
        return self.name in ("trades", "snapshots", "activity")

    def __str__(self) -> str:
        return "-".join([self.name, *self.options])


def during(end: str, **more: Any) -> tuple[Options, Options, Options]:
    """Return an empty window, a Saturday, and a Monday up to ``end``; in UTC, so that every zone has the same rows."""
    return (
        {"start": "2024-02-05T00:00Z", "end": "2024-02-05T00:00Z", **more},
        {"start": "2024-02-10T00:00Z", "end": "2024-02-11T00:00Z", **more},
        {"start": "2024-02-05T00:00Z", "end": end, **more},
    )


def at(*moments: str) -> tuple[Options, Options, Options]:
    without_data, weekend, busy = ({"at": moment} for moment in moments)
    return without_data, weekend, busy


DAY = during("2024-02-06T00:00Z")
POINTS = during("2024-02-05T12:00Z", interval="2h")
# A minute before the first trade of any of the contracts, a weekend (books are empty), and a busy minute.
MINUTES = at("2012-02-06T12:00Z", "2024-02-10T12:00Z", "2024-02-05T16:00Z")
# The options that the attributes of a frame record, and the columns that ``fields`` can add.
RECORDED = {
    "trades": ("include_private", "routes", "deduplicate", "verify"),
    "private_trades": ("routes", "deduplicate"),
    "ohlcv": ("interval", "include_empty"),
    "last_trade": ("at",),
    "activity": ("routes",),
    "top_of_book": ("interval", "include_empty", "routes", "deduplicate"),
    "order_book": ("interval", "depth", "max_spread", "include_private", "include_empty", "routes", "deduplicate"),
    "snapshots": ("at",),
}
APPENDED: dict[str, list[str]] = {
    "trades": [*FLAGS, *ROUTE],
    "private_trades": [*FLAGS, *ROUTE],
    "ohlcv": ["vwap", "open_timestamp", "close_timestamp"],
    "last_trade": [],
    "activity": ["update_count", "delete_count", "route_id"],
    "top_of_book": ["bid_venue_code", "ask_venue_code", *ROUTE],
    "order_book": ["venue_code", *ROUTE],
    "snapshots": [],
}
ALL: Options = {"routes": "all", "deduplicate": False}

TABLE = [
    Golden("trades", TRADE, DAY),
    Golden("trades", {**TRADE, **FLAGS, **ROUTE}, DAY, {"fields": [*FLAGS, *ROUTE]}),
    Golden("trades", {**TRADE, "route": "string"}, DAY, ALL),
    Golden("trades", {**TRADE, **PARTIES}, DAY, {"include_private": True}),
    Golden(
        "trades",
        {**TRADE, **FLAGS, **ROUTE, **PARTIES},
        DAY,
        # Not in the order of the frame, and one field in the spelling of the API.
        {"fields": ["routeId", *reversed(FLAGS)], "include_private": True, **ALL},
    ),
    Golden("private_trades", {**TRADE, **PARTIES, "last_updated": MOMENT}, DAY),
    Golden(
        "private_trades",
        {**TRADE, **FLAGS, **ROUTE, **PARTIES, "last_updated": MOMENT},
        DAY,
        {"fields": [*FLAGS, "route_id"], **ALL},
    ),
    Golden("ohlcv", CANDLE, during("2024-02-08T00:00Z")),
    Golden("ohlcv", CANDLE, during("2024-02-12T00:00Z"), {"include_empty": True}),
    Golden(
        "ohlcv",
        {**CANDLE, "vwap": "float64", "open_timestamp": MOMENT, "close_timestamp": MOMENT},
        during("2024-02-12T00:00Z"),
        {"fields": ["close_timestamp", "open_timestamp", "vwap"], "include_empty": True},
    ),
    Golden("last_trade", LAST, MINUTES),
    Golden("activity", COUNT, during("2024-02-05T09:00Z")),
    Golden(
        "activity",
        {**COUNT, "update_count": "int64", "delete_count": "int64", "route_id": "Int64"},
        during("2024-02-05T09:00Z"),
        {"fields": ["route_id", "update_count", "delete_count"], "routes": "all"},
    ),
    Golden("top_of_book", BEST, POINTS),
    Golden("top_of_book", BEST, POINTS, {"include_empty": True}),
    Golden(
        "top_of_book",
        {**BEST, "bid_venue_code": "string", "ask_venue_code": "string", **ROUTE},
        POINTS,
        {"fields": ["venueCode", "route_id"], **ALL},
    ),
    Golden("order_book", ORDER, POINTS, {"max_spread": 0.5}),
    Golden("order_book", {**ORDER, **OWN_ORDER}, POINTS, {"include_private": True}),
    Golden(
        "order_book",
        {**ORDER, "venue_code": "string", **ROUTE, **OWN_ORDER},
        POINTS,
        {"fields": ["venue_code", "route_id"], "include_private": True, "include_empty": True, **ALL},
    ),
    Golden("snapshots", {**BEST, "last_price": "float64", "last_timestamp": MOMENT}, MINUTES),
]

# The first is busy. None of them was listed at the first of the minutes above.
NAMES = [f"TTF {month}" for month in pd.period_range("2024-04", periods=50, freq="M").strftime("%Y-%m")]
AMOUNTS = ["none", "weekend", "one", "many"]
ZONES = ["UTC", "Europe/Amsterdam"]
FORMATS = ["json", "csv"]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Return one client for each format and zone."""
    cache_dir = tmp_path_factory.mktemp("cache")
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(limits=False))
        shared: Any = {"limiter": "off", "progress": False, "cache_dir": cache_dir, **sandbox.settings}
        yield {
            (wire_format, tz): stack.enter_context(Client(config=Config(wire_format=wire_format, tz=tz, **shared)))
            for wire_format, tz in itertools.product(FORMATS, ZONES)
        }


def queried(client: Client, golden: Golden, amount: str) -> pd.DataFrame:
    return _queried(client, golden, amount)[0].copy()


@cache
def _queried(client: Client, golden: Golden, amount: str) -> tuple[pd.DataFrame, list[str], Options]:
    """Return the frame, the names in the query, and its other options."""
    # More contracts only cost time, but for the two queries with one row for each.
    many = 50 if golden.name in ("snapshots", "last_trade") else 5
    names = NAMES[: many if amount == "many" else 1]
    options = {**golden.when[min(AMOUNTS.index(amount), 2)], **golden.options}
    contract = {} if golden.name == "activity" else {"contract": names}
    return getattr(client, golden.name)(**contract, **options), names, options


def dtypes(frame: pd.DataFrame) -> Dtypes:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


# --- one shape -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("wire_format", FORMATS)
@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("golden", TABLE, ids=str)
def test_query_has_one_shape_for_every_amount_format_and_zone(
    clients: Clients, golden: Golden, amount: str, wire_format: str, tz: str
) -> None:
    frame = queried(clients[wire_format, tz], golden, amount)

    expected = {name: dtype.format(tz=tz) for name, dtype in golden.dtypes.items()}
    assert list(expected.items()) == list(dtypes(frame).items())
    if golden.name == "activity":
        assert pd.RangeIndex(len(frame)).equals(frame.index)
        assert isinstance(frame.index, pd.RangeIndex)
    else:
        assert ("timestamp", f"datetime64[ns, {tz}]") == (frame.index.name, str(frame.index.dtype))
        assert frame.index.is_monotonic_increasing
    assert pd.Index(list(expected)).equals(frame.columns)
    assert frame.columns.name is None


@pytest.mark.parametrize("golden", TABLE, ids=str)
def test_amounts_of_rows_are_as_intended(clients: Clients, golden: Golden) -> None:
    frames = {amount: queried(clients["json", "UTC"], golden, amount) for amount in AMOUNTS}
    rows = {amount: len(frame) for amount, frame in frames.items()}

    if golden.name == "snapshots":
        assert {"none": 1, "weekend": 1, "one": 1, "many": 50} == rows
        assert frames["none"].drop(columns="contract").isna().all(axis=None)
        assert ["last_price", "last_timestamp"] == list(frames["weekend"].drop(columns="contract").dropna(axis=1))
        assert not frames["one"].isna().any(axis=None)
    elif golden.name == "last_trade":
        assert {"none": 0, "weekend": 1, "one": 1, "many": 34} == rows  # the others had not traded yet
    else:
        empty = golden.options.get("include_empty") and golden.name != "order_book"
        assert (0, bool(empty)) == (rows["none"], bool(rows["weekend"]))
        assert 0 < rows["one"]
        assert golden.name == "activity" or rows["one"] < rows["many"]
        assert golden.name == "activity" or frames["many"]["contract"].nunique() > 3


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("golden", TABLE, ids=str)
def test_every_format_and_zone_has_the_same_rows(clients: Clients, golden: Golden, amount: str) -> None:
    expected, *others = (in_utc(queried(client, golden, amount)) for client in clients.values())

    assert 3 == len(others)
    for other in others:
        pd.testing.assert_frame_equal(expected, other)


def in_utc(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its times in UTC."""
    same = frame.copy()
    for name, dtype in dtypes(frame).items():
        if dtype.startswith("datetime64"):
            same[name] = same[name].dt.tz_convert("UTC")
    return same.tz_convert("UTC") if isinstance(same.index, pd.DatetimeIndex) else same


# --- attributes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("golden", TABLE, ids=str)
def test_attributes_record_the_query_in_plain_json(clients: Clients, golden: Golden, amount: str) -> None:
    client = clients["json", "Europe/Amsterdam"]
    frame, names, options = _queried(client, golden, amount)
    first, last = (options[name] for name in (("at", "at") if "at" in options else ("start", "end")))
    requests = 0 if "start" in options and first == last else 1 if golden.in_one_request else len(names)
    recorded = frame.attrs["trayport"]

    assert ["trayport"] == list(frame.attrs)
    assert recorded == json.loads(json.dumps(recorded))
    keys = ["query", "contract", "start", "end", *RECORDED[golden.name], "fields", "requests", "complete", "version"]
    assert keys == list(recorded)
    assert {
        "query": golden.name,
        "contract": [] if golden.name == "activity" else [client.resolve(name).name for name in names],
        "start": pd.Timestamp(first).isoformat(),
        "end": pd.Timestamp(last).isoformat(),
        "fields": [name for name in golden.dtypes if name in APPENDED[golden.name]],
        "requests": requests,
        "complete": True,
        "version": tp.__version__,
    }.items() <= recorded.items()
    in_json = {"at": pd.Timestamp(first).isoformat(), "routes": ["all"]}
    for name in {*options} & {*RECORDED[golden.name]}:
        assert (name, in_json.get(name, options[name])) == (name, recorded[name])


# --- after the query -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("amount", [AMOUNTS[0], AMOUNTS[-1]])
@pytest.mark.parametrize("golden", TABLE, ids=str)
def test_frame_survives_parquet_and_pickle(
    clients: Clients, golden: Golden, amount: str, tz: str, tmp_path: Path
) -> None:
    frame = queried(clients["json", tz], golden, amount)
    frame.to_parquet(tmp_path / "frame.parquet")
    read, unpickled = pd.read_parquet(tmp_path / "frame.parquet"), pickle.loads(pickle.dumps(frame))

    assert dtypes(frame) == dtypes(read)
    assert frame.attrs == read.attrs == unpickled.attrs
    # pandas 2 reads text back as the same dtype with another storage.
    pd.testing.assert_frame_equal(frame, read.astype(frame.dtypes.to_dict()))
    pd.testing.assert_frame_equal(frame, unpickled)


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("golden", TABLE, ids=str)
def test_joined_frames_have_the_same_shape(clients: Clients, golden: Golden, tz: str) -> None:
    empty, weekend, one, many = frames = [queried(clients["json", tz], golden, amount) for amount in AMOUNTS]
    joined = pd.concat(frames)

    assert dtypes(many) == dtypes(joined)
    assert many.index.dtype == joined.index.dtype
    assert len(empty) + len(weekend) + len(one) + len(many) == len(joined)
    # pandas keeps the attributes on which all frames agree.
    assert (many.attrs, {}) == (pd.concat([many, many]).attrs, joined.attrs)


@pytest.mark.parametrize("wire_format", ["json", "csv"])
@pytest.mark.parametrize("empty", ["null", "zero", "absent"])
def test_candle_without_a_trade_is_the_same_for_every_spelling_of_the_server(
    make_client: MakeClient, sandbox: Sandbox, empty: Any, wire_format: str
) -> None:
    options: dict[str, Any] = {
        "start": "2024-02-05T04:00",
        "end": "2024-02-05T08:00",
        "interval": "1h",
        "include_empty": True,
        "fields": ["vwap", "open_timestamp", "close_timestamp"],
    }
    with Sandbox(limits=False, empty_candles=empty) as other:
        frame = make_client(other, wire_format=wire_format).ohlcv("TTF Apr-24", **options)

        pd.testing.assert_frame_equal(make_client(sandbox).ohlcv("TTF Apr-24", **options), frame)
        assert [0, 0, 0] == frame["volume"].tolist()[:3]
        gaps = frame.drop(columns=["contract", "to_timestamp", "volume"]).isna()
        assert [True, True, True, False] == gaps.all(axis=1).tolist() == gaps.any(axis=1).tolist()
