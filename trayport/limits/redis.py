"""A key's state in Redis, for several machines: its clock is everybody's, and its transactions are the lock."""

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
_FORGOTTEN_MS = 3_600_000


@define(eq=False)
class RedisStore:
    """The state under one name in Redis."""

    name: str
    client: Redis
    clock: Callable[[], float] = time.monotonic
    kind: str = field(default="redis", init=False)
    last: tuple[RateState, int] | None = field(default=None, init=False, repr=False)

    def transact(self, fn: Callable[[RateState, int], T]) -> T:
        """See ``Store``."""
        import redis

        until = self.clock() + _PATIENCE
        try:
            while True:
                try:
                    return self._try(fn)
                except redis.WatchError:  # somebody else was quicker
                    if self.clock() > until:
                        raise StoreUnavailable("others change it all the time") from None
        except redis.RedisError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from None
        except ValueError as error:
            raise StoreUnavailable(str(error)) from None

    def _try(self, fn: Callable[[RateState, int], T]) -> T:
        with self.client.pipeline() as pipe:
            pipe.watch(self.name)  # type: ignore[no-untyped-call]
            said: Any = pipe.get(self.name)
            seconds, micros = pipe.time()
            now = int(seconds) * 1000 + int(micros) // 1000
            state, told = RateState.read(said.decode()) if said else (RateState(), {"now": now})
            if now < int(told["now"]):  # its clock was set back: what was given counts as given now
                state.move(now - int(told["now"]))
            answer = fn(state, now)
            pipe.multi()
            pipe.set(self.name, state.text(now=now), px=_FORGOTTEN_MS)
            pipe.execute()
        self.last = state, now
        return answer


def connect(url: str) -> Redis:
    """A connection to ``url``, which nothing has been sent through yet."""
    try:
        import redis
    except ImportError:
        raise ConfigError("limiter='redis://...' needs the package redis: pip install 'trayport[redis]'") from None
    return redis.Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
