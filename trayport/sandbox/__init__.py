"""Simulated servers for both APIs on the loopback interface: real names, ids and rules, invented trades.

>>> from trayport.sandbox import Sandbox
>>> with Sandbox(limits=False) as sandbox:
...     sandbox.settings["api_key"]
'sandbox-key'
"""

from __future__ import annotations

from .fault_injection import Fault, read_faults
from .keys import KEY, KEYS, Rights
from .page import count_violations, describe_rights
from .server import Asked, Sandbox, Violation
from .switches import OTHERS, Switches
from .universe import example_contract

__all__ = [
    "KEY",
    "KEYS",
    "OTHERS",
    "Asked",
    "Fault",
    "Rights",
    "Sandbox",
    "Switches",
    "Violation",
    "count_violations",
    "describe_rights",
    "example_contract",
    "read_faults",
]
