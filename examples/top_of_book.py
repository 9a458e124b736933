"""The cheapest hours to trade: the spread between bid and ask of a far season, by hour of the day in Amsterdam.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    book = tp.top_of_book("TTF Sum-27", "2024-01-22", "2024-02-03", "5min").tz_convert("Europe/Amsterdam")
    spread = book["ask_price"] - book["bid_price"]  # NaN while a side is empty
    hours = spread.groupby(book.index.hour.rename("hour")).agg(
        median="median", mean="mean", widest=lambda each: each.quantile(0.95), points="count"
    )
    print(f"{book['contract'].iloc[0]}: spread in EUR/MWh from 2024-01-22 to 2024-02-03")
    print(hours.round(4))

    best = hours["mean"].idxmin()
    share = (spread.loc[book.index.hour == best] <= 0.01).mean()
    print(f"Tightest on average from {best}:00 to {best + 1}:00, at 0.01 or less for {share:.0%} of that hour")
