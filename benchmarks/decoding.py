"""How long an answer's bytes take to become a frame, and how much memory, against what a script does without us."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from attrs import field, frozen

from trayport.decoding import Naming, Schema, decode
from trayport.endpoints import OHLCV, ORDER_BOOK, TOP_OF_BOOK, TRADES

from . import verdict

FLOOR, MEMORY, STALL_MS, STALL_BYTES = 1.2, 0.25, 30, 100_000_000
START = 1_677_661_222_627_634_001
VENUES = ("BRO1", "EEX7", "ICE", "TPS2", "GFI", "ICAP")


# --- answers -------------------------------------------------------------------------------------------------


def answer(rows: Iterator[str]) -> bytes:
    return f"[{','.join(rows)}]".encode()


def trades(count: int, *, contract: bool = False) -> bytes:
    """One contract's, or those of fifty with their objects, as the guide has them (pp. 13 to 15)."""
    dice = np.random.default_rng(7)
    cells = zip(
        dice.integers(10**9, 10**10, count).tolist(),
        dice.choice(VENUES, count).tolist(),
        (START + np.cumsum(dice.integers(1, 10**9, count))).tolist(),
        (dice.integers(20_000, 60_000, count) / 1000).tolist(),
        dice.integers(1, 60, count).tolist(),
        dice.choice(["true", "false"], count).tolist(),
        dice.integers(220, 270, count).tolist(),
        strict=True,
    )
    ids = (
        ',"contract":{{"contractType":"SinglePeriod","marketId":10000065,"instrumentId":null,"sequenceId":10000305,'
        '"sequenceItemId":{},"secondSequenceItemId":null}}'
    )
    return answer(
        f'{{"tradeId":"{number}-{venue}","venueCode":"{venue}","dealDate":{moment},"price":{price},'
        f'"quantity":{quantity},"aggressorBuy":{buy}{ids.format(item) if contract else ""}}}'
        for number, venue, moment, price, quantity, buy, item in cells
    )


def books(count: int, depth: int = 10) -> bytes:
    dice = np.random.default_rng(7)
    middles, sizes = dice.integers(20_000, 60_000, count).tolist(), dice.integers(1, 60, (count, 2, depth)).tolist()

    def side(middle: int, step: int, quantities: list[int]) -> str:
        orders = (
            f'{{"price":{(middle + step * level) / 1000},"quantity":{quantity}}}'
            for level, quantity in enumerate(quantities, 1)
        )
        return f"[{','.join(orders)}]"

    return answer(
        f'{{"timestamp":{START + 15 * 10**9 * point},"bids":{side(middle, -25, bids)},"asks":{side(middle, 25, asks)}}}'
        for point, (middle, (bids, asks)) in enumerate(zip(middles, sizes, strict=True))
    )


def tops(count: int) -> bytes:
    dice = np.random.default_rng(7)
    cells = zip(dice.integers(20_000, 60_000, count).tolist(), dice.integers(1, 60, (count, 2)).tolist(), strict=True)
    return answer(
        f'{{"timestamp":{START + 15 * 10**9 * point},"bidPrice":{price / 1000},"bidQuantity":{bid},'
        f'"askPrice":{(price + 25) / 1000},"askQuantity":{ask}}}'
        for point, (price, (bid, ask)) in enumerate(cells)
    )


def candles(count: int) -> bytes:
    dice = np.random.default_rng(7)
    prices = (dice.integers(20_000, 60_000, (count, 4)) / 1000).tolist()
    return answer(
        f'{{"fromTimestamp":{START + 60 * 10**9 * number},"toTimestamp":{START + 60 * 10**9 * (number + 1)},'
        f'"open":{first},"high":{high},"low":{low},"close":{last},"volume":{number % 97}}}'
        for number, (first, high, low, last) in enumerate(prices)
    )


# --- what is compared ----------------------------------------------------------------------------------------


def naive(payload: bytes, *times: str) -> pd.DataFrame:
    """What ``response.json()`` does, and what everybody does then."""
    frame = pd.DataFrame(json.loads(payload))
    for name in times:
        frame[name] = pd.to_datetime(frame[name], unit="ns", utc=True)
    return frame


def loops(payload: bytes) -> pd.DataFrame:
    """Tidy rows of books, by hand."""
    rows = []
    for point in json.loads(payload):
        for side in ("bids", "asks"):
            for level, order in enumerate(point[side], 1):
                rows.append({"timestamp": point["timestamp"], "side": side, "level": level, **order})
    frame = pd.DataFrame(rows)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="ns", utc=True)
    return frame


@frozen
class Job:
    """An answer, how it is read with and without us, and how many times as fast we have to be."""

    title: str
    made: Callable[[int], bytes]
    rows: int
    faster: float
    schema: Schema
    without: Callable[[bytes], object]
    naming: Naming = "TTF Apr-23"
    floor: bool = False
    """Is it compared with reading the bytes into objects alone, and in memory?"""
    ways: dict[str, Callable[[bytes], object]] = field(init=False)

    @ways.default
    def _ways(self) -> dict[str, Callable[[bytes], object]]:
        return {
            "naive": self.without,
            "trayport": lambda payload: decode(payload, self.schema, self.naming),
            "floor": msgspec.json.decode,
        }


