"""Daily candles of two simulated markets, and the number of trades with both readings of ``until``.

Runs on simulated data only.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

DAYS = ("TTF Apr-24", "2024-02-05", "2024-02-10")

for seed in (1, 2):
    with sandboxed(seed=seed, tz="Europe/Amsterdam"):
        candles = tp.ohlcv(*DAYS, "1d", fields=["vwap"])
        print(f"Market {seed}\n{candles[['open', 'high', 'low', 'close', 'volume', 'vwap']].round(3).to_string()}\n")

# It is not documented whether `until` is part of the range; the client returns the same trades in both cases.
for until in ("exclusive", "inclusive"):
    with sandboxed(until=until):
        print(f"until is {until}: {len(tp.trades(*DAYS)):,} trades")
