"""The flat functions: methods of the default client.

Each is assigned by name, so that editors and type checkers know its signature and its docstring; a test holds the list
together with ``Queries`` and ``References``.
"""

from __future__ import annotations

from .client import DefaultClient

__all__ = [
    # queries
    "trades",
    "private_trades",
    "ohlcv",
    "last_trade",
    "activity",
    "top_of_book",
    "order_book",
    "snapshots",
    "plan",
    "stream",
    # reference data
    "instruments",
    "markets",
    "search",
    "sequences",
    "sequence_items",
    "specification",
    "venues",
    "resolve",
    "label",
    "refresh",
    # the client behind them
    "configure",
    "status",
    "doctor",
]

DEFAULT = DefaultClient()
"""The client behind the flat functions."""

trades = DEFAULT.trades
private_trades = DEFAULT.private_trades
ohlcv = DEFAULT.ohlcv
last_trade = DEFAULT.last_trade
activity = DEFAULT.activity
top_of_book = DEFAULT.top_of_book
order_book = DEFAULT.order_book
snapshots = DEFAULT.snapshots
plan = DEFAULT.plan
stream = DEFAULT.stream

instruments = DEFAULT.instruments
markets = DEFAULT.markets
search = DEFAULT.search
sequences = DEFAULT.sequences
sequence_items = DEFAULT.sequence_items
specification = DEFAULT.specification
venues = DEFAULT.venues
resolve = DEFAULT.resolve
label = DEFAULT.label
refresh = DEFAULT.refresh

configure = DEFAULT.configure
status = DEFAULT.status
doctor = DEFAULT.doctor
