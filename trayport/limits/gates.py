"""The limits of one API key: who may send when, for all threads, clients and processes that use the key.

`windows` knows what rates leave room for, `ledger` whose turn it is, and `stores`, `file` and `redis` where that is
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
from ..status import Standing
from .state import Ledger, first
from .stores import Memory, Store, Sturdy

__all__ = ["Gate", "Wait", "gate"]

Wait: TypeAlias = Callable[[threading.Event, float], object]
"""Waits so many seconds, or until the event is set; ``threading.Event.wait`` is one."""

# Who waits for its turn looks up so often, since `stop` cannot wake it. Each look disturbs the thread whose turn it is.
_GLANCE = 0.5
# On a busy machine a thread may have its permit later than it was written down. So many milliseconds do no harm, since
# windows are wider than they are; more is told to the others.
_LATE = 3


@define(eq=False)
class _Place:
    """A thread in the queue, and whether it is its turn; then the stamp of its permit, and when that was written."""

    bulk: bool
    turn: threading.Event = field(factory=threading.Event)
    stamp: int | None = None
    written: float = 0.0


@define(eq=False)
class Gate:
    """Gives leave to send to all who share it, each at the rates that it keeps to: questions first, then bulk loads,
    and among each first come, first served.

    Only the head of the queue sleeps, and asks the store for the process; the moment that is counted is the one at
    which it wakes.
    """

    clock: Callable[[], float] = time.monotonic
    store: Store = field()
    _queue: deque[_Place] = field(factory=deque, init=False, repr=False)
    _in_a_row: int = field(default=0, init=False)
    _waits: bool = field(default=False, init=False)
    """Is there a ticket in the store?"""
    _owed: list[tuple[int, int]] = field(factory=list, init=False, repr=False)
    """Permits that were in hand later than their stamps say, and by how much."""
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _token: str = field(factory=lambda: secrets.token_hex(4), init=False, repr=False)

    @store.default
    def _in_memory(self) -> Store:
        return Memory(clock=self.clock)

    def acquire(
        self,
        rates: tuple[Rate, ...],
        stop: threading.Event,
        wait: Wait = threading.Event.wait,
        *,
        bulk: bool = False,
    ) -> float:
        """Wait for one permit and take it; answers with the seconds waited.

        However slow the others that share the gate, their permits count too. Raises ``Cancelled`` when ``stop`` is
        set meanwhile; no permit is taken then.
        """
        if not rates:
            with self._lock:
                self.store.act(lambda ledger, now: ledger.note(now))
            return 0.0
        import pyrate_limiter  # noqa: F401 - now, or the first permit would be late by that

        began = self.clock()
        place = _Place(bulk)
        try:
            with self._lock:
                self._queue.append(place)
                self._appoint()
            while True:
                while not place.turn.wait(_GLANCE):
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
            self.store.act(lambda ledger, now: ledger.pause(int(seconds * 1000), now))

    def slow(self) -> None:
        """Go half as fast, and recover step by step: the server said that all who use the key are too many."""
        with self._lock:
            self.store.act(lambda ledger, now: ledger.slow(now))

    def used(self) -> int:
        """The permits of the last minute, whoever took them, also where no rate limits them."""
        with self._lock:
            return self.store.act(lambda ledger, now: ledger.used(now))

    def standing(self, rates: tuple[Rate, ...]) -> Standing:
        """How the limit stands for one who keeps to ``rates``."""

        def look(ledger: Ledger, now: int) -> tuple[int, float, int, int]:
            return ledger.used(now), ledger.share(now), ledger.slow_until() - now, ledger.waiting(now, self._holder)

        with self._lock:
            used, share, left, others = self.store.act(look)
            waiting, kind = len(self._queue) + others, self.store.kind if rates else "off"
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(milliseconds=left) if left > 0 else None
        now = tuple(Rate(rate.count, rate.seconds / share) for rate in rates)
        why = self.store.why if isinstance(self.store, Sturdy) else ""
        return Standing(kind, now, used, share, end, waiting, why)

    @property
    def _holder(self) -> str:
        return f"{self._token}.{os.getpid()}"  # a forked child is somebody else

    def _ask(self, place: _Place, rates: tuple[Rate, ...]) -> float:
        """Take a permit and answer 0; or answer the seconds until there may be one, negative if others go first."""
        with self._lock:
            if not place.turn.is_set():
                return -1.0

            def ask(ledger: Ledger, now: int) -> int:
                self._settle(ledger)
                place.stamp, place.written = now, self.clock()
                return ledger.ask(self._holder, place.bulk, rates, now)

            delay = self.store.act(ask)
            self._waits = delay > 0
            self._owed.clear()
            if delay > 0:
                place.stamp = None
            else:
                patient = any(other.bulk for other in self._queue if other is not place)
                self._in_a_row = self._in_a_row + 1 if patient and not place.bulk else 0
            return delay / 1000

    def _appoint(self) -> None:
        """Tell the first that it is its turn, and whoever was first before that it is not."""
        head = self._head()
        for place in self._queue:
            if place is head:
                place.turn.set()
            else:
                place.turn.clear()

    def _head(self) -> _Place | None:
        eldest = self._queue[0] if self._queue else None
        if eldest is None:
            return None
        return next((other for other in self._queue if first(eldest.bulk, other, self._in_a_row)), eldest)

    def _leave(self, place: _Place) -> None:
        with self._lock:
            if place not in self._queue:
                return
            self._queue.remove(place)
            self._appoint()
            if place.stamp is not None and (late := int((self.clock() - place.written) * 1000)) > _LATE:
                self._owed.append((place.stamp, late))
            if not self._queue and (self._waits or self._owed):  # else the next one does it at once
                self.store.act(self._go)
                self._waits = False
                self._owed.clear()

    def _settle(self, ledger: Ledger) -> None:
        for stamp, late in self._owed:
            ledger.put_off(stamp, late)

    def _go(self, ledger: Ledger, _: int) -> None:
        self._settle(ledger)
        ledger.leave(self._holder)


_gates: dict[tuple[object, ...], Gate] = {}
_gates_lock = threading.Lock()


def gate(config: Config, clock: Callable[[], float] = time.monotonic) -> Gate:
    """The gate of ``config``'s key at its host: one for all clients of this process, one after another too."""
    if not config.rates:
        return Gate(clock=clock)
    from .file import holder_of

    name = holder_of(config)
    # Stamps of a clock that only a test turns mean nothing to other processes.
    limiter = config.limiter if clock is time.monotonic else "memory"
    with _gates_lock:
        found = _gates.get((name, limiter, clock))
        if found is None:
            found = _gates[name, limiter, clock] = Gate(clock, _store(config, limiter, name, clock))
        return found


def _store(config: Config, limiter: str, name: str, clock: Callable[[], float]) -> Store:
    if limiter == "memory":
        return Memory(clock=clock)
    if limiter == "file":
        from .file import FileStore, ledger_file

        path = ledger_file(config)
        return Sturdy(FileStore(path), str(path.parent), clock)
    from .redis import RedisStore, connect

    return Sturdy(RedisStore(f"trayport:limit:{name}", connect(limiter)), "Redis", clock)


def _begin_anew() -> None:
    """In a forked child: whoever held a lock at the fork is not there to give it back."""
    global _gates_lock
    _gates_lock = threading.Lock()
    _gates.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
