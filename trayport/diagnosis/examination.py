"""The examination: all checks in their order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Protocol

from attrs import frozen

from .._parallel import deadline_after, run_in_thread
from .._time import Clock
from ..config import Config
from ..endpoints import Request
from ..errors import ConfigError, TimedOut, TransportError, TrayportError
from ..hooks import Hook
from ..transport import AttemptResult, Session
from . import entitlements, environment, network
from .checks import NAMES, Check, not_checked

__all__ = ["ClientLike", "examine"]

# Upper bounds of Config.timeout, in seconds, so that an API that is down costs little time.
_CONNECT, _READ = 5.0, 10.0


class ClientLike(Protocol):
    """The parts of a client that are examined."""

    @property
    def config(self) -> Config:
        """Settings of the client."""
        ...

    @property
    def hooks(self) -> Sequence[Hook]:
        """Observers of attempts at requests."""
        ...

    @property
    def clock(self) -> Clock:
        """Source of the current time."""
        ...


def examine(client: ClientLike, patience: float = 25.0) -> Iterator[Check]:
    """Yield the result of each check; a fault is a ``Check`` and raises no error.

    At most six requests are sent, once each, over connections of their own. They take permits of the rate limit. A
    check that relies on one that failed is a note.

    Parameters
    ----------
    client : ClientLike
        The client to examine.
    patience : float, default 25.0
        Maximum number of seconds for all requests.
    """
    last = ""
    try:
        for check in _checks(client, patience):
            last = check.name
            yield check
    except _Blocked as cause:
        for name in NAMES[NAMES.index(last) + 1 :]:
            yield not_checked(name, f"see {cause}")


class _Blocked(Exception):
    """The remaining checks rely on the check with this name, which failed."""


def _checks(client: ClientLike, patience: float) -> Iterator[Check]:
    yield environment.versions()
    try:
        config, warnings = environment.with_warnings(lambda: client.config)
    except TrayportError as error:
        check = environment.unusable_settings(error)
        if check.name == "key":
            yield not_checked("settings", "see key")
        yield check
        raise _Blocked(check.name) from None
    yield environment.settings(warnings)
    yield environment.key(config)
    yield environment.cache(config)
    if config.limiter == "file":
        yield environment.limit_folder()
    check, trust = network.certificates(config)
    yield check
    if trust is None:
        raise _Blocked("certificates")
    check = network.proxy(config, trust)
    yield check
    if check.verdict == "failure":
        raise _Blocked("proxy")
    connect, read = config.timeout
    probe_config = config.replace(timeout=(min(connect, _CONNECT), min(read, _READ)))
    if config.api_key is None:  # the APIs and the clock can be checked all the same: a refusal is a response
        probe_config = probe_config.replace(api_key="no-key", limiter="memory")
    try:
        session = Session(probe_config, client.hooks, now=client.clock)
    except ConfigError as error:
        yield Check("limit", "failure", error.problem, error.remedy or "correct limiter (TRAYPORT_LIMITER)")
        raise _Blocked("limit") from None
    with closing(session):
        status, _ = environment.with_warnings(session.status)
        yield network.limit(status.limiter, config.limiter) if config.api_key else not_checked("limit", "see key")
        yield from _remote_checks(_Sender(session, time.monotonic() + patience, patience), config)


def _remote_checks(send: _Sender, config: Config) -> Iterator[Check]:
    """Yield the results of the checks that need a response."""
    reference = send(entitlements.MARKETS)
    yield network.api("reference API", "reference_url", config.reference_url, reference)
    analytics = send(entitlements.own_trades_request(network.server_time(send.session.now(), [reference])))
    yield network.api("analytics API", "analytics_url", config.analytics_url, analytics)
    yield network.clock([reference, analytics])
    if config.api_key is None:
        raise _Blocked("key")
    access = entitlements.access(reference, analytics)
    yield access
    is_refused = access.verdict == "failure"
    if not network.is_usable(analytics):
        raise _Blocked("analytics API")
    if is_refused and analytics.status != 200:
        raise _Blocked("access")
    yield entitlements.own_trades(analytics)
    now = network.server_time(send.session.now(), [reference, analytics])
    yield entitlements.intraday(send, now, config.intraday)
    if not network.is_usable(reference):
        raise _Blocked("reference API")
    if is_refused and reference.status != 200:
        raise _Blocked("access")
    yield entitlements.order_books(send, now, reference)


@frozen(eq=False)
class _Sender:
    """Sends each request once, and all of them before ``end`` of ``time.monotonic()``."""

    session: Session
    end: float
    patience: float

    def __call__(self, request: Request) -> AttemptResult:
        name = request.endpoint.name
        try:
            # In a thread, so that Ctrl-C ends it on every system.
            with deadline_after(max(self.end - time.monotonic(), 1e-3)):
                response = run_in_thread(lambda stop: self.session.send_once(request, stop))
        except TransportError as error:
            response = AttemptResult(error=error)
        except ConfigError as error:  # the proxy has changed since it was checked
            response = AttemptResult(error=TransportError(name, 0, error.problem, remedy=error.remedy))
        if isinstance(response.error, TimedOut) and time.monotonic() >= self.end:
            reason = f"no response, or no permit of the rate limit, within {self.patience:g} s in all"
            return AttemptResult(error=TimedOut(name, 0, reason))
        return response
