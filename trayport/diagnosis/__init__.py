"""Checks of everything that can keep data from arriving, each with its remedy, for ``doctor``."""

from __future__ import annotations

from .checks import Check, Diagnosis
from .examination import ClientLike, examine

__all__ = ["Check", "ClientLike", "Diagnosis", "examine"]
