"""Run the Spark job against a sandbox with the API's rate limits, and check its counts and the rate.

``python check_spark.py FOLDER``, with the Python of the environment in which PySpark is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from stage import HERE, Verdict, environment, served

from trayport import Client, Config

LEAST_JAVA = 17


def java_version() -> int:
    """Return the major version of the Java on the PATH, 0 without one."""
    if not shutil.which("java"):
        return 0
    text = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', text)
    return int(found[1]) if found else 0


def main(folder: Path) -> None:
    """Run the job, and compare its counts with those of a plain loop."""
    java = java_version()
    if java < LEAST_JAVA:
        problem = f"the java on the PATH is version {java}" if java else "there is no java on the PATH"
        sys.exit(f"Spark needs Java {LEAST_JAVA} or later, and {problem}; install it, and run the stage again")
    from spark_job import CONTRACTS, WINDOW

    python = sys.version.split()[0]
    print(f"PySpark {version('pyspark')}, pandas {version('pandas')}, Java {java}, Python {python}")
    verdict = Verdict()
    with served(folder, "sandbox", limits=True) as server:
        # The sandbox keeps the trades that it has simulated, so that later requests for them cost it little.
        config = Config(**server.settings, limiter="memory", cache_dir=folder / "undisturbed")
        with Client(config=config) as client:
            frames = {contract: client.trades(contract, *WINDOW) for contract in CONTRACTS}
            planned = sum(len(client.plan.trades(contract, *WINDOW)) for contract in CONTRACTS)
        settings = {**server.settings, "cache_dir": str(folder / "cache"), "progress": "false"}
        given = environment(folder, **settings)
        # The executors' Python processes start the interpreter of this environment.
        given |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_DIRS": str(folder / "spark")}
        command = [sys.executable, str(HERE / "spark_job.py")]
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=900)
    (folder / "spark.log").write_text(done.stdout + done.stderr)
    if done.returncode:
        sys.exit(f"the job failed:\n{done.stderr[-10_000:]}")

    result = json.loads(done.stdout.splitlines()[-1])
    mapped = result["map"]
    found = {row["contract"]: row["rows"] for row in mapped}
    _check_counts(verdict, "map", found, {contract: len(frame) for contract, frame in frames.items()})
    # The rows of mapInPandas have the names that are in the frames.
    expected = {frame["contract"].iloc[0]: len(frame) for frame in frames.values()}
    _check_counts(verdict, "mapInPandas", result["mapInPandas"], expected)
    for name, seconds in result["seconds"].items():
        print(f"{name}: {planned} requests in {seconds:.1f} s, {planned / seconds:.2f} a second")

    processes = {row["process"] for row in mapped}
    verdict.check(len(processes) >= 2, f"{len(processes)} processes sent requests")
    # The limiter's count of the last minute contains the permits of all processes only if they share their limit.
    shared = {row["process"] for row in mapped if row["limiter"] == "file" and row["used"] > row["attempts"]}
    verdict.check(shared == processes, "the limiter of every process counted permits of another one")
    verdict.check(not server.violations, f"the sandbox saw no violation of the API's rate limits: {server.counts}")
    verdict.check_key(folder)
    verdict.close()


def _check_counts(verdict: Verdict, name: str, found: dict[str, int], expected: dict[str, int]) -> None:
    verdict.check(found == expected, f"{name}: {sum(found.values()):,} trades of {len(found)} contracts, as expected")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
