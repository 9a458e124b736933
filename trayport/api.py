"""The flat functions: the default client's own methods, signed once."""

from __future__ import annotations

from .client import DefaultClient

__all__ = [
    "DEFAULT",
    "activity",
    "configure",
    "doctor",
    "instruments",
    "label",
    "last_trade",
    "markets",
    "ohlcv",
    "order_book",
    "plan",
    "private_trades",
    "resolve",
    "search",
    "sequence_items",
    "sequences",
    "snapshots",
    "specification",
    "status",
    "stream",
    "top_of_book",
    "trades",
    "venues",
]

DEFAULT = DefaultClient()
"""The client behind the flat functions."""

configure = DEFAULT.configure
plan = DEFAULT.plan
stream = DEFAULT.stream
status = DEFAULT.status
doctor = DEFAULT.doctor

trades = DEFAULT.trades
private_trades = DEFAULT.private_trades
ohlcv = DEFAULT.ohlcv
last_trade = DEFAULT.last_trade
activity = DEFAULT.activity
top_of_book = DEFAULT.top_of_book
order_book = DEFAULT.order_book
snapshots = DEFAULT.snapshots

instruments = DEFAULT.instruments
markets = DEFAULT.markets
search = DEFAULT.search
sequences = DEFAULT.sequences
sequence_items = DEFAULT.sequence_items
specification = DEFAULT.specification
venues = DEFAULT.venues
resolve = DEFAULT.resolve
label = DEFAULT.label
