"""What one attempt at a request brought."""

from __future__ import annotations

from typing import Any

import pandas as pd
from attrs import frozen

from ..errors import APIError, TransportError

__all__ = ["AttemptResult"]


@frozen
class AttemptResult:
    """What was made of the body, or the error and the server's own wish for a wait; and what its head says of the time.

    ``body`` is the bytes themselves, unless whoever asked made something else of them.
    """

    status: int | None = None
    body: Any = b""
    error: APIError | TransportError | None = None
    retry_after: str | None = None
    bytes_received: int = 0
    """The bytes of the body as they came."""
    bytes_decoded: int = 0
    decode_error: Exception | None = None
    """Why nothing could be made of a body that came whole."""
    decode_seconds: float = 0.0
    """Seconds that were spent on making something of it."""
    date: str | None = None
    """The server's own clock, as its Date header tells it."""
    received_at: pd.Timestamp | None = None
    """When the head was there by this machine's clock; None where none came."""
    seconds_to_headers: float = 0.0
    """Seconds from sending to the head, a new connection included."""
