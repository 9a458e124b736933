"""The depth of a market, hour by hour.

The volume within a few ticks of the best price on each side, and the average price of buying a given size at once.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

TICK, REACH, SIZE = 0.005, 4, 150  # EUR/MWh, ticks, MW

with sandboxed():
    orders = tp.order_book("TTF Apr-24", "2024-02-05T08:00", "2024-02-05T17:00", "1h", depth=100)
    sides = orders.groupby(["timestamp", "side"])
    away = (orders["price"] - sides["price"].transform("first")).abs()
    near = orders[away < (REACH + 0.5) * TICK].groupby(["timestamp", "side"])["quantity"].sum().unstack("side")

    asks = orders[orders["side"] == "ask"].assign(before=lambda ask: ask.groupby("timestamp")["quantity"].cumsum())
    taken = (SIZE - (asks["before"] - asks["quantity"])).clip(lower=0).clip(upper=asks["quantity"])
    sums = asks.assign(taken=taken, paid=taken * asks["price"]).groupby("timestamp")[["taken", "paid"]].sum()

    table = near[["bid", "ask"]].add_suffix(f" {REACH} ticks").round(0)
    table["best ask"] = asks[asks["level"] == 1]["price"]
    table[f"buy {SIZE} MW"] = (sums["paid"] / sums["taken"]).where(sums["taken"] >= SIZE).round(4)
    print(f"{orders['contract'].iloc[0]}, {len(orders):,} orders")
    print(table.set_index(table.index.strftime("%H:%M UTC")))
