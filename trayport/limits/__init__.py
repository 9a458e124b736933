"""The rate limit of one key, shared by threads, processes and machines."""

from __future__ import annotations

from .concurrency import Slots
from .file import limits_folder
from .gates import Gate, Wait, gate

__all__ = ["Gate", "Slots", "Wait", "gate", "limits_folder"]
