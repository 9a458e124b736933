"""The ten busiest contracts of a week among everything that the key is entitled to, with their share of all trades.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    week = tp.activity("2024-02-05", "2024-02-10", fields=["delete_count"])
    busiest = tp.label(week.head(10))
    share = busiest["count"] / week["count"].sum()
    print("The ten busiest contracts of the week from 2024-02-05")
    for contract, count, part in zip(busiest["contract"], busiest["count"], share, strict=True):
        print(f"  {contract:<40} {count:>6,} trades  {part:5.1%}")
    print(f"  {'together':<40} {busiest['count'].sum():>6,} trades  {share.sum():5.1%}\n")

    kinds = week.groupby("contract_type")[["count", "delete_count"]].sum()
    kinds["contracts"] = week["contract_type"].value_counts()
    print(kinds.sort_values("count", ascending=False))
