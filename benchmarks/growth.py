"""The growth of a query's cost with the rows of its response, and with its contracts.

Rows: time and peak memory of ``decode`` from bytes to a frame, of the naive way, and of a stream that is saved to
Parquet, each in a separate process. Contracts: requests and time of a month of trades, where up to fifty contracts
share a request, and of hourly candles, with one contract per request; against a sandbox without limits in a separate
process. The naive way is left out where memory might be short. A full run draws ``growth_rows.png`` and
``growth_contracts.png`` in ``docs/images``.
``python -m benchmarks.growth`` takes some minutes; ``--quick`` some seconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from attrs import evolve, frozen

from trayport import Client, Config
from trayport.decoding import Schema, decode
from trayport.endpoints import TRADES
from trayport.planner import Plan

from . import pictures
from .decoding import naive, peak_megabytes, seconds, trades
from .sandbox import Server as Market
from .wire import CONTRACT, KEY, Server

IMAGES = Path(__file__).parents[1] / "docs" / "images"
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
CONTRACTS = (1, 5, 20, 50, 100, 500)
MONTH = pd.Timestamp("2024-01-08", tz="UTC"), pd.Timestamp("2024-02-08", tz="UTC")
# Repetitions above one million rows; up to there it is five.
ROUNDS = {"decode": 3, "naive": 1}
# Rows that are formatted one by one; longer responses repeat them with later times.
UNIT = 100_000
# Memory in MB that the naive way takes for one million rows, the response included.
NAIVE_MB = 800

WAYS: dict[str, Callable[[bytes], object]] = {
    "decode": lambda payload: decode(payload, Schema(TRADES), CONTRACT),
    "naive": lambda payload: naive(payload, "dealDate"),
}


@frozen
class Cost:
    """The cost of a number of rows, or of a query for a number of contracts, in one way."""

    way: str
    count: int
    seconds: float
    memory: float | None = None
    """Memory in MB; None if the system does not report it."""
    requests: int = 0
    limited: float = 0
    """Seconds that the rate limit alone would take."""


# --- rows ----------------------------------------------------------------------------------------------------


def write(rows: int, file: Path) -> None:
    """Write a response of ``rows`` trades; repetitions have later times."""
    unit = np.frombuffer(b"," + trades(min(rows, UNIT))[1:-1], dtype=np.uint8).copy()
    # `dealDate` is the third of six cells in each row, and of nineteen digits.
    places = np.flatnonzero(unit == ord(":"))[2::6, None] + 1 + np.arange(19)
    powers: npt.NDArray[np.int64] = 10 ** np.arange(18, -1, -1, dtype=np.int64)
    times = (unit[places] - ord("0")) @ powers
    span = times[-1] - times[0] + 1
    with file.open("wb") as target:
        for number in range(max(rows // UNIT, 1)):
            unit[places] = (times + number * span)[:, None] // powers % 10 + ord("0")
            target.write(b"[" + unit[1:].tobytes() if number == 0 else unit.tobytes())
        target.write(b"]")


def cost(way: str, file: str, rounds: int) -> tuple[float, float | None]:
    """Return the median seconds, and the peak memory of the first round in MB beside the import and the response."""
    payload = Path(file).read_bytes()
    WAYS[way](trades(10))  # so that imports are not counted
    before = peak_megabytes()
    passed = [seconds(partial(WAYS[way], payload))]
    after = peak_megabytes()
    passed += [seconds(partial(WAYS[way], payload)) for _ in range(rounds - 1)]
    return statistics.median(passed), None if before is None or after is None else after - before


def run_script(script: str) -> list[float | None]:
    """Run a script in a separate process, and return the numbers that it prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [None if word == "None" else float(word) for word in done.stdout.split()]


def decoded(way: str, rows: int, file: Path) -> Cost:
    rounds = 5 if rows <= 1_000_000 else ROUNDS[way]
    script = f"from benchmarks.growth import cost; print(*cost({way!r}, {str(file)!r}, {rounds}))"
    passed, memory = run_script(script)
    return Cost(way, rows, passed or 0, memory)


