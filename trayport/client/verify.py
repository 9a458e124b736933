"""Trades against the counts that the API keeps of them."""

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

__all__ = ["verified"]


def verified(
    frame: pd.DataFrame, asked: Mapping[str, Contract], counts: Sequence[tuple[Window, pd.DataFrame]]
) -> dict[str, Any]:
    """Which windows were compared, and which contracts have other trades than were counted in them.

    A trade that was deleted later is counted and no longer shown (guide p. 21); the anonymous copy of an own trade is
    shown and not counted.
    """
    shown = frame[~frame["public_copy"]] if "public_copy" in frame else frame
    differences = [
        {"start": window.start.isoformat(), "end": window.end.isoformat(), "contract": name, **pair}
        for window, counted in counts
        for name, pair in _compared(shown, asked, window, counted).items()
        if pair["trades"] != pair["activity"]
    ]
    if not counts:
        warnings.warn(
            f"nothing was verified: activity counts whole minutes from {ACTIVITY.since:%Y-%m-%d} on (guide p. 19)",
            TrayportWarning,
            stacklevel=2,
        )
    if differences:
        first = differences[0]
        warnings.warn(
            f"{len(differences)} counts of activity differ from the trades, the first for {first['contract']} from "
            f"{first['start']} to {first['end']}: {first['activity']} counted, {first['trades']} shown; "
            'all are in attrs["trayport"]["verified"]',
            TrayportWarning,
            stacklevel=2,
        )
    return {
        "windows": [[window.start.isoformat(), window.end.isoformat()] for window, _ in counts],
        "differences": differences,
    }


def _compared(
    shown: pd.DataFrame, asked: Mapping[str, Contract], window: Window, counted: pd.DataFrame
) -> dict[str, dict[str, int]]:
    moments = pd.DatetimeIndex(shown.index)
    trades = shown["contract"][(moments >= window.start) & (moments < window.end)].value_counts()
    return {
        name: {"trades": int(trades.get(name, 0)), "activity": _count(contract, counted)}
        for name, contract in asked.items()
    }


def _count(contract: Contract, counted: pd.DataFrame) -> int:
    ids = {
        f"{contract.product.kind}_id": contract.product.id,
        "sequence_id": contract.sequence_id,
        "sequence_item_id": contract.item_id,
    }
    rows = pd.Series(True, index=counted.index)
    for column, number in ids.items():
        rows &= counted[column].eq(number).fillna(False).astype(bool)
    rows &= counted["contract_type"].map(kind_of, na_action="ignore").eq(contract.kind).astype(bool)
    if contract.second_item_id is not None:
        rows &= counted["second_sequence_item_id"].eq(contract.second_item_id).fillna(False).astype(bool)
    return int((counted["count"] - counted["delete_count"])[rows].sum())
