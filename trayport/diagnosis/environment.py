"""Checks of the environment: versions, settings, the key and the folders that are written to."""

from __future__ import annotations

import os
import platform
import re
import warnings
from collections.abc import Callable, Sequence
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

__all__ = ["cache", "key", "limit_folder", "settings", "unusable_settings", "versions", "with_warnings"]

T = TypeVar("T")

_PACKAGES = ("pandas", "requests", "urllib3", "brotli")
_EXTRAS = ("matplotlib", "openpyxl", "polars", "prometheus-client", "truststore", "keyring", "redis")
# The placeholders for a key in examples, ours included.
_PLACEHOLDER = re.compile(
    r"[.*x]+|<.*>|(your|my|the)?[-_ ]?(trayport)?[-_ ]?(api[-_ ]?)?key([-_ ]?here)?|changeme", re.I
)


def with_warnings(function: Callable[[], T]) -> tuple[T, list[TrayportWarning]]:
    """Return the result of a function and our warnings in it, which are not shown."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function()
    return result, [each.message for each in caught if isinstance(each.message, TrayportWarning)]


def versions() -> Check:
    """List the installed versions, which a request for help needs."""
    found = [f"trayport {__version__}", f"Python {platform.python_version()}"]
    found.append(f"{platform.system()} {platform.release()} {platform.machine()}")
    for package in (*_PACKAGES, *_EXTRAS):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {package}")
    return Check("versions", "note", ", ".join(found))


def settings(warned: Sequence[TrayportWarning]) -> Check:
    """Check the warnings of the settings, and that other users cannot change the settings file."""
    file = settings_file()
    if warned:
        return Check("settings", "warning", warned[0].problem, warned[0].remedy)
    if os.path.isdir(file.parent) and is_open_to_others(file.parent, write_only=True):
        finding = f"other users can change {file.parent}, whose settings file decides where the key is sent"
        return Check("settings", "warning", finding, f"run: {owner_only_command(file.parent)}")
    variables = ", ".join(environment_variables()) or "none"
    absent = "" if os.path.exists(file) else " (does not exist)"
    return Check("settings", "ok", f"usable; environment variables: {variables}; settings file: {file}{absent}")


def unusable_settings(error: TrayportError) -> Check:
    """Return the failure of the settings, or of the key if the error is about the key alone."""
    about = error.settings if isinstance(error, ConfigError) else ()
    variables = {f"TRAYPORT_{name.upper()}" for name in about} & set(environment_variables())
    source = ", ".join(sorted(variables)) or f"{settings_file()} or in your code"
    return Check(
        "key" if about == ("api_key",) else "settings",
        "failure",
        error.problem,
        error.remedy or f"correct it in {source}",
    )


def key(config: Config) -> Check:
    """Check that there is a key, and that it has no quotes and is no placeholder."""
    if config.api_key is None:
        return Check(
            "key",
            "failure",
            "no API key",
            "set TRAYPORT_API_KEY to your key, or give it in another way: see help(trayport.Config.load); without a "
            "key, `trayport sandbox` serves simulated data",
        )
    text, source = config.api_key.reveal(), None
    with suppress(ConfigError):  # a file that cannot be read is not the source
        source, _ = with_warnings(lambda: key_source(text))
    finding = f"from {source or 'code, or the keyring'}"
    if text[0] in "'\"`" or text[-1] in "'\"`":
        return Check("key", "failure", f"{finding}; it is in quotes", "remove the quotes")
    if _PLACEHOLDER.fullmatch(text):
        return Check("key", "failure", f"{finding}; it is a placeholder", "replace it by the key from Trayport")
    return Check("key", "ok", finding)


def cache(config: Config) -> Check:
    """Check the folder of the cached reference data."""
    remedy = "set cache_dir (TRAYPORT_CACHE_DIR) to a folder of your own; until then reference data stay in memory"
    return _folder("cache", Cache(config.cache_dir).folder, remedy)


def limit_folder() -> Check:
    """Check the folder of the shared rate-limit states."""
    remedy = "make it a folder of your own that can be written to; until then each process uses half the rate limit"
    return _folder("limit folder", limits_folder(), remedy)


def _folder(name: str, folder: Path, remedy: str) -> Check:
    """Check that a folder can be written to, or created, and is closed to other users."""
    exists = False
    try:
        exists = os.path.exists(folder)
        if exists and belongs_to_another_user(folder):
            return Check(name, "warning", f"{folder} belongs to another user", remedy)
        # Only an attempt shows whether it can be written to: Windows and network drives have rights beside the mode.
        target = next(each for each in (folder, *folder.parents) if os.path.exists(each))
        file = target / f".trayport-{token_hex(4)}.tmp"
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        file.unlink()
        if exists and is_open_to_others(folder):
            return Check(name, "warning", f"{folder} is open to other users", f"run: {owner_only_command(folder)}")
    except OSError as error:
        verb = "written to" if exists else "created"
        return Check(name, "warning", f"{folder} cannot be {verb}: {error.strerror or error}", remedy)
    return Check(name, "ok", str(folder) if exists else f"{folder} does not exist yet, and can be created")
