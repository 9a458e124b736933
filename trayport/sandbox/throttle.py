"""The server's rate limits: at most N requests of one key in any window of some seconds.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable

from .parameters import Refused

# guide p. 38: requests and seconds. Both APIs are counted together, which is the stricter reading.
_RATES = ((8, 1.0), (480, 60.0))
_SUSTAINED_SECONDS = 600.0


class Throttled(Refused):
    """A request beyond a rate limit.

    Parameters
    ----------
    rule : str
        The limit in words.
    wait : float
        Seconds until the next request is allowed.
    forbidden : bool, default False
        True for the sustained limit, which is answered with 403.
    """

    def __init__(self, rule: str, wait: float, forbidden: bool = False) -> None:
        super().__init__(429, "Too Many Requests", rule)
        self.wait = wait
        self.forbidden = forbidden


class Throttle:
    """Rate limits of each key, as sliding windows; a refused request does not count.

    Parameters
    ----------
    is_on : bool
        False for no limits.
    sustained : int
        Maximum number of requests in any ten minutes; 0 for no such limit.
    monotonic : callable
        Clock in seconds.
    """

    def __init__(self, is_on: bool, sustained: int, monotonic: Callable[[], float]) -> None:
        self.is_on = is_on
        self._rates = [*_RATES, *([(sustained, _SUSTAINED_SECONDS)] if sustained else [])]
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._monotonic = monotonic
        self._lock = threading.Lock()

    def count(self, key: str) -> None:
        """Count a request of a key; raise Throttled if it exceeds a limit."""
        if not self.is_on:
            return
        with self._lock:
            now, times = self._monotonic(), self._times[key]
            while times and times[0] <= now - self._rates[-1][1]:
                times.popleft()
            for count, seconds in self._rates:
                # The next request is allowed when the count-th request from the end has left the window.
                if len(times) >= count and times[-count] > now - seconds:
                    rule = f"more than {count} requests in {seconds:g} s"
                    raise Throttled(rule, times[-count] + seconds - now, seconds == _SUSTAINED_SECONDS)
            times.append(now)
