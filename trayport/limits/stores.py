"""Where a key's ledger lies: in this process, or where others see it, too, and what happens when that fails."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import define, field

from ..errors import TrayportWarning
from .state import Ledger

__all__ = ["Memory", "Store", "Sturdy", "Unfit"]

T = TypeVar("T")


class Unfit(Exception):
    """A store cannot be used, and why."""


class Store(Protocol):
    """Keeps one ledger for all who use it."""

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        ...

    def act(self, deed: Callable[[Ledger, int], T]) -> T:
        """Do something to the ledger while nobody else does; the number is the moment, in milliseconds."""
        ...


@define(eq=False)
class Memory:
    """The ledger of one process. Its gate's lock is enough."""

    kind: str = "memory"
    clock: Callable[[], float] = time.monotonic
    ledger: Ledger = field(factory=Ledger, repr=False)

    def act(self, deed: Callable[[Ledger, int], T]) -> T:
        """See ``Store``."""
        return deed(self.ledger, int(self.clock() * 1000))


class SharedStore(Store, Protocol):
    """A store that may fail, and that knows what it saw last."""

    @property
    def last(self) -> tuple[Ledger, int] | None:
        """The ledger as it was last, and its moment then."""
        ...


@define(eq=False)
class Sturdy:
    """A store that others share while that works, and half the rates for this process alone once it does not.

    Half, since other processes may be as lonely. What was given so far still counts.
    """

    store: SharedStore
    name: str
    clock: Callable[[], float] = time.monotonic
    why: str = field(default="", init=False)
    """Why it does not work any more."""
    _alone: Memory | None = field(default=None, init=False, repr=False)

    @property
    def kind(self) -> str:
        """Where the ledger lies now."""
        return self.store.kind if self._alone is None else self._alone.kind

    def act(self, deed: Callable[[Ledger, int], T]) -> T:
        """See ``Store``."""
        if self._alone is None:
            try:
                return self.store.act(deed)
            except Unfit as why:
                self._alone, self.why = self._private(), f"{self.name} cannot be used: {why}"
                warnings.warn(
                    f"the limit that this key shares in {self.why}. "
                    "This process goes on with half the limit for itself",
                    TrayportWarning,
                    stacklevel=2,
                )
        return self._alone.act(deed)

    def _private(self) -> Memory:
        seen = self.store.last
        if seen is None:
            return Memory("private", self.clock, Ledger(most=0.5))
        ledger, moment = seen
        ledger.tickets.clear()
        ledger.most = 0.5
        ledger.move(int(self.clock() * 1000) - moment)
        return Memory("private", self.clock, ledger)
