"""Every question, signed once: its shape is checked and its times are read here; names stay names."""

from __future__ import annotations

from .intervals import Interval
from .queries import QUERIES, Queries
from .query import Query, QueryContext

__all__ = ["QUERIES", "Interval", "Queries", "Query", "QueryContext"]
