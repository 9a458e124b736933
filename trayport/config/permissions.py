"""Permissions of files: those with a key must be closed to other users, and folders are made for their owner."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import stat
import sys
from pathlib import Path

from ..errors import ConfigError

__all__ = [
    "belongs_to_another_user",
    "is_open_to_others",
    "private_folder",
    "refuse_if_changed_by_others",
    "refuse_if_read_by_others",
    "owner_only_command",
]

_READ = stat.S_IRGRP | stat.S_IROTH
_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ALL = stat.S_IRWXG | stat.S_IRWXO


def private_folder(folder: Path) -> Path:
    """Return ``folder``, which is made for its owner alone if it does not exist.

    On Windows, ``mkdir`` with this mode writes an access list for the owner from Python 3.11.10 and 3.12.4 on, and the
    folders of a profile are closed to other users by inheritance in any case.

    Raises
    ------
    PermissionError
        The folder belongs to another user.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if belongs_to_another_user(folder):
            raise PermissionError(0, "it belongs to another user") from None
        if os.name == "posix" and _has(folder, _ALL):
            folder.chmod(0o700)
    return folder


def belongs_to_another_user(path: Path) -> bool:
    """Return True if another user owns the file or folder; on Windows only its access list matters."""
    return os.name == "posix" and path.stat().st_uid != os.getuid()


def is_open_to_others(path: Path, *, write_only: bool = False) -> bool:
    """Return True if other users can change a file or folder, or, without ``write_only``, read it."""
    if os.name == "nt":
        return is_open_list(_access_list(path), write_only=write_only)
    return _has(path, _WRITE if write_only else _ALL if path.is_dir() else _READ | _WRITE)


def refuse_if_read_by_others(path: Path, label: str) -> None:
    """Raise ``ConfigError`` if other users can read or change a file with a key."""
    if is_open_to_others(path):
        raise ConfigError(
            f"{label} {path} holds a key, and others than its owner can read it", f"run: {owner_only_command(path)}"
        )


def refuse_if_changed_by_others(path: Path, label: str) -> None:
    """Raise ``ConfigError`` if other users can change a file that decides where the key is sent."""
    if is_open_to_others(path, write_only=True):
        raise ConfigError(
            f"{label} {path} decides where the key is sent, and others than its owner can change it",
            f"run: {owner_only_command(path)}",
        )


def _has(path: Path, bits: int) -> bool:
    return bool(path.stat().st_mode & bits)


def owner_only_command(path: Path) -> str:
    """Return the command that closes a file or a folder to all but its owner."""
    is_folder = path.is_dir()
    if os.name == "nt":  # without a variable for the user, so that it runs in cmd and in PowerShell
        return f'icacls "{path}" /inheritance:r /grant:r "{getpass.getuser()}:{"(OI)(CI)" if is_folder else ""}F"'
    return f"chmod {'700' if is_folder else '600'} {shlex.quote(str(path))}"


# --- Windows ---------------------------------------------------------------------------------------------------------
#
# On Windows the mode of a file means nothing; its access list decides. A file in a user's own folders is open to the
# user, SYSTEM and Administrators, and administrators can read every file. A file is therefore refused only if its list
# opens it to a group: everyone, all that log in, all users of the machine or of the domain, guests. Single users in
# the list are taken to be there on purpose.

_GROUPS = frozenset({"WD", "AN", "AU", "BU", "BG", "DU", "DG", "IU", "NU", "S-1-1-0", "S-1-5-11", "S-1-5-32-545"})
"""Trustees by their abbreviations in SDDL, and by the few identifiers that may be written out."""
_ACE = re.compile(r"\((?P<kind>[A-Z]+);(?P<flags>[A-Z]*);(?P<rights>[^;)]*);[^;)]*;[^;)]*;(?P<trustee>[^;)]*)")
_READING, _WRITING = 0x1 | 0x8000_0000 | 0x1000_0000, 0x2 | 0x4 | 0x4000_0000 | 0x1000_0000 | 0xC_0000
_RIGHTS = {"FA": _READING | _WRITING, "GA": _READING | _WRITING, "FR": 0x1, "GR": 0x1, "FW": 0x2, "GW": 0x2,
           "CC": 0x1, "DC": 0x2, "LC": 0x4, "WD": 0x4_0000, "WO": 0x8_0000}  # fmt: skip


def is_open_list(sddl: str, *, write_only: bool) -> bool:
    """Return True if an access list, as SDDL, opens a file to a group; an empty list is unknown, and not open."""
    wanted = _WRITING if write_only else _READING | _WRITING
    listed = sddl.partition("D:")[2]
    if listed.startswith("NO_ACCESS_CONTROL"):
        return True  # without a list, Windows allows everything to everyone
    return any(
        ace["kind"] == "A" and "IO" not in ace["flags"] and ace["trustee"] in _GROUPS and _mask(ace["rights"]) & wanted
        for ace in _ACE.finditer(listed)
    )


def _mask(rights: str) -> int:
    if rights.startswith("0x"):
        return int(rights, 16)
    mask = 0
    for start in range(0, len(rights), 2):
        mask |= _RIGHTS.get(rights[start : start + 2], 0)
    return mask


def _access_list(path: Path) -> str:
    """Return the access list of a file as SDDL, or "" if Windows has none, as on some drives."""
    text = ""
    if sys.platform == "win32":
        import ctypes

        security, local = ctypes.WinDLL("advapi32"), ctypes.WinDLL("kernel32")
        local.LocalFree.argtypes = [ctypes.c_void_p]
        descriptor, found = ctypes.c_void_p(), ctypes.c_void_p()
        file_object, access_list, revision = 1, 4, 1
        security.GetNamedSecurityInfoW(
            ctypes.c_wchar_p(str(path)), file_object, access_list, None, None, None, None, ctypes.byref(descriptor)
        )
        if descriptor.value and security.ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor, revision, access_list, ctypes.byref(found), None
        ):
            text = ctypes.wstring_at(found.value or 0)
        local.LocalFree(found)
        local.LocalFree(descriptor)
    return text
