"""Responses as Arrow tables: the columns and values of their frames, with the ids of contracts beside the names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from conftest import MakeClient
from trayport import Client, Contract, Instrument, Market, to_arrow
from trayport.decoding import ContractIds, MemoryLimits, Schema, arrow_schema, decode, empty, read
from trayport.endpoints import (
    ACTIVITY,
    LAST_TRADE,
    OHLCV,
    ORDER_BOOK,
    PRIVATE_TRADES,
    SNAPSHOTS,
    TOP_OF_BOOK,
    TRADES,
    Endpoint,
)
from trayport.fetching import schema_of

ENDPOINTS = [TRADES, PRIVATE_TRADES, OHLCV, LAST_TRADE, ACTIVITY, TOP_OF_BOOK, ORDER_BOOK, SNAPSHOTS]
IDS = ["product_kind", "product_id", "sequence_id", "item_id", "second_item_id", "contract_kind"]
SPREAD = "TTF Apr-24/May-24"
DAY: dict[str, Any] = {"start": "2024-02-05", "end": "2024-02-06"}
MORNING: dict[str, Any] = {"start": "2024-02-05T08:00", "end": "2024-02-05T09:00"}
WEEK: dict[str, Any] = {"start": "2024-01-29", "end": "2024-02-06"}
OWN: dict[str, Any] = {"start": "2024-01-08", "end": "2024-02-06"}

QUERIES = [
    pytest.param("trades", "TTF Apr-24", {**DAY, "fields": ["route_id", "aggressor_sleeve"]}, id="trades"),
    pytest.param("trades", ["TTF Apr-24", "TTF May-24"], DAY, id="trades-several"),
    pytest.param("trades", SPREAD, DAY, id="trades-spread"),
    pytest.param("trades", "TTF Apr-24", {**OWN, "include_private": True}, id="trades-private"),
    pytest.param("private_trades", "TTF Apr-24", OWN, id="private_trades"),
    pytest.param("private_trades", None, WEEK, id="private_trades-all"),
    pytest.param("ohlcv", "TTF Apr-24", {**DAY, "interval": "1h", "include_empty": True}, id="ohlcv"),
    pytest.param("ohlcv", SPREAD, {**DAY, "interval": "1h", "fields": ["vwap", "open_timestamp"]}, id="ohlcv-spread"),
    pytest.param("last_trade", "TTF Apr-24", {"at": "2024-02-05T16:00"}, id="last_trade"),
    pytest.param("activity", None, {**MORNING, "fields": ["delete_count", "route_id"]}, id="activity"),
    pytest.param(
        "top_of_book", "TTF Apr-24", {**MORNING, "interval": "5min", "fields": ["route_id"]}, id="top_of_book"
    ),
    pytest.param("order_book", SPREAD, {**MORNING, "interval": "5min", "include_private": True}, id="order_book"),
    pytest.param("snapshots", ["TTF Apr-24", "TTF May-24"], {"at": "2024-02-05T16:00"}, id="snapshots"),
]


def first_response(
    client: Client, name: str, contract: Any, options: dict[str, Any]
) -> tuple[bytes, Schema, Contract | Callable[[ContractIds], Contract] | None]:
    """Return a query's first response, its schema, and the contract of its rows or the function that resolves ids."""
    subject = {} if contract is None else {"contract": contract}
    plan = getattr(client.plan, name)(**subject, **options)
    piece = plan.pieces[0]
    body, schema = client.session.send(piece.request), schema_of(plan.query)
    if schema.endpoint is ACTIVITY:
        return body, schema, None
    if not piece.needs_contract_column and schema.endpoint is not SNAPSHOTS:
        return body, schema, piece.contracts[0]

    def resolve(ids: ContractIds) -> Contract:
        for each in piece.contracts:
            if (each.sequence_id, each.item_id, each.second_item_id, each.kind) == (
                ids.sequence_id, ids.item_id, ids.second_item_id, ids.kind
            ):  # fmt: skip
                return each
        product = Instrument(ids.instrument_id) if ids.instrument_id else Market(ids.market_id)
        return Contract(product, ids.sequence_id, ids.item_id, ids.second_item_id, ids.kind)

    return body, schema, resolve


def assert_same_values(frame: pd.DataFrame, table: pa.Table) -> None:
    """Compare a table with the frame of the same response: names, types, order of columns, and every value."""
    expected = to_arrow(frame)
    found = table.drop_columns([name for name in IDS if name in table.column_names and name not in frame])

    assert expected.schema.names == found.schema.names
    assert expected.schema.types == found.schema.types
    for name in expected.column_names:
        assert expected[name].combine_chunks().equals(found[name].combine_chunks()), name


