"""CSV responses, read by pyarrow.

Their layout is not published, so that columns are found by name, in any order and case. Page numbers refer to the API
guide, see docs/sources.md.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc

from ..endpoints import Column, DType
from ..errors import DecodeError, TrayportWarning
from .frames import Schema, TimeCheck
from .rows import Rows

__all__ = ["read"]

# Rows of a batch: about as many as a slice of JSON holds.
_BATCH_ROWS = 8192


def read(body: bytes, rows: Rows, check: TimeCheck) -> None:
    """Append a table to ``rows``, in its order.

    Times are ISO 8601 or integers of nanoseconds, in one format for each column. An empty cell is a gap (guide p. 8),
    in a text column, too. A column that is not in the guide is left out with a ``TrayportWarning``.

    Raises
    ------
    DecodeError
        The body is not a table, a column is missing, or a cell does not fit its column; ``path`` is the place, such as
        ``line 7, price``. Infinities, words for missing numbers and padded numbers are refused.
    """
    schema = rows.schema
    titles = _titles(body, schema)
    known = {column.wire.casefold(): column for column in schema.columns}
    wanted = {title: known[key] for key, title in titles.items() if key in known}
    table = _texts(body, list(wanted), titles, schema)
    cells = {column.name: _converted(table[title], column, schema) for title, column in wanted.items()}
    if schema.include_private:
        cells["is_private"] = pa.chunked_array([pa.repeat(True, table.num_rows)])
    for batch in pa.table(cells).to_batches(max_chunksize=_BATCH_ROWS) or [pa.record_batch({})]:
        if "timestamp" in batch.schema.names:
            check(batch["timestamp"].to_numpy())
        rows.add(dict(zip(batch.schema.names, batch.columns, strict=True)))


def _titles(body: bytes, schema: Schema) -> dict[str, str]:
    """Return the titles of the header by their lower-case form, and check that the body is a table with all columns."""
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline=""), strict=True)
    try:
        header = next(lines)
        # pyarrow accepts text after a closing quote, and a last quote that is never closed.
        for _ in lines if b'"' in body else ():
            pass
    except (csv.Error, ValueError, StopIteration) as error:
        raise DecodeError(schema.endpoint.name, "$", f"the body is not CSV: {error}") from None
    titles = {title.strip().casefold(): title for title in header}
    if len(titles) < len(header):
        raise DecodeError(schema.endpoint.name, "line 1", "two columns have the same name")
    missing = [column.wire for column in schema.endpoint.columns_of("always") if column.wire.casefold() not in titles]
    if missing and not schema.include_empty:
        raise DecodeError(schema.endpoint.name, "line 1", f"there is no column `{missing[0]}`")
    known = {column.wire.casefold() for column in schema.endpoint.columns}
    unknown = [name for name in titles if name not in known]
    if unknown:
        warnings.warn(
            f"{schema.endpoint.name}: columns that are not in the API's guide are left out: {', '.join(unknown)}",
            TrayportWarning,
            stacklevel=2,
        )
    return titles


def _texts(body: bytes, wanted: list[str], titles: dict[str, str], schema: Schema) -> pa.Table:
    """Return the wanted columns as text with gaps for empty cells."""
    from pyarrow import csv as arrow_csv  # imported late: JSON is the default

    wrong: list[arrow_csv.InvalidRow] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        wrong.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(
                body if body.endswith(b"\n") else body + b"\n"
            ),  # pyarrow refuses a header without a line end
            # With several threads pyarrow does not know the numbers of wrong rows, and is no faster.
            arrow_csv.ReadOptions(use_threads=False),
            arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=skip),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.large_string()),
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        raise DecodeError(schema.endpoint.name, "$", f"the body is not CSV: {error}") from None
    if wrong:
        detail = f"the row has {wrong[0].actual_columns} cells, the header {len(titles)}"
        raise DecodeError(schema.endpoint.name, f"line {wrong[0].number}", detail)
    return table


# --- columns -------------------------------------------------------------------------------------------------


def _converted(texts: pa.ChunkedArray, column: Column, schema: Schema) -> pa.ChunkedArray:
    """Return a column of text in the type of its cells; raise ``DecodeError`` for the first cell that does not fit."""
    convert, meaning = _CONVERTERS[column.dtype]
    if column.dtype in ("time", "int64") and texts.null_count:
        row = pc.index(pc.is_null(texts), True).as_py()
        reason = "a count is missing" if column.dtype == "int64" else "a time is missing"
    else:
        try:
            return convert(texts)
        except pa.ArrowInvalid:
            row = _first_wrong(texts, convert)
            reason = f"{texts[row].as_py()!r} is not {meaning}"
    raise DecodeError(schema.endpoint.name, f"line {row + 2}, {column.wire}", reason)


def _first_wrong(texts: pa.ChunkedArray, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> int:
    """Return the row of the first cell that cannot be converted, by halving the rows that can."""
    good, bad = 0, len(texts)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            convert(texts[:middle])
            good = middle
        except pa.ArrowInvalid:
            bad = middle
    return bad - 1


def _to_integers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    if any(pc.any(pc.match_substring(texts, sign)).as_py() for sign in "xX"):  # Arrow reads 0x10 as 16
        raise pa.ArrowInvalid("hexadecimal digits")
    return texts.cast(pa.int64())


def _to_times(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return nanoseconds since 1970, of times in one format: integers, ISO 8601 with an offset, or without (UTC)."""
    with suppress(pa.ArrowInvalid):
        return _to_integers(texts)
    with suppress(pa.ArrowInvalid):
        return texts.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    return texts.cast(pa.timestamp("ns")).cast(pa.int64())


def _to_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = texts.cast(pa.float64())
    if pc.any(pc.invert(pc.is_finite(numbers))).as_py():
        raise pa.ArrowInvalid("infinity or not a number")
    return numbers


_TIME = _to_times, "a time in ISO 8601 or nanoseconds, in the format of the rows above"
_INTEGER = _to_integers, "a whole number"
# The conversion of each dtype, and its description in errors. Arrow's casts, unlike its CSV reader, refuse padding.
_CONVERTERS: dict[DType, tuple[Callable[[pa.ChunkedArray], pa.ChunkedArray], str]] = {
    "time": _TIME,
    "moment": _TIME,
    "string": (lambda texts: texts, "text"),
    "float64": (_to_numbers, "a number"),
    "boolean": (lambda texts: texts.cast(pa.bool_()), "true or false"),
    "Int64": _INTEGER,
    "int64": _INTEGER,
}
