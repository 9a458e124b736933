"""Every query, signed, checked and documented once.

Names of contracts are not resolved here, and nothing is sent: a query becomes a ``Query``, which a client turns into
a frame, a plan or a stream of frames.
"""

from __future__ import annotations

from .books import BookQueries
from .intervals import Interval, book_interval, candle_interval
from .query import Query, QueryContext, T_co
from .trades import TradeQueries

__all__ = ["QUERIES", "Interval", "Queries", "Query", "QueryContext", "book_interval", "candle_interval"]


class Queries(TradeQueries[T_co], BookQueries[T_co]):
    """All queries; ``T_co`` is the type that they return."""


QUERIES = tuple(name for part in (TradeQueries, BookQueries) for name in vars(part) if not name.startswith("_"))
"""The names of all queries: methods of ``Queries``, flat functions, and commands."""
