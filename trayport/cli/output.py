"""Where a command's answer goes: CSV on the output, or a file that is whole or not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..errors import QueryError

__all__ = ["check_output", "counted", "partial", "table", "write"]


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written before anything is asked."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise QueryError(f"output {str(path)!r} is neither a .csv nor a .parquet file")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise QueryError(f"output {str(path)!r}: there is no folder {str(folder)!r}")
    try:
        _beside(path).touch()
        _beside(path).unlink()
        if path.exists():
            path.open("r+b").close()
    except OSError as error:
        raise QueryError(f"output {str(path)!r} cannot be written: {error.strerror}") from None


def write(frame: pd.DataFrame, path: Path | None, *, to: Path | None = None) -> None:
    """As CSV to the output, or to a file by ``path``'s suffix: all of it or nothing."""
    rows = isinstance(frame.index, pd.RangeIndex)
    if path is None:
        frame.to_csv(sys.stdout, index=not rows, lineterminator="\n")
        return
    unfinished = _beside(path)
    try:
        if path.suffix.lower() == ".csv":
            frame.to_csv(unfinished, index=not rows, lineterminator="\n")
        else:
            frame.to_parquet(unfinished)
        os.replace(unfinished, (to or path).resolve())
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> Path:
    """A name in the same folder, since a file can be renamed within one disk only."""
    real = path.resolve()
    return real.with_name(f".{real.name}.{os.getpid()}.tmp")


def table(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values below each other."""
    listed = [(name, str(value)) for name, value in rows]
    width = max(len(name) for name, _ in listed)
    return "\n".join(f"{name:{width}}  {value}" for name, value in listed)


def partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")  # which no pattern such as *.csv takes for one of the others


def counted(frame: pd.DataFrame) -> str:
    return "1 row" if len(frame) == 1 else f"{len(frame):,} rows"
