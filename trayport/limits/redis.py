"""Rate-limit states in Redis, for users on several machines: Redis gives the clock, and its transactions the lock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from ..errors import ConfigError
from .state import RateState
from .stores import StoreUnavailable

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisStore", "connect"]

T = TypeVar("T")

_PATIENCE = 5.0
"""Seconds for a connection, a response, and for repeating a transaction that met another one."""
_EXPIRE_MS = 3_600_000
_REMEDY = "check the server, or use limiter='file' if all processes run on this machine"


@define(eq=False)
class RedisStore:
    """The state as JSON in the value ``name``."""

    name: str
    client: Redis
    clock: Callable[[], float] = time.monotonic
    kind: str = field(default="redis", init=False)
    last_seen: tuple[RateState, int] | None = field(default=None, init=False, repr=False)

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        import redis

        deadline = self.clock() + _PATIENCE
        try:
            while True:
                try:
                    return self._try(fn)
                except redis.WatchError:  # another transaction came first
                    if self.clock() > deadline:
                        raise StoreUnavailable("other processes change it all the time", _REMEDY) from None
        except redis.RedisError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}", _REMEDY) from None
        except ValueError as error:
            raise StoreUnavailable(str(error), f"delete the value {self.name!r} from Redis") from None

    def _try(self, fn: Callable[[RateState, int], T]) -> T:
        with self.client.pipeline() as pipe:
            pipe.watch(self.name)  # type: ignore[no-untyped-call]
            text: Any = pipe.get(self.name)
            seconds, microseconds = pipe.time()
            now = int(seconds) * 1000 + int(microseconds) // 1000
            state, extra = RateState.from_json(text) if text else (RateState(), {"now": now})
            if now < int(extra["now"]):  # the server's clock was set back: permits count as just given
                state.shift(now - int(extra["now"]))
            result = fn(state, now)
            pipe.multi()
            pipe.set(self.name, state.to_json(now=now), px=_EXPIRE_MS)
            pipe.execute()
        self.last_seen = state, now
        return result


def connect(url: str) -> Redis:
    """Return a client for ``url``; nothing is sent yet."""
    try:
        import redis
    except ImportError:
        raise ConfigError(
            "limiter='redis://...' needs the package redis", remedy="pip install 'trayport[redis]'"
        ) from None
    return redis.Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
