"""Reference data on disk, shared by a user's processes: JSON text only, in a folder that only its owner reads."""

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
from contextlib import AbstractContextManager, closing
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen

from .._atomic import remove_folder
from ..config import private_folder
from ..errors import TrayportWarning

__all__ = ["Cache", "Kept"]

T = TypeVar("T")

# A change of what is stored gets a folder of its own, so that two versions of the package never meet in one.
_LAYOUT = "refdata-1"
# Seconds to wait for another process's write.
_PATIENCE = 2.0


@frozen
class Kept:
    """A document from the cache and the moment, in seconds since 1970, at which it was stored."""

    document: Any
    stored: float


@define(eq=False)
class Cache:
    """A mapping of names to JSON documents, on disk while the disk is willing.

    Whatever goes wrong there costs one warning and the memory of this process from then on; it never stops the
    work. ``directory=None`` means the user's cache folder. Each access opens the cache and closes it, so that no
    handle outlives it: forks, threads and the deletion of folders on Windows need no care then.
    """

    directory: Path | None = None
    clock: Callable[[], float] = time.time
    _memory: dict[str, Kept] = field(factory=dict, init=False, repr=False)
    _on_disk: bool = field(default=True, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def get(self, name: str) -> Kept | None:
        """What was stored under ``name``; None if nothing was, or nothing that can be read."""
        text = self._try(lambda disk: disk.get(name))
        if text is None:
            return self._memory.get(name)
        try:
            kept = json.loads(text)
            return Kept(kept["document"], float(kept["stored"]))
        except (ValueError, KeyError, TypeError):
            self._give_up("holds something that it did not store", remove=True)
            return None

    def set(self, name: str, document: Any) -> Kept:
        """Store ``document``, which JSON can say, under ``name``."""
        kept = Kept(document, self.clock())
        text = json.dumps({"stored": kept.stored, "document": document})
        if self._try(lambda disk: disk.set(name, text)) is None:
            self._memory[name] = kept
        return kept

    def names(self) -> list[str]:
        """Every name that something is stored under."""
        return [*(self._try(list) or ()), *self._memory]

    def drop(self, name: str) -> None:
        """Forget what was stored under ``name``."""
        self._memory.pop(name, None)
        self._try(lambda disk: disk.delete(name))

    def clear(self) -> None:
        """Forget everything."""
        self._memory.clear()
        self._try(lambda disk: disk.clear())

    def _try(self, act: Callable[[Any], T]) -> T | None:
        """``act`` on the open cache; None, and memory from now on, if the disk will not have it."""
        if not self._on_disk:
            return None
        try:
            with self._open() as disk:
                return act(disk)
        except (sqlite3.OperationalError, OSError) as error:  # locked, read-only, full
            # "SQL error": the tables are none of diskcache's.
            foreign = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
            self._give_up(str(getattr(error, "strerror", None) or error), remove=foreign)
        except Exception as error:  # not a database, or one that holds what we never put there
            if type(error).__name__ == "Timeout":  # diskcache's own, for a lock that was not given
                self._give_up("another process holds it")
            else:
                self._give_up(str(error), remove=True)
        return None

    def _open(self) -> AbstractContextManager[Any]:
        import diskcache  # only where reference data are first needed

        folder = str(self.folder)
        if os.path.expandvars(os.path.expanduser(folder)) != folder:  # as diskcache will do, and go elsewhere
            raise OSError(0, "its path must hold no variables, such as $NAME or %NAME%")
        _probe(private_folder(self.folder))
        opened: AbstractContextManager[Any] = diskcache.Cache(
            folder, disk=_disk(), timeout=_PATIENCE, eviction_policy="none"
        )
        return opened

    @property
    def folder(self) -> Path:
        """Where this cache lives."""
        if self.directory is not None:
            return self.directory / _LAYOUT
        import platformdirs

        return platformdirs.user_cache_path("trayport", appauthor=False) / _LAYOUT

    def _give_up(self, reason: str, *, remove: bool = False) -> None:
        with self._lock:
            if not self._on_disk:
                return
            self._on_disk = False
        remedy = "set Config.cache_dir (or TRAYPORT_CACHE_DIR) to a folder of your own"
        if remove:
            gone = _thrown_away(self.folder)
            remedy = "it has been thrown away, and the next process begins a new one" if gone else "delete it by hand"
        warnings.warn(
            f"the cache of reference data in {self.folder} cannot be used: {reason}; {remedy}. "
            "This process keeps them in memory",
            TrayportWarning,
            stacklevel=2,
        )


class _Refused(Exception):
    """The cache holds, or was given, something other than text."""


@lru_cache(maxsize=1)
def _disk() -> type:
    """A diskcache ``Disk`` for text alone.

    The published 5.6.3 unpickles what it reads, with ``JSONDisk`` too (CVE-2025-69872): whoever can write into
    the folder could run code here. So neither keys nor values are ever pickled or unpickled.
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
            super().remove(_inside(file_path))

        def store(self, value: Any, read: Any, key: Any = None) -> Any:
            return super().store(_text(value), False, key)

        def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
            if mode not in (MODE_RAW, MODE_TEXT):
                raise _Refused("a value is pickled")
            return _text(super().fetch(mode, filename and _inside(filename), value, False))

    return TextDisk


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Refused(f"it holds a {type(value).__name__} instead of text")
    return value


def _inside(filename: Any) -> str:
    """A value's file as diskcache names them: two folders deep, and nowhere else."""
    name = _text(filename)
    if not re.fullmatch(r"[0-9a-f]{2}[\\/][0-9a-f]{2}[\\/][0-9a-f]{28}\.val", name):
        raise _Refused("a value lies outside of it")
    return name


def _thrown_away(folder: Path) -> bool:
    """Move a damaged cache aside and delete it, so that a process that begins meanwhile finds a clean place."""
    with warnings.catch_warnings():
        # A connection that diskcache did not close, as its constructor failed, keeps files from being moved on Windows.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    try:
        remove_folder(folder)
    except OSError:
        return False
    return True


def _probe(folder: Path) -> None:
    """Wait for another process's write for a moment only: diskcache, when it opens, waits a minute."""
    with closing(sqlite3.connect(folder / "cache.db", timeout=_PATIENCE)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.rollback()
