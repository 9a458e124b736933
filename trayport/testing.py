"""For trials, and for tests of code that uses this package: a client of a sandbox, or one behind the flat functions."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pandas as pd

from ._time import Clock, utc_now
from .api import DEFAULT, configure
from .client import Client
from .config import Config
from .errors import ConfigError
from .sandbox import Sandbox, Switches

__all__ = ["sandbox", "sandboxed", "trayport_sandbox"]


@contextmanager
def sandbox(**given: Any) -> Iterator[Client]:
    """A client of a sandbox of its own; ``trayport.sandbox(...)`` is the same.

    ``given`` are settings of ``Config``, such as ``tz`` or ``aliases``, and arguments of ``Sandbox``, such as ``seed``,
    ``now`` or ``until``. Unless they say otherwise, there are no limits, reference data are kept in a folder that is
    removed at the end, and no setting of this machine plays a part. With ``intraday=True`` the key may see today, and
    with ``now`` the client lives at that time, too.

    Raises ``ConfigError`` for a name that neither has, and ``ValueError`` for a value that is out of its bounds.

    >>> import trayport as tp
    >>> with tp.sandbox(aliases={"Gas": "TTF*"}) as client:
    ...     client.resolve("Gas Apr-24").name
    'TTF Hi Cal 51.6* Apr-24'
    """
    with _served(given) as (server, config), Client(config=config, clock=_clock_of(server)) as client:
        yield client


@contextmanager
def sandboxed(**given: Any) -> Iterator[Sandbox]:
    """Points the flat functions at a fresh sandbox, and back when the block ends.

    What is ``given`` is as with ``sandbox``. The sandbox that it yields knows what it was asked.

    >>> import trayport as tp
    >>> with sandboxed() as sandbox:
    ...     frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    ...     [request.path for request in sandbox.asked][-1]
    '/trades'
    """
    with _served(given) as (server, config), DEFAULT.temporarily_configured(_clock_of(server)):
        configure(config=config)
        yield server


@contextmanager
def _served(given: Mapping[str, Any]) -> Iterator[tuple[Sandbox, Config]]:
    """A sandbox, and the settings of a client of it."""
    settings, arguments = _sorted(given)
    if settings.get("intraday"):
        arguments = {"key": "sandbox-intraday", **arguments}
    arguments = {"limits": False, **arguments}
    with Sandbox(**arguments) as server, tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        limiter = "memory" if arguments["limits"] else "off"
        yield server, Config().replace(**{**server.settings, "limiter": limiter, "cache_dir": folder, **settings})


_SETTINGS = tuple(field.name for field in attrs.fields(Config))
_ARGUMENTS = (
    *(name for name, each in inspect.signature(Sandbox).parameters.items() if each.kind is not each.VAR_KEYWORD),
    *(field.name for field in attrs.fields(Switches)),
)


def _sorted(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of the client, and the arguments of the sandbox: no name is both."""
    for name in given:
        if name not in (*_SETTINGS, *_ARGUMENTS):
            raise ConfigError(
                f"{name!r} is no setting of Config, which are {', '.join(_SETTINGS)}, and no argument of Sandbox, "
                f"which are {', '.join(_ARGUMENTS)}"
            )
    settings = {name: value for name, value in given.items() if name in _SETTINGS}
    return settings, {name: value for name, value in given.items() if name not in _SETTINGS}


def _clock_of(server: Sandbox) -> Clock:
    """The time that a sandbox was told, wherever that is turned to; this machine's otherwise."""

    def now() -> pd.Timestamp:
        if server.now is None:
            return utc_now()
        told = pd.Timestamp(server.now).as_unit("ns")
        return told.tz_localize("UTC") if told.tz is None else told.tz_convert("UTC")

    return now


def _lent() -> Iterator[Sandbox]:
    """A sandbox that the flat functions ask while the test runs."""
    with sandboxed() as server:
        yield server


if TYPE_CHECKING:
    import pytest

    trayport_sandbox = pytest.fixture(name="trayport_sandbox")(_lent)
else:

    def __getattr__(name: str) -> Any:
        """The fixture, for ``from trayport.testing import trayport_sandbox`` and ``pytest_plugins``: pytest itself is
        needed only there."""
        if name != "trayport_sandbox":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            import pytest
        except ImportError:
            raise AttributeError(f"{name} is a fixture of pytest, which is not installed") from None
        return globals().setdefault(name, pytest.fixture(name=name)(_lent))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})  # pytest looks for fixtures here
