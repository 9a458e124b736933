"""``Config``: every setting, checked when it is made.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields, frozen

from .._redact import hide
from ..errors import ConfigError
from . import checks
from .checks import Progress, is_loopback
from .keyring import from_keyring
from .sources import check_names, from_environment, from_file, settings_file

__all__ = ["Config", "Rate", "Secret"]


class Secret:
    """The API key, wrapped so that it is neither printed nor pickled.

    Parameters
    ----------
    text : str
        The key. From now on it is masked in the records of this package's loggers.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        hide(text)

    def reveal(self) -> str:
        """Return the key itself, for the one header that carries it."""
        return self._text

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the key and do not reveal it."""
        return hashlib.blake2b(self._text.encode(), digest_size=6, person=b"trayport").hexdigest()

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _none, ()

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: object) -> Secret:
        return self  # a copy stays in this process; only a pickle leaves it, and goes without the key


def _none() -> None:
    """Return None, which a pickled key becomes."""


def _to_secret(value: str | Secret | None) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        # The message leaves the value out: it may be most of a key.
        raise ConfigError("api_key: must be the key as Trayport gave it: printable, without spaces",
                          settings=("api_key",))  # fmt: skip
    return Secret(text)


@frozen
class Rate:
    """A limit of ``count`` requests in any ``seconds``.

    Parameters
    ----------
    count : int
        Maximum number of requests.
    seconds : float
        Length of the sliding window in seconds.
    """

    count: int
    seconds: float


@frozen(hash=False)
class Config:
    """Settings of a client. ``Config.load()`` reads them from the environment and the settings file, too.

    Parameters
    ----------
    api_key : str or Secret, optional
        The key from Trayport. It is never printed and never pickled: an unpickled ``Config`` looks its key up again.
    analytics_url : str, default "https://analytics.trayport.com/api"
        Base URL of the Data Analytics API: ``https``, or ``http`` on this machine.
    reference_url : str, default "https://referencedata.trayport.com"
        Base URL of the Reference Data API: ``https``, or ``http`` on this machine.
    per_second : int, default 6
        Maximum number of requests, retries included, in any second, and half of it, rounded up, in any half second.
        At most 8, the API's limit for a key (guide p. 38); more is accepted only for URLs of this machine.
    per_minute : int, default 360
        Maximum number of requests, retries included, in any minute. At most 480, the API's limit for a key (guide
        p. 38); more is accepted only for URLs of this machine.
    limiter : str, default "file"
        Scope of the rate limit: ``"file"`` is all processes of one user on one machine; ``"redis://host:6379/0"`` is
        all that use this Redis, for several machines; ``"memory"`` is all clients of this process; ``"off"`` is no
        limit, and accepted only for URLs of this machine.
    workers : int, default 8
        Maximum number of concurrent requests, and of pooled connections per host. A query of one request may use one
        extra slot during a bulk load.
    timeout : tuple of two floats, default (10.0, 60.0)
        Seconds to connect, and seconds to wait for each part of a response; ``10,60`` in the environment.
    attempts : int, default 5
        Maximum number of attempts of one request.
    backoff_cap : float, default 30.0
        Longest wait before an attempt, in seconds, unless the server asks for a longer one.
    retry_budget : float, default 180.0
        Maximum number of seconds that one request waits for its retries in all.
    deadline : float, optional
        Maximum number of seconds for a whole query, its look-ups and waits included; for a stream, the seconds spent
        waiting for its pieces. None, the default, is no limit. A query that takes longer raises ``TimedOut``; one of
        several requests raises ``PartialDataError``, and its ``resume()`` has the same number of seconds again.
    max_body : int, default 1073741824
        Maximum size of one response in bytes, once it is decompressed. From a sixteenth of it on, a response may also
        not be larger than 200 times the bytes received. Larger responses are refused, to limit memory.
    ca_bundle : str or Path, optional
        A file or a folder of trusted certificates, such as your company's. By default the file that
        ``REQUESTS_CA_BUNDLE`` names, then the operating system's store if the extra ``truststore`` is installed, then
        the certificates of certifi.
    cache_dir : str or Path, optional
        Folder of the cached reference data; by default the user's cache folder.
    tz : str or ZoneInfo, default "UTC"
        Time zone in which times without a zone are read and indexes are returned.
    intraday : bool, default False
        True if the key is entitled to the current UTC day. Decides where ``end=None`` ends, and which windows are
        accepted.
    aliases : mapping of str to str, default {}
        Short names of products, such as ``{"Power": "Germany Baseload*"}``; an alias wins over a product of that
        name. ``Power=Germany Baseload*;Carbon=EUA`` in the environment.
    wire_format : str, default "json"
        ``"json"``, or ``"csv"`` for each response that is a plain table: not for several contracts in one request,
        private fields of ``trades``, ``order_book`` and ``snapshots``. The frames are the same. JSON is safer: the
        layout of the API's CSV is not published, and this project has seen no CSV response of the live service.
    progress : bool or "auto", default "auto"
        True shows a progress bar for queries of more than one request; ``"auto"`` does in terminals and notebooks.

    Raises
    ------
    ConfigError
        A value is out of its bounds.

    Examples
    --------
    >>> Config(api_key="abc", per_second=4)
    Config(api_key='***', ..., per_second=4, ...)
    """

    api_key: Secret | None = field(default=None, converter=_to_secret)
    analytics_url: str = field(
        default="https://analytics.trayport.com/api", converter=checks.to_url, validator=checks.url, kw_only=True
    )
    reference_url: str = field(
        default="https://referencedata.trayport.com", converter=checks.to_url, validator=checks.url, kw_only=True
    )
    per_second: int = field(default=6, validator=checks.positive_integer, kw_only=True)
    per_minute: int = field(default=360, validator=checks.positive_integer, kw_only=True)
    limiter: str = field(
        default="file", validator=checks.limiter, repr=lambda url: repr(checks.without_password(url)), kw_only=True
    )
    workers: int = field(default=8, validator=checks.positive_integer, kw_only=True)
    timeout: tuple[float, float] = field(
        default=(10.0, 60.0), converter=checks.to_timeout, validator=checks.two_durations, kw_only=True
    )
    attempts: int = field(default=5, validator=checks.positive_integer, kw_only=True)
    backoff_cap: float = field(default=30.0, validator=checks.seconds, kw_only=True)
    retry_budget: float = field(default=180.0, validator=checks.seconds, kw_only=True)
    deadline: float | None = field(default=None, validator=checks.seconds_or_none, kw_only=True)
    max_body: int = field(default=2**30, validator=checks.positive_integer, kw_only=True)
    ca_bundle: Path | None = field(default=None, converter=checks.to_ca_bundle, kw_only=True)
    cache_dir: Path | None = field(default=None, converter=checks.to_cache_dir, kw_only=True)
    tz: str = field(default="UTC", converter=checks.to_zone_name, kw_only=True)
    intraday: bool = field(default=False, validator=checks.boolean, kw_only=True)
    aliases: dict[str, str] = field(factory=dict, converter=checks.to_aliases, kw_only=True)
    wire_format: str = field(default="json", validator=checks.wire_format, kw_only=True)
    progress: Progress = field(default="auto", validator=checks.progress, kw_only=True)

    def __attrs_post_init__(self) -> None:
        is_beyond = self.limiter == "off" or self.per_second > 8 or self.per_minute > 480
        if is_beyond and not (is_loopback(self.analytics_url) and is_loopback(self.reference_url)):
            raise ConfigError(
                f"limiter={checks.without_password(self.limiter)!r}, per_second={self.per_second}, "
                f"per_minute={self.per_minute}: the API allows a key 8 requests a second and 480 a minute; more, or "
                "no limiter, is only for a sandbox",
                settings=("limiter", "per_second", "per_minute"),
            )

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The limits of requests, shortest window first, without those that never bind; none if the limiter is off."""
        if self.limiter == "off":
            return ()
        rates: list[Rate] = []
        for rate in Rate(-(-self.per_second // 2), 0.5), Rate(self.per_second, 1.0), Rate(self.per_minute, 60.0):
            # A longer window binds only if it allows more requests in all, but fewer per second.
            while rates and rates[-1].count >= rate.count:
                rates.pop()
            if not rates or rate.count / rate.seconds <= rates[-1].count / rates[-1].seconds:
                rates.append(rate)
        return tuple(rates)

    def require_key(self) -> Secret:
        """Return the key.

        Returns
        -------
        Secret
            The key, which prints as ``'***'``.

        Raises
        ------
        ConfigError
            There is no key; the remedy lists the ways to give one.
        """
        if self.api_key is None:
            raise ConfigError(
                "no API key",
                "give it in one of four ways: trayport.configure(api_key=...) or Client(api_key=...); the environment "
                "variable TRAYPORT_API_KEY, or TRAYPORT_API_KEY_FILE with the path of a file that holds it; a line  "
                f'api_key = "..."  in {settings_file()}; or, with the extra trayport[keyring], the system\'s keyring: '
                "keyring set trayport api_key. Without a key, `trayport sandbox` and trayport.testing.sandboxed() "
                "serve simulated data",
                settings=("api_key",),
            )
        return self.api_key

    @classmethod
    def load(cls, api_key: str | None = None, *, profile: str | None = None, **settings: Any) -> Config:
        """Return a ``Config`` of the arguments, then of the environment, then of the settings file.

        The environment has ``TRAYPORT_API_KEY``, ``TRAYPORT_API_KEY_FILE`` (a path) and ``TRAYPORT_<SETTING>`` for
        each other setting. The file is TOML: settings at its top, and a table ``[profiles.<name>]`` for each profile.
        A key that is in none of them is looked up in the system's keyring, if the extra ``keyring`` is installed:
        service ``trayport``, user name ``api_key`` or the profile's name.

        Parameters
        ----------
        api_key : str, optional
            The key from Trayport.
        profile : str, optional
            A table of the settings file; by default the one that ``TRAYPORT_PROFILE`` names.
        **settings : Any
            Any other setting of ``Config``; None counts as not given.

        Returns
        -------
        Config

        Raises
        ------
        ConfigError
            A setting or profile is unknown, a value is out of its bounds, a file cannot be read, a file with the key
            can be read by other users, or the settings file can be changed by other users.
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
        """Return a copy with other values for some settings.

        Parameters
        ----------
        **settings : Any
            The settings to change, by name.

        Returns
        -------
        Config

        Raises
        ------
        ConfigError
            A setting is unknown, or a value is out of its bounds.
        """
        check_names(settings, tuple(attribute.name for attribute in fields(type(self))), "argument")
        return evolve(self, **settings)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {attribute.name: getattr(self, attribute.name) for attribute in fields(type(self))}
        del values["api_key"]
        return _unpickled, (values,)

    def __copy__(self) -> Config:
        return self  # as ``Secret``: a copy in this process keeps the key

    def __deepcopy__(self, _: object) -> Config:
        return self


def _unpickled(values: dict[str, Any]) -> Config:
    """Return a ``Config`` of the pickled settings and of the key that is known where it is unpickled."""
    return Config(Config.load().api_key, **values)
