"""JSON responses, read by decoders that are made from an endpoint's columns.

Integers stay integers, so that nanoseconds never pass through a float. A wrong type is an error with its path. Fields
that are not asked for are skipped.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from attrs import define, evolve, field, frozen

from ..endpoints import Column, DType, Endpoint
from ..errors import DecodeError
from ..wire import CONTRACT_OBJECT
from .frames import CellError, Schema, TimeCheck, pack, try_pack
from .rows import Rows
from .slices import JsonSlicer

if TYPE_CHECKING:
    import msgspec

__all__ = ["read"]


def read(
    pieces: Iterable[bytes | memoryview], rows: Rows, check: TimeCheck, *, needs_contract_column: bool, size: int
) -> None:
    """Append a response in ``pieces`` to ``rows``, in its order, decoding slices of about ``size`` bytes.

    Raises ``DecodeError`` with the path of the first value that is not as the guide describes it.
    """
    import msgspec

    endpoint = rows.schema.endpoint
    reader = _reader(rows.schema, needs_contract_column)
    collector = _RowCollector(endpoint, reader, rows, check)
    slicer = JsonSlicer(iter(pieces), max(size, 1))
    try:
        slicer.feed_to(lambda text: collector.add(reader.decoder.decode(text)))
    except msgspec.ValidationError as error:
        detail, path = _split(error)
        # msgspec counts from the beginning of the slice, the error from that of the response.
        path = re.sub(r"^\$\[(\d+)\]", lambda found: f"$[{collector.elements + int(found[1])}]", path)
        raise DecodeError(endpoint.name, path, detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        detail = re.sub(r"\(byte (\d+)\)", lambda found: f"(byte {slicer.offset + int(found[1])})", str(error))
        # The body is not quoted: it may repeat the key.
        hint = "; it is an HTML page" if slicer.buffer.lstrip().startswith(b"<") else ""
        raise DecodeError(endpoint.name, "$", f"{detail}{hint}") from None
    collector.refuse_missing_columns()


def _split(error: Exception) -> tuple[str, str]:
    """Return the detail of a validation error and the path in the slice."""
    detail, _, path = str(error).partition(" - at ")
    return detail, path.strip("`") or "$"


# --- layouts: the place of rows in a response ----------------------------------------------------------------


@frozen
class _Layout:
    """Responses whose elements are the rows."""

    first_row: str = "$[0]"
    """The path of the first row."""
    rows_have_times: bool = True
    """True if each row holds its own time, False if rows share the time of an element."""

    def container(self, row: Any) -> Any:
        """Return the type of a slice whose rows have the type ``row``."""
        return list[row]

    def rows(self, part: Any) -> Sequence[Any]:
        """Return the rows of a slice, in the order of the frame."""
        return part  # type: ignore[no-any-return]

    def times(self, part: Any) -> list[int]:
        """Return the times that rows share."""
        return []

    def shared_columns(self, part: Any, times: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        """Return the columns whose values are not in the rows."""
        return {}

    def time_path(self, before: int, number: int) -> str:
        """Return the path of the element with a shared time, in a slice with ``before`` elements before it."""
        return f"$[{before + number}]"

    def row_path(self, part: Any, before: int, number: int) -> str:
        """Return the path of a row, in a slice with ``before`` elements before it."""
        return f"$[{before + number}]"


@frozen
class _ListInObject(_Layout):
    """Responses that are one object with a time and a list of rows."""

    name: str = field(kw_only=True)

    def container(self, row: Any) -> Any:
        import msgspec

        return msgspec.defstruct("Response", [("timestamp", int), (self.name, list[row])], gc=False)

    def rows(self, part: Any) -> Sequence[Any]:
        return getattr(part, self.name)  # type: ignore[no-any-return]

    def times(self, part: Any) -> list[int]:
        return [part.timestamp]

    def shared_columns(self, part: Any, times: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        return {"timestamp": pa.array(np.repeat(times, len(self.rows(part))))}

    def time_path(self, before: int, number: int) -> str:
        return "$"

    def row_path(self, part: Any, before: int, number: int) -> str:
        return f"$.{self.name}[{number}]"


@frozen
class _SidesInElements(_Layout):
    """Responses whose elements hold a time and a list of orders for each side of the book; an order is a row."""

    sides: tuple[str, ...] = field(kw_only=True)

    def container(self, row: Any) -> Any:
        import msgspec

        sides = [(side, list[row]) for side in self.sides]
        return list[msgspec.defstruct("Point", [("timestamp", int), *sides], gc=False)]  # type: ignore[misc]

    def rows(self, part: Any) -> Sequence[Any]:
        return [row for point in part for side in self.sides for row in getattr(point, side)]

    def times(self, part: Any) -> list[int]:
        return [point.timestamp for point in part]

    def shared_columns(self, part: Any, times: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        lengths = self._lengths(part)
        starts = np.cumsum(lengths) - lengths
        side = np.repeat(np.tile(np.arange(len(self.sides)), len(part)), lengths)
        return {
            "timestamp": pa.array(np.repeat(np.repeat(times, len(self.sides)), lengths)),
            "side": pack([side.removesuffix("s") for side in self.sides], "string").take(pa.array(side)),
            "level": pa.array(np.arange(lengths.sum()) - np.repeat(starts, lengths) + 1),
        }

    def _lengths(self, part: Any) -> npt.NDArray[np.int64]:
        return np.array([len(getattr(point, side)) for point in part for side in self.sides], dtype=np.int64)

    def row_path(self, part: Any, before: int, number: int) -> str:
        ends = np.cumsum(self._lengths(part))
        place = int(np.searchsorted(ends, number, side="right"))
        point, side = divmod(place, len(self.sides))
        in_list = number - (int(ends[place - 1]) if place else 0)
        return f"$[{before + point}].{self.sides[side]}[{in_list}]"


# --- readers: a decoder, and functions that take columns out of its rows ---------------------------------------

# A missing or null cell is a gap in its column. A row needs a time, and a missing count is not 0.
_READ_AS: dict[DType, Any] = {
    "time": int,
    "moment": int | None,
    "string": str | int | None,  # an id may be sent as a number
    "float64": float | None,
    "boolean": bool | None,
    "Int64": int | None,
    "int64": int,
}


@frozen(eq=False)
class _Reader:
    """The decoder of one query's slices, and the functions that take columns out of its rows."""

    layout: _Layout
    decoder: msgspec.json.Decoder[Any]
    columns: tuple[tuple[Column, Callable[[Sequence[Any]], list[Any]]], ...]
    """The columns whose values are in the rows, each with the function that returns its cells."""
    contracts: Callable[[Sequence[Any]], list[bytes]] | None
    """Returns the text of each row's contract object; None if it is not needed."""
    own: Callable[[Sequence[Any]], list[bool]] | None
    """Returns True for rows with private fields; None if those are not asked for."""


