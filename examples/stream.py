"""More trades than fit in memory.

The volume and the average price of each day of a year, from monthly pieces that are dropped once they are summed.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    days: dict[str, list[float]] = {}
    rows = most = 0
    for piece in tp.stream.trades(["TTF Apr-24", "TTF Win-24", "TTF Cal-25"], "2023-02-01", "2024-02-01"):
        rows, most = rows + len(piece), max(most, len(piece))
        value = piece["price"] * piece["quantity"]
        for day, part in piece.assign(value=value).groupby(piece.index.strftime("%Y-%m-%d")):
            volume, paid = days.get(day, [0.0, 0.0])
            days[day] = [volume + part["quantity"].sum(), paid + part["value"].sum()]

    print(f"{rows:,} trades of {len(days)} days; at most {most:,} of them in one piece")
    print("The five busiest days")
    for day, (volume, paid) in sorted(days.items(), key=lambda each: -each[1][0])[:5]:
        print(f"  {day}  {volume:>8,.0f} MW  at {paid / volume:.3f} EUR/MWh on average")
