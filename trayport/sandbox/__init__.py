"""A stand-in for both APIs on this machine, so that everything works without a key.

What it serves is simulated: real names, ids and rules, invented trades. The package can be called, too: then it gives
a client of a sandbox of its own, and both end with the block.

>>> import trayport as tp
>>> with tp.sandbox(tz="Europe/Amsterdam", seed=2) as client:
...     len(client.trades("TTF Apr-24", "2024-02-05", "2024-02-06")) > 100
True
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from .faults import Fault
from .rights import Rights
from .server import Asked, Sandbox, Violation
from .switches import Switches

__all__ = ["Asked", "Fault", "Rights", "Sandbox", "Switches", "Violation"]


class _Callable(ModuleType):
    """A package that can be called."""

    def __call__(self, **given: Any) -> Any:
        """A client of a sandbox of its own: see ``trayport.testing.sandbox``."""
        # Clients lie above this room: only who calls it reaches for them.
        return importlib.import_module("..testing", __name__).sandbox(**given)


# Python binds a package's name to its module when that is imported, so the module itself has to answer a call.
sys.modules[__name__].__class__ = _Callable
