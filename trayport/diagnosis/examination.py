"""The checks in their order, each as soon as it is known."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Protocol

from attrs import define, field

from .._parallel import deadline_after, run_in_thread
from .._time import Clock
from ..config import Config
from ..endpoints import Request
from ..errors import ConfigError, DecodeError, TimedOut, TransportError
from ..hooks import Hook
from ..transport import AttemptResult, Session
from . import machine, rights, way
from .checks import NAMES, Check, not_checked

__all__ = ["Patient", "examine"]

# Seconds to connect, and to wait for each piece of an answer, at most: Config.timeout may say less.
_CONNECT, _READ = 5.0, 10.0
# A refusal of it is an answer, too.
_NOBODYS = "no-key"


class Patient(Protocol):
    """The client that is looked at."""

    @property
    def config(self) -> Config: ...
    @property
    def hooks(self) -> Sequence[Hook]: ...
    @property
    def clock(self) -> Clock: ...


def examine(patient: Patient, patience: float = 25.0) -> Iterator[Check]:
    """Look at everything once; whatever is broken is a ``Check``, and no error.

    At most six requests are made, over connections of their own and within ``patience`` seconds: each counts for the
    limits, and none is made again. What cannot be looked at, since something before it is broken, says so.
    """
    yield machine.versions()
    check, config = machine.settings(lambda: patient.config)
    if config is None:
        if check.name == "key":
            yield not_checked("settings", "the key among them cannot be used")
        yield check
        yield from _skipped_after(check.name, check.name)
        return
    yield check
    yield machine.key(config)
    yield from machine.folders(config)
    check, trust = way.certificates(config)
    yield check
    check = way.proxy(config, trust) if trust else not_checked("proxy", "see certificates")
    yield check
    if trust is None or check.verdict == "failure":
        yield from _skipped_after("proxy", "proxy" if trust else "certificates")
        return
    yield from _asked(config, patient, patience)


def _skipped_after(name: str, cause: str) -> Iterator[Check]:
    yield from (not_checked(each, f"see {cause}") for each in NAMES[NAMES.index(name) + 1 :])


def _asked(config: Config, patient: Patient, patience: float) -> Iterator[Check]:
    """What needs the network. Without a key, whether there is a way and what time it is can be seen all the same."""
    connect, read = config.timeout
    hasty = config.replace(timeout=(min(connect, _CONNECT), min(read, _READ)))
    if config.api_key is None:
        hasty = hasty.replace(api_key=_NOBODYS, limiter="memory")
    try:
        session = Session(hasty, patient.hooks, now=patient.clock)
    except ConfigError as error:
        what, _, advice = str(error).partition(": pip")
        yield Check("limit", "failure", what, f"pip{advice}" if advice else "correct limiter (TRAYPORT_LIMITER)")
        yield from _skipped_after("limit", "limit")
        return
    with closing(session):
        standing, _ = machine.heard(lambda: session.rate_limiter.status(config.rates))
        yield way.limit(standing, config.limiter) if config.api_key else not_checked("limit", "see key")
        yield from _Talk(session, patience, config.api_key is not None).checks()


@define(eq=False)
class _Talk:
    """What the APIs are asked, and what they answered."""

    session: Session
    patience: float
    has_key: bool
    told: dict[str, AttemptResult] = field(factory=dict, init=False)
    """The first answer of each API."""
    _ends: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ends = time.monotonic() + self.patience

    def checks(self) -> Iterator[Check]:
        config = self.session.config
        self.told["reference"] = self._ask(rights.MARKETS)
        yield way.host("reference API", "reference_url", config.reference_url, self.told["reference"])
        self.told["analytics"] = self._ask(rights.private_trades(way.server_time(self.session.now(), self._answers)))
        yield way.host("analytics API", "analytics_url", config.analytics_url, self.told["analytics"])
        yield way.clock(self._answers)
        if not self.has_key:
            yield from _skipped_after("clock", "key")
            return
        access = rights.access(self.told)
        yield access
        if why := self._in_the_way("analytics", access):
            yield from _skipped_after("access", why)
            return
        yield rights.private(self.told["analytics"])
        yield self._intraday(config.intraday)
        yield self._books(access)

    @property
    def _answers(self) -> list[AttemptResult]:
        return list(self.told.values())

    def _ask(self, request: Request) -> AttemptResult:
        """One attempt, in a thread of its own so that Ctrl-C is heard on every system."""
        name = request.endpoint.name
        try:
            with deadline_after(max(self._ends - time.monotonic(), 1e-3)):
                answer = run_in_thread(lambda stop: self.session.send_once(request, stop))
        except TransportError as error:
            answer = AttemptResult(error=error)
        except ConfigError as error:  # the proxy changed meanwhile
            answer = AttemptResult(error=TransportError(name, 0, str(error)))
        if isinstance(answer.error, TimedOut) and time.monotonic() >= self._ends:
            return AttemptResult(
                error=TimedOut(name, 0, f"no answer, or no leave to ask, within {self.patience:g} s in all")
            )
        return answer

    def _in_the_way(self, api: str, access: Check) -> str:
        """What has to be mended before this API is asked more; nothing if it can be."""
        answer = self.told[api]
        if not way.is_of_use(answer):
            return f"{api} API"
        return "access" if access.verdict == "failure" and answer.status != 200 else ""

    def _intraday(self, wanted: bool) -> Check:
        request = rights.this_minute(way.server_time(self.session.now(), self._answers))
        if request is None:
            return not_checked("intraday", "the day has only begun, ask again in a minute")
        return rights.intraday(self._ask(request), wanted)

    def _books(self, access: Check) -> Check:
        if why := self._in_the_way("reference", access):
            return not_checked("order books", f"see {why}")
        try:
            contract = rights.contract(self.told["reference"], self._ask)
        except (LookupError, DecodeError) as error:
            return not_checked("order books", str(error))
        now = way.server_time(self.session.now(), self._answers)
        return rights.books(self._ask(rights.top_of_book(now, contract)), contract)
