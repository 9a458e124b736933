"""From an answer's bytes to columns with exactly the endpoint's dtypes. Pure: no network, no look-ups.

One mechanism for every endpoint: its table of columns becomes a typed reader, so that integers stay integers
(nanoseconds never pass through a float) and a wrong type is an error with a path instead of a surprise.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from attrs import frozen

from .contracts.contract import Kind, kind_of
from .endpoints import Column, DType, Endpoint
from .errors import ContractError, DecodeError
from .venues import VENUES

if TYPE_CHECKING:
    import msgspec

__all__ = ["Ids", "Schema", "decode", "empty", "join"]

STRING = pd.StringDtype("pyarrow")
"""The dtype of every text column, the same on all versions of pandas and for empty frames."""


@frozen
class Ids:
    """What a row's ``contract`` object says of its contract, its product apart: that is the request's own."""

    sequence_id: int
    item_id: int
    second_item_id: int | None
    kind: Kind


Naming: TypeAlias = str | Callable[[Ids], str]
"""The name of every row's contract, or what makes names of the ids in the rows."""


@frozen
class Schema:
    """The columns of one question's frames: always the same, whatever arrives."""

    endpoint: Endpoint
    fields: tuple[Column, ...] = ()
    include_private: bool = False
    tz: str = "UTC"

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is read from the wire, in the order of the frame."""
        private = self.endpoint.of("private") if self.include_private else ()
        return (*self.endpoint.of("always"), *self.fields, *private)

    @property
    def nested(self) -> tuple[Column, ...]:
        """What the wire nests below ``privateFields``."""
        return self.endpoint.of("private") if self.include_private else ()


def decode(payload: bytes, schema: Schema, naming: Naming) -> pd.DataFrame:
    """The rows of ``payload``, in its order, as a frame of ``schema``.

    Raises ``DecodeError`` with the path of the place that is not what the guide promises.
    """
    rows = _rows(payload, schema, with_contract=callable(naming))
    contracts = _contracts(rows, naming, schema.endpoint) if callable(naming) else _repeated(naming, len(rows))
    return _frame(rows, contracts, schema)


def empty(schema: Schema) -> pd.DataFrame:
    """No rows, with the columns and dtypes of any answer."""
    return _frame([], _repeated("", 0), schema)


def join(frames: Sequence[pd.DataFrame], schema: Schema, order: Sequence[str]) -> pd.DataFrame:
    """The frames as one: by time, then by contract in the order of ``order``, then as they came."""
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty(schema)
    whole = pd.concat(filled) if len(filled) > 1 else filled[0]
    rank = pd.Categorical(whole["contract"], categories=list(dict.fromkeys(order))).codes
    moments = pd.DatetimeIndex(whole.index).asi8
    sorted_already = bool(np.all(moments[1:] > moments[:-1]))
    return whole if sorted_already else whole.iloc[np.lexsort((rank, moments))]


# --- from bytes to rows --------------------------------------------------------------------------------------

# A missing or null cell is a gap in its column; a row without a time has no place in a frame at all.
_READ_AS: dict[DType, Any] = {
    "time": int,
    "string": str | int | None,  # an id may come as a number
    "float64": float | None,
    "boolean": bool | None,
    "Int64": int | None,
}


@lru_cache(maxsize=64)
def _reader(columns: tuple[Column, ...], nested: tuple[Column, ...], with_contract: bool) -> msgspec.json.Decoder[Any]:
    """A reader of lists of rows; what it does not know, it passes over."""
    import msgspec  # only when there is something to read

    def struct(name: str, members: Sequence[Column]) -> Any:
        first = sorted(members, key=lambda column: column.dtype != "time")  # those without a default come first
        return msgspec.defstruct(name, map(_field, first), rename={c.name: c.wire for c in members}, gc=False)

    row = struct("Row", [column for column in columns if column not in nested])
    extra: list[Any] = []
    if with_contract:
        extra.append(("contract", _contract_type()))
    if nested:
        extra.append(("private", struct("PrivateFields", nested) | None, None))
    whole = msgspec.defstruct("Row", extra, bases=(row,), rename={"private": "privateFields"}, gc=False, kw_only=True)
    return msgspec.json.Decoder(list[whole])  # type: ignore[valid-type]


def _field(column: Column) -> tuple[Any, ...]:
    import msgspec

    kind = _READ_AS[column.dtype]
    if column.dtype == "time":
        return column.name, kind
    if column.group == "always":  # left out and null are told apart: see `_cells`
        return column.name, kind | msgspec.UnsetType, msgspec.UNSET
    return column.name, kind, None


@lru_cache(maxsize=1)
def _contract_type() -> Any:
    import msgspec

    fields: list[Any] = [
        ("contractType", str),
        ("sequenceId", int),
        ("sequenceItemId", int),
        ("secondSequenceItemId", int | None, None),
    ]
    return msgspec.defstruct("ContractObject", fields, gc=False, frozen=True)


def _rows(payload: bytes, schema: Schema, *, with_contract: bool) -> list[Any]:
    import msgspec

    reader = _reader(schema.columns, schema.nested, with_contract)
    try:
        rows: list[Any] = reader.decode(payload.removeprefix(codecs.BOM_UTF8))
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        raise DecodeError(schema.endpoint.name, path.strip("`") or "$", detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Not a word of what came instead: it may repeat the key.
        hint = "; it is an HTML page" if payload.lstrip().startswith(b"<") else ""
        raise DecodeError(schema.endpoint.name, "$", f"{error}{hint}") from None
    return rows


# --- from rows to columns ------------------------------------------------------------------------------------


def _frame(rows: list[Any], contracts: pd.api.extensions.ExtensionArray, schema: Schema) -> pd.DataFrame:
    time, *others = schema.columns
    private = [row.private for row in rows] if schema.include_private else []
    data: dict[str, Any] = {"contract": contracts}
    for column in others:
        if column in schema.nested:
            continue
        data[column.name] = _array(_cells(rows, column, schema), column, schema)
    index = _times([getattr(row, time.name) for row in rows], time, schema)
    if schema.include_private:
        data["is_private"] = pd.array([own is not None for own in private], dtype="boolean")
        data["public_copy"] = _public_copies(pd.DataFrame(data, index=index))
        for column in schema.nested:
            cells = [None if own is None else getattr(own, column.name) for own in private]
            data[column.name] = _array(cells, column, schema)
    return pd.DataFrame(data, index=index, copy=False)


def _cells(rows: list[Any], column: Column, schema: Schema) -> list[Any]:
    """A column's cells; one that no row has at all is no gap but another API."""
    from msgspec import UNSET

    cells = [getattr(row, column.name) for row in rows]
    if not any(cell is UNSET for cell in cells):
        return cells
    if all(cell is UNSET for cell in cells):
        raise DecodeError(schema.endpoint.name, "$[0]", f"no row has the field `{column.wire}`")
    return [None if cell is UNSET else cell for cell in cells]


