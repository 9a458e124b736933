"""Cost of the sandbox: large responses, small responses per second, start and memory."""

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

# Targets: seconds, responses per second, milliseconds, megabytes.
START_S, SMALL, LARGE_MS, PEAK_MB = 1.0, 5000, 1000, 300
# Rows of the largest response, and the volume with which the market has that number of trades.
ROWS, VOLUME = 100_000, 3

# The maximum number of contracts in one request.
LARGEST = {"marketId": 10000065, "sequenceId": 10000305, "tradingItems": 50, "contractType": "SinglePeriod"}
DAYS = datetime.timedelta(days=26)
FIRST = datetime.date(2024, 2, 5)

# A sandbox in a process of its own. After a line of input it prints its peak memory (Linux only) and ends.
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
    """A sandbox in another process, without rate limits."""

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
        """Return the largest response for a window, with its body still unread."""
        start = FIRST - number * DAYS
        params: dict[str, Any] = {**LARGEST, "from": start, "until": start + DAYS}
        headers = {"X-API-KEY": self.key, "Accept-Encoding": "br"}
        response = self.session.get(f"{self.url}/api/trades", params=params, headers=headers, stream=True, timeout=300)
        response.raise_for_status()
        return response

    def milliseconds(self, number: int) -> float:
        """Return the time until the last byte of the compressed body has arrived; decoding it is the client's work."""
        began = time.perf_counter()
        for _ in self.trades(number).raw.stream(1 << 20, decode_content=False):
            pass
        return (time.perf_counter() - began) * 1000

    def rate(self, connections: int, seconds: float) -> float:
        """Return the small responses per second over some open connections, each with one request in flight."""
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
            while (elapsed := time.perf_counter() - began) < seconds:
                for ready, _ in selector.select(1):
                    connection: Any = ready.fileobj
                    # A small response fits into one packet, so one call receives all of it.
                    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
                    connection.sendall(request)
                    count += 1
            for line in lines:
                line.close()
        return count / elapsed

    def peak(self) -> float | None:
        """End the process and return its peak memory in megabytes; None except on Linux."""
        kilobytes = self._process.communicate("\n")[0].strip()
        return int(kilobytes) / 1000 if kilobytes else None


def measure(*, quick: bool) -> Iterator[str]:
    yield "\nsandbox"
    yield start(1 if quick else 11)
    with Server() as server:
        for connections in (1, 4, 16):
            rate = statistics.median(server.rate(connections, 0.05 if quick else 2.0) for _ in range(3))
            met = f"{verdict(rate >= SMALL)}: at least {SMALL}"
            yield f"  small responses, {connections:2} connections {rate:5.0f} /s   median of 3 ({met})"
    with Server(1 if quick else VOLUME) as server:
        yield from large(server, 1 if quick else 9)


def start(rounds: int) -> str:
    """Measure the seconds from the start of a process to a listening server, imports included."""
    command = [sys.executable, "-c", START]
    seconds = statistics.median(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(rounds)
    )
    met = verdict(seconds <= START_S)
    return f"  start, with its imports       {seconds:7.2f} s    median of {rounds} ({met}: at most {START_S})"


def large(server: Server, rounds: int) -> Iterator[str]:
    """Measure the time of the largest responses, and the server's peak memory."""
    rows, times = [], []
    for number in range(rounds):
        times.append(server.milliseconds(number))
        rows.append(len(server.trades(number).json()))
    median = statistics.median(times)
    met = verdict(median <= LARGE_MS)
    yield f"  the largest responses         {statistics.median(rows):7,.0f} rows of trades (target {ROWS:,})"
    yield f"    time                        {median:7.0f} ms   median of {rounds} ({met}: at most {LARGE_MS})"
    peak = server.peak()
    if peak is None:
        yield "    peak memory                     n/a      measured on Linux only"
    else:
        yield f"    peak memory                 {peak:7.0f} MB   ({verdict(peak <= PEAK_MB)}: at most {PEAK_MB})"
