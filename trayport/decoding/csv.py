"""CSV answers. Their layout is not published, so columns are found by name, in any order and case."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from ..endpoints import Column, DType
from ..errors import DecodeError, TrayportWarning
from .cells import Misfit, integers, pack
from .rows import Rows
from .schema import Check, Schema

__all__ = ["looks_like", "read"]

# Lines that are handed on at once: about as many as a slice of JSON holds.
_TOGETHER = 8192


def looks_like(payload: bytes) -> bool:
    """Is it the beginning of a table rather than of JSON, or of an HTML page?"""
    return bool(_TABLE.match(payload))


_TABLE = re.compile(rb"(?:\xef\xbb\xbf)?+\s*+[^\[{<]")


def read(payload: bytes, rows: Rows, check: Check) -> None:
    """Add ``payload`` to ``rows``, in its order; empty cells are gaps (guide p. 8), of text too, which JSON has as "".

    A column that the table of endpoints does not know is left out, with a ``TrayportWarning``.
    """
    schema = rows.schema
    try:
        header, *lines = csv.reader(io.StringIO(payload.decode("utf-8-sig"), newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise DecodeError(schema.endpoint.name, "$", f"no CSV: {error}") from None
    places = {title.strip().casefold(): place for place, title in enumerate(header)}
    _check(places, lines, schema)
    cells = {
        column.name: _packed(_cells(lines, places[column.wire.casefold()], column, schema), column, schema)
        for column in schema.columns
        if column.wire.casefold() in places
    }
    for column in schema.columns:
        if column.dtype == "time":
            check(integers([cells[column.name]]))
    own = pack([True] * len(lines), "boolean") if schema.include_private else None
    for at in range(0, max(len(lines), 1), _TOGETHER):
        some = {name: column[at : at + _TOGETHER] for name, column in cells.items()}
        rows.add(some, own=None if own is None else own[at : at + _TOGETHER])


def _check(places: dict[str, int], rows: Sequence[Sequence[str]], schema: Schema) -> None:
    known = {column.wire.casefold(): column for column in schema.endpoint.columns}
    missing = [column.wire for column in schema.endpoint.of("always") if column.wire.casefold() not in places]
    if missing and not schema.sparse:
        raise DecodeError(schema.endpoint.name, "line 1", f"there is no column `{missing[0]}`")
    for number, row in enumerate(rows, 2):
        if len(row) != len(places):
            raise DecodeError(
                schema.endpoint.name, f"line {number}", f"{len(row)} cells below a header of {len(places)}"
            )
    unknown = [title for title in places if title not in known]
    if unknown:
        warnings.warn(
            f"{schema.endpoint.name}: the API answers with columns that are not in its guide, and left out here: "
            f"{', '.join(unknown)}",
            TrayportWarning,
            stacklevel=2,
        )


def _packed(cells: Sequence[Any], column: Column, schema: Schema) -> pa.Array:
    try:
        return pack(cells, column.dtype)
    except Misfit as misfit:
        raise DecodeError(schema.endpoint.name, f"line {misfit.row + 2}, {column.wire}", misfit.why) from None


def _cells(rows: Sequence[Sequence[str]], place: int, column: Column, schema: Schema) -> list[Any]:
    parse = _PARSERS[column.dtype]
    cells = []
    for number, row in enumerate(rows, 2):
        text = row[place].strip()
        try:
            # A row without a time has no place in a frame.
            cells.append(parse(text) if text or column.dtype == "time" else None)
        except ValueError:
            raise DecodeError(
                schema.endpoint.name, f"line {number}, {column.wire}", f"{text!r} is no {_WORDS[column.dtype]}"
            ) from None
    return cells


def _nanoseconds(text: str) -> int:
    """A time in ISO 8601, to the nanosecond, or as JSON has it."""
    if text.lstrip("-").isdigit():
        return int(text)
    moment = pd.Timestamp(text)
    if pd.isna(moment):
        raise ValueError(text)
    return int((moment if moment.tz is not None else moment.tz_localize("UTC")).as_unit("ns").value)


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(text)
    return _TRUTH[text.lower()]


_TRUTH = {"true": True, "false": False, "1": True, "0": False}


def _number(text: str) -> float:
    number = float(text)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number


_PARSERS: dict[DType, Callable[[str], Any]] = {
    "time": _nanoseconds,
    "moment": _nanoseconds,
    "string": str,
    "float64": _number,
    "boolean": _boolean,
    "Int64": int,
    "int64": int,
}
_WORDS: dict[DType, str] = {
    "time": "time",
    "moment": "time",
    "string": "text",
    "float64": "number",
    "boolean": "true or false",
    "Int64": "whole number",
    "int64": "whole number",
}
