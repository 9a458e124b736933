"""Frames with exactly the endpoint's columns and dtypes, made of packed columns or joined from other frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from .columns import PackedColumns, Schema, pack, unpack

__all__ = ["blank", "empty", "join", "to_frame"]


def to_frame(packed: PackedColumns, schema: Schema) -> pd.DataFrame:
    """Return the rows as a frame; each packed column is released as soon as it is converted."""
    data = {}
    for name, dtype in schema.layout.items():
        data[name] = unpack(packed.cells.pop(name, ()), dtype, packed.length)
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
