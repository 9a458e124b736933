"""Trades of three TTF months: the plan, the frame, and the average price of each day.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

MONTHS = ["TTF Apr-24", "TTF May-24", "TTF Jun-24"]

with sandboxed(limiter="memory"):
    print(tp.plan.trades(MONTHS, "2024-01-08", "2024-03-08"))

    trades = tp.trades(MONTHS, "2024-01-08", "2024-03-08")
    print(f"\n{len(trades):,} trades, complete: {trades.attrs['trayport']['complete']}")
    print(trades[["contract", "venue_code", "price", "quantity"]].head().to_string())

    daily = trades.assign(value=trades["price"] * trades["quantity"]).groupby([trades.index.date, "contract"])
    sums = daily[["value", "quantity"]].sum()
    print("\nVolume-weighted price of each day")
    print((sums["value"] / sums["quantity"]).unstack().round(3).tail().to_string())
