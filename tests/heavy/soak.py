"""The soak: processes and threads make mixed queries for some minutes against a sandbox that keeps failing.

``python soak.py FOLDER [MINUTES]``, on Linux: memory, files and threads of the processes are read from ``/proc``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field, frozen
from stage import HERE, Server, Verdict, environment, served

# The first two processes share one rate limit, well above the API's, so that the limiter works and the queries flow.
LIMITERS = ("file", "file", "off")
THREADS = 4
WORKERS = 4

# Seconds between two looks at the processes.
INTERVAL = 1.0

# The sandbox is closed for OUTAGE seconds, the first time after FIRST_OUTAGE minutes. That opens the circuit breakers.
OUTAGE, FIRST_OUTAGE, OUTAGE_EVERY = 10, 0.5, 5

# The median memory of these parts of the time is reported; 0 is its beginning, and 1 its end.
START, MIDDLE, END = (0, 0.05), (0.4, 0.6), (0.8, 1)

# Growth of a process's resident memory from the middle to the end, in percent of that at the middle.
MOST_GROWTH = 10.0
# Files of a process beside its connections: three standard streams, a log, lock files and the cache's database.
MOST_FILES = 20
# Threads of a process: its own four, those that make the requests of each one's query, and the main thread.
MOST_THREADS = 1 + THREADS + THREADS * (WORKERS + 1)


def faults() -> list[dict[str, Any]]:
    """Return the faults: about five percent of all requests fail."""
    kinds: list[dict[str, Any]] = [
        {"probability": 0.01, "reset": True},
        {"probability": 0.003, "status": 429, "headers": {"Retry-After": "1"}},
        {"probability": 0.02, "status": 503},
        {"probability": 0.02, "cut": 0.5},
    ]
    return [{"times": None, **fault} for fault in kinds]


@frozen
class Sample:
    """One look at a process: resident memory in MB, open files and connections, and threads."""

    memory: float
    files: int
    connections: int
    threads: int

    @classmethod
    def of(cls, process: int) -> Sample | None:
        """Return a sample of a process; None if it has ended."""
        try:
            status = Path(f"/proc/{process}/status").read_text()
            links = [_target(path) for path in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:
            return None
        memory, threads = (re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "Threads"))
        if memory is None or threads is None:
            return None
        sockets = sum(link.startswith("socket:") for link in links)
        return cls(int(memory[1]) / 1024, len(links) - sockets, sockets, int(threads[1]))


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed since the folder was listed
        return ""


@define
class Process:
    """A process of the soak, or the sandbox, with the samples of its life."""

    name: str
    process: subprocess.Popen[str]
    samples: list[Sample] = field(factory=list)

    def look(self) -> None:
        """Add a sample."""
        sample = Sample.of(self.process.pid)
        if sample is not None:
            self.samples.append(sample)

    def memory(self, begin: float, end: float) -> float:
        """Return the median memory in MB of a part of the time, given by two shares of it."""
        count = len(self.samples)
        return median(sample.memory for sample in self.samples[int(begin * count) : ceil(end * count)])

    def most(self, name: str) -> int:
        """Return the largest number of something in all samples."""
        return max(int(getattr(sample, name)) for sample in self.samples)

    def growth(self) -> float:
        """Return the growth of memory from the middle to the end, in percent."""
        return 100 * (self.memory(*END) / self.memory(*MIDDLE) - 1)


def main(folder: Path, minutes: float) -> None:
    """Run the soak, print its table and check it."""
    verdict = Verdict()
    with served(folder, "calm", limits=False) as calm, served(folder, "rough", limits=False, faults=faults()) as rough:
        workers = [_start(folder, 60 * minutes, seed, limiter, rough, calm) for seed, limiter in enumerate(LIMITERS, 1)]
        watched = [*workers, Process("sandbox", rough.process)]
        try:
            for worker in workers:
                # The first line of a worker's output ends its preparation.
                worker.process.stdout.readline()  # type: ignore[union-attr]
            _watch(minutes, watched, rough)
            codes = [worker.process.poll() for worker in workers]
        finally:
            for worker in workers:
                worker.process.kill()
        outputs = [worker.process.communicate()[0] for worker in workers]
    if any(codes) or None in codes:
        for path in folder.glob("worker-*.stderr"):
            print(f"--- {path.name}\n{path.read_text()[-5000:]}")
        sys.exit(f"a process of the soak failed; the exit codes, None for those that were ended: {codes}")

    (folder / "outputs.txt").write_text("".join(outputs))
    results = [json.loads(output.splitlines()[-1]) for output in outputs]
    _print_table(minutes, watched, results, rough.counts)
    for worker in workers:
        growth = worker.growth()
        verdict.check(
            growth <= MOST_GROWTH, f"{worker.name}: memory grew by {growth:.1f} % in the second half (<= {MOST_GROWTH})"
        )
        for name, most in (("files", MOST_FILES), ("connections", WORKERS + 1), ("threads", MOST_THREADS)):
            verdict.check(worker.most(name) <= most, f"{worker.name}: {worker.most(name)} {name} at most (<= {most})")
    verdict.check(all(not result["under_way"] for result in results), "no request is in flight at the end")
    verdict.check(all(result["retries"] for result in results), "every process retried requests")
    overcome = sum((Counter(result["overcome"]) for result in results), Counter[str]())
    verdict.check("CircuitOpen" in overcome, "a circuit breaker refused a query in an outage")
    verdict.check("PartialDataError" in overcome, "a partial result was resumed")
    verdict.check(rough.counts["open at the end"] == 0, "no connection is open at the end")
    verdict.check_key(folder)
    verdict.close()


def _watch(minutes: float, watched: list[Process], rough: Server) -> None:
    """Sample the processes and interrupt the sandbox until the workers have ended, or one of them has failed."""
    *workers, _ = watched
    begun = time.monotonic()
    outages = [60 * (OUTAGE_EVERY * number + FIRST_OUTAGE) for number in range(ceil(minutes / OUTAGE_EVERY))]
    while None in (codes := [worker.process.poll() for worker in workers]) and not any(codes):
        if outages and time.monotonic() - begun > outages[0]:
            outages.pop(0)
            rough.interrupt(OUTAGE)
        for each in watched:
            each.look()
        time.sleep(INTERVAL)


def _start(folder: Path, seconds: float, seed: int, limiter: str, rough: Server, calm: Server) -> Process:
    settings = {**rough.settings, "limiter": limiter, "per_second": "200", "per_minute": "6000"}
    settings |= {"workers": str(WORKERS), "attempts": "2", "backoff_cap": "1", "progress": "false"}
    given = environment(folder, cache_dir=str(folder / "cache"), **settings)
    given |= {f"CALM_{name.upper()}": text for name, text in calm.settings.items() if name != "api_key"}
    command = [sys.executable, str(HERE / "soak_worker.py"), str(folder), str(seconds), str(THREADS), str(seed)]
    with (folder / f"worker-{seed}.stderr").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=given)
    return Process(f"process {seed} ({limiter})", process)


def _print_table(minutes: float, watched: list[Process], results: list[dict[str, Any]], served: dict[str, Any]) -> None:
    total = {name: sum(result[name] for result in results) for name in ("requests", "attempts", "retries")}
    queries = sum(sum(result["queries"].values()) for result in results)
    overcome = sum((Counter(result["overcome"]) for result in results), Counter[str]())
    refreshed = sum(result["queries"].get("refresh", 0) for result in results)
    print(f"{minutes:g} minutes, {len(results)} processes of {THREADS} threads")
    print(f"{queries:,} queries ({refreshed} of them refresh), {total['requests']:,} requests,")
    print(f"{total['attempts']:,} attempts, {total['retries']:,} retries")
    print(f"errors after which a query was resumed or repeated: {dict(overcome)}")
    print(f"sandbox: {served}")
    print(f"{'':18}{'RSS start':>10}{'middle':>9}{'end':>9}{'files':>7}{'connections':>13}{'threads':>9}")
    for each in watched:
        memory = "".join(f"{each.memory(*part):9.1f}" for part in (START, MIDDLE, END))
        counts = f"{each.most('files'):7}{each.most('connections'):13}{each.most('threads'):9}"
        print(f"{each.name:18} {memory}{counts}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 10)
