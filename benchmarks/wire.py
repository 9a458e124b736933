"""From the wire to a frame and to a file, compared with a script that does not use this package.

The server is a separate process on loopback that compresses its responses with Brotli before the first request. It has
a core of its own, so that only the client is measured. ``python -m benchmarks.wire`` takes some minutes; ``--quick``
some seconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

import brotli
import numpy as np
import numpy.typing as npt
import pandas as pd
import requests

from trayport import Client, Config, decoding, save
from trayport.decoding import Schema
from trayport.endpoints import TRADES
from trayport.sandbox import Sandbox

from . import verdict
from .decoding import peak_megabytes, seconds, trades

ONE, FOUR, OVERLAP, SAVE_MB, SAVE_SPEED, RESIDENT_MB = 3, 5, 1.15, 200, 100, 200
KEY = "sandbox-key"
CONTRACT = "TTF Apr-24"
# A query for n windows from here on makes n requests; the response of one window is moved in time to the others.
FIRST, WINDOW = pd.Timestamp("2014-01-01", tz="UTC"), pd.Timedelta(days=32)

SERVER = """
import sys
from benchmarks.wire import serve
serve(int(sys.argv[1]), int(sys.argv[2]))
"""


# --- the server ----------------------------------------------------------------------------------------------


class Template:
    """A response whose times can be moved by overwriting their digits."""

    def __init__(self, rows: int) -> None:
        self._text = np.frombuffer(bytearray(trades(rows)), dtype=np.uint8)
        found = np.flatnonzero(self._text == ord(":"))
        # `dealDate` is the third of six cells in each row.
        self._places = found[2::6, None] + 1 + np.arange(19)
        self._steps = np.sort(np.random.default_rng(7).integers(0, WINDOW.value, rows))

    def at(self, window: int) -> bytes:
        """Return the response for the window with this number."""
        times = FIRST.value + window * WINDOW.value + self._steps
        self._text[self._places] = times[:, None] // self._powers % 10 + ord("0")
        return self._text.tobytes()

    @property
    def _powers(self) -> npt.NDArray[np.int64]:
        return 10 ** np.arange(18, -1, -1, dtype=np.int64)


def serve(rows: int, windows: int) -> None:
    """Serve trades, compressed beforehand, until the standard input ends."""
    template = Template(rows)
    packed = [brotli.compress(template.at(number), quality=4) for number in range(windows)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            since = pd.Timestamp(parse_qs(urlsplit(self.path).query)["from"][0])
            body = packed[(since - FIRST) // WINDOW]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Encoding", "br")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with Sandbox(limits=False) as sandbox, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, sandbox.settings["reference_url"], len(template.at(0)), flush=True)
        sys.stdin.readline()
        server.shutdown()


class Server:
    """The server in a separate process."""

    def __init__(self, rows: int, windows: int) -> None:
        self.rows, self.windows = rows, windows

    def __enter__(self) -> Server:
        command = [sys.executable, "-c", SERVER, str(self.rows), str(self.windows)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port, self.reference, size = self._process.stdout.readline().split()
        self.url, self.size = f"http://127.0.0.1:{port}", int(size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate("\n")

    def client(self, folder: str) -> Client:
        """Return a client of the server that has resolved the contract's name."""
        config = Config(
            KEY, analytics_url=self.url, reference_url=self.reference, limiter="off", cache_dir=folder,
            progress=False,
        )  # fmt: skip
        client = Client(config=config)
        client.resolve(CONTRACT, at=FIRST)
        return client


def ends(first: int, count: int = 1) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the beginning and the end of ``count`` windows from number ``first`` on."""
    return FIRST + first * WINDOW, FIRST + (first + count) * WINDOW


# --- comparisons ---------------------------------------------------------------------------------------------


def naive(session: requests.Session, server: Server, window: int) -> pd.DataFrame:
    """Return the frame that a simple script makes."""
    response = session.get(f"{server.url}/trades", params={"from": f"{ends(window)[0]:%Y-%m-%dT%H:%M:%SZ}"}, timeout=60)
    frame = pd.DataFrame(response.json())
    frame["dealDate"] = pd.to_datetime(frame["dealDate"], unit="ns", utc=True)
    return frame


def in_threads(act: Callable[[int], object], count: int) -> None:
    """Call ``act`` with the number of each window, each call in a thread."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(act, range(count)))


def alternating(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each way; the ways take turns within each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds(way))
    return {name: statistics.median(column) for name, column in times.items()}


