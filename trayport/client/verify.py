"""Verification: the trades of a query against the counts that the API keeps of them.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .._time import Window
from ..contracts import Contract
from ..endpoints import ACTIVITY
from ..errors import TrayportWarning
from ..wire import kind_of

__all__ = ["verify"]


def verify(
    trades: pd.DataFrame, contracts: Mapping[str, Contract], counts: Sequence[tuple[Window, pd.DataFrame]]
) -> dict[str, Any]:
    """Compare trades with counts, and warn of differences.

    A trade that was deleted later is counted, with its deletion beside it, and is no longer in the trades (guide p.
    21). The public copy of an own trade is in the trades and not counted.

    Parameters
    ----------
    trades : DataFrame
        All trades of the contracts.
    contracts : mapping of str to Contract
        The contracts that were queried, by name.
    counts : sequence of pairs
        Windows, each with the frame of its counts.

    Returns
    -------
    dict
        ``windows``, a list of ``[start, end]``, and ``differences``, a list of dicts with ``start``, ``end``,
        ``contract`` and the two numbers ``trades`` and ``activity``. Times are ISO 8601 texts.
    """
    if not counts:
        warnings.warn(
            f"nothing was verified: activity counts whole minutes from {ACTIVITY.since:%Y-%m-%d} on",
            TrayportWarning,
            stacklevel=2,
        )
    counted_trades = trades[~trades["public_copy"]] if "public_copy" in trades else trades
    times = pd.DatetimeIndex(counted_trades.index)
    differences = []
    for window, frame in counts:
        inside = (times >= window.start) & (times < window.end)
        found = counted_trades["contract"][inside].value_counts()
        for name, contract in contracts.items():
            pair = {"trades": int(found.get(name, 0)), "activity": _count(contract, frame)}
            if pair["trades"] != pair["activity"]:
                bounds = {"start": window.start.isoformat(), "end": window.end.isoformat()}
                differences.append({**bounds, "contract": name, **pair})
    if differences:
        first = differences[0]
        warnings.warn(
            f"{len(differences)} counts of activity differ from the trades, the first for {first['contract']} from "
            f"{first['start']} to {first['end']}: {first['activity']} counted, {first['trades']} found; "
            'all are in attrs["trayport"]["verified"]',
            TrayportWarning,
            stacklevel=2,
        )
    return {
        "windows": [[window.start.isoformat(), window.end.isoformat()] for window, _ in counts],
        "differences": differences,
    }


def _count(contract: Contract, counts: pd.DataFrame) -> int:
    """Return the number of trades of a contract that were counted and not deleted."""
    ids = {
        f"{contract.product.kind}_id": contract.product.id,
        "sequence_id": contract.sequence_id,
        "sequence_item_id": contract.item_id,
    }
    if contract.second_item_id is not None:
        ids["second_sequence_item_id"] = contract.second_item_id
    rows = counts["contract_type"].map(kind_of, na_action="ignore").eq(contract.kind).astype(bool)
    for column, number in ids.items():
        rows &= counts[column].eq(number).fillna(False).astype(bool)
    return int((counts["count"] - counts["delete_count"])[rows].sum())
