"""The limits of one API key: who may send when, for all threads, clients and processes that use the key.

`windows` knows what rates leave room for, `state` whose turn it is, and `stores`, `file` and `redis` where that is
written down; here the threads of one process wait for their turns. pyrate-limiter keeps the windows; the waiting is
ours. Its own blocking wait starves threads, and it stamps a permit with the planned moment instead of the real one, so
that the windows overrun beside a busy thread.
"""

from __future__ import annotations

import datetime
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from attrs import define, field

from .._parallel import raise_if_cancelled
from ..config import Config, Rate
from ..status import LimitStatus
from .state import RateState, first
from .stores import FallbackStore, MemoryStore, Store

__all__ = ["RateLimiter", "Wait", "limiter_of"]

Wait: TypeAlias = Callable[[threading.Event, float], object]
"""Waits so many seconds, or until the event is set; ``threading.Event.wait`` is one."""

# Who waits for its turn looks up so often, since `stop` cannot wake it. Each look disturbs the thread whose turn it is.
_POLL_INTERVAL = 0.5
# On a busy machine a thread may have its permit later than it was written down. So many milliseconds do no harm, since
# windows are wider than they are; more is told to the others.
_LATE = 3


@define(eq=False)
class _Waiter:
    """A thread in the queue, and whether it is its turn; then the stamp of its permit, and when that was written."""

    bulk: bool
    turn: threading.Event = field(factory=threading.Event)
    stamp: int | None = None
    written: float = 0.0


