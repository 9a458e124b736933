"""What a frame looks like: the columns of one question, and what names its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from attrs import frozen

from ..contracts import Kind
from ..endpoints import Column, Endpoint

__all__ = ["Check", "Ids", "Naming", "Schema", "Table"]


@frozen
class Ids:
    """What a row's ``contract`` object says of its contract."""

    sequence_id: int
    item_id: int
    second_item_id: int | None
    kind: Kind
    market_id: int | None = None
    instrument_id: int | None = None


Naming: TypeAlias = str | Callable[[Ids], str]
"""The name of every row's contract, or what makes names of the ids in the rows."""

Check: TypeAlias = Callable[[npt.NDArray[np.int64]], None]
"""Is shown the times of an answer's elements, in nanoseconds since 1970, one slice after another."""


@frozen
class Schema:
    """The columns of one question's frames: always the same, whatever arrives."""

    endpoint: Endpoint
    fields: tuple[Column, ...] = ()
    include_private: bool = False
    sparse: bool = False
    """May rows come that say nothing but their time?"""
    tz: str = "UTC"

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is read from the wire, in the order of the frame."""
        private = self.endpoint.of("private") if self.include_private else ()
        return (*self.endpoint.of("always"), *self.fields, *private)


@frozen(eq=False)
class Table:
    """Rows by column, each packed in some arrays."""

    length: int
    cells: dict[str, list[pa.Array]]
    """By the name of the frame's column; one that is not there is all gaps."""
    numbers: Sequence[pa.Array] = ()
    """Which of several contracts each row is of, where that was asked for."""
    own: Sequence[pa.Array] = ()
    """Which rows are of the key's owner, where that was asked for."""
