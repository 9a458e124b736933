"""What an observer may see of the requests that are made."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

__all__ = ["Hook", "RequestEvent"]


@frozen
class RequestEvent:
    """One attempt at one request, told when it has ended.

    ``waited`` and ``elapsed`` are seconds: for leave to ask, and for the answer. ``status`` is None where no
    answer came, ``bytes`` counts the decoded body, and ``error`` is the name of what went wrong. The key, the
    headers and the parameters are never in it.
    """

    endpoint: str
    attempt: int
    waited: float
    elapsed: float
    status: int | None
    bytes: int
    error: str | None = None


class Hook(Protocol):
    """Anything that can be called with a ``RequestEvent``; it runs in the thread that made the attempt."""

    def __call__(self, event: RequestEvent, /) -> object: ...
