"""A history in files: Parquet for scripts, Excel for colleagues, and a stream saved piece by piece.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import trayport as tp
from trayport.testing import sandboxed

with sandboxed(), TemporaryDirectory() as folder:
    history = Path(folder, "eua.parquet")
    rows = tp.save(tp.stream.trades("EUA Dec-24", "2023-11-01", "2024-02-10"), history)
    print(f"{rows} trades, {history.stat().st_size / 1e6:.1f} MB, the last one at {pd.read_parquet(history).index[-1]}")

    day = tp.trades("EUA Dec-24", "2024-02-05", "2024-02-06")
    for name in ("day.xlsx", "day.csv", "day.jsonl"):
        print(f"{tp.save(day, Path(folder, name))} trades in {name}")
    print(Path(folder, "day.jsonl").read_text(encoding="utf-8").partition("\n")[0])
