"""Threads that work for one caller, and that Ctrl-C ends on every system."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["Stopped", "aside", "ended", "held", "pool", "side_by_side"]

T = TypeVar("T")


class Stopped(Exception):
    """The caller gave up while this thread worked for it; never seen outside."""


# Waits are cut to this, since on Windows Ctrl-C does not end a wait for a lock.
_GLANCE = 0.2


@contextmanager
def pool(workers: int, stop: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """Threads that are told to ``stop``, and not waited for, when their caller gives up."""
    threads = ThreadPoolExecutor(workers, thread_name_prefix="trayport")
    try:
        yield threads
    except BaseException:
        stop.set()
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    threads.shutdown()


def ended(futures: Collection[Future[Any]]) -> set[Future[Any]]:
    """Wait until one of ``futures`` has ended; answers with all that have."""
    while True:
        done, _ = wait(futures, timeout=_GLANCE, return_when=FIRST_COMPLETED)
        if done:
            return done


def side_by_side(act: Callable[[T, threading.Event], object], values: Collection[T], workers: int) -> None:
    """``act`` on each of ``values``; the first exception ends all, Ctrl-C too."""
    if not values:
        return
    stop = threading.Event()
    with pool(min(workers, len(values)), stop) as threads:
        pending: set[Future[Any]] = {threads.submit(act, value, stop) for value in values}
        while pending:
            done = ended(pending)
            pending -= done
            for future in done:
                future.result()


def aside(act: Callable[[threading.Event], T]) -> T:
    """``act`` in a thread of its own: a caller that waits for the network itself would not see Ctrl-C on Windows."""
    stop = threading.Event()
    with pool(1, stop) as threads:
        future = threads.submit(act, stop)
        ended([future])
        return future.result()


@contextmanager
def held(lock: threading.Lock) -> Iterator[None]:
    """``with lock``, for locks that may be held for as long as a request takes."""
    while not lock.acquire(timeout=_GLANCE):
        pass
    try:
        yield
    finally:
        lock.release()
