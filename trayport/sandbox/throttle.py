"""The server's limits: so many requests of a key in any window of so many seconds."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable

from .parameters import Refused

# guide p. 38; counted for both APIs together, which is the stricter reading
_RATES = ((8, 1.0), (480, 60.0))
_SUSTAINED = 600.0


class Throttled(Refused):
    """A request beyond a limit; after so many seconds the next may come."""

    def __init__(self, rule: str, wait: float, forbidden: bool = False) -> None:
        super().__init__(429, "Too Many Requests", rule)
        self.wait = wait
        self.forbidden = forbidden


class Limiter:
    """Counts the requests of each key, and refuses what is too many; what is refused does not count.

    ``sustained`` is how many requests a second, slower limit allows in any ten minutes; 0 for no such limit.
    """

    def __init__(self, is_on: bool, sustained: int, monotonic: Callable[[], float]) -> None:
        self.is_on = is_on
        self._rates = [*_RATES, *([(sustained, _SUSTAINED)] if sustained else [])]
        self._stamps: defaultdict[str, deque[float]] = defaultdict(deque)
        self._monotonic = monotonic
        self._lock = threading.Lock()

    def count(self, key: str) -> None:
        """Take note of a request, or refuse it."""
        if not self.is_on:
            return
        with self._lock:
            now, stamps = self._monotonic(), self._stamps[key]
            while stamps and stamps[0] <= now - self._rates[-1][1]:
                stamps.popleft()
            for count, seconds in self._rates:
                # The one that has to grow old enough before there is room.
                if len(stamps) >= count and stamps[-count] > now - seconds:
                    rule = f"more than {count} requests in {seconds:g} s"
                    raise Throttled(rule, stamps[-count] + seconds - now, seconds == _SUSTAINED)
            stamps.append(now)
