"""A desk's loader: all trades of six and a half years of TTF months and December EUA, within the rate limits.

It loads the six months ahead and each December in three ways: with a ``Front``, one query after the other; the same
in parallel; and with a list of all months. The sandbox is a process of its own with the rate limits of the API. It
generates three of these responses a second, which would be slower than the limits, and so generates all of them before
the runs. That takes two minutes and 3 GB; ``python -m benchmarks.loader`` takes four minutes, ``--quick`` some seconds.

The share of the limit is the number of requests divided by the number at six a second, as in ``benchmarks.limiter``,
from the first arrival at the server to the last; the first request is not counted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import pandas as pd
import requests
from attrs import frozen

from trayport import Client, Config, Front
from trayport.sandbox import Sandbox
from trayport.sandbox.listener import HttpResponse
from trayport.sandbox.parameters import Parameters
from trayport.sandbox.view import View

from . import verdict

FRONTS, LISTS, SHARE = 170, 240, 0.97
A_SECOND = 6
WHOLE, SHORT = ("2020-01-01", "2026-08-01"), ("2026-06-01", "2026-08-01")

# For each line of input, it prints the times and statuses of the requests since the line before.
SERVER = """
import json, sys
from benchmarks.loader import Clock, ReplayingSandbox
clock = Clock()
with ReplayingSandbox(monotonic=clock) as sandbox:
    print(sandbox.url, sandbox.key, flush=True)
    reported = 0
    for _ in sys.stdin:
        asked = sandbox.asked[reported:]
        print(json.dumps([clock.moments, [each.status for each in asked]]), flush=True)
        clock.is_real, clock.moments, reported = True, [], reported + len(asked)
"""


class ReplayingSandbox(Sandbox):
    """A sandbox that makes each response once and sends it again to every later request."""

    _made: dict[Any, HttpResponse]

    def _make(self, api: str, route: str, parameters: Parameters, view: View, prefers_csv: bool) -> HttpResponse:
        made = self.__dict__.setdefault("_made", {})
        key = api, route, parameters.pairs, prefers_csv
        if key not in made:
            response = super()._make(api, route, parameters, view, prefers_csv)
            made[key] = HttpResponse(response.status, response.whole, response.kind)
        return made[key]


class Clock:
    """The clock of the sandbox's rate limits, which read it once per request.

    Until it is real, a minute passes between two readings, so that no request is too early.
    """

    def __init__(self) -> None:
        self.is_real = False
        self.moments: list[float] = []
        self._last = -1e9

    def __call__(self) -> float:
        self._last = time.monotonic() if self.is_real else self._last + 60
        self.moments.append(self._last)
        return self._last


class Server:
    """A sandbox in a process of its own."""

    def __enter__(self) -> Server:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=pipe, stdout=pipe, text=True)
        self.url, self.key = self._line().split()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def report(self) -> tuple[list[float], list[int]]:
        """Return the times and statuses of the requests since the last report."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        moments, statuses = json.loads(self._line())
        return moments, statuses

    def client(self, folder: Path, **settings: Any) -> Client:
        """Return a new client with empty caches and the default rate limits."""
        urls = {"analytics_url": f"{self.url}/api", "reference_url": f"{self.url}/reference"}
        return Client(config=Config(self.key, **urls, cache_dir=folder, progress=False, **settings))

    def warm(self, jobs: list[Job], window: tuple[str, str]) -> float:
        """Make the sandbox generate and compress all responses, and return the seconds that it took."""
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="trayport-") as folder, requests.Session() as session:
            session.headers.update({"X-API-KEY": self.key, "Accept-Encoding": "br"})
            with self.client(Path(folder), limiter="off") as client:
                plans = [client.plan.trades(contract, *window) for job in jobs for contract in job]
            for each in dict.fromkeys(request for plan in plans for request in plan.requests):
                params = list(each.params)
                with session.get(f"{self.url}/api{each.path}", params=params, stream=True, timeout=300) as response:
                    response.raise_for_status()
                    response.raw.read(decode_content=False)
        self.report()
        return time.perf_counter() - began

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


