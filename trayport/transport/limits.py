"""The limits of one API key, shared by every client of this process that uses the key.

pyrate-limiter keeps the windows; the waiting is ours. Its own blocking wait starves threads, and it stamps a
permit with the planned moment instead of the real one, so that the windows overrun beside a busy thread.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast
from weakref import WeakValueDictionary

from attrs import define, field

from ..config import Config, Rate

if TYPE_CHECKING:
    from pyrate_limiter import InMemoryBucket

Wait: TypeAlias = Callable[[threading.Event, float], object]
"""Waits so many seconds, or until the event is set; ``threading.Event.wait`` is one."""


class Stopped(Exception):
    """The question was given up while this thread waited for it; never seen outside."""


@define(eq=False)
class Gate:
    """Gives leave to send, first come, first served, never above ``rates``.

    Only the head of the queue sleeps; the moment that is counted is the one at which it wakes. ``guard``
    seconds more than needed keep what the server sees inside the limits too.
    """

    rates: tuple[Rate, ...]
    guard: float = 0.005
    clock: Callable[[], float] = time.monotonic
    _queue: deque[threading.Event] = field(factory=deque, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _bucket: InMemoryBucket | None = field(default=None, init=False, repr=False)
    _not_before: float = field(default=float("-inf"), init=False)

    def acquire(self, stop: threading.Event, wait: Wait = threading.Event.wait) -> float:
        """Wait for one permit and take it; answers with the seconds waited.

        Raises ``Stopped`` when ``stop`` is set meanwhile; no permit is taken then.
        """
        if not self.rates:
            return 0.0
        began = self.clock()
        ticket = threading.Event()
        with self._lock:
            self._queue.append(ticket)
            if self._queue[0] is ticket:
                ticket.set()
        try:
            while not ticket.wait(0.2):  # looks up now and then, since `stop` cannot wake this wait
                _check(stop)
            while (delay := self._take()) > 0:
                wait(stop, delay)
                _check(stop)
        finally:
            self._leave(ticket)
        return self.clock() - began

    def pause(self, seconds: float) -> None:
        """Give no leave for so long: the server said that all who use the key must wait."""
        with self._lock:
            self._not_before = max(self._not_before, self.clock() + seconds)

    def tighten(self, rates: tuple[Rate, ...]) -> None:
        """Keep to ``rates`` as well: of two clients with one key, the slower sets the pace of both."""
        with self._lock:
            stricter = _stricter(self.rates, rates)
            if stricter != self.rates:
                bucket, self._bucket = self._bucket, None
                self.rates = stricter
                for item in bucket.items if bucket else ():
                    self._windows().put(item)

    def _take(self) -> float:
        """Take a permit and answer 0, or answer the seconds until there may be one."""
        from pyrate_limiter import RateItem

        with self._lock:
            now = self.clock()
            if now < self._not_before:
                return self._not_before - now
            bucket = self._windows()
            item = RateItem("", int(now * 1000))
            bucket.leak(item.timestamp)
            if bucket.put(item):
                return 0.0
            # Typed for asynchronous buckets too, which this one is not.
            milliseconds = cast(int, bucket.waiting(item))
            return milliseconds / 1000 + self.guard

    def _windows(self) -> InMemoryBucket:
        """pyrate-limiter's bucket alone: its Limiter would start a thread, and it is not needed at import."""
        if self._bucket is None:
            from pyrate_limiter import InMemoryBucket
            from pyrate_limiter import Rate as Window

            self._bucket = InMemoryBucket([Window(rate.count, round(rate.seconds * 1000)) for rate in self.rates])
        return self._bucket

    def _leave(self, ticket: threading.Event) -> None:
        with self._lock:
            head = self._queue[0] is ticket
            self._queue.remove(ticket)
            if head and self._queue:
                self._queue[0].set()


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped


def _stricter(ours: tuple[Rate, ...], theirs: tuple[Rate, ...]) -> tuple[Rate, ...]:
    """The lower of two lists of limits that both come from ``Config.rates``."""

    def pace(rates: tuple[Rate, ...]) -> float:
        return min((rate.count / rate.seconds for rate in rates), default=float("inf"))

    return theirs if pace(theirs) < pace(ours) else ours


_gates: WeakValueDictionary[tuple[int, str, str], Gate] = WeakValueDictionary()
_gates_lock = threading.Lock()


def gate(config: Config, clock: Callable[[], float] = time.monotonic) -> Gate:
    """The gate of ``config``'s key at its API; one for all clients of this process that use both.

    A forked child begins with gates of its own, since a lock may have been held when it was forked.
    """
    rates = config.rates
    if not rates:
        return Gate(())
    # A digest, so that the key does not live on in a table of its own.
    key = hashlib.sha256(config.require_key().reveal().encode()).hexdigest()
    place = (os.getpid(), config.analytics_url, key)
    with _gates_lock:
        found = _gates.get(place)
        if found is None:
            found = _gates[place] = Gate(rates, clock=clock)
    found.tighten(rates)
    return found
