"""The cells of a column, packed: none of Python's objects outlives the slice of an answer that it was read from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ..endpoints import DType

__all__ = ["POOL", "STRING", "Misfit", "integers", "pack", "pack_quickly", "repeated", "unpack"]

STRING = pd.StringDtype("pyarrow")
"""The dtype of every text column, the same on all versions of pandas and for empty frames."""

POOL = pa.system_memory_pool()
"""Where cells are packed: Arrow's usual pool keeps for a thread what others have let go of."""

_NAT = int(pd.NaT.value)
_PACKED: dict[DType, pa.DataType] = {
    "time": pa.int64(),
    "moment": pa.int64(),
    "string": pa.large_string(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "Int64": pa.int64(),
    "int64": pa.int64(),
}
_WITHOUT_GAPS = ("time", "int64")
_DENSE: dict[DType, Callable[[Sequence[Any]], npt.NDArray[Any]]] = {
    "time": lambda cells: np.fromiter(cells, np.int64, len(cells)),
    "int64": lambda cells: np.fromiter(cells, np.int64, len(cells)),
    "float64": lambda cells: np.fromiter(cells, np.float64, len(cells)),
    "boolean": lambda cells: np.frombuffer(bytes(cells), np.bool_),
}
"""What packs columns without a gap: sooner than Arrow, and without letting go of the interpreter for each."""


class Misfit(ValueError):
    """A cell that its column cannot hold."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(row, why)
        self.row, self.why = row, why


def pack(cells: Sequence[Any], dtype: DType) -> pa.Array:
    """The cells as an array, None as a gap, ids that are numbers as text.

    ``Misfit`` for what 64 bits cannot hold, and for a gap where there is none: a count that is missing is not 0.
    """
    packed = pack_quickly(cells, dtype)
    if packed is not None:
        return packed
    if dtype == "string":
        return pa.array([str(cell) if isinstance(cell, int) else cell for cell in cells], _PACKED[dtype])
    if dtype in _WITHOUT_GAPS and None in cells:
        raise Misfit(cells.index(None), "a count is missing" if dtype == "int64" else "a time is missing")
    row = next(row for row, cell in enumerate(cells) if cell is not None and not -(2**63) <= cell < 2**63)
    why = "is no time" if dtype in ("time", "moment") else "does not fit 64 bits"
    raise Misfit(row, f"{cells[row]} {why}")


def pack_quickly(cells: Sequence[Any], dtype: DType) -> pa.Array | None:
    """The same of cells that are all as they should be; else None."""
    with suppress(TypeError, OverflowError):
        if dtype in _DENSE:
            return pa.array(_DENSE[dtype](cells))
    with suppress(pa.ArrowException, TypeError, OverflowError):
        if dtype not in _WITHOUT_GAPS:
            return pa.array(cells, _PACKED[dtype], memory_pool=POOL)
    return None


def unpack(packed: Sequence[pa.Array], dtype: DType, length: int) -> Any:
    """A column of the frame, in memory of its own: times as ``M8[ns]``; gaps all over if nothing was packed."""
    return _UNPACKED[dtype](packed or [pa.nulls(length, _PACKED[dtype])])


def integers(packed: Sequence[pa.Array]) -> npt.NDArray[np.int64]:
    """Whole numbers without gaps."""
    return np.concatenate([np.empty(0, dtype=np.int64), *(chunk.to_numpy() for chunk in packed)])


def repeated(text: str, count: int) -> pd.api.extensions.ExtensionArray:
    """A text column that says the same all over."""
    return unpack([pa.repeat(pa.scalar(text, _PACKED["string"]), count)], "string", count)  # type: ignore[no-any-return]


def _times(chunks: Sequence[pa.Array]) -> npt.NDArray[np.datetime64]:
    # Not by way of floats, as with gaps everything else of Arrow's and pandas' does.
    filled = [chunk.fill_null(_NAT) if chunk.null_count else chunk for chunk in chunks]
    return integers(filled).view("M8[ns]")


def _floats(chunks: Sequence[pa.Array]) -> npt.NDArray[np.float64]:
    return np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in chunks])


def _nullable(dtype: Any) -> Callable[[Sequence[pa.Array]], Any]:
    """What makes columns of one of pandas' own dtypes."""
    return lambda chunks: dtype.__from_arrow__(_joined(chunks))


def _joined(chunks: Sequence[pa.Array]) -> pa.Array:
    return pa.concat_arrays(chunks, POOL) if len(chunks) > 1 else chunks[0]


_UNPACKED: dict[DType, Callable[[Sequence[pa.Array]], Any]] = {
    "time": _times,
    "moment": _times,
    "string": _nullable(STRING),
    "float64": _floats,
    "boolean": _nullable(pd.BooleanDtype()),
    "Int64": _nullable(pd.Int64Dtype()),
    "int64": integers,
}
