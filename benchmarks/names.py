"""How long a look-up takes among fourteen thousand instruments: warm, and in a new process."""

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
NAMES = ("TTF Apr-24", "TTF Hi Cal 51.6 EEX Q4 2024", "Germany Baseload Cal-26", "TTF Apr-24/May-24")


def milliseconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def measure(*, quick: bool) -> Iterator[str]:
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
        yield f"  the first of another client    {statistics.median(firsts):7.1f} ms   from disk"
        yield f"  requests made for it           {len(sandbox.asked) - before:7d}"
