"""The columns of a query: cells packed in Arrow arrays, and frames made of them.

Cells are packed slice by slice, so that no Python object outlives the slice that it was decoded from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen

from ..contracts import Kind
from ..endpoints import Column, DType, Endpoint

__all__ = [
    "ARROW_TYPES",
    "STRING",
    "CellError",
    "ContractIds",
    "Naming",
    "PackedColumns",
    "Schema",
    "TimeCheck",
    "blank",
    "by_code",
    "empty",
    "integers",
    "join",
    "pack",
    "to_frame",
    "try_pack",
]

STRING = pd.StringDtype("pyarrow")
"""The dtype of every text column, the same on all versions of pandas and for empty frames."""

# Arrow's default pool keeps freed memory for the thread that used it, which raises the peak.
_POOL = pa.system_memory_pool()

_NAT = int(pd.NaT.value)


@frozen
class ContractIds:
    """The ids in a row's ``contract`` object."""

    sequence_id: int
    item_id: int
    second_item_id: int | None
    kind: Kind
    market_id: int | None = None
    instrument_id: int | None = None


Naming: TypeAlias = str | Callable[[ContractIds], str]
"""The name of every row's contract, or a function that returns the name for the ids in a row."""

TimeCheck: TypeAlias = Callable[[npt.NDArray[np.int64]], None]
"""Receives the times of a response's elements, in nanoseconds since 1970, slice after slice; raises to refuse them."""


@frozen
class Schema:
    """The columns of one query's frames, which are the same for every response."""

    endpoint: Endpoint
    fields: tuple[Column, ...] = ()
    include_private: bool = False
    include_empty: bool = False
    """True if rows may hold nothing but their time."""
    tz: str = "UTC"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns to read from a response, in the order of the frame."""
        private = self.endpoint.columns_of("private") if self.include_private else ()
        return (*self.endpoint.columns_of("always"), *self.fields, *private)

    @property
    def layout(self) -> dict[str, DType]:
        """Name and dtype of every column of the frame, in its order; the times of its index come first."""
        layout: dict[str, DType] = {column.name: "time" for column in self.columns if column.dtype == "time"}
        if self.endpoint.per_contract:
            layout["contract"] = "string"
        if self.endpoint.row_lists:
            layout |= {"side": "string", "level": "int64"}
        for column in self.columns:
            if column.group == "private" and "is_private" not in layout:
                layout["is_private"] = "boolean"
                if "trade_id" in layout:
                    layout["public_copy"] = "boolean"
            layout[column.name] = column.dtype
        return layout


@frozen(eq=False)
class PackedColumns:
    """Rows by column, each column packed in one or more arrays."""

    length: int
    cells: dict[str, list[pa.Array]]
    """The arrays of each column of the frame; a column that is missing consists of gaps."""


# --- packing -------------------------------------------------------------------------------------------------

ARROW_TYPES: dict[DType, pa.DataType] = {
    "time": pa.int64(),
    "moment": pa.int64(),
    "string": pa.large_string(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "Int64": pa.int64(),
    "int64": pa.int64(),
}
"""The type in which the cells of each dtype are packed; times are nanoseconds since 1970."""

# For columns without gaps: faster than Arrow, and the interpreter lock is not released for each column.
_DENSE: dict[DType, Callable[[Sequence[Any]], npt.NDArray[Any]]] = {
    "time": lambda cells: np.fromiter(cells, np.int64, len(cells)),
    "int64": lambda cells: np.fromiter(cells, np.int64, len(cells)),
    "float64": lambda cells: np.fromiter(cells, np.float64, len(cells)),  # None becomes NaN
    "boolean": lambda cells: np.frombuffer(bytes(cells), np.bool_),
}
_WITHOUT_GAPS = ("time", "int64")


class CellError(ValueError):
    """A cell that its column cannot hold."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(row, reason)
        self.row, self.reason = row, reason


def pack(cells: Sequence[Any], dtype: DType) -> pa.Array:
    """Return the cells as an array; None and empty text become gaps, numbers in a text column become text.

    Raises ``CellError`` for a number that does not fit 64 bits, and for a missing time or count.
    """
    packed = try_pack(cells, dtype)
    if packed is not None:
        return packed
    if dtype == "string":
        return _without_empty(
            pa.array([str(cell) if isinstance(cell, int) else cell for cell in cells], pa.large_string())
        )
    if dtype in _WITHOUT_GAPS and None in cells:
        raise CellError(cells.index(None), "a count is missing" if dtype == "int64" else "a time is missing")
    row = next(row for row, cell in enumerate(cells) if cell is not None and not -(2**63) <= cell < 2**63)
    raise CellError(row, f"{cells[row]} does not fit {'a time' if dtype in ('time', 'moment') else '64 bits'}")


def try_pack(cells: Sequence[Any], dtype: DType) -> pa.Array | None:
    """Return the same array if every cell already has the right type, otherwise None."""
    with suppress(TypeError, OverflowError):
        if dtype in _DENSE:
            return pa.array(_DENSE[dtype](cells))
    with suppress(pa.ArrowException, TypeError, OverflowError):
        if dtype not in _WITHOUT_GAPS:
            packed = pa.array(cells, ARROW_TYPES[dtype], memory_pool=_POOL)
            return _without_empty(packed) if dtype == "string" else packed
    return None


def _without_empty(texts: pa.Array) -> pa.Array:
    """Return the texts with gaps for empty ones, which CSV cannot distinguish from gaps."""
    # Two equal offsets mark an empty text or a gap; comparing every text instead takes five times as long.
    ends = np.frombuffer(texts.buffers()[1] or b"", np.int64)[: len(texts) + 1]
    if not (ends[1:] == ends[:-1]).any():
        return texts
    return pc.if_else(pc.not_equal(texts, ""), texts, None)


