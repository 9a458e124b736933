"""The key from the system's keyring, where the extra ``keyring`` is installed: the last source of the key."""

from __future__ import annotations

import importlib.util
import sys
import warnings

from .._console import in_notebook
from ..errors import TrayportWarning

__all__ = ["SERVICE", "from_keyring"]

SERVICE = "trayport"
# These never open a dialog, which in an unattended job would wait for ever.
_SILENT_BACKENDS = frozenset({"keyring.backends.Windows", "keyring.backends.null", "keyring.backends.fail"})


def from_keyring(profile: str | None) -> str | None:
    """Return the key that ``keyring set trayport api_key`` stored, or the profile's own key under its name, or None.

    Most keyrings may ask the user for a password or a permission. They are used in a terminal or a notebook only;
    elsewhere, only backends that never ask, such as the Windows Credential Manager.
    """
    if importlib.util.find_spec("keyring") is None:
        return None
    try:
        import keyring

        interactive = (sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()) or in_notebook()
        if not interactive and type(keyring.get_keyring()).__module__ not in _SILENT_BACKENDS:
            return None
        names = [profile, "api_key"] if profile else ["api_key"]
        return next((key for name in names if (key := keyring.get_password(SERVICE, name))), None)
    except Exception as error:
        kind = type(error).__name__  # and no more: a backend's message may contain anything
        if kind != "NoKeyringError":  # a system without a keyring is no reason to warn
            warnings.warn(
                TrayportWarning(
                    f"the system's keyring could not be asked for a key ({kind}), and is left out",
                    "unlock the keyring, or give the key in TRAYPORT_API_KEY",
                ),
                stacklevel=2,
            )
        return None
