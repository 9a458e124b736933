"""Own trades that a response contains twice: once with their private fields, once as an anonymous copy.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..venues import VENUES
from .frames import integers

__all__ = ["mark_public_copies"]


def mark_public_copies(cells: Mapping[str, Sequence[pa.Array]]) -> pa.Array:
    """Return True for each row that is the anonymous copy of an own trade.

    Venues with a separate private feed send each own trade twice (guide p. 34). A copy has the same contract, time,
    price and quantity. One venue appends " Public" to its id; the spelling of other venues is not known, so that ids
    only decide which one of several equal trades is the copy. Each own trade has at most one copy.
    """
    own = np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in cells["is_private"]])
    copies = np.zeros(len(own), dtype=bool)
    if not own.any():
        return pa.array(copies)
    times = integers(cells["timestamp"])
    separate = pa.array([code for code, venue in VENUES.items() if venue.separate_private_feed], pa.large_string())
    candidate = (
        pc.is_in(pa.chunked_array(cells["venue_code"]), value_set=separate).to_numpy()
        & np.isin(times, times[own])
        & np.isin(times, times[~own])
    )
    rows = np.flatnonzero(candidate)
    same = ("timestamp", "contract", "venue_code", "price", "quantity")
    keys = zip(*(_cells(cells[name], rows) for name in same), strict=True)
    ids = [text and text.removesuffix(" Public") for text in _cells(cells["trade_id"], rows)]
    groups: dict[tuple[Any, ...], list[tuple[int, str | None]]] = defaultdict(list)
    for key, row, trade_id in zip(keys, rows.tolist(), ids, strict=True):
        groups[key].append((row, trade_id))
    for group in groups.values():
        own_ids = [trade_id for row, trade_id in group if own[row]]
        public = [(row, trade_id) for row, trade_id in group if not own[row]]
        likeliest = sorted(public, key=lambda trade: trade[1] not in own_ids)
        copies[[row for row, _ in likeliest[: len(own_ids)]]] = True
    return pa.array(copies)


def _cells(chunks: Sequence[pa.Array], rows: Any) -> list[Any]:
    return pa.chunked_array(chunks).take(pa.array(rows)).to_pylist()  # type: ignore[no-any-return]
