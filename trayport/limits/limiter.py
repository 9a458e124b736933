"""The limits of a client: the rate of its API key, and the number of its requests in flight.

``RateLimiter`` gives permits to the threads of this process; ``state`` decides when and in which order, and a store
shares that state with other processes. The waiting is ours, because pyrate-limiter's own blocking wait starves threads
and records a permit at the planned moment instead of the real one, so that windows overrun beside a busy thread.
"""

from __future__ import annotations

import datetime
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from attrs import define, field

from .._parallel import raise_if_cancelled
from ..config import Config, Rate
from ..status import LimitStatus
from .state import RateState, goes_first
from .stores import FallbackStore, FileStore, MemoryStore, Store, state_file, state_name

__all__ = ["ConcurrencyLimit", "RateLimiter", "Wait", "limiter_of"]

Wait: TypeAlias = Callable[[threading.Event, float], object]
"""Waits a number of seconds, or until the event is set; ``threading.Event.wait`` is one."""

# Seconds. Waiting threads poll because setting `stop` does not wake them; polling faster contends with the thread at
# the front of the queue.
_POLL_INTERVAL = 0.5
_SLOT_POLL_INTERVAL = 0.2
# Milliseconds from counting a permit to using it that the widened windows cover. On a busy machine it may take longer;
# the state is corrected then.
_COVERED_DELAY = 3


@define(eq=False)
class _Waiter:
    """A thread in the queue, and the permit that it got."""

    bulk: bool
    is_front: threading.Event = field(factory=threading.Event)
    permit: int | None = None
    """Moment of its permit by the store's clock, in milliseconds."""
    counted_at: float = 0.0
    """The same moment by the limiter's clock, in seconds."""


@define(eq=False)
class RateLimiter:
    """Distributor of permits to the threads of a process, each at the rates of its own client.

    Single requests go before bulk requests, and requests of one kind in the order in which they came. Only the thread
    at the front of the queue sleeps for a permit and asks the store, on behalf of the process. A permit counts at the
    moment at which that thread wakes.
    """

    clock: Callable[[], float] = time.monotonic
    store: Store = field()
    _queue: deque[_Waiter] = field(factory=deque, init=False, repr=False)
    _singles_in_a_row: int = field(default=0, init=False)
    _has_ticket: bool = field(default=False, init=False)
    """True if the store holds a ticket of this process."""
    _late_permits: list[tuple[int, int]] = field(factory=list, init=False, repr=False)
    """Permits that were used late: the moment and the delay of each, in milliseconds."""
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _token: str = field(factory=lambda: secrets.token_hex(4), init=False, repr=False)

    @store.default
    def _memory(self) -> Store:
        return MemoryStore(clock=self.clock)

    def acquire(
        self,
        rates: tuple[Rate, ...],
        stop: threading.Event,
        wait: Wait = threading.Event.wait,
        *,
        bulk: bool = False,
    ) -> float:
        """Wait for a permit, take it and return the seconds waited.

        Permits of clients with other rates count, too.

        Parameters
        ----------
        rates : tuple of Rate
            Rates of the client, shortest window first. Without rates there is no waiting; the request is counted.
        stop : threading.Event
            Ends the wait when it is set; no permit is taken then.
        wait : callable, default threading.Event.wait
            Sleeps for the thread at the front of the queue.
        bulk : bool, default False
            True for a request of a bulk load, which lets single requests pass.

        Raises
        ------
        Cancelled
            ``stop`` was set.
        """
        if not rates:
            with self._lock:
                self.store.transact(lambda state, now: state.record(now))
            return 0.0
        from . import windows  # noqa: F401 - now, because this import takes 80 ms and would delay the first permit

        began = self.clock()
        waiter = _Waiter(bulk)
        try:
            with self._lock:
                self._queue.append(waiter)
                self._wake_next()
            while True:
                while not waiter.is_front.wait(_POLL_INTERVAL):
                    raise_if_cancelled(stop)
                raise_if_cancelled(stop)
                delay = self._take(waiter, rates)
                if delay == 0:
                    return self.clock() - began
                if delay is not None:
                    wait(stop, delay)
                    raise_if_cancelled(stop)
        finally:
            self._leave(waiter)

    def _take(self, waiter: _Waiter, rates: tuple[Rate, ...]) -> float | None:
        """Take a permit and return 0, or return the seconds to wait; None if others go first now."""
        with self._lock:
            if not waiter.is_front.is_set():
                return None

            def take(state: RateState, now: int) -> int:
                self._apply_corrections(state)
                waiter.permit, waiter.counted_at = now, self.clock()
                return state.take(self._owner, waiter.bulk, rates, now)

            delay = self.store.transact(take)
            self._has_ticket = delay > 0
            self._late_permits.clear()
            if delay > 0:
                waiter.permit = None
            else:
                bulk_waits = any(other.bulk for other in self._queue if other is not waiter)
                self._singles_in_a_row = self._singles_in_a_row + 1 if bulk_waits and not waiter.bulk else 0
            return delay / 1000

    def _leave(self, waiter: _Waiter) -> None:
        """Leave the queue; note a permit that is used late, and drop the ticket if the queue is empty."""
        with self._lock:
            if waiter not in self._queue:
                return
            self._queue.remove(waiter)
            self._wake_next()
            if waiter.permit is not None:
                late = int((self.clock() - waiter.counted_at) * 1000)
                if late > _COVERED_DELAY:
                    self._late_permits.append((waiter.permit, late))
            if not self._queue and (self._has_ticket or self._late_permits):  # else the next waiter does it at once

                def leave(state: RateState, now: int) -> None:
                    self._apply_corrections(state)
                    state.drop_ticket(self._owner)

                self.store.transact(leave)
                self._has_ticket = False
                self._late_permits.clear()

    def _wake_next(self) -> None:
        """Wake the thread at the front of the queue, and stop the one that was there before."""
        front = self._front()
        for waiter in self._queue:
            if waiter is front:
                waiter.is_front.set()
            else:
                waiter.is_front.clear()

    def _front(self) -> _Waiter | None:
        eldest = self._queue[0] if self._queue else None
        if eldest is None:
            return None
        return next((other for other in self._queue if goes_first(other, eldest.bulk, self._singles_in_a_row)), eldest)

    def _apply_corrections(self, state: RateState) -> None:
        for moment, late in self._late_permits:
            state.postpone(moment, late)

    @property
    def _owner(self) -> str:
        """Name of this process in the state; a forked child has its own."""
        return f"{self._token}.{os.getpid()}"

    def pause(self, seconds: float) -> None:
        """Give no permit for some seconds, because the server asked all users of the key to wait."""
        with self._lock:
            self.store.transact(lambda state, now: state.pause(int(seconds * 1000), now))

    def slow_down(self) -> None:
        """Halve the speed for all users of the key, and recover step by step, because the server refused a request."""
        with self._lock:
            self.store.transact(lambda state, now: state.slow_down(now))

    def used(self) -> int:
        """Return the number of requests of the last minute, by all users of the key, with or without a limit."""
        with self._lock:
            return self.store.transact(lambda state, now: state.used(now))

    def status(self, rates: tuple[Rate, ...]) -> LimitStatus:
        """Return the status of the rate limit for a client with these rates."""

        def read(state: RateState, now: int) -> tuple[int, float, int, int]:
            return state.used(now), state.share(now), state.slowed_until - now, state.waiting_owners(now, self._owner)

        with self._lock:
            used, share, slowed_for, others = self.store.transact(read)
            waiting, kind = len(self._queue) + others, self.store.kind if rates else "off"
        left = datetime.timedelta(milliseconds=slowed_for)
        slowed_until = datetime.datetime.now(datetime.UTC) + left if slowed_for > 0 else None
        in_force = tuple(Rate(rate.count, rate.seconds / share) for rate in rates)
        why = self.store.reason if isinstance(self.store, FallbackStore) else ""
        return LimitStatus(kind, in_force, used, share, slowed_until, waiting, why)


