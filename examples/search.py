"""Names from a spreadsheet, as colleagues wrote them: which product does each mean, and which ones should somebody look
at before they are used?

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

WRITTEN = ["ttf", "TTF eex", "german baseload", "THE eex", "eua endex", "nbp", "german peak load", "dutch gas"]
SURE = 0.7

with sandboxed():
    print(f"{'written':<20}{'means':<34}{'id':>10}{'score':>7}")
    for text in WRITTEN:
        found = tp.search(text, limit=2)
        best, *others = found.itertuples()
        doubt = "" if best.score >= SURE else f"  or {', '.join(other.name for other in others) or 'nothing else'}"
        print(f"{text:<20}{best.name:<34}{best.id:>10}{best.score:>7.2f}{doubt}")
