"""The limits of one API key, shared by every client of this process that uses the key.

pyrate-limiter keeps the windows; the waiting is ours. Its own blocking wait starves threads, and it stamps a
permit with the planned moment instead of the real one, so that the windows overrun beside a busy thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

from attrs import define, field

from .._parallel import Stopped
from ..config import Config, Rate

if TYPE_CHECKING:
    from pyrate_limiter import InMemoryBucket, RateItem

Wait: TypeAlias = Callable[[threading.Event, float], object]
"""Waits so many seconds, or until the event is set; ``threading.Event.wait`` is one."""

_REMEMBERED_MS = 120_000


@define(eq=False)
class Gate:
    """Gives leave to send, first come, first served, to all who share it, each at the rates that it keeps to.

    Only the head of the queue sleeps; the moment that is counted is the one at which it wakes. Windows are taken
    wider than they are by the share ``guard``, so that what the server sees stays inside them too.
    """

    guard: float = 0.02
    clock: Callable[[], float] = time.monotonic
    _queue: deque[threading.Event] = field(factory=deque, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _buckets: dict[tuple[Rate, ...], InMemoryBucket] = field(factory=dict, init=False, repr=False)
    _given: deque[RateItem] = field(factory=deque, init=False, repr=False)
    """The permits of the widest window and some more: a bucket forgets what its own windows have passed."""
    _not_before: float = field(default=float("-inf"), init=False)

    def acquire(self, rates: tuple[Rate, ...], stop: threading.Event, wait: Wait = threading.Event.wait) -> float:
        """Wait for one permit and take it; answers with the seconds waited.

        However slow the others that share the gate, their permits count too. Raises ``Stopped`` when ``stop`` is
        set meanwhile; no permit is taken then.
        """
        if not rates:
            with self._lock:
                self._note(int(self.clock() * 1000))
            return 0.0
        began = self.clock()
        ticket = threading.Event()
        try:
            with self._lock:
                self._queue.append(ticket)
                if self._queue[0] is ticket:
                    ticket.set()
            while not ticket.wait(0.2):  # looks up now and then, since `stop` cannot wake this wait
                check(stop)
            check(stop)
            while (delay := self._take(rates)) > 0:
                wait(stop, delay)
                check(stop)
        finally:
            self._leave(ticket)
        return self.clock() - began

    def used(self) -> int:
        """How many permits were given in the last minute, also where no rate limits them."""
        with self._lock:
            since = int(self.clock() * 1000) - 60_000
            return sum(item.timestamp > since for item in self._given)

    def pause(self, seconds: float) -> None:
        """Give no leave for so long: the server said that all who use the key must wait."""
        with self._lock:
            self._not_before = max(self._not_before, self.clock() + seconds)

    def _take(self, rates: tuple[Rate, ...]) -> float:
        """Take a permit and answer 0, or answer the seconds until there may be one."""
        from pyrate_limiter import RateItem

        with self._lock:
            now = self.clock()
            if now < self._not_before:
                return self._not_before - now
            bucket = self._bucket(rates)
            item = RateItem("", int(now * 1000))
            bucket.leak(item.timestamp)
            if bucket.put(item):
                for other in self._buckets.values():
                    if other is not bucket:  # whoever keeps to other rates has to count it too, fitting or not
                        other.leak(item.timestamp)
                        other.items.append(item)
                self._note(item.timestamp)
                return 0.0
            # Typed for asynchronous buckets too, which this one is not.
            return max(cast(int, bucket.waiting(item)), 1) / 1000

    def _note(self, timestamp: int) -> None:
        from pyrate_limiter import RateItem

        self._given.append(RateItem("", timestamp))
        while self._given[0].timestamp < timestamp - _REMEMBERED_MS:
            self._given.popleft()

    def _bucket(self, rates: tuple[Rate, ...]) -> InMemoryBucket:
        """pyrate-limiter's bucket alone: its Limiter would start a thread, and it is not needed at import."""
        found = self._buckets.get(rates)
        if found is None:
            from pyrate_limiter import InMemoryBucket
            from pyrate_limiter import Rate as Window

            found = InMemoryBucket(
                [Window(rate.count, round(rate.seconds * (1 + self.guard) * 1000)) for rate in rates]
            )
            found.items = list(self._given)
            self._buckets[rates] = found
        return found

    def _leave(self, ticket: threading.Event) -> None:
        with self._lock:
            if ticket not in self._queue:
                return
            self._queue.remove(ticket)
            if self._queue:
                self._queue[0].set()


def check(stop: threading.Event) -> None:
    """Raise ``Stopped`` if the caller gave up."""
    if stop.is_set():
        raise Stopped


_gates: dict[tuple[object, ...], Gate] = {}
_gates_lock = threading.Lock()


def gate(config: Config, clock: Callable[[], float] = time.monotonic) -> Gate:
    """The gate of ``config``'s key at its API: one for all clients of this process, one after another too."""
    if not config.rates:
        return Gate(clock=clock)
    with _gates_lock:
        return _gates.setdefault((config.analytics_url, config.require_key().digest, clock), Gate(clock=clock))


def _begin_anew() -> None:
    """In a forked child: whoever held a lock at the fork is not there to give it back."""
    global _gates_lock
    _gates_lock = threading.Lock()
    _gates.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