@lru_cache(maxsize=64)
def _reader(schema: Schema, needs_contract_column: bool) -> _Reader:
    import msgspec  # imported here to keep `import trayport` fast

    endpoint = schema.endpoint
    if endpoint.row_lists:
        layout: _Layout = _SidesInElements(rows_have_times=False, sides=endpoint.row_lists)
    elif endpoint.list_field:
        layout = _ListInObject(f"$.{endpoint.list_field}[0]", rows_have_times=False, name=endpoint.list_field)
    else:
        layout = _Layout()
    columns = [column for column in schema.columns if layout.rows_have_times or column.dtype != "time"]
    # Rows without private fields belong to other companies; where all rows are own ones, the fields are not nested.
    nested = sorted({column.wire.partition(".")[0] for column in endpoint.columns_of("private") if "." in column.wire})
    is_own = " and ".join(f"row.{name} is not None" for name in nested) or "True"
    return _Reader(
        layout,
        msgspec.json.Decoder(
            layout.container(_row_type("Row", columns, [("contract", msgspec.Raw)] if needs_contract_column else []))
        ),
        tuple((column, _compiled(_cell_expression(column))) for column in columns),
        _compiled("bytes(row.contract)") if needs_contract_column else None,
        _compiled(is_own) if schema.include_private else None,
    )


def _compiled(expression: str) -> Callable[[Sequence[Any]], list[Any]]:
    """Return a function that lists the value of the expression for each ``row``.

    It is compiled, as attrs and dataclasses do, because an attribute in code is read twice as fast as one that is
    looked up by name, and reading millions of attributes takes a third of the time of decoding.
    """
    return eval(f"lambda rows: [{expression} for row in rows]")  # type: ignore[no-any-return]  # noqa: S307


def _cell_expression(column: Column) -> str:
    head, dot, _ = column.wire.partition(".")
    return f"None if row.{head} is None else row.{head}.{column.name}" if dot else f"row.{column.name}"


def _row_type(name: str, columns: Sequence[Column], extra: Sequence[Any] = ()) -> Any:
    """Return a msgspec type for objects with these columns; columns with a dot in their path are in nested objects."""
    import msgspec

    below: dict[str, list[Column]] = defaultdict(list)
    for column in columns:
        head, dot, rest = column.wire.partition(".")
        if dot:
            below[head].append(evolve(column, wire=rest, group="optional"))
    required: list[Any] = list(extra)
    optional: list[Any] = [(head, _row_type(head, members) | None, None) for head, members in below.items()]
    flat = [column for column in columns if "." not in column.wire]
    for column in flat:
        kind = _READ_AS[column.dtype]
        if column.dtype == "time":
            required.append((column.name, kind))
        elif column.group == "always":  # UNSET distinguishes a missing field from null, see `refuse_missing_columns`
            optional.append((column.name, kind | msgspec.UnsetType, msgspec.UNSET))
        else:
            optional.append((column.name, kind | None, None))
    return msgspec.defstruct(name, [*required, *optional], rename={each.name: each.wire for each in flat}, gc=False)


