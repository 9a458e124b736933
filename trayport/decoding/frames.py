"""From an answer's cells to a frame with exactly the endpoint's dtypes, and from several frames to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..contracts.contract import kind_of
from ..endpoints import Column, Endpoint
from ..errors import ContractError, DecodeError
from .schema import Ids, Naming, Schema, Table
from .twins import public_copies

__all__ = ["STRING", "blank", "empty", "framed", "join"]

STRING = pd.StringDtype("pyarrow")
"""The dtype of every text column, the same on all versions of pandas and for empty frames."""

NO_ROWS = Table(0, {})


def framed(table: Table, schema: Schema, naming: Naming) -> pd.DataFrame:
    """The rows of ``table``, in its order, as a frame of ``schema``."""
    endpoint = schema.endpoint
    index = _index(table, schema)
    data: dict[str, Any] = {}
    if endpoint.named:
        data["contract"] = (
            _repeated(naming, table.length)
            if isinstance(naming, str)
            else _contracts(table.contracts, naming, endpoint)
        )
    if endpoint.sides:
        data["side"] = _strings(_of("side", table))
        data["level"] = np.array(_of("level", table), dtype=np.int64)
    for column in schema.columns:
        if column.group == "private" and "is_private" not in data:
            _mark_own(data, table, index)
        if column.dtype != "time":
            data[column.name] = _array(_of(column.name, table), column, schema)
    if endpoint.measure:
        _clear(data, schema)
    return pd.DataFrame(data, index=index, copy=False)


def _clear(data: dict[str, Any], schema: Schema) -> None:
    """Rows without a trade have a measure of 0 and no prices or times, whatever the server writes there."""
    measure, prices = schema.endpoint.measure, [column for column in schema.columns if column.dtype == "float64"]
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


def _of(name: str, table: Table) -> Sequence[Any]:
    return table.cells.get(name) or [None] * table.length


def blank(names: Sequence[str], moment: pd.Timestamp, schema: Schema) -> pd.DataFrame:
    """A row for each name that says nothing but its time."""
    gaps = Table(len(names), {"timestamp": [moment.value] * len(names)})
    return framed(gaps, schema, "").assign(contract=_strings(names))


def empty(schema: Schema) -> pd.DataFrame:
    """No rows, with the columns and dtypes of any answer."""
    return framed(NO_ROWS, schema, "")


def join(frames: Sequence[pd.DataFrame], schema: Schema, order: Sequence[str]) -> pd.DataFrame:
    """The frames as one: by time, then by contract in the order of ``order`` if there is one, then as they came.

    Counts have no time: those of one contract in several windows are added up, the largest come first.
    """
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty(schema)
    whole = pd.concat(filled) if len(filled) > 1 else filled[0]
    if not schema.endpoint.named:
        return _counted(whole, schema)
    moments = pd.DatetimeIndex(whole.index).asi8
    sorted_already = bool(np.all(moments[1:] > moments[:-1]))
    return whole if sorted_already else whole.iloc[np.lexsort((_ranks(whole["contract"], order), moments))]


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
    data["is_private"] = pd.array(list(table.own), dtype="boolean")
    if "trade_id" in data:
        data["public_copy"] = public_copies(pd.DataFrame(data, index=index))


def _index(table: Table, schema: Schema) -> pd.Index:
    for column in schema.columns:
        if column.dtype == "time":
            return _times(_of(column.name, table), column, schema)
    return pd.RangeIndex(table.length)


def _times(values: Sequence[int | None], column: Column, schema: Schema) -> pd.DatetimeIndex:
    """Nanoseconds since 1970 as moments; None as a gap."""
    nat = int(pd.NaT.value)
    try:
        nanoseconds = np.array([nat if value is None else value for value in values], dtype=np.int64)
    except OverflowError:
        raise _too_wide(values, column, schema, "is no time") from None
    index = pd.DatetimeIndex(nanoseconds.view("M8[ns]"), tz="UTC", name=column.name)
    return index if schema.tz == "UTC" else index.tz_convert(schema.tz)


def _array(values: Sequence[Any], column: Column, schema: Schema) -> Any:
    if column.dtype == "float64":
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if column.dtype == "string":
        return _strings([value if value is None or isinstance(value, str) else str(value) for value in values])
    if column.dtype == "boolean":
        return pd.array(list(values), dtype="boolean")
    if column.dtype == "moment":
        return _times(values, column, schema)
    if column.dtype == "int64" and None in values:
        raise DecodeError(schema.endpoint.name, f"$[{list(values).index(None)}].{column.wire}", "a count is missing")
    try:
        if column.dtype == "int64":
            return np.array(values, dtype=np.int64)
        return pd.array(list(values), dtype="Int64")
    except (OverflowError, TypeError):
        raise _too_wide(values, column, schema, "does not fit 64 bits") from None


def _too_wide(values: Sequence[int | None], column: Column, schema: Schema, why: str) -> DecodeError:
    row = next(row for row, value in enumerate(values) if value is not None and not -(2**63) <= value < 2**63)
    return DecodeError(schema.endpoint.name, f"$[{row}].{column.wire}", f"{values[row]} {why}")


def _strings(values: Sequence[str | None]) -> pd.api.extensions.ExtensionArray:
    return pd.array(list(values), dtype=STRING)


# --- names ---------------------------------------------------------------------------------------------------


def _repeated(name: str, count: int) -> pd.api.extensions.ExtensionArray:
    return _strings([name]).take(np.zeros(count, dtype=np.intp))


def _contracts(
    contracts: Sequence[Any], naming: Callable[[Ids], str], endpoint: Endpoint
) -> pd.api.extensions.ExtensionArray:
    """Each row's contract by name: the ids are named once each, then taken by position."""
    codes: dict[Any, int] = {}
    positions = [codes.setdefault(contract, len(codes)) for contract in contracts]
    names = [_name(contract, positions.index(code), naming, endpoint) for contract, code in codes.items()]
    if not names:
        return _repeated("", 0)
    return _strings(names).take(np.array(positions, dtype=np.intp))


def _name(contract: Any, row: int, naming: Callable[[Ids], str], endpoint: Endpoint) -> str:
    try:
        kind = kind_of(contract.contractType)
        second = None if kind == "single" else contract.secondSequenceItemId
        ids = Ids(contract.sequenceId, contract.sequenceItemId, second, kind, contract.marketId, contract.instrumentId)
        return naming(ids)
    except ContractError as error:
        list_ = f"$.{endpoint.rows_at}" if endpoint.rows_at else "$"
        raise DecodeError(endpoint.name, f"{list_}[{row}].contract", str(error)) from None
