"""What an answer is made from: the market, the moment at which it is asked, and the switches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from attrs import frozen

from .model import NS_PER_DAY, Contract, Market, Trades
from .rules import Clock

Until: TypeAlias = Literal["exclusive", "inclusive"]
Order: TypeAlias = Literal["sorted", "shuffled"]
Stamps: TypeAlias = Literal["end", "start", "between"]


@frozen
class View:
    """A seed's market at one moment, with the switches in one position; ``Sandbox`` says what they do."""

    market: Market
    clock: Clock
    until: Until = "exclusive"
    books: Stamps = "end"

    def end(self, until: int) -> int:
        """The first moment that is no longer part of a range up to ``until``: what is to come is not known yet."""
        return min(until + (self.until == "inclusive"), self.clock.now)

    def trades(self, contracts: Iterable[Contract], start: int, end: int) -> Trades:
        """What traded at ``start`` or later, and before ``end``, in order of time."""
        first, last = start // NS_PER_DAY, -(-end // NS_PER_DAY)
        return self.market.all(contracts, first, max(first, last)).between(start, end)
