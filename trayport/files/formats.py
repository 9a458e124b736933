"""One writer for each file format; it writes frames one after another, and the first frame defines the columns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from attrs import define, field

from ..errors import ConfigError, QueryError
from .tables import arrow_schema, arrow_table, check_columns, with_index_column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SUFFIXES", "WRITERS", "Writer", "import_openpyxl"]

# Rows of a sheet of Excel, its titles included.
_SHEET_ROWS = 1_048_576
# Rows at the beginning that represent the others.
_SAMPLE_ROWS = 2**14
_TIME_FORMAT = "yyyy-mm-dd hh:mm:ss.000"


class Writer(Protocol):
    """Writes frames one after another."""

    rows: int
    """The number of rows written so far."""

    def write(self, frame: pd.DataFrame) -> None:
        """Append a frame."""

    def close(self) -> None:
        """Finish the file; further calls have no effect."""


@define(eq=False)
class _ArrowWriter:
    """Parquet and Feather, by pyarrow's writers."""

    _writer: Any
    _schema: pa.Schema
    _file: IO[bytes]
    rows: int = field(default=0, init=False)

    @classmethod
    def parquet(cls, path: Path, first: pd.DataFrame) -> _ArrowWriter:
        from pyarrow import parquet

        schema, repeated = arrow_schema(first), _repeated_columns(first)
        file = path.open("wb")  # opened last: the calls above may raise, and would leave it open
        writer = parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=repeated or False)
        return cls(writer, schema, file)

    @classmethod
    def feather(cls, path: Path, first: pd.DataFrame) -> _ArrowWriter:
        import pyarrow as pa

        schema, file = arrow_schema(first), path.open("wb")
        return cls(pa.ipc.new_file(file, schema), schema, file)

    def write(self, frame: pd.DataFrame) -> None:
        self._writer.write_table(arrow_table(frame, self._schema))
        self.rows += len(frame)

    def close(self) -> None:
        if not self._file.closed:
            with closing(self._file):
                self._writer.close()


