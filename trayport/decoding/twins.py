"""Own trades that come twice: which rows are the anonymous copies."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..venues import VENUES

__all__ = ["public_copies"]


def public_copies(frame: pd.DataFrame) -> pd.api.extensions.ExtensionArray:
    """Which rows are the anonymous twin of one of your own trades.

    Venues with a separate private feed send each own trade twice (guide p. 34). A twin has the same contract,
    time, price and quantity; the id ends in " Public" at one venue, and how others spell it is not known, so ids
    only decide which of several equals is the twin. Each own trade has one twin at the most.
    """
    twin = np.zeros(len(frame), dtype=bool)
    own = frame["is_private"].to_numpy(dtype=bool)
    separate = [code for code, venue in VENUES.items() if venue.separate_private_feed]
    at_stake = (
        frame["venue_code"].isin(separate).to_numpy(dtype=bool)
        & frame.index.isin(frame.index[own])
        & frame.index.isin(frame.index[~own])
    )
    if (own & at_stake).any():
        rows = frame.reset_index()[at_stake].assign(own=own[at_stake], row=np.flatnonzero(at_stake))
        rows["bare_id"] = rows["trade_id"].str.removesuffix(" Public")
        same = ["timestamp", "contract", "venue_code", "price", "quantity"]
        for _, group in rows.groupby(same, sort=False, dropna=False):
            if group["own"].any():
                twin[_twins(group)] = True
    return pd.array(twin, dtype="boolean")


def _twins(group: pd.DataFrame) -> list[int]:
    """Of trades that agree in all but the id: the rows that are copies of the own ones among them."""
    own_ids = set(group.loc[group["own"], "bare_id"])
    public = group[~group["own"]]
    by_id = public["bare_id"].isin(own_ids)
    likeliest = pd.concat([public[by_id], public[~by_id]])
    return likeliest["row"].tolist()[: int(group["own"].sum())]
