"""HTTP: sends requests with retries, a circuit breaker, the key's rate limit and pooled connections."""

from __future__ import annotations

from .connections import Auth, Connections, Trust, check_adapter, check_auth, check_proxy, trust_of
from .retries import AttemptResult
from .session import Session

__all__ = [
    "AttemptResult",
    "Auth",
    "Connections",
    "Session",
    "Trust",
    "check_adapter",
    "check_auth",
    "check_proxy",
    "trust_of",
]
