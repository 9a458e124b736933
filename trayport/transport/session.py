"""Sends one request at a time, patiently: every step of it, each in a module of its own."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar, overload
from weakref import WeakSet

import requests
from attrs import define, evolve, field

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
    TimedOut,
    TransportError,
    TrayportError,
    TrayportWarning,
)
from ..hooks import Hook, RequestEvent, new_id
from ..limits import ConcurrencyLimit, RateLimiter, Wait, limiter_of
from ..status import Counts, Status
from ..wire import request_headers
from .answer import AttemptResult
from .bodies import Body, TooLarge, is_framed
from .breaker import Breaker
from .connections import Connections
from .faults import check_proxy, sort_out
from .refusals import MOST_OF_A_REASON, Reader, subject
from .retries import Trial, is_forbidden, policy
from .trust import trusted

__all__ = ["Session"]

logger = _redact.logger(__name__)

T = TypeVar("T")
_Read: TypeAlias = Callable[[Iterable[bytes]], Any]

# A wait longer than this is told, so that nobody takes it for a hang.
_LONG_WAIT = 10.0


def _wait(stop: threading.Event, seconds: float) -> object:
    return stop.wait(seconds)  # the event's own, which may know of a deadline


def _left(stop: threading.Event) -> float:
    """Seconds until the deadline, for events that have one."""
    return stop.left if isinstance(stop, CancelToken) else float("inf")


@define(eq=False)
class Session:
    """Sends requests to both APIs with one key.

    ``send`` goes through these steps, outermost first; see ``retries``, ``breaker``, ``slots``, ``limits``,
    ``connections``, ``bodies``, ``refusals`` and ``faults``:

    1. what was refused for good is not asked again;
    2. the retry loop owns the attempts, and the waits between them;
    3. the breaker refuses while its API keeps failing; a request under way waits for the probe;
    4. one slot of ``Config.workers``, so that a permit is never held in a queue for a connection;
    5. one permit of the key's limits, for every attempt;
    6. the wire: a pooled connection, no redirects, no cookies, an explicit Accept-Encoding;
    7. status and exception become one of ``errors``;
    8. the hooks see a ``RequestEvent``, and so does the log, in one line.
    """

    config: Config
    hooks: Sequence[Hook] = ()
    now: Clock = utc_now
    clock: Callable[[], float] = time.monotonic
    wait: Wait = _wait
    rate_limiter: RateLimiter = field(init=False)
    breakers: dict[str, Breaker] = field(init=False)
    _closed: bool = field(default=False, init=False)
    _key: Secret = field(init=False, repr=False)
    _reader: Reader = field(init=False, repr=False)
    _concurrency: ConcurrencyLimit = field(init=False, repr=False)
    _http: Connections = field(init=False, repr=False)
    _refused: dict[tuple[object, ...], str] = field(factory=dict, init=False, repr=False)
    """What was forbidden, although waiting cannot have been all that it lacked, and how the server said so."""
    _stops: WeakSet[threading.Event] = field(factory=WeakSet, init=False, repr=False)
    _counts: Counts = field(factory=Counts, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._key = self.config.require_key()
        self._reader = Reader(self._key)
        self.rate_limiter = limiter_of(self.config, self.clock)
        self.breakers = {api: Breaker(clock=self.clock) for api in ("analytics", "reference")}
        self._concurrency = ConcurrencyLimit(self.config.workers)
        self._http = Connections(self.config.workers, trusted(self.config.ca_bundle))
        _redact.watch()

    def ready(self, request: Request) -> None:
        """Raise ``CircuitOpen`` while the request's API is left alone, for questions that have not begun."""
        breaker = self.breakers[request.endpoint.api]
        seconds = breaker.retry_in()
        if seconds > 0:
            raise CircuitOpen(request.endpoint.name, 0, breaker.cause, retry_in=seconds)

    @overload
    def send(
        self, request: Request, stop: threading.Event | None = ..., *, bulk: bool = ..., request_id: str = ...
    ) -> bytes: ...
    @overload
    def send(
        self, request: Request, stop: threading.Event | None = ..., *, bulk: bool = ..., request_id: str = ...,
        read: Callable[[Iterable[bytes]], T],
    ) -> T: ...  # fmt: skip
    def send(
        self, request: Request, stop: threading.Event | None = None, *, bulk: bool = False, request_id: str = "",
        read: _Read = b"".join,
    ) -> Any:  # fmt: skip
        """What ``read`` makes of the answer to ``request``: of its pieces, unpacked, while they come; by default bytes.

        It is called anew for each attempt whose answer begins to come, and what it raises is raised at the end, unless
        the answer turns out to be cut or spoiled: then the request is made again.

        One of a ``bulk`` load lets questions go first. ``request_id`` names the request, with a dash and a number for
        each attempt, to the server, to hooks, in logs and in errors; unless given, one is made. Setting ``stop`` ends
        every wait at once with ``Cancelled``, and its deadline with ``TimedOut``. Raises one of ``errors`` when the
        last attempt has failed.
        """
        stop = stop or CancelToken()
        trial = self._begun(stop, request_id)
        ended = False
        try:
            return self._sent(request, trial, stop, bulk, read)
        except Cancelled:
            ended = self._closed or _left(stop) <= 0
            if not ended:
                raise
        except (APIError, TransportError) as error:
            error.request_id = trial.attempt_id
            raise
        raise self._ended(request, trial, stop)

    def probe(self, request: Request, stop: threading.Event | None = None) -> AttemptResult:
        """What a single attempt at ``request`` brings, an error too: for a look at how things stand.

        It takes a slot and a permit, and hooks see it, like any other; but it is not made again, and an API that is
        left alone is asked all the same. The end of the deadline is an answer, too: a ``TimedOut``.
        """
        stop = stop or CancelToken()
        trial = self._begun(stop)
        try:
            raise_if_cancelled(stop)
            answer = self._attempt(request, trial, stop, False, b"".join)
        except Cancelled:
            if not self._closed and _left(stop) > 0:
                raise
            return AttemptResult(error=self._ended(request, trial, stop))
        if answer.status == 429:
            self.rate_limiter.slow_down()
        if answer.error is not None:
            answer.error.request_id = trial.attempt_id
        return answer

    def close(self) -> None:
        """Let go of every connection; who waits for an answer, or to ask again, gets an error."""
        self._closed = True
        with self._lock:
            stops = list(self._stops)
        for stop in stops:
            stop.set()
        self._http.close()

    def status(self) -> Status:
        """How the limit of the key stands, the breakers, the connections, and what was asked so far."""
        with self._lock:
            counts = evolve(self._counts, under_way=self._concurrency.in_flight)
        return Status(
            self.rate_limiter.status(self.config.rates),
            {api: breaker.state for api, breaker in self.breakers.items()},
            self._http.live.counted(self.config.workers),
            counts,
        )

    def _begun(self, stop: threading.Event, request_id: str = "") -> Trial:
        trial = Trial(policy(self.config), self.config.retry_budget, self.config.backoff_cap, self._used)
        trial.request_id = request_id or new_id()
        with self._lock:
            self._stops.add(stop)
            self._counts = evolve(self._counts, requests=self._counts.requests + 1)
        return trial

    def _sent(self, request: Request, trial: Trial, stop: threading.Event, bulk: bool, read: _Read) -> Any:
        while True:
            raise_if_cancelled(stop)
            self._refuse_again(request)
            self._wait_for_leave(request, trial, stop)
            answer = self._attempt(request, trial, stop, bulk, read)
            if answer.error is None:
                if is_forbidden(trial.error):  # waiting helped, so it was the limits that were meant
                    self.rate_limiter.slow_down()
                if answer.decode_error is not None:
                    raise answer.decode_error
                return answer.body
            trial.error = answer.error
            if answer.status == 429:
                self.rate_limiter.slow_down()
            seconds = trial.wait_after(answer.error, answer.retry_after)
            if seconds is None:
                raise self._final(request, answer.error, trial)
            if seconds >= _left(stop):
                short = f"{getattr(stop, 'deadline', None)} leave no time to ask again in {seconds:.0f} seconds"
                raise TimedOut(request.endpoint.name, trial.attempts, f"{short}; at last: {answer.error}")
            self._pause(answer, seconds, stop)

    def _used(self) -> float:
        """The share of the key's minute that was used, as far as the rate limiter knows."""
        return self.rate_limiter.used() / self.config.per_minute

    def _refuse_again(self, request: Request) -> None:
        said = self._refused.get(subject(request))
        if said is not None:
            raise NotAllowed(request.endpoint.name, 403, f"{said}, and it is not asked again: a new Client would")

    def _final(self, request: Request, error: TrayportError, trial: Trial) -> TrayportError:
        """A 403 that waiting did not cure is taken for what it says, or may still be."""
        if not is_forbidden(error):
            return error
        reading = "the key has no right to this, or it is throttled"
        if trial.is_refused:
            reading = "the key has no right to this: it was hardly used, and waiting did not help"
        elif trial.attempts > 1:
            reading = f"waiting did not help: {reading} for longer"
        said = f"{error.detail}; {reading}" if error.detail else reading
        if trial.is_refused:
            self._refused[subject(request)] = said
        return NotAllowed(request.endpoint.name, 403, said)

    def _ended(self, request: Request, trial: Trial, stop: threading.Event) -> TransportError:
        """Why a request came to no end: nobody is to wait for it any more."""
        name = request.endpoint.name
        if self._closed or _left(stop) > 0:
            why = "the client was closed" if self._closed else "nobody waits for the answer"
            return TransportError(name, trial.attempts, why, request_id=trial.attempt_id)
        cause = trial.error or self.breakers[request.endpoint.api].cause
        last = f"; at last: {cause}" if cause else ""
        said = f"{getattr(stop, 'deadline', None)} are over{last}"
        return TimedOut(name, trial.attempts, said, request_id=trial.attempt_id)

    def _wait_for_leave(self, request: Request, trial: Trial, stop: threading.Event) -> None:
        breaker = self.breakers[request.endpoint.api]
        while (seconds := breaker.admit()) > 0:
            slice_ = min(seconds, 1.0)  # short, since the probe may be back any moment
            if not trial.wait_for_probe(slice_):
                raise CircuitOpen(request.endpoint.name, trial.attempts, breaker.cause, retry_in=seconds)
            self._sleep(slice_, stop)

    def _pause(self, answer: AttemptResult, seconds: float, stop: threading.Event) -> None:
        if answer.status == 429:
            self.rate_limiter.pause(seconds)  # the server speaks to the key, so all who use it wait
        if seconds >= _LONG_WAIT:
            warnings.warn(
                f"{answer.error}; waiting {seconds:.0f} seconds to try again",
                TrayportWarning,
                stacklevel=2,
            )
        self._sleep(seconds, stop)

    def _sleep(self, seconds: float, stop: threading.Event) -> None:
        self.wait(stop, seconds)
        raise_if_cancelled(stop)

    def _attempt(self, request: Request, trial: Trial, stop: threading.Event, bulk: bool, read: _Read) -> AttemptResult:
        breaker, before = self.breakers[request.endpoint.api], trial.attempts
        try:
            with self._concurrency.slot(bulk, stop):
                waited = self.rate_limiter.acquire(self.config.rates, stop, self.wait, bulk=bulk)
                began = self.clock()
                answer = self._wire(request, trial, stop, read)
        except BaseException as caught:
            breaker.gave_up()
            if isinstance(caught, Cancelled) and trial.attempts > before:  # the server has seen it
                self._tell(
                    request, trial, waited, self.clock() - began, AttemptResult(error=self._ended(request, trial, stop))
                )
            raise
        elapsed = self.clock() - began - answer.decode_seconds
        if answer.status is not None and answer.status < 500:
            breaker.succeeded()
        elif answer.error is not None and answer.error.transient and breaker.failed(request, str(answer.error)):
            warnings.warn(
                f"{answer.error}; the API keeps failing, so it is left alone for {breaker.cooldown:.0f} seconds",
                TrayportWarning,
                stacklevel=2,
            )
        self._tell(request, trial, waited, elapsed, answer)
        return answer

    def _wire(self, request: Request, trial: Trial, stop: threading.Event, read: _Read) -> AttemptResult:
        name = request.endpoint.name
        try:
            if self._closed:
                raise Cancelled
            trial.attempts += 1
            return self._exchange(request, trial, stop, read)
        except (ConfigError, Cancelled):
            raise
        except Exception as caught:
            if self._closed or _left(stop) <= 0:
                raise Cancelled from None
            kind, reason, remedy = sort_out(caught)
        # Made outside the handler: requests' exceptions hold the request, and that holds the key.
        return AttemptResult(
            error=kind(name, trial.attempts, self._reader.redacted(reason)[:MOST_OF_A_REASON], remedy=remedy)
        )

    def _exchange(self, request: Request, trial: Trial, stop: threading.Event, read: _Read) -> AttemptResult:
        base = self.config.analytics_url if request.endpoint.api == "analytics" else self.config.reference_url
        prepared = self._http.prepare_request(
            requests.Request(
                "GET",
                base + request.path,
                params=list(request.params),
                headers=request_headers(self._key.reveal(), trial.attempt_id, csv=request.csv),
            )
        )
        settings = self._http.settings_for(base)
        check_proxy(requests.utils.select_proxy(base, settings["proxies"]))
        connect, silence = (min(seconds, _left(stop)) or 1e-3 for seconds in self.config.timeout)
        response = self._http.send(prepared, timeout=(connect, silence), allow_redirects=False, **settings)
        received_at, seconds = self.now(), response.elapsed.total_seconds()
        try:
            answer = self._read(request, response, trial, stop, read)
            return evolve(
                answer, date=response.headers.get("Date"), received_at=received_at, seconds_to_headers=seconds
            )
        finally:
            response.close()
            if self._closed:
                self._http.close()  # a connection that was opened meanwhile

    def _read(
        self, request: Request, response: requests.Response, trial: Trial, stop: threading.Event, read: _Read
    ) -> AttemptResult:
        raw: Any = response.raw
        if response.status_code != 200:
            error, said = self._reader.error(request, response, self.now().floor("D"))
            asked = response.headers.get("Retry-After")
            return AttemptResult(response.status_code, said, error, asked, raw.tell(), len(said))
        body = Body(raw, is_framed(response), request.csv, self.config.max_body, stop, self.clock)
        began = self.clock()
        try:
            made, decode_error = _made(body, read)
        except TooLarge as large:
            too_large = TransportError(request.endpoint.name, trial.attempts, str(large))
            return AttemptResult(200, error=too_large, bytes_received=raw.tell())
        decode_seconds = self.clock() - began - body.seconds
        return AttemptResult(
            200,
            made,
            bytes_received=raw.tell(),
            bytes_decoded=body.size,
            decode_error=decode_error,
            decode_seconds=decode_seconds,
        )

    def _tell(self, request: Request, trial: Trial, waited: float, elapsed: float, answer: AttemptResult) -> None:
        event = RequestEvent(
            id=trial.attempt_id,
            endpoint=request.endpoint.name,
            api=request.endpoint.api,
            attempt=trial.attempts,
            waited=waited,
            elapsed=elapsed,
            status=answer.status,
            bytes_received=answer.bytes_received,
            bytes_decoded=answer.bytes_decoded,
            error=type(answer.error).__name__ if answer.error else None,
            retry_reason=trial.reason,
            breaker=self.breakers[request.endpoint.api].state,
        )
        self._count(event)
        logger.log(logging.DEBUG if event.error is None else logging.INFO, "%s", event)
        for hook in self.hooks:
            try:
                hook(event)
            except Exception:  # an observer must not decide whether data arrive
                logger.exception("the hook %r failed", hook)

    def _count(self, event: RequestEvent) -> None:
        with self._lock:
            counts = self._counts
            self._counts = evolve(
                counts,
                attempts=counts.attempts + 1,
                failed=counts.failed + (event.error is not None),
                retries=counts.retries + (event.attempt > 1),
            )


def _made(body: Body, read: _Read) -> tuple[Any, Exception | None]:
    """What ``read`` makes of the body, or why it cannot; raises what kept the body itself from coming whole."""
    made, decode_error = None, None
    try:
        made = read(body)
    except Exception as error:
        # Without this frame and those above: they hold the request, and that holds the key.
        decode_error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    if body.fault is None:
        body.drain()
    if body.fault is not None:
        raise body.fault
    return made, decode_error
