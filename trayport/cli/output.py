"""Where a command's answer goes: CSV on the output, or a file that is whole or not there."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from .. import files

__all__ = ["counted", "table", "write"]


def write(frame: pd.DataFrame, path: Path | None, *, to: Path | None = None) -> None:
    """As CSV to the output, or to a file by ``path``'s suffix: all of it or nothing."""
    if path is None:
        frame.to_csv(sys.stdout, index=not isinstance(frame.index, pd.RangeIndex), lineterminator="\n")
    else:
        files.write([frame], to or path, path.suffix)


def table(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values below each other."""
    listed = [(name, str(value)) for name, value in rows]
    width = max(len(name) for name, _ in listed)
    return "\n".join(f"{name:{width}}  {value}" for name, value in listed)


def counted(frame: pd.DataFrame) -> str:
    return "1 row" if len(frame) == 1 else f"{len(frame):,} rows"
