"""Check before a nightly job that everything is in order. Here the key lacks entitlements, and one API is down.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the lines with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.sandbox import Fault
from trayport.testing import sandboxed

with sandboxed(key="sandbox-basic"):
    diagnosis = tp.doctor()
    print(diagnosis)

with sandboxed(faults=[Fault(path="/trades/*", times=None, status=503)]):
    diagnosis = tp.doctor()
    if diagnosis.worst == "failure":
        print("\nThe job does not start:")
        for check in diagnosis.checks:
            if check.verdict == "failure":
                print(f"  {check.name}: {check.finding}; {check.remedy}")
