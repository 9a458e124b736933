"""JSON answers: typed readers that are made of an endpoint's table of columns.

Integers stay integers (nanoseconds never pass through a float), and a wrong type is an error with a path instead of
a surprise. What the table does not know is passed over.
"""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import evolve

from ..endpoints import Column, DType, Endpoint
from ..errors import DecodeError
from .schema import Schema, Table

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


def read(payload: bytes, schema: Schema, *, with_contract: bool) -> Table:
    """The rows of ``payload``, in its order.

    Raises ``DecodeError`` with the path of the place that is not what the guide promises.
    """
    answer = _answer(payload, schema, with_contract=with_contract)
    endpoint = schema.endpoint
    if endpoint.sides:
        return evolve(_orders(answer, schema), times=[point.timestamp for point in answer])
    rows = getattr(answer, endpoint.rows_at) if endpoint.rows_at else answer
    cells = {column.name: _cells(rows, column, schema) for column in _of_rows(schema)}
    if endpoint.rows_at:
        cells["timestamp"] = [answer.timestamp] * len(rows)
    contracts = [row.contract for row in rows] if with_contract else ()
    times = [answer.timestamp] if endpoint.rows_at else None
    return Table(len(rows), cells, contracts, _own(rows, schema), times)


def _answer(payload: bytes, schema: Schema, *, with_contract: bool) -> Any:
    import msgspec

    try:
        return _reader(schema, with_contract).decode(payload.removeprefix(codecs.BOM_UTF8))
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        raise DecodeError(schema.endpoint.name, path.strip("`") or "$", detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Not a word of what came instead: it may repeat the key.
        hint = "; it is an HTML page" if payload.lstrip().startswith(b"<") else ""
        raise DecodeError(schema.endpoint.name, "$", f"{error}{hint}") from None


# --- the readers ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _reader(schema: Schema, with_contract: bool) -> msgspec.json.Decoder[Any]:
    import msgspec  # only when there is something to read

    endpoint = schema.endpoint
    extra: list[Any] = [("contract", _contract_type())] if with_contract else []
    row = _struct("Row", _of_rows(schema), extra)
    if endpoint.sides:
        sides = [(side, list[row]) for side in endpoint.sides]  # type: ignore[valid-type]
        whole: Any = list[msgspec.defstruct("Point", [("timestamp", int), *sides], gc=False)]  # type: ignore[misc]
    elif endpoint.rows_at:
        whole = msgspec.defstruct("Answer", [("timestamp", int), (endpoint.rows_at, list[row])], gc=False)  # type: ignore[valid-type]
    else:
        whole = list[row]  # type: ignore[valid-type]
    return msgspec.json.Decoder(whole)


def _of_rows(schema: Schema) -> list[Column]:
    """The columns that each row has for itself."""
    endpoint = schema.endpoint
    shared = bool(endpoint.sides or endpoint.rows_at)
    return [column for column in schema.columns if not (shared and column.dtype == "time")]


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
    if column.group == "always":  # left out and null are told apart: see `_cells`
        return column.name, kind | msgspec.UnsetType, msgspec.UNSET
    return column.name, kind | None, None


@lru_cache(maxsize=1)
def _contract_type() -> Any:
    import msgspec

    fields: list[Any] = [
        ("contractType", str),
        ("sequenceId", int),
        ("sequenceItemId", int),
        ("secondSequenceItemId", int | None, None),
        ("marketId", int | None, None),
        ("instrumentId", int | None, None),
    ]
    return msgspec.defstruct("ContractObject", fields, gc=False, frozen=True)


# --- from rows to cells --------------------------------------------------------------------------------------


def _orders(points: Sequence[Any], schema: Schema) -> Table:
    """A row an order: by point, side, and place in its list; there may be millions."""
    sides = schema.endpoint.sides
    orders = [order for point in points for side in sides for order in getattr(point, side)]
    lengths = np.array([len(getattr(point, side)) for point in points for side in sides], dtype=np.int64)
    names = np.array([side.removesuffix("s") for side in sides], dtype=object)
    before = np.cumsum(lengths) - lengths
    cells: dict[str, Sequence[Any]] = {column.name: _cells(orders, column, schema) for column in _of_rows(schema)}
    cells |= {
        "timestamp": np.repeat(_stamps(points, schema), lengths).tolist(),
        "side": np.repeat(np.tile(names, len(points)), lengths).tolist(),
        "level": (np.arange(len(orders)) - np.repeat(before, lengths) + 1).tolist(),
    }
    return Table(len(orders), cells, (), _own(orders, schema))


def _stamps(points: Sequence[Any], schema: Schema) -> npt.NDArray[np.int64]:
    """The time of each side of each point."""
    sides = len(schema.endpoint.sides)
    try:
        return np.repeat(np.array([point.timestamp for point in points], dtype=np.int64), sides)
    except OverflowError:
        row = next(row for row, point in enumerate(points) if not -(2**63) <= point.timestamp < 2**63)
        raise DecodeError(schema.endpoint.name, f"$[{row}].timestamp", "is no time") from None


def _cells(rows: Sequence[Any], column: Column, schema: Schema) -> list[Any]:
    """A column's cells; one that no row has at all is no gap but another API."""
    head, dot, _ = column.wire.partition(".")
    if dot:
        objects = [getattr(row, head) for row in rows]
        return [None if each is None else getattr(each, column.name) for each in objects]
    from msgspec import UNSET

    cells = [getattr(row, column.name) for row in rows]
    if not any(cell is UNSET for cell in cells):
        return cells
    if all(cell is UNSET for cell in cells) and not schema.sparse:
        raise DecodeError(schema.endpoint.name, _first_row(schema.endpoint), f"no row has the field `{column.wire}`")
    return [None if cell is UNSET else cell for cell in cells]


def _first_row(endpoint: Endpoint) -> str:
    return f"$.{endpoint.rows_at}[0]" if endpoint.rows_at else "$[0]"


def _own(rows: Sequence[Any], schema: Schema) -> Sequence[bool]:
    """Which rows have private fields; all of them, where only one's own are answered with."""
    if not schema.include_private:
        return ()
    heads = {column.wire.partition(".")[0] for column in schema.endpoint.of("private") if "." in column.wire}
    return [all(getattr(row, head) is not None for head in heads) for row in rows]
