"""How many requests of one client are under way at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from .._parallel import raise_if_cancelled

__all__ = ["ConcurrencyLimit"]

# Looked up from now and then, since setting `stop` does not end this wait.
_POLL_INTERVAL = 0.2


@define(eq=False)
class ConcurrencyLimit:
    """``count`` slots, and one more for a question while a bulk load holds some of them: all of its threads wait there
    for permits, and a question must not wait for theirs."""

    count: int
    _in_flight: int = field(default=0, init=False)
    _bulk: int = field(default=0, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False, repr=False)

    @property
    def in_flight(self) -> int:
        """How many are taken."""
        return self._in_flight

    @contextmanager
    def slot(self, bulk: bool, stop: threading.Event) -> Iterator[None]:
        """A slot; raises ``Cancelled`` when ``stop`` is set before there is one."""
        with self._changed:
            while self._in_flight >= self.count + (not bulk and self._bulk > 0):
                self._changed.wait(_POLL_INTERVAL)
                raise_if_cancelled(stop)
            self._in_flight += 1
            self._bulk += bulk
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._bulk -= bulk
                self._changed.notify_all()
