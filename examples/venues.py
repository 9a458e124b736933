"""The share of brokers and exchanges in a contract's volume, for a compliance or an execution desk.

It also lists the venues that send own trades twice in private data.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    venues = tp.venues()
    trades = tp.trades("TTF Apr-24", "2024-01-29", "2024-02-10").join(venues[["name", "kind"]], on="venue_code")

    table = trades.groupby(["kind", "name"]).agg(trades=("price", "size"), volume=("quantity", "sum"))
    table["share"] = table["volume"] / table["volume"].sum()
    print(table.sort_values(["kind", "volume"], ascending=False).to_string(formatters={"share": "{:.1%}".format}))
    kinds = table.groupby("kind")["share"].sum()
    print(f"\nExchanges {kinds['exchange']:.0%}, brokers {kinds['broker']:.0%}")

    twice = venues[venues["active"] & venues["separate_private_feed"]].index
    print(f"Own trades come twice from {', '.join(twice)}")
