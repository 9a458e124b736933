"""Threads that work for one caller, and that Ctrl-C and deadlines end on every system."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from .errors import TimedOut

__all__ = [
    "Deadline",
    "CancelToken",
    "Cancelled",
    "run_in_thread",
    "raise_if_cancelled",
    "wait_any",
    "acquired",
    "pool",
    "for_each_parallel",
    "deadline_after",
]

T = TypeVar("T")


class Cancelled(Exception):
    """The caller gave up while this thread worked for it; never seen outside."""


def raise_if_cancelled(stop: threading.Event) -> None:
    """Raise ``Cancelled`` if the caller gave up."""
    if stop.is_set():
        raise Cancelled


class Deadline:
    """So many seconds for a whole question; while ``pause`` holds them, they do not pass."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        # What was left, and since when it passes; one value, since threads look while their caller holds it.
        self._state: tuple[float, float | None] = (seconds, clock())

    @property
    def left(self) -> float:
        """Seconds until it has passed, and 0 from then on."""
        left, since = self._state
        return left if since is None else max(0.0, left - (self._clock() - since))

    def pause(self) -> None:
        """Stand still, until ``go_on``."""
        self._state = (self.left, None)

    def go_on(self) -> None:
        """Let the seconds pass again."""
        self._state = (self.left, self._clock())

    def __str__(self) -> str:
        return f"the {self.seconds:g} seconds for the whole question (Config.deadline)"


_deadline: ContextVar[Deadline | None] = ContextVar("trayport_deadline", default=None)


@contextmanager
def deadline_after(seconds: float | None) -> Iterator[None]:
    """What is begun inside has so many seconds, or any number for None; a deadline that runs already stays."""
    if seconds is None or _deadline.get() is not None:
        yield
        return
    token = _deadline.set(Deadline(seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


class CancelToken(threading.Event):
    """Tells threads that their caller waits no longer: it was set, or the deadline has passed."""

    def __init__(self, deadline: Deadline | None = None) -> None:
        super().__init__()
        self.deadline = deadline or _deadline.get()

    @property
    def left(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return float("inf") if self.deadline is None else self.deadline.left

    @property
    def late(self) -> bool:
        """Has the deadline passed?"""
        return self.left <= 0

    def is_set(self) -> bool:
        """Is it time to end?"""
        return super().is_set() or self.late

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is time, or for so many seconds; is it time?"""
        left = self.left
        super().wait(timeout if left == float("inf") else min(left, left if timeout is None else timeout))
        return self.is_set()


# Waits are cut to this, since on Windows Ctrl-C does not end a wait for a lock.
_GLANCE = 0.2
# So long after a deadline, threads have told what they know of it.
_GRACE = 0.5


@contextmanager
def pool(workers: int, stop: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """Threads that are told to ``stop``, and not waited for, when their caller gives up or has no more time."""
    threads = ThreadPoolExecutor(workers, thread_name_prefix="trayport")
    try:
        yield threads
    except BaseException:
        stop.set()
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    over = stop.is_set()
    threads.shutdown(wait=not over, cancel_futures=over)


def wait_any(futures: Collection[Future[Any]], stop: CancelToken) -> set[Future[Any]]:
    """Wait until one of ``futures`` has ended; answers with all that have, and with none when the deadline passes."""
    while True:
        done, _ = wait(futures, timeout=min(_GLANCE, stop.left), return_when=FIRST_COMPLETED)
        if not done and stop.late:
            return wait(futures, timeout=_GRACE).done
        if done:
            return done


def for_each_parallel(act: Callable[[T, threading.Event], object], values: Collection[T], workers: int) -> None:
    """``act`` on each of ``values``; the first exception ends all, Ctrl-C too."""
    if not values:
        return
    stop = CancelToken()
    with pool(min(workers, len(values)), stop) as threads:
        pending: set[Future[Any]] = {threads.submit(act, value, stop) for value in values}
        while pending:
            done = wait_any(pending, stop) or _too_late(stop)
            pending -= done
            for future in done:
                future.result()


def run_in_thread(act: Callable[[threading.Event], T]) -> T:
    """``act`` in a thread of its own: a caller that waits for the network itself would not see Ctrl-C on Windows."""
    stop = CancelToken()
    with pool(1, stop) as threads:
        future = threads.submit(act, stop)
        if not wait_any([future], stop):
            _too_late(stop)
        return future.result()


def _too_late(stop: CancelToken) -> NoReturn:
    raise TimedOut("reference data", 0, f"{stop.deadline} are over")


@contextmanager
def acquired(lock: threading.Lock) -> Iterator[None]:
    """``with lock``, for locks that may be held for as long as a request takes."""
    while not lock.acquire(timeout=_GLANCE):
        pass
    try:
        yield
    finally:
        lock.release()
