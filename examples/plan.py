"""The cost of large queries before they are made.

The number of requests, and the time that the rate limit requires for them. Only names are looked up.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

MONTHS = [f"TTF {month}-24" for month in "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()]
YEAR = "2023-02-01", "2024-02-01"

with sandboxed(limiter="memory"):  # without a rate limit all plans take 0 s
    plans = {
        "trades, 1 month": tp.plan.trades("TTF Apr-24", *YEAR),
        "trades, 12 months": tp.plan.trades(MONTHS, *YEAR),  # they share requests
        "daily candles, 12 months": tp.plan.ohlcv(MONTHS, *YEAR, "1d"),
        "minute candles, 12 months": tp.plan.ohlcv(MONTHS, *YEAR, "1min"),
        "best prices each hour": tp.plan.top_of_book(MONTHS, *YEAR, "1h"),
        "best prices each second": tp.plan.top_of_book(MONTHS, *YEAR, "1s"),
    }
    print(f"{'a year of':<28}{'requests':>10}{'seconds, at least':>20}")
    for name, plan in plans.items():
        print(f"{name:<28}{len(plan):>10,}{plan.seconds:>20,.1f}")
    print(f"\n{plans['trades, 1 month']}")
