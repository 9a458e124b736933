"""Which failures are worth another attempt, and how long to wait before it.

urllib3's ``Retry`` is the policy; ``Session`` steps it, so that every attempt passes the limits. Mounted on an
adapter it would retry below them, and one permit would buy several requests just when the server is in trouble.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from attrs import define, field
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError
from urllib3.util.retry import Retry

from ..config import Config
from ..errors import APIError, RateLimited, TrayportError

# 429 has a wait of its own; 408 and 425 say "again" in so many words.
STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

# A 403 may be throttling, seen at 1.2 requests a second and cured by waiting; after three growing waits it is
# taken for what it says.
_FORBIDDEN_FIRST = 15.0
_FORBIDDEN_TRIES = 3


class Policy(Retry):
    """Exponential backoff with full jitter: anything between nothing and the bound, which doubles."""

    def __init__(self, *args: Any, jitter: Callable[[], float] = random.random, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._jitter = jitter

    def new(self, **kwargs: Any) -> Policy:
        """What ``Retry`` makes of itself at each step."""
        return super().new(jitter=self._jitter, **kwargs)

    def get_backoff_time(self) -> float:
        """Seconds before the next attempt."""
        bound = self.backoff_factor * 2 ** max(0, len(self.history) - 1)
        return self._jitter() * min(float(bound), float(self.backoff_max))


def policy(config: Config, jitter: Callable[[], float] = random.random) -> Policy:
    """The policy that ``config`` asks for."""
    return Policy(
        total=config.attempts - 1,
        backoff_factor=1.0,
        backoff_max=config.backoff_cap,
        status_forcelist=STATUSES,
        jitter=jitter,
    )


@define
class Trial:
    """The attempts at one request: says after each failure how long to wait, or that it was the last."""

    _policy: Policy
    _budget: float
    _cap: float
    _forbidden: int = field(default=0, init=False)

    def wait_after(self, error: TrayportError, retry_after: str | None) -> float | None:
        """Seconds to wait before trying again; None when ``error`` is final."""
        if not self._worth_it(error):
            return None
        try:
            self._policy = self._policy.increment(method="GET", error=HTTPError(str(error)))
        except MaxRetryError:
            return None
        seconds = self._seconds(error, retry_after)
        if seconds is None or seconds > self._budget:
            return None
        self._budget -= seconds
        return seconds

    def _worth_it(self, error: TrayportError) -> bool:
        if isinstance(error, APIError):
            return self._policy.is_retry("GET", error.status) or isinstance(error, RateLimited)
        return error.transient

    def wait_for_probe(self, seconds: float) -> bool:
        """May the trial wait so long for an API that is left alone? It costs time, but no attempt."""
        if seconds > self._budget:
            return False
        self._budget -= seconds
        return True

    def _seconds(self, error: TrayportError, retry_after: str | None) -> float | None:
        if isinstance(error, RateLimited) and error.status == 403:
            self._forbidden += 1
            if self._forbidden > _FORBIDDEN_TRIES:
                return None
            return min(self._cap, _FORBIDDEN_FIRST * 2.0 ** (self._forbidden - 1))
        # What the server asks for is kept to, even beyond our own cap; the budget alone ends it.
        return asked_wait(self._policy, retry_after) or self._policy.get_backoff_time()


def asked_wait(policy: Retry, header: str | None) -> float | None:
    """The seconds in a Retry-After header, which may be a number or a date; None where it says nothing."""
    if header is None:
        return None
    try:
        return policy.parse_retry_after(header)
    except (InvalidHeader, ValueError, OverflowError):  # the year 99999, a number of 5000 digits
        return None
