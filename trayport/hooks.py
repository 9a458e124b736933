"""What an observer may see: each attempt at a request when it has ended, and how things stand at any moment."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from attrs import asdict, frozen

from .config import Rate

__all__ = ["BreakerState", "Counts", "Hook", "Pool", "RequestEvent", "Standing", "Status", "new_id"]

BreakerState: TypeAlias = Literal["closed", "half-open", "open"]


@frozen
class RequestEvent:
    """One attempt at one request, told when it has ended. The key, the headers and the parameters are never in it.

    Parameters
    ----------
    id
        What was sent as ``X-Request-ID``: the request's own, a dash, and the number of the attempt.
    endpoint, api
        What was asked, and which of the two APIs: ``"analytics"`` or ``"reference"``.
    attempt
        1 for the first.
    waited, elapsed
        Seconds: for leave to ask, and for the answer to come and be unpacked; not for what becomes of it.
    status
        The HTTP status; None where no answer came.
    bytes_received, bytes_decoded
        The body as it came over the wire, and unpacked; of an error no more than its beginning.
    error
        The name of what went wrong, one of ``errors``; None for data.
    retry_reason
        Why it was not the first attempt: what went wrong with the one before, such as ``"ServerError 503"``.
    breaker
        Is the API left alone after this attempt (``"open"``), tried again (``"half-open"``), or asked as usual?
    """

    id: str
    endpoint: str
    api: str
    attempt: int
    waited: float
    elapsed: float
    status: int | None
    bytes_received: int
    bytes_decoded: int
    error: str | None = None
    retry_reason: str | None = None
    breaker: BreakerState = "closed"

    def __str__(self) -> str:
        """One line of ``name=value``, as in logs."""
        return " ".join(f"{name}={_plain(value)}" for name, value in asdict(self).items())


def new_id() -> str:
    """A name for one request that no other has."""
    return secrets.token_hex(8)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return f'"{text}"' if " " in text else text


class Hook(Protocol):
    """Anything that can be called with a ``RequestEvent``; it runs in the thread that made the attempt."""

    def __call__(self, event: RequestEvent, /) -> object: ...


@frozen
class Standing:
    """How the limit of a key stands at one moment.

    ``kind`` is where it is kept: ``"file"``, ``"memory"``, ``"redis"``, ``"off"``, or ``"private"`` if what should be
    shared cannot be used. ``rates`` are those in force, ``used`` the permits of the last minute, whoever took them,
    ``slowed_until`` is when a refusal is forgotten, in UTC, and ``waiting`` the threads of this process and the other
    processes that wait.
    """

    kind: str
    rates: tuple[Rate, ...]
    used: int
    share: float
    slowed_until: datetime.datetime | None
    waiting: int
    why: str = ""
    """Where it is private: why it cannot be shared."""

    @property
    def slowed(self) -> bool:
        """Is less in force than was asked for?"""
        return self.share < 1

    def __str__(self) -> str:
        rates = ", ".join(f"{rate.count} in {rate.seconds:g} s" for rate in self.rates) or "no limit"
        slowed = f"; slowed to {self.share:.0%}" if self.slowed else ""
        why = f" ({self.why})" if self.why else ""
        return f"{self.kind}{why}: {rates}{slowed}; {self.used} used in the last minute, {self.waiting} waiting"


@frozen
class Pool:
    """The connections of a client: ``open`` now, of ``kept`` that are kept to each host, and ``made`` in all."""

    open: int
    kept: int
    made: int


@frozen
class Counts:
    """What a client has asked so far: ``requests``, those of them ``under_way``, the ``attempts`` that were made at
    them, and how many of these ``failed``, or were ``retries`` of one that had."""

    requests: int = 0
    under_way: int = 0
    attempts: int = 0
    failed: int = 0
    retries: int = 0


@frozen(repr=False)
class Status:
    """How a client stands at one moment: the limit of its key, whether the APIs are left alone, by their names
    (``"analytics"``, ``"reference"``), its connections, and what it has asked."""

    limiter: Standing
    breakers: Mapping[str, BreakerState]
    pool: Pool
    counts: Counts

    def __repr__(self) -> str:
        counts, pool = self.counts, self.pool
        lines = [
            f"limiter    {self.limiter}",
            f"breakers   {', '.join(f'{api} {state}' for api, state in self.breakers.items())}",
            f"pool       {pool.open} of {pool.kept} connections open, {pool.made} made",
            f"requests   {counts.requests}, {counts.under_way} under way; "
            f"{counts.attempts} attempts, {counts.failed} failed, {counts.retries} retries",
        ]
        return "\n".join(lines)
