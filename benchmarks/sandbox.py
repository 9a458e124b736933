"""What the sandbox costs: large answers, small ones a second, its start and its memory."""

from __future__ import annotations

import datetime
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import requests

from . import verdict

START_S, SMALL, ONCE_MS, AGAIN_MS, PEAK_MB = 1.0, 5000, 1000, 200, 300
ROWS = 100_000
# So much has to be traded that the largest answer has as many rows.
VOLUME = 3

# As many contracts as one question takes.
LARGEST = {"marketId": 10000065, "sequenceId": 10000305, "tradingItems": 50, "contractType": "SinglePeriod"}
DAYS = datetime.timedelta(days=26)
FIRST = datetime.date(2024, 2, 5)

# One in a process of its own; told to end, it tells the most memory that it ever had (Linux counts it).
SERVER = """
import pathlib, sys
from trayport.sandbox import Sandbox
with Sandbox(limits=False, volume=int(sys.argv[1])) as sandbox:
    print(sandbox.url, sandbox.key, flush=True)
    sys.stdin.readline()
    status = pathlib.Path("/proc/self/status")
    print(next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")), "")
          if status.exists() else "")
"""
START = """
import time; began = time.perf_counter()
from trayport.sandbox import Sandbox
with Sandbox():
    print(time.perf_counter() - began)
"""


class Server:
    """A sandbox in another process, without limits."""

    def __init__(self, volume: int = 1) -> None:
        self._volume = volume

    def __enter__(self) -> Server:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self._volume)], stdin=pipe, stdout=pipe, text=True
        )
        assert self._process.stdout is not None
        self.url, self.key = self._process.stdout.readline().split()
        self.session = requests.Session()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()
        if self._process.poll() is None:
            self._process.communicate("\n")

    def trades(self, number: int) -> requests.Response:
        """The largest answer of the so many-th window, its body not yet read."""
        start = FIRST - number * DAYS
        params: dict[str, Any] = {**LARGEST, "from": start, "until": start + DAYS}
        headers = {"X-API-KEY": self.key, "Accept-Encoding": "br"}
        answer = self.session.get(f"{self.url}/api/trades", params=params, headers=headers, stream=True, timeout=300)
        answer.raise_for_status()
        return answer

    def milliseconds(self, number: int) -> float:
        """Until the last byte of it is here, still packed: what follows is the client's."""
        began = time.perf_counter()
        for _ in self.trades(number).raw.stream(1 << 20, decode_content=False):
            pass
        return (time.perf_counter() - began) * 1000

    def rate(self, connections: int, seconds: float) -> float:
        """Small answers a second over so many kept connections, each asked again as soon as it has answered."""
        host, port = self.url.removeprefix("http://").split(":")
        request = (
            f"GET /reference/markets/10000065 HTTP/1.1\r\nHost: {host}\r\nX-API-KEY: {self.key}\r\n"
            "User-Agent: benchmark\r\nAccept: application/json\r\nAccept-Encoding: br\r\n\r\n"
        ).encode()
        with selectors.DefaultSelector() as selector:
            lines = [socket.create_connection((host, int(port))) for _ in range(connections)]
            for line in lines:
                selector.register(line, selectors.EVENT_READ)
                line.sendall(request)
            count, began = 0, time.perf_counter()
            while (passed := time.perf_counter() - began) < seconds:
                for ready, _ in selector.select(1):
                    connection: Any = ready.fileobj
                    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")  # it fits into one packet
                    connection.sendall(request)
                    count += 1
            for line in lines:
                line.close()
        return count / passed

    def peak(self) -> float | None:
        """End it: the most megabytes that it ever had, where the system tells."""
        told = self._process.communicate("\n")[0].strip()
        return int(told) / 1000 if told else None


def measure(*, quick: bool) -> Iterator[str]:
    yield "\nsandbox"
    yield start(1 if quick else 11)
    with Server() as server:
        for connections in (1, 4, 16):
            rate = statistics.median(server.rate(connections, 0.05 if quick else 2.0) for _ in range(3))
            met = verdict(rate >= SMALL)
            yield f"  small answers, {connections:2} connections {rate:7.0f} /s   median of 3 ({met}: at least {SMALL})"
    with Server(1 if quick else VOLUME) as server:
        yield from large(server, 1 if quick else 9)


def start(rounds: int) -> str:
    """Seconds in a new process, with its imports."""
    command = [sys.executable, "-c", START]
    seconds = statistics.median(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(rounds)
    )
    met = verdict(seconds <= START_S)
    return f"  start, with its imports       {seconds:7.2f} s    median of {rounds} ({met}: at most {START_S})"


def large(server: Server, rounds: int) -> Iterator[str]:
    """The largest answer that there is, asked for once and again; and the server's memory after all of them."""
    rows, once, again = [], [], []
    for number in range(rounds):
        once.append(server.milliseconds(number))
        again.append(server.milliseconds(number))
        rows.append(len(server.trades(number).json()))
    yield f"  the largest answers           {statistics.median(rows):7,.0f} rows of trades ({ROWS:,} are aimed at)"
    for name, times, target in (("asked for once", once, ONCE_MS), ("asked for again", again, AGAIN_MS)):
        median = statistics.median(times)
        met = verdict(median <= target)
        yield f"    {name:27} {median:7.0f} ms   median of {rounds} ({met}: at most {target})"
    peak = server.peak()
    if peak is None:
        yield "    peak memory                     n/a      only Linux tells it"
    else:
        yield f"    peak memory                 {peak:7.0f} MB   ({verdict(peak <= PEAK_MB)}: at most {PEAK_MB})"
