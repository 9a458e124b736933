"""A market of one's own to try things in: the same question in two of them, and what a reading of ``until`` changes.

Runs on simulated data as it is, and only on such.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

DAYS = ("TTF Apr-24", "2024-02-05", "2024-02-10")

for seed in (1, 2):
    with sandboxed(seed=seed, tz="Europe/Amsterdam"):
        candles = tp.ohlcv(*DAYS, "1d", fields=["vwap"])
        print(f"Market {seed}\n{candles[['open', 'high', 'low', 'close', 'volume', 'vwap']].round(3).to_string()}\n")

# Nobody knows whether the server takes `until` as part of the range. The client is right either way.
for until in ("exclusive", "inclusive"):
    with sandboxed(until=until):
        print(f"until is {until}: {len(tp.trades(*DAYS)):,} trades")
