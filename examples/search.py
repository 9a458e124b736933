"""The product that each name in a spreadsheet means, and the names that need a check.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

NAMES = ["ttf", "TTF eex", "german baseload", "THE eex", "eua endex", "nbp", "german peak load", "dutch gas"]
CERTAIN = 0.7

with sandboxed():
    print(f"{'written':<20}{'means':<34}{'id':>10}{'score':>7}")
    for text in NAMES:
        found = tp.search(text, limit=2)
        best, *others = found.itertuples()
        doubt = "" if best.score >= CERTAIN else f"  or {', '.join(other.name for other in others) or 'nothing else'}"
        print(f"{text:<20}{best.name:<34}{best.id:>10}{best.score:>7.2f}{doubt}")
