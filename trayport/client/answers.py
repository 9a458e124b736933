"""From a planned piece to its rows: sent, decoded, named, and cut to the piece's own window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
from attrs import define, field

from .. import decoding
from .._version import __version__
from ..config import Config, Progress
from ..contracts import Contract, Front, Instrument, Market, Product
from ..decoding import Ids, Limits, Rows, Schema
from ..errors import ContractError, DecodeError, Failure, NotFound
from ..hooks import new_id
from ..planner import Piece, Plan
from ..queries import Query
from .cuts import Check, cut
from .link import ClientLink
from .verify import COUNTS, verified

if TYPE_CHECKING:
    from ..refdata import Catalogue
    from ..transport import Session

__all__ = ["Answers", "Owner"]

# Rows in a frame of a stream, and bytes of all of its answers that wait in memory: what a laptop has to spare.
_LONGEST = 2**16
_WAITING = 2**24


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
    query: Query
    workers: int
    progress: Progress
    deadline: float | None = None
    bulk: bool = False
    """Is it a question of several requests? Others go before them."""
    _met: dict[str, Contract] = field(factory=dict, init=False, repr=False)
    """What answers said they are of, where the question left that open."""
    _engine: tuple[Session, Catalogue] | None = field(default=None, init=False, repr=False)
    """What the question, or its resumption, began with: ``configure`` in the middle sends nothing elsewhere."""

    @classmethod
    def of(cls, plan: Plan, owner: Owner) -> Answers:
        """What answers ``plan`` for ``owner``."""
        config = owner.config
        return cls(owner, plan.query, config.workers, config.progress, config.deadline, len(plan) > 1)

    @property
    def schema(self) -> Schema:
        """The shape of the question's frames."""
        query = self.query
        return Schema(query.endpoint, query.fields, query.include_private, query.include_empty, query.tz)

    def ready(self, plan: Plan) -> None:
        """Raise ``ConfigError`` without a key, and ``CircuitOpen`` while the API is left alone."""
        if not len(plan):
            return
        self._engine = self.owner.session, self.owner.catalogue
        self._engine[0].ready(plan.requests[0])

    def fetch(self, piece: Piece, stop: threading.Event) -> pd.DataFrame:
        """The rows of one piece, by time and contract."""
        with _told(new_id()) as request_id:
            rows = self._rows(piece, stop, request_id, Limits())
            return rows.frame("") if piece.verifies else self._joined(rows.frame(self._naming(piece)), piece)

    def fetch_parts(self, piece: Piece, stop: threading.Event) -> Iterator[pd.DataFrame]:
        """The same in frames that are not too long, made when they are taken: until then, their cells stay packed.

        All of the answer is there, and sound, before the first.
        """
        with _told(new_id()) as request_id:
            rows = self._rows(piece, stop, request_id, Limits(_LONGEST, _WAITING // self.workers))
            return (self._joined(frame, piece) for frame in rows.frames(self._naming(piece)))

    def _rows(self, piece: Piece, stop: threading.Event, request_id: str, limits: Limits) -> Rows:
        """The answer as it is, read while it comes."""
        session, _ = self._running()
        schema = COUNTS if piece.verifies else self.schema

        def read(pieces: Iterable[bytes]) -> Rows:
            look = Check(piece, self.query)
            return decoding.read(
                pieces, schema, needs_contract_column=self._needs_contract_column(piece), check=look, limits=limits
            )

        return session.send(piece.request, stop, bulk=self.bulk, request_id=request_id, read=read)

    def _joined(self, frame: pd.DataFrame, piece: Piece) -> pd.DataFrame:
        rows = [cut(frame, piece), *self._unanswered(frame, piece)]
        return decoding.join(rows, self.schema, self._order())

    def whole(
        self, arrived: Iterable[tuple[Piece, pd.DataFrame]], plan: Plan, failures: tuple[Failure, ...]
    ) -> pd.DataFrame:
        """The rows of several pieces as one frame, with what was asked in its ``attrs``."""
        pairs = list(arrived)
        frame = decoding.join([rows for piece, rows in pairs if not piece.verifies], self.schema, self._order())
        said = _said(plan, failures)
        if failures:  # what its reader does to it must not be found again in the resumed one
            frame = frame.copy()
        elif self.query.verify and len(plan):
            asked = {contract.label: contract for piece in plan.pieces for contract in piece.contracts}
            counts = [(piece.window, rows) for piece, rows in pairs if piece.verifies]
            said["verified"] = verified(frame, asked, counts)
        frame.attrs = {"trayport": said}
        return frame

    def _unanswered(self, frame: pd.DataFrame, piece: Piece) -> list[pd.DataFrame]:
        """In snapshots, empty rows for contracts that the answer leaves out."""
        if not self.schema.endpoint.list_field:
            return []
        silent = [contract.label for contract in piece.contracts if contract.label not in set(frame["contract"])]
        moment = frame.index[0] if len(frame) else piece.window.start
        return [decoding.blank(silent, moment, self.schema)] if silent else []

    def _needs_contract_column(self, piece: Piece) -> bool:
        return not piece.verifies and (piece.needs_contract_column or bool(self.schema.endpoint.list_field))

    def _naming(self, piece: Piece) -> str | Callable[[Ids], str]:
        if not self._needs_contract_column(piece):
            return piece.names[0]
        if not piece.contracts:  # which it is about, only the answer knows
            return lambda ids: self._named(piece, ids)
        asked = {_key(contract): contract.label for contract in piece.contracts}
        return lambda ids: _asked_for(ids, asked)

    def _named(self, piece: Piece, ids: Ids) -> str:
        contract = Contract(piece.product or _product(ids), ids.sequence_id, ids.item_id, ids.second_item_id, ids.kind)
        _, catalogue = self._running()
        try:
            contract = catalogue.complete(contract, since=piece.window.start.date())
        except (ContractError, NotFound):
            if piece.product:
                raise
            # Own trades of a product that the key may not look up stay under its ids.
        self._met[contract.label] = contract
        return contract.label

    def _running(self) -> tuple[Session, Catalogue]:
        return self._engine or (self.owner.session, self.owner.catalogue)

    def _order(self) -> list[str]:
        """The names in the order of ties: as asked, and of a ``Front`` by delivery."""
        contracts = self.query.contracts
        if isinstance(contracts, Front):
            return sorted(self._met, key=lambda name: _delivery(self._met[name]))
        return [contract.label for contract in contracts if isinstance(contract, Contract)]

    def __getstate__(self) -> dict[str, Any]:
        kept = ("query", "workers", "progress", "deadline", "bulk")
        return {**{name: getattr(self, name) for name in kept}, "met": self._met}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.owner, self._engine = ClientLink.default, None
        self.query, self.workers = state["query"], state["workers"]
        self.progress, self.deadline = state["progress"], state["deadline"]
        self.bulk, self._met = state["bulk"], state["met"]


@contextmanager
def _told(request_id: str) -> Iterator[str]:
    """A name for a request, which errors in its answer bear."""
    try:
        yield request_id
    except DecodeError as error:
        error.request_id = request_id
        raise


def _product(ids: Ids) -> Product:
    """The instrument that a row is of, or the market where it names no instrument."""
    if ids.instrument_id is not None:
        return Instrument(ids.instrument_id)
    return Market(ids.market_id)


def _delivery(contract: Contract) -> tuple[bool, Any, str]:
    return contract.period_start is None, contract.period_start, contract.label


def _key(contract: Contract) -> tuple[Any, ...]:
    return contract.sequence_id, contract.item_id, contract.second_item_id, contract.kind


def _asked_for(ids: Ids, asked: dict[tuple[Any, ...], str]) -> str:
    name = asked.get((ids.sequence_id, ids.item_id, ids.second_item_id, ids.kind))
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
