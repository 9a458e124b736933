"""A process of the soak: threads that make queries for some minutes and compare each result with an undisturbed one.

``python soak_worker.py FOLDER SECONDS THREADS SEED``; the settings come from TRAYPORT_* variables, and those of the
undisturbed sandbox from CALM_ANALYTICS_URL and CALM_REFERENCE_URL. The last line of the output is a JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from attrs import define, field
from pandas.testing import assert_frame_equal

from trayport import Client, Config, PartialDataError, TrayportError

Ask = Callable[[], pd.DataFrame]

# An outage lasts one or two minutes; a query that needs more tries than this would not succeed at all.
MOST_TRIES = 300


@define
class Soak:
    """Queries of one client, their expected results and the counts of failures that were overcome."""

    client: Client
    overcome: Counter[str] = field(factory=Counter)
    """Number of errors after which a query was resumed or made again, by their class."""

    def queries(self) -> dict[str, Ask]:
        """Return all queries by name."""
        client = self.client
        months = [f"TTF {month}-24" for month in ("Apr", "May", "Jun", "Jul", "Aug")]
        return {
            "trades of a day": lambda: client.trades("TTF Apr-24", "2024-02-05", "2024-02-06"),
            "trades of four months": lambda: client.trades("TTF Dec-24", "2023-10-01", "2024-02-01"),
            "trades of five contracts": lambda: client.trades(months, "2024-02-05", "2024-02-07"),
            "candles of a week": lambda: client.ohlcv("TTF Apr-24", "2024-02-05", "2024-02-12", "1h"),
            "candles of five contracts": lambda: client.ohlcv(months, "2024-01-01", "2024-02-01"),
            "order book": lambda: client.order_book("TTF Apr-24", "2024-02-05T09:00", "2024-02-05T10:00", "5min"),
            "top of book": lambda: client.top_of_book("TTF Apr-24", "2024-02-05T09:00", "2024-02-05T12:00"),
            "snapshots": lambda: client.snapshots(months, at="2024-02-05T16:00"),
            "stream": self.stream,
            "label": lambda: client.label(client.activity("2024-02-05T09:00", "2024-02-05T10:00")),
        }

    def stream(self) -> pd.DataFrame:
        """Return the frames of a stream as one; a failed piece is requested again in its place."""
        frames: list[pd.DataFrame] = []
        rest = self.client.stream.trades("TTF May-24", "2023-09-01", "2024-02-01")
        for _ in range(MOST_TRIES):
            try:
                for frame in rest:
                    frames.append(frame)
                return pd.concat(frames)
            except PartialDataError as error:
                rest = self._resume(error)
        raise AssertionError(f"the stream did not end after {MOST_TRIES} errors")

    def _resume(self, error: PartialDataError) -> Iterator[pd.DataFrame]:
        self._wait(error)
        rest: Iterator[pd.DataFrame] = error.resume()
        return rest

    def complete(self, ask: Ask) -> pd.DataFrame:
        """Return the result of a query; partial results are resumed, and transient failures asked again."""
        for _ in range(MOST_TRIES):
            try:
                return ask()
            except PartialDataError as error:
                self._wait(error)
                ask = error.resume
            except TrayportError as error:
                if not error.transient:
                    raise
                self._wait(error)
        raise AssertionError(f"no result after {MOST_TRIES} errors")

    def _wait(self, error: TrayportError) -> None:
        self.overcome[type(error).__name__] += 1
        logging.getLogger("soak").info("%s %r", error, error)
        time.sleep(1)


def main(folder: Path, seconds: float, threads: int, seed: int) -> None:
    """Make queries until the time is over, then print the counts."""
    # All records, also those below the level that a user would choose, are searched for the key.
    log = folder / f"worker-{seed}.log"
    logging.basicConfig(filename=log, level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s")
    for name in ("trayport", "urllib3"):
        logging.getLogger(name).setLevel(logging.DEBUG)

    calm = Config.load(
        analytics_url=os.environ["CALM_ANALYTICS_URL"],
        reference_url=os.environ["CALM_REFERENCE_URL"],
        limiter="off",
        cache_dir=folder / "calm",
    )
    with Client(config=calm) as client:
        undisturbed = Soak(client)
        expected = {name: ask() for name, ask in undisturbed.queries().items()}
    assert not undisturbed.overcome
    assert all(len(frame) for frame in expected.values())

    with Client(config=Config.load()) as client:
        soak = Soak(client)
        queries = soak.queries()
        counts: Counter[str] = Counter()
        is_over = threading.Event()
        end = time.monotonic() + seconds

        def work(number: int) -> None:
            chance = random.Random(seed * 1000 + number)
            try:
                while time.monotonic() < end and not is_over.is_set():
                    name = chance.choice(list(queries))
                    assert_frame_equal(expected[name], soak.complete(queries[name]))
                    counts[name] += 1
                    if chance.random() < 0.005:
                        client.refresh()
                        counts["refresh"] += 1
            except BaseException:
                is_over.set()
                raise

        print("begun", flush=True)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
        status = client.status()
        logging.getLogger("soak").info("%s %r", status, client.hooks)
        total = {"requests": status.counts.requests, "attempts": status.counts.attempts}
        total |= {"retries": status.counts.retries, "under_way": status.counts.under_way}
    print(json.dumps({"queries": counts, "overcome": soak.overcome, **total}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
