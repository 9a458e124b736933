"""What all who use a key have to know of each other: permits given, tickets waiting, and how slow to go.

Pure: moments are whole milliseconds of a clock that its store reads. A ticket says who asked, in which order, and when
its holder will be back; one that is late is passed over and keeps its place, so that nobody waits for the dead.
"""

from __future__ import annotations

import json
import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from attrs import asdict, define, field

from ..config import Rate
from .windows import due

if TYPE_CHECKING:
    from pyrate_limiter import RateItem

__all__ = ["MOST_IN_A_ROW", "RateState", "Ticket", "first"]

# After so many permits in a row for questions, one goes to a bulk load that waits: it must not stand still.
MOST_IN_A_ROW = 5

_GRACE = 10
_STAND_IN = 12
_DEAD = 10_000
# A minute as wide as windows make it, and some more.
_REMEMBERED = 65_000

# After a refusal: half as fast, and an eighth faster again every so often. What comes right after one belongs to it.
_LOWEST, _RISE, _STEP = 1 / 8, 1 / 8, 20_000
_SAME_REFUSAL = 5_000


class _Waiting(Protocol):
    @property
    def bulk(self) -> bool: ...


def first(bulk: bool, other: _Waiting, in_a_row: int) -> bool:
    """Does ``other``, which is of another class than ``bulk``, go first?"""
    bulk_is_due = in_a_row >= MOST_IN_A_ROW
    return other.bulk == bulk_is_due and bulk != bulk_is_due


@define
class Ticket:
    """A place in the queue: its number, and the moment at which its holder means to be back."""

    number: int
    bulk: bool
    back: int


@define(eq=False)
class RateState:
    """The state of one key's limit. Each holder, which is a process, has one ticket at most."""

    given: list[RateItem] = field(factory=list)
    """The permits of the last minute, oldest first."""
    tickets: dict[str, Ticket] = field(factory=dict)
    last: int = 0
    """The number of the newest ticket."""
    in_a_row: int = 0
    """Permits for questions since one was given to a bulk load that waits."""
    not_before: int = 0
    low: float = 1.0
    """The share of the rates right after the last refusal, and its moment."""
    slowed: int = 0
    most: float = 1.0
    """The largest share that this state ever gives."""

    def ask(self, holder: str, bulk: bool, rates: tuple[Rate, ...], now: int) -> int:
        """Take a permit and answer 0, or answer the milliseconds until it is worth asking again."""
        from pyrate_limiter import RateItem

        self._forget(now)
        mine = self._ticket(holder, bulk, now)
        ahead = sum(self._precedes(other, mine, now) for other in self.tickets.values())
        earliest, share = max(now, self.not_before), self.share(now)
        mine.back = due(rates, self.given, earliest, share, ahead)
        if mine.back > now:
            # The second stands by for the first, whose process may be kept waiting by others on a busy machine.
            stand_in = due(rates, self.given, earliest, share) + _STAND_IN if ahead == 1 else mine.back
            return min(mine.back, stand_in) - now
        del self.tickets[holder]
        self.given.append(RateItem("", now))
        waits = any(other.bulk and not self._late(other, now) for other in self.tickets.values())
        self.in_a_row = self.in_a_row + 1 if waits and not bulk else 0
        return 0

    def note(self, now: int) -> None:
        """A permit was given without a limit."""
        from pyrate_limiter import RateItem

        self._forget(now)
        self.given.append(RateItem("", now))

    def put_off(self, stamp: int, by: int) -> None:
        """A permit was used so much later than it was written down."""
        item = next((item for item in reversed(self.given) if item.timestamp == stamp), None)
        if item is not None:
            item.timestamp += by
            self.given.sort(key=attrgetter("timestamp"))

    def leave(self, holder: str) -> None:
        """Give the ticket back."""
        self.tickets.pop(holder, None)

    def pause(self, milliseconds: int, now: int) -> None:
        """Give no permit for so long."""
        self.not_before = max(self.not_before, now + milliseconds)
        if self.low < 1:  # the recovery begins after it
            self.slowed = max(self.slowed, self.not_before)

    def slow(self, now: int) -> None:
        """Go half as fast; several refusals at once count as one, and those of a pause."""
        if self.low < 1 and now < self.slowed + _SAME_REFUSAL:
            return
        self.low = max(_LOWEST, self._risen(now) / 2)
        self.slowed = max(now, self.not_before)

    def share(self, now: int) -> float:
        """The share of the rates that is in force."""
        return min(self.most, self._risen(now))

    def slow_until(self) -> int:
        """The moment at which the last refusal is forgotten."""
        return self.slowed + math.ceil((1 - self.low) / _RISE) * _STEP

    def used(self, now: int) -> int:
        """The permits of the last minute."""
        return sum(item.timestamp > now - 60_000 for item in self.given)

    def waiting(self, now: int, holder: str) -> int:
        """The other holders who wait."""
        return sum(who != holder and not self._late(ticket, now) for who, ticket in self.tickets.items())

    def move(self, milliseconds: int) -> None:
        """Go with a clock that was set: everything is so much later than it was written down."""
        for item in self.given:
            item.timestamp += milliseconds
        for ticket in self.tickets.values():
            ticket.back += milliseconds
        self.not_before += milliseconds
        self.slowed += milliseconds

    def _risen(self, now: int) -> float:
        return min(1.0, self.low + max(0, now - self.slowed) // _STEP * _RISE)

    def _ticket(self, holder: str, bulk: bool, now: int) -> Ticket:
        if holder not in self.tickets:
            self.last += 1
            self.tickets[holder] = Ticket(self.last, bulk, now)
        mine = self.tickets[holder]
        mine.bulk, mine.back = bulk, now  # a question takes over what a bulk load of its process has waited for
        return mine

    def _precedes(self, other: Ticket, mine: Ticket, now: int) -> bool:
        if other is mine or self._late(other, now):
            return False
        return other.number < mine.number if other.bulk == mine.bulk else first(mine.bulk, other, self.in_a_row)

    def _late(self, ticket: Ticket, now: int) -> bool:
        return ticket.back + _GRACE < now

    def _forget(self, now: int) -> None:
        stale = next((n for n, item in enumerate(self.given) if item.timestamp >= now - _REMEMBERED), len(self.given))
        del self.given[:stale]
        for holder in [who for who, ticket in self.tickets.items() if ticket.back + _DEAD < now]:
            del self.tickets[holder]

    # --- as text -----------------------------------------------------------------------------------------------------

    def text(self, **more: Any) -> str:
        """All of it as JSON, and whatever its store adds."""
        said = asdict(self, recurse=False)
        said["given"] = [item.timestamp for item in self.given]
        said["tickets"] = {who: asdict(ticket) for who, ticket in self.tickets.items()}
        return json.dumps({**said, **more}, separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> tuple[RateState, dict[str, Any]]:
        """A state as it was written, and what its store added; ``ValueError`` for anything else."""
        from pyrate_limiter import RateItem

        try:
            said = json.loads(text)
            given = [RateItem("", int(moment)) for moment in said.pop("given")]
            tickets = {who: Ticket(**ticket) for who, ticket in said.pop("tickets").items()}
            own = {name: said.pop(name) for name in ("last", "in_a_row", "not_before", "low", "slowed", "most")}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no state: {error!r}") from None
        return cls(given, tickets, **own), said

    @classmethod
    def of_a_full_minute(cls, now: int) -> RateState:
        """What stands for a state that is lost: 6 a second, as if a load had been under way."""
        from pyrate_limiter import RateItem

        return cls([RateItem("", now - 60_000 + number * 60_000 // 360) for number in range(1, 361)])
