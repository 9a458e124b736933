"""Status: the rate limit, the breakers, the connections and the request counts of a client at one moment."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from attrs import frozen

from .config import Rate
from .typing import BreakerState

__all__ = ["Counts", "Pool", "LimitStatus", "Status"]


@frozen
class LimitStatus:
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

    limiter: LimitStatus
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
