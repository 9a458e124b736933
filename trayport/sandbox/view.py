"""The data that one request can see: the market, the caller, the switches and the revisions.

Page numbers refer to the API guide, see docs/sources.md.
"""

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
    """A simulated market as one caller sees it at one time."""

    market: SimulatedMarket
    caller: Caller
    switches: Switches
    revisions: Revisions

    def end(self, until: int, own: bool = False) -> int:
        """Return the exclusive end of a range up to ``until``, cut at the end of the available data.

        Own trades of the current day are available to every key (guide p. 22).
        """
        return min(until + (self.switches.until == "inclusive"), self.caller.now if own else self.caller.known)

    def trades(self, contracts: Iterable[SimulatedContract], start: int, end: int) -> Trades:
        """Return the trades in [start, end) in order of time."""
        first, last = start // NS_PER_DAY, -(-end // NS_PER_DAY)
        return self.known(self.market.trades(contracts, first, max(first, last)).between(start, end))

    def known(self, trades: Trades) -> Trades:
        """Return the trades on the key's routes in their current state."""
        shown = self.revisions.applied(trades.known(self.caller.now))
        return shown if ROUTES[0] in self.caller.routes else shown.take(shown.on_second_route)

    def last_updated(self, trades: Trades) -> Integers:
        """Return the time at which each trade was last amended, or made."""
        return self.revisions.last_updated(trades, trades.last_updated(self.caller.now))
