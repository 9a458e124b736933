"""A clock for tests, moved by hand and by waits."""

from __future__ import annotations

import threading


class Clock:
    """A clock in seconds; ``wait`` returns at once and moves the clock."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
