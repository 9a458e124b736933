"""The rows of one response: packed while they are read, in memory or in a file, then made into frames or a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from attrs import define, field, frozen

from ..contracts import Contract
from ..endpoints import DType
from ..errors import ContractError, DecodeError
from ..wire import kind_of
from .arrow import ID_COLUMNS, to_table
from .frames import ARROW_TYPES, ContractIds, Naming, PackedColumns, Schema, by_code, to_frame
from .own_trades import mark_public_copies
from .spill import SpillFile

__all__ = ["MemoryLimits", "Rows"]

T = TypeVar("T")

# Columns of a batch that are not columns of the frame: the code of the row's contract.
_CODE = "#contract"


@frozen
class MemoryLimits:
    """Upper bounds for the part of a response that is in memory at once."""

    frame_rows: float = math.inf
    """Rows of one frame; rows of one time are never split, so that a frame may be longer."""
    packed_bytes: float = math.inf
    """Bytes of packed rows that wait in memory; further rows wait in a temporary file."""


@define(eq=False)
class Rows:
    """All rows of one response, in its order."""

    schema: Schema
    limits: MemoryLimits = field(factory=MemoryLimits)
    length: int = field(default=0, init=False)
    _is_ordered: bool = field(default=True, init=False)
    _latest: int | None = field(default=None, init=False)
    _contracts: list[tuple[Any, str]] = field(factory=list, init=False)
    """Each distinct contract object, by its code, and the path of the first row that holds it."""
    _batches: list[pa.RecordBatch] = field(factory=list, init=False)
    _bytes: int = field(default=0, init=False)
    _file: SpillFile | None = field(default=None, init=False)

    # --- collecting ----------------------------------------------------------------------------------------------

    def add(self, cells: Mapping[str, pa.Array], codes: pa.Array | None = None) -> None:
        """Append rows, given by column; ``codes`` number their contracts in the order of ``add_contract``."""
        columns = {**cells, _CODE: codes} if codes is not None else cells
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        times = cells["timestamp"].to_numpy() if "timestamp" in cells else None
        if times is None:
            self._is_ordered = False
        elif len(times):
            later = self._latest is None or self._latest <= times[0]
            self._is_ordered = self._is_ordered and bool(later and (times[1:] >= times[:-1]).all())
            self._latest = int(times[-1])
        self.length += batch.num_rows
        self._bytes += batch.nbytes
        if self._bytes <= self.limits.packed_bytes:
            self._batches.append(batch)
            return
        self._file = self._file or SpillFile()
        self._file.write(batch)

    def add_contract(self, contract: Any, path: str) -> None:
        """Append a contract object that the row at ``path`` is the first to hold."""
        self._contracts.append((contract, path))

    def close(self) -> None:
        """Release the rows."""
        self._batches.clear()
        if self._file is not None:
            self._file.close()

    # --- handing over --------------------------------------------------------------------------------------------

    def frame(self, naming: Naming) -> pd.DataFrame:
        """Return all rows as a frame; only once, since the packed rows are released on the way."""
        return to_frame(self._named(list(self._stored()), self._names(naming)), self.schema)

    def frames(self, naming: Naming) -> Iterator[pd.DataFrame]:
        """Return an iterator of frames of at most the permitted number of rows, split between two times.

        Rows that are not ordered by time come in one frame. Errors in the rows are raised before the first frame.
        """
        names = self._names(naming)
        return (to_frame(self._named(batches, names), self.schema) for batches in self._parts())

    def table(self, contract: Contract | Callable[[ContractIds], Contract] | None = None) -> pa.Table:
        """Return all rows as an Arrow table with the ids of their contracts beside the names; only once.

        Parameters
        ----------
        contract : Contract or function, optional
            The contract of every row; or, for a response with the ids of several contracts, a function that returns
            the contract for the ids in a row. None for counts, where ids are columns of the response.

        Returns
        -------
        pyarrow.Table
            The columns of ``arrow_schema``, with the rows in the order of the response. No value passes through
            pandas, and cells are not copied where Arrow permits it.
        """
        contracts = self._by_code(contract) if callable(contract) else [contract] if contract else []
        batches = list(self._stored())
        codes = _column(batches, _CODE)
        packed = self._named(batches, [each.label for each in contracts])
        if self.schema.endpoint.per_contract:
            ids: dict[str, list[Any]] = {
                "product_kind": [each.product.kind for each in contracts],
                "product_id": [each.product.id for each in contracts],
                "sequence_id": [each.sequence_id for each in contracts],
                "item_id": [each.item_id for each in contracts],
                "second_item_id": [each.second_item_id for each in contracts],
                "contract_kind": [each.kind for each in contracts],
            }
            for name, dtype in ID_COLUMNS.items():
                packed.cells[name] = by_code(ids[name], dtype, codes, packed.length)
        return to_table(packed, self.schema)

    def _stored(self) -> Iterator[pa.RecordBatch]:
        """Yield each batch once, and release it."""
        batches, self._batches = self._batches[::-1], []
        while batches:
            yield batches.pop()
        if self._file is not None:
            yield from self._file.read()
            self._file.close()

    def _parts(self) -> Iterator[list[pa.RecordBatch]]:
        """Yield neighbouring batches, as many as one frame may hold."""
        if not self._is_ordered or self.length <= self.limits.frame_rows:
            yield list(self._stored())
            return
        part: list[pa.RecordBatch] = []
        count, latest = 0, None
        for batch in filter(len, self._stored()):
            times = batch.column("timestamp").to_numpy()
            cut = int(np.searchsorted(times, times[-1]))  # the next batch may hold more rows of the last time
            part.append(batch)
            count += batch.num_rows
            if count >= self.limits.frame_rows and (cut or latest not in (None, times[0])):
                part[-1] = batch.slice(0, cut)
                yield part
                part, count = [batch.slice(cut)], batch.num_rows - cut
            latest = times[-1]
        yield part

    # --- columns -------------------------------------------------------------------------------------------------

    def _named(self, batches: list[pa.RecordBatch], names: Sequence[str]) -> PackedColumns:
        """Return the batches by column, completed by the columns that no response holds; the batches are released."""
        layout, length = self.schema.layout, sum(batch.num_rows for batch in batches)
        codes = _column(batches, _CODE)
        cells = {name: chunks for name in layout if (chunks := _column(batches, name))}
        batches.clear()
        if "contract" in layout:
            cells["contract"] = by_code(names or [""], "string", codes, length)
        if "public_copy" in layout and length:
            cells["public_copy"] = [mark_public_copies(cells)]
        if self.schema.endpoint.zero_when_empty:
            self._clear_empty_candles(cells, length)
        return PackedColumns(length, cells)

    def _clear_empty_candles(self, cells: dict[str, list[pa.Array]], length: int) -> None:
        """Set the volume of candles without a trade to 0 and all else to gaps; the guide leaves these values open."""

        def column(name: str, dtype: DType) -> pa.ChunkedArray:
            return pa.chunked_array(cells.get(name) or [pa.nulls(length, ARROW_TYPES[dtype])])

        volume = self.schema.endpoint.zero_when_empty
        numbers = [each for each in self.schema.columns if each.dtype == "float64"]
        has_no_number = reduce(
            pc.and_, [pc.is_null(column(each.name, "float64"), nan_is_null=True) for each in numbers]
        )
        is_empty = pc.or_(has_no_number, pc.fill_null(pc.equal(column(volume, "float64"), 0), False))
        if not pc.any(is_empty).as_py():
            return
        times = [each for each in self.schema.columns if each.dtype == "moment" and each.group == "optional"]
        for each in (*numbers, *times):
            gap = None if each.dtype == "moment" else math.nan
            value = pa.scalar(0 if each.name == volume else gap, ARROW_TYPES[each.dtype])
            cells[each.name] = pc.if_else(is_empty, value, column(each.name, each.dtype)).chunks

    def _names(self, naming: Naming) -> Sequence[str]:
        return [naming] if isinstance(naming, str) else self._by_code(naming)

    def _by_code(self, resolve: Callable[[ContractIds], T]) -> list[T]:
        """Return the value of ``resolve`` for each distinct contract; equal ids are resolved once."""
        resolved: dict[ContractIds, T] = {}
        values = []
        for contract, path in self._contracts:
            try:
                kind = kind_of(contract.contract_type)
                second = None if kind == "single" else contract.second_item_id
                ids = ContractIds(
                    contract.sequence_id, contract.item_id, second, kind, contract.market_id, contract.instrument_id
                )
                if ids not in resolved:
                    resolved[ids] = resolve(ids)
            except ContractError as error:
                raise DecodeError(self.schema.endpoint.name, f"{path}.contract", str(error)) from None
            values.append(resolved[ids])
        return values


def _column(batches: Sequence[pa.RecordBatch], name: str) -> list[pa.Array]:
    """Return the arrays of one column; all batches have the same columns."""
    return [batch.column(name) for batch in batches] if batches and name in batches[0].schema.names else []
