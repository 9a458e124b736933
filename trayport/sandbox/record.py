"""What a sandbox was asked, and the rules that were broken."""

from __future__ import annotations

import threading

from attrs import frozen

# A server that runs for days must not grow with what it was asked: so many bytes of it, about.
_HEAVIEST = 40_000_000


@frozen
class Asked:
    """One request as the server saw it: its path below the API's prefix, its parameters, and its answer's status."""

    api: str
    path: str
    params: tuple[tuple[str, str], ...]
    status: int
    ignored: frozenset[str] = frozenset()
    """Parameters that the server did not look at."""
    broken: tuple[str, ...] = ()
    """The rules of the API that it broke, an ignored parameter among them."""
    fault: bool = False
    """Was it answered with a fault of the script's?"""

    @property
    def weight(self) -> int:
        """How many bytes it takes to remember it, about."""
        return 600 + len(self.path) + weight(self.params) + sum(map(len, self.broken))


def weight(params: tuple[tuple[str, str], ...]) -> int:
    """How many bytes parameters take, about: what several requests say alike is held once."""
    return sum(100 + len(value) for _, value in params)


@frozen
class Violation:
    """A rule of the API that a request broke."""

    rule: str
    asked: Asked

    def __str__(self) -> str:
        return f"{self.asked.path}: {self.rule}"


class Record:
    """What was asked, in the order of the answers; of a very long history, the younger half."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.count = 0
        """How many they were in all."""
        self._weight = 0
        self._lock = threading.Lock()

    def add(self, asked: Asked) -> None:
        """One request more."""
        with self._lock:
            self.asked.append(asked)
            self.count += 1
            self._weight += asked.weight
            if self._weight > _HEAVIEST:
                del self.asked[: (len(self.asked) + 1) // 2]
                self._weight = sum(each.weight for each in self.asked)

    @property
    def violations(self) -> list[Violation]:
        """Every rule that was broken, in the same order."""
        with self._lock:
            listed = list(self.asked)
        return [Violation(rule, asked) for asked in listed for rule in asked.broken]
