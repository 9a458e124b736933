"""Names such as "the front quarter" as of one day, with their delivery and with the ids for another system.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import pandas as pd

import trayport as tp
from trayport.testing import sandboxed

NAMES = ["TTF M+1", "TTF Q+1", "TTF S+1", "TTF Y+1", "TTF Winter 25", "Germany Baseload Cal-26", "TTF M+1/M+2"]
DAY = pd.Timestamp("2024-02-05", tz="UTC")

with sandboxed():
    print(f"On {DAY:%Y-%m-%d}")
    print(f"{'name':<25}{'contract':<33}{'delivers from':<15}{'in days':>7}  item")
    for name in NAMES:
        contract = tp.resolve(name, at=DAY)
        ahead = (pd.Timestamp(contract.period_start) - DAY).days
        item = contract.item_id if contract.kind == "single" else f"{contract.item_id} less {contract.second_item_id}"
        print(f"{name:<25}{contract.name:<33}{contract.period_start:%Y-%m-%d}{ahead:>12}  {item}")

    try:
        tp.resolve("TTF Smarch-24")
    except tp.UnknownContract as error:
        print(f"\nNothing is named {error.name}; the nearest are {' and '.join(error.near[:2])}")
