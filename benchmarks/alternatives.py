"""Other ways from the bytes of a response to a frame: their time, their memory, and whether the frame is right.

Each way ends with a frame whose times are UTC to the nanosecond. Two ways are left out: ``pandas.read_json`` of books,
because it leaves the orders as lists in two columns, so that the loops remain to be done, and ``pyarrow.json``, because
it reads lines and not arrays. ``python -m benchmarks.alternatives`` takes some minutes; ``--quick`` some seconds.
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from attrs import frozen

from trayport.decoding import Schema, decode
from trayport.endpoints import ORDER_BOOK, TRADES, Endpoint

from .decoding import books, loops, naive, peak_megabytes, seconds, trades

if TYPE_CHECKING:
    import duckdb
    import polars as pl

# The contract object of every trade, except for its item.
CONTRACT: dict[str, Any] = {
    "contractType": "SinglePeriod",
    "marketId": 10000065,
    "instrumentId": None,
    "sequenceId": 10000305,
    "sequenceItemId": 0,
    "secondSequenceItemId": None,
}


@frozen
class Way:
    """One way from bytes to a frame, the packages that it needs, and the conversion of its frame to one of pandas."""

    read: Callable[[bytes], Any]
    needs: tuple[str, ...] = ()
    convert: Callable[[Any], pd.DataFrame] = lambda frame: frame

    @property
    def missing(self) -> str:
        """Names of the packages that are not installed."""
        return ", ".join(name for name in self.needs if find_spec(name) is None)


# --- trayport ------------------------------------------------------------------------------------------------


def with_wire_names(frame: pd.DataFrame, endpoint: Endpoint) -> pd.DataFrame:
    """Return the frame with the names and the contract objects of the response."""
    renamed = frame.reset_index().rename(columns={column.name: column.wire for column in endpoint.columns})
    if endpoint is ORDER_BOOK:
        renamed["side"] += "s"
    items = renamed["contract"].str.rpartition(" ")[2].astype(int)
    return renamed.assign(contract=pd.Series([{**CONTRACT, "sequenceItemId": item} for item in items]))


# --- pandas --------------------------------------------------------------------------------------------------


def utc(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    frame[name] = pd.to_datetime(frame[name], unit="ns", utc=True)
    return frame


def by_orjson(payload: bytes) -> pd.DataFrame:
    import orjson

    return utc(pd.DataFrame(orjson.loads(payload)), "dealDate")


def by_read_json(payload: bytes, *, precise: bool) -> pd.DataFrame:
    return utc(pd.read_json(io.BytesIO(payload), precise_float=precise), "dealDate")


def orjson_loops(payload: bytes) -> pd.DataFrame:
    import orjson

    rows = [
        {"timestamp": point["timestamp"], "side": side, "level": level, **order}
        for point in orjson.loads(payload)
        for side in ("bids", "asks")
        for level, order in enumerate(point[side], 1)
    ]
    return utc(pd.DataFrame(rows), "timestamp")


# --- polars --------------------------------------------------------------------------------------------------


def polars_trades(payload: bytes, *, contract: bool) -> pl.DataFrame:
    import polars as pl

    ids = {name: pl.String if name == "contractType" else pl.Int64 for name in CONTRACT}
    schema: dict[str, Any] = {
        "tradeId": pl.String,
        "venueCode": pl.String,
        "dealDate": pl.Int64,
        "price": pl.Float64,
        "quantity": pl.Int64,
        "aggressorBuy": pl.Boolean,
        **({"contract": pl.Struct(ids)} if contract else {}),
    }
    frame = pl.read_json(payload, schema=schema)
    return frame.with_columns(pl.from_epoch("dealDate", time_unit="ns").dt.replace_time_zone("UTC"))


def polars_books(payload: bytes) -> pl.DataFrame:
    import polars as pl

    orders = pl.List(pl.Struct({"price": pl.Float64, "quantity": pl.Int64}))
    points = pl.read_json(payload, schema={"timestamp": pl.Int64, "bids": orders, "asks": orders})
    sides = points.unpivot(["bids", "asks"], index="timestamp", variable_name="side", value_name="orders")
    levels = sides.sort("timestamp", maintain_order=True).with_columns(
        pl.from_epoch("timestamp", time_unit="ns").dt.replace_time_zone("UTC"),
        level=pl.int_ranges(1, pl.col("orders").list.len() + 1),
    )
    return levels.explode("orders", "level").unnest("orders")


def to_pandas(read: Callable[[bytes], pl.DataFrame], payload: bytes) -> pd.DataFrame:
    return read(payload).to_pandas()


# --- DuckDB --------------------------------------------------------------------------------------------------

_TRADE = (
    "tradeId: 'VARCHAR', venueCode: 'VARCHAR', dealDate: 'BIGINT', price: 'DOUBLE', quantity: 'BIGINT', "
    "aggressorBuy: 'BOOLEAN'"
)
_IDS = ", ".join(f"{name} {'VARCHAR' if name == 'contractType' else 'BIGINT'}" for name in CONTRACT)
_ORDERS = "STRUCT(price DOUBLE, quantity BIGINT)[]"
_BOOK = f"timestamp: 'BIGINT', bids: '{_ORDERS}', asks: '{_ORDERS}'"

TRADES_SQL = "SELECT * REPLACE (make_timestamp_ns(dealDate) AS dealDate) FROM answer"
BOOKS_SQL = """
    SELECT make_timestamp_ns(timestamp) AS timestamp, side, level, "order".price, "order".quantity FROM (
        SELECT timestamp, side, unnest(orders) AS "order", generate_subscripts(orders, 1) AS level
        FROM answer UNPIVOT (orders FOR side IN (bids, asks))
    ) ORDER BY timestamp, side DESC, level