def by_code(values: Sequence[Any], dtype: DType, codes: Sequence[pa.Array], length: int) -> list[pa.Array]:
    """Return a column with the value that belongs to each row's code; without codes, the first value in every row."""
    packed = pa.array(values, ARROW_TYPES[dtype])
    # One array, because arrays per slice would be copied once more when they are joined.
    return [packed.take(pa.concat_arrays(codes, _POOL)) if codes else pa.repeat(packed[0], length)]


# --- unpacking -----------------------------------------------------------------------------------------------


def _unpack(packed: Sequence[pa.Array], dtype: DType, length: int) -> Any:
    """Return a column of a frame in memory of its own, times as ``M8[ns]``; without arrays, ``length`` gaps."""
    return _UNPACKED[dtype](packed or [pa.nulls(length, ARROW_TYPES[dtype])])


def integers(packed: Sequence[pa.Array]) -> npt.NDArray[np.int64]:
    """Return integers without gaps as one NumPy array."""
    return np.concatenate([np.empty(0, dtype=np.int64), *(chunk.to_numpy() for chunk in packed)])


def _times(chunks: Sequence[pa.Array]) -> npt.NDArray[np.datetime64]:
    # Arrow and pandas both convert integers with gaps by way of floats, which would round nanoseconds.
    return integers([chunk.fill_null(_NAT) if chunk.null_count else chunk for chunk in chunks]).view("M8[ns]")


def _floats(chunks: Sequence[pa.Array]) -> npt.NDArray[np.float64]:
    return np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in chunks])


def _extension(dtype: Any) -> Callable[[Sequence[pa.Array]], Any]:
    """Return a function that makes a column of one of pandas' extension dtypes."""
    return lambda chunks: dtype.__from_arrow__(pa.concat_arrays(chunks, _POOL) if len(chunks) > 1 else chunks[0])


_UNPACKED: dict[DType, Callable[[Sequence[pa.Array]], Any]] = {
    "time": _times,
    "moment": _times,
    "string": _extension(STRING),
    "float64": _floats,
    "boolean": _extension(pd.BooleanDtype()),
    "Int64": _extension(pd.Int64Dtype()),
    "int64": integers,
}


# --- frames --------------------------------------------------------------------------------------------------


def to_frame(packed: PackedColumns, schema: Schema) -> pd.DataFrame:
    """Return the rows as a frame; each packed column is released as soon as it is converted."""
    data = {}
    for name, dtype in schema.layout.items():
        data[name] = _unpack(packed.cells.pop(name, ()), dtype, packed.length)
        if dtype in ("time", "moment"):
            times = pd.DatetimeIndex(data[name], tz="UTC", name=name)
            data[name] = times if schema.tz == "UTC" else times.tz_convert(schema.tz)
    index = data.pop("timestamp", pd.RangeIndex(packed.length))
    return pd.DataFrame(data, index=index, copy=False)


def blank(names: Sequence[str], time: pd.Timestamp, schema: Schema) -> pd.DataFrame:
    """Return a row for each contract name that holds nothing but its time."""
    cells = {
        "timestamp": [pack([time.value] * len(names), "time")],
        "contract": [pack(names, "string")],
    }
    return to_frame(PackedColumns(len(names), cells), schema)


def empty(schema: Schema) -> pd.DataFrame:
    """Return a frame without rows that has the columns and dtypes of every response."""
    return to_frame(PackedColumns(0, {}), schema)


def join(frames: Sequence[pd.DataFrame], schema: Schema, order: Sequence[str]) -> pd.DataFrame:
    """Return the frames as one, ordered by time; rows of one time by the contracts in ``order``, then as they came.

    Counts have no time: the counts of one contract in several windows are added up, the largest come first.
    """
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty(schema)
    whole = pd.concat(filled) if len(filled) > 1 else filled[0]
    if not schema.endpoint.per_contract:
        return _add_counts(whole, schema)
    times = pd.DatetimeIndex(whole.index).asi8
    if _is_ordered(whole["contract"], times, order):
        return whole
    return whole.iloc[np.lexsort((_ranks(whole["contract"], order), times))]


def _is_ordered(names: pd.Series[str], times: npt.NDArray[np.int64], order: Sequence[str]) -> bool:
    """Return True if the rows are in order, as responses usually are: checking is faster than sorting again."""
    if (times[1:] < times[:-1]).any():
        return False
    ties = np.flatnonzero(times[1:] == times[:-1])
    ranks = _ranks(names.iloc[np.concatenate([ties, ties + 1])], order)
    return bool((ranks[: len(ties)] <= ranks[len(ties) :]).all())


def _ranks(names: pd.Series[str], order: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the place of each name in ``order``; names that are not in it rank first."""
    places = {name: place for place, name in reversed(list(enumerate(order)))}
    codes, unique = pd.factorize(names)
    return np.array([places.get(name, 0) for name in unique], dtype=np.int64)[codes]


def _add_counts(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    counts = [column.name for column in schema.columns if column.dtype == "int64"]
    ids = [name for name in frame.columns if name not in counts]
    summed = frame.groupby(ids, sort=False, dropna=False, as_index=False)[counts].sum()
    ordered = summed.sort_values("count", ascending=False, kind="stable", ignore_index=True)
    return ordered[list(frame.columns)].astype(frame.dtypes.to_dict())
