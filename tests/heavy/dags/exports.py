"""A DAG that calls the flat functions in its tasks; the settings come from TRAYPORT_* variables.

HEAVY_EXPORTS names the folder for the files.
"""

from __future__ import annotations

import base64
import datetime
import os
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
from airflow import DAG

try:
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:  # Airflow 2
    from airflow.operators.python import PythonOperator

import trayport as tp

EXPORTS = Path(os.environ["HEAVY_EXPORTS"])
WINDOW = ("TTF Apr-24", "2023-11-01", "2024-02-01")


def export_trades() -> str:
    """Write the trades to a file, and return its path."""
    path = EXPORTS / "trades.parquet"
    tp.save(tp.trades(*WINDOW), path)
    return str(path)


def return_frame() -> pd.DataFrame:
    """Return a frame, which Airflow stores as an XCom."""
    return tp.ohlcv("TTF Apr-24", "2024-01-01", "2024-02-01")


def read_frame(frame: pd.DataFrame) -> int:
    """Compare the frame of another task with a new one, and return its number of rows."""
    expected = return_frame()
    pd.testing.assert_frame_equal(expected, frame)
    assert expected.attrs == frame.attrs
    return len(frame)


def return_partial_result() -> str:
    """Return a pickled ``PartialDataError`` as text: the sandbox refuses one of the three requests."""
    try:
        tp.trades(*WINDOW)
    except tp.PartialDataError as error:
        return base64.b64encode(pickle.dumps(error)).decode()
    raise AssertionError("the query was expected to be partial")


def resume_partial_result(pickled: str) -> None:
    """Resume the query of another task, and write its whole result to a file."""
    error = pickle.loads(base64.b64decode(pickled))
    assert isinstance(error, tp.PartialDataError)
    assert 1 == len(error.failures)
    whole = error.resume()
    assert len(error.frame) < len(whole)
    tp.save(whole, EXPORTS / "resumed.parquet")


def fail() -> None:
    """Raise the ``PartialDataError``, which Airflow logs with its traceback."""
    tp.trades(*WINDOW)


def write_report(path: str, rows: int) -> None:
    """Write the results of the other tasks to a file, as the last task."""
    (EXPORTS / "report.txt").write_text(f"{path}\n{rows}\n")


with DAG(
    "trayport_exports", start_date=datetime.datetime(2024, 2, 1, tzinfo=datetime.UTC), schedule=None, catchup=False
):

    def task(function: Any, *arguments: Any, **options: Any) -> PythonOperator:
        """Return the task of a function, named as the function is."""
        return PythonOperator(task_id=function.__name__, python_callable=function, op_args=list(arguments), **options)

    export = task(export_trades)
    frame = task(return_frame)
    read = task(read_frame, frame.output)
    partial = task(return_partial_result)
    resumed = task(resume_partial_result, partial.output)
    failed = task(fail)
    # The DAG succeeds although one of its tasks is expected to fail.
    report = task(write_report, export.output, read.output, trigger_rule="all_done")
    export >> frame >> read >> partial >> resumed >> failed >> report
