"""How well one limit is shared: its use, its windows and the waits, by threads and processes, beside pyrate-limiter.

Each thread takes a permit and tells a server, again and again. Windows are judged by the moments at which the permits
are in hand, and by those at which the server hears of them. Each line is of three runs on a limit each: medians of use,
fairness and waits, and the worst of the windows. They are side by side, but for those of eight processes, which are
enough for two cores. ``python -m benchmarks.limiter`` takes half an hour; ``--quick`` some seconds.
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

# One process of a run; it is told which limiter, where its state lies, and the rest of `run`'s arguments.
WORKER = """
import json, socket, sys, threading, time
from benchmarks.limiter import acquirer
limiter, place, threads, processes, begin, end, hog, port = json.loads(sys.argv[1])
stop, taken, waits = threading.Event(), [], []
acquire = acquirer(limiter, place, processes, stop, end)
def load():
    mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        asked = time.perf_counter()
        got = acquire()
        now = time.perf_counter()
        waits.append(now - asked)
        if not got:
            return
        mouth.sendto(b"x", ("127.0.0.1", port))
        taken.append(now)
def spin():
    while not stop.is_set():
        sum(range(100))
print("ready", flush=True)
time.sleep(max(0.0, begin - time.perf_counter()))
threading.Timer(end - time.perf_counter(), stop.set).start()
crowd = [threading.Thread(target=load) for _ in range(threads)] + [threading.Thread(target=spin) for _ in range(hog)]
for thread in crowd: thread.start()
for thread in crowd: thread.join()
print(json.dumps([taken, waits]))
"""


def acquirer(limiter: str, place: str, processes: int, stop: threading.Event, end: float) -> Callable[[], bool]:
    """What takes one permit, or says that there was none before the end."""
    if limiter == "pyrate":
        from pyrate_limiter import InMemoryBucket, Limiter, SQLiteBucket
        from pyrate_limiter import Rate as Window

        windows = [Window(rate.count, int(rate.seconds * 1000)) for rate in RATES]
        if processes == 1:
            limited = Limiter(InMemoryBucket(windows), buffer_ms=0)
        else:
            limited = Limiter(SQLiteBucket.init_from_file(windows, db_path=place, use_file_lock=True), buffer_ms=0)
        return lambda: bool(limited.try_acquire("key", timeout=max(0.001, end - time.perf_counter())))

    from trayport._parallel import Cancelled
    from trayport.limits import FileStore, RateLimiter

    shared = RateLimiter(store=FileStore(Path(place)))

    def acquire() -> bool:
        try:
            shared.acquire(RATES, stop)
        except Cancelled:
            return False
        return True

    return acquire


@frozen
class Run:
    """What one run brought: moments by process, those of the server, and every wait."""

    seconds: float
    taken: list[list[float]]
    heard: list[float]
    waits: list[float]

    @property
    def permits(self) -> list[float]:
        """All of them, in order."""
        return sorted(moment for each in self.taken for moment in each)

    @property
    def use(self) -> float:
        """The share of what the limit allows in so long."""
        return len(self.permits) / (RATES[0].count / RATES[0].seconds * self.seconds)

    @property
    def fairness(self) -> float:
        """What the process with the fewest permits had of its fair share."""
        return min(map(len, self.taken)) * len(self.taken) / max(1, len(self.permits))


def most(moments: Sequence[float], seconds: float) -> int:
    """The most of them in any window of so many seconds."""
    first = best = 0
    for number, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        best = max(best, number - first + 1)
    return best


def over(moments: Sequence[float], rate: Rate) -> float:
    """The share of windows, one ending at each moment, with more than the rate allows."""
    pairs = zip(moments, moments[rate.count :], strict=False)
    return sum(later - earlier < rate.seconds for earlier, later in pairs) / max(1, len(moments))


def run(limiter: str, threads: int, processes: int, seconds: float, hog: int = 0, ready: float = 1.0) -> Run:
    """So many threads in each of so many processes, for so long; a hog keeps one interpreter busy beside them."""
    heard: list[float] = []
    with tempfile.TemporaryDirectory(prefix="trayport-") as folder, socket.socket(type=socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        begin = time.perf_counter() + ready + 0.4 * processes
        told = [limiter, str(Path(folder) / "key.json"), threads, processes, begin, begin + seconds]
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, json.dumps([*told, hog if not number else 0, ear.getsockname()[1]])],
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(processes)
        ]
        while time.perf_counter() < begin + seconds + 0.3:
            if select.select([ear], [], [], 0.2)[0]:
                ear.recv(1)
                heard.append(time.perf_counter())
        said = [json.loads(worker.communicate(timeout=120)[0].splitlines()[-1]) for worker in workers]
    return Run(seconds, [taken for taken, _ in said], heard, [wait for _, waits in said for wait in waits])


HEAD = (
    "limiter  threads x processes   use   most in 0.5/1/60 s   server's 0.5/1 s   server over 3   fewest   longest wait"
    "   a round"
)


def row(limiter: str, threads: int, processes: int, seconds: float, hog: int = 0, runs: int = 3) -> str:
    """One line of the table."""
    with ThreadPoolExecutor(runs if processes < 8 else 1) as pool:
        made = list(pool.map(lambda _: run(limiter, threads, processes, seconds, hog), range(runs)))
    who = f"{threads:2} x {processes}{' and a hog' if hog else ''}"
    mine = "/".join(str(max(most(each.permits, rate.seconds) for each in made)) for rate in RATES)
    theirs = "/".join(str(max(most(each.heard, rate.seconds) for each in made)) for rate in RATES[:2])
    longest = median(max(each.waits) for each in made)
    return (
        f"{limiter:8} {who:18} {median(each.use for each in made):8.1%}   {mine:>18}   {theirs:>16}   "
        f"{max(over(each.heard, RATES[0]) for each in made):13.1%}   "
        f"{median(each.fairness for each in made):6.0%}   {longest:10.2f} s   {threads * processes / 6:5.1f} s"
    )


def measure(*, quick: bool) -> Iterator[str]:
    yield "\none limit for all who use a key: 3 in 0.5 s, 6 in 1 s, 360 in 60 s"
    yield "  " + HEAD
    if quick:
        for limiter in ("file", "pyrate"):
            yield "  " + row(limiter, 4, 2, 2.0, runs=1)
        return
    for threads, processes in SIZES:
        yield "  " + row("file", threads, processes, 60.0)
    for threads, processes in ((8, 1), (8, 4)):
        yield "  " + row("file", threads, processes, 60.0, hog=1)
    for threads, processes in SIZES:
        yield "  " + row("pyrate", threads, processes, 30.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limiter", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short runs: only to see that it works")
    quick = parser.parse_args().quick
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyrate-limiter", "filelock"))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    print(f"{machine}, Python {platform.python_version()}, {packages}")
    for line in measure(quick=quick):
        print(line, flush=True)


if __name__ == "__main__":
    main()
