"""Status: the rate limit, the circuit breakers, the connections and the request counts of a client at one moment."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from attrs import frozen

from .config import Rate
from .typing import BreakerState

__all__ = ["Counts", "LimitStatus", "Pool", "Status"]


@frozen
class LimitStatus:
    """State of a key's rate limit at one moment.

    Parameters
    ----------
    kind : str
        Store of the state: ``"file"``, ``"memory"``, ``"redis"``, ``"off"`` for no rate limit, or ``"private"`` if the
        shared store cannot be used.
    rates : tuple of Rate
        The rates in force, with the slow-down after a 429.
    used : int
        Permits of the last minute, of all users of the key.
    share : float
        The rates in force as a share of the configured ones, 0 to 1.
    slowed_until : datetime or None
        End of the slow-down, in UTC; None without one.
    waiting : int
        Number of threads of this process, and of other processes, that wait for a permit.
    why : str, default ""
        With ``kind="private"``: the reason why the store cannot be used.
    """

    kind: str
    rates: tuple[Rate, ...]
    used: int
    share: float
    slowed_until: datetime.datetime | None
    waiting: int
    why: str = ""

    @property
    def slowed(self) -> bool:
        """True if a slow-down is in force."""
        return self.share < 1

    def __str__(self) -> str:
        rates = ", ".join(f"{rate.count} in {rate.seconds:g} s" for rate in self.rates) or "no limit"
        slowed = f"; slowed to {self.share:.0%}" if self.slowed else ""
        why = f" ({self.why})" if self.why else ""
        return f"{self.kind}{why}: {rates}{slowed}; {self.used} used in the last minute, {self.waiting} waiting"


@frozen
class Pool:
    """Connections of a client.

    Parameters
    ----------
    open : int
        Open connections.
    kept : int
        Maximum number of connections that are kept open to each host.
    made : int
        Connections that were opened so far.
    """

    open: int
    kept: int
    made: int


@frozen
class Counts:
    """Numbers of requests and attempts that a client has made so far.

    Parameters
    ----------
    requests : int, default 0
        Requests, reference data included.
    under_way : int, default 0
        Requests in flight.
    attempts : int, default 0
        Attempts at these requests.
    failed : int, default 0
        Attempts that ended in an error.
    retries : int, default 0
        Attempts after a failed one.
    """

    requests: int = 0
    under_way: int = 0
    attempts: int = 0
    failed: int = 0
    retries: int = 0


@frozen(repr=False)
class Status:
    """State of a client at one moment.

    Parameters
    ----------
    limiter : LimitStatus
        The rate limit of the key.
    breakers : mapping of str to str
        State of the circuit breaker of each API: ``"analytics"`` and ``"reference"``.
    pool : Pool
        The connections.
    counts : Counts
        The numbers of requests and attempts.
    """

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
            f"requests   {counts.requests}, {counts.under_way} in flight; "
            f"{counts.attempts} attempts, {counts.failed} failed, {counts.retries} retries",
        ]
        return "\n".join(lines)