@pytest.mark.parametrize("name, contract, options", QUERIES)
def test_table_has_the_columns_types_and_values_of_the_frame(
    make_client: MakeClient, name: str, contract: Any, options: dict[str, Any]
) -> None:
    body, schema, contracts = first_response(make_client(), name, contract, options)
    naming: Any = (lambda ids: contracts(ids).label) if callable(contracts) else contracts.label if contracts else ""
    frame = decode(body, schema, naming)
    rows = read([body], schema, needs_contract_column=callable(contracts))
    table = rows.table(contracts)

    assert 0 < len(frame) == table.num_rows
    assert arrow_schema(schema) == table.schema
    table.validate(full=True)
    assert_same_values(frame, table)
    for each in table.schema:
        assert each.nullable or 0 == table[each.name].null_count, each.name


@pytest.mark.parametrize("name, contract, options", [each for each in QUERIES if each.values[0] != "activity"])
def test_every_row_has_the_ids_of_its_contract(
    make_client: MakeClient, name: str, contract: Any, options: dict[str, Any]
) -> None:
    body, schema, contracts = first_response(make_client(), name, contract, options)
    seen = {contracts} if isinstance(contracts, Contract) else set()

    def resolve(ids: ContractIds) -> Contract:
        assert callable(contracts)
        found = contracts(ids)
        seen.add(found)
        return found

    needed = callable(contracts)
    table = read([body], schema, needs_contract_column=needed).table(resolve if needed else contracts)
    rows = table.select(["contract", *IDS]).to_pylist()

    assert isinstance(contract, str) or len(seen) > 1
    assert {
        (each.label, each.product.kind, each.product.id, each.sequence_id, each.item_id, each.second_item_id, each.kind)
        for each in seen
    } == {tuple(row.values()) for row in rows}
    names = decode(body, schema, (lambda ids: resolve(ids).label) if needed else contracts.label)["contract"]
    assert names.tolist() == [row["contract"] for row in rows]
    kinds = {"spread"} if contract == SPREAD else {"single"} if contract else {"single", "spread", "range"}
    assert kinds == set(table["contract_kind"].to_pylist())


def test_counts_of_activity_keep_the_ids_of_the_response(client: Client) -> None:
    body, schema, _ = first_response(client, "activity", None, MORNING)
    table = read([body], schema, needs_contract_column=False).table()
    columns = ["market_id", "instrument_id", "sequence_id", "sequence_item_id", "second_sequence_item_id"]

    assert columns == table.column_names[:5]
    frame = decode(body, schema, "")[columns]
    assert frame.astype(object).where(frame.notna(), None).to_dict("list") == table.select(columns).to_pydict()


@pytest.mark.parametrize("include_private", [False, True])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_no_rows_have_the_same_schema(endpoint: Endpoint, include_private: bool) -> None:
    schema = Schema(endpoint, endpoint.columns_of("optional"), include_private)
    body = b'{"timestamp":1,"snapshots":[]}' if endpoint is SNAPSHOTS else b"[]"
    contract = Contract(Market(10000065), 10000305, 244, 245, "spread") if endpoint.per_contract else None
    for needed in (False, endpoint.per_contract):
        table = read([body], schema, needs_contract_column=needed).table((lambda ids: contract) if needed else contract)  # type: ignore[return-value, arg-type]

        assert 0 == table.num_rows
        assert arrow_schema(schema) == table.schema
        assert_same_values(empty(schema), table)


def test_ids_follow_the_name_of_the_contract() -> None:
    assert ["timestamp", "contract", *IDS, "price"] == arrow_schema(Schema(LAST_TRADE)).names
    assert ["market_id", "instrument_id"] == arrow_schema(Schema(ACTIVITY)).names[:2]


def test_rows_that_wait_on_disk_become_the_same_table(client: Client) -> None:
    body, schema, contract = first_response(client, "trades", "TTF Apr-24", DAY)
    in_memory = read([body], schema, needs_contract_column=False).table(contract)
    limits = MemoryLimits(packed_bytes=0)
    on_disk = read([body], schema, needs_contract_column=False, limits=limits, size=2000).table(contract)

    assert in_memory.equals(on_disk.combine_chunks())


def test_csv_becomes_the_same_table(make_client: MakeClient) -> None:
    tables = []
    for wire_format in ("json", "csv"):
        client = make_client(wire_format=wire_format)
        body, schema, contract = first_response(client, "private_trades", "TTF Apr-24", OWN)
        tables.append(read([body], schema, needs_contract_column=False).table(contract).combine_chunks())

    assert tables[0].num_rows > 0
    assert tables[0].equals(tables[1])