def _times(values: list[int], column: Column, schema: Schema) -> pd.DatetimeIndex:
    try:
        nanoseconds = np.array(values, dtype=np.int64)
    except OverflowError:
        row = next(row for row, value in enumerate(values) if not -(2**63) <= value < 2**63)
        raise DecodeError(schema.endpoint.name, f"$[{row}].{column.wire}", f"{values[row]} is no time") from None
    index = pd.DatetimeIndex(nanoseconds.view("M8[ns]"), tz="UTC", name=column.name)
    return index if schema.tz == "UTC" else index.tz_convert(schema.tz)


def _array(values: list[Any], column: Column, schema: Schema) -> Any:
    if column.dtype == "float64":
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if column.dtype == "string":
        return _strings([value if value is None or isinstance(value, str) else str(value) for value in values])
    if column.dtype == "boolean":
        return pd.array(values, dtype="boolean")
    try:
        return pd.array(values, dtype="Int64")
    except (OverflowError, TypeError):
        row = next(row for row, value in enumerate(values) if value is not None and not -(2**63) <= value < 2**63)
        raise DecodeError(
            schema.endpoint.name, f"$[{row}].{column.wire}", f"{values[row]} does not fit 64 bits"
        ) from None


def _strings(values: list[str | None]) -> pd.api.extensions.ExtensionArray:
    return pd.array(values, dtype=STRING)


def _repeated(name: str, count: int) -> pd.api.extensions.ExtensionArray:
    return _strings([name]).take(np.zeros(count, dtype=np.intp))


def _contracts(rows: list[Any], naming: Callable[[Ids], str], endpoint: Endpoint) -> pd.api.extensions.ExtensionArray:
    """Each row's contract by name: the ids are named once each, then taken by position."""
    codes: dict[Any, int] = {}
    positions = [codes.setdefault(row.contract, len(codes)) for row in rows]
    names = [_name(contract, positions.index(code), naming, endpoint) for contract, code in codes.items()]
    if not names:
        return _repeated("", 0)
    return _strings(list(names)).take(np.array(positions, dtype=np.intp))


def _name(contract: Any, row: int, naming: Callable[[Ids], str], endpoint: Endpoint) -> str:
    try:
        kind = kind_of(contract.contractType)
        second = None if kind == "single" else contract.secondSequenceItemId
        return naming(Ids(contract.sequenceId, contract.sequenceItemId, second, kind))
    except ContractError as error:
        raise DecodeError(endpoint.name, f"$[{row}].contract", str(error)) from None


# --- own trades that come twice ------------------------------------------------------------------------------


def _public_copies(frame: pd.DataFrame) -> pd.api.extensions.ExtensionArray:
    """Which rows are the anonymous twin of one of your own trades.

    Venues with a separate private feed send each own trade twice (guide p. 34). A twin has the same contract,
    time, price and quantity; the id ends in " Public" at one venue, and how others spell it is not known, so ids
    only decide which of several equals is the twin. Each own trade has one twin at the most.
    """
    twin = np.zeros(len(frame), dtype=bool)
    own = frame["is_private"].to_numpy(dtype=bool)
    separate = [code for code, venue in VENUES.items() if venue.separate_private_feed]
    at_stake = frame["venue_code"].isin(separate).to_numpy(dtype=bool) & frame.index.isin(frame.index[own])
    if (own & at_stake).any():
        rows = frame.reset_index()[at_stake].assign(own=own[at_stake], row=np.flatnonzero(at_stake))
        rows["bare_id"] = rows["trade_id"].str.removesuffix(" Public")
        same = ["timestamp", "contract", "venue_code", "price", "quantity"]
        for _, group in rows.groupby(same, sort=False, dropna=False):
            if group["own"].any():
                twin[_twins(group)] = True
    return pd.array(twin, dtype="boolean")


def _twins(group: pd.DataFrame) -> list[int]:
    """Of trades that agree in all but the id: the rows that are copies of the own ones among them."""
    own_ids = set(group.loc[group["own"], "bare_id"])
    public = group[~group["own"]]
    by_id = public["bare_id"].isin(own_ids)
    likeliest = pd.concat([public[by_id], public[~by_id]])
    return likeliest["row"].tolist()[: int(group["own"].sum())]
