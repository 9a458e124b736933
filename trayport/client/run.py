"""One run of a plan: the fetched pieces joined to frames, and resumed where pieces are missing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pandas as pd
from attrs import define, evolve, field, frozen

from .. import decoding
from .._console import in_notebook
from .._parallel import CancelToken, deadline_after
from .._version import __version__
from ..config import Config
from ..contracts import Contract, Front, Instrument, Market
from ..decoding import ContractIds, MemoryLimits
from ..errors import ConfigError, ContractError, Failure, Interrupted, NotFound, PartialDataError, TrayportError
from ..fetching import Outcome, PieceFetcher, in_order, outcomes, schema_of
from ..planner import Piece, Plan
from .verify import verify

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..refdata import Catalogue
    from ..transport import Session

__all__ = ["ClientLink", "Run"]

# Rows in a frame of a stream, and bytes of packed rows that wait in memory for all of its responses together.
_STREAM_ROWS = 2**16
_STREAM_BYTES = 2**24


class ClientLike(Protocol):
    """The parts of a client that a run uses."""

    @property
    def config(self) -> Config: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def session(self) -> Session: ...


@frozen(eq=False)
class ClientLink:
    """A link to the client that made a plan or a run; unpickled, to the default client of the new process.

    The key and the connections of a client never leave its process.
    """

    client: ClientLike
    default: ClassVar[ClientLike]
    """The default client, which registers itself here."""

    def run(self, plan: Plan) -> pd.DataFrame:
        """Fetch all pieces of ``plan`` and return them as one frame."""
        return Run(plan, self, self.client.config).frame()

    def __reduce__(self) -> tuple[Any, ...]:
        return _default_link, ()

    def __copy__(self) -> ClientLink:
        return self

    def __deepcopy__(self, _: object) -> ClientLink:
        return self


def _default_link() -> ClientLink:
    return ClientLink(ClientLink.default)


@define(eq=False)
class Run:
    """One run of a plan, and the frames of the pieces that have arrived.

    It pickles with the error that holds it, and then goes on with the default client of the new process.
    """

    plan: Plan
    link: ClientLink
    config: Config
    """The settings of the client when the run was made; resuming keeps them."""
    _frames: dict[int, pd.DataFrame] = field(factory=dict, init=False, repr=False)
    _found: dict[str, Contract] = field(factory=dict, init=False, repr=False)
    """The contracts that only responses identified, by name."""

    def frame(self) -> pd.DataFrame:
        """Return all rows of the plan as one frame; of a resumed run, requesting the missing pieces only.

        Raises
        ------
        PartialDataError
            Some of several pieces failed for good; ``resume()`` calls this again.
        TrayportError
            The only piece failed for good.
        Interrupted
            Ctrl-C.
        """
        missing = [number for number in range(len(self.plan)) if number not in self._frames]
        failed: dict[int, Exception] = {}
        interrupted = False
        try:
            with (
                deadline_after(self.config.deadline),
                self._progress() as advance,
                closing(self._outcomes(missing)) as arriving,
            ):
                for outcome in arriving:
                    if outcome.error is not None:
                        failed[outcome.number] = outcome.error
                    else:
                        self._frames[outcome.number] = outcome.get()
                    advance(outcome.piece)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:  # raised out here, without the stack frames of the interruption, which may hold the key
            failures = self._failures({n: failed.get(n) for n in missing if n not in self._frames})
            raise Interrupted(self._joined(failures), failures, self.frame)
        if failed and len(self.plan) == 1:
            raise failed[0]
        if failed:
            failures = self._failures(failed)
            raise PartialDataError(self._joined(failures), failures, self.frame)
        return self._joined()

    def stream(self, first: int = 0, after: pd.Timestamp | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows of the pieces from number ``first`` on, in order: one frame each, or several for a long piece.

        Of the first piece only rows later than ``after`` are yielded. At most ``Config.workers`` pieces are in flight
        or waiting to be taken. The deadline does not count the time that the reader takes between two frames.

        Raises
        ------
        PartialDataError
            A piece failed for good; ``resume()`` goes on from there.
        TrayportError
            The only piece failed for good.
        Interrupted
            Ctrl-C.
        """
        rest, interrupted = _StreamRest(self, first, after), False
        try:
            with self._progress(first) as advance, closing(self._outcomes_in_order(first)) as arriving:
                for outcome in arriving:
                    if outcome.error is not None:
                        raise self._stream_error(rest, outcome.error)
                    advance(outcome.piece)
                    parts = iter(outcome.get())
                    while (frame := self._next(parts, rest)) is not None:
                        rest = rest.after_frame(frame)
                        yield frame
                    rest = _StreamRest(self, outcome.number + 1)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:
            failures = self._failures(dict.fromkeys(range(rest.number, len(self.plan))))
            raise Interrupted(self._frame_of([], self.plan, failures), failures, rest)

    # --- outcomes ------------------------------------------------------------------------------------------------

    def _outcomes(self, numbers: list[int]) -> Generator[Outcome[pd.DataFrame]]:
        if not numbers:
            return
        try:
            fetcher = self._fetcher()
        except ConfigError:
            raise
        except TrayportError as error:
            yield from (Outcome(number, self.plan.pieces[number], error=error) for number in numbers)
            return
        yield from outcomes(self.plan, fetcher.frame, workers=self.config.workers, numbers=numbers)

    def _outcomes_in_order(self, first: int) -> Generator[Outcome[Iterator[pd.DataFrame]]]:
        if first >= len(self.plan):
            return
        try:
            fetcher = self._fetcher()
        except ConfigError:
            raise
        except TrayportError as error:
            yield Outcome(first, self.plan.pieces[first], error=error)
            return
        limits = MemoryLimits(_STREAM_ROWS, _STREAM_BYTES // self.config.workers)

        def fetch(piece: Piece, cancel: CancelToken) -> Iterator[pd.DataFrame]:
            return fetcher.frames(piece, cancel, limits)

        yield from in_order(self.plan, fetch, workers=self.config.workers, deadline=self.config.deadline, first=first)

    def _fetcher(self) -> PieceFetcher:
        """Return a fetcher on the client's present session, so that ``configure`` does not disturb a run.

        Raises ``ConfigError`` without a key, and ``CircuitOpen`` while no request is sent to the API.
        """
        session, catalogue = self.link.client.session, self.link.client.catalogue
        session.raise_if_open(self.plan.requests[0])
        return PieceFetcher(
            session, self.plan.query, partial(self._name, catalogue), self._order, bulk=len(self.plan) > 1
        )

    def _name(self, catalogue: Catalogue, piece: Piece, ids: ContractIds) -> str:
        """Return the name of a contract that only the response identifies."""
        product = piece.product
        if product is None:
            product = Market(ids.market_id) if ids.instrument_id is None else Instrument(ids.instrument_id)
        contract = Contract(product, ids.sequence_id, ids.item_id, ids.second_item_id, ids.kind)
        try:
            contract = catalogue.complete(contract, since=piece.window.start.date())
        except (ContractError, NotFound):
            if piece.product is not None:
                raise
            # Own trades of a product that the key may not look up keep their ids as a name.
        self._found[contract.label] = contract
        return contract.label

    def _order(self) -> list[str]:
        """Return the names of the contracts in the order of ties: as asked, or of a ``Front`` by delivery."""
        contracts = self.plan.query.contracts
        if isinstance(contracts, Front):
            by_delivery = [(c.period_start is None, c.period_start, c.label) for c in self._found.values()]
            return [name for _, _, name in sorted(by_delivery)]
        return [contract.label for contract in contracts if isinstance(contract, Contract)]

    # --- frames --------------------------------------------------------------------------------------------------

    def _joined(self, failures: tuple[Failure, ...] = ()) -> pd.DataFrame:
        pairs = [(self.plan.pieces[number], self._frames[number]) for number in sorted(self._frames)]
        frame = self._frame_of(pairs, self.plan, failures)
        if self.plan.query.verify and len(self.plan) and not failures:
            contracts = {contract.label: contract for piece in self.plan.pieces for contract in piece.contracts}
            counts = [(piece.window, rows) for piece, rows in pairs if piece.verifies]
            frame.attrs["trayport"]["verified"] = verify(frame, contracts, counts)
        return frame

    def _frame_of(
        self, pairs: Iterable[tuple[Piece, pd.DataFrame]], plan: Plan, failures: tuple[Failure, ...] = ()
    ) -> pd.DataFrame:
        """Return the rows of several pieces as one frame, with the query in its ``attrs``."""
        rows = [rows for piece, rows in pairs if not piece.verifies]
        frame = decoding.join(rows, schema_of(self.plan.query), self._order())
        if failures:
            frame = frame.copy()  # so that edits of the partial result do not show up in the resumed frame
        frame.attrs = {"trayport": _attributes(plan, failures)}
        return frame

    def _failures(self, failed: Mapping[int, Exception | None]) -> tuple[Failure, ...]:
        pieces = self.plan.pieces
        return tuple(
            Failure(
                pieces[number].window.start,
                pieces[number].window.end,
                pieces[number].names,
                error or TrayportError("interrupted before it arrived"),
            )
            for number, error in sorted(failed.items())
        )

    # --- streams -------------------------------------------------------------------------------------------------

    def _next(self, parts: Iterator[pd.DataFrame], rest: _StreamRest) -> pd.DataFrame | None:
        """Return the next frame of a piece without the rows that were yielded before; None after the last one."""
        try:
            rows = next(parts, None)
            if rows is None:
                return None
            if rest.after is not None and not (later := rows.index > rest.after).all():
                rows = rows[later]
            piece, query = self.plan.pieces[rest.number], self.plan.query
            query = evolve(query, window=piece.window, contracts=piece.contracts or query.contracts)
            return self._frame_of([(piece, rows)], evolve(self.plan, query=query, pieces=(piece,)))
        except Exception as error:  # rows that wait on disk cannot be read
            failed = self._stream_error(rest, error)
        raise failed

    def _stream_error(self, rest: _StreamRest, error: Exception) -> Exception:
        if len(self.plan) == 1:
            return error
        failures = self._failures({rest.number: error})
        return PartialDataError(self._frame_of([], self.plan, failures), failures, rest)

    # --- progress ------------------------------------------------------------------------------------------------

    @contextmanager
    def _progress(self, first: int = 0) -> Iterator[Callable[[Piece], None]]:
        """Show a progress bar for several requests, in terminals and notebooks; yield a function that advances it."""
        if len(self.plan) - first < 2 or not self._wants_progress():
            yield lambda piece: None
            return
        from tqdm import tqdm  # imported only where a bar is shown

        bar: tqdm[Any] = tqdm(
            total=len(self.plan), initial=max(first, len(self._frames)), desc=self.plan.query.endpoint.name,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]", delay=0.5,
        )  # fmt: skip

        def advance(piece: Piece) -> None:
            bar.set_postfix_str(f"{piece.label}, {piece.window}", refresh=False)
            bar.update()

        try:
            yield advance
        finally:
            bar.close()

    def _wants_progress(self) -> bool:
        if self.config.progress != "auto":
            return self.config.progress
        return sys.stderr is not None and (sys.stderr.isatty() or in_notebook())


@define(eq=False)
class _StreamRest:
    """The rest of a stream, from one piece on; called, it goes on there. A class, so that it pickles in an error."""

    run: Run
    number: int
    after: pd.Timestamp | None = None
    """The last time of that piece which was yielded already."""

    def after_frame(self, frame: pd.DataFrame) -> _StreamRest:
        """Return the rest of the stream after ``frame``."""
        return evolve(self, after=frame.index[-1]) if len(frame) else self

    def __call__(self) -> Iterator[pd.DataFrame]:
        return self.run.stream(self.number, self.after)


def _attributes(plan: Plan, failures: tuple[Failure, ...]) -> dict[str, Any]:
    """Return the value of ``attrs["trayport"]``, as plain JSON values: Parquet and ``concat`` take no others."""
    attributes = {**plan.query.describe(), "requests": len(plan), "complete": not failures, "version": __version__}
    if failures:
        attributes["missing"] = [
            {"start": each.start.isoformat(), "end": each.end.isoformat(), "contract": list(each.contracts)}
            for each in failures
        ]
    return attributes
