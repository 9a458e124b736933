"""The age of each last price. Risk management needs another mark for contracts without a trade in recent days.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import pandas as pd

import trayport as tp
from trayport.testing import sandboxed

ILLIQUID = [
    "TTF Cal-28",
    "PEG Win-27",
    "Germany Peaks Q4-27",
    "Spain Baseload Q3-25",
    "Hungary Baseload Q4-26",
    "Zeebrugge EEX Q3-25",
]
AT = pd.Timestamp("2024-02-05 17:00", tz="UTC")
STALE = pd.Timedelta(days=3)

with sandboxed():
    last = tp.last_trade(ILLIQUID, at=AT)
    age = AT - last.index
    table = pd.DataFrame(
        {
            "traded": last.index.strftime("%Y-%m-%d %H:%M"),
            "price": last["price"].to_numpy(),
            "hours": (age / pd.Timedelta(hours=1)).round(1),
            "mark": ["stale" if each > STALE else "ok" for each in age],
        },
        index=pd.Index(last["contract"], name="contract"),
    )
    print(f"Last trades before {AT:%Y-%m-%d %H:%M} UTC, the oldest first")
    print(table)

    never = [name for name in ILLIQUID if tp.resolve(name).name not in table.index]  # without a row
    print(f"Without a trade in the year before: {', '.join(never) or 'none'}")
