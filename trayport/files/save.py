"""A file that is whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from ..errors import Interrupted, PartialDataError, QueryError
from .writers import SUFFIXES, WRITERS, Writer, openpyxl

__all__ = ["check_path", "partial", "save", "write"]


def save(frames: pd.DataFrame | Iterable[pd.DataFrame], path: str | os.PathLike[str]) -> int:
    """Write a frame, or the pieces of a stream one after another, to a file; answers with the number of rows.

    The suffix says how: ``.parquet`` (zstd), ``.csv``, ``.jsonl`` or ``.ndjson`` (an object a line), ``.feather`` or
    ``.arrow`` (not packed, so that it opens memory-mapped), ``.xlsx``. All but Excel, which has neither, keep exact
    nanoseconds and the zone of times: there they are the zone's wall clock to the millisecond, and the zone stands in
    the head of the column. Of a stream one piece at a time is in memory.

    What stood at ``path`` is replaced at the end, by the whole answer; until then, and if anything fails, it stays.
    Where a stream breaks off, what came before is kept in ``<path>.partial``, the error says so, and its ``resume()``
    gives the pieces that are missing.

    Parameters
    ----------
    frames
        A frame, or frames with the same columns, such as ``tp.stream.trades(...)``.
    path
        The file to write; its folder has to be there.

    Raises ``QueryError`` for a suffix that is none of these, a folder that is not there, frames with different columns,
    no frame at all, and more rows than a sheet of Excel holds.

    >>> import trayport as tp
    >>> tp.save(tp.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-07"), "ttf.parquet")
    863
    """
    target = Path(path)
    check_path(target)
    return write([frames] if isinstance(frames, pd.DataFrame) else frames, target, target.suffix)


def write(frames: Iterable[pd.DataFrame], target: Path, suffix: str) -> int:
    """Write ``frames`` to ``target`` in the way of ``suffix``, as ``save`` does."""
    writer: Writer | None = None
    with _finished(target) as unfinished:
        try:
            for frame in frames:
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


def check_path(path: Path) -> None:
    """Refuse a file that cannot be written before anything is asked."""
    if path.suffix.lower() not in SUFFIXES:
        raise QueryError(f"path {str(path)!r}: the suffix is to be one of {', '.join(SUFFIXES)}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise QueryError(f"path {str(path)!r}: there is no folder {str(folder)!r}")
    if path.suffix.lower() == ".xlsx":
        openpyxl()
    unfinished = _beside(path)
    try:
        unfinished.touch()
        unfinished.unlink()
        if path.exists():
            path.open("r+b").close()
    except OSError as error:
        raise QueryError(f"path {str(path)!r} cannot be written: {error.strerror}") from None


def partial(path: Path) -> Path:
    """Where a part of what was to be at ``path`` is kept, under a name that no pattern such as ``*.csv`` fits."""
    return path.with_name(f"{path.name}.partial")


def _beside(path: Path) -> Path:
    """A name in the same folder, since a file can be renamed within one disk only."""
    real = path.resolve()
    return real.with_name(f".{real.name}.{secrets.token_hex(4)}.tmp")


@contextmanager
def _finished(target: Path) -> Iterator[Path]:
    """A file to write to, which takes the place of ``target`` if nothing fails."""
    unfinished = _beside(target)
    try:
        yield unfinished
        _put(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _put(unfinished: Path, target: Path) -> None:
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())  # a name that outlives a power cut is to have its content
    os.replace(unfinished, target.resolve())
