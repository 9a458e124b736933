"""One piece of a plan: its request sent, the times of the response checked, its rows decoded and cut to its window.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from attrs import define, field, frozen

from .. import decoding
from .._parallel import CancelToken
from .._time import SECOND
from ..decoding import ContractIds, MemoryLimits, Naming, Rows, Schema
from ..endpoints import ACTIVITY
from ..errors import ContractError, DecodeError
from ..planner import COUNT_FIELDS, Piece
from ..queries import Query
from ..wire import new_request_id

if TYPE_CHECKING:
    from ..transport import Session

__all__ = ["PieceFetcher", "schema_of"]

T = TypeVar("T")

# The columns of the requests that count trades, for `verify=True`.
_COUNTS = Schema(ACTIVITY, COUNT_FIELDS)

# guide p. 19: no further back than a year, which may be a leap year.
_LOOK_BACK = pd.Timedelta(days=366)


@frozen(eq=False)
class PieceFetcher:
    """Fetches single pieces of the plan of one query; threads may share it.

    Parameters
    ----------
    session : Session
        Sends the requests.
    query : Query
        The query that was planned.
    name_of : callable
        Returns the name of a contract from its piece and its ids, for pieces whose contracts only the response
        identifies. May raise ``ContractError``.
    order : callable
        Returns the names of the contracts in the order of rows with the same time.
    bulk : bool, default False
        True for a query of several requests, which lets other queries go first.
    """

    session: Session
    query: Query
    name_of: Callable[[Piece, ContractIds], str]
    order: Callable[[], Sequence[str]]
    bulk: bool = False
    schema: Schema = field(init=False)
    """The columns and dtypes of the frames."""

    @schema.default
    def _schema(self) -> Schema:
        return schema_of(self.query)

    def rows(
        self, piece: Piece, cancel: CancelToken, convert: Callable[[Rows], T], limits: MemoryLimits | None = None
    ) -> T:
        """Return ``convert(rows)`` for the decoded rows of one piece, in the order of the response.

        Rows are not cut to the window of the piece, and they have ids in place of names.

        Parameters
        ----------
        piece : Piece
            The piece to fetch.
        cancel : CancelToken
            Ends the request when it is set.
        convert : callable
            Converts the rows, in the calling thread. The id of the request is added to its ``DecodeError``.
        limits : MemoryLimits, default none
            Limits for the rows held in memory.

        Raises
        ------
        DecodeError
            The response breaks a promise of the guide, has times outside of the piece, or may have been cut.
        TrayportError
            The request failed for good.
        """
        request_id = new_request_id()
        schema = _COUNTS if piece.verifies else self.schema

        def read(chunks: Iterable[bytes]) -> Rows:
            check = _TimeCheck(piece, self.query)
            return decoding.read(
                chunks,
                schema,
                needs_contract_column=_needs_contract_column(piece, schema),
                check=check,
                limits=limits,
                empty_is_valid=piece.request.csv,
            )

        try:
            return convert(self.session.send(piece.request, cancel, bulk=self.bulk, request_id=request_id, read=read))
        except DecodeError as error:
            error.request_id = request_id
            raise

    def frame(self, piece: Piece, cancel: CancelToken) -> pd.DataFrame:
        """Return the rows of one piece, cut to its window and sorted by time and contract; counts as they came."""
        if piece.verifies:
            return self.rows(piece, cancel, lambda rows: rows.frame(""))
        return self.rows(piece, cancel, lambda rows: self._finished(rows.frame(self._naming(piece)), piece))

    def frames(self, piece: Piece, cancel: CancelToken, limits: MemoryLimits) -> Iterator[pd.DataFrame]:
        """Return the same rows as an iterator of frames within ``limits``.

        The whole response has arrived and is decoded when this returns. Frames are made when they are taken: until
        then the rows stay packed.
        """

        def parts(rows: Rows) -> Iterator[pd.DataFrame]:
            return (self._finished(frame, piece) for frame in rows.frames(self._naming(piece)))

        return self.rows(piece, cancel, parts, limits)

    def _naming(self, piece: Piece) -> Naming:
        if not _needs_contract_column(piece, self.schema):
            return piece.names[0]
        if not piece.contracts:
            return lambda ids: self.name_of(piece, ids)
        names = {(c.sequence_id, c.item_id, c.second_item_id, c.kind): c.label for c in piece.contracts}

        def requested_name(ids: ContractIds) -> str:
            name = names.get((ids.sequence_id, ids.item_id, ids.second_item_id, ids.kind))
            if name is None:
                raise ContractError(f"{ids} was not requested")
            return name

        return requested_name

    def _finished(self, frame: pd.DataFrame, piece: Piece) -> pd.DataFrame:
        """Return the rows that belong to the piece, sorted; in snapshots with an empty row for each silent contract."""
        schema = self.schema
        frames = [_cut(frame, piece)]
        if schema.endpoint.list_field:
            silent = [contract.label for contract in piece.contracts if contract.label not in set(frame["contract"])]
            if silent:
                time = frame.index[0] if len(frame) else piece.window.start
                frames.append(decoding.blank(silent, time, schema))
        return decoding.join(frames, schema, self.order())


def schema_of(query: Query) -> Schema:
    """Return the columns and dtypes of the frames of a query."""
    return Schema(query.endpoint, query.fields, query.include_private, query.include_empty, query.tz)


def _needs_contract_column(piece: Piece, schema: Schema) -> bool:
    """Return True if each row of the response names its contract."""
    return not piece.verifies and (piece.needs_contract_column or bool(schema.endpoint.list_field))


def _cut(frame: pd.DataFrame, piece: Piece) -> pd.DataFrame:
    """Return the rows that belong to the piece.

    The guide does not document whether the server takes ``until`` as inclusive, so a row on the seam of two windows
    may come with both; it stays in the one that it belongs to.
    """
    endpoint, window = piece.request.endpoint, piece.window
    if endpoint.is_instant or not endpoint.per_contract:
        return frame
    times = pd.DatetimeIndex(frame.index)
    points = endpoint.windows == "points"
    own = (times > window.start) & (times <= window.end) if points else times < window.end
    return frame if own.all() else frame[own]


@define(eq=False)
class _TimeCheck:
    """Checks the times of a response while it is read."""

    piece: Piece
    query: Query
    _bounds: tuple[int, int] = field(init=False)
    """The first and the last nanosecond that was requested."""
    _elements: int = field(default=0, init=False)
    _points: list[npt.NDArray[np.int64]] = field(factory=list, init=False)
    """All times so far, kept only where the API limits their number."""

    def __attrs_post_init__(self) -> None:
        self._bounds = _bounds(self.piece, self.query)

    def __call__(self, times: npt.NDArray[np.int64]) -> None:
        """Raise ``DecodeError`` if a time was not requested, or if the response may have been cut."""
        endpoint = self.piece.request.endpoint
        if not endpoint.per_contract:
            return
        if endpoint.points is not None:
            self._points.append(times)
            if sum(map(len, self._points)) > endpoint.points:
                points = len(np.unique(np.concatenate(self._points)))
                if points > endpoint.points:
                    raise DecodeError(
                        endpoint.name, "$", f"{points} points are the most that a response has: it may be incomplete"
                    )
        first, last = self._bounds
        strays = (times < first) | (times > last)
        if strays.any():
            number = int(strays.argmax())
            wire = next(column.wire for column in endpoint.columns if column.dtype == "time")
            path = f"$.{wire}" if endpoint.list_field else f"$[{self._elements + number}].{wire}"
            requested = f"{self.piece.window}" if self.query.at is None else f"{self.query.at}"
            time = pd.Timestamp(int(times[number]), tz="UTC")
            raise DecodeError(endpoint.name, path, f"{time} is outside of the request for {requested}")
        self._elements += len(times)


def _bounds(piece: Piece, query: Query) -> tuple[int, int]:
    """Return the first and the last nanosecond that the request of the piece asks for."""
    endpoint, window, at = piece.request.endpoint, piece.window, query.at
    if not endpoint.is_instant:
        if endpoint.windows == "points":
            return window.start.value, (piece.request.until or window.end).value
        return window.start.value, (window.end + SECOND).value - 1
    if at is None:  # the server chose the time
        return pd.Timestamp.min.value, pd.Timestamp.max.value
    if endpoint.windows == "at":
        return at.value, at.value
    return (at - _LOOK_BACK).value, at.value - 1
