"""One writer for each kind of file: frames go in one after another, and the first one says what the columns are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from attrs import define, field

from ..errors import ConfigError, QueryError
from .convert import check, flat, schema, table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SUFFIXES", "WRITERS", "Writer", "openpyxl"]

# What a sheet of Excel holds, its head included.
_SHEET = 1_048_576
# Rows that show what the others are like.
_ENOUGH = 2**14
_TIME = "yyyy-mm-dd hh:mm:ss.000"


class Writer(Protocol):
    """Writes frames one after another."""

    rows: int
    """How many were written."""

    def write(self, frame: pd.DataFrame) -> None: ...
    def close(self) -> None:
        """Finish the file; more than once does no harm."""


@define(eq=False)
class _Columns:
    """Parquet and Feather, by pyarrow's writers."""

    _writer: Any
    _layout: pa.Schema
    _file: IO[bytes]
    rows: int = field(default=0, init=False)

    @classmethod
    def parquet(cls, path: Path, first: pd.DataFrame) -> _Columns:
        from pyarrow import parquet

        layout, repeated = schema(first), _repeated(first)
        file = path.open("wb")  # what may be refused first, or it would stay open
        writer = parquet.ParquetWriter(file, layout, compression="zstd", use_dictionary=repeated or False)
        return cls(writer, layout, file)

    @classmethod
    def feather(cls, path: Path, first: pd.DataFrame) -> _Columns:
        import pyarrow as pa

        layout, file = schema(first), path.open("wb")
        return cls(pa.ipc.new_file(file, layout), layout, file)

    def write(self, frame: pd.DataFrame) -> None:
        self._writer.write_table(table(frame, self._layout))
        self.rows += len(frame)

    def close(self) -> None:
        if not self._file.closed:
            with closing(self._file):
                self._writer.close()


def _repeated(frame: pd.DataFrame) -> list[str]:
    """The columns whose values are worth a dictionary; one of ids and times makes the file larger, and takes memory."""
    return [str(name) for name, column in flat(frame.head(_ENOUGH)).items() if _is_repeated(column)]


def _is_repeated(column: pd.Series[Any]) -> bool:
    try:
        return bool(column.nunique() <= len(column) // 2)
    except (
        Exception
    ):  # cells that cannot be compared, such as lists: pyarrow and objects have each an error of their own
        return True


@define(eq=False)
class _Lines:
    """CSV and JSON lines."""

    _file: IO[str]
    _names: list[str]
    _told: Callable[[pd.DataFrame, IO[str], bool], None]
    """Writes rows, with a head before the first."""
    rows: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)

    @classmethod
    def csv(cls, path: Path, first: pd.DataFrame) -> _Lines:
        names = list(flat(first).columns)
        return cls(path.open("w", encoding="utf-8", newline=""), names, _csv)

    @classmethod
    def json(cls, path: Path, first: pd.DataFrame) -> _Lines:
        names = list(flat(first).columns)
        return cls(path.open("w", encoding="utf-8", newline=""), names, _json)

    def write(self, frame: pd.DataFrame) -> None:
        rows = flat(frame)
        check(self._names, rows.columns)
        self._told(rows, self._file, not self._begun)
        self._begun = True
        self.rows += len(frame)

    def close(self) -> None:
        self._file.close()


def _csv(rows: pd.DataFrame, file: IO[str], head: bool) -> None:
    rows.to_csv(file, index=False, header=head, lineterminator="\n")


def _json(rows: pd.DataFrame, file: IO[str], _: bool) -> None:
    """Not by pandas, which rounds numbers to fifteen digits."""
    import msgspec

    _refuse_infinity(rows, "JSON")
    columns = [_plain(rows[name]) for name in rows.columns]
    objects = [dict(zip(rows.columns, cells, strict=True)) for cells in zip(*columns, strict=True)]
    file.write(msgspec.json.Encoder().encode_lines(objects).decode())


def _refuse_infinity(rows: pd.DataFrame, who: str) -> None:
    """It would come back as a gap."""
    for name, column in rows.items():
        if column.dtype.kind == "f" and np.isinf(column.to_numpy(np.float64, na_value=np.nan)).any():
            raise QueryError(f"{who} knows no infinity, and {name} holds one: write to a .parquet or a .csv")


def _plain(column: pd.Series[Any]) -> list[Any]:
    """Cells that JSON knows: times and durations in ISO 8601 with all of their digits, and null for a gap."""
    gaps = column.isna()
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind in "mM":
        column = column.astype(object).map(lambda moment: moment.isoformat(), na_action="ignore")
    return [None if gap else cell for cell, gap in zip(column.tolist(), gaps, strict=True)]


@define(eq=False)
class _Sheet:
    """Excel, a row at a time."""

    _path: Path
    _names: list[str]
    _book: Any
    _sheet: Any
    rows: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    @classmethod
    def of(cls, path: Path, first: pd.DataFrame) -> _Sheet:
        rows, book = flat(first), openpyxl().Workbook(write_only=True)
        sheet = book.create_sheet("trayport")
        sheet.freeze_panes = "B2"
        sheet.append([_head(rows[name]) for name in rows.columns])
        return cls(path, list(rows.columns), book, sheet)

    def write(self, frame: pd.DataFrame) -> None:
        rows = flat(frame)
        check(self._names, rows.columns)
        self.rows += len(rows)
        if self.rows >= _SHEET:
            raise QueryError(f"a sheet of Excel holds {_SHEET - 1:,} rows: write to a .parquet or a .csv")
        _refuse_infinity(rows, "Excel")
        for cells in zip(*(self._cells(rows[name]) for name in rows.columns), strict=True):
            self._sheet.append(cells)

    def _cells(self, column: pd.Series[Any]) -> list[Any]:
        from openpyxl.cell import WriteOnlyCell

        timed = isinstance(column.dtype, pd.DatetimeTZDtype)
        if timed:
            column = column.dt.tz_localize(None).dt.floor("ms").astype("datetime64[us]")
        cells = []
        for value, gap in zip(column.tolist(), column.isna(), strict=True):
            cell = WriteOnlyCell(self._sheet, None if gap else value)
            if isinstance(value, str):
                cell.data_type = "s"  # a name that begins with = is no formula
            elif timed:
                cell.number_format = _TIME
            cells.append(cell)
        return cells

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with closing(self._book):
                self._book.save(self._path)


def _head(column: pd.Series[Any]) -> str:
    zone = getattr(column.dtype, "tz", None)
    return f"{column.name} ({zone})" if zone else str(column.name)


def openpyxl() -> Any:
    """The package that writes Excel's files, or a ``ConfigError`` that says how to get it."""
    try:
        import openpyxl
    except ImportError:
        raise ConfigError("Excel files need openpyxl: pip install 'trayport[excel]'") from None
    return openpyxl


WRITERS: dict[str, Callable[[Path, pd.DataFrame], Writer]] = {
    ".parquet": _Columns.parquet,
    ".csv": _Lines.csv,
    ".jsonl": _Lines.json,
    ".ndjson": _Lines.json,
    ".feather": _Columns.feather,
    ".arrow": _Columns.feather,
    ".xlsx": _Sheet.of,
}
"""By the suffix of the file."""
SUFFIXES = tuple(WRITERS)