def _repeated_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns whose values repeat; a dictionary of ids or times would make the file larger."""
    sample = with_index_column(frame.head(_SAMPLE_ROWS))
    return [str(name) for name, column in sample.items() if _has_repeats(column)]


def _has_repeats(column: pd.Series[Any]) -> bool:
    try:
        return bool(column.nunique() <= len(column) // 2)
    except Exception:  # cells such as lists cannot be compared; each dtype raises an error of its own
        return True


@define(eq=False)
class _TextWriter:
    """CSV and JSON lines."""

    _file: IO[str]
    _names: list[str]
    _write_rows: Callable[[pd.DataFrame, IO[str], bool], None]
    """Writes rows, after a header if the flag is True."""
    rows: int = field(default=0, init=False)
    _has_header: bool = field(default=False, init=False)

    @classmethod
    def csv(cls, path: Path, first: pd.DataFrame) -> _TextWriter:
        names = list(with_index_column(first).columns)
        return cls(path.open("w", encoding="utf-8", newline=""), names, _write_csv)

    @classmethod
    def json(cls, path: Path, first: pd.DataFrame) -> _TextWriter:
        names = list(with_index_column(first).columns)
        return cls(path.open("w", encoding="utf-8", newline=""), names, _write_json)

    def write(self, frame: pd.DataFrame) -> None:
        rows = with_index_column(frame)
        check_columns(self._names, rows.columns)
        self._write_rows(rows, self._file, not self._has_header)
        self._has_header = True
        self.rows += len(frame)

    def close(self) -> None:
        self._file.close()


def _write_csv(rows: pd.DataFrame, file: IO[str], header: bool) -> None:
    rows.to_csv(file, index=False, header=header, lineterminator="\n")


def _write_json(rows: pd.DataFrame, file: IO[str], _: bool) -> None:
    import msgspec  # pandas rounds numbers to 15 digits

    _refuse_infinity(rows, "JSON")
    columns = [_json_cells(rows[name]) for name in rows.columns]
    objects = [dict(zip(rows.columns, cells, strict=True)) for cells in zip(*columns, strict=True)]
    file.write(msgspec.json.Encoder().encode_lines(objects).decode())


def _refuse_infinity(rows: pd.DataFrame, format_name: str) -> None:
    """Raise ``QueryError`` for infinity, which would be read again as a gap."""
    for name, column in rows.items():
        if column.dtype.kind == "f" and np.isinf(column.to_numpy(np.float64, na_value=np.nan)).any():
            raise QueryError(
                f"{format_name} cannot hold infinity, and column {name} does", "write to a .parquet or a .csv file"
            )


def _json_cells(column: pd.Series[Any]) -> list[Any]:
    """Return cells for JSON: times and durations in ISO 8601 with all of their digits, and None for a gap."""
    gaps = column.isna()
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind in "mM":
        column = column.astype(object).map(lambda time: time.isoformat(), na_action="ignore")
    return [None if gap else cell for cell, gap in zip(column.tolist(), gaps, strict=True)]


@define(eq=False)
class _ExcelWriter:
    """Excel, row by row."""

    _path: Path
    _names: list[str]
    _book: Any
    _sheet: Any
    rows: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    @classmethod
    def excel(cls, path: Path, first: pd.DataFrame) -> _ExcelWriter:
        rows, book = with_index_column(first), import_openpyxl().Workbook(write_only=True)
        sheet = book.create_sheet("trayport")
        sheet.freeze_panes = "B2"
        sheet.append([_title(rows[name]) for name in rows.columns])
        return cls(path, list(rows.columns), book, sheet)

    def write(self, frame: pd.DataFrame) -> None:
        rows = with_index_column(frame)
        check_columns(self._names, rows.columns)
        self.rows += len(rows)
        if self.rows >= _SHEET_ROWS:
            raise QueryError(
                f"a sheet of Excel holds at most {_SHEET_ROWS - 1:,} rows", "write to a .parquet or a .csv file"
            )
        _refuse_infinity(rows, "Excel")
        for cells in zip(*(self._cells(rows[name]) for name in rows.columns), strict=True):
            self._sheet.append(cells)

    def _cells(self, column: pd.Series[Any]) -> list[Any]:
        from openpyxl.cell import WriteOnlyCell

        has_times = isinstance(column.dtype, pd.DatetimeTZDtype)
        if has_times:
            column = column.dt.tz_localize(None).dt.floor("ms").astype("datetime64[us]")
        cells = []
        for value, gap in zip(column.tolist(), column.isna(), strict=True):
            cell = WriteOnlyCell(self._sheet, None if gap else value)
            if isinstance(value, str):
                cell.data_type = "s"  # otherwise text that begins with = would be a formula
            elif has_times:
                cell.number_format = _TIME_FORMAT
            cells.append(cell)
        return cells

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with closing(self._book):
                self._book.save(self._path)


def _title(column: pd.Series[Any]) -> str:
    zone = getattr(column.dtype, "tz", None)
    return f"{column.name} ({zone})" if zone else str(column.name)


def import_openpyxl() -> Any:
    """Return the package that writes Excel files; raise ``ConfigError`` if it is not installed."""
    try:
        import openpyxl
    except ImportError:
        raise ConfigError(
            "Excel files need openpyxl, which is not installed", "pip install 'trayport[excel]'"
        ) from None
    return openpyxl


WRITERS: dict[str, Callable[[Path, pd.DataFrame], Writer]] = {
    ".parquet": _ArrowWriter.parquet,
    ".csv": _TextWriter.csv,
    ".jsonl": _TextWriter.json,
    ".ndjson": _TextWriter.json,
    ".feather": _ArrowWriter.feather,
    ".arrow": _ArrowWriter.feather,
    ".xlsx": _ExcelWriter.excel,
}
"""The writers by the suffix of the file."""
SUFFIXES = tuple(WRITERS)
