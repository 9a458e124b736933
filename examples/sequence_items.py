"""An expiry calendar of the next months, with the business days until then and the hours of delivery.

The hours include the clock changes in March and October.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import pandas as pd

import trayport as tp
from trayport.testing import sandboxed

TODAY = pd.Timestamp("2024-02-05")

with sandboxed():
    months = tp.sequence_items("TTF Months", start="2024-03-01", count=9)
    first, last = (months[name].dt.tz_localize(None) for name in ("period_start", "period_end"))
    # Gas days begin at 06:00 on the clock at the hub, so a month's hours are counted there.
    at_hub = [(day + pd.Timedelta(hours=6)).dt.tz_localize("Europe/Amsterdam") for day in (first, last)]
    calendar = pd.DataFrame(
        {
            "month": months["name"],
            "stops": months["trading_end"].dt.strftime("%a %Y-%m-%d"),
            "days_left": [len(pd.bdate_range(TODAY, day)) for day in months["trading_end"].dt.tz_localize(None)],
            "hours": ((at_hub[1] - at_hub[0]) / pd.Timedelta(hours=1)).astype(int),
        }
    )
    print(f"TTF months, seen from {TODAY:%a %Y-%m-%d}")
    print(calendar.rename_axis("item id"))
