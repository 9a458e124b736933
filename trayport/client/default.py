"""The default client, behind the flat functions: its configuration can be changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._time import Clock
from ..config import Config
from ..errors import ConfigError
from ..hooks import Hook
from .client import Client, check_hooks
from .run import ClientLink

__all__ = ["DefaultClient"]


class DefaultClient(Client):
    """The client behind the flat functions; ``api`` creates the one instance.

    It pickles as a reference to the default client of the process that unpickles it, so that functions such as
    ``trayport.trades`` can be sent to other processes.
    """

    def __init__(self) -> None:
        super().__init__()
        ClientLink.default = self
        self._configuring = threading.RLock()
        self._base: Config | None = None
        self._settings: dict[str, Any] = {}

    def __reduce__(self) -> Any:
        return _default_client, ()

    def configure(
        self, api_key: str | None = None, *, config: Config | None = None, hooks: Sequence[Hook] | None = None,
        **settings: Any,
    ) -> None:  # fmt: skip
        """Configure the client behind the flat functions.

        Settings add to those of earlier calls. All others come from the environment and the settings file, as in
        ``Config.load``, or from ``config``, which replaces everything that was configured before. Queries in flight
        keep the settings that they began with.

        Parameters
        ----------
        api_key : str, default None
            The API key.
        config : Config, default None
            Replaces all settings.
        hooks : sequence of callables, default None
            Replaces the observers, which are called with a ``RequestEvent`` after every attempt at a request; None
            keeps them.
        **settings : Any
            Any setting of ``Config``; one that is not given keeps its value.

        Raises
        ------
        ConfigError
            A setting does not exist or has a value that is not allowed; nothing was changed.

        Examples
        --------
        >>> import trayport as tp
        >>> tp.configure(tz="Europe/Amsterdam", progress=False)
        """
        # Wrap the key now, so that no stack frame or dict holds it in clear text.
        given = {**({"api_key": Config(api_key).api_key} if api_key is not None else {}), **settings}
        observers = self.hooks if hooks is None else check_hooks(hooks)
        base = config or self._base
        merged = given if config is not None else {**self._settings, **given}
        made = Config.load(**merged) if base is None else base.replace(**merged)
        with self._lock:
            self._base, self._settings, self._config = base, merged, made
            self.hooks = observers
            self._closed = False
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.catalogue.close()  # the session stays open for queries in flight

    @contextmanager
    def temporarily_configured(self, clock: Clock | None = None) -> Iterator[None]:
        """Restore the present configuration at the end of the block.

        Parameters
        ----------
        clock : callable, default None
            The clock of the client inside the block; None keeps the present one.

        Raises
        ------
        ConfigError
            Another thread is inside such a block.
        """
        if not self._configuring.acquire(blocking=False):
            raise ConfigError(
                "another thread uses the flat functions with a temporary configuration", "give each thread a Client"
            )
        saved = self._base, self._settings, self._config, self.hooks, self._closed, self._clock
        try:
            self._clock = clock or self._clock
            yield
        finally:
            with self._lock:
                self._base, self._settings, self._config, self.hooks, self._closed, self._clock = saved
                self._discard_engine()
            self._configuring.release()

    def _reset_after_fork(self) -> None:
        super()._reset_after_fork()
        self._configuring = threading.RLock()


def _default_client() -> Any:
    return ClientLink.default
