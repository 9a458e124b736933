"""A session against a scripted server, for one test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pandas as pd

from trayport import Config, RequestEvent
from trayport.endpoints import TRADES, Request
from trayport.transport import Session

from .canary import KEY
from .fake import Clock
from .wire import Wire

ASK = Request(TRADES, (("from", "2023-01-01T00:00:00Z"), ("sequenceItemId", "1"), ("sequenceItemId", "2")))
"""A request for trades."""
NOW = pd.Timestamp("2026-11-20T10:00", tz="UTC")


class Bench:
    """A session against a scripted server, with a simulated clock, so that waits take no time."""

    def __init__(self, wire: Wire, **settings: Any) -> None:
        self.wire, self.clock = wire, Clock()
        self.events: list[RequestEvent] = []
        config = Config(KEY, analytics_url=f"{wire.url}/api", reference_url=wire.url, **settings)
        self.session = Session(config, [self.events.append], now=lambda: NOW, clock=self.clock, wait=self.clock.wait)

    def send(self, request: Request = ASK) -> bytes:
        return self.session.send(request)

    @property
    def waits(self) -> list[float]:
        """The waits so far in seconds."""
        return [round(seconds, 3) for seconds in self.clock.waits]


MakeBench: TypeAlias = Callable[..., Bench]
