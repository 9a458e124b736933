"""Session: sends requests to both APIs, each step in a module of its own."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload
from weakref import WeakSet

import requests
from attrs import define, evolve, field
from requests.adapters import BaseAdapter

from .. import _redact
from .._parallel import Cancelled, CancelToken, raise_if_cancelled
from .._time import Clock, utc_now
from ..config import Config, Secret
from ..endpoints import Request
from ..errors import (
    APIError,
    CircuitOpen,
    ConfigError,
    NotAllowed,
    RateLimited,
    TimedOut,
    TransportError,
    TrayportWarning,
)
from ..hooks import Hook, RequestEvent
from ..limits import ConcurrencyLimit, RateLimiter, Wait, limiter_of
from ..status import Counts, Status
from ..wire import new_request_id, request_headers
from .connections import Auth, Connections, check_proxy, trust_of
from .faults import classify
from .responses import MAX_DETAIL, entitlement_of, read_response, without_key
from .retries import AttemptResult, Breaker, Call, Read, is_ambiguous_403

__all__ = ["Session"]

logger = _redact.logger(__name__)

T = TypeVar("T")

# Seconds; a longer wait for the next attempt is announced by a warning, so that the program does not seem to hang.
_LONG_WAIT = 10.0


def _wait(cancel: threading.Event, seconds: float) -> object:
    return cancel.wait(seconds)  # not ``threading.Event.wait``, since ``CancelToken`` knows of a deadline


@define(eq=False)
class Session:
    """Sends requests to both APIs with one key.

    ``send`` takes these steps:

    1. A request that needs an entitlement which the key is known not to have is refused.
    2. The retry loop (``retries``) makes the attempts and waits between them.
    3. The circuit breaker refuses while its API keeps failing; a running request waits for the probe.
    4. The concurrency limit gives one of ``Config.workers`` slots, so that a permit is never held in a queue for a
       connection.
    5. The rate limit (``limits``) gives one permit for each attempt.
    6. The request goes over a pooled connection (``connections``), without redirects and cookies.
    7. A status or an exception becomes one of ``errors`` (``responses``, ``faults``).
    8. Hooks and the log get a ``RequestEvent``.

    Parameters
    ----------
    config : Config
        The settings.
    hooks : sequence of Hook, default ()
        Called with a ``RequestEvent`` after each attempt.
    now : callable, default utc_now
        Returns the present time.
    clock : callable, default time.monotonic
        Returns seconds, for durations.
    wait : callable
        Called with a ``CancelToken`` and seconds to wait for, at most.
    adapter : requests.adapters.BaseAdapter, optional
        Sends the requests in place of the session's own connection pool.
    auth : callable, optional
        Adds a login to each request.

    Raises
    ------
    ConfigError
        There is no key, or the certificates or the store of the rate limit cannot be used.
    """

    config: Config
    hooks: Sequence[Hook] = ()
    now: Clock = utc_now
    clock: Callable[[], float] = time.monotonic
    wait: Wait = _wait
    adapter: BaseAdapter | None = field(default=None, repr=False)
    auth: Auth | None = field(default=None, repr=False)
    rate_limiter: RateLimiter = field(init=False)
    breakers: dict[str, Breaker] = field(init=False)
    _closed: bool = field(default=False, init=False)
    _key: Secret = field(init=False, repr=False)
    _concurrency: ConcurrencyLimit = field(init=False, repr=False)
    _connections: Connections = field(init=False, repr=False)
    _not_entitled: dict[tuple[object, ...], str] = field(factory=dict, init=False, repr=False)
    """Entitlements that the key is known not to have, and the reason that the server gave."""
    _cancel_tokens: WeakSet[CancelToken] = field(factory=WeakSet, init=False, repr=False)
    _counts: Counts = field(factory=Counts, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._key = self.config.require_key()
        self.rate_limiter = limiter_of(self.config, self.clock)
        self.breakers = {api: Breaker(clock=self.clock) for api in ("analytics", "reference")}
        self._concurrency = ConcurrencyLimit(self.config.workers)
        trust = trust_of(self.config.ca_bundle)
        self._connections = Connections(self.config.workers, trust, self.adapter, self.auth)
        _redact.watch()

    def raise_if_open(self, request: Request) -> None:
        """Raise ``CircuitOpen`` if the circuit breaker of the request's API is open; called before a query begins."""
        breaker = self.breakers[request.endpoint.api]
        seconds = breaker.retry_in()
        if seconds > 0:
            raise CircuitOpen(request.endpoint.name, 0, breaker.cause, retry_in=seconds)

    @overload
    def send(
        self, request: Request, cancel: CancelToken | None = ..., *, bulk: bool = ..., request_id: str = ...
    ) -> bytes: ...
    @overload
    def send(
        self, request: Request, cancel: CancelToken | None = ..., *, bulk: bool = ..., request_id: str = ...,
        read: Callable[[Iterable[bytes]], T],
    ) -> T: ...  # fmt: skip
    def send(
        self, request: Request, cancel: CancelToken | None = None, *, bulk: bool = False, request_id: str = "",
        read: Read = b"".join,
    ) -> Any:  # fmt: skip
        """Send a request, with retries, and return the result of ``read``.

        Parameters
        ----------
        request : Request
            The request.
        cancel : CancelToken, optional
            Setting it ends every wait at once, with ``Cancelled``; its deadline ends it with ``TimedOut``.
        bulk : bool, default False
            True for requests of a bulk load, which let single queries go first.
        request_id : str, optional
            Name of the request for the server, hooks, logs and errors, where a dash and the number of the attempt are
            added. A random one by default.
        read : callable, default b"".join
            Called with an iterator over the decompressed pieces of the body, while they arrive; once for each attempt
            that gets a response. If it raises and the body then proves to be cut or corrupt, the request is retried;
            otherwise its exception is raised.

        Raises
        ------
        APIError, TransportError
            The last attempt failed.
        """
        call = self._start(request, cancel, bulk=bulk, request_id=request_id, read=read)
        try:
            return self._send_with_retries(call)
        except Cancelled:
            if not (self._closed or call.cancel.is_late):
                raise
        except (APIError, TransportError) as error:
            error.request_id = call.attempt_id
            raise
        raise self._early_end(call)  # outside of the handler, since the frames of its exception hold the key

    def send_once(self, request: Request, cancel: CancelToken | None = None) -> AttemptResult:
        """Make a single attempt at a request and return its result, also if it is an error.

        The attempt takes a slot and a permit, and hooks see it. It is not retried, and the circuit breaker does not
        refuse it. If the deadline passes, the result is a ``TimedOut``.
        """
        call = self._start(request, cancel)
        try:
            raise_if_cancelled(call.cancel)
            result = self._attempt(call)
        except Cancelled:
            if not (self._closed or call.cancel.is_late):
                raise
            return AttemptResult(error=self._early_end(call))
        if result.status == 429:
            self.rate_limiter.slow_down()
        if result.error is not None:
            result.error.request_id = call.attempt_id
        return result

    def close(self) -> None:
        """Close every connection; requests that wait for a response or for a retry fail."""
        self._closed = True
        with self._lock:
            tokens = list(self._cancel_tokens)
        for token in tokens:
            token.set()
        self._connections.close()

    def status(self) -> Status:
        """Return the state of the rate limit, the circuit breakers and the connections, and the counts of requests."""
        with self._lock:
            counts = evolve(self._counts, under_way=self._concurrency.in_flight)
        return Status(
            self.rate_limiter.status(self.config.rates),
            {api: breaker.state for api, breaker in self.breakers.items()},
            self._connections.pool_status(),
            counts,
        )

    def _start(
        self, request: Request, cancel: CancelToken | None, *, bulk: bool = False, request_id: str = "",
        read: Read = b"".join,
    ) -> Call:  # fmt: skip
        def key_usage() -> float:
            return self.rate_limiter.used() / self.config.per_minute

        token = cancel or CancelToken()
        with self._lock:
            self._cancel_tokens.add(token)
            self._counts = evolve(self._counts, requests=self._counts.requests + 1)
        return Call(request, self.config, token, read, bulk, request_id or new_request_id(), key_usage)

    def _send_with_retries(self, call: Call) -> Any:
        entitlement = entitlement_of(call.request)
        while True:
            raise_if_cancelled(call.cancel)
            reason = self._not_entitled.get(entitlement)  # another thread may have found out meanwhile
            if reason is not None:
                raise NotAllowed(
                    call.endpoint,
                    403,
                    f"{reason}, so that the request was not sent again",
                    remedy="check with Trayport the entitlements of the key; a new Client sends the request again",
                )
            self._wait_for_breaker(call)
            result = self._attempt(call)
            if result.error is None:
                if is_ambiguous_403(call.error):  # waiting helped, so that it meant throttling
                    self.rate_limiter.slow_down()
                if result.decode_error is not None:
                    raise result.decode_error
                return result.body
            if result.status == 429:
                self.rate_limiter.slow_down()
            seconds = call.wait_before_retry(result.error, result.retry_after)
            if seconds is None:
                raise self._not_allowed(call, result.error) if is_ambiguous_403(result.error) else result.error
            if seconds >= call.cancel.left:
                detail = f"{call.cancel.deadline} leave no time for another attempt in {seconds:.0f} seconds"
                raise TimedOut(call.endpoint, call.attempts, f"{detail}; last error: {result.error}")
            if result.status == 429:
                self.rate_limiter.pause(seconds)  # the server means the key, so that all of its users wait
            if seconds >= _LONG_WAIT:
                text = f"{result.error}; waiting {seconds:.0f} seconds to try again"
                warnings.warn(text, TrayportWarning, stacklevel=2)
            self.wait(call.cancel, seconds)

    def _wait_for_breaker(self, call: Call) -> None:
        breaker = self.breakers[call.request.endpoint.api]
        while (seconds := breaker.admit()) > 0:
            pause = min(seconds, 1.0)  # short, since the probe may succeed at any moment
            if not call.take_from_budget(pause):
                raise CircuitOpen(call.endpoint, call.attempts, breaker.cause, retry_in=seconds)
            self.wait(call.cancel, pause)
            raise_if_cancelled(call.cancel)

    def _attempt(self, call: Call) -> AttemptResult:
        """Make one attempt: take a slot and a permit, send the request, and report the result."""
        breaker, attempts_before = self.breakers[call.request.endpoint.api], call.attempts
        try:
            with self._concurrency.slot(call.bulk, call.cancel):
                waited = self.rate_limiter.acquire(self.config.rates, call.cancel, self.wait, bulk=call.bulk)
                started = self.clock()
                result = self._send_over_wire(call)
        except BaseException as error:
            breaker.record_abandoned()
            if isinstance(error, Cancelled) and call.attempts > attempts_before:  # the server has got it
                end = AttemptResult(error=self._early_end(call))
                self._report(call, end, waited, self.clock() - started)
            raise
        elapsed = self.clock() - started - result.decode_seconds
        if result.status is not None and result.status < 500:
            breaker.record_success()
        elif (
            result.error is not None
            and result.error.transient
            and breaker.record_failure(call.request, str(result.error))
        ):
            text = f"{result.error}; the API keeps failing, so it is left alone for {breaker.cooldown:.0f} seconds"
            warnings.warn(text, TrayportWarning, stacklevel=2)
        self._report(call, result, waited, elapsed)
        return result

    def _send_over_wire(self, call: Call) -> AttemptResult:
        """Send the request once, and turn every exception on the way into an error."""
        try:
            if self._closed:
                raise Cancelled
            call.attempts += 1
            return self._exchange(call)
        except (ConfigError, Cancelled):
            raise
        except Exception as error:
            if self._closed or call.cancel.is_late:
                raise Cancelled from None
            kind, detail, remedy = classify(error)
        # Made outside of the handler, since exceptions of requests hold the request, which holds the key.
        detail = without_key(detail, self._key)[:MAX_DETAIL]
        return AttemptResult(error=kind(call.endpoint, call.attempts, detail, remedy=remedy))

    def _exchange(self, call: Call) -> AttemptResult:
        request = call.request
        base = self.config.analytics_url if request.endpoint.api == "analytics" else self.config.reference_url
        prepared = self._connections.prepare_request(
            requests.Request(
                "GET",
                base + request.path,
                params=list(request.params),
                headers=request_headers(self._key.reveal(), call.attempt_id, csv=request.csv),
            )
        )
        settings = self._connections.settings_for(base)
        check_proxy(requests.utils.select_proxy(base, settings["proxies"]))
        connect, read = (min(seconds, call.cancel.left) or 1e-3 for seconds in self.config.timeout)
        response = self._connections.send(prepared, timeout=(connect, read), allow_redirects=False, **settings)
        received_at, seconds = self.now(), response.elapsed.total_seconds()
        try:
            result = read_response(call, response, self._key, self.now().floor("D"), self.clock)
            date = response.headers.get("Date")
            return evolve(result, date=date, received_at=received_at, seconds_to_headers=seconds)
        finally:
            response.close()
            if self._closed:
                self._connections.close()  # this one was opened after the others were closed

    def _not_allowed(self, call: Call, error: RateLimited) -> NotAllowed:
        """Return the final error for a 403 that waiting did not cure."""
        reason = "the key is not entitled to this, or it is throttled"
        if call.is_not_entitled:
            reason = "the key is not entitled to this: it was hardly used, and waiting did not help"
        elif call.attempts > 1:
            reason = f"waiting did not help: {reason} for longer"
        detail = f"{error.detail}; {reason}" if error.detail else reason
        if call.is_not_entitled:
            self._not_entitled[entitlement_of(call.request)] = detail
        return NotAllowed(call.endpoint, 403, detail)

    def _early_end(self, call: Call) -> TransportError:
        """Return the error for a call that ended before a result: by the deadline, or since the client was closed."""
        if self._closed or not call.cancel.is_late:
            reason = "the client was closed" if self._closed else "the caller gave up"
            return TransportError(call.endpoint, call.attempts, reason, request_id=call.attempt_id)
        cause = call.error or self.breakers[call.request.endpoint.api].cause
        detail = f"{call.cancel.deadline} have passed{f'; last error: {cause}' if cause else ''}"
        return TimedOut(call.endpoint, call.attempts, detail, request_id=call.attempt_id)

    def _report(self, call: Call, result: AttemptResult, waited: float, elapsed: float) -> None:
        """Count the attempt, log it, and call the hooks."""
        event = RequestEvent(
            id=call.attempt_id,
            endpoint=call.endpoint,
            api=call.request.endpoint.api,
            attempt=call.attempts,
            waited=waited,
            elapsed=elapsed,
            status=result.status,
            bytes_received=result.bytes_received,
            bytes_decoded=result.bytes_decoded,
            error=type(result.error).__name__ if result.error else None,
            retry_reason=call.retry_reason,
            breaker=self.breakers[call.request.endpoint.api].state,
        )
        with self._lock:
            self._counts = evolve(
                self._counts,
                attempts=self._counts.attempts + 1,
                failed=self._counts.failed + (event.error is not None),
                retries=self._counts.retries + (event.attempt > 1),
            )
        logger.log(logging.DEBUG if event.error is None else logging.INFO, "%s", event)
        for hook in self.hooks:
            try:
                hook(event)
            except Exception:  # an observer must not decide whether data arrive
                logger.exception("the hook %r failed", hook)
