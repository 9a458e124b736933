"""Daily candles of a year: the realised volatility, where a risk or option desk starts, and the range of each month.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import math

import numpy as np

import trayport as tp
from trayport.testing import sandboxed

DAYS = 252  # trading days of a year

with sandboxed():
    candles = tp.ohlcv("TTF Cal-25", "2023-02-01", "2024-02-01", "1d")
    returns = np.log(candles["close"]).diff().dropna()
    print(f"{candles['contract'].iloc[0]}: {len(candles)} days with a trade")
    print(f"Realised volatility, close to close: {returns.std() * math.sqrt(DAYS):6.1%}")
    print(f"The last 20 days of it:              {returns.tail(20).std() * math.sqrt(DAYS):6.1%}")
    print(f"Largest move of a day:               {returns.abs().max():6.1%} on {returns.abs().idxmax():%Y-%m-%d}\n")

    month = candles.index.strftime("%Y-%m").rename("month")
    months = candles.groupby(month).agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
    )
    print(months)
