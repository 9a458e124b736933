"""The flat functions: the default client's own methods, signed once."""

from __future__ import annotations

from .client import DEFAULT

__all__ = [
    "configure",
    "instruments",
    "label",
    "markets",
    "plan",
    "resolve",
    "search",
    "sequence_items",
    "sequences",
    "specification",
    "stream",
    "trades",
    "venues",
]

configure = DEFAULT.configure
plan = DEFAULT.plan
stream = DEFAULT.stream

trades = DEFAULT.trades

instruments = DEFAULT.instruments
markets = DEFAULT.markets
search = DEFAULT.search
sequences = DEFAULT.sequences
sequence_items = DEFAULT.sequence_items
specification = DEFAULT.specification
venues = DEFAULT.venues
resolve = DEFAULT.resolve
label = DEFAULT.label
