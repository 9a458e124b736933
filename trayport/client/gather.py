"""Gets the pieces of a plan, several at a time, and keeps what arrived when others fail."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import pandas as pd
from attrs import define, evolve, field

from .._console import in_notebook
from .._parallel import Cancelled, CancelToken, Deadline, deadline_after, pool, wait_any
from ..config import Progress
from ..errors import (
    CircuitOpen,
    ConfigError,
    Failure,
    Interrupted,
    IntradayNotAllowed,
    NotAllowed,
    PartialDataError,
    QueryError,
    TimedOut,
    TrayportError,
)
from ..planner import Piece, Plan

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Gathering", "Source"]

T = TypeVar("T")


class Source(Protocol):
    """What answers pieces, and makes frames of the answers."""

    workers: int
    progress: Progress
    deadline: float | None
    """Seconds for the whole question, and again for each resumption."""

    def ready(self, plan: Plan) -> None:
        """Raise what keeps the question from being asked at all."""

    def fetch(self, piece: Piece, stop: threading.Event) -> pd.DataFrame:
        """The rows of one piece."""
        ...

    def fetch_parts(self, piece: Piece, stop: threading.Event) -> Iterable[pd.DataFrame]:
        """The rows of one piece in frames that are not too long, in order; none twice at one time."""
        ...

    def whole(
        self, arrived: Iterable[tuple[Piece, pd.DataFrame]], plan: Plan, failures: tuple[Failure, ...]
    ) -> pd.DataFrame:
        """The rows of several pieces as one frame, which says what it is an answer to."""
        ...


@define(eq=False)
class Gathering:
    """A question on its way: its plan, and the rows of the pieces that have arrived."""

    plan: Plan
    source: Source
    arrived: dict[int, pd.DataFrame] = field(factory=dict)

    def frame(self) -> pd.DataFrame:
        """The whole answer.

        With several pieces, ``PartialDataError`` if any failed for good; with one, its own error. Ctrl-C raises
        ``Interrupted``.
        """
        missing = [number for number in range(len(self.plan)) if number not in self.arrived]
        refused = self._refused() if missing else None
        failed: dict[int, Exception] = dict.fromkeys(missing, refused) if refused else {}
        interrupted = False
        try:
            with (
                deadline_after(self.source.deadline),
                self._progress() as advance,
                closing(self._outcomes([] if refused else missing)) as outcomes,
            ):
                for number, outcome in outcomes:
                    if isinstance(outcome, Exception):
                        failed[number] = outcome
                    else:
                        self.arrived[number] = outcome
                    advance(number)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:  # raised out here, without the frames in which the interruption found the key
            failures = self._failures({n: failed.get(n) for n in missing if n not in self.arrived})
            raise Interrupted(self._whole(failures), failures, self.frame)
        if failed and len(self.plan) == 1:
            raise failed[0]
        if failed:
            failures = self._failures(failed)
            raise PartialDataError(self._whole(failures), failures, self.frame)
        return self._whole(())

    def frames(self, first: int = 0, after: pd.Timestamp | None = None) -> Iterator[pd.DataFrame]:
        """The pieces from ``first`` on, one frame each, or several where that would be too long, in order.

        Of the first, only what is later than ``after``.

        Never more of them are under way or waiting to be taken than ``Source.workers`` says. A piece that fails for
        good raises ``PartialDataError`` in its place, whose ``resume()`` goes on from there. Of the deadline only the
        time counts that is waited here: what a reader does between two pieces takes as long as it likes.
        """
        refused = self._refused() if first < len(self.plan) else None
        rest, interrupted = _From(self, first, after), False
        if refused:
            raise self._broken_off(rest, refused)
        try:
            with self._progress(first) as advance, closing(self._in_order(first)) as outcomes:
                for number, outcome in outcomes:
                    if isinstance(outcome, Exception):
                        raise self._broken_off(rest, outcome)
                    advance(number)
                    parts = iter(outcome)
                    while (frame := self._next(parts, rest)) is not None:
                        rest = rest.behind(frame)
                        yield frame
                    rest = _From(self, number + 1)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:
            failures = self._failures(dict.fromkeys(range(rest.number, len(self.plan))))
            raise Interrupted(self.source.whole([], self.plan, failures), failures, rest)

    def _next(self, parts: Iterator[pd.DataFrame], rest: _From) -> pd.DataFrame | None:
        """The next frame of a piece, without what was handed over before; None behind the last."""
        try:
            rows = next(parts, None)
            if rows is None:
                return None
            if rest.after is not None and not (later := rows.index > rest.after).all():
                rows = rows[later]
            return self.source.whole([(self.plan.pieces[rest.number], rows)], self._part(rest.number), ())
        except Exception as error:  # what waited on disk cannot be read
            broken = self._broken_off(rest, error)
        raise broken

    def _refused(self) -> TrayportError | None:
        """What keeps the whole question from being asked now; a missing key is said as it is."""
        try:
            self.source.ready(self.plan)
        except ConfigError:
            raise
        except TrayportError as error:
            return error
        return None

    def _broken_off(self, rest: _From, error: Exception) -> Exception:
        if len(self.plan) == 1:
            return error
        failures = self._failures({rest.number: error})
        return PartialDataError(self.source.whole([], self.plan, failures), failures, rest)

    def _outcomes(self, numbers: list[int]) -> Generator[tuple[int, _Outcome]]:
        """Every piece, as it comes; those that would meet the same refusal are not asked any more."""
        if not numbers:
            return
        stop = CancelToken()
        workers = min(self.source.workers, len(numbers))
        with pool(workers, stop) as threads:
            waiting = deque(numbers)
            pending: dict[Future[_Outcome], int] = {}
            while waiting or pending:
                while waiting and len(pending) < 2 * workers:  # as many again, so that no thread waits for this one
                    new = waiting.popleft()
                    pending[threads.submit(self._outcome, self.source.fetch, new, stop)] = new
                done = wait_any(pending, stop)
                if not done:
                    yield from ((number, self._late(stop)) for number in (*pending.values(), *waiting))
                    return
                for future in done:
                    if (number := pending.pop(future, None)) is None:
                        continue  # it would have met a refusal, and was told with that
                    outcome = future.result()
                    yield number, outcome
                    if isinstance(outcome, Exception):
                        yield from ((other, outcome) for other in self._sharing(number, outcome, pending, waiting))

    def _sharing(
        self, number: int, refusal: Exception, pending: dict[Future[_Outcome], int], waiting: deque[int]
    ) -> list[int]:
        """Those that are not asked any more, since they would meet the same refusal."""
        alike = [future for future, other in pending.items() if self._shares(number, refusal, other)]
        spared = [pending.pop(future) for future in alike if future.cancel()]
        for _ in range(len(waiting)):
            other = waiting.popleft()
            (spared if self._shares(number, refusal, other) else waiting).append(other)
        return spared

    def _shares(self, number: int, outcome: Exception, other: int) -> bool:
        """Would the other piece meet the same answer? Then asking would only draw attention to the key."""
        if isinstance(outcome, CircuitOpen):
            return True  # waited for as long as a piece may wait
        if not isinstance(outcome, NotAllowed) or isinstance(outcome, IntradayNotAllowed):
            return False
        pieces = self.plan.pieces
        return outcome.status == 401 or pieces[number].product == pieces[other].product

    def _in_order(self, first: int) -> Generator[tuple[int, Iterable[pd.DataFrame] | Exception]]:
        """The pieces from ``first`` on in their order, with the next ones under way."""
        numbers = range(first, len(self.plan))
        if not numbers:
            return
        deadline = Deadline(self.source.deadline) if self.source.deadline else None
        stop, process = CancelToken(deadline), os.getpid()
        with pool(min(self.source.workers, len(numbers)), stop) as threads:
            ahead: deque[Future[Any]] = deque()
            following = iter(numbers)
            for number in numbers:
                if os.getpid() != process:
                    raise QueryError("a stream cannot be continued in a forked process: ask for it there")
                while len(ahead) < self.source.workers and (new := next(following, None)) is not None:
                    ahead.append(threads.submit(self._outcome, self.source.fetch_parts, new, stop))
                arrived = wait_any([ahead[0]], stop)
                outcome = ahead.popleft().result() if arrived else self._late(stop)
                if deadline:
                    deadline.pause()
                yield number, outcome
                if deadline:
                    deadline.go_on()

    def _late(self, stop: CancelToken) -> TimedOut:
        """What a piece is whose thread has not even said that it is late."""
        return TimedOut(self.plan.query.endpoint.name, 0, f"{stop.deadline} are over")

    def _outcome(
        self, fetch: Callable[[Piece, threading.Event], T], number: int, stop: threading.Event
    ) -> T | Exception:
        """The rows of a piece, or what went wrong with it; only a missing setting ends the whole question."""
        try:
            return fetch(self.plan.pieces[number], stop)
        except (ConfigError, Cancelled):
            raise
        except Exception as error:
            return error

    def _whole(self, failures: tuple[Failure, ...]) -> pd.DataFrame:
        arrived = [(self.plan.pieces[number], self.arrived[number]) for number in sorted(self.arrived)]
        return self.source.whole(arrived, self.plan, failures)

    def _part(self, number: int) -> Plan:
        """The plan of one piece alone."""
        piece = self.plan.pieces[number]
        contracts = piece.contracts or self.plan.query.contracts
        return evolve(
            self.plan, query=evolve(self.plan.query, window=piece.window, contracts=contracts), pieces=(piece,)
        )

    def _failures(self, failed: Mapping[int, Exception | None]) -> tuple[Failure, ...]:
        pieces = self.plan.pieces
        return tuple(
            Failure(
                pieces[number].window.start.isoformat(),
                pieces[number].window.end.isoformat(),
                pieces[number].names,
                error or TrayportError("interrupted before it arrived"),
            )
            for number, error in sorted(failed.items())
        )

    @contextmanager
    def _progress(self, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Shows a bar for several requests, in terminals and notebooks; what it gives is called for each one."""
        if len(self.plan) - done < 2 or not _wanted(self.source.progress):
            yield lambda number: None
            return
        from tqdm import tqdm  # only where there is something to show

        bar: tqdm[Any] = tqdm(
            total=len(self.plan), initial=max(done, len(self.arrived)), desc=self.plan.query.endpoint.name,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]", delay=0.5,
        )  # fmt: skip

        def advance(number: int) -> None:
            piece = self.plan.pieces[number]
            bar.set_postfix_str(f"{piece.label}, {piece.window}", refresh=False)
            bar.update()

        try:
            yield advance
        finally:
            bar.close()


_Outcome: TypeAlias = pd.DataFrame | Exception


@define(eq=False)
class _From:
    """Resumes a stream: the frames from one piece on. A class, so that an error which holds it pickles."""

    gathering: Gathering
    number: int
    after: pd.Timestamp | None = None
    """The last time of that piece which was handed over already."""

    def behind(self, frame: pd.DataFrame) -> _From:
        """What is left after ``frame``."""
        return evolve(self, after=frame.index[-1]) if len(frame) else self

    def __call__(self) -> Iterator[pd.DataFrame]:
        return self.gathering.frames(self.number, self.after)


def _wanted(progress: Progress) -> bool:
    if progress != "auto":
        return progress
    return sys.stderr is not None and (sys.stderr.isatty() or in_notebook())
