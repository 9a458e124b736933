"""Circuit breaker: stops sending to an API that keeps failing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import define, field

from ..typing import BreakerState

__all__ = ["Breaker"]


@define
class Breaker:
    """Circuit breaker: opens for ``cooldown`` seconds when ``threshold`` different requests failed in a row.

    After the cooldown it is half-open and lets one request pass, the probe. If the probe succeeds, the breaker closes;
    if it fails, another cooldown begins. Failures are counted by request, so that one request which always fails
    cannot open the breaker.
    """

    threshold: int = 5
    cooldown: float = 30.0
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _failed: set[object] = field(factory=set, init=False)
    _probe_at: float | None = field(default=None, init=False)
    """When the next probe may be sent; None while the breaker is closed."""
    _prober: int | None = field(default=None, init=False)
    """Thread that sends the probe."""
    cause: str = field(default="", init=False)
    """Text of the last failure."""

    @property
    def is_open(self) -> bool:
        """True if a request would be refused now."""
        return self.retry_in() > 0

    @property
    def state(self) -> BreakerState:
        """``"half-open"`` while a probe is in flight or may be sent."""
        with self._lock:
            if self._probe_at is None:
                return "closed"
            return "open" if self._prober is None and self._probe_at > self.clock() else "half-open"

    def retry_in(self) -> float:
        """Return the seconds until a request may be sent, 0 while closed."""
        with self._lock:
            return 0.0 if self._probe_at is None else max(0.0, self._probe_at - self.clock())

    def admit(self) -> float:
        """Return 0 if the request may be sent, otherwise the seconds to wait before asking again.

        The first request that is admitted after the cooldown is the probe; until its result is known, the others are
        refused.
        """
        with self._lock:
            if self._probe_at is None:
                return 0.0
            seconds = self._probe_at - self.clock()
            if seconds <= 0:
                self._probe_at, self._prober = self.clock() + self.cooldown, threading.get_ident()
                return 0.0
            return seconds

    def record_success(self) -> None:
        """Close the breaker: the server responded, with any status below 500."""
        with self._lock:
            self._failed.clear()
            self._probe_at = None

    def record_failure(self, key: object, cause: str = "") -> bool:
        """Record that a request got no response or a 5xx; return True if this opened the breaker."""
        with self._lock:
            self.cause = cause
            self._failed.add(key)
            if len(self._failed) < self.threshold:
                return False
            opened = self._probe_at is None
            self._probe_at, self._prober = self.clock() + self.cooldown, None
            return opened

    def record_abandoned(self) -> None:
        """Record that an admitted request got no result; if it was the probe, another request may be the probe."""
        with self._lock:
            if self._probe_at is not None and self._prober == threading.get_ident():
                self._probe_at = self.clock()
