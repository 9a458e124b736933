"""Time of ``import trayport``, compared with importing only pandas."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from . import verdict

TARGET = 1.3


def seconds(module: str) -> float:
    """Return the seconds of one import in a new process, without the start of the interpreter."""
    script = f"import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 2 if quick else 21
    for module in ("pandas", "trayport"):
        seconds(module)  # reads the files into the page cache
    # Both in each round, so that a busy moment of the machine affects both.
    pairs = [(seconds("pandas"), seconds("trayport")) for _ in range(rounds)]
    alone, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    yield f"import pandas    {alone * 1000:7.1f} ms   median of {rounds}"
    met = verdict(ours / alone <= TARGET)
    yield f"import trayport  {ours * 1000:7.1f} ms   {ours / alone:.2f} x pandas alone ({met}: at most {TARGET})"
