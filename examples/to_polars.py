"""The traded quantity by venue, summed with Polars; needs the extra `polars`.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import polars as pl

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    frame = tp.to_polars(tp.trades("TTF Apr-24", "2024-01-08", "2024-02-10"))
    by_venue = frame.group_by("venue_code").agg(pl.len().alias("trades"), pl.col("quantity").sum().alias("MW"))
    for venue, trades, quantity in by_venue.sort("MW", descending=True).iter_rows():
        print(f"{venue:10}{trades:8}{quantity:12,.0f} MW")