@define(eq=False)
class RateLimiter:
    """Gives leave to send to all who share it, each at the rates that it keeps to: questions first, then bulk loads,
    and among each first come, first served.

    Only the head of the queue sleeps, and asks the store for the process; the moment that is counted is the one at
    which it wakes.
    """

    clock: Callable[[], float] = time.monotonic
    store: Store = field()
    _queue: deque[_Waiter] = field(factory=deque, init=False, repr=False)
    _in_a_row: int = field(default=0, init=False)
    _waits: bool = field(default=False, init=False)
    """Is there a ticket in the store?"""
    _late_permits: list[tuple[int, int]] = field(factory=list, init=False, repr=False)
    """Permits that were in hand later than their stamps say, and by how much."""
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _token: str = field(factory=lambda: secrets.token_hex(4), init=False, repr=False)

    @store.default
    def _in_memory(self) -> Store:
        return MemoryStore(clock=self.clock)

    def acquire(
        self,
        rates: tuple[Rate, ...],
        stop: threading.Event,
        wait: Wait = threading.Event.wait,
        *,
        bulk: bool = False,
    ) -> float:
        """Wait for one permit and take it; answers with the seconds waited.

        However slow the others that share the limiter, their permits count too. Raises ``Cancelled`` when ``stop`` is
        set meanwhile; no permit is taken then.
        """
        if not rates:
            with self._lock:
                self.store.transact(lambda state, now: state.note(now))
            return 0.0
        import pyrate_limiter  # noqa: F401 - now, or the first permit would be late by that

        began = self.clock()
        place = _Waiter(bulk)
        try:
            with self._lock:
                self._queue.append(place)
                self._wake_next()
            while True:
                while not place.turn.wait(_POLL_INTERVAL):
                    raise_if_cancelled(stop)
                raise_if_cancelled(stop)
                delay = self._ask(place, rates)
                if delay == 0:
                    return self.clock() - began
                if delay > 0:
                    wait(stop, delay)
                    raise_if_cancelled(stop)
        finally:
            self._leave(place)

    def pause(self, seconds: float) -> None:
        """Give no leave for so long: the server said that all who use the key must wait."""
        with self._lock:
            self.store.transact(lambda state, now: state.pause(int(seconds * 1000), now))

    def slow_down(self) -> None:
        """Go half as fast, and recover step by step: the server said that all who use the key are too many."""
        with self._lock:
            self.store.transact(lambda state, now: state.slow(now))

    def used(self) -> int:
        """The permits of the last minute, whoever took them, also where no rate limits them."""
        with self._lock:
            return self.store.transact(lambda state, now: state.used(now))

    def status(self, rates: tuple[Rate, ...]) -> LimitStatus:
        """How the limit stands for one who keeps to ``rates``."""

        def look(state: RateState, now: int) -> tuple[int, float, int, int]:
            return state.used(now), state.share(now), state.slow_until() - now, state.waiting(now, self._holder)

        with self._lock:
            used, share, left, others = self.store.transact(look)
            waiting, kind = len(self._queue) + others, self.store.kind if rates else "off"
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(milliseconds=left) if left > 0 else None
        now = tuple(Rate(rate.count, rate.seconds / share) for rate in rates)
        why = self.store.why if isinstance(self.store, FallbackStore) else ""
        return LimitStatus(kind, now, used, share, end, waiting, why)

    @property
    def _holder(self) -> str:
        return f"{self._token}.{os.getpid()}"  # a forked child is somebody else

    def _ask(self, place: _Waiter, rates: tuple[Rate, ...]) -> float:
        """Take a permit and answer 0; or answer the seconds until there may be one, negative if others go first."""
        with self._lock:
            if not place.turn.is_set():
                return -1.0

            def ask(state: RateState, now: int) -> int:
                self._apply_corrections(state)
                place.stamp, place.written = now, self.clock()
                return state.ask(self._holder, place.bulk, rates, now)

            delay = self.store.transact(ask)
            self._waits = delay > 0
            self._late_permits.clear()
            if delay > 0:
                place.stamp = None
            else:
                patient = any(other.bulk for other in self._queue if other is not place)
                self._in_a_row = self._in_a_row + 1 if patient and not place.bulk else 0
            return delay / 1000

    def _wake_next(self) -> None:
        """Tell the first that it is its turn, and whoever was first before that it is not."""
        head = self._front()
        for place in self._queue:
            if place is head:
                place.turn.set()
            else:
                place.turn.clear()

    def _front(self) -> _Waiter | None:
        eldest = self._queue[0] if self._queue else None
        if eldest is None:
            return None
        return next((other for other in self._queue if first(eldest.bulk, other, self._in_a_row)), eldest)

    def _leave(self, place: _Waiter) -> None:
        with self._lock:
            if place not in self._queue:
                return
            self._queue.remove(place)
            self._wake_next()
            if place.stamp is not None and (late := int((self.clock() - place.written) * 1000)) > _LATE:
                self._late_permits.append((place.stamp, late))
            if not self._queue and (self._waits or self._late_permits):  # else the next one does it at once
                self.store.transact(self._go)
                self._waits = False
                self._late_permits.clear()

    def _apply_corrections(self, state: RateState) -> None:
        for stamp, late in self._late_permits:
            state.put_off(stamp, late)

    def _go(self, state: RateState, _: int) -> None:
        self._apply_corrections(state)
        state.leave(self._holder)


_limiters: dict[tuple[object, ...], RateLimiter] = {}
_limiters_lock = threading.Lock()


def limiter_of(config: Config, clock: Callable[[], float] = time.monotonic) -> RateLimiter:
    """The limiter of ``config``'s key at its host: one for all clients of this process, one after another too."""
    if not config.rates:
        return RateLimiter(clock=clock)
    from .file import holder_of

    name = holder_of(config)
    # Stamps of a clock that only a test turns mean nothing to other processes.
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
        from .file import FileStore, state_file

        path = state_file(config)
        return FallbackStore(FileStore(path), str(path.parent), clock)
    from .redis import RedisStore, connect

    return FallbackStore(RedisStore(f"trayport:limit:{name}", connect(limiter)), "Redis", clock)


def _begin_anew() -> None:
    """In a forked child: whoever held a lock at the fork is not there to give it back."""
    global _limiters_lock
    _limiters_lock = threading.Lock()
    _limiters.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
