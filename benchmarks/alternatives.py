"""What else makes a frame of an answer's bytes: in which time, in how much memory, and whether it is the right frame.

Each way ends with a frame whose times are UTC to the nanosecond. Left out, with the reason: ``pandas.read_json`` of
books, whose orders it leaves as lists in two columns, so that the loops are still to come; ``pyarrow.json``, which
reads lines and no arrays. ``python -m benchmarks.alternatives`` takes some minutes; ``--quick`` some seconds.
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

from .decoding import books, loops, most, naive, seconds, trades

if TYPE_CHECKING:
    import duckdb
    import polars as pl

# The contract object of every trade, but for its item.
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
    """One way from bytes to a frame, the packages that it needs, and how its frame is told as pandas has it."""

    read: Callable[[bytes], Any]
    needs: tuple[str, ...] = ()
    told: Callable[[Any], pd.DataFrame] = lambda frame: frame

    @property
    def missing(self) -> str:
        """Those of the packages that are not installed."""
        return ", ".join(name for name in self.needs if find_spec(name) is None)


# --- trayport ------------------------------------------------------------------------------------------------


def on_the_wire(frame: pd.DataFrame, endpoint: Endpoint) -> pd.DataFrame:
    """The frame with the names that the answer has."""
    told = frame.reset_index().rename(columns={column.name: column.wire for column in endpoint.columns})
    if endpoint is ORDER_BOOK:
        told["side"] += "s"
    items = told["contract"].str.rpartition(" ")[2].astype(int)
    return told.assign(contract=pd.Series([{**CONTRACT, "sequenceItemId": item} for item in items]))


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


def written(payload: bytes, folder: str) -> Path:
    """The same bytes in a file: DuckDB reads no others."""
    file = Path(folder, "answer.json")
    file.write_bytes(payload)
    return file


def asked(payload: bytes, columns: str, sql: str, take: Callable[[duckdb.DuckDBPyRelation], Any]) -> Any:
    """What ``take`` makes of the query's result."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, duckdb.connect() as connection:
        source = f"read_json('{written(payload, folder)}', format = 'array', columns = {{{columns}}})"
        return take(connection.sql(f"WITH answer AS MATERIALIZED (SELECT * FROM {source}) {sql}"))


