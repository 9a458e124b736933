"""Every question, signed once: its shape is checked and its times are read here; names stay names."""

from __future__ import annotations

from .intervals import Interval
from .query import Query, Scene
from .questions import Queries

__all__ = ["Interval", "Queries", "Query", "Scene"]
