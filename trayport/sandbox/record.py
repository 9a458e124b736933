"""Record of the requests that a sandbox received, and of the rules that they broke."""

from __future__ import annotations

import threading

from attrs import frozen

# Approximate memory of the record in bytes, about 60,000 requests: a server may run for days.
_MAX_WEIGHT = 40_000_000


@frozen
class Asked:
    """A request as the server saw it: path below the API's prefix, parameters, and the status of the response."""

    api: str
    """``"/api"`` for the Analytics API, ``"/reference"`` for the Reference Data API."""
    path: str
    params: tuple[tuple[str, str], ...]
    status: int
    ignored: frozenset[str] = frozenset()
    """Parameters that the path does not have; the server ignored them."""
    broken: tuple[str, ...] = ()
    """Rules of the API that the request broke; an ignored parameter is one."""
    fault: bool = False
    """True if a fault was injected into the response."""

    @property
    def weight(self) -> int:
        """Approximate memory of the request in bytes. Names of parameters are interned, so they count nothing."""
        params = sum(100 + len(value) for _, value in self.params)
        return 600 + len(self.path) + params + sum(map(len, self.broken))


@frozen
class Violation:
    """A rule of the API that a request broke."""

    rule: str
    asked: Asked

    def __str__(self) -> str:
        return f"{self.asked.path}: {self.rule}"


class Record:
    """Requests in the order of the responses; when they take too much memory, the older half is dropped."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.count = 0
        """Number of all requests, dropped ones included."""
        self._weight = 0
        self._lock = threading.Lock()

    def add(self, asked: Asked) -> None:
        """Add a request."""
        with self._lock:
            self.asked.append(asked)
            self.count += 1
            self._weight += asked.weight
            if self._weight > _MAX_WEIGHT:
                del self.asked[: (len(self.asked) + 1) // 2]
                self._weight = sum(each.weight for each in self.asked)

    @property
    def violations(self) -> list[Violation]:
        """Broken rules, in the order of the responses."""
        with self._lock:
            listed = list(self.asked)
        return [Violation(rule, asked) for asked in listed for rule in asked.broken]
