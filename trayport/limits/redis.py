"""A key's ledger in Redis, for several machines: its clock is everybody's, and its transactions are the lock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from ..errors import ConfigError
from .state import Ledger
from .stores import Unfit

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisStore", "connect"]

T = TypeVar("T")

_PATIENCE = 5.0
_FORGOTTEN_MS = 3_600_000


@define(eq=False)
class RedisStore:
    """The ledger under one name in Redis."""

    name: str
    client: Redis
    clock: Callable[[], float] = time.monotonic
    kind: str = field(default="redis", init=False)
    last: tuple[Ledger, int] | None = field(default=None, init=False, repr=False)

    def act(self, deed: Callable[[Ledger, int], T]) -> T:
        """See ``Store``."""
        import redis

        until = self.clock() + _PATIENCE
        try:
            while True:
                try:
                    return self._try(deed)
                except redis.WatchError:  # somebody else was quicker
                    if self.clock() > until:
                        raise Unfit("others change it all the time") from None
        except redis.RedisError as error:
            raise Unfit(f"{type(error).__name__}: {error}") from None
        except ValueError as error:
            raise Unfit(str(error)) from None

    def _try(self, deed: Callable[[Ledger, int], T]) -> T:
        with self.client.pipeline() as pipe:
            pipe.watch(self.name)  # type: ignore[no-untyped-call]
            said: Any = pipe.get(self.name)
            seconds, micros = pipe.time()
            now = int(seconds) * 1000 + int(micros) // 1000
            ledger, told = Ledger.read(said.decode()) if said else (Ledger(), {"now": now})
            if now < int(told["now"]):  # its clock was set back: what was given counts as given now
                ledger.move(now - int(told["now"]))
            answer = deed(ledger, now)
            pipe.multi()
            pipe.set(self.name, ledger.text(now=now), px=_FORGOTTEN_MS)
            pipe.execute()
        self.last = ledger, now
        return answer


def connect(url: str) -> Redis:
    """A connection to ``url``, which nothing has been sent through yet."""
    try:
        import redis
    except ImportError:
        raise ConfigError("limiter='redis://...' needs the package redis: pip install 'trayport[redis]'") from None
    return redis.Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
