"""A desk's loader: six and a half years of TTF months and December EUA, at the limits that a key has.

Every trade of the six months ahead and of each December: with a ``Front``, one question after the other and both at
once, and with a list of all months. The sandbox is a process of its own and counts as the API does; it made its answers
before anybody asks, since it makes three of these a second, which would be the brake. That takes two minutes, and 3 GB;
``python -m benchmarks.loader`` takes four minutes, and ``--quick`` some seconds.

The share of the limit is the requests by those that six a second make, as in ``benchmarks.limiter``, but as they come
to the server, and between the first and the last: of those, one is not counted.
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

from . import verdict

FRONTS, LISTS, SHARE = 170, 240, 0.97
A_SECOND = 6
WHOLE, SHORT = ("2020-01-01", "2026-08-01"), ("2026-06-01", "2026-08-01")

# It tells, whenever it is asked to, what it was asked since it was last.
SERVER = """
import json, sys
from benchmarks.loader import Clock
from trayport.sandbox import Sandbox, server
server._KEPT = 8 << 30  # all that it has made
clock = Clock()
with Sandbox(monotonic=clock) as sandbox:
    print(sandbox.url, sandbox.key, flush=True)
    told = 0
    for _ in sys.stdin:
        asked = sandbox.asked[told:]
        print(json.dumps([clock.moments, [each.status for each in asked]]), flush=True)
        clock.is_real, clock.moments, told = True, [], told + len(asked)
"""


class Clock:
    """What the sandbox's limits count seconds by: the machine's clock, and each look at it is a request.

    Until it is real, a minute passes between two looks, so that nothing is too much.
    """

    def __init__(self) -> None:
        self.is_real = False
        self.moments: list[float] = []
        self._before = -1e9

    def __call__(self) -> float:
        self._before = time.monotonic() if self.is_real else self._before + 60
        self.moments.append(self._before)
        return self._before


class Server:
    """Such a sandbox in a process of its own."""

    def __enter__(self) -> Server:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=pipe, stdout=pipe, text=True)
        self.url, self.key = self._line().split()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def told(self) -> tuple[list[float], list[int]]:
        """The moments and the statuses of what it was asked since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        moments, statuses = json.loads(self._line())
        return moments, statuses

    def client(self, folder: Path, **settings: Any) -> Client:
        """A new client with nothing in its memory, and with the limits that every client has."""
        urls = {"analytics_url": f"{self.url}/api", "reference_url": f"{self.url}/reference"}
        return Client(config=Config(self.key, **urls, cache_dir=folder, progress=False, **settings))

    def warm(self, jobs: list[Questions], window: tuple[str, str]) -> float:
        """Let it make all answers, and pack them; answers with the seconds that it took."""
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="trayport-") as folder, requests.Session() as session:
            session.headers.update({"X-API-KEY": self.key, "Accept-Encoding": "br"})
            with self.client(Path(folder), limiter="off") as client:
                plans = [client.plan.trades(contract, *window) for job in jobs for contract in job]
            for each in dict.fromkeys(request for plan in plans for request in plan.requests):
                params = list(each.params)
                with session.get(f"{self.url}/api{each.path}", params=params, stream=True, timeout=300) as answer:
                    answer.raise_for_status()
                    answer.raw.read(decode_content=False)
        self.told()
        return time.perf_counter() - began

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


Questions: TypeAlias = list[Front | list[str]]
Ask: TypeAlias = Callable[[Client, Questions, tuple[str, str]], int]


def questions(start: str, end: str) -> tuple[Questions, Questions]:
    """Months ahead by their places, and by their names; with every December that trades in the window."""
    first, last = pd.Period(start, "M"), pd.Period(end, "M") - 1
    months = [f"TTF {month.strftime('%b-%y')}" for month in pd.period_range(first + 1, last + 6, freq="M")]
    decembers = [f"EUA Dec-{year % 100}" for year in range(first.year, last.year + 1)]
    return [Front("TTF", "Months", 6), decembers], [months, decembers]


def in_turn(client: Client, asked: Questions, window: tuple[str, str]) -> int:
    """One question after the other; how many rows there were."""
    return sum(len(client.trades(contract, *window)) for contract in asked)


def at_once(client: Client, asked: Questions, window: tuple[str, str]) -> int:
    """A thread for each question; how many rows there were."""
    with ThreadPoolExecutor(len(asked)) as threads:
        return sum(threads.map(lambda contract: len(client.trades(contract, *window)), asked))


@frozen
class Run:
    """What one run brought."""

    look_ups: int
    planned: int
    moments: list[float]
    """Of each request, as it came to the server."""
    statuses: list[int]
    rows: int
    seconds: float
    cpu: float

    @property
    def share(self) -> float:
        """Of what the limit allows between the first request and the last."""
        return (len(self.moments) - 1) / (A_SECOND * (self.moments[-1] - self.moments[0]))

    @property
    def longest(self) -> tuple[float, float]:
        """The most seconds from one request to the next, and after how many seconds they begin."""
        gaps = [(later - earlier, earlier - self.moments[0]) for earlier, later in itertools.pairwise(self.moments)]
        return max(gaps)


def run(server: Server, ask: Ask, asked: Questions, window: tuple[str, str]) -> Run:
    """The job, by a client that has nothing in its memory; names are looked up before the first question is asked."""
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, server.client(Path(folder)) as client:
        planned = sum(len(client.plan.trades(contract, *window)) for contract in asked)
        look_ups = len(server.told()[0])
        time.sleep(1)  # what they used of the limit is there again
        began, cpu = time.perf_counter(), time.process_time()
        rows = ask(client, asked, window)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        return Run(look_ups, planned, *server.told(), rows, seconds, cpu)


def lines(name: str, made: Run, most: int) -> Iterator[str]:
    count, refused = len(made.moments), made.statuses.count(429)
    wait, after = made.longest
    met = verdict(made.planned == count and count + made.look_ups <= most)
    asked = f"{count:9,}      and {made.look_ups} look-ups"
    yield f"  {name}"
    yield f"    requests                  {asked} ({met}: as planned, at most {most})"
    yield f"    refused                   {refused:9,}      ({verdict(not refused)}: none)"
    yield f"    rows                      {made.rows:9,}"
    yield f"    took                      {made.seconds / 60:9.2f} min  {made.cpu:.1f} s of CPU"
    yield f"    of the limit              {made.share:9.1%}      ({verdict(made.share >= SHARE)}: at least {SHARE:.0%})"
    yield f"    longest without a request {wait:9.2f} s    after {after:.1f} s"


def measure(*, quick: bool) -> Iterator[str]:
    window = SHORT if quick else WHOLE
    fronts, lists = questions(*window)
    yield f"\nthe trades of six months ahead and of December EUA, {window[0]} to {window[1]}"
    with Server() as server:
        yield f"  (the sandbox made them in {server.warm([fronts, lists], window):.0f} s)"
        yield from lines("a Front, then EUA", run(server, in_turn, fronts, window), FRONTS)
        yield from lines("a Front, and EUA meanwhile", run(server, at_once, fronts, window), FRONTS)
        yield from lines("a list of all months, then EUA", run(server, in_turn, lists, window), LISTS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few windows: only to see that it works")
    for line in measure(quick=parser.parse_args().quick):
        print(line, flush=True)


if __name__ == "__main__":
    main()
