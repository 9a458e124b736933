"""Where settings come from when nobody gives them: the environment, and the settings file."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, TrayportWarning
from . import checks, permissions


def check_names(values: Mapping[str, Any], names: tuple[str, ...], source: str) -> None:
    for name in values:
        if name not in names:
            raise ConfigError(f"{source} {name!r} is no setting{_nearest(name, names)}")


def _nearest(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"; {hint}the settings are {', '.join(names)}"


# --- the environment -----------------------------------------------------------------------------------------

_PREFIX = "TRAYPORT_"


def from_environment(names: tuple[str, ...], given: Collection[str]) -> dict[str, Any]:
    """What the environment says; a file with the key is opened only where nobody has given one."""
    variables = {_PREFIX + name.upper(): name for name in names}
    _warn_of_slips(tuple(variables))
    found: dict[str, Any] = {}
    for variable, name in variables.items():
        if text := os.environ.get(variable):
            found[name] = _read_text(variable, name, text)
    path = os.environ.get("TRAYPORT_API_KEY_FILE")
    if path and "api_key" not in (*found, *given):
        file = Path(os.path.expanduser(path))
        found["api_key"] = _read(file, "TRAYPORT_API_KEY_FILE").strip()
        permissions.refuse_if_read_by_others(file, "TRAYPORT_API_KEY_FILE:")
    return found


_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _word(text: str) -> bool | str:
    return _SWITCH.get(text.lower(), text)


def _mapping(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    return {name.strip(): product.strip() for name, _, product in pairs}


# How a variable's text becomes a setting; the others are text already.
_READERS: dict[str, Callable[[str], Any]] = {
    "per_second": int,
    "per_minute": int,
    "workers": int,
    "attempts": int,
    "backoff_cap": float,
    "retry_budget": float,
    "deadline": float,
    "max_body": int,
    "timeout": lambda text: tuple(float(part) for part in text.split(",")),
    "intraday": _word,
    "progress": _word,
    "aliases": _mapping,
}


def _read_text(variable: str, name: str, text: str) -> Any:
    try:
        return _READERS.get(name, str)(text.strip())
    except ValueError:
        raise checks.refuse(variable, text, f"cannot be read as {name}: a number is expected") from None


def _warn_of_slips(known: tuple[str, ...]) -> None:
    """A misspelt variable would be silent otherwise; other programs' own names are left alone."""
    others = (*known, "TRAYPORT_API_KEY_FILE", "TRAYPORT_PROFILE")
    for variable in os.environ:
        if variable.startswith(_PREFIX) and variable not in others:
            close = difflib.get_close_matches(variable, others, n=1, cutoff=0.85)
            if close:
                warnings.warn(
                    f"the environment variable {variable} is no setting; did you mean {close[0]}?",
                    TrayportWarning,
                    stacklevel=2,
                )


# --- the settings file ---------------------------------------------------------------------------------------


def settings_file() -> Path:
    """The settings file: where each system keeps a user's settings."""
    import platformdirs  # only where somebody asks for it

    return platformdirs.user_config_path("trayport", appauthor=False, roaming=sys.platform == "win32") / "config.toml"


def from_file(names: tuple[str, ...], profile: str | None) -> dict[str, Any]:
    path = settings_file()
    table = _parsed(path)
    profiles = table.pop("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise ConfigError(f"{path}: profiles must be tables, such as [profiles.desk]")
    if any("api_key" in each for each in (table, *profiles.values())):
        permissions.refuse_if_read_by_others(path, "the settings file")
    elif table or profiles:
        permissions.refuse_if_changed_by_others(path, "the settings file")
    if profile is not None:
        if profile not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise ConfigError(f"profile {profile!r} is not in {path}; it has {known}")
        table = {**table, **profiles[profile]}
    check_names(table, names, f"{path}:")
    return table


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            return {}
    except OSError as error:  # a service whose HOME is somebody else's
        warnings.warn(f"{path} cannot be looked at ({error.strerror}); going on without", TrayportWarning, stacklevel=2)
        return {}
    import tomllib  # only where there is a file

    try:
        return tomllib.loads(_read(path, "the settings file"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


# --- looked at again -----------------------------------------------------------------------------------------


def origin(key: str) -> str | None:
    """Which place holds this key, of those that can be looked into without asking anybody; None if none of them does.

    Raises ``ConfigError`` if one of them cannot be read.
    """
    if os.environ.get("TRAYPORT_API_KEY", "").strip() == key:
        return "TRAYPORT_API_KEY"
    named = os.environ.get("TRAYPORT_API_KEY_FILE")
    if named and _read(Path(os.path.expanduser(named)), "TRAYPORT_API_KEY_FILE").strip() == key:
        return f"{named}, which TRAYPORT_API_KEY_FILE names"
    table = _parsed(settings_file())
    profiles = table.get("profiles", {})
    known = {"": table, **(profiles if isinstance(profiles, dict) else {})}
    for name, each in known.items():
        if isinstance(each, dict) and str(each.get("api_key", "")).strip() == key:
            return f"the settings file{f', profile {name}' if name else ''}"
    return None


def variables() -> list[str]:
    """The names of our variables that are set, without a word of their values."""
    return sorted(name for name, value in os.environ.items() if name.startswith(_PREFIX) and value)


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors begin a file with a BOM
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{what} cannot be read from {path}: {reason}") from None
