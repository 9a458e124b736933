"""Canonical names for the rows of a frame with ids."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..contracts import Contract, Instrument, Market
from ..decoding import STRING
from ..errors import ContractError, NotFound, QueryError, TrayportWarning
from ..wire import kind_of

if TYPE_CHECKING:
    from ..refdata import Catalogue

__all__ = ["label"]

_PRODUCT = ("instrument_id", "market_id")
_NEEDED = ("sequence_id", "sequence_item_id")
_COLUMNS = (*_PRODUCT, *_NEEDED, "second_sequence_item_id", "contract_type")


def label(frame: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """Return ``frame`` with a first column ``contract``; see ``Client.label``."""
    columns = _columns(frame)
    rows = list(zip(*columns, strict=True)) if len(frame) else []
    names = {row: _name(row, catalogue) for row in dict.fromkeys(rows)}
    unknown = sum(name is None for name in names.values())
    if unknown:
        problem = f"{unknown} of {len(names)} contracts are not in the reference data, so their names are empty"
        warnings.warn(TrayportWarning(problem), stacklevel=3)
    labelled = frame.drop(columns="contract", errors="ignore")
    labelled.insert(0, "contract", pd.Series([names[row] for row in rows], index=frame.index, dtype=STRING))
    return labelled


def _columns(frame: pd.DataFrame) -> list[list[Any]]:
    """Return the id columns as lists, with None for missing values; a column that the frame lacks is all None."""
    if not isinstance(frame, pd.DataFrame):
        raise QueryError(f"label takes a DataFrame, not {type(frame).__name__}")
    missing = [name for name in _NEEDED if name not in frame]
    if missing or not any(name in frame for name in _PRODUCT):
        raise QueryError(
            f"label needs the columns instrument_id or market_id, and {' and '.join(_NEEDED)}; the frame has "
            f"{', '.join(map(str, frame.columns)) or 'no columns'}"
        )
    if any(list(frame.columns).count(name) > 1 for name in _COLUMNS):
        raise QueryError("label needs each id column once, and the frame has one of them twice")
    cells = [_cells(frame[name]) if name in frame else [None] * len(frame) for name in _COLUMNS]
    second, kind = cells[-2:]
    if "contract_type" not in frame and any(cell is not None for cell in second):
        raise QueryError("label needs the column contract_type to distinguish spreads from ranges")
    return [*cells[:-2], second, kind]


def _cells(column: pd.Series[Any]) -> list[Any]:
    missing = column.isna().tolist()
    return [None if is_missing else cell for is_missing, cell in zip(missing, column.tolist(), strict=True)]


def _name(row: tuple[Any, ...], catalogue: Catalogue) -> str | None:
    """Return the canonical name of a row's contract; None if its ids are not valid or not in the reference data."""
    instrument, market, sequence, item, second, kind = row
    try:
        product = Instrument(_id(instrument)) if instrument is not None else Market(_id(market))
        kind = "single" if kind is None else kind_of(kind)
        return catalogue.complete(
            Contract(product, _id(sequence), _id(item), None if second is None else _id(second), kind)
        ).label
    except (ContractError, NotFound):
        return None


def _id(cell: Any) -> Any:
    """Return an id; missing values turn the ids of a column into floats, which become integers again."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
