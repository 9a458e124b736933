"""State of one key's rate limit, shared by all its users: recent permits, queued tickets, current slow-down.

Nothing in this module waits or reads a clock: moments are whole milliseconds of the store's clock. A process that waits
for a permit owns a ticket, which holds its place in the queue and the moment at which it will ask again. The owner of a
late ticket keeps its place, but others pass it, so that a killed process does not block the queue.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from typing import Any, Protocol

from attrs import asdict, define, field

from ..config import Rate

__all__ = ["MAX_SINGLES_IN_A_ROW", "RateState", "Ticket", "goes_first"]

# After this number of permits for single requests, a waiting bulk request gets one, so that bulk loads always progress.
MAX_SINGLES_IN_A_ROW = 5

# All of these are milliseconds. A ticket is late if its owner has not asked again this long after the announced moment.
_LATE_AFTER = 10
# The second in the queue asks this long after the moment of the first, and takes the permit if the first is late.
_TAKEOVER_AFTER = 12
# A ticket is deleted this long after its moment, because its owner was killed.
_ABANDONED_AFTER = 10_000
# Permits are kept for a minute, the 1 s by which its window is widened, and a reserve.
_PERMITS_KEPT = 65_000
# A refusal (429) halves the speed. An eighth of the full speed comes back after each of these steps.
_LOWEST_SHARE, _RISE, _STEP = 1 / 8, 1 / 8, 20_000
# Refusals within this time count as one, because requests that were in flight together are refused together.
_SAME_REFUSAL = 5_000


class _Queued(Protocol):
    @property
    def bulk(self) -> bool: ...


def goes_first(other: _Queued, bulk: bool, singles_in_a_row: int) -> bool:
    """Return True if ``other`` goes before a request that is ``bulk`` or not.

    Single requests go first, or bulk requests after several single ones. It is False for requests of one kind, which
    go in the order in which they came.
    """
    bulk_is_due = singles_in_a_row >= MAX_SINGLES_IN_A_ROW
    return other.bulk == bulk_is_due and bulk != bulk_is_due


@define
class Ticket:
    """Place of a process in the queue, and the moment at which the process will ask again."""

    number: int
    bulk: bool
    returns_at: int


@define(eq=False)
class RateState:
    """State of one key's rate limit. Each owner, which is a process, has at most one ticket."""

    permits: list[int] = field(factory=list)
    """Moments of the permits of the last 65 s, oldest first."""
    tickets: dict[str, Ticket] = field(factory=dict)
    """Tickets by owner."""
    last_number: int = 0
    """Number of the newest ticket."""
    singles_in_a_row: int = 0
    """Number of permits for single requests since a waiting bulk request got one."""
    paused_until: int = 0
    """Moment before which no permit is given."""
    slow_share: float = 1.0
    """Share of the rates right after the last refusal."""
    slowed_at: int = 0
    """Moment of the last refusal, or the end of its pause."""
    max_share: float = 1.0
    """Upper bound of the share; 0.5 for a process that cannot see the permits of other processes."""

    def take(self, owner: str, bulk: bool, rates: tuple[Rate, ...], now: int) -> int:
        """Take a permit and return 0, or return the milliseconds to wait before asking again."""
        from .windows import next_moment

        self._forget(now)
        mine = self._ticket(owner, bulk, now)
        ahead = sum(self._precedes(other, mine, now) for other in self.tickets.values())
        earliest, share = max(now, self.paused_until), self.share(now)
        mine.returns_at = next_moment(rates, self.permits, earliest, share, ahead)
        if mine.returns_at > now:
            if ahead == 1:  # take over if the first process comes late, because it waits for a processor
                takes_over_at = next_moment(rates, self.permits, earliest, share) + _TAKEOVER_AFTER
                return min(mine.returns_at, takes_over_at) - now
            return mine.returns_at - now
        del self.tickets[owner]
        self.permits.append(now)
        bulk_waits = any(other.bulk and not self._is_late(other, now) for other in self.tickets.values())
        self.singles_in_a_row = self.singles_in_a_row + 1 if bulk_waits and not bulk else 0
        return 0

    def _ticket(self, owner: str, bulk: bool, now: int) -> Ticket:
        if owner not in self.tickets:
            self.last_number += 1
            self.tickets[owner] = Ticket(self.last_number, bulk, now)
        mine = self.tickets[owner]
        mine.bulk, mine.returns_at = bulk, now  # a single request uses the ticket of a bulk load in its process
        return mine

    def _precedes(self, other: Ticket, mine: Ticket, now: int) -> bool:
        if other is mine or self._is_late(other, now):
            return False
        if other.bulk == mine.bulk:
            return other.number < mine.number
        return goes_first(other, mine.bulk, self.singles_in_a_row)

    def _is_late(self, ticket: Ticket, now: int) -> bool:
        return ticket.returns_at + _LATE_AFTER < now

    def _forget(self, now: int) -> None:
        del self.permits[: bisect_left(self.permits, now - _PERMITS_KEPT)]
        for owner in [name for name, ticket in self.tickets.items() if ticket.returns_at + _ABANDONED_AFTER < now]:
            del self.tickets[owner]

    def record(self, now: int) -> None:
        """Count a request of a client without a rate limit."""
        self._forget(now)
        self.permits.append(now)

    def postpone(self, moment: int, milliseconds: int) -> None:
        """Correct a permit that was used later than its moment."""
        if moment in self.permits:
            self.permits.remove(moment)
            self.permits.append(moment + milliseconds)
            self.permits.sort()

    def drop_ticket(self, owner: str) -> None:
        """Delete the ticket of an owner that leaves the queue."""
        self.tickets.pop(owner, None)

    def pause(self, milliseconds: int, now: int) -> None:
        """Give no permit for a number of milliseconds."""
        self.paused_until = max(self.paused_until, now + milliseconds)
        if self.slow_share < 1:  # the recovery begins after the pause
            self.slowed_at = max(self.slowed_at, self.paused_until)

    def slow_down(self, now: int) -> None:
        """Halve the speed after a refusal. Refusals within five seconds, or during the pause, count as one."""
        if self.slow_share < 1 and now < self.slowed_at + _SAME_REFUSAL:
            return
        self.slow_share = max(_LOWEST_SHARE, self._recovered_share(now) / 2)
        self.slowed_at = max(now, self.paused_until)

    def share(self, now: int) -> float:
        """Return the share of the rates that is in force."""
        return min(self.max_share, self._recovered_share(now))

    def _recovered_share(self, now: int) -> float:
        return min(1.0, self.slow_share + max(0, now - self.slowed_at) // _STEP * _RISE)

    @property
    def slowed_until(self) -> int:
        """Moment at which the full speed is back."""
        return self.slowed_at + math.ceil((1 - self.slow_share) / _RISE) * _STEP

    def used(self, now: int) -> int:
        """Return the number of permits of the last minute."""
        return len(self.permits) - bisect_right(self.permits, now - 60_000)

    def waiting_owners(self, now: int, without: str) -> int:
        """Return the number of processes that wait, except the one named ``without``."""
        return sum(owner != without and not self._is_late(ticket, now) for owner, ticket in self.tickets.items())

    def shift(self, milliseconds: int) -> None:
        """Move every moment, to follow a clock that was set."""
        self.permits = [moment + milliseconds for moment in self.permits]
        for ticket in self.tickets.values():
            ticket.returns_at += milliseconds
        self.paused_until += milliseconds
        self.slowed_at += milliseconds

    def to_json(self, **extra: Any) -> str:
        """Return the state as JSON, with the extra values of its store."""
        values = asdict(self, recurse=False)  # without recursion, which would visit each of 360 permits
        values["tickets"] = {owner: asdict(ticket) for owner, ticket in self.tickets.items()}
        return json.dumps({**values, **extra}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> tuple[RateState, dict[str, Any]]:
        """Return the state and the extra values of its store; raise ``ValueError`` for any other text."""
        try:
            values = json.loads(text)
            permits = [int(moment) for moment in values.pop("permits")]
            tickets = {owner: Ticket(**ticket) for owner, ticket in values.pop("tickets").items()}
            own = {name: values.pop(name) for name in _NUMBERS}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no rate-limit state: {error!r}") from None
        return cls(permits, tickets, **own), values

    @classmethod
    def after_full_minute(cls, now: int) -> RateState:
        """Return the state after a minute of 6 requests a second, which is assumed when the state is lost."""
        return cls([now - 60_000 + number * 60_000 // 360 for number in range(1, 361)])


_NUMBERS = ("last_number", "singles_in_a_row", "paused_until", "slow_share", "slowed_at", "max_share")
