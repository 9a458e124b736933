"""Settings of a session: times in the zone of Amsterdam, an alias for a product, and a hook that records requests.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

seen: list[tp.RequestEvent] = []

with sandboxed():
    tp.configure(tz="Europe/Amsterdam", aliases={"Power": "Germany Baseload*"}, progress=False, hooks=[seen.append])
    frame = tp.trades("Power Cal-25", "2024-02-05", "2024-02-10")  # from midnight to midnight in Amsterdam

    print(
        f"{frame['contract'].iloc[0]}: {len(frame)} trades, from {frame.index[0]:%H:%M} to {frame.index[-1]:%H:%M %Z}"
    )
    by_hour = frame.groupby(frame.index.hour.rename("hour"))["quantity"].agg(["count", "sum"])
    print(by_hour.rename(columns={"count": "trades", "sum": "MW"}).to_string())
    print(f"{len(seen)} requests, {sum(event.bytes_decoded for event in seen):,} bytes, look-ups included")
