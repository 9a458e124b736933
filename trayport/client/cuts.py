"""What of an answer belongs to a piece: rows on its seams are somebody else's, and others were not asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from attrs import define, field

from .._time import SECOND
from ..endpoints import Endpoint
from ..errors import DecodeError
from ..planner import Piece
from ..queries import Query

__all__ = ["Check", "cut"]

# guide p. 19: no further back than a year, which may be a leap year.
_LOOK_BACK = pd.Timedelta(days=366)


@define(eq=False)
class Check:
    """Looks at the times of an answer while it is read."""

    piece: Piece
    query: Query
    _bounds: tuple[int, int] = field(init=False)
    """The first and the last nanosecond that was asked for."""
    _elements: int = field(default=0, init=False)
    _seen: list[npt.NDArray[np.int64]] = field(factory=list, init=False)
    """All of them, where their number is limited."""

    def __attrs_post_init__(self) -> None:
        self._bounds = _asked_for(self.piece, self.query)

    def __call__(self, times: npt.NDArray[np.int64]) -> None:
        """Raise ``DecodeError`` for a time that was not asked for, and for an answer that may have been cut."""
        endpoint = self.piece.request.endpoint
        if not endpoint.per_contract:
            return
        if endpoint.points is not None:
            self._seen.append(times)
            self._refuse_cut(endpoint, endpoint.points)
        self._refuse_strays(times, endpoint)
        self._elements += len(times)

    def _refuse_cut(self, endpoint: Endpoint, most: int) -> None:
        if sum(map(len, self._seen)) <= most:
            return
        points = len(np.unique(np.concatenate(self._seen)))
        if points > most:
            raise DecodeError(endpoint.name, "$", f"{points} points are as many as it gives: it may be cut")

    def _refuse_strays(self, times: npt.NDArray[np.int64], endpoint: Endpoint) -> None:
        first, last = self._bounds
        strays = (times < first) | (times > last)
        if not strays.any():
            return
        number = int(strays.argmax())
        time = next(column.wire for column in endpoint.columns if column.dtype == "time")
        place = f"$.{time}" if endpoint.list_field else f"$[{self._elements + number}].{time}"
        asked = f"{self.piece.window}" if self.query.at is None else f"what was asked for, {self.query.at}"
        raise DecodeError(endpoint.name, place, f"{_told(times[number])} lies outside of {asked}")


def cut(frame: pd.DataFrame, piece: Piece) -> pd.DataFrame:
    """The rows of ``frame`` that its piece answers for.

    Whether the server takes ``until`` as inclusive is not documented, so a row on a seam is left to the piece that
    it belongs to.
    """
    endpoint, window = piece.request.endpoint, piece.window
    if endpoint.instant or not endpoint.per_contract:
        return frame
    moments = pd.DatetimeIndex(frame.index)
    points = endpoint.windows == "points"
    own = (moments > window.start) & (moments <= window.end) if points else moments < window.end
    return frame if own.all() else frame[own]


def _told(time: np.int64) -> pd.Timestamp:
    return pd.Timestamp(int(time), tz="UTC")


def _asked_for(piece: Piece, query: Query) -> tuple[int, int]:
    endpoint, window = piece.request.endpoint, piece.window
    if endpoint.instant:
        return _around(query.at, endpoint)
    if endpoint.windows == "points":
        return window.start.value, (piece.request.until or window.end).value
    return window.start.value, (window.end + SECOND).value - 1


def _around(at: pd.Timestamp | None, endpoint: Endpoint) -> tuple[int, int]:
    if at is None:  # the server chose
        return pd.Timestamp.min.value, pd.Timestamp.max.value
    if endpoint.windows == "at":
        return at.value, at.value
    return (at - _LOOK_BACK).value, at.value - 1
