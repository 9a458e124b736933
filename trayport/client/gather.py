"""Gets the pieces of a plan, several at a time, and keeps what arrived when others fail."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pandas as pd
from attrs import define, evolve, field

from ..config import Progress
from ..errors import Failure, Interrupted, IntradayNotAllowed, NotAllowed, PartialDataError, TrayportError
from ..planner import Piece, Plan

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Gathering", "Source"]

# Waits are cut to this, since on Windows Ctrl-C does not end a wait for a lock.
_GLANCE = 0.2


class Source(Protocol):
    """What answers pieces, and makes frames of the answers."""

    workers: int
    progress: Progress

    def ready(self, plan: Plan) -> None:
        """Raise what keeps the question from being asked at all."""

    def fetch(self, piece: Piece, stop: threading.Event) -> pd.DataFrame:
        """The rows of one piece."""
        ...

    def whole(self, frames: Iterable[pd.DataFrame], plan: Plan, failures: tuple[Failure, ...]) -> pd.DataFrame:
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
        failed: dict[int, TrayportError] = {}
        if missing:
            self.source.ready(self.plan)
        try:
            with self._progress() as advance, closing(self._outcomes(missing)) as outcomes:
                for number, outcome in outcomes:
                    if isinstance(outcome, TrayportError):
                        failed[number] = outcome
                    else:
                        self.arrived[number] = outcome
                    advance(number)
        except KeyboardInterrupt:
            failures = self._failures({number: None for number in missing if number not in self.arrived})
            raise Interrupted(self._whole(failures), failures, self.frame) from None
        if failed:
            if len(self.plan) == 1:
                raise failed[0]
            failures = self._failures(failed)
            raise PartialDataError(self._whole(failures), failures, self.frame)
        return self._whole(())

    def frames(self, first: int = 0) -> Iterator[pd.DataFrame]:
        """The pieces from ``first`` on, one frame each, in order.

        Never more of them are under way or waiting to be taken than there are workers. A piece that fails for
        good raises ``PartialDataError`` in its place, whose ``resume()`` goes on from there.
        """
        if first < len(self.plan):
            self.source.ready(self.plan)
        number = first
        try:
            with self._progress(first) as advance, closing(self._in_order(first)) as outcomes:
                for number, outcome in outcomes:
                    if isinstance(outcome, TrayportError):
                        raise self._broken_off(number, outcome)
                    advance(number)
                    yield self.source.whole([outcome], self._part(number), ())
        except KeyboardInterrupt:
            failures = self._failures({number: None})
            raise Interrupted(self._whole(failures), failures, _From(self, number)) from None

    def _broken_off(self, number: int, error: TrayportError) -> TrayportError:
        if len(self.plan) == 1:
            return error
        failures = self._failures({number: error})
        return PartialDataError(self.source.whole([], self.plan, failures), failures, _From(self, number))

    def _outcomes(self, numbers: list[int]) -> Generator[tuple[int, _Outcome]]:
        """Every piece, as it comes."""
        stop = threading.Event()
        if len(numbers) < 2:  # no thread for a single request
            for number in numbers:
                yield number, self._outcome(number, stop)
            return
        with _pool(min(self.source.workers, len(numbers)), stop) as pool:
            futures = {pool.submit(self._outcome, number, stop): number for number in numbers}
            pending = set(futures)
            refused: TrayportError | None = None
            while pending:
                done, pending = wait(pending, timeout=_GLANCE, return_when=FIRST_COMPLETED)
                for future in done:
                    outcome = refused if future.cancelled() else future.result()
                    if outcome is not None:
                        yield futures[future], outcome
                    if refused is None and isinstance(outcome, TrayportError) and _key_is_refused(outcome):
                        refused = outcome
                        for other in pending:
                            other.cancel()

    def _in_order(self, first: int) -> Generator[tuple[int, _Outcome]]:
        """The pieces from ``first`` on in their order, with the next ones under way."""
        stop = threading.Event()
        if len(self.plan) - first < 2:
            for number in range(first, len(self.plan)):
                yield number, self._outcome(number, stop)
            return
        with _pool(self.source.workers, stop) as pool:
            ahead: deque[Future[_Outcome]] = deque()
            following = iter(range(first, len(self.plan)))
            for number in range(first, len(self.plan)):
                while len(ahead) < self.source.workers and (new := next(following, None)) is not None:
                    ahead.append(pool.submit(self._outcome, new, stop))
                while not ahead[0].done():
                    wait([ahead[0]], timeout=_GLANCE)
                yield number, ahead.popleft().result()

    def _outcome(self, number: int, stop: threading.Event) -> _Outcome:
        try:
            return self.source.fetch(self.plan.pieces[number], stop)
        except TrayportError as error:
            return error

    def _whole(self, failures: tuple[Failure, ...]) -> pd.DataFrame:
        frames = (self.arrived[number] for number in sorted(self.arrived))
        return self.source.whole(frames, self.plan, failures)

    def _part(self, number: int) -> Plan:
        """The plan of one piece alone."""
        piece = self.plan.pieces[number]
        return evolve(self.plan, query=evolve(self.plan.query, window=piece.window), pieces=(piece,))

    def _failures(self, failed: Mapping[int, TrayportError | None]) -> tuple[Failure, ...]:
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
            total=len(self.plan), initial=max(done, len(self.arrived)), desc=self.plan.query.endpoint.name, unit="req",
            delay=0.5,
        )  # fmt: skip

        def advance(number: int) -> None:
            piece = self.plan.pieces[number]
            bar.set_postfix_str(f"{piece.label}, {piece.window}", refresh=False)
            bar.update()

        try:
            yield advance
        finally:
            bar.close()


_Outcome: TypeAlias = pd.DataFrame | TrayportError


@define(eq=False)
class _From:
    """Resumes a stream: the frames from one piece on. A class, so that an error which holds it pickles."""

    gathering: Gathering
    number: int

    def __call__(self) -> Iterator[pd.DataFrame]:
        return self.gathering.frames(self.number)


@contextmanager
def _pool(workers: int, stop: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """Threads that are told to stop, and not waited for, when the question is given up."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="trayport")
    try:
        yield pool
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _key_is_refused(error: TrayportError) -> bool:
    """Will every other piece meet the same answer? Then asking would only draw attention to the key."""
    return isinstance(error, NotAllowed) and error.status == 401 and not isinstance(error, IntradayNotAllowed)


def _wanted(progress: Progress) -> bool:
    if progress != "auto":
        return progress
    return sys.stderr is not None and (sys.stderr.isatty() or _in_notebook())


def _in_notebook() -> bool:
    """Is a Jupyter kernel running this?"""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    return type(running).__name__ == "ZMQInteractiveShell"
