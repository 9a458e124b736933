"""Time and memory from the bytes of a response to a frame, compared with a script that does not use this package.

Page numbers refer to the API guide, see docs/sources.md.
"""

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


# --- responses -----------------------------------------------------------------------------------------------


def json_array(rows: Iterator[str]) -> bytes:
    return f"[{','.join(rows)}]".encode()


def trades(count: int, *, contract: bool = False) -> bytes:
    """Return trades of one contract, or of fifty contracts with their contract objects (guide pp. 13 to 15)."""
    rng = np.random.default_rng(7)
    cells = zip(
        rng.integers(10**9, 10**10, count).tolist(),
        rng.choice(VENUES, count).tolist(),
        (START + np.cumsum(rng.integers(1, 10**9, count))).tolist(),
        (rng.integers(20_000, 60_000, count) / 1000).tolist(),
        rng.integers(1, 60, count).tolist(),
        rng.choice(["true", "false"], count).tolist(),
        rng.integers(220, 270, count).tolist(),
        strict=True,
    )
    ids = (
        ',"contract":{{"contractType":"SinglePeriod","marketId":10000065,"instrumentId":null,"sequenceId":10000305,'
        '"sequenceItemId":{},"secondSequenceItemId":null}}'
    )
    return json_array(
        f'{{"tradeId":"{number}-{venue}","venueCode":"{venue}","dealDate":{time_ns},"price":{price},'
        f'"quantity":{quantity},"aggressorBuy":{buy}{ids.format(item) if contract else ""}}}'
        for number, venue, time_ns, price, quantity, buy, item in cells
    )


def books(count: int, depth: int = 10) -> bytes:
    rng = np.random.default_rng(7)
    mids, sizes = rng.integers(20_000, 60_000, count).tolist(), rng.integers(1, 60, (count, 2, depth)).tolist()

    def side(mid: int, step: int, quantities: list[int]) -> str:
        orders = (
            f'{{"price":{(mid + step * level) / 1000},"quantity":{quantity}}}'
            for level, quantity in enumerate(quantities, 1)
        )
        return f"[{','.join(orders)}]"

    return json_array(
        f'{{"timestamp":{START + 15 * 10**9 * point},"bids":{side(mid, -25, bids)},"asks":{side(mid, 25, asks)}}}'
        for point, (mid, (bids, asks)) in enumerate(zip(mids, sizes, strict=True))
    )


def tops(count: int) -> bytes:
    rng = np.random.default_rng(7)
    cells = zip(rng.integers(20_000, 60_000, count).tolist(), rng.integers(1, 60, (count, 2)).tolist(), strict=True)
    return json_array(
        f'{{"timestamp":{START + 15 * 10**9 * point},"bidPrice":{price / 1000},"bidQuantity":{bid},'
        f'"askPrice":{(price + 25) / 1000},"askQuantity":{ask}}}'
        for point, (price, (bid, ask)) in enumerate(cells)
    )


def candles(count: int) -> bytes:
    rng = np.random.default_rng(7)
    prices = (rng.integers(20_000, 60_000, (count, 4)) / 1000).tolist()
    return json_array(
        f'{{"fromTimestamp":{START + 60 * 10**9 * number},"toTimestamp":{START + 60 * 10**9 * (number + 1)},'
        f'"open":{first},"high":{high},"low":{low},"close":{last},"volume":{number % 97}}}'
        for number, (first, high, low, last) in enumerate(prices)
    )


# --- jobs ----------------------------------------------------------------------------------------------------


def naive(payload: bytes, *times: str) -> pd.DataFrame:
    """Return the frame that a script usually makes: ``response.json()``, a DataFrame, and a conversion of times."""
    frame = pd.DataFrame(json.loads(payload))
    for name in times:
        frame[name] = pd.to_datetime(frame[name], unit="ns", utc=True)
    return frame


def loops(payload: bytes) -> pd.DataFrame:
    """Return one row per order of the books, made with loops."""
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
    """A response, two ways to read it, and the target ratio of their times."""

    title: str
    make: Callable[[int], bytes]
    rows: int
    faster: float
    schema: Schema
    without: Callable[[bytes], object]
    naming: Naming = "TTF Apr-23"
    floor: bool = False
    """True if time is also compared with decoding to untyped objects, and memory with the naive way."""
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
    del kept  # after the measurement, so that freeing the memory is not counted
    return passed


def medians(job: Job, payload: bytes, rounds: int) -> dict[str, float]:
    """Return the median seconds of each way; the ways take turns within each round, so that load affects all alike."""
    times: dict[str, list[float]] = {name: [] for name in job.ways}
    for _ in range(rounds):
        for name, way in job.ways.items():
            times[name].append(seconds(partial(way, payload)))
    return {name: statistics.median(column) for name, column in times.items()}


def peak_megabytes() -> float | None:
    """Return the peak resident memory of this process in MB, without its parent's; None on systems other than Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), None)


def growth(key: str, way: str, file: str) -> float | None:
    """Return the peak memory in MB on top of the payload; called in a separate process."""
    job, payload = JOBS[key], Path(file).read_bytes()
    job.ways[way](job.make(10))  # so that imports are not counted
    before = peak_megabytes()
    kept = job.ways[way](payload)
    after = peak_megabytes()
    del kept
    return None if before is None or after is None else after - before


def peak_in_process(key: str, way: str, file: Path) -> float | None:
    script = f"from benchmarks.decoding import growth; print(growth({key!r}, {way!r}, {str(file)!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "None" else float(done.stdout)


def stall(act: Callable[[], object]) -> float:
    """Return the longest delay, in milliseconds, of a thread that is due to run every millisecond."""
    late, done = [0.0], threading.Event()

    def keep_pace() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)

    pacer = threading.Thread(target=keep_pace)
    pacer.start()
    kept = act()
    done.set()
    pacer.join()
    del kept
    return max(late) * 1000


# --- output --------------------------------------------------------------------------------------------------


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 5
    yield f"\nfrom bytes to a frame, medians of {rounds}; naive is pd.DataFrame(json.loads(...)) and pd.to_datetime"
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        for key, job in JOBS.items():
            count = job.rows // 200 if quick else job.rows
            payload = job.make(count)
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
    pairs = [(peak_in_process(key, "trayport", file), peak_in_process(key, "naive", file)) for _ in range(rounds)]
    known = [(ours, without) for ours, without in pairs if ours is not None and without]
    if not known:
        return "    peak memory beside the payload: known on Linux only"
    ours, without = (statistics.median(column) for column in zip(*known, strict=True))
    share = ours / without
    return (
        f"    {ours:.0f} MB beside the payload; naive {without:.0f} MB: {share:.2f} of it "
        f"({verdict(share <= MEMORY)}: at most {MEMORY})"
    )


def stalls(*, quick: bool) -> Iterator[str]:
    job, rounds = JOBS["trades"], 1 if quick else 5
    payload = job.make((STALL_BYTES // 200 if quick else STALL_BYTES) // 119)
    found: dict[str, list[float]] = {"trayport": [], "naive": []}
    for _ in range(rounds):
        for name, delays in found.items():
            delays.append(stall(partial(job.ways[name], payload)))
    ours, without = (statistics.median(delays) for delays in found.values())
    yield f"  longest delay of another thread while {len(payload) / 1e6:.0f} MB are decoded"
    yield f"    {ours:.0f} ms; naive {without:.0f} ms ({verdict(ours < STALL_MS)}: below {STALL_MS})"


def main() -> None:
    for line in measure(quick="--quick" in sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
