"""Hooks: callables that observe each attempt at a request when it has ended."""

from __future__ import annotations

from typing import Protocol

from attrs import asdict, frozen

from .typing import BreakerState

__all__ = ["Hook", "RequestEvent"]


@frozen
class RequestEvent:
    """One attempt at one request, after its end. It never holds the key, the headers or the parameters.

    Parameters
    ----------
    id : str
        The attempt's ``X-Request-ID``: the id of the request, a dash, and the number of the attempt.
    endpoint : str
        Name of the endpoint, such as ``"trades"``.
    api : str
        ``"analytics"`` or ``"reference"``.
    attempt : int
        Number of the attempt, from 1.
    waited : float
        Seconds until the rate limit gave a permit.
    elapsed : float
        Seconds from sending to the end of the response, decompression included, decoding excluded.
    status : int or None
        HTTP status; None if no response arrived.
    bytes_received : int
        Size of the body on the wire; of an error, at most 64 KiB are read.
    bytes_decoded : int
        Size of the decompressed body.
    error : str, default None
        Name of the error, one of ``trayport.errors``; None if data arrived.
    retry_reason : str, default None
        Error of the attempt before, such as ``"ServerError 503"``; None for the first attempt.
    breaker : str, default "closed"
        State of the API's circuit breaker after the attempt: ``"closed"``, ``"half-open"`` or ``"open"``.
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
        """Return one line of ``name=value``, as in the log."""
        return " ".join(f"{name}={_format_value(value)}" for name, value in asdict(self).items())


def _format_value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return f'"{text}"' if " " in text else text


class Hook(Protocol):
    """A callable that takes a ``RequestEvent``; it is called in the thread that made the attempt."""

    def __call__(self, event: RequestEvent, /) -> object:
        """Observe an attempt."""