JOBS = {
    "trades": Job("trades", trades, 1_000_000, 4.5, Schema(TRADES), lambda text: naive(text, "dealDate"), floor=True),
    "contracts": Job(
        "trades with contract objects",
        partial(trades, contract=True),
        1_000_000,
        5,
        Schema(TRADES),
        lambda text: naive(text, "dealDate"),
        lambda ids: f"TTF {ids.item_id}",
        floor=True,
    ),
    "books": Job("books of depth 10", books, 20_000, 7, Schema(ORDER_BOOK), loops),
    "tops": Job(
        "points of the top of the book", tops, 100_000, 3.5, Schema(TOP_OF_BOOK), lambda text: naive(text, "timestamp")
    ),
    "candles": Job(
        "candles", candles, 100_000, 3.5, Schema(OHLCV), lambda text: naive(text, "fromTimestamp", "toTimestamp")
    ),
}


# --- measuring -----------------------------------------------------------------------------------------------


def seconds(act: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    kept = act()
    passed = time.perf_counter() - began
    del kept  # what it takes to give the memory back is not counted
    return passed


def medians(job: Job, payload: bytes, rounds: int) -> dict[str, float]:
    """Seconds of each way, side by side within each round, so that a busy moment hits all."""
    times: dict[str, list[float]] = {name: [] for name in job.ways}
    for _ in range(rounds):
        for name, way in job.ways.items():
            times[name].append(seconds(partial(way, payload)))
    return {name: statistics.median(column) for name, column in times.items()}


def most() -> float | None:
    """The most megabytes that this process ever had, where the system tells: what the parent had does not count."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), None)


def growth(key: str, way: str, file: str) -> float | None:
    """How much of it comes on top of the payload, in a process of its own."""
    job, payload = JOBS[key], Path(file).read_bytes()
    job.ways[way](job.made(10))  # what it imports
    before = most()
    kept = job.ways[way](payload)
    after = most()
    del kept
    return None if before is None or after is None else after - before


def peak(key: str, way: str, file: Path) -> float | None:
    script = f"from benchmarks.decoding import growth; print(growth({key!r}, {way!r}, {str(file)!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "None" else float(done.stdout)


def stall(act: Callable[[], object]) -> float:
    """The longest time, in milliseconds, that a thread was late that wanted to run every millisecond."""
    late, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    kept = act()
    done.set()
    watcher.join()
    del kept
    return max(late) * 1000


# --- what is printed -----------------------------------------------------------------------------------------


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 5
    yield f"\nfrom bytes to a frame, medians of {rounds}; naive is pd.DataFrame(json.loads(...)) and pd.to_datetime"
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        for key, job in JOBS.items():
            count = job.rows // 200 if quick else job.rows
            payload = job.made(count)
            yield f"  {count:,} {job.title}, {len(payload) / 1e6:.0f} MB"
            yield from times(job, medians(job, payload, rounds), len(payload))
            if job.floor:
                file = Path(folder, key)
                file.write_bytes(payload)
                yield memory(key, file, rounds)
    yield from stalls(quick=quick)


def times(job: Job, found: dict[str, float], size: int) -> Iterator[str]:
    ours, without, floor = found["trayport"], found["naive"], found["floor"]
    yield (
        f"    {ours * 1000:6.0f} ms, {size / ours / 1e6:4.0f} MB/s; naive {without * 1000:6.0f} ms: "
        f"{without / ours:.1f} x as fast ({verdict(without / ours >= job.faster)}: at least {job.faster})"
    )
    if job.floor:
        met = verdict(ours / floor <= FLOOR)
        yield f"    {ours / floor:.2f} x msgspec.json.decode without a frame ({met}: at most {FLOOR})"


def memory(key: str, file: Path, rounds: int) -> str:
    pairs = [(peak(key, "trayport", file), peak(key, "naive", file)) for _ in range(rounds)]
    known = [(ours, without) for ours, without in pairs if ours is not None and without]
    if not known:
        return "    peak memory beside the payload: only Linux tells it"
    ours, without = (statistics.median(column) for column in zip(*known, strict=True))
    share = ours / without
    return (
        f"    {ours:.0f} MB beside the payload; naive {without:.0f} MB: {share:.2f} of it "
        f"({verdict(share <= MEMORY)}: at most {MEMORY})"
    )


def stalls(*, quick: bool) -> Iterator[str]:
    job, rounds = JOBS["trades"], 1 if quick else 5
    payload = job.made((STALL_BYTES // 200 if quick else STALL_BYTES) // 119)
    found: dict[str, list[float]] = {"trayport": [], "naive": []}
    for _ in range(rounds):
        for name, waits in found.items():
            waits.append(stall(partial(job.ways[name], payload)))
    ours, without = (statistics.median(waits) for waits in found.values())
    yield f"  the longest that another thread waits, while {len(payload) / 1e6:.0f} MB are decoded"
    yield f"    {ours:.0f} ms; naive {without:.0f} ms ({verdict(ours < STALL_MS)}: below {STALL_MS})"


def main() -> None:
    for line in measure(quick="--quick" in sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
