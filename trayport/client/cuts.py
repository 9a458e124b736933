"""What of an answer belongs to a piece: rows on its seams are somebody else's, and others were not asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .._time import SECOND
from ..endpoints import Endpoint
from ..errors import DecodeError
from ..planner import Piece
from ..queries import Query

__all__ = ["check", "cut"]

# guide p. 19: no further back than a year, which may be a leap year.
_LOOK_BACK = pd.Timedelta(days=366)


def check(times: npt.NDArray[np.int64], piece: Piece, query: Query) -> None:
    """Raise ``DecodeError`` for a time that was not asked for, and for an answer that may have been cut."""
    endpoint = piece.request.endpoint
    if not endpoint.named:
        return
    moments = pd.DatetimeIndex(times.view("M8[ns]"), tz="UTC")
    if endpoint.points is not None and moments.nunique() > endpoint.points:
        raise DecodeError(endpoint.name, "$", f"{moments.nunique()} points are as many as it gives: it may be cut")
    strays = ~np.asarray(_asked_for(moments, piece, query))  # so said, NaT is one too
    if strays.any():
        number = int(strays.argmax())
        time = next(column.wire for column in endpoint.columns if column.dtype == "time")
        place = f"$.{time}" if endpoint.rows_at else f"$[{number}].{time}"
        asked = f"{piece.window}" if query.at is None else f"what was asked for, {query.at}"
        raise DecodeError(endpoint.name, place, f"{moments[number]} lies outside of {asked}")


def cut(frame: pd.DataFrame, piece: Piece) -> pd.DataFrame:
    """The rows of ``frame`` that its piece answers for.

    Whether the server takes ``until`` as inclusive is not documented, so a row on a seam is left to the piece that
    it belongs to.
    """
    endpoint, window = piece.request.endpoint, piece.window
    if endpoint.instant or not endpoint.named:
        return frame
    moments = pd.DatetimeIndex(frame.index)
    if endpoint.windows == "points":
        return frame[(moments > window.start) & (moments <= window.end)]
    return frame[moments < window.end]


def _asked_for(moments: pd.DatetimeIndex, piece: Piece, query: Query) -> Any:
    endpoint, window = piece.request.endpoint, piece.window
    if endpoint.instant:
        return _around(moments, query.at, endpoint)
    if endpoint.windows == "points":
        return (moments >= window.start) & (moments <= (piece.request.until or window.end))
    return (moments >= window.start) & (moments < window.end + SECOND)


def _around(moments: pd.DatetimeIndex, at: pd.Timestamp | None, endpoint: Endpoint) -> Any:
    if at is None:  # the server chose
        return moments.notna()
    if endpoint.windows == "at":
        return moments == at
    return (moments < at) & (moments >= at - _LOOK_BACK)