def frames(rows: int, threads: int, rounds: int, target: float) -> str:
    """Compare both ways for ``rows`` rows in ``threads`` responses, each in a thread."""
    with (
        Server(rows // threads, threads) as server,
        tempfile.TemporaryDirectory() as folder,
        server.client(folder) as client,
        requests.Session() as session,
    ):
        ways = {
            "trayport": lambda: in_threads(lambda window: client.trades(CONTRACT, *ends(window)), threads),
            "naive": lambda: in_threads(partial(naive, session, server), threads),
        }
        found = alternating(ways, rounds)
    ours, without = found["trayport"], found["naive"]
    size = server.size * threads / 1e6
    return (
        f"  {rows:,} trades, {size:.0f} MB, {threads} thread{'s' * (threads > 1)}: {ours * 1000:.0f} ms, "
        f"{size / ours:.0f} MB/s; naive {without * 1000:.0f} ms: {without / ours:.1f} x as fast "
        f"({verdict(without / ours >= target)}: at least {target})"
    )


def size(pieces: Iterable[bytes]) -> int:
    """Return the number of bytes that arrive, without keeping them."""
    return sum(map(len, pieces))


def overlap(rows: int, rounds: int) -> Iterator[str]:
    """Compare six pieces in flight with the wire alone and with decoding alone."""
    with Server(rows // 6, 6) as server, tempfile.TemporaryDirectory() as folder, server.client(folder) as client:
        plan = client.plan.trades(CONTRACT, *ends(0, 6))
        session = client.session
        payloads = [session.send(request) for request in plan.requests]
        schema = Schema(TRADES)
        ways = {
            "whole": lambda: client.trades(CONTRACT, *ends(0, 6)),
            "wire": lambda: in_threads(lambda number: session.send(plan.requests[number], read=size), 6),
            "decoding": lambda: in_threads(lambda number: decoding.decode(payloads[number], schema, CONTRACT), 6),
        }
        found = alternating(ways, rounds)
    slower = max(found["wire"], found["decoding"])
    ratio = found["whole"] / slower
    yield (
        f"  six pieces in flight: {found['whole'] * 1000:.0f} ms; the wire alone {found['wire'] * 1000:.0f} ms, "
        f"decoding alone {found['decoding'] * 1000:.0f} ms: {ratio:.2f} x the slower ({verdict(ratio <= OVERLAP)}: at "
        f"most {OVERLAP})"
    )


def save_windows(port: str, reference: str, windows: int, folder: str) -> tuple[int, float, float]:
    """Save ``windows`` windows to Parquet; return the rows, the seconds and the peak memory in MB beside the import."""
    server = Server(0, windows)
    server.url, server.reference = port, reference
    with server.client(folder) as client:
        before = peak_megabytes() or 0.0
        began = time.perf_counter()
        rows = save(client.stream.trades(CONTRACT, *ends(0, windows)), Path(folder, "trades.parquet"))
        return rows, time.perf_counter() - began, (peak_megabytes() or 0.0) - before


def to_file(rows: int, windows: int, rounds: int) -> Iterator[str]:
    """Measure a stream that is saved to Parquet, each time in a separate process."""
    with Server(rows // windows, windows) as server, tempfile.TemporaryDirectory() as folder:
        script = (
            f"from benchmarks.wire import save_windows; print(*save_windows("
            f"{server.url!r}, {server.reference!r}, {windows}, {folder!r}))"
        )
        runs = []
        for _ in range(rounds):
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            runs.append([float(word) for word in done.stdout.split()])
    count, took, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    size = server.size * windows / 1e6
    speed = size / took
    yield (
        f"  save(stream), {count:,.0f} trades in {windows} pieces, {size:.0f} MB, to Parquet: {took:.1f} s, "
        f"{speed:.0f} MB/s ({verdict(speed >= SAVE_SPEED)}: at least {SAVE_SPEED}), {memory:.0f} MB beside the import "
        f"({verdict(memory < SAVE_MB)}: below {SAVE_MB}; Linux only)"
    )


LARGE = """
import sys, trayport as tp
url, reference, folder, contract, start, end = sys.argv[1:]
tp.configure("sandbox-key", analytics_url=url, reference_url=reference, limiter="off", cache_dir=folder, progress=False)
rows = tp.save(tp.stream.trades(contract, start, end), folder + "/trades.parquet")
status = open("/proc/self/status").read() if sys.platform == "linux" else ""
print(rows, *(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def one_answer(rows: int, rounds: int) -> Iterator[str]:
    """Measure the resident memory of a script that saves a single response to Parquet."""
    with Server(rows, 1) as server, tempfile.TemporaryDirectory() as folder, server.client(folder):
        arguments = [server.url, server.reference, folder, CONTRACT, *(str(time) for time in ends(0))]
        runs = [
            subprocess.run([sys.executable, "-c", LARGE, *arguments], capture_output=True, text=True, check=True).stdout
            for _ in range(rounds)
        ]
    peaks = [int(peak) / 1000 for _, *known in map(str.split, runs) for peak in known]
    memory = "memory is known on Linux only"
    if peaks:
        peak = statistics.median(peaks)
        memory = f"{peak:.0f} MB resident, the import included ({verdict(peak < RESIDENT_MB)}: below {RESIDENT_MB})"
    yield f"  save(stream), {rows:,} trades in one response of {server.size / 1e6:.0f} MB, to Parquet: {memory}"


def measure(*, quick: bool) -> Iterator[str]:
    rounds, rows = (1, 6_000) if quick else (5, 1_000_000)
    yield f"\nfrom the wire (Brotli, loopback) to a frame, medians of {rounds}; naive is requests and pd.DataFrame"
    yield frames(rows, 1, rounds, ONE)
    yield frames(rows, 4, rounds, FOUR)
    yield from overlap(rows, rounds)
    yield from to_file(10 * rows, 100 if not quick else 4, rounds if quick else 3)
    yield from one_answer(rows if quick else 7_770_000, rounds if quick else 3)


def main() -> None:
    for line in measure(quick="--quick" in sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
