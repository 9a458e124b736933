"""Hooks: callables that observe each attempt at a request when it has ended."""

from __future__ import annotations

import secrets
from typing import Protocol

from attrs import asdict, frozen

from .typing import BreakerState

__all__ = ["Hook", "RequestEvent", "new_id"]


@frozen
class RequestEvent:
    """One attempt at one request, told when it has ended. The key, the headers and the parameters are never in it.

    Parameters
    ----------
    id
        What was sent as ``X-Request-ID``: the request's own, a dash, and the number of the attempt.
    endpoint, api
        What was asked, and which of the two APIs: ``"analytics"`` or ``"reference"``.
    attempt
        1 for the first.
    waited, elapsed
        Seconds: for leave to ask, and for the answer to come and be unpacked; not for what becomes of it.
    status
        The HTTP status; None where no answer came.
    bytes_received, bytes_decoded
        The body as it came over the wire, and unpacked; of an error no more than its beginning.
    error
        The name of what went wrong, one of ``errors``; None for data.
    retry_reason
        Why it was not the first attempt: what went wrong with the one before, such as ``"ServerError 503"``.
    breaker
        Is the API left alone after this attempt (``"open"``), tried again (``"half-open"``), or asked as usual?
    """

    id: str
    endpoint: str
    api: str
    attempt: int
    waited: float
    elapsed: float
    status: int | None
    bytes_received: int
    bytes_decoded: int
    error: str | None = None
    retry_reason: str | None = None
    breaker: BreakerState = "closed"

    def __str__(self) -> str:
        """One line of ``name=value``, as in logs."""
        return " ".join(f"{name}={_plain(value)}" for name, value in asdict(self).items())


def new_id() -> str:
    """A name for one request that no other has."""
    return secrets.token_hex(8)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return f'"{text}"' if " " in text else text


class Hook(Protocol):
    """Anything that can be called with a ``RequestEvent``; it runs in the thread that made the attempt."""

    def __call__(self, event: RequestEvent, /) -> object: ...
