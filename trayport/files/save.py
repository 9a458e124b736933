"""A file that is whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from ..errors import Interrupted, PartialDataError, QueryError, TrayportError
from .writers import SUFFIXES, WRITERS, Writer, openpyxl

__all__ = ["check_path", "partial", "save", "write"]


def save(frames: pd.DataFrame | Iterable[pd.DataFrame], path: str | os.PathLike[str]) -> int:
    """Write a frame, or the pieces of a stream one after another, to a file; answers with the number of rows.

    The suffix says how: ``.parquet`` (zstd), ``.csv``, ``.jsonl`` or ``.ndjson`` (an object a line), ``.feather`` or
    ``.arrow`` (not packed, so that it opens memory-mapped), ``.xlsx``. All but Excel, which has neither, keep exact
    nanoseconds and the zone of times: there they are the zone's wall clock to the millisecond, and the zone stands in
    the head of the column. Of a stream one frame at a time is in memory.

    What stood at ``path`` is replaced at the end, by the whole answer; until then, and if anything fails, it stays.
    Where a stream breaks off, what came before is kept in ``<path>.partial``, the error says so, and its ``resume()``
    gives the pieces that are missing. Where ``path`` cannot be replaced, since another program has it open, all of it
    is there.

    Parameters
    ----------
    frames
        A frame, or frames with the same columns, such as ``tp.stream.trades(...)``.
    path
        The file to write; its folder has to be there.

    Raises ``QueryError`` for a suffix that is none of these, a folder that is not there, frames with different columns,
    no frame at all, what such a file cannot hold, such as infinity in JSON and Excel, and more rows than a sheet has
    room for; ``PermissionError`` for a file that cannot be replaced.

    >>> import trayport as tp
    >>> tp.save(tp.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-07"), "ttf.parquet")
    863
    """
    if not isinstance(path, str | os.PathLike):
        raise QueryError(f"path={path!r} must be the name of a file")
    if not isinstance(frames, Iterable):
        raise QueryError(f"frames={frames!r} must be a DataFrame, or some of them")
    target = Path(path)
    check_path(target)
    return write([frames] if isinstance(frames, pd.DataFrame) else frames, target, target.suffix)


def write(frames: Iterable[pd.DataFrame], target: Path, suffix: str) -> int:
    """Write ``frames`` to ``target`` in the way of ``suffix``, as ``save`` does."""
    writer: Writer | None = None
    with _finished(target) as unfinished:
        try:
            for frame in frames:
                with _told(frame, suffix):
                    writer = writer or WRITERS[suffix.lower()](unfinished, frame)
                    writer.write(frame)
        except (PartialDataError, Interrupted) as error:
            if writer is not None and writer.rows:
                writer.close()
                _put(unfinished, partial(target))
                error.add_note(f"The {writer.rows:,} rows that came before are in {partial(target)}")
            raise
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise QueryError("there is no frame to save: without one, nobody knows its columns")
    return writer.rows


@contextmanager
def _told(frame: object, suffix: str) -> Iterator[None]:
    """Say which frame cannot be in such a file, whatever the package that writes it calls that."""
    if not isinstance(frame, pd.DataFrame):
        raise QueryError(f"frames must be DataFrames, and one is of type {type(frame).__name__}")
    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise QueryError(f"columns must have names of their own, and there are several with {', '.join(twice)}")
    try:
        yield
    except (TrayportError, OSError, MemoryError):
        raise
    except Exception as error:
        raise QueryError(f"a frame with these columns or values cannot be in a {suffix} file: {error}") from error


def check_path(path: Path) -> None:
    """Refuse a file that cannot be written before anything is asked."""
    if path.suffix.lower() not in SUFFIXES:
        raise QueryError(f"path {str(path)!r}: the suffix is to be one of {', '.join(SUFFIXES)}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise QueryError(f"path {str(path)!r}: there is no folder {str(folder)!r}")
    if path.suffix.lower() == ".xlsx":
        openpyxl()
    try:
        unfinished = _beside(path)
        unfinished.touch()
        unfinished.unlink()
        if path.exists():
            path.open("r+b").close()
    except (OSError, ValueError, RuntimeError) as error:  # no name of a file has a null, or is a link to itself
        reason = error.strerror if isinstance(error, OSError) else error
        raise QueryError(f"path {str(path)!r} cannot be written: {reason}") from None


def partial(path: Path) -> Path:
    """Where a part of what was to be at ``path`` is kept, under a name that no pattern such as ``*.csv`` fits."""
    real = path.resolve() if path.is_symlink() else path  # what a link leads to may be on another disk
    return real.with_name(f"{real.name}.partial")


def _beside(path: Path) -> Path:
    """A name in the same folder, since a file can be renamed within one disk only."""
    real = path.resolve()
    return real.with_name(f".{real.name}.{secrets.token_hex(4)}.tmp")


@contextmanager
def _finished(target: Path) -> Iterator[Path]:
    """A file to write to, which takes the place of ``target`` if nothing fails."""
    unfinished = _beside(target)
    try:
        if target.exists():
            unfinished.touch()
            shutil.copymode(target, unfinished)  # what others may not read stays so
        yield unfinished
        _replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _replace(unfinished: Path, target: Path) -> None:
    """Let it be ``target``; where Windows does not allow that, since a program has that open, nothing is lost."""
    try:
        _put(unfinished, target)
    except PermissionError as error:
        _put(unfinished, partial(target))
        why = f"another program, such as Excel, may have it open; all of the new one is in {partial(target)}"
        raise PermissionError(error.errno, why, str(target)) from None


def _put(unfinished: Path, target: Path) -> None:
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())  # a name that outlives a power cut is to have its content
    os.replace(unfinished, target.resolve())
