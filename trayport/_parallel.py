"""Threads that work for one caller, and that Ctrl-C and deadlines end on every operating system."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from .errors import TimedOut

__all__ = [
    "CancelToken",
    "Cancelled",
    "Deadline",
    "acquired",
    "deadline_after",
    "for_each_parallel",
    "pool",
    "raise_if_cancelled",
    "run_in_thread",
    "wait_any",
]

T = TypeVar("T")

# Seconds. Waits are cut into pieces of this length, since on Windows Ctrl-C does not interrupt a wait for a lock.
_POLL_INTERVAL = 0.2
# Seconds after a deadline in which threads may still report their own timeouts, which have more detail.
_GRACE = 0.5


class Deadline:
    """Time limit of a whole query; it can be paused while the caller is busy with something else.

    Parameters
    ----------
    seconds : float
        Time that the query may take.
    clock : callable, default time.monotonic
        Returns seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        # The seconds left, and since when they pass (None: paused). They are one value, since threads read it while
        # their caller pauses it.
        self._state: tuple[float, float | None] = (seconds, clock())

    @property
    def left(self) -> float:
        """Seconds until the deadline, and 0 after it."""
        left, since = self._state
        return left if since is None else max(0.0, left - (self._clock() - since))

    def pause(self) -> None:
        """Stop the time until ``resume`` is called."""
        self._state = (self.left, None)

    def resume(self) -> None:
        """Let the time pass again."""
        self._state = (self.left, self._clock())

    def __str__(self) -> str:
        return f"the {self.seconds:g} seconds for the whole query (Config.deadline)"


_deadline: ContextVar[Deadline | None] = ContextVar("trayport_deadline", default=None)


@contextmanager
def deadline_after(seconds: float | None) -> Iterator[None]:
    """Set a deadline for all that begins inside; with None there is none. An outer deadline stays in force."""
    if seconds is None or _deadline.get() is not None:
        yield
        return
    reset_token = _deadline.set(Deadline(seconds))
    try:
        yield
    finally:
        _deadline.reset(reset_token)


class Cancelled(Exception):
    """Raised in a thread whose caller gave up; it never reaches a user."""


class CancelToken(threading.Event):
    """Event that ends the work of threads: it is set, or its deadline passes.

    Parameters
    ----------
    deadline : Deadline, optional
        By default the one in force (see ``deadline_after``), if any.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        super().__init__()
        self.deadline = deadline or _deadline.get()

    @property
    def left(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return float("inf") if self.deadline is None else self.deadline.left

    @property
    def is_late(self) -> bool:
        """True if the deadline has passed."""
        return self.left <= 0

    def is_set(self) -> bool:
        """Return True if the work should end."""
        return super().is_set() or self.is_late

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the work should end, at most ``timeout`` seconds; return True if it should end."""
        left = self.left
        super().wait(timeout if left == float("inf") else min(left, left if timeout is None else timeout))
        return self.is_set()


def raise_if_cancelled(cancel: threading.Event) -> None:
    """Raise ``Cancelled`` if the caller gave up."""
    if cancel.is_set():
        raise Cancelled


@contextmanager
def pool(workers: int, cancel: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """Run threads; if the caller fails or has no more time, ``cancel`` is set and the threads are not waited for."""
    threads = ThreadPoolExecutor(workers, thread_name_prefix="trayport")
    try:
        yield threads
    except BaseException:
        cancel.set()
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    is_over = cancel.is_set()
    threads.shutdown(wait=not is_over, cancel_futures=is_over)


def wait_any(futures: Collection[Future[Any]], cancel: CancelToken) -> set[Future[Any]]:
    """Wait until at least one future is done; return those that are, or an empty set if the deadline passes."""
    while True:
        done, _ = wait(futures, timeout=min(_POLL_INTERVAL, cancel.left), return_when=FIRST_COMPLETED)
        if not done and cancel.is_late:
            return wait(futures, timeout=_GRACE).done
        if done:
            return done


def for_each_parallel(function: Callable[[T, CancelToken], object], values: Collection[T], workers: int) -> None:
    """Call a function with each value, in threads; the first exception ends all, and so does Ctrl-C."""
    if not values:
        return
    cancel = CancelToken()
    with pool(min(workers, len(values)), cancel) as threads:
        pending: set[Future[Any]] = {threads.submit(function, value, cancel) for value in values}
        while pending:
            done = wait_any(pending, cancel)
            if not done:
                raise _timed_out(cancel)
            pending -= done
            for future in done:
                future.result()


def run_in_thread(function: Callable[[CancelToken], T]) -> T:
    """Return a function's result; it runs in a thread, since on Windows Ctrl-C does not interrupt a network call."""
    cancel = CancelToken()
    with pool(1, cancel) as threads:
        future = threads.submit(function, cancel)
        if not wait_any([future], cancel):
            raise _timed_out(cancel)
        return future.result()


def _timed_out(cancel: CancelToken) -> TimedOut:
    return TimedOut("reference data", 0, f"{cancel.deadline} have passed")


@contextmanager
def acquired(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock, as ``with lock`` does; Ctrl-C interrupts the wait for it."""
    while not lock.acquire(timeout=_POLL_INTERVAL):
        pass
    try:
        yield
    finally:
        lock.release()
