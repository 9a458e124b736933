"""Delete the cached reference data, such as after Trayport has added a product to the key's entitlements.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    events: list[tp.RequestEvent] = []
    tp.configure(hooks=[events.append])
    print("look-up            requests")

    def look_up(label: str) -> None:
        """Print the number of requests sent for a list of sequences."""
        sent = len(events)
        tp.sequences("TTF Hi Cal 51.6*")
        print(f"{label:<19}{len(events) - sent:>8}")

    look_up("cache miss")
    look_up("cache hit")
    tp.refresh()
    look_up("after refresh()")
