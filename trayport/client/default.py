"""The default client: behind the flat functions, and configured by ``trayport.configure``."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._time import Clock
from ..config import Config
from ..errors import ConfigError
from ..hooks import Hook
from .client import Client, checked_hooks
from .run import ClientLink

__all__ = ["DefaultClient"]


class DefaultClient(Client):
    """The client behind the flat functions; pickled, it is a reference to the default client of the new process.

    ``api`` makes the one instance.
    """

    def __init__(self) -> None:
        super().__init__()
        ClientLink.default = self
        self._configuring = threading.RLock()
        self._base: Config | None = None
        self._settings: dict[str, Any] = {}

    def __reduce__(self) -> Any:
        return _default, ()

    def configure(
        self, api_key: str | None = None, *, config: Config | None = None, hooks: Sequence[Hook] | None = None,
        **settings: Any,
    ) -> None:  # fmt: skip
        """Set up the client behind the flat functions.

        What is given is added to what earlier calls gave; the rest comes from the environment and the settings
        file, as in ``Config.load``, or from ``config`` if that was given, which replaces all of it.

        Raises ``ConfigError`` for a setting that does not exist or is out of its bounds, and leaves all as it was.

        >>> import trayport as tp
        >>> tp.configure(tz="Europe/Amsterdam", progress=False)
        """
        # Wrapped at once, so that the key stands in no frame and no table as it is.
        given = {**({"api_key": Config(api_key).api_key} if api_key is not None else {}), **settings}
        observers = self.hooks if hooks is None else checked_hooks(hooks)
        base = config or self._base
        merged = given if config is not None else {**self._settings, **given}
        made = Config.load(**merged) if base is None else base.replace(**merged)
        with self._lock:
            self._base, self._settings, self._config = base, merged, made
            self.hooks = observers
            self._closed = False
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.catalogue.close()  # but not its session, which a query in flight goes on using

    @contextmanager
    def temporarily_configured(self, clock: Clock | None = None) -> Iterator[None]:
        """Restore the configuration at the end of the block; one thread at a time may enter it."""
        if not self._configuring.acquire(blocking=False):
            raise ConfigError("another thread has the flat functions in a sandbox: use a Client of its own in each")
        kept = self._base, self._settings, self._config, self.hooks, self._closed, self._clock
        try:
            self._clock = clock or self._clock
            yield
        finally:
            with self._lock:
                self._base, self._settings, self._config, self.hooks, self._closed, self._clock = kept
                self._let_go()
            self._configuring.release()

    def _begin_anew(self) -> None:
        super()._begin_anew()
        self._configuring = threading.RLock()


def _default() -> Any:
    return ClientLink.default
