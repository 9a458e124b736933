"""A forward curve at one time.

The middle of bid and ask of each month, or the last trade if a side is missing, and the step to the next month.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

AT = "2024-02-05T16:00"
MONTHS = [f"TTF M+{ahead}" for ahead in range(1, 13)]

with sandboxed():
    board = tp.snapshots(MONTHS, at=AT).set_index("contract")
    middle = (board["bid_price"] + board["ask_price"]) / 2
    curve = board[["bid_price", "ask_price", "last_price"]].assign(
        mark=middle.fillna(board["last_price"]).round(4),
        source=middle.notna().map({True: "bid/ask", False: "last"}),
    )
    curve["to next"] = (curve["mark"].shift(-1) - curve["mark"]).round(4)
    print(f"TTF months at {AT} UTC, EUR/MWh")
    print(curve.rename(index=lambda name: name.rpartition(" ")[2]).rename_axis("month"))
    shape = "contango" if curve["mark"].iloc[-1] > curve["mark"].iloc[0] else "backwardation"
    print(f"First to last: {curve['mark'].iloc[-1] - curve['mark'].iloc[0]:+.3f}, {shape}")
