"""A clock that a test turns by hand, and that waits take forward."""

from __future__ import annotations

import threading


class Clock:
    """Seconds; ``wait`` takes no time, but as many of them as it was asked for."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
