"""Retries: the attempts of one request and the waits between them, and the circuit breaker of an API.

urllib3's ``Retry`` decides which failures are retried and for how long to wait. ``Session`` steps it, so that each
attempt takes a permit of the rate limit. Mounted on an adapter, it would retry below the rate limit, and one permit
would pay for several requests when the server is already in trouble.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeGuard

import pandas as pd
from attrs import define, field, frozen
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError
from urllib3.util.retry import Retry

from .._parallel import CancelToken
from ..config import Config
from ..endpoints import Request
from ..errors import APIError, RateLimited, TransportError
from ..typing import BreakerState
from ..wire import new_request_id

__all__ = ["AttemptResult", "Breaker", "Call", "Read", "RetryPolicy", "is_ambiguous_403", "parse_retry_after"]

Read: TypeAlias = Callable[[Iterable[bytes]], Any]
"""A function that makes a result of the pieces of a body."""

# 429 has a wait of its own; 408 and 425 ask for a repetition by definition (RFC 9110, RFC 8470).
_RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

# A 403 may mean throttling: users saw it at 1.2 requests a second, and waiting cured it. It is retried once if the key
# used less than a tenth of its rate limit in the last minute, and up to three times otherwise.
_FIRST_WAIT_AFTER_403 = 15.0  # seconds; doubled for each further 403
_RETRIES_OF_403 = 3
_HARDLY_USED = 0.1


@frozen
class AttemptResult:
    """The result of one attempt: a body, or the error that ended the attempt.

    ``body`` is the result of ``Call.read``, which is the bytes of the body by default.
    """

    status: int | None = None
    """The HTTP status; None if no response arrived."""
    body: Any = b""
    error: APIError | TransportError | None = None
    retry_after: str | None = None
    """The response's ``Retry-After`` header."""
    bytes_received: int = 0
    """Size of the body on the wire."""
    bytes_decoded: int = 0
    """Size of the decompressed body."""
    decode_error: Exception | None = None
    """The exception that ``Call.read`` raised for a body that arrived whole."""
    decode_seconds: float = 0.0
    """Time that ``Call.read`` took, without the waits for the network."""
    date: str | None = None
    """The server's time: the response's ``Date`` header."""
    received_at: pd.Timestamp | None = None
    """When the headers arrived, by the clock of this machine."""
    seconds_to_headers: float = 0.0
    """Time from sending to the arrival of the headers, including a new connection."""


