"""From a planned piece to its rows: sent, decoded, named, and cut to the piece's own window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
from attrs import define, field

from .. import decoding
from .._time import SECOND
from .._version import __version__
from ..config import Config, Progress
from ..contracts import Contract
from ..decoding import Ids, Schema
from ..errors import ContractError, DecodeError, Failure
from ..planner import Piece, Plan

if TYPE_CHECKING:
    from ..refdata import Catalogue
    from ..transport import Session

__all__ = ["Answers", "Owner"]


class Owner(Protocol):
    """The client whose question it is."""

    @property
    def config(self) -> Config: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def session(self) -> Session: ...


@define(eq=False)
class Answers:
    """Answers the pieces of one question, and makes one frame of them."""

    owner: Owner
    schema: Schema
    workers: int
    progress: Progress
    _order: dict[str, tuple[Any, ...]] = field(factory=dict, init=False, repr=False)
    """Names that were met in a ``Front``, with what orders them."""
    _engine: tuple[Session, Catalogue] | None = field(default=None, init=False, repr=False)
    """What the question, or its resumption, began with: ``configure`` in the middle sends nothing elsewhere."""

    @classmethod
    def of(cls, plan: Plan, owner: Owner) -> Answers:
        """What answers ``plan`` for ``owner``."""
        query, config = plan.query, owner.config
        schema = Schema(query.endpoint, query.fields, query.include_private, query.tz)
        return cls(owner, schema, config.workers, config.progress)

    def ready(self, plan: Plan) -> None:
        """Raise ``ConfigError`` without a key, and ``CircuitOpen`` while the API is left alone."""
        if not len(plan):
            return
        self._engine = self.owner.session, self.owner.catalogue
        self._engine[0].ready(plan.requests[0])

    def fetch(self, piece: Piece, stop: threading.Event) -> pd.DataFrame:
        """The rows of one piece, by time and contract.

        Whether the server takes ``until`` as inclusive is not documented, so a row on the piece's end is left to
        the next piece; a row beyond that was not asked for at all, which is a ``DecodeError``.
        """
        session, _ = self._running()
        payload = session.send(piece.request, stop)
        frame = decoding.decode(payload, self.schema, self._naming(piece))
        moments = pd.DatetimeIndex(frame.index)
        start, end = piece.window.start, piece.window.end
        strays = ~((moments >= start) & (moments < end + SECOND))  # so said, NaT is one too
        if strays.any():
            row = int(strays.argmax())
            time = self.schema.columns[0].wire
            raise DecodeError(
                self.schema.endpoint.name, f"$[{row}].{time}", f"{moments[row]} lies outside of {piece.window}"
            )
        return decoding.join([frame[moments < end]], self.schema, self._ranked(piece.names))

    def whole(self, frames: Iterable[pd.DataFrame], plan: Plan, failures: tuple[Failure, ...]) -> pd.DataFrame:
        """The rows of several pieces as one frame, with what was asked in its ``attrs``."""
        names = [name for piece in plan.pieces for name in piece.names]
        frame = decoding.join(list(frames), self.schema, self._ranked(names))
        if failures:  # what its reader does to it must not be found again in the resumed one
            frame = frame.copy()
        frame.attrs = {"trayport": _said(plan, failures)}
        return frame

    def _naming(self, piece: Piece) -> str | Callable[[Ids], str]:
        if not piece.tells_apart:
            return piece.names[0]
        if not piece.contracts:  # a Front, whose items only its answer knows
            return lambda ids: self._met(piece, ids)
        asked = {(contract.sequence_id, contract.item_id): contract.label for contract in piece.contracts}
        return lambda ids: _asked_for(ids, asked)

    def _met(self, piece: Piece, ids: Ids) -> str:
        contract = Contract(piece.product, ids.sequence_id, ids.item_id, ids.second_item_id, ids.kind)
        _, catalogue = self._running()
        named = catalogue.complete(contract, since=piece.window.start.date())
        self._order[named.label] = (named.period_start is None, named.period_start, named.label)
        return named.label

    def _running(self) -> tuple[Session, Catalogue]:
        return self._engine or (self.owner.session, self.owner.catalogue)

    def _ranked(self, names: Iterable[str]) -> list[str]:
        """The names in the order of ties: as asked, and those of a ``Front`` by delivery."""
        return [*names, *sorted(self._order, key=self._order.__getitem__)]

    def __getstate__(self) -> dict[str, Any]:
        return {"schema": self.schema, "workers": self.workers, "progress": self.progress, "order": self._order}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from .client import DEFAULT  # where an error is unpickled, its own client is far away

        self.owner, self._engine = DEFAULT, None
        self.schema, self.workers = state["schema"], state["workers"]
        self.progress, self._order = state["progress"], state["order"]


def _asked_for(ids: Ids, asked: dict[tuple[int, int], str]) -> str:
    name = asked.get((ids.sequence_id, ids.item_id)) if ids.kind == "single" else None
    if name is None:
        raise ContractError(f"{ids} was not asked for")
    return name


def _said(plan: Plan, failures: tuple[Failure, ...]) -> dict[str, Any]:
    """What a frame says of itself, in plain JSON values: Parquet and ``concat`` take no others."""
    said = {**plan.query.describe(), "requests": len(plan), "complete": not failures, "version": __version__}
    if failures:
        said["missing"] = [
            {"start": failure.start, "end": failure.end, "contract": list(failure.contracts)} for failure in failures
        ]
    return said
