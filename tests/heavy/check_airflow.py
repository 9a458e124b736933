"""Run the DAG of ``dags/exports.py`` by ``airflow dags test`` in an empty AIRFLOW_HOME, and check its files.

``python check_airflow.py FOLDER``, with the Python of the environment in which Airflow is installed.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from stage import HERE, Verdict, environment, served

from trayport import Client, Config

TASKS = {
    "export_trades": "success",
    "return_frame": "success",
    "read_frame": "success",
    "return_partial_result": "success",
    "resume_partial_result": "success",
    "fail": "failed",
    "write_report": "success",
}


def main(folder: Path) -> None:
    """Run the DAG against a sandbox that refuses two requests, and check the results."""
    print(f"Airflow {version('apache-airflow')}, pandas {pd.__version__}, Python {sys.version.split()[0]}")
    verdict = Verdict()
    exports, home = folder / "exports", folder / "airflow"
    exports.mkdir()
    home.mkdir()
    # Requests for trades: three of export_trades, three of return_partial_result with the second one refused, one of
    # resume_partial_result, and three of fail, with one refused again.
    faults = [{"path": "/trades", "skip": skip, "times": 1, "status": 503} for skip in (4, 8)]
    with served(folder, "sandbox", limits=True, faults=faults) as server:
        config = Config(**server.settings, limiter="memory", cache_dir=folder / "undisturbed")
        settings = {**server.settings, "attempts": "1", "progress": "false", "cache_dir": str(folder / "cache")}
        given = environment(folder, **settings)
        given |= {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "HEAVY_EXPORTS": str(exports),
        }
        # Not by "python -m airflow", which would import the package from the current folder.
        airflow = [str(Path(sys.executable).with_name("airflow"))]
        outputs = []
        for arguments in (["db", "migrate"], ["dags", "test", "trayport_exports", "2024-02-05"]):
            done = subprocess.run([*airflow, *arguments], env=given, capture_output=True, text=True, timeout=900)
            outputs.append(done.stdout + done.stderr)
            (folder / f"airflow-{arguments[1]}.log").write_text(outputs[-1])
            verdict.check(done.returncode == 0, f"airflow {' '.join(arguments)} exits with {done.returncode}")
        with Client(config=config) as client:
            expected = client.trades("TTF Apr-24", "2023-11-01", "2024-02-01")
            candles = len(client.ohlcv("TTF Apr-24", "2024-01-01", "2024-02-01"))

    with closing(sqlite3.connect(home / "airflow.db")) as database:
        states = dict(database.execute("SELECT task_id, state FROM task_instance"))
        sizes = dict(database.execute("SELECT task_id, length(value) FROM xcom"))
    verdict.check(states == TASKS, f"the states of the tasks are as expected: {states}")
    print(f"characters of the XComs: {sizes}")
    for name in ("trades", "resumed"):
        path = exports / f"{name}.parquet"
        written = pd.read_parquet(path) if path.exists() else pd.DataFrame()
        verdict.check(
            expected.equals(written), f"{path.name} has all {len(expected):,} trades, and has {len(written):,}"
        )
    report = (exports / "report.txt").read_text() if (exports / "report.txt").exists() else ""
    verdict.check(
        report == f"{exports / 'trades.parquet'}\n{candles}\n", "the report has the path and the number of candles"
    )
    verdict.check("1 request failed for good" in outputs[-1], "the log has the sentence of the failed task")
    verdict.check(not server.violations, f"the sandbox saw no violation: {server.counts}")
    verdict.check_key(folder)
    if verdict.failed:
        print(outputs[-1][-20_000:])
    verdict.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
