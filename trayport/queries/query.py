"""One question as a value, and what it is read against."""

from __future__ import annotations

from typing import Any

import pandas as pd
from attrs import field, frozen

from .._time import Window
from ..contracts import Contract, Front
from ..endpoints import Column, Endpoint
from .intervals import Interval

__all__ = ["Query", "QueryContext"]


@frozen
class QueryContext:
    """What a question is read against: the zone of naive times, the present, and the right to see today."""

    tz: str
    now: pd.Timestamp
    intraday: bool

    @property
    def known(self) -> pd.Timestamp:
        """The last moment that there are data for."""
        return self.now.floor("s") if self.intraday else self.now.floor("D")


@frozen
class Query:
    """One question, checked: what is asked of which contracts, when, and with which columns.

    A question about one instant has an empty window there; ``at`` is None where the server is to choose it.
    """

    endpoint: Endpoint
    contracts: tuple[str | Contract, ...] | Front
    window: Window
    tz: str
    fields: tuple[Column, ...] = ()
    at: pd.Timestamp | None = None
    interval: Interval | None = None
    depth: int | None = None
    max_spread: float | None = None
    include_private: bool = False
    include_empty: bool = False
    routes: tuple[str, ...] = field(default=())
    deduplicate: bool = True
    verify: bool = False

    def describe(self) -> dict[str, Any]:
        """What was asked, in plain JSON values."""
        several = (self.contracts,) if isinstance(self.contracts, Front) else self.contracts
        return {
            "query": self.endpoint.name,
            "contract": [_label(contract) for contract in several],
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            **{name: _plain(getattr(self, name)) for name in self.endpoint.options},
            "fields": [column.name for column in self.fields],
        }


def _label(contract: str | Contract | Front) -> str:
    return contract if isinstance(contract, str) else contract.label


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, Interval):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
