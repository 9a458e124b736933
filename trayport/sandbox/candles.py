"""Response of ``/trades/ohlcv``: candles, computed from the trades that ``/trades`` returns."""

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

# The volume-weighted price has four decimals in the published sample.
_VWAP_DECIMALS = 4
# Trades of this number of days are simulated together.
_DAYS_PER_CHUNK = 100
_OPTIONAL = ("vwap", "openTimestamp", "closeTimestamp")


def candles(parameters: Parameters, view: View) -> Payload:
    """Return the rows of ``/trades/ohlcv``: all candles that begin in the range and before the end of the data."""
    request = rules.candles(parameters, view.caller)
    edges = _edges(request, view.end(request.until))
    contracts = request.subject.contracts()

    def make(block: slice) -> PayloadTable:
        some = edges[block.start : block.stop + 1]
        traded = view.trades(contracts, int(some[0]), int(some[-1]))
        return PayloadTable(tuple(_columns(request, view, some, traded)))

    per_chunk = 1 if request.step is None else _DAYS_PER_CHUNK * DAY // request.step // view.market.volume
    return Payload.blocks(len(edges) - 1, make, max(1, min(BLOCK, per_chunk)))


def _edges(request: rules.CandlesRequest, end: int) -> Integers:
    """Return the starts of all candles that begin before ``end``, followed by the end of the last one."""
    if request.step is not None:
        count = max(0, -((request.start - end) // request.step))
        return request.start + request.step * np.arange(count + 1, dtype=np.int64)
    # Months differ in length, so their edges come from the calendar.
    ends = np.array([request.start, max(end, request.start) - 1]).astype("datetime64[ns]").astype("datetime64[M]")
    first, last = ends.astype(np.int64).tolist()
    return np.arange(first, last + 2).astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)


def _columns(request: rules.CandlesRequest, view: View, edges: Integers, trades: Trades) -> list[PayloadColumn]:
    """Return the candles between some edges."""
    found = trades.between(int(edges[0]), view.caller.known)
    candle = np.searchsorted(edges, found.time, side="right") - 1
    first = np.flatnonzero(np.diff(candle, prepend=-1))
    filled = candle[first]
    rows = np.arange(len(edges) - 1) if request.include_empty else filled
    places = (filled if request.include_empty else np.arange(len(filled))).tolist()
    columns = [
        PayloadColumn("fromTimestamp", edges[rows].tolist(), "time"),
        PayloadColumn("toTimestamp", edges[rows + 1].tolist(), "time"),
    ]
    empty_value = _EMPTY_VALUES[view.switches.empty_candles]
    for name, values in _aggregates(found, first).items():
        if name not in _OPTIONAL or name in request.fields:
            cells = [empty_value(name)] * len(rows)
            for place, value in zip(places, values, strict=True):
                cells[place] = value
            columns.append(PayloadColumn(name, cells, "time" if name.endswith("Timestamp") else "plain"))
    return columns


def _aggregates(trades: Trades, first: Integers) -> dict[str, list[Any]]:
    """Return the values of each candle with trades, by field; ``first`` is the index of its first trade."""
    last = np.append(first[1:], len(trades))[: len(first)] - 1
    volume = np.add.reduceat(trades.quantity, first)
    scale = 10 ** (_VWAP_DECIMALS - 3)
    # Rounded half up. The sum of price times quantity stays far below 2**63, even for a month.
    doubled = 2 * scale * np.add.reduceat(trades.price * trades.quantity, first) + volume
    vwap = [decimal(each, _VWAP_DECIMALS) for each in (doubled // (2 * volume)).tolist()]
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


def _null_value(name: str) -> Any:
    if name.endswith("Timestamp"):
        return NO_TIME
    return "0" if name == "volume" else "null"


_EMPTY_VALUES: dict[Empty, Callable[[str], Any]] = {
    "null": _null_value,
    "zero": lambda name: 0 if name.endswith("Timestamp") else "0",
    "absent": lambda name: None,
}
"""Value of each field in a candle without trades, by the position of the switch."""
