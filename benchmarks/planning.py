"""Time of planning ten thousand requests, of names that are resolved already, and of reading the plan."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from trayport import Client, Config, TrayportWarning
from trayport.planner import Plan
from trayport.sandbox import Sandbox

from . import verdict
from .names import milliseconds

TARGET_MS = 200
MONTHS = [f"{month:%b-%y}" for month in pd.date_range("2018-01", "2026-12", freq="MS")]
SINGLES = [f"{product} {month}" for product in ("TTF", "Germany Baseload", "France Baseload") for month in MONTHS]
SPREADS = [f"TTF {first}/{second}" for first, second in itertools.pairwise(MONTHS)]


def queries(client: Client) -> dict[str, Callable[[], Plan]]:
    """Return queries of about ten thousand requests each."""
    return {
        "hourly books of 324": lambda: client.plan.order_book(SINGLES, "2020-02-01", "2025-03-01", "1h"),
        "tops each second, of 2": lambda: client.plan.top_of_book(SINGLES[-2:], "2020-02-01", "2026-08-01", "1s"),
        "hourly candles of 324": lambda: client.plan.ohlcv(SINGLES, "2018-01-01", "2025-11-01", "1h"),
        "trades of 107 spreads": lambda: client.plan.trades(SPREADS, "2018-01-01", "2026-03-01"),
    }


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 11
    yield "\nplans, names known"
    with (
        tempfile.TemporaryDirectory(prefix="trayport-") as folder,
        Sandbox(limits=False) as sandbox,
        Client(config=Config(**sandbox.settings, limiter="off", cache_dir=Path(folder))) as client,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", TrayportWarning)  # orders of some venues begin later
        for name, make_plan in queries(client).items():
            plan = make_plan()
            median = statistics.median(milliseconds(make_plan) for _ in range(rounds))
            per_ten_thousand = median / len(plan) * 10_000
            met = verdict(per_ten_thousand <= TARGET_MS)
            yield (
                f"  {name:22} {len(plan):6,} requests {median:7.0f} ms   {per_ten_thousand:5.0f} ms for 10,000, "
                f"median of {rounds} ({met}: at most {TARGET_MS})"
            )
        shown = statistics.median(
            milliseconds(lambda: (plan.requests, plan.seconds, repr(plan))) for _ in range(rounds)
        )
        yield f"  requests, seconds and repr of the last   {shown:7.1f} ms   median of {rounds}"
