"""The rate limit of one key, shared by threads, processes and machines, and the limit of requests in flight."""

from __future__ import annotations

from .limiter import ConcurrencyLimit, RateLimiter, Wait, limiter_of
from .redis import RedisStore
from .state import RateState
from .stores import FallbackStore, FileStore, MemoryStore, StoreUnavailable, limits_folder, state_file

__all__ = [
    "ConcurrencyLimit",
    "FallbackStore",
    "FileStore",
    "MemoryStore",
    "RateLimiter",
    "RateState",
    "RedisStore",
    "StoreUnavailable",
    "Wait",
    "limiter_of",
    "limits_folder",
    "state_file",
]
