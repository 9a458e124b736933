"""The pieces of a plan, fetched several at a time, and the outcome of each."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

from .._parallel import Cancelled, CancelToken, Deadline, pool, wait_any
from ..errors import CircuitOpen, ConfigError, IntradayNotAllowed, NotAllowed, QueryError, TimedOut
from ..planner import Piece, Plan

__all__ = ["Fetch", "Outcome", "in_order", "outcomes"]

T = TypeVar("T")

Fetch: TypeAlias = Callable[[Piece, CancelToken], T]
"""Fetches one piece; the event is set when the result is no longer wanted."""


@frozen(eq=False)
class Outcome(Generic[T]):
    """One piece of a plan with its result, or with the error that ended it."""

    number: int
    """The position of the piece in ``Plan.pieces``."""
    piece: Piece
    result: T | None = None
    error: Exception | None = None

    def get(self) -> T:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # None only where T allows it


def outcomes(
    plan: Plan, fetch: Fetch[T], *, workers: int, numbers: Sequence[int] | None = None
) -> Generator[Outcome[T]]:
    """Yield the outcome of each piece of ``plan``, in the order of arrival.

    An error of one piece does not end the others. Pieces that would fail with the same refusal as an earlier one, such
    as a key that is not accepted, are not requested any more; their outcome is that error. The pieces that are still
    missing when the deadline of the call passes end with ``TimedOut``. Closing the generator cancels the rest.

    Parameters
    ----------
    plan : Plan
        The pieces to fetch.
    fetch : callable
        Called in a worker thread with a piece and an event that is set when the result is no longer wanted.
    workers : int
        Maximum number of pieces fetched at the same time.
    numbers : sequence of int, default all
        Positions in ``plan.pieces`` of the pieces to fetch.

    Yields
    ------
    Outcome

    Raises
    ------
    ConfigError
        A setting, such as the key, is missing: no piece can be fetched.
    """
    waiting = deque(range(len(plan)) if numbers is None else numbers)
    if not waiting:
        return
    cancel = CancelToken()
    workers = min(workers, len(waiting))
    with pool(workers, cancel) as threads:
        pending: dict[Future[Outcome[T]], int] = {}
        while waiting or pending:
            while waiting and len(pending) < 2 * workers:  # a queue of one piece per worker, so that no worker idles
                number = waiting.popleft()
                pending[threads.submit(_outcome, plan, number, fetch, cancel)] = number
            done = wait_any(pending, cancel)
            if not done:
                yield from (_late(plan, number, cancel) for number in (*pending.values(), *waiting))
                return
            for future in done:
                if pending.pop(future, None) is None:
                    continue  # removed by `_pop_refused` a moment ago
                outcome = future.result()
                yield outcome
                if outcome.error is not None:
                    for number in _pop_refused(plan, outcome.piece, outcome.error, pending, waiting):
                        yield Outcome(number, plan.pieces[number], error=outcome.error)


def in_order(
    plan: Plan, fetch: Fetch[T], *, workers: int, deadline: float | None = None, first: int = 0
) -> Generator[Outcome[T]]:
    """Yield the outcome of each piece of ``plan``, in the order of the plan.

    At most ``workers`` pieces are in flight or waiting to be taken. Closing the generator cancels the rest.

    Parameters
    ----------
    plan : Plan
        The pieces to fetch.
    fetch : callable
        As for ``outcomes``.
    workers : int
        Maximum number of pieces that are in flight or waiting to be taken.
    deadline : float, default None
        Seconds for all pieces, without the time that the caller takes between two of them.
    first : int, default 0
        Position in ``plan.pieces`` of the first piece to fetch.

    Yields
    ------
    Outcome

    Raises
    ------
    ConfigError
        A setting, such as the key, is missing: no piece can be fetched.
    QueryError
        The process was forked since the first piece.
    """
    numbers = range(first, len(plan))
    if not numbers:
        return
    remaining = Deadline(deadline) if deadline else None
    cancel, process = CancelToken(remaining), os.getpid()
    with pool(min(workers, len(numbers)), cancel) as threads:
        ahead: deque[Future[Outcome[T]]] = deque()
        following = iter(numbers)
        for number in numbers:
            if os.getpid() != process:
                raise QueryError("a stream cannot continue in a forked process", "run the query in the child process")
            while len(ahead) < workers and (new := next(following, None)) is not None:
                ahead.append(threads.submit(_outcome, plan, new, fetch, cancel))
            done = wait_any([ahead[0]], cancel)
            outcome = ahead.popleft().result() if done else _late(plan, number, cancel)
            if remaining:
                remaining.pause()
            yield outcome
            if remaining:
                remaining.resume()


def _outcome(plan: Plan, number: int, fetch: Fetch[T], cancel: CancelToken) -> Outcome[T]:
    """Fetch one piece; only a missing setting and cancellation raise, since they end all pieces."""
    piece = plan.pieces[number]
    try:
        return Outcome(number, piece, fetch(piece, cancel))
    except (ConfigError, Cancelled):
        raise
    except Exception as error:
        return Outcome(number, piece, error=error)


def _late(plan: Plan, number: int, cancel: CancelToken) -> Outcome[T]:
    """Return the outcome of a piece whose thread had not ended when the deadline passed."""
    piece = plan.pieces[number]
    return Outcome(number, piece, error=TimedOut(piece.request.endpoint.name, 0, f"{cancel.deadline} have passed"))


def _pop_refused(
    plan: Plan, refused: Piece, error: Exception, pending: dict[Future[Outcome[T]], int], waiting: deque[int]
) -> list[int]:
    """Remove the pieces that would fail with the same refusal, and return their numbers.

    Requesting them would only draw attention to the key.
    """

    def shares_refusal(number: int) -> bool:
        if isinstance(error, CircuitOpen):
            return True  # the piece waited for as long as any piece may
        if not isinstance(error, NotAllowed) or isinstance(error, IntradayNotAllowed):
            return False
        return error.status == 401 or plan.pieces[number].product == refused.product

    futures = [future for future, number in pending.items() if shares_refusal(number)]
    popped = [pending.pop(future) for future in futures if future.cancel()]
    for _ in range(len(waiting)):
        number = waiting.popleft()
        (popped if shares_refusal(number) else waiting).append(number)
    return popped
