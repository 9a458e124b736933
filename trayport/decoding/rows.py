"""The packed rows of an answer on their way to frames: in memory, and beyond so many bytes in a file of their own."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import numpy as np
import pandas as pd
import pyarrow as pa
from attrs import define, field, frozen

from ..errors import ContractError, DecodeError, QueryError
from ..wire import kind_of
from .frames import framed
from .schema import Ids, Naming, Schema, Table

__all__ = ["Limits", "Rows"]

# The columns of a batch that are none of the frame: which contract a row says, and whether it is one's own.
_NUMBER, _OWN = "#contract", "#own"


@frozen
class Limits:
    """How much of an answer is in memory at once."""

    rows: float = math.inf
    """Of a frame, but for those of one time, which are not parted."""
    cells: float = math.inf
    """Bytes of packed cells that wait to be frames; what is more waits on disk."""


@define(eq=False)
class Rows:
    """All rows of one answer, in its order."""

    schema: Schema
    limits: Limits = field(factory=Limits)
    length: int = field(default=0, init=False)
    _ordered: bool = field(default=True, init=False)
    _latest: int | None = field(default=None, init=False)
    _distinct: list[tuple[Any, str]] = field(factory=list, init=False)
    """Each contract that is told, and the path of the first row that tells it."""
    _batches: list[pa.RecordBatch] = field(factory=list, init=False)
    _bytes: int = field(default=0, init=False)
    _file: _File | None = field(default=None, init=False)

    def add(self, cells: Mapping[str, pa.Array], numbers: pa.Array | None = None, own: pa.Array | None = None) -> None:
        """Rows by column; ``numbers`` says which of the contracts each of them is of, in the order of ``meet``."""
        extra = {name: column for name, column in ((_NUMBER, numbers), (_OWN, own)) if column is not None}
        columns = {**cells, **extra}
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        self._look_at(cells)
        self.length += batch.num_rows
        self._bytes += batch.nbytes
        if self._bytes <= self.limits.cells:
            self._batches.append(batch)
            return
        self._file = self._file or _File()
        self._file.write(batch)

    def meet(self, contract: Any, path: str) -> None:
        """Another contract, as the row at ``path`` tells it."""
        self._distinct.append((contract, path))

    def frame(self, naming: Naming) -> pd.DataFrame:
        """All of them; only once, since what they were packed in is used up."""
        names = self._names(naming)
        return framed(self._table(list(self._stored())), self.schema, names)

    def frames(self, naming: Naming) -> Iterator[pd.DataFrame]:
        """The same in frames of so many rows as the limits allow, cut between two times.

        Rows that are in no order come in one. Whatever may be wrong with them is raised before the first.
        """
        names = self._names(naming)
        return (framed(self._table(batches), self.schema, names) for batches in self._parts())

    # --- where they wait -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of what waits."""
        self._batches.clear()
        if self._file is not None:
            self._file.close()

    def _stored(self) -> Iterator[pa.RecordBatch]:
        """What waits, each batch once."""
        batches, self._batches = self._batches[::-1], []
        while batches:
            yield batches.pop()
        if self._file is not None:
            yield from self._file.read()
            self._file.close()

    def _parts(self) -> Iterator[list[pa.RecordBatch]]:
        """Neighbours, as many as a frame may hold."""
        if not self._ordered or self.length <= self.limits.rows:
            yield list(self._stored())
            return
        part: list[pa.RecordBatch] = []
        count, latest = 0, None
        for batch in filter(len, self._stored()):
            times = batch.column(self._time).to_numpy()
            cut = int(np.searchsorted(times, times[-1]))  # others of the last time may follow
            part.append(batch)
            count += batch.num_rows
            if count >= self.limits.rows and (cut or latest not in (None, times[0])):
                part[-1] = batch.slice(0, cut)
                yield part
                part, count = [batch.slice(cut)], batch.num_rows - cut
            latest = times[-1]
        yield part

    # --- what they are -------------------------------------------------------------------------------------------

    @property
    def _time(self) -> str:
        return next((column.name for column in self.schema.columns if column.dtype == "time"), "")

    def _look_at(self, cells: Mapping[str, pa.Array]) -> None:
        """Are they in the order of time, as far as is seen?"""
        if self._time not in cells:
            self._ordered = False
            return
        times = cells[self._time].to_numpy()
        if len(times):
            later = self._latest is None or self._latest <= times[0]
            self._ordered = self._ordered and bool(later and (times[1:] >= times[:-1]).all())
            self._latest = int(times[-1])

    def _table(self, batches: list[pa.RecordBatch]) -> Table:
        """The batches by column, of which nothing else is kept: a column is let go of when it is in the frame."""
        columns = {name: [batch.column(name) for batch in batches] for name in batches[0].schema.names}
        length = sum(batch.num_rows for batch in batches)
        batches.clear()
        return Table(length, columns, columns.pop(_NUMBER, ()), columns.pop(_OWN, ()))

    def _names(self, naming: Naming) -> str | Sequence[str]:
        """What each row is named: the same, or by the number of its contract."""
        if isinstance(naming, str):
            return naming
        known: dict[Ids, str] = {}
        return [self._name(contract, path, naming, known) for contract, path in self._distinct]

    def _name(self, contract: Any, path: str, naming: Callable[[Ids], str], known: dict[Ids, str]) -> str:
        try:
            ids = _ids(contract)
            return known.get(ids) or known.setdefault(ids, naming(ids))
        except ContractError as error:
            raise DecodeError(self.schema.endpoint.name, f"{path}.contract", str(error)) from None


@define(eq=False)
class _File:
    """Batches in a temporary file, which is gone with its process.

    Nothing is buffered and each batch has its place: what a forked child does with its copy changes nothing here.
    """

    _raw: Any = field(init=False)
    _process: int = field(factory=os.getpid, init=False)
    _schema: pa.Schema | None = field(default=None, init=False)
    _sizes: list[int] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        with _told():
            self._raw = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # open for as long as these rows
        finalize(self, self._raw.close).atexit = False

    def write(self, batch: pa.RecordBatch) -> None:
        self._schema, packed = batch.schema, batch.serialize()
        self._sizes.append(packed.size)
        left = memoryview(packed)
        with _told():
            while left:
                left = left[self._raw.write(left) :]

    def read(self) -> Iterator[pa.RecordBatch]:
        at = 0
        for size in self._sizes:
            if os.getpid() != self._process:
                raise QueryError("a stream cannot be continued in a forked process: ask for it there")
            with _told():
                packed = self._read(at, size)
            yield pa.ipc.read_record_batch(pa.py_buffer(packed), self._schema)
            at += size

    def _read(self, at: int, size: int) -> bytearray:
        self._raw.seek(at)
        packed, have = bytearray(size), 0
        while have < size:
            more = self._raw.readinto(memoryview(packed)[have:])
            if not more:
                raise OSError(errno.EIO, "it is shorter than what was written")
            have += more
        return packed

    def close(self) -> None:
        self._raw.close()


@contextmanager
def _told() -> Iterator[None]:
    """Say what the file is for, where it fails."""
    try:
        yield
    except OSError as error:
        why = f"{error.strerror}: a long answer waits here; make room, or set TMPDIR (Windows: TEMP) to another folder"
        folder = tempfile.gettempdir()
        raise OSError(error.errno, why, folder) from None


def _ids(contract: Any) -> Ids:
    kind = kind_of(contract.contract_type)
    second = None if kind == "single" else contract.second_item_id
    return Ids(contract.sequence_id, contract.item_id, second, kind, contract.market_id, contract.instrument_id)
