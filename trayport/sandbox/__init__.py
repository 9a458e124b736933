"""A stand-in for both APIs on this machine, so that everything works without a key.

What it serves is simulated: real names, ids and rules, invented trades.
"""

from __future__ import annotations

from .server import Asked, Sandbox

__all__ = ["Asked", "Sandbox"]
