"""Time to resolve a name among 14,000 instruments, warm and from disk, and to label a week of activity from disk."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from trayport import Client, Config
from trayport.sandbox import Sandbox

from . import verdict

TARGET_MS = 0.5
TARGET_LABEL_MS = 1000
NAMES = ("TTF Apr-24", "TTF Hi Cal 51.6 EEX Q4 2024", "Germany Baseload Cal-26", "TTF Apr-24/May-24")


def milliseconds(function: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1000


def measure(*, quick: bool) -> Iterator[str]:
    """Yield the lines of the report."""
    rounds = 20 if quick else 2000
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, Sandbox(limits=False) as sandbox:
        config = Config(
            sandbox.key,
            analytics_url=sandbox.analytics_url,
            reference_url=sandbox.reference_url,
            limiter="off",
            cache_dir=Path(folder),
        )
        with Client(config=config) as client:
            yield f"\nlook-up among {len(client.instruments()):,} instruments"
            for name in NAMES:
                client.resolve(name)
                warm = statistics.median(milliseconds(lambda name=name: client.resolve(name)) for _ in range(rounds))
                met = verdict(warm < TARGET_MS)
                yield f"  {name:30} {warm:7.3f} ms   warm, median of {rounds} ({met}: below {TARGET_MS})"
        before, firsts = len(sandbox.asked), []
        for _ in range(3 if quick else 11):
            with Client(config=config) as another:
                firsts.append(milliseconds(lambda another=another: another.resolve(NAMES[0])))
        yield f"  first call of another client   {statistics.median(firsts):7.1f} ms   from disk"
        yield f"  requests made for it           {len(sandbox.asked) - before:7d}"
        with Client(config=config) as client:
            activity = client.activity("2024-02-05", "2024-02-06" if quick else "2024-02-12")
            client.label(activity)
        labels = []
        for _ in range(3):
            with Client(config=config) as another:
                labels.append(milliseconds(lambda another=another: another.label(activity)))
        median = statistics.median(labels)
        met = f"{verdict(median < TARGET_LABEL_MS)}: below {TARGET_LABEL_MS}"
        yield f"  label {len(activity):5,} rows              {median:7.1f} ms   from disk ({met})"
