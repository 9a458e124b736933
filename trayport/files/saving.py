"""A frame or a stream in a file that is replaced as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from .._atomic import move, temporary_file
from ..errors import Interrupted, PartialDataError, QueryError, TrayportError
from .formats import SUFFIXES, WRITERS, Writer, import_openpyxl

__all__ = ["check_path", "partial_path", "save", "write"]


def save(frames: pd.DataFrame | Iterable[pd.DataFrame], path: str | os.PathLike[str]) -> int:
    """Write a frame, or the frames of a stream one after another, to a file, and return the number of rows.

    The suffix selects the format: ``.parquet`` (zstd), ``.csv``, ``.jsonl`` or ``.ndjson`` (one object per line),
    ``.feather`` or ``.arrow`` (uncompressed, so that the file can be memory-mapped), ``.xlsx``. All formats but Excel
    keep exact nanoseconds and the zone of times. Excel has neither: its cells hold the wall clock of the zone to the
    millisecond, and the column's title holds the zone.

    A file at ``path`` is replaced at the end, by the complete data; until then, and if anything fails, it does not
    change. If a stream ends early, the rows before are in ``<path>.partial``, which a note of the error names, and
    ``resume()`` of the error returns the missing pieces. If another program has ``path`` open, so that it cannot be
    replaced, all of the new data is in ``<path>.partial``.

    Parameters
    ----------
    frames : DataFrame or iterable of DataFrame
        A frame, or frames with the same columns and dtypes, such as ``tp.stream.trades(...)``. One frame of a stream is
        in memory at a time.
    path : str or path-like
        The file to write; its folder must exist.

    Returns
    -------
    int
        The number of rows written.

    Raises
    ------
    QueryError
        The suffix is unknown, the folder does not exist, there is no frame, frames have different columns, or the
        format cannot hold a value: infinity in JSON and Excel, or more rows than a sheet of Excel has.
    PermissionError
        The file cannot be replaced.

    Examples
    --------
    >>> import trayport as tp
    >>> tp.save(tp.stream.trades("TTF Apr-24", "2024-02-05", "2024-02-07"), "ttf.parquet")
    863
    """
    if not isinstance(path, str | os.PathLike):
        raise QueryError(f"path={path!r} must be the name of a file")
    if not isinstance(frames, Iterable):
        raise QueryError(f"frames={frames!r} must be a DataFrame or an iterable of DataFrames")
    target = Path(path)
    check_path(target)
    return write([frames] if isinstance(frames, pd.DataFrame) else frames, target, target.suffix)


def write(frames: Iterable[pd.DataFrame], target: Path, suffix: str) -> int:
    """Write ``frames`` to ``target`` in the format of ``suffix``, as ``save`` does; return the number of rows."""
    writer: Writer | None = None
    with temporary_file(target) as unfinished:
        try:
            for frame in frames:
                with _named_errors(frame, suffix):
                    writer = writer or WRITERS[suffix.lower()](unfinished, frame)
                    writer.write(frame)
        except (PartialDataError, Interrupted) as error:
            if writer is not None and writer.rows:
                writer.close()
                move(unfinished, partial_path(target))
                error.add_note(f"The {writer.rows:,} rows before the error are in {partial_path(target)}")
            raise
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise QueryError(
                "there is no frame to save, and without a frame the columns are unknown", "pass at least one frame"
            )
        try:
            move(unfinished, target)
        except PermissionError as error:  # Windows does not replace a file that a program has open
            move(unfinished, partial_path(target))
            reason = f"another program, such as Excel, may have it open; the new data is in {partial_path(target)}"
            raise PermissionError(error.errno, reason, str(target)) from None
    return writer.rows


@contextmanager
def _named_errors(frame: object, suffix: str) -> Iterator[None]:
    """Raise ``QueryError`` for a frame that the format cannot hold, whichever error its package raises."""
    if not isinstance(frame, pd.DataFrame):
        raise QueryError(f"frames must be DataFrames, and one is of type {type(frame).__name__}")
    if not frame.columns.is_unique:
        repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise QueryError(f"column names must be unique, and there are several columns with {', '.join(repeated)}")
    try:
        yield
    except (TrayportError, OSError, MemoryError):
        raise
    except Exception as error:
        raise QueryError(f"a {suffix} file cannot hold these columns or values: {error}") from error


def check_path(path: Path) -> None:
    """Raise ``QueryError`` if the file cannot be written; called before anything is requested."""
    if path.suffix.lower() not in SUFFIXES:
        raise QueryError(f"path {str(path)!r}: the suffix must be one of {', '.join(SUFFIXES)}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise QueryError(f"path {str(path)!r}: there is no folder {str(folder)!r}", "create it")
    if path.suffix.lower() == ".xlsx":
        import_openpyxl()
    try:
        with temporary_file(path):
            if path.exists():
                path.open("r+b").close()
    except (OSError, ValueError, RuntimeError) as error:  # also a null character, and a link to itself
        reason = error.strerror if isinstance(error, OSError) else error
        raise QueryError(f"path {str(path)!r} cannot be written: {reason}") from None


def partial_path(path: Path) -> Path:
    """Return the file for a part of the data of ``path``; patterns such as ``*.csv`` do not match it."""
    real = path.resolve() if path.is_symlink() else path  # the file that a link refers to may be on another disk
    return real.with_name(f"{real.name}.partial")
