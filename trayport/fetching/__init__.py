"""Fetching: the pieces of a plan as they arrive, failed ones too.

``outcomes`` yields them in the order of arrival, ``in_order`` in the order of the plan. Both fetch several pieces at
a time, each with a function that a ``PieceFetcher`` offers: ``rows`` for the decoded rows of a piece, ``frame`` and
``frames`` for DataFrames.
"""

from __future__ import annotations

from .outcomes import Outcome, in_order, outcomes
from .pieces import PieceFetcher, schema_of

__all__ = ["Outcome", "PieceFetcher", "in_order", "outcomes", "schema_of"]
