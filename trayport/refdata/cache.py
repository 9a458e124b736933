"""Reference data on disk, shared by a user's processes: JSON text only, in a folder that only its owner can read."""

from __future__ import annotations

import gc
import json
import os
import re
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen

from .._atomic import remove_folder
from ..config import private_folder
from ..errors import TrayportWarning

__all__ = ["Cache", "CacheEntry"]

T = TypeVar("T")

# Each layout of the stored documents has its own folder, so that versions of the package never read each other's.
_LAYOUT = "refdata-1"
# Seconds to wait for a lock that another process holds.
_LOCK_TIMEOUT = 2.0


@frozen
class CacheEntry:
    """A cached document and the time at which it was stored, in seconds since 1970."""

    document: Any
    stored_at: float


@define(eq=False)
class Cache:
    """A mapping of names to JSON documents, kept on disk.

    If the disk fails, the cache warns once and keeps its documents in this process's memory from then on; it never
    raises. The database is opened at the first access. The main thread keeps its connection until ``close``; other
    threads close theirs after each access, since a connection can only be closed by its own thread and a thread may
    end at any time. Measured: 4 ms CPU to open the database, 0.7 ms to connect, 0.02 ms to read.

    Parameters
    ----------
    directory : Path, optional
        The folder; by default the user's cache folder.
    clock : callable, default ``time.time``
        Returns the present time in seconds since 1970.
    """

    directory: Path | None = None
    clock: Callable[[], float] = time.time
    _memory: dict[str, CacheEntry] = field(factory=dict, init=False, repr=False)
    _is_on_disk: bool = field(default=True, init=False)
    _disk: Any = field(default=None, init=False, repr=False)
    _opened_file: tuple[int, int] | None = field(default=None, init=False, repr=False)
    """Device and inode of the open database."""
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def get(self, name: str) -> CacheEntry | None:
        """Return the entry of this name; None if there is none, or none that can be read."""
        text = self._access(lambda disk: disk.get(name))
        if text is None:
            return self._memory.get(name)
        try:
            stored = json.loads(text)
            return CacheEntry(stored["document"], float(stored["stored"]))
        except (ValueError, KeyError, TypeError):
            self._give_up("holds something that it did not store", remove=True)
            return None

    def set(self, name: str, document: Any) -> CacheEntry:
        """Store a document of JSON values under this name, and return its entry."""
        entry = CacheEntry(document, self.clock())
        text = json.dumps({"stored": entry.stored_at, "document": document})
        if self._access(lambda disk: disk.set(name, text)) is None:
            self._memory[name] = entry
        return entry

    def names(self) -> list[str]:
        """Return the names of all entries."""
        return [*(self._access(list) or ()), *self._memory]

    def delete(self, name: str) -> None:
        """Delete the entry of this name, if there is one."""
        self._memory.pop(name, None)
        self._access(lambda disk: disk.delete(name))

    def clear(self) -> None:
        """Delete all entries."""
        self._memory.clear()
        self._access(lambda disk: disk.clear())

    def close(self) -> None:
        """Close this thread's connection; the next access connects again."""
        if self._disk is not None:  # no lock: in a forked child, a thread that no longer exists may hold it
            self._disk.close()

    def __del__(self) -> None:
        # Python 3.13 warns of a connection that is garbage-collected while it is open.
        self.close()

    @property
    def folder(self) -> Path:
        """The folder of the database."""
        if self.directory is not None:
            return self.directory / _LAYOUT
        import platformdirs

        return platformdirs.user_cache_path("trayport", appauthor=False) / _LAYOUT

    def _access(self, action: Callable[[Any], T]) -> T | None:
        """Return the result of ``action`` on the open database; None if the disk fails, from then on."""
        if not self._is_on_disk:
            return None
        try:
            disk = self._opened()
            try:
                return action(disk)
            finally:
                if threading.current_thread() is not threading.main_thread():
                    disk.close()
        except (sqlite3.OperationalError, OSError) as error:  # locked, read-only, full
            # "SQL error" means tables that are not diskcache's.
            foreign = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
            self._give_up(str(getattr(error, "strerror", None) or error), remove=foreign)
        except Exception as error:  # not a database, or one with entries that we did not store
            if type(error).__name__ == "Timeout":  # diskcache's error for a lock that it did not get
                self._give_up("it is locked by another process")
            else:
                self._give_up(str(error), remove=True)
        return None

    def _opened(self) -> Any:
        """Return the open database; open it again if its file was deleted or replaced."""
        with self._lock:
            file = _identity(self.folder / "cache.db")
            if self._disk is None or file is None or file != self._opened_file:
                self.close()
                self._disk = self._open()
                self._opened_file = _identity(self.folder / "cache.db")
            return self._disk

    def _open(self) -> Any:
        import diskcache  # 18 ms, needed only where reference data are

        folder = str(self.folder)
        if os.path.expandvars(os.path.expanduser(folder)) != folder:  # diskcache would expand it to another folder
            raise OSError(0, "its path must hold no variables, such as $NAME or %NAME%")
        # Get the write lock within our own timeout first: diskcache waits a minute for it when it opens.
        with closing(sqlite3.connect(private_folder(self.folder) / "cache.db", timeout=_LOCK_TIMEOUT)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
        return diskcache.Cache(folder, disk=_text_disk(), timeout=_LOCK_TIMEOUT, eviction_policy="none")

    def _give_up(self, reason: str, *, remove: bool = False) -> None:
        """Warn, and use the memory of this process from now on."""
        with self._lock:
            if not self._is_on_disk:
                return
            self._is_on_disk = False
            self.close()
            self._disk = None
        remedy = "set Config.cache_dir (or TRAYPORT_CACHE_DIR) to a folder of your own"
        if remove:
            removed = _remove_damaged(self.folder)
            remedy = "it has been deleted, and the next process begins a new one" if removed else "delete it by hand"
        problem = (
            f"the cache of reference data in {self.folder} cannot be used, "
            f"so this process keeps reference data in memory: {reason}"
        )
        warnings.warn(TrayportWarning(problem, remedy), stacklevel=2)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, which no other file has while this one is open; None if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class _Refused(Exception):
    """The cache holds, or was given, something other than text."""


@lru_cache(maxsize=1)
def _text_disk() -> type:
    """Return a diskcache ``Disk`` for text alone.

    diskcache 5.6.3 unpickles the values that it reads, with ``JSONDisk`` too (CVE-2025-69872), so that any program that
    can write into the folder could run code here. This class neither pickles nor unpickles keys or values.
    """
    from diskcache import Disk
    from diskcache.core import MODE_RAW, MODE_TEXT

    class TextDisk(Disk):  # type: ignore[misc]
        def put(self, key: Any) -> Any:
            return super().put(_text(key))

        def get(self, key: Any, raw: Any) -> Any:
            if not raw:
                raise _Refused("a key is pickled")
            return _text(super().get(key, raw))

        def remove(self, file_path: Any) -> None:
            super().remove(_file_inside(file_path))

        def store(self, value: Any, read: Any, key: Any = None) -> Any:
            return super().store(_text(value), False, key)

        def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
            if mode not in (MODE_RAW, MODE_TEXT):
                raise _Refused("a value is pickled")
            return _text(super().fetch(mode, filename and _file_inside(filename), value, False))

    return TextDisk


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Refused(f"it holds a {type(value).__name__} instead of text")
    return value


def _file_inside(filename: Any) -> str:
    """Return the name of a value's file as diskcache makes them, two folders deep; refuse any other."""
    name = _text(filename)
    if not re.fullmatch(r"[0-9a-f]{2}[\\/][0-9a-f]{2}[\\/][0-9a-f]{28}\.val", name):
        raise _Refused("a value is outside of its folder")
    return name


def _remove_damaged(folder: Path) -> bool:
    """Remove a damaged cache, so that a process that starts meanwhile finds no part of it."""
    with warnings.catch_warnings():
        # diskcache leaves a connection open if its constructor fails; on Windows that prevents the removal.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    try:
        remove_folder(folder)
    except OSError:
        return False
    return True
