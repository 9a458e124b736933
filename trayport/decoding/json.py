"""JSON answers: typed readers that are made of an endpoint's table of columns.

Integers stay integers (nanoseconds never pass through a float), and a wrong type is an error with a path instead of
a surprise. What the table does not know is passed over.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from attrs import define, evolve, field, frozen

from ..endpoints import Column, DType, Endpoint
from ..errors import DecodeError
from ..wire import CONTRACT_OBJECT
from .cells import Misfit, pack, pack_quickly
from .rows import Rows
from .schema import Check, Schema
from .shapes import Shape, shape_of
from .slices import SIZE, Text

if TYPE_CHECKING:
    import msgspec

__all__ = ["read"]

# A missing or null cell is a gap in its column; a row without a time has no place in a frame at all.
_READ_AS: dict[DType, Any] = {
    "time": int,
    "moment": int | None,
    "string": str | int | None,  # an id may come as a number
    "float64": float | None,
    "boolean": bool | None,
    "Int64": int | None,
    "int64": int,
}


def read(
    pieces: Iterable[bytes | memoryview], rows: Rows, check: Check, *, needs_contract_column: bool, size: int = SIZE
) -> None:
    """Add the answer in ``pieces`` to ``rows``, in its order, read in slices of about ``size`` bytes.

    ``check`` is shown the times of each slice's elements. Raises ``DecodeError`` with the path of the place that is not
    what the guide promises.
    """
    import msgspec

    schema = rows.schema
    reader = _reader(schema, needs_contract_column)
    harvest = _Harvest(schema.endpoint, reader, rows, check)
    text = Text.of(pieces, size)
    try:
        text.each(lambda text: harvest.take(reader.decoder.decode(text)))
    except msgspec.ValidationError as error:
        detail, path = _placed(error)
        raise DecodeError(schema.endpoint.name, _moved(path, harvest.elements), detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Not a word of what came instead: it may repeat the key.
        hint = "; it is an HTML page" if text.held.lstrip().startswith(b"<") else ""
        raise DecodeError(schema.endpoint.name, "$", f"{_counted(error, text.gone)}{hint}") from None
    harvest.refuse_missing_columns(sparse=schema.sparse)


def _placed(error: Exception) -> tuple[str, str]:
    """What is wrong, and where in the slice."""
    detail, _, path = str(error).partition(" - at ")
    return detail, path.strip("`") or "$"


def _moved(path: str, before: int) -> str:
    """The path in the whole answer, of one in a slice with so many elements before it."""
    return re.sub(r"^\$\[(\d+)\]", lambda found: f"$[{before + int(found[1])}]", path)


def _counted(error: Exception, before: int) -> str:
    """What is wrong with the text, its bytes counted from the beginning of the answer."""
    return re.sub(r"\(byte (\d+)\)", lambda found: f"(byte {before + int(found[1])})", str(error))


# --- the readers ---------------------------------------------------------------------------------------------


@frozen(eq=False)
class _Reader:
    """What reads the slices of one question's answers, and takes columns out of their rows."""

    shape: Shape
    decoder: msgspec.json.Decoder[Any]
    columns: tuple[tuple[Column, Callable[[Sequence[Any]], list[Any]]], ...]
    """Those that each row has for itself, and what takes their cells."""
    contracts: Callable[[Sequence[Any]], list[bytes]] | None
    """What takes the text of each row's contract, where that is asked for."""
    own: Callable[[Sequence[Any]], list[bool]] | None
    """What says which rows have private fields, where those are asked for."""


@lru_cache(maxsize=64)
def _reader(schema: Schema, with_contract: bool) -> _Reader:
    import msgspec  # only when there is something to read

    shape = shape_of(schema.endpoint)
    columns = [column for column in schema.columns if shape.timed or column.dtype != "time"]
    extra = [("contract", msgspec.Raw)] if with_contract else []
    return _Reader(
        shape,
        msgspec.json.Decoder(shape.whole(_struct("Row", columns, extra))),
        tuple((column, _each(_cell_of(column))) for column in columns),
        _each("bytes(row.contract)") if with_contract else None,
        _each(_is_own(schema.endpoint)) if schema.include_private else None,
    )


def _each(expression: str) -> Callable[[Sequence[Any]], list[Any]]:
    """What makes a list of the expression's value for each ``row``.

    It is compiled, as attrs and dataclasses do it: an attribute that stands in the code is read twice as fast as one
    that is looked up by its name, and reading millions of them is a third of all that decoding costs.
    """
    return eval(f"lambda rows: [{expression} for row in rows]")  # type: ignore[no-any-return]  # noqa: S307


def _cell_of(column: Column) -> str:
    head, dot, _ = column.wire.partition(".")
    return f"None if row.{head} is None else row.{head}.{column.name}" if dot else f"row.{column.name}"


def _is_own(endpoint: Endpoint) -> str:
    """Has it private fields? All rows have, where only one's own are answered with."""
    heads = {column.wire.partition(".")[0] for column in endpoint.of("private") if "." in column.wire}
    return " and ".join(f"row.{head} is not None" for head in sorted(heads)) or "True"


