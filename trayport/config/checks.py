"""What each setting must be, and which other ways of writing it are understood."""

from __future__ import annotations

import ipaddress
import os
import zoneinfo
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import Attribute

from ..errors import ConfigError
from .secret import Secret

Progress: TypeAlias = bool | Literal["auto"]


def refuse(name: str, value: object, rule: str) -> ConfigError:
    return ConfigError(f"{name}={value!r}: {rule}")


def whole(_: object, setting: Attribute[int], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise refuse(setting.name, value, "must be a whole number from 1 up")


def seconds(_: object, setting: Attribute[float], value: object) -> None:
    if not _is_duration(value):
        raise refuse(setting.name, value, "must be a positive number of seconds")


def perhaps_seconds(_: object, setting: Attribute[float | None], value: object) -> None:
    if value is not None and not _is_duration(value):
        raise refuse(setting.name, value, "must be a positive number of seconds, or None for no end")


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def two_durations(_: object, setting: Attribute[tuple[float, float]], value: tuple[float, float]) -> None:
    if not all(map(_is_duration, value)):
        raise refuse(setting.name, value, "must be two positive numbers of seconds, to connect and to read")


def switch(_: object, setting: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise refuse(setting.name, value, "must be True or False")


def progress(_: object, setting: Attribute[Progress], value: object) -> None:
    if value != "auto" and not isinstance(value, bool):
        raise refuse(setting.name, value, "must be True, False or 'auto'")


def limiter(_: object, setting: Attribute[str], value: object) -> None:
    if value in ("file", "memory", "off"):
        return
    if not isinstance(value, str) or not _names_redis(value):
        rule = "must be 'file', 'memory', 'redis://host:6379/0' or 'off'"
        raise refuse(setting.name, without_password(value), rule)


def _names_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def without_password(value: object) -> object:
    """What may be shown of a setting that is a URL, or should be one."""
    if not isinstance(value, str):
        return value
    head, at, tail = value.partition("?")[0].rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at else tail


def wire_format(_: object, setting: Attribute[str], value: object) -> None:
    if value not in ("json", "csv"):
        raise refuse(setting.name, value, "must be 'json' or 'csv'")


def url(_: object, setting: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or "@" in value or "?" in value or "#" in value:
        # Said without the value, which may hold a password.
        raise ConfigError(f"{setting.name}: must be a URL without user, query and fragment")
    try:
        parts = urlsplit(value)
        usable = parts.hostname and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise refuse(setting.name, value, "must be a URL such as 'https://analytics.trayport.com/api'")
    if parts.scheme == "http" and not is_loopback(value):
        raise refuse(setting.name, value, "must begin with https://, or the key would travel in the clear")


def is_loopback(url: str) -> bool:
    """Does this URL stay on this machine?"""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key(value: str | Secret | None) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        # The value is left out on purpose.
        raise ConfigError("api_key: must be the key as Trayport gave it: printable, without spaces")
    return Secret(text)


def trimmed(value: str) -> str:
    return value.strip().rstrip("/") if isinstance(value, str) else value


def pair(value: Sequence[float]) -> tuple[float, float]:
    try:
        connect, read = value
    except (TypeError, ValueError):
        raise refuse("timeout", value, "must be two numbers of seconds, to connect and to read") from None
    return connect, read


def zone(value: str | zoneinfo.ZoneInfo) -> str:
    try:
        return zoneinfo.ZoneInfo(value.key if isinstance(value, zoneinfo.ZoneInfo) else value).key
    except (TypeError, ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise refuse("tz", value, "must name a time zone, such as 'UTC' or 'Europe/Amsterdam'") from None


def folder(value: str | os.PathLike[str] | None) -> Path | None:
    return _path("cache_dir", value, "must be a folder")


def bundle(value: str | os.PathLike[str] | None) -> Path | None:
    return _path("ca_bundle", value, "must be a file of certificates, or a folder of them")


def _path(name: str, value: str | os.PathLike[str] | None, rule: str) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise refuse(name, value, rule)
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise refuse(name, value, "names a user that this machine does not know") from None


def aliases(value: Mapping[str, str]) -> dict[str, str]:
    good = isinstance(value, Mapping) and all(
        isinstance(text, str) and text.strip("* ") for pair in value.items() for text in pair
    )
    if not good:
        raise refuse("aliases", value, "must map names to product names, such as {'TTF': 'TTF Hi Cal 51.6*'}")
    return dict(value)
