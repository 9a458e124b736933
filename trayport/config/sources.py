"""The sources of settings that are not given as arguments: the environment and the settings file."""

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
    """Raise ``ConfigError`` for a key of ``values`` that is no setting."""
    for name in values:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ConfigError(f"{source} {name!r} is no setting", f"{hint}the settings are {', '.join(names)}")


# --- the environment -------------------------------------------------------------------------------------------------

_PREFIX = "TRAYPORT_"


def from_environment(names: tuple[str, ...], given: Collection[str]) -> dict[str, Any]:
    """Return the settings in the environment; a file with the key is read only if no other source has one."""
    variables = {_PREFIX + name.upper(): name for name in names}
    _warn_of_misspelt_variables((*variables, "TRAYPORT_API_KEY_FILE", "TRAYPORT_PROFILE"))
    found: dict[str, Any] = {}
    for variable, name in variables.items():
        if text := os.environ.get(variable):
            try:
                found[name] = _PARSERS.get(name, str)(text.strip())
            except ValueError:
                rule = f"cannot be read as {name}: a number is expected"
                raise checks.refusal(variable, text, rule, setting=name) from None
    path = os.environ.get("TRAYPORT_API_KEY_FILE")
    if path and "api_key" not in (*found, *given):
        file = Path(os.path.expanduser(path))
        found["api_key"] = _read(file, "TRAYPORT_API_KEY_FILE").strip()
        permissions.refuse_if_read_by_others(file, "TRAYPORT_API_KEY_FILE:")
    return found


_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _boolean(text: str) -> bool | str:
    return _BOOLEANS.get(text.lower(), text)


def _mapping(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    return {name.strip(): product.strip() for name, _, product in pairs}


# Parsers of a variable's text; the settings that are not listed are texts.
_PARSERS: dict[str, Callable[[str], Any]] = {
    "per_second": int,
    "per_minute": int,
    "workers": int,
    "attempts": int,
    "backoff_cap": float,
    "retry_budget": float,
    "deadline": float,
    "max_body": int,
    "timeout": lambda text: tuple(float(part) for part in text.split(",")),
    "intraday": _boolean,
    "progress": _boolean,
    "aliases": _mapping,
}


def _warn_of_misspelt_variables(known: tuple[str, ...]) -> None:
    """Warn of each variable that is nearly ours; one that is less similar may be another program's."""
    for variable in os.environ:
        if variable.startswith(_PREFIX) and variable not in known:
            close = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
            if close:
                warnings.warn(
                    TrayportWarning(f"the environment variable {variable} is no setting", f"did you mean {close[0]}?"),
                    stacklevel=2,
                )


# --- the settings file -----------------------------------------------------------------------------------------------


def settings_file() -> Path:
    """Return the path of the settings file, in the folder where the system keeps a user's settings."""
    import platformdirs  # here, since `import trayport` does not need it

    return platformdirs.user_config_path("trayport", appauthor=False, roaming=sys.platform == "win32") / "config.toml"


def from_file(names: tuple[str, ...], profile: str | None) -> dict[str, Any]:
    """Return the settings in the settings file, with those of a profile before those at its top."""
    path = settings_file()
    table = _parsed(path)
    profiles = table.pop("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise ConfigError(f"{path}: profiles must be tables", "begin each with a line such as [profiles.desk]")
    if any("api_key" in each for each in (table, *profiles.values())):
        permissions.refuse_if_read_by_others(path, "the settings file")
    elif table or profiles:
        permissions.refuse_if_changed_by_others(path, "the settings file")
    if profile is not None:
        if profile not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise ConfigError(f"profile {profile!r} is not in {path}", f"the profiles there are: {known}")
        table = {**table, **profiles[profile]}
    check_names(table, names, f"{path}:")
    return table


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            return {}
    except OSError as error:  # a service whose HOME is the folder of another user
        warnings.warn(
            TrayportWarning(
                f"the settings file {path} cannot be read ({error.strerror}), and is left out",
                "set HOME to a folder that this user can read, or XDG_CONFIG_HOME",
            ),
            stacklevel=2,
        )
        return {}
    import tomllib  # here, since most users have no such file

    try:
        return tomllib.loads(_read(path, "the settings file"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}", "correct it, or delete it") from None


# --- for `doctor` ----------------------------------------------------------------------------------------------------


def key_source(key: str) -> str | None:
    """Return the name of the source that holds this key, or None; the keyring is not asked.

    Raises
    ------
    ConfigError
        One of the files cannot be read.
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


def environment_variables() -> list[str]:
    """Return the names of our environment variables that are set, without their values."""
    return sorted(name for name, value in os.environ.items() if name.startswith(_PREFIX) and value)


def _read(path: Path, source: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors begin a file with a BOM
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{source} cannot be read from {path}: {reason}") from None