def as_arrow(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    table: pa.Table = relation.to_arrow_table()
    number = next(number for number, kind in enumerate(table.schema.types) if pa.types.is_timestamp(kind))
    moments = table.column(number).cast(pa.timestamp("ns", "UTC"))
    return table.set_column(number, table.schema.names[number], moments)


def as_frame(relation: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    frame: pd.DataFrame = as_arrow(relation).to_pandas()  # less time and memory than with DuckDB's own `df`
    return frame


def duck(columns: str, sql: str) -> dict[str, Way]:
    return {
        "DuckDB to Arrow": Way(
            lambda payload: asked(payload, columns, sql, as_arrow), ("duckdb",), lambda table: table.to_pandas()
        ),
        "DuckDB to pandas": Way(lambda payload: asked(payload, columns, sql, as_frame), ("duckdb",)),
    }


# --- what is compared ----------------------------------------------------------------------------------------


def ours(endpoint: Endpoint) -> dict[str, Way]:
    schema = Schema(endpoint)
    return {
        "trayport": Way(
            lambda payload: decode(payload, schema, "TTF 0"), told=lambda frame: on_the_wire(frame, endpoint)
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
            told=lambda frame: on_the_wire(frame, TRADES),
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
    """An answer, and every way to read it; the first of them is what the others are compared with."""

    title: str
    made: Callable[[int], bytes]
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
    """The share of cells that are not exactly those expected: times to the nanosecond, floats to the bit."""
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
    """Is it the frame that was expected? If not, why."""
    if len(found) != len(expected) or not set(expected) <= set(found):
        return "NO: other rows or columns"
    shares = {name: unequal(found[name], expected[name]) for name in expected}
    wrong = ", ".join(f"{name} in {share:.2%} of rows" for name, share in shares.items() if share)
    return f"NO: another {wrong}" if wrong else "yes"


# --- measuring -----------------------------------------------------------------------------------------------


def both(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and those of all cores together."""
    spent = []

    def timed() -> object:
        began = time.process_time()
        kept = act()
        spent.append(time.process_time() - began)
        return kept

    return seconds(timed), spent[0]


def medians(ways: dict[str, Way], payload: bytes, rounds: int) -> dict[str, tuple[float, float]]:
    """Both kinds of seconds for each way, side by side within each round; what goes before whom is left to chance."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    dice = np.random.default_rng(7)
    for _ in range(rounds):
        for name in dice.permutation(list(ways)):  # polars and DuckDB keep memory, which the next has for nothing
            times[name].append(both(partial(ways[name].read, payload)))
    return {
        name: (statistics.median(clock for clock, _ in pairs), statistics.median(cores for _, cores in pairs))
        for name, pairs in times.items()
    }


def writing(payload: bytes, rounds: int) -> float:
    """Seconds that DuckDB's file takes, which are in its times."""
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        return statistics.median(seconds(partial(written, payload, folder)) for _ in range(rounds))


def growth(key: str, way: str, file: str) -> float | None:
    """How much memory it takes on top of the payload, in a process of its own."""
    job, payload = JOBS[key], Path(file).read_bytes()
    job.ways[way].read(job.made(10))  # what it imports
    before = most()
    kept = job.ways[way].read(payload)
    after = most()
    del kept
    return None if before is None or after is None else after - before


def peak(key: str, way: str, file: Path) -> float | None:
    script = f"from benchmarks.alternatives import growth; print(growth({key!r}, {way!r}, {str(file)!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "None" else float(done.stdout)


# --- what is printed -----------------------------------------------------------------------------------------

HEAD = f"{'':26}{'ms':>6}{'cpu ms':>8}{'x naive':>9}{'MB':>7}{'of naive':>10}   the same frame"


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 5
    yield f"\nother ways from bytes to a frame, medians of {rounds}"
    yield f"  cpu ms: of all threads; polars and DuckDB may use all {os.cpu_count()} cores, the others use one"
    yield "  x naive: times as fast; MB: peak beside the payload, once, in a process of its own (only Linux tells it)"
    for key, job in JOBS.items():
        count = job.rows // 200 if quick else job.rows
        payload = job.made(count)
        yield f"  {len(payload) / 1e6:.0f} MB, {count:,} {job.title}; frames compared over {count // 10:,}"
        # Each process takes a second: to see that it runs, those of one answer are enough.
        yield from compared(key, payload, job.made(count // 10), rounds, in_memory=not quick or key == "books")


def compared(key: str, payload: bytes, small: bytes, rounds: int, *, in_memory: bool) -> Iterator[str]:
    ways = {name: way for name, way in JOBS[key].ways.items() if not way.missing}
    same = sameness(ways, small)  # it also has each way import all that it needs
    times = medians(ways, payload, rounds)
    peaks = memory(key, ways, payload) if in_memory else dict.fromkeys(ways)
    yield f"    {HEAD}"
    for name, way in JOBS[key].ways.items():
        if way.missing:
            yield f"    {name:26}{way.missing} is not installed"
        else:
            clock, cores = times[name]
            yield (
                f"    {name:26}{clock * 1000:6.0f}{cores * 1000:8.0f}{times['naive'][0] / clock:9.1f}"
                f"{shares(peaks[name], peaks['naive'])}   {same[name]}"
            )
    if any("duckdb" in way.needs for way in ways.values()):
        yield f"    DuckDB reads files: its times are with writing one ({writing(payload, rounds) * 1000:.0f} ms)"


def shares(peak: float | None, without: float | None) -> str:
    if peak is None or not without:
        return f"{'n/a':>7}{'n/a':>10}"
    return f"{peak:7.0f}{peak / without:10.2f}"


def sameness(ways: dict[str, Way], payload: bytes) -> dict[str, str]:
    expected = ways["naive"].read(payload)
    found = {name: verdict(way.told(way.read(payload)), expected) for name, way in ways.items()}
    return {**found, "naive": "what the others are compared with"}


def memory(key: str, ways: dict[str, Way], payload: bytes) -> dict[str, float | None]:
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        file = written(payload, folder)
        return {name: peak(key, name, file) for name in ways}


def main() -> None:
    for line in measure(quick="--quick" in sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
