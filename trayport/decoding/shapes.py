"""Where the rows of an answer are: in the list itself, in a list below it, or in lists of each element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from attrs import frozen

from ..endpoints import Endpoint
from .cells import pack

__all__ = ["Shape", "shape_of"]


class Shape(Protocol):
    """How the rows of a slice are found, and called in errors."""

    @property
    def first(self) -> str:
        """The path of the first row."""

    @property
    def timed(self) -> bool:
        """Has each row a time of its own?"""

    def whole(self, row: Any) -> Any:
        """The type of a slice whose rows are of the type ``row``."""

    def rows(self, part: Any) -> Sequence[Any]:
        """The rows of a slice, in the order of the frame."""

    def stamps(self, part: Any) -> list[int]:
        """The times that are not those of single rows."""

    def shared(self, part: Any, stamps: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        """The columns that the rows do not say themselves."""

    def stamp_at(self, before: int, number: int) -> str:
        """The path of one of ``stamps``, in a slice with so many elements before it."""

    def row_at(self, part: Any, before: int, number: int) -> str:
        """The path of one of ``rows``."""


@frozen
class Plain:
    """The elements are the rows."""

    first: str = "$[0]"
    timed: bool = True

    def whole(self, row: Any) -> Any:
        return list[row]

    def rows(self, part: Any) -> Sequence[Any]:
        return part  # type: ignore[no-any-return]

    def stamps(self, part: Any) -> list[int]:
        return []

    def shared(self, part: Any, stamps: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        return {}

    def stamp_at(self, before: int, number: int) -> str:
        return self.row_at(None, before, number)

    def row_at(self, part: Any, before: int, number: int) -> str:
        return f"$[{before + number}]"


@frozen
class Listed:
    """An object holds the time, and a list of the rows."""

    name: str
    timed: bool = False

    @property
    def first(self) -> str:
        return f"$.{self.name}[0]"

    def whole(self, row: Any) -> Any:
        import msgspec

        return msgspec.defstruct("Answer", [("timestamp", int), (self.name, list[row])], gc=False)

    def rows(self, part: Any) -> Sequence[Any]:
        return getattr(part, self.name)  # type: ignore[no-any-return]

    def stamps(self, part: Any) -> list[int]:
        return [part.timestamp]

    def shared(self, part: Any, stamps: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        return {"timestamp": pa.array(np.repeat(stamps, len(self.rows(part))))}

    def stamp_at(self, before: int, number: int) -> str:
        return "$"

    def row_at(self, part: Any, before: int, number: int) -> str:
        return f"$.{self.name}[{number}]"


@frozen
class Sided:
    """Each element holds its time, and lists of rows: a row an order, by point, side, and place in its list."""

    sides: tuple[str, ...]
    first: str = "$[0]"
    timed: bool = False

    def whole(self, row: Any) -> Any:
        import msgspec

        sides = [(side, list[row]) for side in self.sides]
        return list[msgspec.defstruct("Point", [("timestamp", int), *sides], gc=False)]  # type: ignore[misc]

    def rows(self, part: Any) -> Sequence[Any]:
        return [row for point in part for side in self.sides for row in getattr(point, side)]

    def stamps(self, part: Any) -> list[int]:
        return [point.timestamp for point in part]

    def shared(self, part: Any, stamps: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        lengths = self._lengths(part)
        before = np.cumsum(lengths) - lengths
        side = np.repeat(np.tile(np.arange(len(self.sides)), len(part)), lengths)
        return {
            "timestamp": pa.array(np.repeat(np.repeat(stamps, len(self.sides)), lengths)),
            "side": pack([side.removesuffix("s") for side in self.sides], "string").take(pa.array(side)),
            "level": pa.array(np.arange(lengths.sum()) - np.repeat(before, lengths) + 1),
        }

    def _lengths(self, part: Any) -> npt.NDArray[np.int64]:
        return np.array([len(getattr(point, side)) for point in part for side in self.sides], dtype=np.int64)

    def stamp_at(self, before: int, number: int) -> str:
        return f"$[{before + number}]"

    def row_at(self, part: Any, before: int, number: int) -> str:
        ends = np.cumsum(self._lengths(part))
        place = int(np.searchsorted(ends, number, side="right"))
        point, side = divmod(place, len(self.sides))
        in_list = number - (int(ends[place - 1]) if place else 0)
        return f"$[{before + point}].{self.sides[side]}[{in_list}]"


def shape_of(endpoint: Endpoint) -> Shape:
    """Where the endpoint's answers have their rows."""
    if endpoint.row_lists:
        return Sided(endpoint.row_lists)
    return Listed(endpoint.list_field) if endpoint.list_field else Plain()
