"""Who else may read or change files of ours: those with a key are refused, and folders are made for their owner."""

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
    """``folder``, made for its owner alone; ``PermissionError`` if it is another user's.

    On Windows, ``mkdir`` with this mode writes an access list for the owner where Python is new enough to
    (3.11.10, 3.12.4), and a profile's folders are closed to others by inheritance anyway.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _keep_private(folder)
    return folder


def _keep_private(folder: Path) -> None:
    if belongs_to_another_user(folder):
        raise PermissionError(0, "it belongs to another user")
    if os.name == "posix" and _has(folder, _ALL):
        folder.chmod(0o700)


def belongs_to_another_user(path: Path) -> bool:
    """Does it belong to another user? On Windows its access list says what that comes to."""
    return os.name == "posix" and path.stat().st_uid != os.getuid()


def is_open_to_others(path: Path, *, write_only: bool = False) -> bool:
    """May others than its owner read or change a file or a folder; or, for ``write_only``, change it?"""
    if os.name == "nt":
        return opened(_access_list(path), write_only=write_only)
    return _has(path, _WRITE if write_only else _ALL if path.is_dir() else _READ | _WRITE)


def refuse_if_read_by_others(path: Path, what: str) -> None:
    """Raise ``ConfigError`` if others than its owner may read or change a file with a key in it."""
    _refuse(path, what, False, "holds a key, and others than its owner can read it")


def refuse_if_changed_by_others(path: Path, what: str) -> None:
    """Raise ``ConfigError`` if others may change a file that says where the key is sent."""
    _refuse(path, what, True, "says where the key is sent, and others than its owner can change it")


def _refuse(path: Path, what: str, write_only: bool, why: str) -> None:
    if is_open_to_others(path, write_only=write_only):
        raise ConfigError(f"{what} {path} {why}; run: {owner_only_command(path)}")


def _has(path: Path, bits: int) -> bool:
    return bool(path.stat().st_mode & bits)


def owner_only_command(path: Path) -> str:
    """The command that leaves a file or a folder to its owner alone."""
    folder = path.is_dir()
    if os.name == "nt":  # the same in both shells, so no variable for the user
        return f'icacls "{path}" /inheritance:r /grant:r "{getpass.getuser()}:{"(OI)(CI)" if folder else ""}F"'
    return f"chmod {'700' if folder else '600'} {shlex.quote(str(path))}"


# --- Windows -------------------------------------------------------------------------------------------------
#
# There a file's mode says nothing; its access list does. A file in a user's own folders is open to the user, SYSTEM
# and Administrators, and nobody can be kept from what administrators see. So the file is refused only where the list
# opens it to a crowd: everyone, all who log in, all users of the machine or of the domain, guests. Colleagues who are
# named one by one are taken for meant.

_CROWDS = frozenset({"WD", "AN", "AU", "BU", "BG", "DU", "DG", "IU", "NU", "S-1-1-0", "S-1-5-11", "S-1-5-32-545"})
"""Trustees as SDDL abbreviates them, and the few that may be spelled out."""
_ACE = re.compile(r"\((?P<kind>[A-Z]+);(?P<flags>[A-Z]*);(?P<rights>[^;)]*);[^;)]*;[^;)]*;(?P<trustee>[^;)]*)")
_READING, _WRITING = 0x1 | 0x8000_0000 | 0x1000_0000, 0x2 | 0x4 | 0x4000_0000 | 0x1000_0000 | 0xC_0000
_RIGHTS = {"FA": _READING | _WRITING, "GA": _READING | _WRITING, "FR": 0x1, "GR": 0x1, "FW": 0x2, "GW": 0x2,
           "CC": 0x1, "DC": 0x2, "LC": 0x4, "WD": 0x4_0000, "WO": 0x8_0000}  # fmt: skip


def opened(sddl: str, write_only: bool) -> bool:
    """Does an access list, in Windows' own notation for it, open a file to a crowd? One that is empty does not tell."""
    wanted = _WRITING if write_only else _READING | _WRITING
    listed = sddl.partition("D:")[2]
    if listed.startswith("NO_ACCESS_CONTROL"):
        return True  # no list at all is leave for everybody
    return any(
        ace["kind"] == "A" and "IO" not in ace["flags"] and ace["trustee"] in _CROWDS and _mask(ace["rights"]) & wanted
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
    """The file's access list in SDDL; empty where Windows does not say, as on drives that know none."""
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