Job: TypeAlias = list[Front | list[str]]
"""The contracts of each query."""
Load: TypeAlias = Callable[[Client, Job, tuple[str, str]], int]
"""Makes the queries of a job and returns the number of rows."""


def jobs(start: str, end: str) -> tuple[Job, Job]:
    """Return the job with a ``Front`` and the job with names; both with every December that trades in the window."""
    first, last = pd.Period(start, "M"), pd.Period(end, "M") - 1
    months = [f"TTF {month.strftime('%b-%y')}" for month in pd.period_range(first + 1, last + 6, freq="M")]
    decembers = [f"EUA Dec-{year % 100}" for year in range(first.year, last.year + 1)]
    return [Front("TTF", "Months", 6), decembers], [months, decembers]


def in_turn(client: Client, job: Job, window: tuple[str, str]) -> int:
    """Make one query after the other, and return the number of rows."""
    return sum(len(client.trades(contract, *window)) for contract in job)


def in_parallel(client: Client, job: Job, window: tuple[str, str]) -> int:
    """Make each query in a thread of its own, and return the number of rows."""
    with ThreadPoolExecutor(len(job)) as threads:
        return sum(threads.map(lambda contract: len(client.trades(contract, *window)), job))


@frozen
class Run:
    """The measurements of one run."""

    look_ups: int
    planned: int
    moments: list[float]
    """Arrival of each request at the server, in seconds."""
    statuses: list[int]
    rows: int
    seconds: float
    cpu: float

    @property
    def share(self) -> float:
        """Share of the requests that the limit allows between the first and the last."""
        return (len(self.moments) - 1) / (A_SECOND * (self.moments[-1] - self.moments[0]))

    @property
    def longest_gap(self) -> tuple[float, float]:
        """Longest time between two requests and the time from the first request to it, in seconds."""
        gaps = [(later - earlier, earlier - self.moments[0]) for earlier, later in itertools.pairwise(self.moments)]
        return max(gaps)


def run(server: Server, load: Load, job: Job, window: tuple[str, str]) -> Run:
    """Run a job with a new client, which resolves all names before the first query."""
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, server.client(Path(folder)) as client:
        planned = sum(len(client.plan.trades(contract, *window)) for contract in job)
        look_ups = len(server.report()[0])
        time.sleep(1)  # so that the look-ups no longer count for the rate limit
        began, cpu = time.perf_counter(), time.process_time()
        rows = load(client, job, window)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        return Run(look_ups, planned, *server.report(), rows, seconds, cpu)


def lines(name: str, made: Run, most: int) -> Iterator[str]:
    count, refused = len(made.moments), made.statuses.count(429)
    wait, after = made.longest_gap
    met = verdict(made.planned == count and count + made.look_ups <= most)
    counted = f"{count:9,}      and {made.look_ups} look-ups"
    yield f"  {name}"
    yield f"    requests                  {counted} ({met}: as planned, at most {most})"
    yield f"    refused                   {refused:9,}      ({verdict(not refused)}: none)"
    yield f"    rows                      {made.rows:9,}"
    yield f"    took                      {made.seconds / 60:9.2f} min  {made.cpu:.1f} s of CPU"
    yield f"    of the limit              {made.share:9.1%}      ({verdict(made.share >= SHARE)}: at least {SHARE:.0%})"
    yield f"    longest without a request {wait:9.2f} s    after {after:.1f} s"


def measure(*, quick: bool) -> Iterator[str]:
    window = SHORT if quick else WHOLE
    fronts, lists = jobs(*window)
    yield f"\nthe trades of six months ahead and of December EUA, {window[0]} to {window[1]}"
    with Server() as server:
        yield f"  (the sandbox generated them in {server.warm([fronts, lists], window):.0f} s)"
        yield from lines("a Front, then EUA", run(server, in_turn, fronts, window), FRONTS)
        yield from lines("a Front, and EUA in parallel", run(server, in_parallel, fronts, window), FRONTS)
        yield from lines("a list of all months, then EUA", run(server, in_turn, lists, window), LISTS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few windows, to see that it works")
    for line in measure(quick=parser.parse_args().quick):
        print(line, flush=True)


if __name__ == "__main__":
    main()