def _struct(name: str, columns: Sequence[Column], extra: Sequence[Any] = ()) -> Any:
    """A type for objects with these columns; those below a dot in their path are in an object of their own."""
    import msgspec

    below: dict[str, list[Column]] = defaultdict(list)
    for column in columns:
        head, dot, rest = column.wire.partition(".")
        if dot:
            below[head].append(evolve(column, wire=rest, group="optional"))
    flat = [column for column in columns if "." not in column.wire]
    needed = [*(_field(column) for column in flat if column.dtype == "time"), *extra]
    others = [_field(column) for column in flat if column.dtype != "time"]
    nested = [(head, _struct(head, members) | None, None) for head, members in below.items()]
    return msgspec.defstruct(
        name, [*needed, *others, *nested], rename={column.name: column.wire for column in flat}, gc=False
    )


def _field(column: Column) -> tuple[Any, ...]:
    import msgspec

    kind = _READ_AS[column.dtype]
    if column.dtype == "time":
        return column.name, kind
    if column.group == "always":  # left out and null are told apart: see `_Harvest._cells`
        return column.name, kind | msgspec.UnsetType, msgspec.UNSET
    return column.name, kind | None, None


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


# --- from rows to cells --------------------------------------------------------------------------------------


class _Codes(dict[bytes, int]):
    """Numbers for texts, counted as they are met."""

    def __missing__(self, text: bytes) -> int:
        return self.setdefault(text, len(self))


@define(eq=False)
class _Harvest:
    """Packs the cells of a slice, and adds them to the rows."""

    endpoint: Endpoint
    reader: _Reader
    rows: Rows
    check: Check
    elements: int = 0
    _absent: Counter[str] = field(factory=Counter)
    """In how many rows a field was left out."""
    _codes: _Codes = field(factory=_Codes)
    """Of the texts of contracts: few are many rows', and to read a text again takes longer than to know it again."""

    def take(self, part: Any) -> None:
        """The rows of one slice; ``DecodeError`` for what no column can hold."""
        shape, rows = self.reader.shape, self.reader.shape.rows(part)

        def place(row: int) -> str:
            return shape.row_at(part, self.elements, row)

        stamps = self._packed(shape.stamps(part), "time", lambda row: f"{shape.stamp_at(self.elements, row)}.timestamp")
        cells = shape.shared(part, stamps.to_numpy())
        for column, take in self.reader.columns:
            cells[column.name] = self._column(take(rows), column, place)
        times = self._times(cells) if shape.timed else stamps
        self.check(times.to_numpy())
        numbers = self._numbers(self.reader.contracts(rows), place) if self.reader.contracts else None
        own = pack(self.reader.own(rows), "boolean") if self.reader.own else None
        self.rows.add(cells, numbers, own)
        self.elements += len(rows) if shape.timed else len(stamps)

    def _times(self, cells: Mapping[str, pa.Array]) -> pa.Array:
        """Of rows that have a time each; none where they have none."""
        times = (cells[column.name] for column, _ in self.reader.columns if column.dtype == "time")
        return next(times, pa.array([], pa.int64()))

    def _column(self, cells: list[Any], column: Column, place: Callable[[int], str]) -> pa.Array:
        packed = pack_quickly(cells, column.dtype)
        if packed is not None:
            return packed
        from msgspec import UNSET

        present = [None if cell is UNSET else cell for cell in cells]
        self._absent[column.wire] += sum(cell is UNSET for cell in cells)
        return self._packed(present, column.dtype, lambda row: f"{place(row)}.{column.wire}")

    def _packed(self, cells: list[Any], dtype: DType, path: Callable[[int], str]) -> pa.Array:
        try:
            return pack(cells, dtype)
        except Misfit as misfit:
            raise DecodeError(self.endpoint.name, path(misfit.row), misfit.why) from None

    def _numbers(self, texts: list[bytes], place: Callable[[int], str]) -> pa.Array:
        """Which contract each row is of."""
        import msgspec

        known = len(self._codes)
        numbers = [self._codes[text] for text in texts]
        for text in reversed(list(islice(reversed(self._codes), len(self._codes) - known))):
            path = place(texts.index(text))
            try:
                self.rows.meet(_contract_decoder().decode(text), path)
            except (msgspec.ValidationError, UnicodeDecodeError) as error:
                detail, below = _placed(error)
                at = f"{path}.contract{below.removeprefix('$')}"
                raise DecodeError(self.endpoint.name, at, detail) from None
        return pa.array(numbers, pa.int64())

    def refuse_missing_columns(self, *, sparse: bool) -> None:
        """A column that no row has at all is no gap but another API, unless rows may say nothing."""
        missing = [wire for wire, rows in self._absent.items() if rows == self.rows.length]
        if missing and not sparse:
            raise DecodeError(self.endpoint.name, self.reader.shape.first, f"no row has the field `{missing[0]}`")
