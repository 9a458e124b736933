"""Which failures are worth another attempt, and how long to wait before it.

urllib3's ``Retry`` is the policy; ``Session`` steps it, so that every attempt passes the limits. Mounted on an
adapter it would retry below them, and one permit would buy several requests just when the server is in trouble.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeGuard

from attrs import define, field
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError
from urllib3.util.retry import Retry

from ..config import Config
from ..errors import APIError, RateLimited, TransportError, TrayportError
from ..hooks import new_id

# 429 has a wait of its own; 408 and 425 say "again" in so many words.
STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

# A 403 may be throttling, seen at 1.2 requests a second and cured by waiting. Of a key that was hardly used in the
# last minute it is believed after one wait; of one under load, after three growing waits it may still be either.
_FORBIDDEN_FIRST = 15.0
_FORBIDDEN_TRIES = 3
_HARDLY_USED = 0.1


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


def _all_of_it() -> float:
    return 1.0


@define
class Trial:
    """The attempts at one request: says after each failure how long to wait, or that it was the last.

    ``used`` tells which share of its minute the key has used, by all who are known to use it.
    """

    _policy: Policy
    _budget: float
    _cap: float
    _used: Callable[[], float] = _all_of_it
    request_id: str = field(factory=new_id, init=False)
    attempts: int = field(default=0, init=False)
    """How often the request was sent."""
    error: APIError | TransportError | None = field(default=None, init=False)
    """What came of it the last time."""
    _forbidden: int = field(default=0, init=False)
    _idle: bool = field(default=False, init=False)

    @property
    def attempt_id(self) -> str:
        """The id of the last attempt; nothing before the first."""
        return f"{self.request_id}-{self.attempts}" if self.attempts else ""

    @property
    def reason(self) -> str | None:
        """Why there is another attempt; None for the first."""
        status = f" {self.error.status}" if isinstance(self.error, APIError) else ""
        return f"{type(self.error).__name__}{status}" if self.error else None

    @property
    def is_refused(self) -> bool:
        """Is a 403 what it says? The key was hardly used, and a wait did not help."""
        return self._idle and self._forbidden > 1

    def wait_after(self, error: TrayportError, retry_after: str | None) -> float | None:
        """Seconds to wait before trying again; None when ``error`` is final."""
        if not self._worth_it(error):
            return None
        asked = asked_wait(self._policy, retry_after)
        if is_forbidden(error):
            self._forbidden += 1
            if self._forbidden == 1:  # later on, our own waits have emptied the minute; and who says when, throttles
                self._idle = asked is None and self._used() < _HARDLY_USED
        try:
            self._policy = self._policy.increment(method="GET", error=HTTPError(str(error)))
        except MaxRetryError:
            return None
        seconds = self._seconds(error, asked)
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

    def _seconds(self, error: TrayportError, asked: float | None) -> float | None:
        # What the server asks for is kept to, even beyond our own cap; the budget alone ends it.
        if not is_forbidden(error):
            return asked or self._policy.get_backoff_time()
        if self._forbidden > (1 if self._idle else _FORBIDDEN_TRIES):
            return None
        return asked or min(self._cap, _FORBIDDEN_FIRST * 2.0 ** (self._forbidden - 1))


def is_forbidden(error: Exception | None) -> TypeGuard[RateLimited]:
    """Is it a 403 that waiting may still cure?"""
    return isinstance(error, RateLimited) and error.status == 403


def asked_wait(policy: Retry, header: str | None) -> float | None:
    """The seconds in a Retry-After header, which may be a number or a date; None where it says nothing."""
    if header is None:
        return None
    try:
        return policy.parse_retry_after(header)
    except (InvalidHeader, ValueError, OverflowError):  # the year 99999, a number of 5000 digits
        return None