@lru_cache(maxsize=1)
def _contract_decoder() -> msgspec.json.Decoder[Any]:
    import msgspec

    fields: list[Any] = [
        ("contract_type", str),
        ("sequence_id", int),
        ("item_id", int),
        ("second_item_id", int | None, None),
        ("market_id", int | None, None),
        ("instrument_id", int | None, None),
    ]
    return msgspec.json.Decoder(
        msgspec.defstruct("ContractObject", fields, rename=CONTRACT_OBJECT, gc=False, frozen=True)
    )


# --- from decoded rows to packed columns -----------------------------------------------------------------------


class _Codes(dict[bytes, int]):
    """Consecutive numbers for texts, in the order of their first use."""

    def __missing__(self, text: bytes) -> int:
        return self.setdefault(text, len(self))


@define(eq=False)
class _RowCollector:
    """Packs the cells of each slice and appends them to the rows of the response."""

    endpoint: Endpoint
    reader: _Reader
    rows: Rows
    check: TimeCheck
    elements: int = 0
    """The number of elements before the slice."""
    _missing: Counter[str] = field(factory=Counter)
    """The number of rows without each field."""
    _codes: _Codes = field(factory=_Codes)
    """Codes for raw contract objects. Few distinct ones fill many rows, and a look-up is cheaper than decoding each."""

    def add(self, part: Any) -> None:
        """Append the rows of one decoded slice; raise ``DecodeError`` for a cell that its column cannot hold."""
        layout, rows = self.reader.layout, self.reader.layout.rows(part)

        def path_of(row: int) -> str:
            return layout.row_path(part, self.elements, row)

        def time_path(element: int) -> str:
            return f"{layout.time_path(self.elements, element)}.timestamp"

        times = self._pack(layout.times(part), "time", time_path)
        cells = layout.shared_columns(part, times.to_numpy())
        for column, take in self.reader.columns:
            cells[column.name] = self._pack_column(take(rows), column, path_of)
        if layout.rows_have_times and "timestamp" in cells:
            times = cells["timestamp"]
        self.check(times.to_numpy())
        if self.reader.own:
            cells["is_private"] = pack(self.reader.own(rows), "boolean")
        self.rows.add(
            cells, self._pack_contracts(self.reader.contracts(rows), path_of) if self.reader.contracts else None
        )
        self.elements += len(rows) if layout.rows_have_times else len(times)

    def _pack_column(self, cells: list[Any], column: Column, path_of: Callable[[int], str]) -> pa.Array:
        packed = try_pack(cells, column.dtype)
        if packed is not None:
            return packed
        from msgspec import UNSET

        self._missing[column.wire] += sum(cell is UNSET for cell in cells)
        present = [None if cell is UNSET else cell for cell in cells]
        return self._pack(present, column.dtype, lambda row: f"{path_of(row)}.{column.wire}")

    def _pack(self, cells: list[Any], dtype: DType, path_of: Callable[[int], str]) -> pa.Array:
        try:
            return pack(cells, dtype)
        except CellError as error:
            raise DecodeError(self.endpoint.name, path_of(error.row), error.reason) from None

    def _pack_contracts(self, texts: list[bytes], path_of: Callable[[int], str]) -> pa.Array:
        """Return the code of each row's contract object, and decode the objects that are new."""
        import msgspec

        known = len(self._codes)
        codes = [self._codes[text] for text in texts]
        for text in islice(self._codes, known, None):
            path = path_of(texts.index(text))
            try:
                self.rows.add_contract(_contract_decoder().decode(text), path)
            except (msgspec.ValidationError, UnicodeDecodeError) as error:
                detail, below = _split(error)
                raise DecodeError(self.endpoint.name, f"{path}.contract{below.removeprefix('$')}", detail) from None
        return pa.array(codes, pa.int64())

    def refuse_missing_columns(self) -> None:
        """Raise ``DecodeError`` for a column that no row holds, unless rows may hold nothing but their time."""
        missing = [wire for wire, count in self._missing.items() if count == self.rows.length]
        if missing and not self.rows.schema.include_empty:
            raise DecodeError(self.endpoint.name, self.reader.layout.first_row, f"no row has the field `{missing[0]}`")
