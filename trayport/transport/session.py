"""Sends one request at a time, patiently: the only place that knows HTTP."""

from __future__ import annotations

import json
import logging
import platform
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeAlias

import requests
import urllib3
from attrs import define, field, frozen
from requests.adapters import HTTPAdapter

from .._parallel import Stopped
from .._time import Clock, utc_now
from .._version import __version__
from ..config import Config, Secret, is_loopback
from ..endpoints import Request
from ..errors import (
    APIError,
    BadRequest,
    CircuitOpen,
    ConfigError,
    IntradayNotAllowed,
    NotAllowed,
    NotFound,
    RateLimited,
    ServerError,
    TransportError,
    TrayportError,
    TrayportWarning,
)
from ..hooks import Hook, RequestEvent
from .breaker import Breaker
from .faults import check_proxy, sort_out
from .limits import Gate, Wait, check, gate
from .retries import Trial, policy

__all__ = ["Session"]

logger = logging.getLogger(__name__)

USER_AGENT = f"trayport/{__version__} python/{platform.python_version()} requests/{requests.__version__}"
# What is decoded here, the API's default first; without the header it would send Brotli unasked (guide p. 38).
ACCEPT_ENCODING = "br, gzip, deflate"

_CHUNK = 1 << 20
_MOST_OF_AN_ERROR = 1 << 16
_MOST_OF_A_REASON = 300
# A wait longer than this is told, so that nobody takes it for a hang.
_LONG_WAIT = 10.0


@frozen
class _Answer:
    """What one attempt brought: the body, or the error and the server's own wish for a wait."""

    status: int | None = None
    body: bytes = b""
    error: TrayportError | None = None
    retry_after: str | None = None


