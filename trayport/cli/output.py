"""The output of commands: CSV on the standard output, or a file, which is written whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from .. import files

__all__ = ["row_count", "table", "write"]


def write(frame: pd.DataFrame, path: Path | None, *, to: Path | None = None) -> None:
    """Write a frame as CSV to the standard output, or to a file whose suffix gives the format.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    path : Path, default None
        The file whose suffix gives the format. None writes to the standard output.
    to : Path, default ``path``
        The file to write instead.
    """
    if path is None:
        frame.to_csv(sys.stdout, index=not isinstance(frame.index, pd.RangeIndex), lineterminator="\n")
    else:
        files.write([frame], to or path, path.suffix)


def table(rows: Iterable[tuple[str, object]]) -> str:
    """Return names and values as two aligned columns."""
    pairs = [(name, str(value)) for name, value in rows]
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{name:{width}}  {value}" for name, value in pairs)


def row_count(frame: pd.DataFrame) -> str:
    """Return the number of rows with its noun."""
    return "1 row" if len(frame) == 1 else f"{len(frame):,} rows"
