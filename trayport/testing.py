"""Helpers for tests of code that uses this package: a context manager and a pytest fixture with simulated data."""

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
from .config import Config
from .errors import ConfigError
from .sandbox import Sandbox, Switches

__all__ = ["sandboxed", "trayport_sandbox"]


@contextmanager
def sandboxed(**given: Any) -> Iterator[Sandbox]:
    """Point the flat functions at a new sandbox until the block ends.

    The sandbox counts no rate limit unless ``limits=True``, reference data are cached in a temporary folder, and no
    environment variable, settings file or keyring of the computer is read. With ``intraday=True`` the sandbox's key is
    entitled to the current day; with ``now`` the client uses the same time as the sandbox.

    Parameters
    ----------
    **given
        Settings of ``Config``, such as ``tz`` or ``aliases``, and arguments of ``Sandbox``, such as ``seed``, ``now``
        or ``until``. No name belongs to both.

    Yields
    ------
    Sandbox
        The server; its ``asked`` lists the requests that it received.

    Raises
    ------
    ConfigError
        A name that neither ``Config`` nor ``Sandbox`` has.
    ValueError
        A value that ``Config`` or ``Sandbox`` does not allow.

    Examples
    --------
    >>> import trayport as tp
    >>> with sandboxed(aliases={"Gas": "TTF*"}) as sandbox:
    ...     tp.resolve("Gas Apr-24").name
    ...     frame = tp.trades("TTF Apr-24", "2024-02-05", "2024-02-06")
    ...     [request.path for request in sandbox.asked][-1]
    'TTF Hi Cal 51.6* Apr-24'
    '/trades'
    """
    settings, arguments = _split(given)
    if settings.get("intraday"):
        arguments = {"key": "sandbox-intraday", **arguments}
    arguments = {"limits": False, **arguments}
    with Sandbox(**arguments) as server, tempfile.TemporaryDirectory(prefix="trayport-") as folder:
        limiter = "memory" if arguments["limits"] else "off"
        config = Config().replace(**{**server.settings, "limiter": limiter, "cache_dir": folder, **settings})
        with DEFAULT.temporarily_configured(_clock_of(server)):
            configure(config=config)
            yield server


_SETTINGS = tuple(field.name for field in attrs.fields(Config))
_ARGUMENTS = (
    *(name for name, each in inspect.signature(Sandbox).parameters.items() if each.kind is not each.VAR_KEYWORD),
    *(field.name for field in attrs.fields(Switches)),
)


def _split(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of ``Config`` and the arguments of ``Sandbox``; no name belongs to both."""
    for name in given:
        if name not in (*_SETTINGS, *_ARGUMENTS):
            raise ConfigError(
                f"{name!r} is no setting of Config and no argument of Sandbox; settings are {', '.join(_SETTINGS)}, "
                f"arguments are {', '.join(_ARGUMENTS)}"
            )
    settings = {name: value for name, value in given.items() if name in _SETTINGS}
    return settings, {name: value for name, value in given.items() if name not in _SETTINGS}


def _clock_of(server: Sandbox) -> Clock:
    """Return a clock with the fixed time of a sandbox, or with the computer's time if there is none."""

    def now() -> pd.Timestamp:
        if server.now is None:
            return utc_now()
        time = pd.Timestamp(server.now).as_unit("ns")
        return time.tz_localize("UTC") if time.tz is None else time.tz_convert("UTC")

    return now


def _sandbox() -> Iterator[Sandbox]:
    """Sandbox to which the flat functions send their requests during the test."""
    with sandboxed() as server:
        yield server


if TYPE_CHECKING:
    import pytest

    trayport_sandbox = pytest.fixture(name="trayport_sandbox")(_sandbox)
else:

    def __getattr__(name: str) -> Any:
        """Return the fixture, which needs pytest, for ``from trayport.testing import …`` and ``pytest_plugins``."""
        if name != "trayport_sandbox":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            import pytest
        except ImportError:
            raise AttributeError(f"{name} is a fixture of pytest, which is not installed; install pytest") from None
        return globals().setdefault(name, pytest.fixture(name=name)(_sandbox))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})  # pytest looks for fixtures here
