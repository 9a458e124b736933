"""Answers of ``/trades/ohlcv``: candles, made of the very trades that ``/trades`` shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import rules
from .dice import Integers
from .model import Trades
from .parameters import Parameters
from .view import View
from .wire import NO_TIME, Column, Table, decimal, numbers

# A volume-weighted price has four decimals in the published sample.
_VWAP_PLACES = 4


def candles(parameters: Parameters, view: View) -> Table:
    """``/trades/ohlcv``: the buckets that begin in the range, and before what is to come.

    What an empty bucket holds is not documented: here it has no prices, and a volume of 0.
    """
    ask = rules.candles(parameters, view.clock)
    horizon = view.clock.horizon
    edges = _edges(ask, min(view.end(ask.until), horizon))
    found = view.trades(ask.subject.contracts(), ask.start, min(int(edges[-1]), horizon))
    bucket = np.searchsorted(edges, found.time, side="right") - 1
    first = np.flatnonzero(np.diff(bucket, prepend=-1))
    filled = bucket[first]
    rows = np.arange(len(edges) - 1) if ask.include_empty else filled
    places = (filled if ask.include_empty else np.arange(len(filled))).tolist()
    columns = [
        Column("fromTimestamp", edges[rows].tolist(), "time"),
        Column("toTimestamp", edges[rows + 1].tolist(), "time"),
    ]
    for name, (cells, empty) in _filled(found, first).items():
        if name not in _OPTIONAL or name in ask.fields:
            column = [empty] * len(rows)
            for place, cell in zip(places, cells, strict=True):
                column[place] = cell
            columns.append(Column(name, column, "time" if empty == NO_TIME else "plain"))
    return Table(tuple(columns))


_OPTIONAL = ("vwap", "openTimestamp", "closeTimestamp")


def _filled(trades: Trades, first: Integers) -> dict[str, tuple[list[Any], Any]]:
    """What each bucket with trades holds, from the place of its first trade; and what one without them does."""
    last = np.append(first[1:], len(trades))[: len(first)] - 1
    volume = np.add.reduceat(trades.quantity, first)
    scale = 10 ** (_VWAP_PLACES - 3)
    # Rounded half up; what is weighed stays far below 64 bits, even for a month.
    doubled = 2 * scale * np.add.reduceat(trades.price * trades.quantity, first) + volume
    vwap = [decimal(each, _VWAP_PLACES) for each in (doubled // (2 * volume)).tolist()]
    return {
        "open": (numbers(trades.price[first]), "null"),
        "high": (numbers(np.maximum.reduceat(trades.price, first)), "null"),
        "low": (numbers(np.minimum.reduceat(trades.price, first)), "null"),
        "close": (numbers(trades.price[last]), "null"),
        "volume": (numbers(volume), "0"),
        "vwap": (vwap, "null"),
        "openTimestamp": (trades.time[first].tolist(), NO_TIME),
        "closeTimestamp": (trades.time[last].tolist(), NO_TIME),
    }


def _edges(ask: rules.Candles, end: int) -> Integers:
    """Where the buckets begin that begin before ``end``, and where the last of them ends."""
    if ask.step is not None:
        count = max(0, -((ask.start - end) // ask.step))
        return ask.start + ask.step * np.arange(count + 1, dtype=np.int64)
    # Months differ in length, so they are counted, not measured.
    ends = np.array([ask.start, max(end, ask.start) - 1]).astype("datetime64[ns]").astype("datetime64[M]")
    first, last = ends.astype(np.int64).tolist()
    return np.arange(first, last + 2).astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)
