"""What an answer is made from: the market, who asks at which moment, and the switches."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from .calendar import NS_PER_DAY
from .hashing import Integers
from .keys import ROUTES, Caller
from .model import SimulatedContract, SimulatedMarket, Trades
from .revisions import Revisions
from .switches import Switches


@frozen
class View:
    """A seed's market as a key sees it at one moment, with the switches in one position."""

    market: SimulatedMarket
    caller: Caller
    switches: Switches
    revisions: Revisions

    def end(self, until: int, own: bool = False) -> int:
        """The first moment that is no longer part of a range up to ``until``: what is to come is not known yet.

        One's own trades of today are known to every key (guide p. 22).
        """
        return min(until + (self.switches.until == "inclusive"), self.caller.now if own else self.caller.known)

    def trades(self, contracts: Iterable[SimulatedContract], start: int, end: int) -> Trades:
        """What traded at ``start`` or later, and before ``end``, in order of time."""
        first, last = start // NS_PER_DAY, -(-end // NS_PER_DAY)
        return self.known(self.market.trades(contracts, first, max(first, last)).between(start, end))

    def known(self, trades: Trades) -> Trades:
        """Trades as they show now, on the key's routes."""
        shown = self.revisions.applied(trades.known(self.caller.now))
        return shown if ROUTES[0] in self.caller.routes else shown.take(shown.on_second_route)

    def last_updated(self, trades: Trades) -> Integers:
        """When each trade was last changed, or made."""
        return self.revisions.last_updated(trades, trades.last_updated(self.caller.now))
