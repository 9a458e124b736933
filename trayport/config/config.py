"""``Config``: every setting, checked when it is made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields, frozen

from ..errors import ConfigError
from . import checks
from .checks import Progress, is_loopback
from .locker import from_keyring
from .secret import Secret
from .sources import check_names, from_environment, from_file, settings_file

__all__ = ["Config", "Rate"]


@frozen
class Rate:
    """At most ``count`` requests in any ``seconds``."""

    count: int
    seconds: float


@frozen(hash=False)
class Config:
    """Every setting of a client; ``Config.load()`` also looks into the environment and the settings file.

    Parameters
    ----------
    api_key
        The key that Trayport gave you. It never prints, and it is not pickled: where a pickled ``Config``
        arrives, the key is looked up again.
    analytics_url, reference_url
        Where the two APIs are. ``https``, or ``http`` on this machine.
    per_second, per_minute
        How many requests may be made, retries included: at most 8 and 480, what the API allows a key
        (guide p. 38), and half of ``per_second``, rounded up, in any half second. More only towards this machine.
    limiter
        Who shares the limits of a key: ``"file"``, all processes of one user on one machine; ``"redis://host:6379/0"``,
        all that use this Redis, for several machines; ``"memory"``, all clients of this process. ``"off"``: no limits,
        only towards this machine.
    workers
        Requests under way at once, and connections kept; a question of one request may be one more.
    timeout
        Seconds to connect, and to wait for each piece of an answer; ``10,60`` in the environment.
    attempts, backoff_cap, retry_budget
        Tries a request, the longest wait of our own choosing before one, and the seconds of waiting in all.
    deadline
        Seconds for a whole question, its look-ups and waits included, and of a stream the seconds that are waited for
        its pieces; None for as long as it takes. What is not there by then is a ``TimedOut``, in a question of several
        requests within a ``PartialDataError``, whose ``resume()`` has as many seconds again.
    max_body
        The most bytes that one answer may have once it is unpacked, a gigabyte unless set; from a sixteenth of it on,
        no more than 200 times what came, either. What is larger is refused, so that no answer eats the memory.
    ca_bundle
        Whom to trust: a file of certificates, or a folder of them, such as your company's. Unless set, the file that
        ``REQUESTS_CA_BUNDLE`` names, then the operating system's store where the extra ``truststore`` is installed,
        then certifi's list.
    cache_dir
        Where reference data are kept; the user's cache folder unless set.
    tz
        The zone in which naive times are read and indexes come back.
    intraday
        May the key see the current UTC day? Decides where ``end=None`` ends and what may be asked.
    aliases
        Short names of products, such as ``{"Power": "Germany Baseload*"}``; they win over any product of that
        name. In the environment: ``Power=Germany Baseload*;Carbon=EUA``.
    wire_format
        ``"json"``, or ``"csv"`` wherever an answer is a plain table: not for several contracts in one request, for
        private fields of ``trades``, for ``order_book`` and for ``snapshots``. The frames are the same.
    progress
        A bar for questions of more than one request: ``"auto"`` shows it in terminals and notebooks.

    Raises ``ConfigError`` for a value out of its bounds.

    >>> Config(api_key="abc", per_second=4)
    Config(api_key='***', ..., per_second=4, ...)
    """

    api_key: Secret | None = field(default=None, converter=checks.key)
    analytics_url: str = field(
        default="https://analytics.trayport.com/api", converter=checks.trimmed, validator=checks.url, kw_only=True
    )
    reference_url: str = field(
        default="https://referencedata.trayport.com", converter=checks.trimmed, validator=checks.url, kw_only=True
    )
    per_second: int = field(default=6, validator=checks.whole, kw_only=True)
    per_minute: int = field(default=360, validator=checks.whole, kw_only=True)
    limiter: str = field(
        default="file", validator=checks.limiter, repr=lambda url: repr(checks.without_password(url)), kw_only=True
    )
    workers: int = field(default=8, validator=checks.whole, kw_only=True)
    timeout: tuple[float, float] = field(
        default=(10.0, 60.0), converter=checks.pair, validator=checks.two_durations, kw_only=True
    )
    attempts: int = field(default=5, validator=checks.whole, kw_only=True)
    backoff_cap: float = field(default=30.0, validator=checks.seconds, kw_only=True)
    retry_budget: float = field(default=180.0, validator=checks.seconds, kw_only=True)
    deadline: float | None = field(default=None, validator=checks.perhaps_seconds, kw_only=True)
    max_body: int = field(default=2**30, validator=checks.whole, kw_only=True)
    ca_bundle: Path | None = field(default=None, converter=checks.bundle, kw_only=True)
    cache_dir: Path | None = field(default=None, converter=checks.folder, kw_only=True)
    tz: str = field(default="UTC", converter=checks.zone, kw_only=True)
    intraday: bool = field(default=False, validator=checks.switch, kw_only=True)
    aliases: dict[str, str] = field(factory=dict, converter=checks.aliases, kw_only=True)
    wire_format: str = field(default="json", validator=checks.wire_format, kw_only=True)
    progress: Progress = field(default="auto", validator=checks.progress, kw_only=True)

    def __attrs_post_init__(self) -> None:
        beyond = self.limiter == "off" or self.per_second > 8 or self.per_minute > 480
        if beyond and not (is_loopback(self.analytics_url) and is_loopback(self.reference_url)):
            raise ConfigError(
                f"limiter={checks.without_password(self.limiter)!r}, per_second={self.per_second}, "
                f"per_minute={self.per_minute}: the API allows a key 8 requests a second and 480 a minute; more, or "
                "no limiter, is only for a sandbox"
            )

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The limits that every attempt keeps to, narrowest window first; none with ``limiter="off"``."""
        if self.limiter == "off":
            return ()
        asked = [Rate(-(-self.per_second // 2), 0.5), Rate(self.per_second, 1.0), Rate(self.per_minute, 60.0)]
        return _tightest(asked)

    def require_key(self) -> Secret:
        """The key, or a ``ConfigError`` that says the ways to give one."""
        if self.api_key is None:
            raise ConfigError(
                "no API key. Give it in one of four ways: trayport.configure(api_key=...) or "
                "Client(api_key=...); the environment variable TRAYPORT_API_KEY, or TRAYPORT_API_KEY_FILE with "
                f'the path of a file that holds it; a line  api_key = "..."  in {settings_file()}; or, with the '
                "extra trayport[keyring], the system's keyring: keyring set trayport api_key. Without "
                "a key, `trayport sandbox` and trayport.testing.sandboxed() serve simulated data"
            )
        return self.api_key

    @classmethod
    def load(cls, api_key: str | None = None, *, profile: str | None = None, **settings: Any) -> Config:
        """A ``Config`` of what is given here, then of the environment, then of the settings file.

        The environment has ``TRAYPORT_API_KEY``, ``TRAYPORT_API_KEY_FILE`` (a path) and one
        ``TRAYPORT_<SETTING>`` for each other setting. The file is TOML: settings at its top, and a table
        ``[profiles.<name>]`` for each ``profile``, which ``TRAYPORT_PROFILE`` names too. A key that is in none of them
        is looked for in the system's keyring, where the extra ``keyring`` is installed: service ``trayport``, user
        name ``api_key`` or the profile's name.

        Raises ``ConfigError`` for an unknown setting or profile, a value out of its bounds, an unreadable file, a
        file with the key that others than its owner can read, or a settings file that others can change.
        """
        names = tuple(attribute.name for attribute in fields(cls))
        given = {name: value for name, value in {"api_key": api_key, **settings}.items() if value is not None}
        check_names(given, names, "argument")
        profile = profile or os.environ.get("TRAYPORT_PROFILE") or None
        found = {**from_file(names, profile), **from_environment(names, given), **given}
        if found.get("api_key") is None:
            found["api_key"] = from_keyring(profile)
        return cls(**found)

    def replace(self, **settings: Any) -> Config:
        """This ``Config`` with other values for some of its settings."""
        check_names(settings, tuple(attribute.name for attribute in fields(type(self))), "argument")
        return evolve(self, **settings)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {attribute.name: getattr(self, attribute.name) for attribute in fields(type(self))}
        del values["api_key"]
        return _unpickled, (values,)

    def __copy__(self) -> Config:
        return self  # as Secret: only what leaves the process goes without the key

    def __deepcopy__(self, _: object) -> Config:
        return self


def _unpickled(values: dict[str, Any]) -> Config:
    """A pickled ``Config`` where it arrives: its own settings, and the key that is known there."""
    return Config(Config.load().api_key, **values)


def _tightest(rates: list[Rate]) -> tuple[Rate, ...]:
    """Only the rates that bind: a wider window must allow more in all, but less per second."""
    kept: list[Rate] = []
    for rate in rates:
        while kept and kept[-1].count >= rate.count:
            kept.pop()
        if not kept or rate.count / rate.seconds <= kept[-1].count / kept[-1].seconds:
            kept.append(rate)
    return tuple(kept)
