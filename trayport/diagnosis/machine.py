"""What this machine brings along: versions, settings, the key, and the folders that are written to."""

from __future__ import annotations

import os
import platform
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from .._version import __version__
from ..config import (
    Config,
    belongs_to_another_user,
    environment_variables,
    is_open_to_others,
    key_source,
    owner_only_command,
    settings_file,
)
from ..errors import ConfigError, TrayportError, TrayportWarning
from ..limits import limits_folder
from ..refdata import Cache
from .checks import Check

__all__ = ["folders", "heard", "key", "settings", "versions"]

T = TypeVar("T")

_PACKAGES = ("pandas", "requests", "urllib3", "brotli")
_EXTRAS = ("matplotlib", "openpyxl", "polars", "prometheus-client", "truststore", "keyring", "redis")
# What stands in examples, ours too, where the key is to be.
_PLACEHOLDER = re.compile(
    r"[.*x]+|<.*>|(your|my|the)?[-_ ]?(trayport)?[-_ ]?(api[-_ ]?)?key([-_ ]?here)?|changeme", re.I
)

_NO_KEY = (
    "set TRAYPORT_API_KEY to yours, or give it in another way that help(trayport.Config.load) tells; without one, "
    "`trayport sandbox` serves simulated data"
)


def heard(act: Callable[[], T]) -> tuple[T, list[str]]:
    """What ``act`` answers, and what it warned of, which nobody else hears."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answer = act()
    ours = [str(each.message) for each in told if issubclass(each.category, TrayportWarning)]
    return answer, ours


def versions() -> Check:
    """What is installed, as somebody who is asked for help wants to know it."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    found = [f"trayport {__version__}", f"Python {platform.python_version()}", system, *map(_version, _PACKAGES)]
    return Check("versions", "note", ", ".join([*found, *map(_version, _EXTRAS)]))


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"no {package}"


# --- settings and key ------------------------------------------------------------------------------------------------


def settings(load: Callable[[], Config]) -> tuple[Check, Config | None]:
    """Can they be read, and who may change them? The key is a setting, too: one of no use is its own line."""
    try:
        config, told = heard(load)
    except TrayportError as error:
        return _unusable(error), None
    file = settings_file()
    there = "" if os.path.exists(file) else " (there is none)"
    found = f"usable; in the environment: {', '.join(environment_variables()) or 'none'}; settings file: {file}{there}"
    if told:
        what, _, advice = told[0].partition("; ")
        return Check("settings", "warning", what, advice), config
    if os.path.isdir(file.parent) and is_open_to_others(file.parent, write_only=True):
        why = f"others can change {file.parent}, where the settings file says where the key is sent"
        return Check("settings", "warning", why, f"run: {owner_only_command(file.parent)}"), config
    return Check("settings", "ok", found), config


def _unusable(error: TrayportError) -> Check:
    if not isinstance(error, ConfigError):  # the client itself is of no use
        what, _, advice = str(error).partition("; ")
        return Check("settings", "failure", what, advice)
    name = "key" if str(error).startswith("api_key") else "settings"
    what, run, command = str(error).partition("; run: ")
    if run:
        return Check(name, "failure", what, f"run: {command}")
    named = [each for each in environment_variables() if each.removeprefix("TRAYPORT_").lower() in what.lower()]
    where = ", ".join(named) or f"{settings_file()} or in your code"
    return Check(name, "failure", what, f"correct it in {where}")


def key(config: Config) -> Check:
    """Is there one, from where, and does it look like one?"""
    if config.api_key is None:
        return Check("key", "failure", "no API key", _NO_KEY)
    text, place = config.api_key.reveal(), None
    with suppress(ConfigError):  # a place that cannot be read is not where it came from
        place = heard(lambda: key_source(text))[0]
    found = f"given in {place}" if place else "given in code, or by the keyring"
    if text[0] in "'\"`" or text[-1] in "'\"`":
        return Check("key", "failure", f"{found}, with quotes around it", "take the quotes away where it is set")
    if _PLACEHOLDER.fullmatch(text):
        what = f"{found}, but it is what stands in an example for a key"
        return Check("key", "failure", what, "put the key there that Trayport gave you")
    return Check("key", "ok", found)


# --- folders ---------------------------------------------------------------------------------------------------------


def folders(config: Config) -> Iterator[Check]:
    """Those that are written to: exist they or can be made, are they writable, and closed to others?"""
    own = "set cache_dir (TRAYPORT_CACHE_DIR) to a folder of your own; until then reference data are kept in memory"
    yield _folder("cache", Cache(config.cache_dir).folder, own)
    if config.limiter == "file":
        half = "let it be one of your own that can be written; until then each process has half the limit for itself"
        yield _folder("limit folder", limits_folder(), half)


def _folder(name: str, folder: Path, otherwise: str) -> Check:
    try:
        there = os.path.exists(folder)
        if there and belongs_to_another_user(folder):
            return Check(name, "warning", f"{folder} belongs to another user", otherwise)
        _try_to_write(folder if there else _nearest(folder))
        if there and is_open_to_others(folder):
            return Check(name, "warning", f"{folder} is open to others", f"run: {owner_only_command(folder)}")
    except OSError as error:
        verb = "written" if os.path.exists(folder) else "made"
        return Check(name, "warning", f"{folder} cannot be {verb}: {error.strerror or error}", otherwise)
    return Check(name, "ok", f"{folder}{'' if there else ' will be made when it is needed'}")


def _nearest(folder: Path) -> Path:
    """The folder that exists, of those in which this one would be made."""
    return next(parent for parent in folder.parents if os.path.exists(parent))


def _try_to_write(folder: Path) -> None:
    """Nothing else tells for sure: Windows and network drives know rights that no bit shows."""
    trial = folder / f".trayport-{token_hex(4)}.tmp"
    handle = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(handle)
    trial.unlink()
