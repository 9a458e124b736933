"""From an answer's cells to a frame with exactly the endpoint's dtypes, and from several frames to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..endpoints import Column, DType
from .cells import STRING, integers, pack, repeated, unpack
from .schema import Schema, Table
from .twins import public_copies

__all__ = ["blank", "empty", "framed", "join"]


def framed(table: Table, schema: Schema, names: str | Sequence[str]) -> pd.DataFrame:
    """The rows of ``table``, in its order, as a frame of ``schema``; its cells are used up, column by column.

    ``names`` are what each row is named, or those of the contracts that the table's numbers mean.
    """
    endpoint = schema.endpoint
    index = _index(table, schema)
    data: dict[str, Any] = {}
    if endpoint.per_contract:
        named = not isinstance(names, str) and len(names)
        data["contract"] = (
            _strings(names).take(integers(table.numbers)) if named else repeated(str(names or ""), table.length)
        )
    if endpoint.row_lists:
        data["side"] = _taken("side", "string", table)
        data["level"] = integers(table.cells.pop("level", ()))
    for column in schema.columns:
        if column.group == "private" and "is_private" not in data:
            _mark_own(data, table, index)
        if column.dtype != "time":
            data[column.name] = _array(table, column, schema)
    if endpoint.zero_when_empty:
        _clear(data, schema)
    return pd.DataFrame(data, index=index, copy=False)


def _clear(data: dict[str, Any], schema: Schema) -> None:
    """Rows without a trade have a measure of 0 and no prices or times, whatever the server writes there."""
    measure, prices = (
        schema.endpoint.zero_when_empty,
        [column for column in schema.columns if column.dtype == "float64"],
    )
    nothing = np.all([np.isnan(data[column.name]) for column in prices], axis=0) | (data[measure] == 0)
    if not nothing.any():
        return
    for column in schema.columns:
        if column.name == measure:
            data[column.name] = np.where(nothing, 0.0, data[column.name])
        elif column.dtype == "float64":
            data[column.name] = np.where(nothing, np.nan, data[column.name])
        elif column.dtype == "moment" and column.group == "optional":
            data[column.name] = data[column.name].where(~nothing)


def _taken(name: str, dtype: DType, table: Table) -> Any:
    return unpack(table.cells.pop(name, ()), dtype, table.length)


def blank(names: Sequence[str], moment: pd.Timestamp, schema: Schema) -> pd.DataFrame:
    """A row for each name that says nothing but its time."""
    gaps = Table(len(names), {"timestamp": [pack([moment.value] * len(names), "time")]})
    return framed(gaps, schema, "").assign(contract=_strings(names))


def empty(schema: Schema) -> pd.DataFrame:
    """No rows, with the columns and dtypes of any answer."""
    return framed(Table(0, {}), schema, "")


def join(frames: Sequence[pd.DataFrame], schema: Schema, order: Sequence[str]) -> pd.DataFrame:
    """The frames as one: by time, then by contract in the order of ``order`` if there is one, then as they came.

    Counts have no time: those of one contract in several windows are added up, the largest come first.
    """
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty(schema)
    whole = pd.concat(filled) if len(filled) > 1 else filled[0]
    if not schema.endpoint.per_contract:
        return _counted(whole, schema)
    moments = pd.DatetimeIndex(whole.index).asi8
    if _is_ordered(whole["contract"], moments, order):
        return whole
    return whole.iloc[np.lexsort((_ranks(whole["contract"], order), moments))]


def _is_ordered(names: pd.Series[str], moments: npt.NDArray[np.int64], order: Sequence[str]) -> bool:
    """Is it so already? Answers usually are, and to sort millions of rows again takes longer than to look."""
    if (moments[1:] < moments[:-1]).any():
        return False
    ties = np.flatnonzero(moments[1:] == moments[:-1])
    ranks = _ranks(names.iloc[np.concatenate([ties, ties + 1])], order)
    return bool((ranks[: len(ties)] <= ranks[len(ties) :]).all())


def _ranks(names: pd.Series[str], order: Sequence[str]) -> npt.NDArray[np.int64]:
    """Each name's place in ``order``; the first for those that are not in it."""
    places = {name: place for place, name in reversed(list(enumerate(order)))}
    codes, unique = pd.factorize(names)
    return np.array([places.get(name, 0) for name in unique], dtype=np.int64)[codes]


def _counted(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    counts = [column.name for column in schema.columns if column.dtype == "int64"]
    ids = [name for name in frame.columns if name not in counts]
    summed = frame.groupby(ids, sort=False, dropna=False, as_index=False)[counts].sum()
    ordered = summed.sort_values("count", ascending=False, kind="stable", ignore_index=True)
    return ordered[list(frame.columns)].astype(frame.dtypes.to_dict())


# --- columns -------------------------------------------------------------------------------------------------


def _mark_own(data: dict[str, Any], table: Table, index: pd.Index) -> None:
    data["is_private"] = unpack(table.own, "boolean", table.length)
    if "trade_id" in data:
        data["public_copy"] = public_copies(pd.DataFrame(data, index=index, copy=False))


def _index(table: Table, schema: Schema) -> pd.Index:
    for column in schema.columns:
        if column.dtype == "time":
            return _times(table, column, schema)
    return pd.RangeIndex(table.length)


def _times(table: Table, column: Column, schema: Schema) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(_taken(column.name, column.dtype, table), tz="UTC", name=column.name)
    return index if schema.tz == "UTC" else index.tz_convert(schema.tz)


def _array(table: Table, column: Column, schema: Schema) -> Any:
    if column.dtype == "moment":
        return _times(table, column, schema)
    return _taken(column.name, column.dtype, table)


def _strings(values: Sequence[str | None]) -> pd.api.extensions.ExtensionArray:
    return pd.array(list(values), dtype=STRING)
