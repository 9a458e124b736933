"""Atomic replacement of files: write a temporary file, flush it to the disk, rename it to its final name.

An exception, a killed process or a power cut leaves the old content or the new content, never a mixture of both. The
temporary file is in the same folder, because a rename is atomic only within one file system.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["move", "remove_folder", "temporary_file", "write_bytes"]

# Seconds to repeat a rename that Windows refuses. A virus scanner or an indexer has a new file open for some
# milliseconds, and Windows does not replace a file that is open.
_RENAME_PATIENCE = 1.0 if os.name == "nt" else 0.0


@contextmanager
def temporary_file(target: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Create an empty file to write the new content of ``target`` to, and delete it at the end.

    Call ``move`` to replace ``target`` with it; without that call, ``target`` does not change.

    Parameters
    ----------
    target : Path
        The file to replace later; it need not exist, its folder must. For a symbolic link, the temporary file is
        beside the file that the link refers to, which may be on another disk.
    mode : int, default 0o666
        Permission bits of a new file, less the process's umask. An existing ``target`` keeps its own bits.

    Yields
    ------
    Path
        The temporary file, named ``.<name>.<8 hex digits>.tmp``. The leading dot keeps it out of patterns such as
        ``*.csv``.

    Raises
    ------
    OSError
        The file cannot be created, for example because its folder does not exist.
    """
    real = target.resolve()
    path = real.with_name(f".{real.name}.{secrets.token_hex(4)}.tmp")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        if real.exists():
            shutil.copymode(real, path)
        yield path
    finally:
        path.unlink(missing_ok=True)


def move(source: Path, target: Path, *, durable: bool = True) -> None:
    """Rename ``source`` to ``target`` and replace the file there, if any.

    Parameters
    ----------
    source : Path
        A complete, closed file in the folder of ``target``.
    target : Path
        The final name. For a symbolic link, the file that it refers to is replaced and the link stays.
    durable : bool, default True
        Flush the content of ``source`` to the disk first (fsync, 2 to 20 ms on a solid-state disk). Without it, a
        power cut may leave an empty or incomplete file; a killed process does not. Switch it off only for content
        that is cheap to lose and that its reader checks.

    Raises
    ------
    PermissionError
        On Windows, if another program has ``target`` open and does not close it within a second.
    OSError
        The file cannot be flushed or renamed. ``target`` is unchanged then, and ``source`` is still there.
    """
    if durable:
        with source.open("rb+") as file:
            os.fsync(file.fileno())
    deadline = time.monotonic() + _RENAME_PATIENCE
    while True:
        try:
            os.replace(source, target.resolve())
            return
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def write_bytes(target: Path, content: bytes, *, durable: bool = True, mode: int = 0o666) -> None:
    """Replace the content of ``target``, or create it; see ``temporary_file`` and ``move`` for the parameters."""
    with temporary_file(target, mode=mode) as path:
        path.write_bytes(content)
        move(path, target, durable=durable)


def remove_folder(folder: Path) -> None:
    """Rename ``folder`` and delete it under its new name.

    Another process that opens the folder meanwhile finds either all of it or none of it, and can create it anew.
    Files that cannot be deleted stay in ``<folder>.<8 hex digits>.removed``.

    Raises
    ------
    OSError
        The folder cannot be renamed, for example because Windows has one of its files open. It is unchanged
        then.
    """
    renamed = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.removed")
    folder.rename(renamed)
    shutil.rmtree(renamed, ignore_errors=True)
