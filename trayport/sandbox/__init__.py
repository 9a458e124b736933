"""Simulated servers for both APIs on the loopback interface: real names, ids and rules, invented trades.

>>> from trayport.sandbox import Sandbox
>>> with Sandbox(limits=False) as sandbox:
...     sandbox.settings["api_key"]
'sandbox-key'
"""

from __future__ import annotations

from .faults import Fault
from .rights import Rights
from .server import Asked, Sandbox, Violation
from .switches import Switches

__all__ = ["Asked", "Fault", "Rights", "Sandbox", "Switches", "Violation"]