@define(eq=False)
class Session:
    """Sends requests to both APIs with one key.

    ``send`` goes through these steps, outermost first; see ``retries``, ``breaker`` and ``limits``:

    1. the retry loop owns the attempts, and the waits between them;
    2. the breaker refuses while its API keeps failing; a request under way waits for the probe;
    3. one slot of ``Config.workers``, so that a permit is never held in a queue for a connection;
    4. one permit of the key's limits, for every attempt;
    5. the wire: a pooled connection, no redirects, no cookies, an explicit Accept-Encoding;
    6. status and exception become one of ``errors``;
    7. the hooks see a ``RequestEvent``.
    """

    config: Config
    hooks: Sequence[Hook] = ()
    now: Clock = utc_now
    clock: Callable[[], float] = time.monotonic
    wait: Wait = threading.Event.wait
    gate: Gate = field(init=False)
    breakers: dict[str, Breaker] = field(init=False)
    _closed: bool = field(default=False, init=False)
    _key: Secret = field(init=False, repr=False)
    _slots: threading.Semaphore = field(init=False, repr=False)
    _http: requests.Session = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._key = self.config.require_key()
        self.gate = gate(self.config, self.clock)
        self.breakers = {api: Breaker(clock=self.clock) for api in ("analytics", "reference")}
        self._slots = threading.Semaphore(self.config.workers)
        self._http = _http(self.config.workers)

    def ready(self, request: Request) -> None:
        """Raise ``CircuitOpen`` while the request's API is left alone, for questions that have not begun."""
        breaker = self.breakers[request.endpoint.api]
        seconds = breaker.retry_in()
        if seconds > 0:
            raise CircuitOpen(request.endpoint.name, 0, breaker.cause, retry_in=seconds)

    def send(self, request: Request, stop: threading.Event | None = None) -> bytes:
        """The body of the answer to ``request``, decompressed.

        Setting ``stop`` ends every wait at once with ``Stopped``. Raises one of ``errors`` when the last
        attempt has failed.
        """
        stop = stop or threading.Event()
        check(stop)
        trial = Trial(policy(self.config), self.config.retry_budget, self.config.backoff_cap)
        attempt = 0
        while True:
            self._wait_for_leave(request, attempt, trial, stop)
            attempt += 1
            answer = self._attempt(request, attempt, stop)
            if answer.error is None:
                return answer.body
            seconds = trial.wait_after(answer.error, answer.retry_after)
            if seconds is None:
                raise _final(answer.error, attempt)
            self._pause(request, answer, seconds, stop)

    def close(self) -> None:
        """Let go of every connection; what is still under way is not tried again."""
        self._closed = True
        self._http.close()

    def _wait_for_leave(self, request: Request, attempt: int, trial: Trial, stop: threading.Event) -> None:
        breaker = self.breakers[request.endpoint.api]
        while (seconds := breaker.admit()) > 0:
            slice_ = min(seconds, 1.0)  # short, since the probe may be back any moment
            if not trial.wait_for_probe(slice_):
                raise CircuitOpen(request.endpoint.name, attempt, breaker.cause, retry_in=seconds)
            self._sleep(slice_, stop)

    def _pause(self, request: Request, answer: _Answer, seconds: float, stop: threading.Event) -> None:
        if answer.status == 429:
            self.gate.pause(seconds)  # the server speaks to the key, so all who use it wait
        if seconds >= _LONG_WAIT:
            warnings.warn(
                f"{answer.error}; waiting {seconds:.0f} seconds to try again",
                TrayportWarning,
                stacklevel=2,
            )
        self._sleep(seconds, stop)

    def _sleep(self, seconds: float, stop: threading.Event) -> None:
        self.wait(stop, seconds)
        check(stop)

    def _attempt(self, request: Request, attempt: int, stop: threading.Event) -> _Answer:
        breaker = self.breakers[request.endpoint.api]
        try:
            with self._slot(stop):
                waited = self.gate.acquire(self.config.rates, stop, self.wait)
                began = self.clock()
                answer = self._wire(request, attempt, stop)
        except BaseException:
            breaker.gave_up()
            raise
        elapsed = self.clock() - began
        if answer.status is not None and answer.status < 500:
            breaker.succeeded()
        elif answer.error is not None and answer.error.transient and breaker.failed(request, str(answer.error)):
            warnings.warn(
                f"{answer.error}; the API keeps failing, so it is left alone for {breaker.cooldown:.0f} seconds",
                TrayportWarning,
                stacklevel=2,
            )
        self._tell(request, attempt, waited, elapsed, answer)
        return answer

    @contextmanager
    def _slot(self, stop: threading.Event) -> Iterator[None]:
        """One of the requests that may be under way at once."""
        while not self._slots.acquire(timeout=0.2):
            check(stop)
        try:
            yield
        finally:
            self._slots.release()

    def _wire(self, request: Request, attempt: int, stop: threading.Event) -> _Answer:
        name = request.endpoint.name
        if self._closed:
            return _Answer(error=TransportError(name, attempt - 1, "the client was closed"))
        try:
            return self._exchange(request, stop)
        except (ConfigError, Stopped):
            raise
        except Exception as caught:
            kind, reason = sort_out(caught)
        # Made outside the handler: requests' exceptions hold the request, and that holds the key.
        return _Answer(error=kind(name, attempt, self._redacted(reason)[:_MOST_OF_A_REASON]))

    def _exchange(self, request: Request, stop: threading.Event) -> _Answer:
        base = self.config.analytics_url if request.endpoint.api == "analytics" else self.config.reference_url
        prepared = self._http.prepare_request(
            requests.Request(
                "GET",
                base + request.path,
                params=list(request.params),
                headers={
                    "X-API-KEY": self._key.reveal(),
                    "Accept": "text/csv" if request.csv else "application/json",
                },
            )
        )
        settings = self._http.merge_environment_settings(prepared.url, {}, True, None, None)
        if is_loopback(base):
            settings["proxies"] = {}  # a sandbox on this machine is behind no proxy
        check_proxy(requests.utils.select_proxy(base, settings["proxies"]))
        response = self._http.send(prepared, timeout=self.config.timeout, allow_redirects=False, **settings)
        try:
            return self._read(request, response, stop)
        finally:
            response.close()

    def _read(self, request: Request, response: requests.Response, stop: threading.Event) -> _Answer:
        if response.status_code != 200:
            said = _beginning(response)
            # Redacted twice, since a key that JSON spells with escapes shows only when it is read.
            text = said[: _MOST_OF_AN_ERROR - len(self._key.reveal())].decode("utf-8", "replace")
            detail = self._redacted(_detail(self._redacted(text)))[:_MOST_OF_A_REASON]
            error = self._error(request, response, detail)
            return _Answer(response.status_code, said, error, response.headers.get("Retry-After"))
        pieces: list[bytes] = []
        for piece in response.raw.stream(_CHUNK, decode_content=True):
            check(stop)
            pieces.append(piece)
        body = b"".join(pieces)
        if _unfinished(response.raw):  # urllib3 takes what it could unpack for all
            raise urllib3.exceptions.ProtocolError("the answer's encoding breaks off")
        if not body:  # no answer is empty; an encoded one that was cut to nothing looks so
            raise urllib3.exceptions.ProtocolError("the answer was empty")
        return _Answer(200, body)

    def _redacted(self, text: str) -> str:
        return re.sub(re.escape(self._key.reveal()), "***", text, flags=re.IGNORECASE)

    def _error(self, request: Request, response: requests.Response, detail: str) -> APIError:
        name, status = request.endpoint.name, response.status_code
        if status in (301, 302, 303, 307, 308):
            host = _host(response.headers.get("Location", ""))
            where = self._redacted(host)
            return APIError(name, status, f"redirects to {where}, which is not followed: the key would travel with it")
        if status == 401 and request.until is not None and request.until > self.now().floor("D"):
            return IntradayNotAllowed(name, status, detail)
        if status in (403, 429):
            return RateLimited(name, status, detail, _number(response.headers.get("Retry-After")))
        kind = _STATUS.get(status, ServerError if status >= 500 else APIError)
        return kind(name, status, detail)

    def _tell(self, request: Request, attempt: int, waited: float, elapsed: float, answer: _Answer) -> None:
        event = RequestEvent(
            request.endpoint.name,
            attempt,
            waited,
            elapsed,
            answer.status,
            len(answer.body),
            type(answer.error).__name__ if answer.error else None,
        )
        logger.debug(
            "%s attempt %d: %s, waited %.3f s, took %.3f s, %d bytes",
            event.endpoint,
            attempt,
            event.status or event.error,
            waited,
            elapsed,
            event.bytes,
        )
        for hook in self.hooks:
            try:
                hook(event)
            except Exception:  # an observer must not decide whether data arrive
                logger.exception("the hook %r failed", hook)


