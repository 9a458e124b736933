"""Before a nightly job begins: is everything in order, and if not, what is somebody to do? Here the key's rights are
less than the job wants, and one of the APIs is away.

Runs on simulated data as it is. With a key of your own in TRAYPORT_API_KEY, drop the lines with `sandboxed`.
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
        print("\nThe job does not begin:")
        for check in diagnosis.checks:
            if check.verdict == "failure":
                print(f"  {check.name}: {check.finding}; {check.remedy}")