class RetryPolicy(Retry):
    """Exponential backoff with full jitter: a wait between 0 and a bound that doubles with each failure."""

    def __init__(self, *args: Any, jitter: Callable[[], float] = random.random, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._jitter = jitter

    @classmethod
    def of(cls, config: Config, jitter: Callable[[], float] = random.random) -> RetryPolicy:
        """Return the policy that the settings describe."""
        return cls(
            total=config.attempts - 1,
            backoff_factor=1.0,
            backoff_max=config.backoff_cap,
            status_forcelist=_RETRIED_STATUSES,
            jitter=jitter,
        )

    def new(self, **kwargs: Any) -> RetryPolicy:
        """Return the policy for the next step; ``Retry.increment`` calls this."""
        return super().new(jitter=self._jitter, **kwargs)

    def get_backoff_time(self) -> float:
        """Return the seconds to wait before the next attempt."""
        bound = self.backoff_factor * 2 ** max(0, len(self.history) - 1)
        return self._jitter() * min(float(bound), float(self.backoff_max))


@define(eq=False)
class Call:
    """One request from its first attempt to its last.

    Parameters
    ----------
    request : Request
        The request to send.
    config : Config
        The settings for retries: attempts, waits and their budget.
    cancel : CancelToken
        The token that ends every wait of this call; it knows the deadline.
    read : callable
        Called with the pieces of each body.
    bulk : bool, default False
        True if the call belongs to a bulk load, which lets single queries go first.
    request_id : str
        The ``X-Request-ID`` without the number of the attempt.
    key_usage : callable
        Returns the share of the rate limit that the key used in the last minute, 0 to 1.
    policy : RetryPolicy
        The retry policy, by default the one that ``config`` describes.
    """

    request: Request
    config: Config = field(repr=False)
    cancel: CancelToken = field(factory=CancelToken)
    read: Read = field(default=b"".join, repr=False)
    bulk: bool = False
    request_id: str = field(factory=new_request_id)
    key_usage: Callable[[], float] = field(default=lambda: 1.0, repr=False)
    policy: RetryPolicy = field(repr=False)
    attempts: int = field(default=0, init=False)
    """Number of attempts so far."""
    error: APIError | TransportError | None = field(default=None, init=False)
    """Error of the last failed attempt."""
    _wait_budget: float = field(init=False)
    """Seconds that this call may still wait between attempts."""
    _count_403: int = field(default=0, init=False)
    _key_was_hardly_used: bool = field(default=False, init=False)

    @policy.default
    def _default_policy(self) -> RetryPolicy:
        return RetryPolicy.of(self.config)

    @_wait_budget.default
    def _whole_wait_budget(self) -> float:
        return self.config.retry_budget

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self.request.endpoint.name

    @property
    def attempt_id(self) -> str:
        """The ``X-Request-ID`` of the last attempt; empty before the first."""
        return f"{self.request_id}-{self.attempts}" if self.attempts else ""

    @property
    def retry_reason(self) -> str | None:
        """The error that led to another attempt, such as ``"ServerError 503"``; None for the first attempt."""
        if self.error is None:
            return None
        status = f" {self.error.status}" if isinstance(self.error, APIError) else ""
        return f"{type(self.error).__name__}{status}"

    @property
    def is_not_entitled(self) -> bool:
        """True if a 403 cannot mean throttling: the key was hardly used, and the request failed after a wait, too."""
        return self._key_was_hardly_used and self._count_403 > 1

    def wait_before_retry(self, error: APIError | TransportError, retry_after: str | None) -> float | None:
        """Record a failed attempt and return the seconds to wait before the next one, or None if it was the last."""
        self.error = error
        is_retried = (
            self.policy.is_retry("GET", error.status) or isinstance(error, RateLimited)
            if isinstance(error, APIError)
            else error.transient
        )
        if not is_retried:
            return None
        # A wait that the server asks for is kept, also above ``backoff_cap``; only the budget limits it.
        seconds = requested = parse_retry_after(self.policy, retry_after)
        if is_ambiguous_403(error):
            self._count_403 += 1
            if self._count_403 == 1:  # our own waits empty the last minute, so that later usage shows nothing
                self._key_was_hardly_used = requested is None and self.key_usage() < _HARDLY_USED
            if self._count_403 > (1 if self._key_was_hardly_used else _RETRIES_OF_403):
                return None
            seconds = requested or min(self.config.backoff_cap, _FIRST_WAIT_AFTER_403 * 2.0 ** (self._count_403 - 1))
        try:
            self.policy = self.policy.increment(method="GET", error=HTTPError(str(error)))
        except MaxRetryError:
            return None
        seconds = seconds or self.policy.get_backoff_time()
        return seconds if self.take_from_budget(seconds) else None

    def take_from_budget(self, seconds: float) -> bool:
        """Take a wait from the budget; return False if the budget does not cover it."""
        if seconds > self._wait_budget:
            return False
        self._wait_budget -= seconds
        return True


def is_ambiguous_403(error: Exception | None) -> TypeGuard[RateLimited]:
    """Return True for a 403, which may mean throttling or a missing entitlement."""
    return isinstance(error, RateLimited) and error.status == 403


def parse_retry_after(policy: Retry, header: str | None) -> float | None:
    """Return the seconds in a ``Retry-After`` header, which holds a number or a date; None if it is not valid."""
    if header is None:
        return None
    try:
        return policy.parse_retry_after(header)
    except (InvalidHeader, ValueError, OverflowError):  # the year 99999, a number of 5,000 digits
        return None


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
