"""Status of a client while a history loads: the rate limit, the connections, and the number of requests so far.

The example runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    for number, piece in enumerate(tp.stream.trades("EUA Dec-24", "2023-06-01", "2024-02-10"), start=1):
        status = tp.status()
        print(f"piece {number}: {len(piece)} trades; {status.limiter.used} permits used in the last minute")

    print(tp.status())
