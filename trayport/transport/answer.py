"""What one attempt at a request brought."""

from __future__ import annotations

import pandas as pd
from attrs import frozen

from ..errors import APIError, TransportError

__all__ = ["Answer"]


@frozen
class Answer:
    """The body, or the error and the server's own wish for a wait; and what its head says of the time."""

    status: int | None = None
    body: bytes = b""
    error: APIError | TransportError | None = None
    retry_after: str | None = None
    received: int = 0
    """The bytes of the body as they came."""
    date: str | None = None
    """The server's own clock, as its Date header tells it."""
    heard: pd.Timestamp | None = None
    """When the head was there by this machine's clock; None where none came."""
    took: float = 0.0
    """Seconds from sending to the head, a new connection included."""
