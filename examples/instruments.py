"""The instruments of some hubs, counted by venue.

An instrument is one venue's listing of a product, so their number shows how fragmented a market is, without a request
for trades.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import pandas as pd

import trayport as tp
from trayport.testing import sandboxed

HUBS = ["TTF", "THE", "NBP", "PEG", "EUA", "Germany", "France"]

with sandboxed():
    names = tp.instruments()["name"]
    found = names[names.str.match(rf"({'|'.join(HUBS)})\b")]
    hub = found.str.split().str[0].rename("hub")
    venue = found.str.extract(r"\b(EEX|ICE|CME|NDAQ)\b", expand=False).fillna("other").rename("venue")
    print(f"{len(names):,} instruments, of which {len(found)} are named after these")
    print(pd.crosstab(hub, venue, margins=True, margins_name="all"))

    ttf = names[names.str.startswith("TTF Hi Cal 51.6")]
    print("\nThe ids to store beside TTF's first five")
    print(ttf.head().to_string())