def streamed(rows: int) -> Cost:
    """Measure a stream from the wire to Parquet, in pieces of 100,000 rows."""
    windows = max(rows // UNIT, 1)
    with Server(rows // windows, windows) as server, tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        script = (
            f"from benchmarks.wire import save_windows; print(*save_windows("
            f"{server.url!r}, {server.reference!r}, {windows}, {folder!r}))"
        )
        count, passed, memory = run_script(script)
    assert count == rows
    return Cost("save(stream)", rows, passed or 0, memory if peak_megabytes() is not None else None)


def fits(rows: int) -> bool:
    """Return True if the naive way would take at most half of the free memory."""
    info = Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.exists() else []
    free = next((int(line.split()[1]) / 1000 for line in lines if line.startswith("MemAvailable")), 0)
    return rows <= 1_000_000 or free > 2 * NAIVE_MB * rows / 1_000_000


def by_rows(rows: int, folder: str) -> list[Cost]:
    """Measure one number of rows in each way."""
    file = Path(folder, "response.json")
    write(rows, file)
    ways = [way for way in WAYS if way != "naive" or fits(rows)]
    return [*(decoded(way, rows, file) for way in ways), streamed(rows)]


def row(costs: list[Cost]) -> str:
    cells = {cost.way: cost for cost in costs}
    text = f"    {costs[0].count:>12,}"
    for way in ("decode", "naive", "save(stream)"):
        cost = cells.get(way)
        if cost is None:
            text += f"{'not enough memory':>28}"
        else:
            memory = "n/a" if cost.memory is None else f"{cost.memory:.0f}"
            text += f"{cost.seconds:9.3f}{cost.seconds / cost.count * 1e6:11.2f}{memory:>8}"
    return text


def report_rows(sizes: tuple[int, ...], costs: list[Cost]) -> Iterator[str]:
    yield "\ngrowth of the cost with rows of trades"
    yield "  decode, naive: medians of 5, of 10,000,000 rows of 3 and 1; MB: peak beside the import and the response"
    yield "  save(stream): one run from the wire (Brotli, loopback), 100,000 rows a piece; MB: peak beside the import"
    yield f"    {'':12}{'decode':>9}{'':19}{'naive':>9}{'':19}{'save(stream)':>12}"
    yield f"    {'rows':>12}" + 3 * f"{'s':>9}{'us a row':>11}{'MB':>8}"
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        for rows in sizes:
            found = by_rows(rows, folder)
            costs += found
            yield row(found)


# --- contracts -----------------------------------------------------------------------------------------------


def tradable(client: Client) -> list[str]:
    """Return the names of the contracts that can be traded throughout the month, by market and sequence."""
    start, end = MONTH
    names: list[str] = []
    for market in client.markets()["name"]:
        for sequence in client.sequences(market)["name"]:
            items = client.sequence_items(f"{market} {sequence}", start=end)
            alive = items[(items["trading_start"] <= start) & (items["trading_end"] >= end)]
            names += [f"{market} {name}" for name in alive["name"]]
    return names


def by_contracts(counts: tuple[int, ...], rounds: int) -> Iterator[Cost]:
    with Market() as market, tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        config = Config(
            market.key, analytics_url=f"{market.url}/api", reference_url=f"{market.url}/reference", limiter="off",
            cache_dir=folder, progress=False,
        )  # fmt: skip
        with Client(config=config) as client:
            names = tradable(client)
            for count in counts:
                some = names[:count]
                yield cost_of_query("trades", some, client.trades, client.plan.trades, rounds)
                hourly = partial(client.ohlcv, interval="1h"), partial(client.plan.ohlcv, interval="1h")
                yield cost_of_query("candles", some, *hourly, rounds)


def cost_of_query(
    way: str, names: list[str], ask: Callable[..., object], plan: Callable[..., Plan], rounds: int
) -> Cost:
    ask(names, *MONTH)  # the sandbox generates the trades at the first request
    passed = statistics.median(seconds(partial(ask, names, *MONTH)) for _ in range(rounds))
    planned = evolve(plan(names, *MONTH), rates=Config(KEY).rates)
    return Cost(way, len(names), passed, requests=len(planned), limited=planned.seconds)


def report_contracts(counts: tuple[int, ...], rounds: int, costs: list[Cost]) -> Iterator[str]:
    yield f"\ngrowth of the cost with contracts: one month from a sandbox without limits, medians of {rounds}"
    yield "  a request covers one sequence of one market; no sequence has 50 contracts that are tradable all month"
    yield "  s at 6/s: seconds that the rate limit alone would take"
    yield f"    {'':9}{'trades':>9}{'':36}{'hourly candles':>17}"
    yield f"    {'contracts':>9}" + 2 * f"{'requests':>10}{'a contract':>12}{'s':>9}{'s at 6/s':>10}  "
    found = by_contracts(counts, rounds)
    for trade, candle in zip(found, found, strict=True):
        costs += [trade, candle]
        yield f"    {trade.count:>9,}" + "".join(
            f"{each.requests:>10,}{each.requests / each.count:>12.2f}{each.seconds:>9.2f}{each.limited:>10.1f}  "
            for each in (trade, candle)
        )


# --- output --------------------------------------------------------------------------------------------------


def measure(*, quick: bool) -> Iterator[str]:
    rows: list[Cost] = []
    contracts: list[Cost] = []
    yield from report_rows((1_000,) if quick else ROWS, rows)
    yield from report_contracts(CONTRACTS[:2] if quick else CONTRACTS, 1 if quick else 3, contracts)
    if not quick:
        pictures.of_rows(rows, IMAGES / "growth_rows.png")
        pictures.of_contracts(contracts, IMAGES / "growth_contracts.png")


def main() -> None:
    for line in measure(quick="--quick" in sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
