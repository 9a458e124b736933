"""Contracts that a risk system stores by their ids: their names, and their last prices to value the position.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import pandas as pd

import trayport as tp
from trayport.testing import sandboxed

DEALS = pd.DataFrame(
    [
        (10000065, 10000305, 244, 30.0, 27.900),
        (10000065, 10000305, 245, -15.0, 28.150),
        (10000065, 10000309, 22, 10.0, 27.500),
        (10000016, 10000400, 750, 5.0, 61.200),
    ],
    columns=["market_id", "sequence_id", "sequence_item_id", "quantity", "dealt_at"],
)

with sandboxed():
    deals = tp.label(DEALS)
    prices = tp.last_trade(deals["contract"], at="2024-02-05T16:30").set_index("contract")["price"]
    deals["last"] = deals["contract"].map(prices)
    deals["gain"] = ((deals["last"] - deals["dealt_at"]) * deals["quantity"]).round(3)
    print("Marked at 2024-02-05 16:30 UTC; the gain is in EUR an hour of delivery, of EUA in kEUR")
    print(deals.drop(columns=["market_id", "sequence_id", "sequence_item_id"]))
