"""Leaves an API alone that keeps failing: closed, open, half-open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import define, field

from ..typing import BreakerState


@define
class Breaker:
    """Opens when ``threshold`` different requests have failed in a row, for ``cooldown`` seconds.

    Then it lets one of them through: if that succeeds it closes, and if not it waits again. Requests are
    told apart by a key, so that one which always fails cannot open it however often it is tried.
    """

    threshold: int = 5
    cooldown: float = 30.0
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _failed: set[object] = field(factory=set, init=False)
    _probe_at: float | None = field(default=None, init=False)
    """When open: the moment at which one request may try."""
    _prober: int | None = field(default=None, init=False)
    """The thread whose request is the probe."""
    cause: str = field(default="", init=False)
    """What went wrong the last time."""

    @property
    def is_open(self) -> bool:
        """Would a request be refused now?"""
        return self.retry_in() > 0

    def retry_in(self) -> float:
        """Seconds until a request may try; 0 while closed."""
        with self._lock:
            return 0.0 if self._probe_at is None else max(0.0, self._probe_at - self.clock())

    @property
    def state(self) -> BreakerState:
        """``"half-open"`` is it while one request tries, or may."""
        with self._lock:
            if self._probe_at is None:
                return "closed"
            return "open" if self._prober is None and self._probe_at > self.clock() else "half-open"

    def admit(self) -> float:
        """0 for leave to send; else the seconds until there may be leave.

        The first to be let through after the cooldown is the probe; until it is back the others are refused.
        """
        with self._lock:
            if self._probe_at is None:
                return 0.0
            left = self._probe_at - self.clock()
            if left <= 0:
                self._probe_at, self._prober = self.clock() + self.cooldown, threading.get_ident()
                return 0.0
            return left

    def gave_up(self) -> None:
        """A request that was let through never came to an answer: if it was the probe, the next one may try."""
        with self._lock:
            if self._probe_at is not None and self._prober == threading.get_ident():
                self._probe_at = self.clock()

    def succeeded(self) -> None:
        """The server answered, whatever it said."""
        with self._lock:
            self._failed.clear()
            self._probe_at = None

    def failed(self, key: object, cause: str = "") -> bool:
        """The request of this key got no answer, or a 5xx; did that open it?"""
        with self._lock:
            self.cause = cause
            self._failed.add(key)
            if len(self._failed) < self.threshold:
                return False
            opened = self._probe_at is None
            self._probe_at, self._prober = self.clock() + self.cooldown, None
            return opened