_limiters: dict[tuple[object, ...], RateLimiter] = {}
_limiters_lock = threading.Lock()


def limiter_of(config: Config, clock: Callable[[], float] = time.monotonic) -> RateLimiter:
    """Return the rate limiter of the key of ``config``, which all clients with this key share in this process."""
    if not config.rates:
        return RateLimiter(clock=clock)
    name = state_name(config)
    # Moments of a clock that a test sets mean nothing to other processes.
    limiter = config.limiter if clock is time.monotonic else "memory"
    with _limiters_lock:
        found = _limiters.get((name, limiter, clock))
        if found is None:
            found = _limiters[name, limiter, clock] = RateLimiter(clock, _store(config, limiter, name, clock))
        return found


def _store(config: Config, limiter: str, name: str, clock: Callable[[], float]) -> Store:
    if limiter == "memory":
        return MemoryStore(clock=clock)
    if limiter == "file":
        path = state_file(config)
        return FallbackStore(FileStore(path), str(path.parent), clock)
    from .redis import RedisStore, connect

    return FallbackStore(RedisStore(f"trayport:limit:{name}", connect(limiter)), "Redis", clock)


def _reset_after_fork() -> None:
    """Forget the limiters in a forked child: a lock that another thread held at the fork would never be released."""
    global _limiters_lock
    _limiters_lock = threading.Lock()
    _limiters.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


@define(eq=False)
class ConcurrencyLimit:
    """Limit of the requests in flight: ``count`` of them, and one more for a single request during a bulk load.

    The threads of a bulk load hold their slots while they wait for permits; a single request must not wait for them.
    """

    count: int
    _in_flight: int = field(default=0, init=False)
    _bulk: int = field(default=0, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False, repr=False)

    @property
    def in_flight(self) -> int:
        """Number of requests in flight, including those that wait for a permit."""
        return self._in_flight

    @contextmanager
    def slot(self, bulk: bool, stop: threading.Event) -> Iterator[None]:
        """Hold a slot; raise ``Cancelled`` when ``stop`` is set before one is free."""
        with self._changed:
            while self._in_flight >= self.count + (not bulk and self._bulk > 0):
                self._changed.wait(_SLOT_POLL_INTERVAL)
                raise_if_cancelled(stop)
            self._in_flight += 1
            self._bulk += bulk
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._bulk -= bulk
                self._changed.notify_all()
