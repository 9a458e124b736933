"""The volume that is missing from the price series of one exchange.

A market has the trades of all venues, an instrument those of one.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

ONE_VENUE = {
    "TTF Hi Cal 51.6": "TTF Hi Cal 51.6 ICE",
    "THE": "THE EEX",
    "EUA": "EUA ICE ENDEX",
}
PERIOD = {"EUA": "Dec-24"}

with sandboxed():
    names = tp.markets()["name"]
    print(f"{len(names)} markets, among them {', '.join(names[:5])}\n")
    print(f"{'trades from 5 to 9 February':<30}{'all venues':>12}{'one venue':>12}{'volume missing':>16}")
    for market, instrument in ONE_VENUE.items():
        period = PERIOD.get(market, "Apr-24")
        whole = tp.trades(f"{market}* {period}", "2024-02-05", "2024-02-10")
        part = tp.trades(f"{instrument} {period}", "2024-02-05", "2024-02-10")
        missing = 1 - part["quantity"].sum() / whole["quantity"].sum()
        print(f"{market + ' ' + period:<30}{len(whole):>12,}{len(part):>12,}{missing:>16.0%}")
