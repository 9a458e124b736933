"""Measure the shared rate limit: use, windows, fairness and waits by threads and processes, beside pyrate-limiter.

Each thread takes a permit and sends a datagram to a server, again and again. Windows are judged by the times at which
threads get their permits, and by those at which the server gets the datagrams. Each line is of three runs with a limit
each: medians of use, fairness and waits, and the worst of the windows. The three runs are side by side, except those of
eight processes, which are enough for two cores. ``python -m benchmarks.limiter`` takes half an hour, ``--quick`` some
seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median

from attrs import frozen

from trayport.config import Rate

RATES = (Rate(3, 0.5), Rate(6, 1.0), Rate(360, 60.0))
SIZES = [(threads, processes) for processes in (1, 4, 8) for threads in (1, 8, 32)]

# One process of a run. Its argument is the limiter, the path of its state, and the numbers of threads, processes, busy
# threads and the server's port; its input is the times of begin and end, when all processes are ready.
WORKER = """
import json, socket, sys, threading, time
from benchmarks.limiter import acquirer
limiter, path, threads, processes, busy, port = json.loads(sys.argv[1])
stop, times, waits = threading.Event(), [], []
print("ready", flush=True)
begin, end = json.loads(sys.stdin.readline())
acquire = acquirer(limiter, path, processes, stop, end)
def load():
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        began = time.perf_counter()
        acquired = acquire()
        now = time.perf_counter()
        waits.append(now - began)
        if not acquired:
            return
        client.sendto(b"x", ("127.0.0.1", port))
        times.append(now)
def spin():
    while not stop.is_set():
        sum(range(100))
time.sleep(max(0.0, begin - time.perf_counter()))
threading.Timer(end - time.perf_counter(), stop.set).start()
crowd = [threading.Thread(target=load) for _ in range(threads)] + [threading.Thread(target=spin) for _ in range(busy)]
for thread in crowd: thread.start()
for thread in crowd: thread.join()
print(json.dumps([times, waits]))
"""


def acquirer(limiter: str, path: str, processes: int, stop: threading.Event, end: float) -> Callable[[], bool]:
    """Return a function that takes one permit and returns True, or False if the end came first."""
    if limiter == "pyrate":
        from pyrate_limiter import InMemoryBucket, Limiter, SQLiteBucket
        from pyrate_limiter import Rate as Window

        windows = [Window(rate.count, int(rate.seconds * 1000)) for rate in RATES]
        if processes == 1:
            limited = Limiter(InMemoryBucket(windows), buffer_ms=0)
        else:
            limited = Limiter(SQLiteBucket.init_from_file(windows, db_path=path, use_file_lock=True), buffer_ms=0)
        return lambda: bool(limited.try_acquire("key", timeout=max(0.001, end - time.perf_counter())))

    from trayport._parallel import Cancelled
    from trayport.limits import FileStore, RateLimiter

    shared = RateLimiter(store=FileStore(Path(path)))

    def acquire() -> bool:
        try:
            shared.acquire(RATES, stop)
        except Cancelled:
            return False
        return True

    return acquire


@frozen
class Run:
    """The result of one run: times of permits by process, times at the server, and all waits, in seconds."""

    seconds: float
    by_process: list[list[float]]
    at_server: list[float]
    waits: list[float]

    @property
    def permits(self) -> list[float]:
        """Times of all permits, in order."""
        return sorted(moment for each in self.by_process for moment in each)

    @property
    def use(self) -> float:
        """Permits as a share of the number that the limit allows."""
        return len(self.permits) / (RATES[0].count / RATES[0].seconds * self.seconds)

    @property
    def fairness(self) -> float:
        """Permits of the process with the fewest, as a share of its fair share."""
        return min(map(len, self.by_process)) * len(self.by_process) / max(1, len(self.permits))


def most(times: Sequence[float], seconds: float) -> int:
    """Return the largest number of times in any window of this length."""
    first = best = 0
    for number, moment in enumerate(times):
        while times[first] <= moment - seconds:
            first += 1
        best = max(best, number - first + 1)
    return best


def over(times: Sequence[float], rate: Rate) -> float:
    """Return the share of windows, one ending at each time, that hold more than the rate allows."""
    pairs = zip(times, times[rate.count :], strict=False)
    return sum(later - earlier < rate.seconds for earlier, later in pairs) / max(1, len(times))


def run(limiter: str, threads: int, processes: int, seconds: float, busy: int = 0) -> Run:
    """Run a number of threads in each of several processes; ``busy`` more threads load the first interpreter."""
    at_server: list[float] = []
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        workers = []
        for number in range(processes):
            values = [limiter, str(Path(folder) / "key.json"), threads, processes, 0 if number else busy]
            command = [sys.executable, "-c", WORKER, json.dumps([*values, server.getsockname()[1]])]
            workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        begin = time.perf_counter() + 0.5
        for worker in workers:
            print(json.dumps([begin, begin + seconds]), file=worker.stdin, flush=True)
        while time.perf_counter() < begin + seconds + 0.3:
            if select.select([server], [], [], 0.2)[0]:
                server.recv(1)
                at_server.append(time.perf_counter())
        results = [json.loads(worker.communicate(timeout=120)[0].splitlines()[-1]) for worker in workers]
    return Run(seconds, [times for times, _ in results], at_server, [wait for _, waits in results for wait in waits])


HEAD = (
    "limiter  threads x processes   use   most in 0.5/1/60 s   server's 0.5/1 s   server over 3   fewest   longest wait"
    "   a round"
)


def row(limiter: str, threads: int, processes: int, seconds: float, busy: int = 0, runs: int = 3) -> str:
    """Return one line of the table."""
    with ThreadPoolExecutor(runs if processes < 8 else 1) as pool:
        results = list(pool.map(lambda _: run(limiter, threads, processes, seconds, busy), range(runs)))
    size = f"{threads:2} x {processes}{' and busy' if busy else ''}"
    permits = "/".join(str(max(most(each.permits, rate.seconds) for each in results)) for rate in RATES)
    at_server = "/".join(str(max(most(each.at_server, rate.seconds) for each in results)) for rate in RATES[:2])
    longest = median(max(each.waits) for each in results)
    return (
        f"{limiter:8} {size:18} {median(each.use for each in results):8.1%}   {permits:>18}   {at_server:>16}   "
        f"{max(over(each.at_server, RATES[0]) for each in results):13.1%}   "
        f"{median(each.fairness for each in results):6.0%}   {longest:10.2f} s   {threads * processes / 6:5.1f} s"
    )


def measure(*, quick: bool) -> Iterator[str]:
    """Return the lines of the report as they are measured."""
    yield "\none limit for all users of a key: 3 in 0.5 s, 6 in 1 s, 360 in 60 s"
    yield "  " + HEAD
    if quick:
        for limiter in ("file", "pyrate"):
            yield "  " + row(limiter, 4, 2, 2.0, runs=1)
        return
    for threads, processes in SIZES:
        yield "  " + row("file", threads, processes, 60.0)
    for threads, processes in ((8, 1), (8, 4)):
        yield "  " + row("file", threads, processes, 60.0, busy=1)
    for threads, processes in SIZES:
        yield "  " + row("pyrate", threads, processes, 30.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limiter", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short runs, to see that the benchmark works")
    quick = parser.parse_args().quick
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyrate-limiter", "filelock"))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    print(f"{machine}, Python {platform.python_version()}, {packages}")
    for line in measure(quick=quick):
        print(line, flush=True)


if __name__ == "__main__":
    main()
