"""Validators of the settings, and converters from the other forms in which a setting may be given."""

from __future__ import annotations

import ipaddress
import os
import zoneinfo
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import Attribute

from ..errors import ConfigError

Progress: TypeAlias = bool | Literal["auto"]


def refusal(name: str, value: object, rule: str, *, setting: str | None = None) -> ConfigError:
    """Return the error for a value that breaks a rule; ``name`` is the setting's, or a variable's for ``setting``."""
    return ConfigError(f"{name}={value!r}: {rule}", settings=(setting or name,))


# --- validators ------------------------------------------------------------------------------------------------------


def positive_integer(_: object, setting: Attribute[int], value: object) -> None:
    """Accept an integer from 1 up."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise refusal(setting.name, value, "must be a whole number from 1 up")


def seconds(_: object, setting: Attribute[float], value: object) -> None:
    """Accept a positive, finite number."""
    if not _is_duration(value):
        raise refusal(setting.name, value, "must be a positive number of seconds")


def seconds_or_none(_: object, setting: Attribute[float | None], value: object) -> None:
    """Accept a positive, finite number, or None."""
    if value is not None and not _is_duration(value):
        raise refusal(setting.name, value, "must be a positive number of seconds, or None for no limit")


def two_durations(_: object, setting: Attribute[tuple[float, float]], value: tuple[float, float]) -> None:
    """Accept two positive, finite numbers."""
    if not all(map(_is_duration, value)):
        raise refusal(setting.name, value, "must be two positive numbers of seconds, to connect and to read")


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def boolean(_: object, setting: Attribute[bool], value: object) -> None:
    """Accept True or False."""
    if not isinstance(value, bool):
        raise refusal(setting.name, value, "must be True or False")


def progress(_: object, setting: Attribute[Progress], value: object) -> None:
    """Accept True, False or ``"auto"``."""
    if value != "auto" and not isinstance(value, bool):
        raise refusal(setting.name, value, "must be True, False or 'auto'")


def wire_format(_: object, setting: Attribute[str], value: object) -> None:
    """Accept ``"json"`` or ``"csv"``."""
    if value not in ("json", "csv"):
        raise refusal(setting.name, value, "must be 'json' or 'csv'")


def limiter(_: object, setting: Attribute[str], value: object) -> None:
    """Accept the name of a limiter, or the URL of a Redis."""
    if value in ("file", "memory", "off"):
        return
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        is_redis = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_redis = False
    if not is_redis:
        rule = "must be 'file', 'memory', 'redis://host:6379/0' or 'off'"
        raise refusal(setting.name, without_password(value), rule)


def without_password(value: object) -> object:
    """Return a setting that is, or should be, a URL, with ``***`` for its user and password."""
    if not isinstance(value, str):
        return value
    head, at, tail = value.partition("?")[0].rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at else tail


def url(_: object, setting: Attribute[str], value: object) -> None:
    """Accept an ``https`` URL, or an ``http`` one on this machine."""
    if not isinstance(value, str) or "@" in value or "?" in value or "#" in value:
        # The value is left out, since it may hold a password.
        raise ConfigError(f"{setting.name}: must be a URL without user, query and fragment", settings=(setting.name,))
    try:
        parts = urlsplit(value)
        usable = parts.hostname and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise refusal(setting.name, value, "must be a URL such as 'https://analytics.trayport.com/api'")
    if parts.scheme == "http" and not is_loopback(value):
        raise refusal(setting.name, value, "must begin with https://, since http would send the key unencrypted")


@cache  # each request asks for the few URLs of the settings
def is_loopback(url: str) -> bool:
    """Return True if a URL is one of this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- converters ------------------------------------------------------------------------------------------------------


def to_url(value: str) -> str:
    """Return the URL without spaces around it and without a slash at its end."""
    return value.strip().rstrip("/") if isinstance(value, str) else value


def to_timeout(value: Sequence[float]) -> tuple[float, float]:
    """Return the two numbers as a tuple."""
    try:
        connect, read = value
    except (TypeError, ValueError):
        raise refusal("timeout", value, "must be two numbers of seconds, to connect and to read") from None
    return connect, read


def to_zone_name(value: str | zoneinfo.ZoneInfo) -> str:
    """Return the name of a time zone."""
    try:
        return zoneinfo.ZoneInfo(value.key if isinstance(value, zoneinfo.ZoneInfo) else value).key
    except (TypeError, ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise refusal("tz", value, "must name a time zone, such as 'UTC' or 'Europe/Amsterdam'") from None


def to_cache_dir(value: str | os.PathLike[str] | None) -> Path | None:
    """Return the path of a folder."""
    return _path("cache_dir", value, "must be a folder")


def to_ca_bundle(value: str | os.PathLike[str] | None) -> Path | None:
    """Return the path of a file or folder of certificates."""
    return _path("ca_bundle", value, "must be a file of certificates, or a folder of them")


def _path(name: str, value: str | os.PathLike[str] | None, rule: str) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise refusal(name, value, rule)
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise refusal(name, value, "names a user that this machine does not know") from None


def to_aliases(value: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the mapping."""
    good = isinstance(value, Mapping) and all(
        isinstance(text, str) and text.strip("* ") for pair in value.items() for text in pair
    )
    if not good:
        raise refusal("aliases", value, "must map names to product names, such as {'TTF': 'TTF Hi Cal 51.6*'}")
    return dict(value)
