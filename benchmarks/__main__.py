"""Run all benchmarks, print the results with the machine and the versions, and write them to ``benchmarks/results.md``.

The rate limit is measured by ``python -m benchmarks.limiter``, which takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from . import alternatives, decoding, encodings, growth, imports, loader, names, planning, sandbox, wire

RESULTS = Path(__file__).with_name("results.md")
PACKAGES = ("pandas", "numpy", "pyarrow", "msgspec", "brotli", "urllib3", "requests", "attrs", "diskcache")
COMPARED = ("orjson", "polars", "duckdb")


def versions(packages: Iterable[str]) -> str:
    return ", ".join(f"{name} {version(name)}" for name in packages)


def results(*, quick: bool) -> Iterator[str]:
    yield f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    yield versions(PACKAGES)
    yield f"{versions(name for name in COMPARED if find_spec(name))}\n"
    for part in (
        imports, names, planning, decoding, alternatives, encodings, wire, growth, sandbox, loader,
    ):  # fmt: skip
        yield from part.measure(quick=quick)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run few repetitions, to check that the benchmarks work")
    quick = parser.parse_args().quick
    lines = []
    for line in results(quick=quick):
        print(line, flush=True)
        lines.append(line)
    if not quick:
        text = "\n".join(lines)
        RESULTS.write_text(f"# Results of `python -m benchmarks`\n\n```\n{text}\n```\n", encoding="utf-8")


if __name__ == "__main__":
    main()
