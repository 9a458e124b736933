"""The value of a trade in money.

Quantities are megawatts, thousands of therms a day, or thousands of tonnes; the units of the product connect a price
and a quantity with an amount of money.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import pandas as pd

import trayport as tp
from trayport.testing import sandboxed

CONTRACTS = ["TTF Mar-24", "Germany Baseload Q2-24", "PEG Mar-24", "NBP Mar-24", "EUA Dec-24"]

with sandboxed():
    print(f"{'contract':<26}{'price':>8} {'unit':<10}{'lot':>5} {'unit':<9}{'delivers':>10} {'':<6}{'worth':>12}")
    for name in CONTRACTS:
        trade = tp.last_trade(name, at="2024-02-05T16:00").iloc[0]
        lot = tp.trades(name, "2024-02-05", "2024-02-06")["quantity"].min()
        period, units = tp.resolve(name), tp.specification(name.rpartition(" ")[0])
        edges = [pd.Timestamp(edge).tz_localize(None) for edge in (period.period_start, period.period_end)]
        local = [edge.tz_localize("Europe/Berlin") for edge in edges]
        factor = {
            "MW": (local[1] - local[0]) / pd.Timedelta(hours=1),  # 743 in March: the clocks change
            "MWh/d": (edges[1] - edges[0]).days,
            "kTherm/d": (edges[1] - edges[0]).days * 1000,
            "kt": 1000,
        }[units.quantity_unit]
        money = trade["price"] * lot * factor / (100 if units.price_currency == "GBX" else 1)
        unit = f"{units.price_currency}/{units.notional_quantity_unit}"
        print(
            f"{period.name:<26}{trade['price']:>8.3f} {unit:<10}{lot:>5.0f} {units.quantity_unit:<9}"
            f"{lot * factor:>10,.0f} {units.notional_quantity_unit:<6}{money:>12,.0f} {units.notional_currency}"
        )
