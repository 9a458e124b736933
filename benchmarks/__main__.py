"""Measures everything and prints it with the machine and the versions.

But for the limits, which take a quarter of an hour: ``python -m benchmarks.limiter``.
"""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import version

from . import decoding, imports, names, sandbox


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions: only to see that it runs")
    quick = parser.parse_args().quick
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("pandas", "numpy", "pyarrow", "msgspec", "attrs", "diskcache")
    )
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    print(f"{machine}, Python {platform.python_version()}, {packages}\n")
    for measure in (imports.measure, names.measure, decoding.measure, sandbox.measure):
        for line in measure(quick=quick):
            print(line)


if __name__ == "__main__":
    main()