"""


def write_file(payload: bytes, folder: str) -> Path:
    """Write the bytes to a file, because DuckDB reads only files."""
    file = Path(folder, "answer.json")
    file.write_bytes(payload)
    return file


def query_duckdb(payload: bytes, columns: str, sql: str, take: Callable[[duckdb.DuckDBPyRelation], Any]) -> Any:
    """Return the result of a query, converted by ``take``."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, duckdb.connect() as connection:
        source = f"read_json('{write_file(payload, folder)}', format = 'array', columns = {{{columns}}})"
        return take(connection.sql(f"WITH answer AS MATERIALIZED (SELECT * FROM {source}) {sql}"))


def as_arrow(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    table: pa.Table = relation.to_arrow_table()
    number = next(number for number, kind in enumerate(table.schema.types) if pa.types.is_timestamp(kind))
    times = table.column(number).cast(pa.timestamp("ns", "UTC"))
    return table.set_column(number, table.schema.names[number], times)


def as_frame(relation: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    frame: pd.DataFrame = as_arrow(relation).to_pandas()  # takes less time and memory than DuckDB's `df`
    return frame


def duck(columns: str, sql: str) -> dict[str, Way]:
    return {
        "DuckDB to Arrow": Way(
            lambda payload: query_duckdb(payload, columns, sql, as_arrow), ("duckdb",), lambda table: table.to_pandas()
        ),
        "DuckDB to pandas": Way(lambda payload: query_duckdb(payload, columns, sql, as_frame), ("duckdb",)),
    }


# --- jobs ----------------------------------------------------------------------------------------------------


def ours(endpoint: Endpoint) -> dict[str, Way]:
    schema = Schema(endpoint)
    return {
        "trayport": Way(
            lambda payload: decode(payload, schema, "TTF 0"), convert=lambda frame: with_wire_names(frame, endpoint)
        )
    }


def polar(read: Callable[[bytes], pl.DataFrame]) -> dict[str, Way]:
    return {
        "polars": Way(read, ("polars",), lambda frame: frame.to_pandas()),
        "polars to pandas": Way(partial(to_pandas, read), ("polars",)),
    }


def of_trades(*, contract: bool) -> dict[str, Way]:
    named = {
        "trayport": Way(
            lambda payload: decode(payload, Schema(TRADES), lambda ids: f"TTF {ids.item_id}"),
            convert=lambda frame: with_wire_names(frame, TRADES),
        )
    }
    columns = f"{_TRADE}, contract: 'STRUCT({_IDS})'" if contract else _TRADE
    return {
        "naive": Way(lambda payload: naive(payload, "dealDate")),
        **(named if contract else ours(TRADES)),
        "orjson and pandas": Way(by_orjson, ("orjson",)),
        "pandas.read_json": Way(partial(by_read_json, precise=False)),
        "read_json, precise_float": Way(partial(by_read_json, precise=True)),
        **polar(partial(polars_trades, contract=contract)),
        **duck(columns, TRADES_SQL),
    }


def of_books() -> dict[str, Way]:
    return {
        "naive": Way(loops),
        **ours(ORDER_BOOK),
        "orjson and loops": Way(orjson_loops, ("orjson",)),
        **polar(polars_books),
        **duck(_BOOK, BOOKS_SQL),
    }


@frozen
class Job:
    """A response and every way to read it; the first way is the reference for the others."""

    title: str
    make: Callable[[int], bytes]
    rows: int
    ways: dict[str, Way]


JOBS = {
    "trades": Job("trades", trades, 1_000_000, of_trades(contract=False)),
    "contracts": Job(
        "trades with contract objects", partial(trades, contract=True), 1_000_000, of_trades(contract=True)
    ),
    "books": Job("books of depth 10", books, 20_000, of_books()),
}


def unequal(found: pd.Series, expected: pd.Series) -> float:
    """Return the share of cells that differ from the expected ones: times to the nanosecond, floats to the bit."""
    if isinstance(expected.dtype, pd.DatetimeTZDtype):
        if found.dtype != expected.dtype:
            return 1.0
        return float(np.mean(pd.DatetimeIndex(found).asi8 != pd.DatetimeIndex(expected).asi8))
    if expected.dtype == np.float64:
        bits = (np.ascontiguousarray(column, dtype=np.float64).view(np.int64) for column in (found, expected))
        return float(np.mean(np.not_equal(*bits)))
    pairs = zip(found.tolist(), expected.tolist(), strict=True)
    return float(np.mean([one != other for one, other in pairs]))


def verdict(found: pd.DataFrame, expected: pd.DataFrame) -> str:
    """Return "yes" if the frame is the expected one, otherwise the differences."""
    if len(found) != len(expected) or not set(expected) <= set(found):
        return "NO: other rows or columns"
    shares = {name: unequal(found[name], expected[name]) for name in expected}
    wrong = ", ".join(f"{name} in {share:.2%} of rows" for name, share in shares.items() if share)
    return f"NO: another {wrong}" if wrong else "yes"


# --- measuring -----------------------------------------------------------------------------------------------


def wall_and_cpu(act: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds on the clock and the CPU seconds of all cores."""
    spent = []

    def timed() -> object:
        began = time.process_time()
        kept = act()
        spent.append(time.process_time() - began)
        return kept

    return seconds(timed), spent[0]


def medians(ways: dict[str, Way], payload: bytes, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the wall and CPU seconds of each way; the ways take turns within each round, in random order."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    rng = np.random.default_rng(7)
    for _ in range(rounds):
        for name in rng.permutation(list(ways)):  # polars and DuckDB keep memory, which saves time for the next way
            times[name].append(wall_and_cpu(partial(ways[name].read, payload)))
    return {
        name: (statistics.median(wall for wall, _ in pairs), statistics.median(cpu for _, cpu in pairs))
        for name, pairs in times.items()
    }


def writing(payload: bytes, rounds: int) -> float:
    """Return the seconds to write DuckDB's file; its times include them."""
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        return statistics.median(seconds(partial(write_file, payload, folder)) for _ in range(rounds))


def growth(key: str, way: str, file: str) -> float | None:
    """Return the peak memory in MB on top of the payload; called in a separate process."""
    job, payload = JOBS[key], Path(file).read_bytes()
    job.ways[way].read(job.make(10))  # so that imports are not counted
    before = peak_megabytes()
    kept = job.ways[way].read(payload)
    after = peak_megabytes()
    del kept
    return None if before is None or after is None else after - before


def peak(key: str, way: str, file: Path) -> float | None:
    script = f"from benchmarks.alternatives import growth; print(growth({key!r}, {way!r}, {str(file)!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "None" else float(done.stdout)


# --- output --------------------------------------------------------------------------------------------------

HEAD = f"{'':26}{'ms':>6}{'cpu ms':>8}{'x naive':>9}{'MB':>7}{'of naive':>10}   the same frame"


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 5
    yield f"\nother ways from bytes to a frame, medians of {rounds}"
    yield f"  cpu ms: of all threads; polars and DuckDB may use all {os.cpu_count()} cores, the others use one"
    yield "  x naive: times as fast; MB: peak beside the payload, one run in a separate process (Linux only)"
    for key, job in JOBS.items():
        count = job.rows // 200 if quick else job.rows
        payload = job.make(count)
        yield f"  {len(payload) / 1e6:.0f} MB, {count:,} {job.title}; frames compared over {count // 10:,}"
        # Each process takes a second; a quick run measures the memory of one response only.
        yield from compared(key, payload, job.make(count // 10), rounds, in_memory=not quick or key == "books")


def compared(key: str, payload: bytes, small: bytes, rounds: int, *, in_memory: bool) -> Iterator[str]:
    ways = {name: way for name, way in JOBS[key].ways.items() if not way.missing}
    same = sameness(ways, small)  # this also imports the packages of each way
    times = medians(ways, payload, rounds)
    peaks = memory(key, ways, payload) if in_memory else dict.fromkeys(ways)
    yield f"    {HEAD}"
    for name, way in JOBS[key].ways.items():
        if way.missing:
            yield f"    {name:26}{way.missing} is not installed"
        else:
            wall, cpu = times[name]
            yield (
                f"    {name:26}{wall * 1000:6.0f}{cpu * 1000:8.0f}{times['naive'][0] / wall:9.1f}"
                f"{shares(peaks[name], peaks['naive'])}   {same[name]}"
            )
    if any("duckdb" in way.needs for way in ways.values()):
        yield f"    DuckDB reads files: its times include writing one ({writing(payload, rounds) * 1000:.0f} ms)"


def shares(peak: float | None, without: float | None) -> str:
    if peak is None or not without:
        return f"{'n/a':>7}{'n/a':>10}"
    return f"{peak:7.0f}{peak / without:10.2f}"


def sameness(ways: dict[str, Way], payload: bytes) -> dict[str, str]:
    expected = ways["naive"].read(payload)
    found = {name: verdict(way.convert(way.read(payload)), expected) for name, way in ways.items()}
    return {**found, "naive": "the reference"}


def memory(key: str, ways: dict[str, Way], payload: bytes) -> dict[str, float | None]:
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        file = write_file(payload, folder)
        return {name: peak(key, name, file) for name in ways}


def main() -> None:
    for line in measure(quick="--quick" in sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
