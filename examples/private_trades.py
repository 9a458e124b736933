"""The position from own trades, to compare with the books of the back office.

Volumes bought and sold of each contract, their net and their average prices.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

CONTRACTS = ["TTF Mar-24", "TTF Apr-24", "TTF Q3-24", "TTF Win-24", "TTF Cal-25"]
COMPANY = 123  # Trayport's id of the own company; an unknown counterparty is 0

with sandboxed():
    own = tp.private_trades("2024-01-08", "2024-02-08", contract=CONTRACTS)
    own = own[~own["public_copy"]]  # exchanges send an own trade twice

    aggressor = own["aggressor_company_id"] == COMPANY
    bought = own["aggressor_buy"] == aggressor  # the initiator is on the other side
    signed = own["quantity"].where(bought, -own["quantity"])
    sides = own.assign(
        side=bought.map({True: "bought", False: "sold"}), net=signed, value=own["price"] * own["quantity"]
    ).groupby(["contract", "side"])[["quantity", "net", "value"]]

    sums = sides.sum().unstack("side")
    position = sums["quantity"].assign(net=sums["net"].sum(axis=1))
    position[["bought at", "sold at"]] = (sums["value"] / sums["quantity"])[["bought", "sold"]].round(3)
    print(f"Own trades from 2024-01-08 to 2024-02-08, in {tp.specification('TTF').quantity_unit}")
    print(position.reindex([tp.resolve(name).name for name in CONTRACTS]))
