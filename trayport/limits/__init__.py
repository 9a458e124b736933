"""The rate limit of one key, shared by threads, processes and machines."""

from __future__ import annotations

from .concurrency import ConcurrencyLimit
from .file import FileStore, limits_folder, state_file
from .limiter import RateLimiter, Wait, limiter_of
from .redis import RedisStore
from .state import RateState
from .stores import FallbackStore, MemoryStore, StoreUnavailable

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
