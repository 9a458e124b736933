"""The system's own keyring, where the extra ``keyring`` is installed: the last place that a key is looked for in."""

from __future__ import annotations

import importlib.util
import sys
import warnings

from .._console import in_notebook
from ..errors import TrayportWarning

__all__ = ["SERVICE", "from_keyring"]

SERVICE = "trayport"
# What answers without ever asking anybody: for jobs, where nobody would see the question.
_SILENT = frozenset({"keyring.backends.Windows", "keyring.backends.null", "keyring.backends.fail"})


def from_keyring(profile: str | None) -> str | None:
    """The key that ``keyring set trayport api_key`` stored, or a profile's own, by its name; None if there is none.

    Most keyrings may ask for a password or for leave, so that they are asked only where somebody can answer: in a
    terminal or a notebook. Elsewhere only those that never ask, such as Windows' Credential Manager.
    """
    if importlib.util.find_spec("keyring") is None:
        return None
    try:
        import keyring

        if not (_somebody_is_there() or type(keyring.get_keyring()).__module__ in _SILENT):
            return None
        names = [profile, "api_key"] if profile else ["api_key"]
        return next((key for name in names if (key := keyring.get_password(SERVICE, name))), None)
    except Exception as error:
        if type(error).__name__ != "NoKeyringError":  # a system without one
            # Only its kind: what a backend says may hold anything.
            warnings.warn(
                f"the system's keyring could not be asked for a key ({type(error).__name__}); going on without",
                TrayportWarning,
                stacklevel=2,
            )
        return None


def _somebody_is_there() -> bool:
    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        return True
    return in_notebook()