_ErrorOf: TypeAlias = type[APIError]
_STATUS: dict[int, _ErrorOf] = {400: BadRequest, 401: NotAllowed, 404: NotFound}


class _Http(requests.Session):
    """A session that looks at no redirect, not even to see where it leads."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: whatever the Location says, it is not followed."""


def _http(workers: int) -> requests.Session:
    """A session that keeps ``workers`` connections to each of the two hosts, and remembers nothing else."""
    session = _Http()
    # Retries are ours (see `retries`), and so is the number of requests under way.
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=workers, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.auth = _no_auth
    session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING})
    return session


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Nothing to add; without it, requests would look for a password in ~/.netrc."""
    return prepared


def _final(error: TrayportError, attempts: int) -> TrayportError:
    """A 403 that waiting did not cure is taken for what it says, or may still be."""
    if isinstance(error, RateLimited) and error.status == 403:
        reading = "the key has no right to this, or it is throttled"
        reading = f"waiting did not help: {reading} for longer" if attempts > 1 else reading
        return NotAllowed(error.endpoint, 403, f"{error.detail}; {reading}" if error.detail else reading)
    return error


def _unfinished(raw: Any) -> bool:
    """Is the end of a compressed answer missing? Decoders of several encodings in a row are not looked into."""
    decoder: Any = getattr(getattr(raw, "_decoder", None), "_obj", None)
    if hasattr(decoder, "is_finished"):  # Brotli's
        return not decoder.is_finished()
    return not getattr(decoder, "eof", True)


def _number(header: str | None) -> float | None:
    try:
        seconds = float(header) if header else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _beginning(response: requests.Response) -> bytes:
    """What an error's body begins with; nothing if it cannot be read, since the status says enough."""
    try:
        return bytes(response.raw.read(_MOST_OF_AN_ERROR, decode_content=True))
    except urllib3.exceptions.HTTPError:
        return b""


def _host(location: str) -> str:
    try:
        return urllib3.util.parse_url(location).host or "nowhere"
    except (ValueError, urllib3.exceptions.HTTPError):
        return "a place that is no URL"


def _detail(text: str) -> str:
    """What an error's body says, whatever its shape: the guide gives none, and users saw several."""
    text = text.strip()
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        # HTML comes from a gateway or a proxy; its markup helps nobody.
        return "an HTML page instead of an answer" if text.startswith("<") else text
    if not isinstance(said, dict):
        return str(said) if said else ""
    if isinstance(said.get("errors"), dict):
        listed = (f"{name}: {_sentences(messages)}" for name, messages in said["errors"].items())
        return "; ".join(listed)
    return next((str(said[key]) for key in ("title", "detail", "message") if said.get(key)), "")


def _sentences(messages: object) -> str:
    return " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
