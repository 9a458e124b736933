"""Where a key's state lies: in this process, or where others see it, too, and what happens when that fails."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import define, field

from ..errors import TrayportWarning
from .state import RateState

__all__ = ["MemoryStore", "Store", "FallbackStore", "StoreUnavailable"]

T = TypeVar("T")


class StoreUnavailable(Exception):
    """A store cannot be used, and why."""


class Store(Protocol):
    """Keeps one state for all who use it."""

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        ...

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """Do something to the state while nobody else does; the number is the moment, in milliseconds."""
        ...


@define(eq=False)
class MemoryStore:
    """The state of one process. Its limiter's lock is enough."""

    kind: str = "memory"
    clock: Callable[[], float] = time.monotonic
    state: RateState = field(factory=RateState, repr=False)

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        return fn(self.state, int(self.clock() * 1000))


class SharedStore(Store, Protocol):
    """A store that may fail, and that knows what it saw last."""

    @property
    def last(self) -> tuple[RateState, int] | None:
        """The state as it was last, and its moment then."""
        ...


@define(eq=False)
class FallbackStore:
    """A store that others share while that works, and half the rates for this process alone once it does not.

    Half, since other processes may be as lonely. What was given so far still counts.
    """

    store: SharedStore
    name: str
    clock: Callable[[], float] = time.monotonic
    why: str = field(default="", init=False)
    """Why it does not work any more."""
    _alone: MemoryStore | None = field(default=None, init=False, repr=False)

    @property
    def kind(self) -> str:
        """Where the state lies now."""
        return self.store.kind if self._alone is None else self._alone.kind

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        if self._alone is None:
            try:
                return self.store.transact(fn)
            except StoreUnavailable as why:
                self._alone, self.why = self._private(), f"{self.name} cannot be used: {why}"
                warnings.warn(
                    f"the limit that this key shares in {self.why}. "
                    "This process goes on with half the limit for itself",
                    TrayportWarning,
                    stacklevel=2,
                )
        return self._alone.transact(fn)

    def _private(self) -> MemoryStore:
        seen = self.store.last
        if seen is None:
            return MemoryStore("private", self.clock, RateState(most=0.5))
        state, moment = seen
        state.tickets.clear()
        state.most = 0.5
        state.move(int(self.clock() * 1000) - moment)
        return MemoryStore("private", self.clock, state)
