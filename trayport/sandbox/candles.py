"""Answers of ``/trades/ohlcv``: candles, made of the very trades that ``/trades`` shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import rules
from .hashing import Integers
from .model import Trades
from .parameters import DAY, Parameters
from .payload import BLOCK, NO_TIME, Payload, PayloadColumn, PayloadTable, decimal, numbers
from .switches import Empty
from .view import View

# A volume-weighted price has four decimals in the published sample.
_VWAP_PLACES = 4


def candles(parameters: Parameters, view: View) -> Payload:
    """``/trades/ohlcv``: the buckets that begin in the range, and before what is to come."""
    ask = rules.candles(parameters, view.caller)
    edges = _edges(ask, view.end(ask.until))
    contracts = ask.subject.contracts()

    def make(block: slice) -> PayloadTable:
        some = edges[block.start : block.stop + 1]
        return PayloadTable(tuple(_columns(ask, view, some, view.trades(contracts, int(some[0]), int(some[-1])))))

    at_once = 1 if ask.step is None else max(1, min(BLOCK, _DAYS_AT_ONCE * DAY // ask.step // view.market.volume))
    return Payload.blocks(len(edges) - 1, make, at_once)


# The trades of so many days are looked at together.
_DAYS_AT_ONCE = 100


def _columns(ask: rules.CandlesRequest, view: View, edges: Integers, traded: Trades) -> list[PayloadColumn]:
    """The candles of the buckets between some edges."""
    found = traded.between(int(edges[0]), view.caller.known)
    bucket = np.searchsorted(edges, found.time, side="right") - 1
    first = np.flatnonzero(np.diff(bucket, prepend=-1))
    filled = bucket[first]
    rows = np.arange(len(edges) - 1) if ask.include_empty else filled
    places = (filled if ask.include_empty else np.arange(len(filled))).tolist()
    columns = [
        PayloadColumn("fromTimestamp", edges[rows].tolist(), "time"),
        PayloadColumn("toTimestamp", edges[rows + 1].tolist(), "time"),
    ]
    for name, cells in _filled(found, first).items():
        if name not in _OPTIONAL or name in ask.fields:
            is_time = name.endswith("Timestamp")
            column = [_EMPTY[view.switches.empty_candles](name)] * len(rows)
            for place, cell in zip(places, cells, strict=True):
                column[place] = cell
            columns.append(PayloadColumn(name, column, "time" if is_time else "plain"))
    return columns


def _null(name: str) -> Any:
    if name.endswith("Timestamp"):
        return NO_TIME
    return "0" if name == "volume" else "null"


_EMPTY: dict[Empty, Callable[[str], Any]] = {
    "null": _null,
    "zero": lambda name: 0 if name.endswith("Timestamp") else "0",
    "absent": lambda name: None,
}
"""What an empty bucket holds, by the switch."""
_OPTIONAL = ("vwap", "openTimestamp", "closeTimestamp")


def _filled(trades: Trades, first: Integers) -> dict[str, list[Any]]:
    """What each bucket with trades holds, from the place of its first trade."""
    last = np.append(first[1:], len(trades))[: len(first)] - 1
    volume = np.add.reduceat(trades.quantity, first)
    scale = 10 ** (_VWAP_PLACES - 3)
    # Rounded half up; what is weighed stays far below 64 bits, even for a month.
    doubled = 2 * scale * np.add.reduceat(trades.price * trades.quantity, first) + volume
    vwap = [decimal(each, _VWAP_PLACES) for each in (doubled // (2 * volume)).tolist()]
    return {
        "open": numbers(trades.price[first]),
        "high": numbers(np.maximum.reduceat(trades.price, first)),
        "low": numbers(np.minimum.reduceat(trades.price, first)),
        "close": numbers(trades.price[last]),
        "volume": numbers(volume),
        "vwap": vwap,
        "openTimestamp": trades.time[first].tolist(),
        "closeTimestamp": trades.time[last].tolist(),
    }


def _edges(ask: rules.CandlesRequest, end: int) -> Integers:
    """Where the buckets begin that begin before ``end``, and where the last of them ends."""
    if ask.step is not None:
        count = max(0, -((ask.start - end) // ask.step))
        return ask.start + ask.step * np.arange(count + 1, dtype=np.int64)
    # Months differ in length, so they are counted, not measured.
    ends = np.array([ask.start, max(end, ask.start) - 1]).astype("datetime64[ns]").astype("datetime64[M]")
    first, last = ends.astype(np.int64).tolist()
    return np.arange(first, last + 2).astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)
